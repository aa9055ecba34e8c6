import KassaDomain
import KassaJSON
import KassaService

/// Vipps MobilePay: the customer scans a code that is drawn from what Vipps answers, and approves in the app.
///
/// A payment is reserved by the customer and captured by us. Its reference is our attempt's identifier, so that it can be
/// found whatever answer was lost, and every call may be made again. States and `aggregate` decide, never a status code.
package struct VippsProvider: PaymentProvider, NotifyingProvider {
  /// Minor units that one payment may have, and its currencies.
  package static let amounts: ClosedRange<Int64> = 100...65_000_000
  package static let currencies: Set<String> = ["NOK", "DKK", "EUR"]

  /// How long a code may be scanned; Vipps' own figure, which only a merchant with a special agreement may change.
  private static let codeLifeSeconds: Int64 = 600
  /// Vipps' guide for looking by oneself: first after 5 s, then every 2 s.
  private static let firstLookSeconds: Int64 = 5
  private static let nextLookSeconds: Int64 = 2

  let api: VippsAPI

  init(
    settings: VippsSettings, address: ProviderAddress, http: ProviderHTTPClient,
    clock: @escaping @Sendable () -> Timestamp
  ) {
    let token = VippsAccessToken(settings: settings, address: address, http: http, clock: clock)
    api = VippsAPI(settings: settings, address: address, http: http, token: token)
  }

  // MARK: Collecting

  package func start(_ charge: Charge) async -> ProviderReport {
    let budget = api.http.budget()
    switch await create(charge, within: budget) {
    case .neverLeft: return ProviderReport(.notPaid(.notStarted))
    case .noAnswer(let words): return ProviderReport(.unknown(words))
    case .answered(let answer):
      if let code = Self.code(in: answer) {
        return ProviderReport(
          .pending, nextAction: Self.showing(code, charge), references: Self.references(of: charge),
          askAgainSeconds: Self.firstLookSeconds)
      }
      // What broke on their side, or may have been done by an earlier try, is looked up.
      let isKnownAlready = !VippsProblem(answer).codes.isDisjoint(with: Self.repetitionCodes)
      if answer.isOfRepetition || answer.status >= 500 || answer.isSuccess || answer.status == 409 || isKnownAlready {
        return await look(at: charge, within: budget)
      }
      return ProviderReport(.notPaid(.notStarted))
    }
  }

  package func settle(_ charge: Charge) async -> ProviderReport { await query(charge) }

  package func query(_ charge: Charge) async -> ProviderReport { await look(at: charge, within: api.http.budget()) }

  package func cancel(_ charge: Charge) async -> ProviderReport {
    let budget = api.http.budget()
    // Nothing that the customer approved meanwhile is freed by this: then it is paid.
    let body = json { $0.member("cancelTransactionOnly", true) }
    let response = await api.send(.post, VippsAPI.path(charge.reference, "/cancel"), body: body, within: budget)
    if case .neverLeft(let words) = response { return ProviderReport(.unknown(words)) }
    switch await api.payment(charge.reference, within: budget) {
    case .unknown(let words): return ProviderReport(.unknown(words))
    case .none: return unknownToVipps(charge, .cancelled)
    case .payment(let payment):
      if payment.state == .created { return ProviderReport(.unknown("Vipps has not ended the payment yet")) }
      return report(of: payment, charge)
    }
  }

  /// Codes that say that a key or a reference was used before, or is being used.
  private static let repetitionCodes: Set<String> = ["4010", "4020", "4150"]

  private func create(_ charge: Charge, within budget: CallBudget) async -> ProviderResponse {
    // The same for each call of one charge: Vipps compares it with that of the first.
    let body = json { object in
      object.member("amount", object: { Self.write(charge.amount, charge.currency, to: &$0) })
      object.member("paymentMethod", object: { $0.member("type", "WALLET") })
      object.member("reference", charge.reference)
      object.member("userFlow", "QR")
      object.member("customerInteraction", "CUSTOMER_PRESENT")
      object.member("qrFormat", object: { $0.member("format", "TEXT/TARGETURL") })
      object.member("paymentDescription", Self.description(of: charge))
    }
    return await api.send(
      .post, "/epayment/v1/payments", body: body, idempotencyKey: charge.reference, within: budget)
  }

  /// Reads the payment and says what that means.
  private func look(at charge: Charge, within budget: CallBudget) async -> ProviderReport {
    switch await api.payment(charge.reference, within: budget) {
    case .unknown(let words): return ProviderReport(.unknown(words))
    case .none: return unknownToVipps(charge, .notStarted)
    case .payment(let payment):
      let report = report(of: payment, charge)
      guard payment.state == .created, !charge.isConfirmed, report.nextAction == nil else { return report }
      // The answer with the code was lost. Asked again with the same key, Vipps answers the same once more.
      guard case .answered(let answer) = await create(charge, within: budget), let code = Self.code(in: answer) else {
        return report
      }
      return ProviderReport(
        .pending, nextAction: Self.showing(code, charge), references: Self.references(of: charge),
        askAgainSeconds: Self.nextLookSeconds)
    }
  }

  /// A payment that Vipps does not know never was, unless Vipps itself had told of it. Should a call that makes it still
  /// be on its way, nobody was shown its code, and the look that follows every denial ends it.
  private func unknownToVipps(_ charge: Charge, _ reason: PaymentFailureReason) -> ProviderReport {
    charge.isConfirmed
      ? ProviderReport(.unknown("Vipps does not know a payment that it made")) : ProviderReport(.notPaid(reason))
  }

  private func report(of payment: VippsPayment, _ charge: Charge) -> ProviderReport {
    guard payment.amount == charge.amount, sameBytes(payment.currency, charge.currency.code) else {
      return ProviderReport(.unknown("Vipps has a payment of another amount under this reference"))
    }
    let references = Self.references(of: charge)
    switch payment.state {
    case .created:
      let action = charge.isConfirmed ? nil : payment.redirectURL.map { Self.showing($0, charge) }
      return ProviderReport(
        .pending, nextAction: action, references: action == nil ? [:] : references,
        askAgainSeconds: Self.nextLookSeconds)
    case .authorized:
      if payment.reserved > 0 || payment.taken > 0 { return ProviderReport(.paid(nil), references: references) }
      return ProviderReport(
        payment.isLetGo ? .notPaid(.cancelled) : .unknown("Vipps says AUTHORIZED, but not yet of what amount"),
        references: references)
    case .aborted, .terminated: return ProviderReport(.notPaid(.cancelled), references: references)
    case .expired: return ProviderReport(.notPaid(.timedOut), references: references)
    case nil: return ProviderReport(.unknown("Vipps has a state that is not known"))
    }
  }

  private static func code(in answer: ProviderHTTPAnswer) -> String? {
    guard answer.isSuccess, let object = jsonObject(of: answer.body) else { return nil }
    return object.text("redirectUrl").flatMap { $0.isEmpty ? nil : $0 }
  }

  private static func showing(_ code: String, _ charge: Charge) -> NextAction {
    let end = min(charge.createdAt.adding(seconds: codeLifeSeconds), charge.waitsUntil)
    return .showQR(NextAction.QRCode(text: code, expiresAt: end))
  }

  /// That Vipps told of the payment.
  private static func references(of charge: Charge) -> ProviderReferences { ["reference": charge.reference] }

  /// 3 to 100 characters, which the customer reads in the app.
  private static func description(of charge: Charge) -> String {
    let text = charge.merchantReference ?? charge.location?.details.name ?? ""
    let printable = String(String.UnicodeScalarView(text.unicodeScalars.filter { $0.value >= 0x20 }.prefix(80)))
    return printable.isEmpty ? "Purchase in store" : "Purchase \(printable)"
  }

  static func write(_ amount: Int64, _ currency: Currency, to writer: inout JSONWriter) {
    writer.member("currency", currency.code)
    writer.member("value", amount)
  }

  // MARK: Orders

  package func capture(_ movement: MoneyMovement) async -> MovementReport { await move(movement, .capture) }

  package func refund(_ movement: MoneyMovement) async -> MovementReport { await move(movement, .refund) }

  private enum Movement: String {
    case capture, refund

    var event: String {
      switch self {
      case .capture: "CAPTURED"
      case .refund: "REFUNDED"
      }
    }
  }

  private func move(_ movement: MoneyMovement, _ kind: Movement) async -> MovementReport {
    await move(
      movement.amount, of: movement.charge, kind, key: "\(kind.rawValue)-\(movement.id)", within: api.http.budget())
  }

  /// Reads the payment's log, asks for the movement unless it is there, and reads the log again: an entry with our key
  /// decides, not the status. How long Vipps remembers a key is nowhere told; its log remembers for good.
  private func move(
    _ amount: Int64, of charge: Charge, _ kind: Movement, key: String, within budget: CallBudget
  ) async -> MovementReport {
    switch await isLogged(kind, key, of: charge, within: budget) {
    case true?: return MovementReport(.done)
    case false?: break
    case nil: return MovementReport(.unknown("the payment's log could not be read"))
    }
    let body = json {
      $0.member("modificationAmount", object: { Self.write(amount, charge.currency, to: &$0) })
    }
    let response = await api.send(
      .post, VippsAPI.path(charge.reference, "/\(kind.rawValue)"), body: body, idempotencyKey: key, within: budget)
    if case .neverLeft(let words) = response { return MovementReport(.unknown(words)) }
    switch await isLogged(kind, key, of: charge, within: budget) {
    case true?: return MovementReport(.done)
    case false?: break
    case nil: return MovementReport(.unknown("the payment's log could not be read"))
    }
    switch response {
    case .neverLeft(let words), .noAnswer(let words): return MovementReport(.unknown(words))
    case .answered(let answer):
      if answer.isSuccess { return await confirm(amount, of: charge, kind, within: budget) }
      let problem = VippsProblem(answer)
      if kind == .capture, await isCapturedAnyway(amount, of: charge, within: budget) { return MovementReport(.done) }
      // Only what certainly refuses this very call is a no. The log may lag behind an earlier try of it, and the codes say
      // that the key is known, that another operation is under way, or that the capture failed for a moment.
      let isOpen = answer.isOfRepetition || !problem.codes.isDisjoint(with: Self.openCodes)
      guard [400, 422].contains(answer.status), !isOpen else { return MovementReport(.unknown(problem.words)) }
      return MovementReport(.refused(problem.words))
    }
  }

  /// Codes after which it is asked again with the same key.
  private static let openCodes: Set<String> = repetitionCodes.union(["6160", "6280"])

  /// Whether the payment's log has this movement as done; `nil` when it could not be read.
  private func isLogged(_ kind: Movement, _ key: String, of charge: Charge, within budget: CallBudget) async -> Bool? {
    await api.events(charge.reference, within: budget)?.contains { event in
      event.name == kind.event && event.isSuccess && event.idempotencyKey.map { sameBytes($0, key) } ?? false
    }
  }

  /// A sales unit may have Vipps capture the whole by itself: then there is nothing left to capture.
  private func isCapturedAnyway(_ amount: Int64, of charge: Charge, within budget: CallBudget) async -> Bool {
    guard amount == charge.amount, case .payment(let payment) = await api.payment(charge.reference, within: budget)
    else { return false }
    return payment.captured >= amount && sameBytes(payment.currency, charge.currency.code)
  }

  /// For a log whose entries have no keys: what was said to be done must be in the sums.
  private func confirm(
    _ amount: Int64, of charge: Charge, _ kind: Movement, within budget: CallBudget
  ) async -> MovementReport {
    guard case .payment(let payment) = await api.payment(charge.reference, within: budget) else {
      return MovementReport(.unknown("the payment could not be read"))
    }
    let sum = kind == .capture ? payment.captured : payment.refunded
    return MovementReport(sum >= amount ? .done : .unknown("Vipps said yes, but its sums do not show it"))
  }

  /// Refused where Vipps holds money that was captured past Kassa: that is not freed, and the order is not cancelled.
  package func release(_ charge: Charge) async -> MovementReport {
    let budget = api.http.budget()
    switch await api.payment(charge.reference, within: budget) {
    case .unknown(let words): return MovementReport(.unknown(words))
    case .none: return MovementReport(.unknown("Vipps does not know the payment"))
    case .payment(let payment):
      if let refusal = Self.refusal(toRelease: payment) { return refusal }
      return switch await free(charge, within: budget) {
      case .freed(let freed): Self.refusal(toRelease: freed) ?? MovementReport(.done)
      case .unknown(let words): MovementReport(.unknown(words))
      }
    }
  }

  private static func refusal(toRelease payment: VippsPayment) -> MovementReport? {
    guard payment.taken > 0 else { return nil }
    return MovementReport(
      .refused(
        "Vipps has captured \(payment.taken) of this payment in minor units: it cannot be cancelled, only refunded"))
  }

  private enum Freeing {
    /// Nothing is reserved any more.
    case freed(VippsPayment)
    case unknown(String)
  }

  private func free(_ charge: Charge, within budget: CallBudget) async -> Freeing {
    let response = await api.send(.post, VippsAPI.path(charge.reference, "/cancel"), within: budget)
    if case .neverLeft(let words) = response { return .unknown(words) }
    switch await api.payment(charge.reference, within: budget) {
    case .unknown(let words): return .unknown(words)
    case .none: return .unknown("Vipps does not know the payment")
    case .payment(let payment):
      let isFree = payment.isLetGo || payment.taken > 0 && payment.reserved == 0
      return isFree ? .freed(payment) : .unknown("Vipps has not freed the amount yet")
    }
  }

  package func reverse(_ charge: Charge) async -> MovementReport {
    let budget = api.http.budget()
    switch await api.payment(charge.reference, within: budget) {
    case .unknown(let words): return MovementReport(.unknown(words))
    case .none: return MovementReport(.unknown("Vipps does not know the payment"))
    case .payment(var payment):
      if payment.isLetGo { return MovementReport(.done) }
      if payment.reserved > 0 || payment.taken == 0 {
        switch await free(charge, within: budget) {
        case .unknown(let words): return MovementReport(.unknown(words))
        case .freed(let freed): payment = freed
        }
      }
      guard payment.taken > 0 else { return MovementReport(.done) }
      // With the amount in it, the key is never used for two different requests.
      let name =
        charge.references.reversalTry == 1
        ? charge.reference.filter { $0 != "-" } : hexadecimalText(charge.reversalDigest)
      return await move(
        payment.taken, of: charge, .refund, key: "reverse-\(name)-\(payment.taken)", within: budget)
    }
  }

  // MARK: Notifications

  package func verdict(
    on notification: ProviderNotification, about charge: Charge?
  ) async -> NotificationVerdict {
    guard let secret = api.settings.webhookSecret,
      VippsSignature.verifies(notification, secret: secret, registeredURL: api.settings.webhookURL)
    else { return .forged }
    guard let object = jsonObject(of: notification.body),
      object.text("msn").map({ sameBytes($0, api.settings.merchantSerialNumber) }) ?? false,
      let reference = object.text("reference"), let payment = PaymentID(text: reference)
    else { return .irrelevant }
    return .concerns(payment)
  }

  package func subscribe(to url: String) async -> Result<[String: String], ProviderSetupFailure> {
    let budget = api.http.budget()
    let path = "/webhooks/v1/webhooks"
    let body = json { object in
      object.member("url", url)
      object.member("events", array: { events in for event in Self.events { events.element(event) } })
    }
    // Made anew first: nothing is lost between two registrations, and the secret of an old one is never told again.
    switch await api.send(.post, path, body: body, within: budget) {
    case .neverLeft(let words), .noAnswer(let words): return .failure(ProviderSetupFailure("Vipps: \(words)."))
    case .answered(let answer):
      guard answer.isSuccess, let object = jsonObject(of: answer.body),
        let id = object.text("id"), let secret = object.text("secret")
      else {
        return .failure(ProviderSetupFailure("Vipps did not register \(url): \(VippsProblem(answer).words)."))
      }
      for old in await registrations(within: budget) ?? [] where old.url == url && old.id != id {
        _ = await api.send(.delete, "\(path)/\(FormEncoding.escape(old.id))", within: budget)
      }
      return .success(["webhook_id": id, "webhook_url": url, "webhook_secret": secret])
    }
  }

  private static let events = [
    "created", "aborted", "expired", "cancelled", "captured", "refunded", "authorized", "terminated",
  ]
  .map { "epayments.payment.\($0).v1" }

  /// `nil` when they could not be read.
  func registrations(within budget: CallBudget) async -> [(id: String, url: String)]? {
    guard case .answered(let answer) = await api.send(.get, "/webhooks/v1/webhooks", within: budget),
      answer.isSuccess, let object = jsonObject(of: answer.body)
    else { return nil }
    return object.objects("webhooks").compactMap { webhook in
      guard let id = webhook.text("id"), let url = webhook.text("url") else { return nil }
      return (id, url)
    }
  }
}

extension Charge {
  /// What the payment is called at Vipps: 36 characters of 8 to 50 that are allowed.
  fileprivate var reference: String { paymentID.description }
  /// Vipps itself told of the payment.
  fileprivate var isConfirmed: Bool { references["reference"] != nil }
}
