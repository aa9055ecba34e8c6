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
    case .intent(let intent):
      switch intent.status {
      case .succeeded:
        // By an earlier call for this movement. In person Stripe captures once: a second part is not.
        if intent.amountReceived == movement.amount { return MovementReport(.done) }
        return MovementReport(.refused("Stripe captured \(intent.amountReceived) before, and captures only once"))
      case .requiresCapture: break
      case .canceled: return MovementReport(.refused("the reserved amount was freed"))
      case .requiresPaymentMethod, .requiresConfirmation, .requiresAction, .processing, nil:
        return MovementReport(.unknown("the PaymentIntent is not paid"))
      }
    }
    let result = await api.post(
      "payment_intents/\(id)/capture", [("amount_to_capture", String(movement.amount))],
      key: movement.id.description, within: budget)
    switch result {
    case .object(let object, _):
      guard let intent = StripeIntent(object), intent.status == .succeeded else {
        return MovementReport(.unknown("Stripe did not say that it is captured"))
      }
      return MovementReport(.done)
    case .refused(let error): return report(on: error)
    case .neverLeft(let words), .unknown(let words): return MovementReport(.unknown(words))
    }
  }

  package func refund(_ movement: MoneyMovement) async -> MovementReport {
    let budget = http.budget()
    guard let id = movement.charge.references[Reference.intent] else {
      return MovementReport(.unknown("the name of the PaymentIntent was never heard"))
    }
    return await giveBack(
      movement.amount, of: id, as: movement.id.description, known: movement.references[MovementReference.refund],
      within: budget)
  }

  package func release(_ charge: Charge) async -> MovementReport { await undo(charge, isRelease: true) }

  package func reverse(_ charge: Charge) async -> MovementReport { await undo(charge, isRelease: false) }

  /// Names of what is kept of a movement.
  private enum MovementReference {
    static let refund = "refund"
  }

  /// A reserved amount is freed by cancelling. What was taken is given back, unless only the rest was to be freed: that
  /// is free since the capture.
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
        if isRelease { return MovementReport(.done) }
        let number = charge.references.reversalTry
        let report = await giveBack(
          intent.amountReceived, of: id, as: "\(charge.paymentID)-reverse" + (number == 1 ? "" : "-try-\(number)"),
          known: charge.references[MovementReference.refund], within: budget)
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
    _ amount: Int64, of intent: String, as name: String, known: String?, within budget: CallBudget
  ) async -> MovementReport {
    if let known, !known.isEmpty { return await readRefund(known, within: budget) }
    switch await api.get("refunds", [("payment_intent", intent), ("limit", "100")], within: budget) {
    case .object(let list, _):
      let refunds = list.objects("data").compactMap(StripeRefund.init)
      if let made = refunds.first(where: { $0.movement.map { sameBytes($0, name) } ?? false }) {
        return report(on: made)
      }
      guard list.bool("has_more") == false else { return MovementReport(.unknown("too many refunds to look through")) }
    case .refused(let error): return MovementReport(.unknown(error.words))
    case .neverLeft(let words), .unknown(let words): return MovementReport(.unknown(words))
    }
    let result = await api.post(
      "refunds",
      [
        ("payment_intent", intent), ("amount", String(amount)), ("metadata[\(StripeMetadata.movement)]", name),
      ], key: name, within: budget)
    switch result {
    case .object(let object, let isReplay):
      guard let refund = StripeRefund(object) else {
        return MovementReport(.unknown("Stripe answered what is no refund"))
      }
      return isReplay ? await readRefund(refund.id, within: budget) : report(on: refund)
    case .refused(let error): return report(on: error)
    case .neverLeft(let words), .unknown(let words): return MovementReport(.unknown(words))
    }
  }

  /// What was asked for is refused for good only if the request itself was: a key that is revoked, or may not do this, is
  /// mended by the merchant, and then it is done.
  private func report(on error: StripeError) -> MovementReport {
    MovementReport(error.status == 400 || error.status == 402 ? .refused(error.words) : .unknown(error.words))
  }

  private func readRefund(_ id: String, within budget: CallBudget) async -> MovementReport {
    guard StripeIdentifier.isOne(id) else { return MovementReport(.unknown("the refund's name is none")) }
    switch await api.get("refunds/\(id)", within: budget) {
    case .object(let object, _):
      return StripeRefund(object).map(report) ?? MovementReport(.unknown("Stripe answered what is no refund"))
    case .refused(let error): return MovementReport(.unknown(error.words))
    case .neverLeft(let words), .unknown(let words): return MovementReport(.unknown(words))
    }
  }

  private func report(on refund: StripeRefund) -> MovementReport {
    let references: ProviderReferences = [MovementReference.refund: refund.id]
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
