import KassaDomain
import KassaJSON
import KassaService

/// Klarna in store: the customer scans a code that is drawn from Klarna's payment link, and pays on Klarna's pages.
///
/// **A session whose answer was lost is harmless.** Klarna names sessions itself and offers no key for making one, so a
/// second call makes a second session. But a session can be paid by its link only, which Klarna gives to whoever reads the
/// session's result with our credentials: as long as we do not know a session we cannot read its link, so no phone shows
/// it, and nobody can pay it. It ends by itself after 46 hours. Hence a start without an answer is *not paid* and not
/// *unknown*, and may be made again; and a start that knows its session never makes another, so that what the phone shows
/// is always the session that is looked at.
///
/// A session lives far longer than we wait: it is ended at our own time by a call, and read after it. That there is no such
/// session says nothing by itself: with other credentials than those that made it, it is not seen, and can still be paid.
///
/// Klarna keeps to one effect for a key for a day only. What is asked for again is looked for in the order first, by its
/// name.
package struct KlarnaProvider: PaymentProvider {
  /// Klarna limits calls and wants to be heard instead: its notification is what usually tells, these are for lost ones.
  private static let firstLookSeconds: Int64 = 5
  private static let nextLookSeconds: Int64 = 10
  /// While the link is not there yet.
  private static let linkLookSeconds: Int64 = 1
  private static let linkLooksAtStartMax = 3
  /// How long Klarna keeps a session.
  private static let sessionSeconds: Int64 = 46 * 3600
  /// For how long a key is counted on: less than the 24 hours that Klarna keeps it, as clocks differ.
  private static let keySeconds: Int64 = 23 * 3600

  private let api: KlarnaAPI
  private let settings: KlarnaSettings
  private let clock: @Sendable () -> Timestamp

  init(
    settings: KlarnaSettings, address: ProviderAddress, http: ProviderHTTPClient,
    clock: @escaping @Sendable () -> Timestamp
  ) {
    self.settings = settings
    self.clock = clock
    api = KlarnaAPI(settings: settings, address: address, http: http)
  }

  // MARK: Collecting

  package func start(_ charge: Charge) async -> ProviderReport {
    let budget = api.http.budget()
    if let session = KlarnaSession(charge.references) { return await look(at: session, charge, within: budget) }
    guard let body = KlarnaOrderRequest.body(of: charge, settings) else {
      return ProviderReport(.notPaid(.notStarted))
    }
    let response = await api.send(.post, "/payments/v1/sessions", body: body, within: budget)
    guard case .answered(let answer) = response, answer.isSuccess, let object = jsonObject(of: answer.body),
      let session = KlarnaSession(created: object)
    else { return ProviderReport(.notPaid(.notStarted)) }
    // The link comes a moment after the session.
    for _ in 1..<Self.linkLooksAtStartMax {
      let report = await look(at: session, charge, within: budget)
      if report.answer != .pending || report.nextAction != nil { return report.keeping(session) }
      try? await Task.sleep(for: .milliseconds(api.http.limits.pauseMilliseconds))
    }
    return await look(at: session, charge, within: budget).keeping(session)
  }

  package func settle(_ charge: Charge) async -> ProviderReport { await query(charge) }

  package func query(_ charge: Charge) async -> ProviderReport {
    guard let session = KlarnaSession(charge.references) else { return ProviderReport(.notPaid(.notStarted)) }
    return await look(at: session, charge, within: api.http.budget())
  }

  package func cancel(_ charge: Charge) async -> ProviderReport {
    guard let session = KlarnaSession(charge.references) else { return ProviderReport(.notPaid(.cancelled)) }
    let budget = api.http.budget()
    let path = "/payments/v1/sessions/\(FormEncoding.escape(session.id))"
    let response = await api.send(.delete, path, within: budget)
    if case .neverLeft(let words) = response { return ProviderReport(.unknown(words)) }
    // Klarna's yes, now or before. After a session's life it says nothing.
    let isOld = clock() >= charge.createdAt.adding(seconds: Self.sessionSeconds)
    var isEnded = session.isEnded
    if case .answered(let answer) = response, answer.isSuccess, !isOld { isEnded = true }
    let references: ProviderReferences = isEnded ? KlarnaSession.ended : [:]
    let report: ProviderReport
    switch await api.result(session.resultPath, within: budget) {
    case .unknown(let words): report = ProviderReport(.unknown(words))
    // What was deleted may have no result any more.
    case .none: report = ProviderReport(isEnded ? .notPaid(.cancelled) : .unknown(Self.noSession))
    case .value(let result):
      switch result.status {
      case .waiting, .distributed, .accessed, .failed:
        report = ProviderReport(isEnded ? .notPaid(.cancelled) : .unknown("Klarna has not ended the session"))
      case .completed, .cancelled, nil: report = await self.report(of: result, charge, within: budget)
      }
    }
    return ProviderReport(
      report.answer, nextAction: report.nextAction, references: references.merging(report.references),
      askAgainSeconds: report.askAgainSeconds)
  }

  private static let noSession = "Klarna does not know the session: with other credentials than these it may stand"

  private func look(at session: KlarnaSession, _ charge: Charge, within budget: CallBudget) async -> ProviderReport {
    switch await api.result(session.resultPath, within: budget) {
    case .unknown(let words): ProviderReport(.unknown(words))
    case .none: ProviderReport(.unknown(Self.noSession))
    case .value(let result): await report(of: result, charge, within: budget)
    }
  }

  private func report(
    of result: KlarnaResult, _ charge: Charge, within budget: CallBudget
  ) async -> ProviderReport {
    switch result.status {
    case .waiting: return ProviderReport(.pending, askAgainSeconds: Self.linkLookSeconds)
    case .distributed, .accessed:
      let action = result.paymentLink.map {
        NextAction.showQR(
          NextAction.QRCode(text: $0, expiresAt: charge.waitsUntil, isBuyerPaying: result.status == .accessed))
      }
      let isShown = charge.references["session_id"] != nil
      return ProviderReport(
        .pending, nextAction: action, askAgainSeconds: isShown ? Self.nextLookSeconds : Self.firstLookSeconds)
    case .completed:
      guard let order = result.orderID else { return ProviderReport(.unknown("Klarna names no order of what is paid")) }
      return await paid(order, charge, within: budget)
    case .cancelled: return ProviderReport(.notPaid(.cancelled))
    case .failed:
      // These two say that nothing was handed out. After the others the customer may have the link already.
      let isCertain = ["BAD_REQUEST", "PERMISSION_DENIED"].contains(result.errorCode)
      return ProviderReport(
        isCertain ? .notPaid(.notStarted) : .unknown("Klarna failed (\(result.errorCode ?? "no code"))"))
    case nil: return ProviderReport(.unknown("Klarna has a status that is not known"))
    }
  }

  /// A session that is completed is paid if its order is of what was asked for.
  private func paid(_ id: String, _ charge: Charge, within budget: CallBudget) async -> ProviderReport {
    switch await api.order(id, within: budget) {
    case .unknown(let words): return ProviderReport(.unknown(words))
    case .none: return ProviderReport(.unknown("Klarna does not know the order of what is paid"))
    case .value(let order):
      guard order.amount == charge.amount, sameBytes(order.currency, charge.currency.code) else {
        return ProviderReport(
          .unknown(
            "Klarna's order is of \(order.amount) \(order.currency.prefix(3)) in minor units, and not of what was "
              + "asked for, \(charge.amount) \(charge.currency.code): see Klarna's portal"))
      }
      return ProviderReport(.paid(nil), references: ["order_id": id])
    }
  }

  // MARK: Orders

  package func capture(_ movement: MoneyMovement) async -> MovementReport {
    let body = json { object in
      object.member("captured_amount", movement.amount)
      object.member("reference", KlarnaReference.text(of: movement))
    }
    // The whole is taken once at most. Of parts some may have been taken elsewhere.
    let looksFirst = movement.isAskedAgain || movement.amount < movement.charge.amount
    return await move(movement, "/captures", body: body, looksFirst: looksFirst) { $0.standing(ofCapture: movement) }
  }

  package func refund(_ movement: MoneyMovement) async -> MovementReport {
    let body = json { object in
      object.member("refunded_amount", movement.amount)
      object.member("reference", KlarnaReference.text(of: movement))
    }
    // Earlier versions gave no name.
    let mayLackName =
      movement.isAskedAgain && movement.references[Self.isNamed] == nil
      && clock() >= movement.createdAt.adding(seconds: Self.keySeconds)
    return await move(movement, "/refunds", body: body, looksFirst: movement.isAskedAgain) { order in
      order.standing(ofRefund: movement, mayLackName: mayLackName)
    }
  }

  /// The reference which tells of a movement that it was never asked for without its name.
  private static let isNamed = "is_named"

  /// Asks for a movement of an order's money, once more if need be: under its key Klarna does it once within a day, and
  /// after that it is found by its name. So what may have been asked before is looked for first, and what is refused is
  /// looked for then.
  private func move(
    _ movement: MoneyMovement, _ rest: String, body: [UInt8], looksFirst: Bool,
    _ standing: (KlarnaOrder) -> KlarnaOrder.Standing
  ) async -> MovementReport {
    let references: ProviderReferences = movement.isAskedAgain ? [:] : [Self.isNamed: "true"]
    let budget = api.http.budget()
    let id: String
    switch await orderID(of: movement.charge, within: budget) {
    case .value(let found): id = found
    case .none: return MovementReport(.unknown("Klarna knows no order of this payment"), references: references)
    case .unknown(let words): return MovementReport(.unknown(words), references: references)
    }
    func look(otherwise: MovementReport.Answer?) async -> MovementReport.Answer? {
      switch await api.order(id, within: budget) {
      case .unknown(let words): return .unknown(words)
      case .none: return .unknown("Klarna does not know the order")
      case .value(let order):
        switch standing(order) {
        case .done: return .done
        case .unclear(let words): return .unknown(words)
        case .absent: return otherwise
        }
      }
    }
    if looksFirst, let answer = await look(otherwise: nil) { return MovementReport(answer, references: references) }
    var answer = await post(id, rest, body: body, key: "\(movement.id)", within: budget)
    if case .refused = answer { answer = await look(otherwise: answer) ?? answer }
    return MovementReport(answer, references: references)
  }

  private func post(
    _ id: String, _ rest: String, body: [UInt8], key: String, within budget: CallBudget
  ) async -> MovementReport.Answer {
    let response = await api.send(
      .post, KlarnaAPI.path(order: id, rest), body: body, idempotencyKey: key, within: budget)
    switch response {
    case .neverLeft(let words), .noAnswer(let words): return .unknown(words)
    case .answered(let answer):
      if answer.isSuccess { return .done }
      let words = KlarnaError(answer).words
      return [400, 403, 422].contains(answer.status) ? .refused(words) : .unknown(words)
    }
  }

  /// What was captured is not freed by cancelling, wherever it was captured: then this is refused, and changes nothing.
  package func release(_ charge: Charge) async -> MovementReport {
    let budget = api.http.budget()
    return await withOrder(of: charge, within: budget) { id, order in
      guard order.taken == 0 else { return MovementReport(.refused(Self.wasCaptured)) }
      switch await free(id, order, within: budget) {
      case .unknown(let words): return MovementReport(.unknown(words))
      case .none: return MovementReport(.unknown("Klarna does not know the order"))
      case .value(let now): return MovementReport(now.taken == 0 ? .done : .refused(Self.wasCaptured))
      }
    }
  }

  private static let wasCaptured = "money was captured at Klarna: capture it here, then refund it"

  package func reverse(_ charge: Charge) async -> MovementReport {
    let budget = api.http.budget()
    return await withOrder(of: charge, within: budget) { id, order in
      switch await free(id, order, within: budget) {
      case .unknown(let words): return MovementReport(.unknown(words))
      case .none: return MovementReport(.unknown("Klarna does not know the order"))
      case .value(let now):
        guard now.taken > 0 else { return MovementReport(.done) }
        // The attempt's own identifier is the key of nothing else; a later try has a key of its own.
        let isFirst = charge.references.reversalTry == 1
        let key = isFirst ? "\(charge.paymentID)" : hexadecimalText(charge.reversalDigest)
        let body = json { $0.member("refunded_amount", now.taken) }
        return MovementReport(await post(id, "/refunds", body: body, key: key, within: budget))
      }
    }
  }

  /// Frees what is reserved: an order of which nothing was captured is cancelled, of another the rest is released. Returns
  /// the order as it stands then.
  private func free(
    _ id: String, _ order: KlarnaOrder, within budget: CallBudget
  ) async -> KlarnaAPI.Found<KlarnaOrder> {
    guard order.reserved > 0 else { return .value(order) }
    let rest = order.captured == 0 ? "/cancel" : "/release-remaining-authorization"
    if case .neverLeft(let words) = await api.send(.post, KlarnaAPI.path(order: id, rest), within: budget) {
      return .unknown(words)
    }
    let found = await api.order(id, within: budget)
    if case .value(let now) = found, now.reserved > 0 { return .unknown("Klarna has not freed the amount") }
    return found
  }

  private func withOrder(
    of charge: Charge, within budget: CallBudget, _ body: (String, KlarnaOrder) async -> MovementReport
  ) async -> MovementReport {
    switch await orderID(of: charge, within: budget) {
    case .none: return MovementReport(.unknown("Klarna knows no order of this payment"))
    case .unknown(let words): return MovementReport(.unknown(words))
    case .value(let id):
      switch await api.order(id, within: budget) {
      case .none: return MovementReport(.unknown("Klarna does not know the order"))
      case .unknown(let words): return MovementReport(.unknown(words))
      case .value(let order): return await body(id, order)
      }
    }
  }

  private func orderID(of charge: Charge, within budget: CallBudget) async -> KlarnaAPI.Found<String> {
    if let id = charge.references["order_id"] { return .value(id) }
    guard let session = KlarnaSession(charge.references) else { return .none }
    switch await api.result(session.resultPath, within: budget) {
    case .value(let result): return result.orderID.map { .value($0) } ?? .none
    case .none: return .none
    case .unknown(let words): return .unknown(words)
    }
  }

  // MARK: Notifications

  /// Klarna signs nothing. The secret in the address shows that the sender was told it by us, for this attempt alone; what
  /// the body says is not looked at. Without a session that we know there is nothing to tell: see above.
  package func verdict(on notification: ProviderNotification, about charge: Charge?) async -> NotificationVerdict {
    guard let charge, let query = notification.target.split(separator: "?", maxSplits: 1).dropFirst().first,
      query.split(separator: "&").contains(where: { pair in
        pair.hasPrefix("token=") && sameSecret(String(pair.dropFirst(6)), charge.notificationSecret)
      })
    else { return .forged }
    return KlarnaSession(charge.references) == nil ? .irrelevant : .concerns(charge.paymentID)
  }

  // MARK: Checking

  package func check() async -> [ProviderFinding] {
    let budget = api.http.budget()
    // A session that cannot exist: only who may use the API is told so.
    var generator = SystemRandomNumberGenerator()
    let nobodys = PaymentID(using: &generator)
    switch await api.send(.get, "/payments/v1/sessions/\(nobodys)", within: budget) {
    case .neverLeft(let words), .noAnswer(let words):
      return [ProviderFinding("Klarna cannot be reached: \(words).", isSound: false)]
    case .answered(let answer):
      switch answer.status {
      case 401:
        return [
          ProviderFinding(
            "Klarna does not accept username and password: make new API keys in the merchant portal for this environment "
              + "(playground and production have their own), and copy both.", isSound: false)
        ]
      case 403:
        return [
          ProviderFinding(
            "Klarna knows the API user, but it may not use Klarna Payments: ask Klarna to switch on in-store payments.",
            isSound: false)
        ]
      case 404, 200, 400:
        return [ProviderFinding("Klarna accepts username and password.", isSound: true), market]
      default:
        return [ProviderFinding("Klarna answers \(answer.status): \(KlarnaError(answer).words).", isSound: false)]
      }
    }
  }

  private var market: ProviderFinding {
    guard let country = settings.country, let market = KlarnaMarket.of(country: country) else {
      return ProviderFinding(
        "No country is set: Klarna is offered where the session's location has one that Klarna serves, in its currency.",
        isSound: true)
    }
    return ProviderFinding("Klarna is offered for \(market.currency) in \(country).", isSound: true)
  }
}

