import KassaDomain
import KassaJSON

/// The calls of Vipps MobilePay's ePayment API 1 that the adapter makes.
struct VippsAPI: Sendable {
  /// Identify the program to Vipps MobilePay, at most 30 characters each.
  static let systemHeaders: [(name: String, value: String)] = [
    ("Vipps-System-Name", "Kassa"), ("Vipps-System-Version", "1.0.0"),
    ("Vipps-System-Plugin-Name", "kassa-vipps"), ("Vipps-System-Plugin-Version", "1.0.0"),
  ]

  let settings: VippsSettings
  let address: ProviderAddress
  let http: ProviderHTTPClient
  let token: VippsAccessToken

  /// Sends one call with a fresh token, and once more with another when Vipps does not accept the first.
  func send(
    _ method: ProviderCall.Method, _ path: String, body: [UInt8]? = nil, idempotencyKey: String? = nil,
    within budget: CallBudget
  ) async -> ProviderResponse {
    var isLastToken = false
    while true {
      let token: String
      switch await self.token.token() {
      case .token(let text): token = text
      case .refused(let status, _): return .neverLeft("Vipps gave no access token (\(status)): check the API keys")
      case .unreachable(let words): return .neverLeft("no access token: \(words)")
      }
      var headers = [
        ("Authorization", "Bearer \(token)"), ("Ocp-Apim-Subscription-Key", settings.subscriptionKey),
        ("Merchant-Serial-Number", settings.merchantSerialNumber),
      ]
      if let idempotencyKey { headers.append(("Idempotency-Key", idempotencyKey)) }
      let call = ProviderCall(
        method, path, headers: headers.map { (name: $0.0, value: $0.1) } + Self.systemHeaders,
        body: body.map { .json($0) } ?? .empty)
      let response = await http.send(call, to: address, within: budget)
      guard case .answered(let answer) = response, answer.status == 401, !answer.isOfRepetition, !isLastToken else {
        return response
      }
      await self.token.forget(token)
      isLastToken = true
    }
  }

  static func path(_ reference: String, _ rest: String = "") -> String { "/epayment/v1/payments/\(reference)\(rest)" }

  enum Found: Sendable {
    case payment(VippsPayment)
    case none
    /// It is not known how it stands; the words are for the operator.
    case unknown(String)
  }

  func payment(_ reference: String, within budget: CallBudget) async -> Found {
    switch await send(.get, Self.path(reference), within: budget) {
    case .answered(let answer):
      if answer.status == 404 { return .none }
      guard answer.isSuccess else { return .unknown("Vipps answered \(answer.status)") }
      guard let payment = VippsPayment(json: answer.body) else {
        return .unknown("Vipps answered what was not understood")
      }
      return .payment(payment)
    case .neverLeft(let words), .noAnswer(let words): return .unknown(words)
    }
  }

  /// The payment's log; `nil` when it could not be read.
  func events(_ reference: String, within budget: CallBudget) async -> [VippsEvent]? {
    guard case .answered(let answer) = await send(.get, Self.path(reference, "/events"), within: budget),
      answer.isSuccess, case .array(let array)? = try? JSONParser.parse(answer.body)
    else { return nil }
    return array.compactMap { if case .object(let object) = $0 { VippsEvent(object) } else { nil } }
  }
}

/// A payment as Vipps sees it. `aggregate` is the truth about money: the state stays AUTHORIZED whatever is done later.
struct VippsPayment: Equatable, Sendable {
  enum State: String, Sendable {
    case created = "CREATED"
    case authorized = "AUTHORIZED"
    case aborted = "ABORTED"
    case expired = "EXPIRED"
    case terminated = "TERMINATED"
  }

  /// `nil` for a word that is not known.
  let state: State?
  let amount: Int64
  let currency: String
  let authorized: Int64
  let captured: Int64
  let refunded: Int64
  let cancelled: Int64
  /// What the code to show says, where it is told.
  let redirectURL: String?

  init?(json: [UInt8]) {
    guard let object = jsonObject(of: json), let word = object.text("state"),
      let amount = object.object("amount"), let value = amount.integer("value"), let currency = amount.text("currency"),
      let aggregate = object.object("aggregate")
    else { return nil }
    state = State(rawValue: word)
    self.amount = value
    self.currency = currency
    func sum(_ name: String) -> Int64 { aggregate.object(name)?.integer("value") ?? 0 }
    authorized = sum("authorizedAmount")
    captured = sum("capturedAmount")
    refunded = sum("refundedAmount")
    cancelled = sum("cancelledAmount")
    redirectURL = object.text("redirectUrl")
  }

  /// What is reserved and was neither captured nor freed.
  var reserved: Int64 { state == .authorized ? max(0, authorized - captured - cancelled) : 0 }
  /// What was taken and not given back.
  var taken: Int64 { max(0, captured - refunded) }
  /// Nothing is reserved and nothing was taken, for certain. Sums that lag behind the state do not show that: what was
  /// authorized is in one of them before it is let go.
  var isLetGo: Bool {
    guard reserved == 0, taken == 0 else { return false }
    return switch state {
    case .authorized: cancelled > 0 || refunded > 0
    case .aborted, .expired, .terminated: true
    case .created, nil: false
    }
  }
}

/// One line of a payment's log.
struct VippsEvent: Equatable, Sendable {
  let name: String
  let idempotencyKey: String?
  let isSuccess: Bool

  init?(_ object: JSONObject) {
    guard let name = object.text("name") else { return nil }
    self.name = name
    idempotencyKey = object.text("idempotencyKey")
    isSuccess = object.bool("success") ?? true
  }
}

/// What Vipps says was wrong: an RFC 7807 problem, whose own codes are in `extraDetails`.
struct VippsProblem: Sendable {
  let title: String
  let detail: String
  /// The four-digit codes. Public descriptions disagree on whether `name` or `reason` holds them: both are looked at.
  let codes: Set<String>

  init(_ answer: ProviderHTTPAnswer) {
    guard let object = jsonObject(of: answer.body) else {
      (title, detail, codes) = ("status \(answer.status)", "", [])
      return
    }
    title = object.text("title") ?? "status \(answer.status)"
    detail = object.text("detail") ?? ""
    codes = Set(
      object.objects("extraDetails").flatMap { details in
        [details.text("name"), details.text("reason")].compactMap { $0 }.flatMap(Self.codes(in:))
      })
  }

  /// For a merchant.
  var words: String {
    let numbers = codes.isEmpty ? "" : " (\(codes.sorted().joined(separator: ", ")))"
    return (detail.isEmpty ? title : "\(title): \(detail)") + numbers
  }

  private static func codes(in text: String) -> [String] {
    text.split { !("0"..."9" ~= $0) }.filter { $0.utf8.count == 4 }.map(String.init)
  }
}
