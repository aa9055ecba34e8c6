import KassaDomain
import KassaService

extension StripeTerminalProvider {
  package func capture(_ movement: MoneyMovement) async -> MovementReport {
    let budget = http.budget()
    guard let id = movement.charge.references[Reference.intent] else {
      return MovementReport(.unknown("the name of the PaymentIntent was never heard"))
    }
    switch await read(id, within: budget) {
    case .absent: return MovementReport(.unknown("Stripe does not know the PaymentIntent"))
    case .unknown(let words): return MovementReport(.unknown(words))
    case .intent(let intent): if let report = report(on: intent, about: movement) { return report }
    }
    let name = movement.id.description
    let key = StripeKey(name, movement.references)
    let result = await api.post(
      "payment_intents/\(id)/capture",
      [("amount_to_capture", String(movement.amount)), ("metadata[\(StripeMetadata.movement)]", name)],
      key: key.text, within: budget)
    switch result {
    case .object(let object, _):
      return StripeIntent(object).flatMap { report(on: $0, about: movement) }
        ?? MovementReport(.unknown("Stripe did not say that it is captured"))
    case .refused(let error):
      if error.isOfKey { return MovementReport(.unknown(error.words), references: key.spent) }
      // Somebody else may have captured or freed it in this moment.
      guard case .intent(let intent) = await read(id, within: budget) else {
        return MovementReport(.unknown(error.words))
      }
      return report(on: intent, about: movement) ?? report(on: error)
    case .keptFailure(let words): return MovementReport(.unknown(words), references: key.spent)
    case .neverLeft(let words), .unknown(let words): return MovementReport(.unknown(words))
    }
  }

  /// What a PaymentIntent says of a capture; `nil` while nothing is captured and it can be.
  ///
  /// In person Stripe captures once. Whose capture that was, its metadata says; without, it was made in the Dashboard, or
  /// by a version that did not say so, and is this one if it is of this amount: a second one for the same order is refused
  /// before a provider with `capturesOnce` is asked.
  private func report(on intent: StripeIntent, about movement: MoneyMovement) -> MovementReport? {
    switch intent.status {
    case .succeeded, .requiresCapture:
      if let words = intent.mismatch(with: movement.charge) { return MovementReport(.unknown(words)) }
    case .canceled: return MovementReport(.refused("the reserved amount was freed"))
    case .requiresPaymentMethod, .requiresConfirmation, .requiresAction, .processing, nil:
      return MovementReport(.unknown("the PaymentIntent is not paid"))
    }
    if intent.status == .requiresCapture { return nil }
    let taken = intent.amountReceived
    guard let captor = intent.movement else {
      if taken == movement.amount { return MovementReport(.done) }
      return MovementReport(
        .refused(
          "Stripe captures a payment once, and captured \(taken) minor units of this one: capture as much here, unless "
            + "you have"))
    }
    guard sameBytes(captor, movement.id.description) else {
      return MovementReport(
        .refused("Stripe captures a payment once: it captured \(taken) minor units before, and freed the rest"))
    }
    if taken == movement.amount { return MovementReport(.done) }
    return MovementReport(.unknown("Stripe captured \(taken) instead of \(movement.amount): see its Dashboard"))
  }

  package func refund(_ movement: MoneyMovement) async -> MovementReport {
    let budget = http.budget()
    guard let id = movement.charge.references[Reference.intent] else {
      return MovementReport(.unknown("the name of the PaymentIntent was never heard"))
    }
    return await giveBack(
      movement.amount, of: id, as: movement.id.description, known: movement.references, within: budget)
  }

  package func release(_ charge: Charge) async -> MovementReport { await undo(charge, isRelease: true) }

  package func reverse(_ charge: Charge) async -> MovementReport { await undo(charge, isRelease: false) }

  /// Names of what is kept of a movement.
  private enum MovementReference {
    static let refund = "refund"
  }

  /// A reserved amount is freed by cancelling. What was taken is given back, but not where only freeing was asked for:
  /// that is asked when Kassa knows of no capture, and so somebody else made it.
  private func undo(_ charge: Charge, isRelease: Bool) async -> MovementReport {
    let budget = http.budget()
    guard let id = charge.references[Reference.intent] else {
      return MovementReport(.unknown("the name of the PaymentIntent was never heard"))
    }
    switch await read(id, within: budget) {
    case .absent: return MovementReport(.unknown("Stripe does not know the PaymentIntent"))
    case .unknown(let words): return MovementReport(.unknown(words))
    case .intent(let intent):
      switch intent.status {
      case .canceled: return MovementReport(.done)
      case .succeeded:
        guard intent.amountReceived > 0 else { return MovementReport(.done) }
        if isRelease {
          return MovementReport(
            .refused(
              "\(intent.amountReceived) minor units were captured at Stripe: capture as much here, then refund it"))
        }
        let number = charge.references.reversalTry
        let report = await giveBack(
          intent.amountReceived, of: id, as: "\(charge.paymentID)-reverse" + (number == 1 ? "" : "-try-\(number)"),
          known: charge.references, within: budget)
        guard case .refused = report.answer else { return report }
        // The next try makes a refund of its own.
        return MovementReport(report.answer, references: report.references.merging([MovementReference.refund: ""]))
      case .requiresCapture, .requiresPaymentMethod, .requiresConfirmation, .requiresAction, .processing, nil: break
      }
    }
    _ = await api.post(
      "payment_intents/\(id)/cancel", [("cancellation_reason", "abandoned")],
      key: freshKey("release", charge), within: budget)
    guard case .intent(let after) = await read(id, within: budget), after.status == .canceled else {
      return MovementReport(.unknown("Stripe has not said that it is free"))
    }
    return MovementReport(.done)
  }