/// A session of Klarna's that we know.
struct KlarnaSession: Sendable {
  let id: String
  /// Where its result is read, below the API's address.
  let resultPath: String
  /// Whether Klarna said yes when we ended it.
  let isEnded: Bool

  init?(_ references: ProviderReferences) {
    guard let id = references["session_id"] else { return nil }
    self.id = id
    isEnded = references["ended"] != nil
    resultPath = references["result_path"] ?? Self.usualPath(id)
  }

  /// Of the answer that made it. Of the result's address only the path is kept: credentials go to no other host than ours.
  init?(created object: JSONObject) {
    guard let id = object.text("session_id"), !id.isEmpty else { return nil }
    self.id = id
    isEnded = false
    let url = object.object("distribution")?.text("result_url")
    let path = url.flatMap { url in
      url.range(of: "://").map { scheme in
        url[scheme.upperBound...].drop { $0 != "/" }.prefix { $0 != "?" && $0 != "#" }
      }
    }
    resultPath = path.flatMap { $0.isEmpty ? nil : String($0) } ?? Self.usualPath(id)
  }

  var references: ProviderReferences { ["session_id": id, "result_path": resultPath] }

  /// Kept of a session that we ended.
  static let ended: ProviderReferences = ["ended": "true"]

  private static func usualPath(_ id: String) -> String { "/iss/v1/distributions/\(FormEncoding.escape(id))" }
}

extension ProviderReport {
  /// This, with the session that it is about.
  fileprivate func keeping(_ session: KlarnaSession) -> ProviderReport {
    // A session that was made stands, even if its first look failed: it is looked at again.
    let answer: ProviderAnswer = if case .unknown = answer { .pending } else { answer }
    return ProviderReport(
      answer, nextAction: nextAction, references: session.references.merging(references),
      askAgainSeconds: askAgainSeconds ?? 1)
  }
}
