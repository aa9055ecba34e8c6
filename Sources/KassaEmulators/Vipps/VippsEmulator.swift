import Crypto
import Foundation
import KassaDomain
import KassaJSON
import Synchronization

/// Vipps MobilePay's ePayment API 1, its access tokens and its webhooks: what an adapter for shops uses of them.
///
/// What public descriptions disagree on, or only others tell, is in `VippsMagic` and `VippsEmulator.problem`.
package final class VippsEmulator: ProviderEmulator {
  /// How long a payment waits for its customer.
  package static let paymentSeconds: Int64 = 600
  /// As in the test environment.
  package static let tokenSeconds: Int64 = 3600
  static let amounts: ClosedRange<Int64> = 100...65_000_000
  static let currencies = ["NOK", "DKK", "EUR"]
  /// Calls a minute for one reference.
  static let changesPerMinute = 5
  static let readsPerMinute = 120
  /// Days after which nothing is given back any more.
  static let refundDays: Int64 = 365

  package let world = EmulatorWorld()
  package let clientID = EmulatorText.uuid()
  package let clientSecret = EmulatorText.alphanumeric(40)
  package let subscriptionKey = EmulatorText.hexadecimal(32)
  package let merchantSerialNumber = "212345"
  private let state = Mutex(State())

  struct State {
    var tokens: [String: Timestamp] = [:]
    var payments: [String: VippsPaymentRecord] = [:]
    /// References, oldest first.
    var order: [String] = []
    /// What was answered to each idempotency key.
    var answered: [String: (fingerprint: [UInt8], response: EmulatorResponse)] = [:]
    var webhooks: [VippsWebhook] = []
    var windows = CallWindows()
    var isAccountEmpty = false
    var behind: Set<Lagging> = []
  }

  /// What of a payment may be read later than it is so.
  package enum Lagging: Sendable { case log, sums }

  private let isCapturedAtOnce: Bool

  /// With `isCapturedAtOnce` as a sales unit for which Vipps captures by itself what a customer approves.
  package init(isCapturedAtOnce: Bool = false) { self.isCapturedAtOnce = isCapturedAtOnce }

  /// While it is empty, every refund is refused.
  package func emptyAccount(_ isEmpty: Bool) { state.withLock { $0.isAccountEmpty = isEmpty } }

  /// From now on nothing of these is read that came about by the customer or later.
  package func fallBehind(_ lagging: Set<Lagging>) { state.withLock { $0.behind = lagging } }

  /// Under a key of before, things are done anew.
  package func forgetKeys() { state.withLock { $0.answered = [:] } }

  package var routes: [EmulatorRoute] {
    let payment = "/epayment/v1/payments/{reference}"
    return [
      EmulatorRoute("TOKEN", "POST", "/accesstoken/get") { self.token($0) },
      EmulatorRoute("CREATE", "POST", "/epayment/v1/payments") { self.create($0) },
      EmulatorRoute("GET", "GET", payment) { self.get($0) },
      EmulatorRoute("EVENTS", "GET", payment + "/events") { self.events($0) },
      EmulatorRoute("CAPTURE", "POST", payment + "/capture") { self.modify($0, .capture) },
      EmulatorRoute("REFUND", "POST", payment + "/refund") { self.modify($0, .refund) },
      EmulatorRoute("CANCEL", "POST", payment + "/cancel") { self.cancel($0) },
      EmulatorRoute("FORCE_APPROVE", "POST", "/epayment/v1/test/payments/{reference}/approve") {
        self.forceApprove($0)
      },
      EmulatorRoute("WEBHOOK_CREATE", "POST", "/webhooks/v1/webhooks") { self.createWebhook($0) },
      EmulatorRoute("WEBHOOK_LIST", "GET", "/webhooks/v1/webhooks") { self.listWebhooks($0) },
      EmulatorRoute("WEBHOOK_DELETE", "DELETE", "/webhooks/v1/webhooks/{id}") { self.deleteWebhook($0) },
    ]
  }

  package func settings(url: String) -> [(name: String, value: String)] {
    [
      ("base_url", url), ("client_id", clientID), ("client_secret", clientSecret),
      ("subscription_key", subscriptionKey), ("merchant_serial_number", merchantSerialNumber),
    ]
  }

  package func refusal(status: Int) -> EmulatorResponse {
    Self.problem(status, status == 423 ? "6160" : nil, "The emulator was told to refuse")
  }

  // MARK: Buyers

  package func payments() -> [EmulatedPayment] {
    state.withLock { state in
      state.order.compactMap { state.payments[$0] }.map { payment in
        EmulatedPayment(
          id: payment.reference, reference: payment.reference, amount: payment.amount, currency: payment.currency,
          state: payment.state.rawValue, isOpen: payment.state == .created && payment.undecidedUntil == nil,
          qrText: payment.redirectURL,
          held: payment.state == .authorized ? payment.authorized - payment.captured - payment.cancelled : 0)
      }
    }
  }

  package func buyer(_ action: BuyerAction, _ reference: String) -> String? {
    timePassed()
    let now = world.clock.now
    return state.withLock { state in
      guard var payment = state.payments[reference] else { return "there is no such payment" }
      guard payment.state == .created, payment.undecidedUntil == nil else {
        return "the payment is \(payment.state.rawValue)"
      }
      defer { state.payments[reference] = payment }
      switch action {
      case .open: return nil
      case .letExpire:
        payment.state = .expired
        note("EXPIRED", payment.amount, of: &payment, key: nil, at: now, in: state)
        return nil
      // What the issuer refuses leaves the payment open; a buyer without another card gives up.
      case .refuse, .fail:
        payment.state = .aborted
        note("ABORTED", payment.amount, of: &payment, key: nil, at: now, in: state)
        return nil
      case .approve: return approve(&payment, at: now, in: state)
      }
    }
  }

  /// Returns what went wrong with it.
  private func approve(_ payment: inout VippsPaymentRecord, at now: Timestamp, in state: borrowing State) -> String? {
    if let reason = VippsMagic.refusedApprovals[payment.amount] {
      note("AUTHORIZED", payment.amount, of: &payment, key: nil, isSuccess: false, at: now, in: state)
      return reason
    }
    if payment.amount == VippsMagic.undecidedAmount {
      payment.undecidedUntil = now.adding(seconds: VippsMagic.undecidedSeconds)
      return nil
    }
    authorize(&payment, at: now, in: state)
    return nil
  }

  private func authorize(_ payment: inout VippsPaymentRecord, at now: Timestamp, in state: borrowing State) {
    payment.state = .authorized
    payment.authorized = payment.amount
    payment.undecidedUntil = nil
    note("AUTHORIZED", payment.amount, of: &payment, key: nil, at: now, in: state)
    guard isCapturedAtOnce else { return }
    payment.captured = payment.amount
    world.ledger.take(payment.amount, payment.currency, of: payment.reference, "capture")
    note("CAPTURED", payment.amount, of: &payment, key: nil, at: now, in: state)
  }

  package func timePassed() {
    let now = world.clock.now
    state.withLock { state in
      for reference in state.order {
        guard var payment = state.payments[reference], payment.state == .created else { continue }
        if let decided = payment.undecidedUntil {
          guard decided <= now else { continue }
          authorize(&payment, at: now, in: state)
        } else {
          guard payment.createdAt.adding(seconds: Self.paymentSeconds) <= now else { continue }
          payment.state = .expired
          note("EXPIRED", payment.amount, of: &payment, key: nil, at: now, in: state)
        }
        state.payments[reference] = payment
      }
    }
  }

  // MARK: Access

  private func token(_ request: EmulatorRequest) -> EmulatorResponse {
    guard request.header("ocp-apim-subscription-key") == subscriptionKey else { return Self.wrongSubscriptionKey }
    guard request.header("client_id") == clientID, request.header("client_secret") == clientSecret else {
      return .json(400) { object in
        object.member("error", "unauthorized_client")
        object.member("error_description", "The client id or the client secret is wrong.")
      }
    }
    let token = "eyJ" + EmulatorText.alphanumeric(120)
    let end = request.at.adding(seconds: Self.tokenSeconds)
    state.withLock { state in
      state.tokens = state.tokens.filter { $0.value > request.at }
      state.tokens[token] = end
    }
    return .json(200) { object in
      object.member("token_type", "Bearer")
      object.member("expires_in", "\(Self.tokenSeconds)")
      object.member("ext_expires_in", "\(Self.tokenSeconds)")
      object.member("expires_on", "\(end.secondsSinceEpoch)")
      object.member("not_before", "\(request.at.secondsSinceEpoch)")
      object.member("resource", "00000002-0000-0000-c000-000000000000")
      object.member("access_token", token)
    }
  }

  /// Every token ends now: the next call with one is refused.
  package func endTokens() { state.withLock { $0.tokens = [:] } }

  private static let wrongSubscriptionKey = EmulatorResponse.json(401) { object in
    object.member("statusCode", 401)
    object.member("message", "Access denied due to invalid subscription key.")
  }

  /// The answer to a call without the right headers; `nil` when they are right.
  private func refusal(of request: EmulatorRequest, in state: State) -> EmulatorResponse? {
    guard request.header("ocp-apim-subscription-key") == subscriptionKey else { return Self.wrongSubscriptionKey }
    let authorization = request.header("authorization") ?? ""
    guard authorization.hasPrefix("Bearer "), let end = state.tokens[String(authorization.dropFirst(7))],
      request.at < end
    else { return Self.problem(401, nil, "Unauthorized") }
    guard request.header("merchant-serial-number") == merchantSerialNumber else {
      return Self.problem(403, nil, "The sales unit does not go with the keys")
    }
    for name in [
      "vipps-system-name", "vipps-system-version", "vipps-system-plugin-name", "vipps-system-plugin-version",
    ]
    where (request.header(name) ?? "").utf8.count > 30 {
      return Self.problem(400, nil, "\(name) has more than 30 characters")
    }
    return nil
  }

  static func problem(
    _ status: Int, _ code: String?, _ title: String, flaws: [EmulatorFields.Flaw] = [],
    headers: [(name: String, value: String)] = []
  ) -> EmulatorResponse {
    .json(status, type: "application/problem+json", headers: headers) { object in
      object.member("type", "https://developer.vippsmobilepay.com/docs/APIs/epayment-api/")
      object.member("title", title)
      object.member("status", status)
      object.member("traceId", EmulatorText.hexadecimal(32))
      object.member(
        "extraDetails",
        array: { list in
          if let code {
            list.elementObject {
              $0.member("name", code)
              $0.member("reason", title)
            }
          }
          for flaw in flaws {
            list.elementObject {
              $0.member("name", flaw.path)
              $0.member("reason", flaw.message)
            }
          }
        })
    }
  }

  // MARK: Payments

  private func create(_ request: EmulatorRequest) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      guard let object = request.json else { return Self.problem(400, nil, "The body is not a JSON object") }
      var fields = EmulatorFields(object)
      let order = VippsCreate.read(&fields)
      world.journal.noteUndocumented(fields.unknown)
      guard fields.flaws.isEmpty, let order else {
        return Self.problem(400, nil, "Validation failed", flaws: fields.flaws)
      }
      return once(request, in: &state) { state in
        if let wait = state.windows.count("create \(order.reference)", max: Self.changesPerMinute, at: request.at) {
          return Self.tooMany(wait)
        }
        guard state.payments[order.reference] == nil else {
          return Self.problem(409, "4150", "The reference was used before")
        }
        let token = EmulatorText.alphanumeric(48)
        let scheme = request.header("x-forwarded-proto") ?? "http"
        let url = "\(scheme)://\(request.header("host") ?? "127.0.0.1")/emulator/pay/\(order.reference)?token=\(token)"
        var payment = VippsPaymentRecord(
          reference: order.reference, amount: order.amount, currency: order.currency, token: token, redirectURL: url,
          pspReference: EmulatorText.uuid(), createdAt: request.at)
        note(
          "CREATED", order.amount, of: &payment, key: request.header("idempotency-key"), at: request.at, in: state)
        state.payments[order.reference] = payment
        state.order.append(order.reference)
        return .json(201) { object in
          object.member("reference", order.reference)
          object.member("redirectUrl", url)
        }
      }
    }
  }

  private func get(_ request: EmulatorRequest) -> EmulatorResponse {
    read(request) { payment in .json(200) { payment.write(to: &$0) } }
  }

  private func events(_ request: EmulatorRequest) -> EmulatorResponse {
    read(request) { payment in
      var writer = JSONWriter()
      writer.array { list in for event in payment.events { list.elementObject { event.write(payment, to: &$0) } } }
      return EmulatorResponse(status: 200, headers: [("content-type", "application/json")], body: writer.bytes)
    }
  }

  private func read(
    _ request: EmulatorRequest, _ answer: (VippsPaymentRecord) -> EmulatorResponse
  ) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      let reference = request.parameters["reference"] ?? ""
      guard let payment = state.payments[reference] else { return Self.problem(404, nil, "Payment not found") }
      if let wait = state.windows.count("read \(reference)", max: Self.readsPerMinute, at: request.at) {
        return Self.tooMany(wait)
      }
      return answer(payment.asRead(behind: state.behind))
    }
  }

  enum Modification: String { case capture, refund }

  private func modify(_ request: EmulatorRequest, _ kind: Modification) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      let reference = request.parameters["reference"] ?? ""
      guard state.payments[reference] != nil else { return Self.problem(404, nil, "Payment not found") }
      guard let object = request.json else { return Self.problem(400, nil, "The body is not a JSON object") }
      var fields = EmulatorFields(object)
      let amount = fields.fields("modificationAmount", required: true) { VippsCreate.amount(&$0, in: 1...Int64.max) }
      world.journal.noteUndocumented(fields.unknown)
      guard fields.flaws.isEmpty, let (value, currency) = amount.flatMap({ $0 }) else {
        return Self.problem(400, nil, "Validation failed", flaws: fields.flaws)
      }
      return once(request, in: &state) { state in
        if let wait = state.windows.count(
          "\(kind.rawValue) \(reference)", max: Self.changesPerMinute, at: request.at)
        {
          return Self.tooMany(wait)
        }
        guard var payment = state.payments[reference] else { return Self.problem(404, nil, "Payment not found") }
        if let refusal = payment.refusal(of: kind, value, currency, at: request.at) { return refusal }
        let key = request.header("idempotency-key")
        let magic = VippsMagic.refusedRefunds[value] ?? (state.isAccountEmpty ? VippsMagic.emptyAccount : nil)
        if kind == .refund, let reason = magic {
          note("REFUNDED", value, of: &payment, key: key, isSuccess: false, at: request.at, in: state)
          state.payments[reference] = payment
          return Self.problem(400, nil, reason)
        }
        switch kind {
        case .capture:
          payment.captured += value
          world.ledger.take(value, currency, of: reference, "capture")
          note("CAPTURED", value, of: &payment, key: key, at: request.at, in: state)
        case .refund:
          payment.refunded += value
          world.ledger.giveBack(value, currency, of: reference, "refund")
          note("REFUNDED", value, of: &payment, key: key, at: request.at, in: state)
        }
        state.payments[reference] = payment
        return .json(200) { payment.writeModification(to: &$0) }
      }
    }
  }

  private func cancel(_ request: EmulatorRequest) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      let reference = request.parameters["reference"] ?? ""
      guard var payment = state.payments[reference] else { return Self.problem(404, nil, "Payment not found") }
      var isOfOpenOnly = false
      if !request.body.isEmpty {
        guard let object = request.json else { return Self.problem(400, nil, "The body is not a JSON object") }
        var fields = EmulatorFields(object)
        isOfOpenOnly = fields.bool("cancelTransactionOnly") ?? false
        world.journal.noteUndocumented(fields.unknown)
        guard fields.flaws.isEmpty else { return Self.problem(400, nil, "Validation failed", flaws: fields.flaws) }
      }
      if let wait = state.windows.count("cancel \(reference)", max: Self.changesPerMinute, at: request.at) {
        return Self.tooMany(wait)
      }
      let key = request.header("idempotency-key")
      switch payment.state {
      case .created:
        guard payment.undecidedUntil == nil else {
          return Self.problem(423, "6160", "Another operation is under way")
        }
        payment.state = .terminated
        payment.cancelled = payment.amount
        note("TERMINATED", payment.amount, of: &payment, key: key, at: request.at, in: state)
      case .authorized:
        guard !isOfOpenOnly else { return Self.problem(400, "6060", "The payment is authorized already") }
        let rest = payment.authorized - payment.captured - payment.cancelled
        guard rest > 0 else {
          return Self.problem(400, payment.captured > 0 ? "6040" : "6050", "Nothing is left to cancel")
        }
        payment.cancelled += rest
        note("CANCELLED", rest, of: &payment, key: key, at: request.at, in: state)
      case .terminated: return Self.problem(400, "6050", "The payment is cancelled already")
      case .aborted, .expired: return Self.problem(400, "6080", "The payment is over")
      }
      state.payments[reference] = payment
      return .json(200) { payment.writeModification(to: &$0) }
    }
  }

  private func forceApprove(_ request: EmulatorRequest) -> EmulatorResponse {
    let found: (reference: String, isRight: Bool)? = state.withLock { state in
      guard refusal(of: request, in: state) == nil, let payment = state.payments[request.parameters["reference"] ?? ""]
      else { return nil }
      let token = request.json?.text("token")
      let phone = request.json?.object("customer")?.text("phoneNumber")
      return (payment.reference, token.map { $0 == payment.token } ?? (phone != nil))
    }
    guard let found else { return Self.problem(404, nil, "Payment not found") }
    guard found.isRight else {
      return Self.problem(400, nil, "Give the customer's phoneNumber, or the payment's token")
    }
    if let reason = buyer(.approve, found.reference) { return Self.problem(400, nil, reason) }
    return EmulatorResponse(status: 200)
  }

  private static func tooMany(_ waitSeconds: Int64) -> EmulatorResponse {
    problem(429, nil, "Too many requests", headers: [("retry-after", "\(waitSeconds)")])
  }

  /// Answers a key again as it was answered before. A key with another request is refused.
  private func once(
    _ request: EmulatorRequest, in state: inout State, _ body: (inout State) -> EmulatorResponse
  ) -> EmulatorResponse {
    guard let key = request.header("idempotency-key"), (1...50).contains(key.utf8.count) else {
      return Self.problem(400, nil, "Idempotency-Key must have 1 to 50 characters")
    }
    let fingerprint = Array(SHA256.hash(data: Data(Array(request.path.utf8) + [0] + request.body)))
    if let known = state.answered[key] {
      return known.fingerprint == fingerprint
        ? known.response : Self.problem(409, "4010", "The idempotency key was used for another request")
    }
    let response = body(&state)
    // What was refused because of too many calls, or of another operation, is not the key's answer.
    if response.status < 400 || response.status == 400 { state.answered[key] = (fingerprint, response) }
    return response
  }

  // MARK: Webhooks

  private func note(
    _ name: String, _ amount: Int64, of payment: inout VippsPaymentRecord, key: String?, isSuccess: Bool = true,
    at now: Timestamp, in state: borrowing State
  ) {
    let event = VippsEventRecord(
      name: name, pspReference: name == "CREATED" ? payment.pspReference : EmulatorText.uuid(), amount: amount,
      at: now, idempotencyKey: key, isSuccess: isSuccess)
    payment.events.append(event)
    let type = "epayments.payment.\(name.lowercased()).v1"
    for webhook in state.webhooks where webhook.events.contains(type) {
      world.notifications.send(webhook.notification(of: event, payment, merchantSerialNumber))
    }
  }

  private func createWebhook(_ request: EmulatorRequest) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      guard let object = request.json else { return Self.problem(400, nil, "The body is not a JSON object") }
      var fields = EmulatorFields(object)
      let url = fields.text(
        "url", required: true, where: { $0.hasPrefix("https://") || $0.hasPrefix("http://") },
        "must be an https address (or one of http, here)")
      let types = fields.array("events", required: true)?.compactMap { value in
        if case .string(let text) = value { text } else { nil }
      }
      world.journal.noteUndocumented(fields.unknown)
      let unknown = (types ?? []).filter { !VippsWebhook.types.contains($0) }
      if !unknown.isEmpty { fields.refuse("events", "has unknown types: \(unknown.joined(separator: ", "))") }
      guard fields.flaws.isEmpty, let url, let types, !types.isEmpty else {
        return Self.problem(400, nil, "Validation failed", flaws: fields.flaws)
      }
      for type in types where state.webhooks.count(where: { $0.events.contains(type) }) >= VippsWebhook.perTypeMax {
        return Self.problem(400, nil, "There are \(VippsWebhook.perTypeMax) webhooks for \(type) already")
      }
      let secret = Data((0..<64).map { _ in UInt8.random(in: .min ... .max) }).base64EncodedString()
      let webhook = VippsWebhook(id: EmulatorText.uuid(), url: url, events: types, secret: secret)
      state.webhooks.append(webhook)
      return .json(201) { object in
        object.member("id", webhook.id)
        object.member("secret", secret)
      }
    }
  }

  private func listWebhooks(_ request: EmulatorRequest) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      let webhooks = state.webhooks
      return .json(200) { object in
        object.member(
          "webhooks",
          array: { list in
            for webhook in webhooks {
              list.elementObject { object in
                object.member("id", webhook.id)
                object.member("url", webhook.url)
                object.member("events", array: { types in for type in webhook.events { types.element(type) } })
              }
            }
          })
      }
    }
  }

  private func deleteWebhook(_ request: EmulatorRequest) -> EmulatorResponse {
    state.withLock { state in
      if let refused = refusal(of: request, in: state) { return refused }
      let before = state.webhooks.count
      state.webhooks.removeAll { $0.id == request.parameters["id"] }
      return state.webhooks.count < before
        ? EmulatorResponse(status: 204) : Self.problem(404, nil, "Webhook not found")
    }
  }
}