  /// `name` is our own, kept in the refund's metadata: a refund whose answer was lost is found by it, also after the
  /// day for which Stripe remembers keys.
  private func giveBack(
    _ amount: Int64, of intent: String, as name: String, known: ProviderReferences, within budget: CallBudget
  ) async -> MovementReport {
    if let refund = known[MovementReference.refund], !refund.isEmpty {
      return await readRefund(refund, of: amount, within: budget)
    }
    switch await findRefund(name, of: intent, within: budget) {
    case .refund(let made): return report(on: made, of: amount)
    case .absent: break
    case .unknown(let words): return MovementReport(.unknown(words))
    }
    let key = StripeKey(name, known)
    let result = await api.post(
      "refunds",
      [
        ("payment_intent", intent), ("amount", String(amount)), ("metadata[\(StripeMetadata.movement)]", name),
      ], key: key.text, within: budget)
    switch result {
    case .object(let object, let isReplay):
      guard let refund = StripeRefund(object) else {
        return MovementReport(.unknown("Stripe answered what is no refund"))
      }
      return isReplay ? await readRefund(refund.id, of: amount, within: budget) : report(on: refund, of: amount)
    case .refused(let error) where error.isOfKey:
      return MovementReport(.unknown(error.words), references: key.spent)
    case .refused(let error): return report(on: error)
    case .keptFailure(let words): return MovementReport(.unknown(words), references: key.spent)
    case .neverLeft(let words), .unknown(let words): return MovementReport(.unknown(words))
    }
  }

  private enum FoundRefund {
    case refund(StripeRefund)
    /// There is none, for certain.
    case absent
    case unknown(String)
  }

  /// Looks through all refunds there are, a page after the other, within the budget.
  private func findRefund(_ name: String, of intent: String, within budget: CallBudget) async -> FoundRefund {
    var last: String?
    while true {
      let place = last.map { [("starting_after", $0)] } ?? []
      switch await api.get("refunds", [("payment_intent", intent), ("limit", "100")] + place, within: budget) {
      case .object(let list, _):
        let page = list.objects("data")
        let refunds = page.compactMap(StripeRefund.init)
        if let made = refunds.first(where: { $0.movement.map { sameBytes($0, name) } ?? false }) {
          return .refund(made)
        }
        if list.bool("has_more") == false { return .absent }
        guard let end = page.last?.text("id"), StripeIdentifier.isOne(end) else {
          return .unknown("Stripe's list of refunds has no end")
        }
        last = end
      case .refused(let error): return .unknown(error.words)
      case .neverLeft(let words), .unknown(let words), .keptFailure(let words): return .unknown(words)
      }
    }
  }

  /// What was asked for is refused for good only if the request itself was: a key that is revoked, or may not do this, is
  /// mended by the merchant, and then it is done.
  private func report(on error: StripeError) -> MovementReport {
    MovementReport(error.status == 400 || error.status == 402 ? .refused(error.words) : .unknown(error.words))
  }

  private func readRefund(_ id: String, of amount: Int64, within budget: CallBudget) async -> MovementReport {
    guard StripeIdentifier.isOne(id) else { return MovementReport(.unknown("the refund's name is none")) }
    switch await api.get("refunds/\(id)", within: budget) {
    case .object(let object, _):
      return StripeRefund(object).map { report(on: $0, of: amount) }
        ?? MovementReport(.unknown("Stripe answered what is no refund"))
    case .refused(let error): return MovementReport(.unknown(error.words))
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words): return MovementReport(.unknown(words))
    }
  }

  private func report(on refund: StripeRefund, of amount: Int64) -> MovementReport {
    let references: ProviderReferences = [MovementReference.refund: refund.id]
    guard refund.amount == amount else {
      return MovementReport(
        .unknown("the refund \(refund.id) is not of the \(amount) that were asked for: see Stripe's Dashboard"),
        references: references)
    }
    switch refund.status {
    case .succeeded: return MovementReport(.done, references: references)
    case .pending, .requiresAction: return MovementReport(.pending, references: references)
    case .failed:
      let why = refund.failureReason.flatMap { StripeIdentifier.isOne($0) ? " (\($0))" : nil } ?? ""
      return MovementReport(.refused("the refund failed at the card's bank\(why)"), references: references)
    case .canceled: return MovementReport(.refused("the refund was cancelled at Stripe"), references: references)
    case nil: return MovementReport(.unknown("Stripe says a status that is not known"), references: references)
    }
  }
}

/// The idempotency key of something that must not be done twice. Stripe keeps what it first answered under a key, also
/// that it broke; then the next one is used, and what the failure hid is looked for before.
///
/// Which one it is, is kept with the movement. So all who ask at once use the same.
private struct StripeKey {
  private static let reference = "keys_spent"

  private let name: String
  private let spentCount: Int

  /// `name` is our own, which says what is to be done.
  init(_ name: String, _ references: ProviderReferences) {
    self.name = name
    spentCount = references[Self.reference].flatMap { Int($0) } ?? 0
  }

  var text: String { spentCount == 0 ? name : "\(name)-\(spentCount + 1)" }

  /// What is kept so that the next call has another.
  var spent: ProviderReferences { [Self.reference: String(spentCount + 1)] }
}
