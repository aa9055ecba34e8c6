import Foundation
import KassaDomain
import KassaJSON
import Synchronization

/// The calls of Klarna's Payments API (in store) and Order Management API that the adapter makes.
struct KlarnaAPI: Sendable {
  let address: ProviderAddress
  let http: ProviderHTTPClient
  private let authorization: String
  private let readsByPost = ReadsByPost()

  init(settings: KlarnaSettings, address: ProviderAddress, http: ProviderHTTPClient) {
    self.address = address
    self.http = http
    authorization = "Basic " + Data("\(settings.username):\(settings.password)".utf8).base64EncodedString()
  }

  func send(
    _ method: ProviderCall.Method, _ path: String, body: [UInt8]? = nil, idempotencyKey: String? = nil,
    within budget: CallBudget
  ) async -> ProviderResponse {
    var headers: [(name: String, value: String)] = [("Authorization", authorization)]
    if let idempotencyKey { headers.append(("Klarna-Idempotency-Key", idempotencyKey)) }
    let call = ProviderCall(method, path, headers: headers, body: body.map { .json($0) } ?? .empty)
    return await http.send(call, to: address, within: budget)
  }

  enum Found<Value: Sendable>: Sendable {
    case value(Value)
    case none
    /// It is not known how it stands; the words are for the operator.
    case unknown(String)
  }

  /// How the session at this path stands. One of Klarna's pages has it read by GET, another by a POST without content:
  /// GET is tried first, and what worked is kept to. There is none where one of them says so and the other is not served.
  func result(_ path: String, within budget: CallBudget) async -> Found<KlarnaResult> {
    var isMissing = false
    if !readsByPost.isSet {
      let response = await send(.get, path, within: budget)
      guard case .answered(let answer) = response, [404, 405].contains(answer.status) else {
        return Self.found(response, KlarnaResult.init)
      }
      isMissing = answer.status == 404
    }
    let response = await send(.post, path, within: budget)
    if case .answered(let answer) = response {
      if answer.isSuccess { readsByPost.set() }
      if isMissing, answer.status == 405 { return .none }
    }
    return Self.found(response, KlarnaResult.init)
  }

  func order(_ id: String, within budget: CallBudget) async -> Found<KlarnaOrder> {
    Self.found(await send(.get, Self.path(order: id), within: budget), KlarnaOrder.init)
  }

  static func path(order id: String, _ rest: String = "") -> String {
    "/ordermanagement/v1/orders/\(FormEncoding.escape(id))\(rest)"
  }

  private static func found<Value>(
    _ response: ProviderResponse, _ read: (JSONObject) -> Value?
  ) -> Found<Value> {
    switch response {
    case .answered(let answer):
      if answer.status == 404 { return .none }
      guard answer.isSuccess else { return .unknown(KlarnaError(answer).words) }
      guard let value = jsonObject(of: answer.body).flatMap(read) else {
        return .unknown("Klarna answered what was not understood")
      }
      return .value(value)
    case .neverLeft(let words), .noAnswer(let words): return .unknown(words)
    }
  }

  private final class ReadsByPost: Sendable {
    private let isTrue = Atomic(false)

    var isSet: Bool { isTrue.load(ordering: .relaxed) }
    func set() { isTrue.store(true, ordering: .relaxed) }
  }
}

/// How an in-store session stands.
struct KlarnaResult: Sendable {
  enum Status: String, Sendable {
    /// The link is not there yet.
    case waiting = "WAITING"
    case distributed = "DISTRIBUTED"
    /// The customer opened the link.
    case accessed = "ACCESSED"
    /// Paid: Klarna placed the order.
    case completed = "COMPLETED"
    case cancelled = "CANCELED"
    case failed = "FAILED"
  }

  /// `nil` for a word that is not known.
  let status: Status?
  /// What the code to show says.
  let paymentLink: String?
  let orderID: String?
  let errorCode: String?

  init?(_ object: JSONObject) {
    guard let word = object.text("status") else { return nil }
    status = Status(rawValue: word)
    paymentLink = object.text("payment_link")
    orderID = object.text("order_id")
    errorCode = object.object("error")?.text("code")
  }
}

/// What Klarna says was wrong.
struct KlarnaError: Sendable {
  /// For a merchant.
  let words: String

  init(_ answer: ProviderHTTPAnswer) {
    let object = jsonObject(of: answer.body)
    let code = object?.text("error_code") ?? "status \(answer.status)"
    var messages: [String] = []
    if case .array(let array)? = object?["error_messages"] {
      messages = array.compactMap { if case .string(let text) = $0 { text } else { nil } }
    } else if let message = object?.text("error_message") {
      messages = [message]
    }
    let correlation = object?.text("correlation_id").map { " (correlation id \($0))" } ?? ""
    words = ([code] + messages).joined(separator: ": ") + correlation
  }
}
