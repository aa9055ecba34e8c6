import Foundation
import KassaDomain
import KassaJSON
import Synchronization

/// Klarna in store: sessions of the Payments API with a code to scan, and the orders that come of them in the Order
/// Management API, as far as an adapter for shops uses them.
package final class KlarnaEmulator: ProviderEmulator {
  /// How long a session lives.
  package static let sessionSeconds: Int64 = 46 * 3600
  /// How long an idempotency key is kept; what is asked for under it later is done anew.
  package static let keySeconds: Int64 = 24 * 3600
  /// The pauses between tries of a notification. Klarna's page does not tell them: these are a guess.
  static let pausesSeconds: [Int64] = [5, 30, 120]

  package let world = EmulatorWorld()
  package let username = "K\(EmulatorText.hexadecimal(6))_\(EmulatorText.hexadecimal(12))"
  package let password = "klarna_test_api_" + EmulatorText.alphanumeric(40)
  private let state = Mutex(State())

  private struct State {
    var sessions: [String: KlarnaSessionRecord] = [:]
    /// Session identifiers, oldest first.
    var order: [String] = []
    var orders: [String: KlarnaOrderRecord] = [:]
    var answered: [String: (path: String, response: EmulatorResponse, at: Timestamp)] = [:]
    var waitingReads = 0
    var readingMethods: Set<String> = ["GET", "POST"]
    var forgetsCancelled = false
    var misstated: (amount: Int64, currency: String)?
  }

  private let isAccountEmpty = Mutex(false)

  package init() {}

  /// While it is empty, every refund is refused.
  package func emptyAccount(_ isEmpty: Bool) { isAccountEmpty.withLock { $0 = isEmpty } }

  /// How often a new session's result is still WAITING when it is read.
  package func distribute(afterReads count: Int) { state.withLock { $0.waitingReads = count } }

  /// Lets results be read by these methods only: one of Klarna's pages has GET, another an empty POST.
  package func read(by methods: Set<String>) { state.withLock { $0.readingMethods = methods } }

  /// Whether a session that was cancelled by a call has no result from then on, instead of one that says so.
  package func forgetCancelled(_ isSo: Bool) { state.withLock { $0.forgetsCancelled = isSo } }

  /// Tells of all orders another amount and currency than what they are of; `nil` is true again.
  package func misstateOrders(_ misstated: (amount: Int64, currency: String)?) {
    state.withLock { $0.misstated = misstated }
  }

  /// The merchant captures in Klarna's portal, or Klarna does by agreement. Returns what was wrong with it.
  package func captureElsewhere(_ amount: Int64, _ payment: String) -> String? { moveElsewhere(payment, amount, take) }

  /// The merchant refunds in Klarna's portal.
  package func refundElsewhere(_ amount: Int64, _ payment: String) -> String? {
    moveElsewhere(payment, amount, giveBack)
  }

  private func moveElsewhere(
    _ payment: String, _ amount: Int64,
    _ body: (inout KlarnaOrderRecord, KlarnaOrderRecord.Movement) -> EmulatorResponse?
  ) -> String? {
    state.withLock { state in
      guard let id = state.sessions[payment]?.orderID, var order = state.orders[id] else { return "there is no order" }
      let movement = KlarnaOrderRecord.Movement(
        id: EmulatorText.uuid(), amount: amount, reference: nil, description: nil, at: world.clock.now)
      if body(&order, movement) != nil { return "there is not so much" }
      state.orders[id] = order
      return nil
    }
  }

  package var routes: [EmulatorRoute] {
    let order = "/ordermanagement/v1/orders/{order}"
    return [
      EmulatorRoute("CREATE", "POST", "/payments/v1/sessions") { self.create($0) },
      EmulatorRoute("SESSION", "GET", "/payments/v1/sessions/{session}") { self.session($0) },
      EmulatorRoute("CANCEL", "DELETE", "/payments/v1/sessions/{session}") { self.cancel($0) },
      EmulatorRoute("RESULT", "GET", "/iss/v1/distributions/{session}") { self.result($0) },
      EmulatorRoute("RESULT", "POST", "/iss/v1/distributions/{session}") { self.result($0) },
      EmulatorRoute("ORDER", "GET", order) { self.order($0) },
      EmulatorRoute("CAPTURE", "POST", order + "/captures") { self.capture($0) },
      EmulatorRoute("REFUND", "POST", order + "/refunds") { self.refund($0) },
      EmulatorRoute("CANCEL_ORDER", "POST", order + "/cancel") { self.cancelOrder($0) },
      EmulatorRoute("RELEASE", "POST", order + "/release-remaining-authorization") { self.release($0) },
    ]
  }

  package func settings(url: String) -> [(name: String, value: String)] {
    [("base_url", url), ("username", username), ("password", password)]
  }

  package func refusal(status: Int) -> EmulatorResponse {
    Self.error(status, "REFUSED", "The emulator was told to refuse")
  }

  static func error(_ status: Int, _ code: String, _ message: String) -> EmulatorResponse {
    .json(status) { object in
      object.member("correlation_id", EmulatorText.uuid())
      object.member("error_code", code)
      object.member("error_messages", array: { $0.element(message) })
    }
  }

  // MARK: Buyers

  package func payments() -> [EmulatedPayment] {
    state.withLock { state in
      state.order.compactMap { state.sessions[$0] }.map { session in
        EmulatedPayment(
          id: session.id, reference: session.reference, amount: session.amount, currency: session.currency,
          state: session.status.rawValue, isOpen: session.isOpen, qrText: session.link,
          held: session.orderID.flatMap { state.orders[$0]?.reserved } ?? 0)
      }
    }
  }

  /// A reason to refuse by that is an error's code has the session fail; without one it is cancelled.
  package func buyer(_ action: BuyerAction, _ id: String) -> String? {
    timePassed()
    let failures = ["BAD_REQUEST", "PERMISSION_DENIED", "UNKNOWN", "INTERNAL_ERROR"]
    return state.withLock { state in
      guard var session = state.sessions[id] else { return "there is no such payment" }
      guard session.isOpen else { return "the payment is \(session.status.rawValue)" }
      switch action {
      case .open: session.status = .accessed
      // Klarna tells of a customer it does not accept as of one who left; a session that ends by time has no status.
      case .fail, .letExpire: session.status = .cancelled
      case .refuse(let reason):
        if let reason, failures.contains(reason) {
          (session.status, session.errorCode) = (.failed, reason)
        } else {
          session.status = .cancelled
        }
      case .approve:
        let order = EmulatorText.uuid()
        session.status = .completed
        session.orderID = order
        state.orders[order] = KlarnaOrderRecord(id: order, session: session)
      }
      state.sessions[id] = session
      tell(session)
      return nil
    }
  }

  package func timePassed() {
    let now = world.clock.now
    state.withLock { state in
      for id in state.order {
        guard let session = state.sessions[id], session.createdAt.adding(seconds: Self.sessionSeconds) <= now,
          session.status != .completed
        else { continue }
        state.sessions[id] = nil
      }
      state.order.removeAll { state.sessions[$0] == nil }
    }
  }

  private func tell(_ session: KlarnaSessionRecord) {
    guard let url = session.callbackURL else { return }
    var writer = JSONWriter()
    writer.object { session.writeResult(to: &$0) }
    world.notifications.send(
      EmulatorNotification(
        chain: session.id, payment: session.reference, event: session.status.rawValue, url: url, body: writer.bytes,
        pausesSeconds: Self.pausesSeconds
      ) { _ in [("content-type", "application/json")] })
  }

  // MARK: Sessions

  private func refusal(of request: EmulatorRequest) -> EmulatorResponse? {
    let right = "Basic " + Data("\(username):\(password)".utf8).base64EncodedString()
    return request.header("authorization") == right
      ? nil : EmulatorResponse(status: 401, headers: [("www-authenticate", "Basic realm=\"klarna\"")])
  }

  private func create(_ request: EmulatorRequest) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    guard let object = request.json else { return Self.error(400, "BAD_VALUE", "The body is not a JSON object") }
    var fields = EmulatorFields(object)
    let wanted = KlarnaCreate.read(&fields)
    world.journal.noteUndocumented(fields.unknown)
    guard fields.flaws.isEmpty, let wanted else {
      return Self.error(
        400, "BAD_VALUE", fields.flaws.map { "\($0.path) \($0.message)" }.joined(separator: "; "))
    }
    let host = request.header("host") ?? "127.0.0.1"
    let scheme = request.header("x-forwarded-proto") ?? "http"
    let id = EmulatorText.uuid()
    return state.withLock { state in
      var session = KlarnaSessionRecord(
        id: id, reference: wanted.reference, amount: wanted.amount, currency: wanted.currency,
        callbackURL: wanted.callbackURL, link: "\(scheme)://\(host)/emulator/pay/\(id)", createdAt: request.at)
      session.waitingReads = state.waitingReads
      if session.waitingReads == 0 {
        session.status = .distributed
        tell(session)
      }
      state.sessions[id] = session
      state.order.append(id)
      return .json(200) { object in
        object.member("session_id", id)
        object.member(
          "payment_method_categories",
          array: { list in
            list.elementObject {
              $0.member("identifier", "pay_later")
              $0.member("name", "Pay later")
            }
          })
        object.member(
          "distribution", object: { $0.member("result_url", "\(scheme)://\(host)/iss/v1/distributions/\(id)") })
      }
    }
  }

  private func session(_ request: EmulatorRequest) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    return state.withLock { state in
      guard let session = state.sessions[request.parameters["session"] ?? ""] else { return Self.noSession }
      return .json(200) { object in
        object.member("status", session.isOpen ? "incomplete" : "complete")
        object.member("order_amount", session.amount)
        object.member("purchase_currency", session.currency)
      }
    }
  }

  private static let noSession = error(404, "NOT_FOUND", "There is no such session")

  private func cancel(_ request: EmulatorRequest) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    return state.withLock { state in
      guard var session = state.sessions[request.parameters["session"] ?? ""] else { return Self.noSession }
      guard session.isOpen || session.status == .failed else {
        return Self.error(403, "NOT_ALLOWED", "The session is \(session.status.rawValue)")
      }
      session.status = .cancelled
      state.sessions[session.id] = state.forgetsCancelled ? nil : session
      tell(session)
      return EmulatorResponse(status: 204)
    }
  }

  private func result(_ request: EmulatorRequest) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    return state.withLock { state in
      guard state.readingMethods.contains(request.method) else {
        return Self.error(405, "METHOD_NOT_ALLOWED", "Results are read otherwise")
      }
      guard var session = state.sessions[request.parameters["session"] ?? ""] else { return Self.noSession }
      if session.status == .waiting {
        session.waitingReads -= 1
        if session.waitingReads < 0 {
          session.status = .distributed
          tell(session)
        }
        state.sessions[session.id] = session
      }
      return .json(200) { session.writeResult(to: &$0) }
    }
  }

  // MARK: Orders

  private static let noOrder = error(404, "NO_SUCH_ORDER", "There is no such order")

  private func order(_ request: EmulatorRequest) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    return state.withLock { state in
      guard let order = state.orders[request.parameters["order"] ?? ""] else { return Self.noOrder }
      return .json(200) { order.write(to: &$0, misstated: state.misstated) }
    }
  }

  private func capture(_ request: EmulatorRequest) -> EmulatorResponse {
    move(request, "captured_amount", "capture-id", take)
  }

  private func take(
    _ order: inout KlarnaOrderRecord, _ movement: KlarnaOrderRecord.Movement
  ) -> EmulatorResponse? {
    guard order.status != .cancelled, movement.amount <= order.reserved else {
      return Self.error(403, "CAPTURE_NOT_ALLOWED", "Captured amount is higher than the remaining authorized amount")
    }
    order.captures.append(movement)
    order.reserved -= movement.amount
    world.ledger.take(movement.amount, order.currency, of: order.sessionID, "capture")
    return nil
  }

  private func refund(_ request: EmulatorRequest) -> EmulatorResponse {
    move(request, "refunded_amount", "refund-id", giveBack)
  }

  private func giveBack(
    _ order: inout KlarnaOrderRecord, _ movement: KlarnaOrderRecord.Movement
  ) -> EmulatorResponse? {
    guard !isAccountEmpty.withLock({ $0 }) else {
      return Self.error(403, "REFUND_NOT_ALLOWED", "The merchant has not enough funds")
    }
    guard movement.amount <= order.captured - order.refunded else {
      return Self.error(403, "REFUND_NOT_ALLOWED", "Refunded amount is higher than the captured amount")
    }
    order.refunds.append(movement)
    world.ledger.giveBack(movement.amount, order.currency, of: order.sessionID, "refund")
    return nil
  }

  /// Under a key that is kept, the answer of before comes again, whatever the body is now.
  private func move(
    _ request: EmulatorRequest, _ member: String, _ header: String,
    _ body: (inout KlarnaOrderRecord, KlarnaOrderRecord.Movement) -> EmulatorResponse?
  ) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    guard let object = request.json else { return Self.error(400, "BAD_VALUE", "The body is not a JSON object") }
    var fields = EmulatorFields(object)
    let amount = fields.integer(member, required: true, in: 1...Int64.max)
    let reference = fields.text("reference", characters: 0...255)
    let description = fields.text("description", characters: 0...255)
    for name in ["order_lines", "shipping_info", "shipping_delay"] { _ = fields.has(name) }
    world.journal.noteUndocumented(fields.unknown)
    guard fields.flaws.isEmpty, let amount else {
      return Self.error(400, "BAD_VALUE", fields.flaws.map { "\($0.path) \($0.message)" }.joined(separator: "; "))
    }
    let key = request.header("klarna-idempotency-key")
    return state.withLock { state in
      guard var order = state.orders[request.parameters["order"] ?? ""] else { return Self.noOrder }
      if let key, let known = state.answered[key], request.at < known.at.adding(seconds: Self.keySeconds) {
        return known.path == request.path
          ? known.response : Self.error(409, "CONFLICT", "The idempotency key was used for another request")
      }
      let movement = KlarnaOrderRecord.Movement(
        id: EmulatorText.uuid(), amount: amount, reference: reference, description: description, at: request.at)
      if let refusal = body(&order, movement) { return refusal }
      state.orders[order.id] = order
      let response = EmulatorResponse(
        status: 201, headers: [(header, movement.id), ("location", "\(request.path)/\(movement.id)")])
      if let key { state.answered[key] = (request.path, response, request.at) }
      return response
    }
  }

  private func cancelOrder(_ request: EmulatorRequest) -> EmulatorResponse {
    change(request) { order in
      guard order.captures.isEmpty else { return Self.error(403, "CANCEL_NOT_ALLOWED", "The order has captures") }
      order.reserved = 0
      order.isCancelled = true
      return nil
    }
  }

  private func release(_ request: EmulatorRequest) -> EmulatorResponse {
    change(request) { order in
      guard order.status != .cancelled, !order.captures.isEmpty else {
        return Self.error(403, "NOT_ALLOWED", "The order is cancelled, or has no captures")
      }
      order.reserved = 0
      return nil
    }
  }

  private func change(
    _ request: EmulatorRequest, _ body: (inout KlarnaOrderRecord) -> EmulatorResponse?
  ) -> EmulatorResponse {
    if let refused = refusal(of: request) { return refused }
    return state.withLock { state in
      guard var order = state.orders[request.parameters["order"] ?? ""] else { return Self.noOrder }
      if let refusal = body(&order) { return refusal }
      state.orders[order.id] = order
      return EmulatorResponse(status: 204)
    }
  }
}
