import Foundation
import KassaJSON
import KassaTestSupport
import Synchronization
import Testing

/// Calls operations by their id, and holds every answer against `openapi.yaml`.
struct APIClient: Sendable {
  let server: ServerProcess
  let document: APIDocument
  let seen = SeenStatuses()

  init(_ server: ServerProcess) throws {
    self.server = server
    document = try APIDocument.compiledIn()
  }

  /// What a call carries in `Authorization`.
  enum Credential: Sendable {
    /// The right one: the playground's key.
    case standard
    case none
    case raw(String)

    static func key(_ key: String) -> Credential { .raw("Basic \(key)") }
    static func bearer(_ token: String) -> Credential { .raw("Bearer \(token)") }
  }

  /// The path of an operation with its parameters filled in.
  func path(_ operation: APIDocument.Described, _ parameters: [String: String]) throws -> String {
    try operation.path.split(separator: "/").map { step -> String in
      guard step.hasPrefix("{") else { return "/\(step)" }
      guard let value = parameters[String(step.dropFirst().dropLast())] else {
        throw APIDocument.Fault(description: "\(operation.id) needs the path parameter \(step)")
      }
      return "/\(value)"
    }.joined()
  }

  /// Calls an operation; an answer that is not as the document says is an issue of the test.
  @discardableResult
  func call(
    _ id: String, _ parameters: [String: String] = [:], query: String? = nil, as credential: Credential = .standard,
    headers: [(String, String)] = [], json: JSONValue? = nil, body: [UInt8]? = nil,
    on connection: HTTPConnection? = nil, at location: SourceLocation = #_sourceLocation
  ) async throws -> HTTPAnswer {
    let operation = try document.operation(id)
    var all = headers
    switch credential {
    case .standard: if operation.credential == .apiKey { all.append(server.authorization()) }
    case .none: break
    case .raw(let value): all.append(("authorization", value))
    }
    if json != nil { all.append(("content-type", "application/json")) }
    for header in try document.fixedHeaders(operation) where !all.contains(where: { $0.0 == header.name }) {
      all.append((header.name, header.value))
    }
    let path = try path(operation, parameters) + (query.map { "?\($0)" } ?? "")
    let call = HTTPCall(operation.method, path, headers: all, body: json?.bytes ?? body)
    let answer =
      if operation.isStream {
        try await beginning(call)
      } else if let connection {
        try await connection.send(call)
      } else {
        try await server.send(call)
      }
    seen.note(id, answer.status)
    for flaw in try document.flaws(of: answer, to: operation) { Issue.record("\(flaw)", sourceLocation: location) }
    return answer
  }
}

extension APIClient {
  /// The first event of a stream as its body, for it has no end; or the answer that is none.
  private func beginning(_ call: HTTPCall) async throws -> HTTPAnswer {
    let stream = try await EventStream.open(port: server.port, call)
    var answer = stream.head
    do {
      if stream.isStream { answer.body = Array(try await stream.next().text.utf8) }
      await stream.close()
      return answer
    } catch {
      await stream.close()
      throw error
    }
  }
}

/// Which operation answered what.
final class SeenStatuses: Sendable {
  private let seen = Mutex<[String: Set<Int>]>([:])

  func note(_ operation: String, _ status: Int) { seen.withLock { _ = $0[operation, default: []].insert(status) } }
  func statuses(of operation: String) -> Set<Int> { seen.withLock { $0[operation] ?? [] } }
}

/// What the tests make first, by the API itself.
extension APIClient {
  struct NotMade: Error, CustomStringConvertible {
    let description: String
  }

  func makeEnrollment(_ json: JSONValue = [:]) async throws -> (id: String, code: String, token: String) {
    let answer = try await call("createEnrollment", json: json)
    guard let id = answer.json["enrollment_id"]?.text, let code = answer.json["enrollment_code"]?.text,
      let token = answer.json["enrollment_url"]?.text?.split(separator: "#").last
    else { throw NotMade(description: "no enrollment: \(answer)") }
    return (id, code, String(token))
  }

  func makeDevice(
    enrollment: JSONValue = [:], publicKey: JSONValue? = nil, hardwareID: String = "till-1"
  ) async throws -> (id: String, token: String) {
    let code = try await makeEnrollment(enrollment).code
    let answer = try await call(
      "registerDevice",
      json: (["enrollment_code": .string(code), "hardware_id": .string(hardwareID), "platform": "IOS"] as JSONValue)
        .setting("public_key", to: publicKey))
    guard let id = answer.json["id"]?.text, let token = answer.json["credentials"]?["bearer_token"]?.text else {
      throw NotMade(description: "no device: \(answer)")
    }
    return (id, token)
  }

  func makeLocation(_ name: String = "Drottninggatan") async throws -> String {
    let answer = try await call("createLocation", json: ["name": .string(name)])
    guard let id = answer.json["id"]?.text else { throw NotMade(description: "no location: \(answer)") }
    return id
  }

  func makeKey(_ name: String = "Webshop") async throws -> (id: String, key: String) {
    let answer = try await call("createAPIKey", json: ["name": .string(name)])
    guard let id = answer.json["id"]?.text, let key = answer.json["api_key"]?.text else {
      throw NotMade(description: "no key: \(answer)")
    }
    return (id, key)
  }

  /// A device of the playground.
  func makeSimulatedDevice() async throws -> (id: String, token: String) {
    let answer = try await call(
      "createSimulatedDevice",
      json: ["name": "Till 1", "location_id": .string(try await firstLocation()), "metadata": ["store_id": "123"]])
    guard let id = answer.json["id"]?.text, let token = answer.json["credentials"]?["bearer_token"]?.text else {
      throw NotMade(description: "no device: \(answer)")
    }
    return (id, token)
  }

  /// What a session on this device needs.
  static func sessionBody(_ device: String) -> JSONValue {
    [
      "device_id": .string(device), "order_amount": 10000, "purchase_currency": "SEK",
      "merchant_reference1": "ORDER-12345",
      "order_items": [
        [
          "type": "physical", "name": "T-Shirt", "quantity": 2, "unit_price": 5000, "total_amount": 10000,
          "tax_rate": 2500, "total_tax_amount": 2000,
        ]
      ],
    ]
  }

  struct MadeSession {
    let id: String
    let device: String
    let token: String
  }

  /// A session on a simulated device of its own.
  func makeSession() async throws -> MadeSession {
    let device = try await makeSimulatedDevice()
    let answer = try await call("createSession", json: Self.sessionBody(device.id))
    guard let id = answer.json["session_id"]?.text else { throw NotMade(description: "no session: \(answer)") }
    return MadeSession(id: id, device: device.id, token: device.token)
  }

  func startPayment(_ session: MadeSession) async throws -> String {
    let answer = try await call(
      "startPayment", ["session_id": session.id], as: .bearer(session.token), json: ["method": "CARD"])
    guard let id = answer.json["payment_id"]?.text else { throw NotMade(description: "no payment: \(answer)") }
    return id
  }

  func tap(_ session: MadeSession, _ outcome: String = "SUCCESS") async throws {
    let answer = try await call("simulateTap", ["session_id": session.id], query: "outcome=\(outcome)")
    guard answer.status == 200 else { throw NotMade(description: "no tap: \(answer)") }
  }

  /// An attempt by Klarna's emulator, whose code waits to be scanned.
  func startScan() async throws -> (session: MadeSession, payment: String, codeName: String) {
    let session = try await makeSession()
    let answer = try await call(
      "startPayment", ["session_id": session.id], as: .bearer(session.token), json: ["method": "KLARNA"])
    guard let payment = answer.json["payment_id"]?.text,
      let image = answer.json["next_action"]?["image_url"]?.text?.split(separator: "/"), image.count > 2
    else { throw NotMade(description: "no code: \(answer)") }
    return (session, payment, String(image[image.count - 2]))
  }

  /// The order of a session that was paid by card.
  func makeOrder(captured policy: String = "AUTOMATIC") async throws -> String {
    func capture(_ policy: String) async throws {
      let json: JSONValue = ["provider": "SIMULATED", "enabled": true, "capture": .string(policy)]
      guard try await call("updatePaymentMethod", ["method": "CARD"], json: json).status == 200 else {
        throw NotMade(description: "the method was not changed")
      }
    }
    if policy != "AUTOMATIC" { try await capture(policy) }
    let session = try await makeSession()
    try await tap(session)
    if policy != "AUTOMATIC" { try await capture("AUTOMATIC") }
    guard let order = try await call("getSession", ["session_id": session.id]).json["order_id"]?.text else {
      throw NotMade(description: "no order")
    }
    return order
  }

  static func webhookBody(_ url: String = "http://127.0.0.1:9/hook") -> JSONValue {
    ["name": "Backend", "url": .string(url), "events": ["*"]]
  }

  /// A webhook to where nobody listens. A merchant may have few: earlier ones make room.
  func makeWebhook() async throws -> String {
    let earlier = try await call("listWebhooks").json
    for webhook in (earlier["total_elements"]?.integer ?? 0) >= 10 ? earlier["content"]?.elements ?? [] : [] {
      try await call("deleteWebhook", ["id": webhook["id"]?.text ?? ""])
    }
    let answer = try await call("createWebhook", json: Self.webhookBody())
    guard let id = answer.json["id"]?.text else { throw NotMade(description: "no webhook: \(answer)") }
    return id
  }

  func makeDelivery() async throws -> String {
    let webhook = try await makeWebhook()
    try await call("sendWebhookTestEvent", ["id": webhook])
    let list = try await call("listWebhookDeliveries", ["id": webhook])
    guard let id = list.json["content"]?.elements.first?["id"]?.text else {
      throw NotMade(description: "no delivery: \(list)")
    }
    return id
  }

  /// The merchant's first location.
  func firstLocation() async throws -> String {
    guard let id = try await call("listLocations").json["content"]?.elements.last?["id"]?.text else {
      throw NotMade(description: "no location")
    }
    return id
  }
}

/// What a good call of each operation needs. A new operation must be added here, or the tests that go through all of
/// them fail with its name.
extension APIClient {
  struct GoodCall {
    var parameters: [String: String] = [:]
    var json: JSONValue?
    /// For a device's operation: its token.
    var deviceToken: String?

    var credential: Credential { deviceToken.map { .bearer($0) } ?? .standard }
  }

  /// Makes fresh what the call is about. `nil` for an operation it does not know.
  func goodCall(_ id: String) async throws -> GoodCall? {
    switch id {
    case "listEnrollments", "listDevices", "listLocations", "listAPIKeys", "listAuditEntries", "getCodeSecurity",
      "listSessions", "listWebhooks", "listEvents", "getClock", "getAccount", "signOut", "getPlayground", "getHealth",
      "getReadiness", "getMetrics",
      "getOpenAPIDocumentYAML", "getOpenAPIDocumentJSON":
      return GoodCall()
    case "createEnrollment":
      return GoodCall(json: ["location_id": .string(try await firstLocation()), "metadata": ["store_id": "123"]])
    case "getEnrollment", "deleteEnrollments":
      let location = try await firstLocation()
      return GoodCall(
        parameters: ["enrollment_id": try await makeEnrollment(["location_id": .string(location)]).id])
    case "registerDevice":
      let enrollment = try await makeEnrollment(["location_id": .string(try await firstLocation())])
      return GoodCall(
        json: ["enrollment_code": .string(enrollment.code), "hardware_id": "till-1", "platform": "ANDROID"])
    case "getOwnDevice":
      let location = try await firstLocation()
      return GoodCall(deviceToken: try await makeDevice(enrollment: ["location_id": .string(location)]).token)
    case "getDevice", "deleteDevice", "updateDevice":
      let location = try await firstLocation()
      return GoodCall(
        parameters: ["id": try await makeDevice(enrollment: ["location_id": .string(location)]).id],
        json: id == "updateDevice" ? ["name": "Till 2", "metadata": ["store_id": "7"]] : JSONValue?.none)
    case "signIn":
      return GoodCall(json: ["api_key": .string(server.apiKey)])
    case "createLocation":
      return GoodCall(json: ["name": "Market stall", "country": "SE"])
    case "getLocation", "deleteLocation", "updateLocation":
      return GoodCall(
        parameters: ["id": try await makeLocation()], json: id == "updateLocation" ? ["name": "Other"] : JSONValue?.none
      )
    case "createAPIKey":
      return GoodCall(json: ["name": "Webshop"])
    case "revokeAPIKey":
      return GoodCall(parameters: ["id": try await makeKey().id])
    default:
      return try await goodPaymentCall(id)
    }
  }

  private func goodPaymentCall(_ id: String) async throws -> GoodCall? {
    switch id {
    case "createSession":
      return GoodCall(json: Self.sessionBody(try await makeSimulatedDevice().id))
    case "getSession", "cancelSession", "simulateTap":
      return GoodCall(parameters: ["session_id": try await makeSession().id])
    case "streamOwnEvents", "listOwnSessions", "createConnectionToken":
      return GoodCall(deviceToken: try await makeSession().token)
    case "getOwnSession", "markOwnSessionShown", "cancelOwnSession", "simulateOwnTap", "startPayment":
      let session = try await makeSession()
      return GoodCall(
        parameters: ["session_id": session.id], json: id == "startPayment" ? ["method": "CARD"] : JSONValue?.none,
        deviceToken: session.token)
    case "finalizePayment", "cancelPayment":
      let session = try await makeSession()
      return GoodCall(
        parameters: ["session_id": session.id, "payment_id": try await startPayment(session)],
        deviceToken: session.token)
    case "getOwnReceipt":
      let session = try await makeSession()
      try await tap(session)
      return GoodCall(parameters: ["session_id": session.id], deviceToken: session.token)
    case "getReceipt":
      let session = try await makeSession()
      try await tap(session)
      let own = try await call("getOwnReceipt", ["session_id": session.id], as: .bearer(session.token))
      guard let token = own.json["receipt_url"]?.text?.split(separator: "/").last else {
        throw NotMade(description: "no receipt: \(own)")
      }
      return GoodCall(parameters: ["receipt_token": String(token)])
    case "createSimulatedDevice":
      return GoodCall(json: ["name": "Till 1", "location_id": .string(try await firstLocation())])
    case "planCardFault":
      // Of an operation that no test calls by the way.
      return GoodCall(json: ["operation": "REVERSE", "fault": "ANSWER_TWICE"])
    case "moveClock":
      return GoodCall(json: ["advance_seconds": 1])
    case "simulateScan", "simulateOwnScan":
      let scan = try await startScan()
      return GoodCall(
        parameters: ["session_id": scan.session.id], deviceToken: id == "simulateScan" ? nil : scan.session.token)
    case "getPaymentAsBuyer", "openPaymentAsBuyer", "approvePaymentAsBuyer", "refusePaymentAsBuyer":
      return GoodCall(parameters: ["payment_id": try await startScan().payment])
    case "getCodePNG", "getCodeSVG":
      return GoodCall(parameters: ["name": try await startScan().codeName])
    case "notifyOfMethod":
      return GoodCall(parameters: ["method": "card", "merchant_id": server.merchantID])
    case "notifyOfPayment":
      let payment = try await startPayment(try await makeSession())
      return GoodCall(parameters: ["method": "card", "merchant_id": server.merchantID, "payment_id": payment])
    case "getOrder", "listCaptures", "createRefund":
      return GoodCall(
        parameters: ["order_id": try await makeOrder()],
        json: id == "createRefund" ? ["refunded_amount": 100, "reference": "R-1"] : JSONValue?.none)
    case "createCapture", "cancelOrder":
      return GoodCall(
        parameters: ["order_id": try await makeOrder(captured: "MANUAL")],
        json: id == "createCapture" ? ["captured_amount": 100, "description": "A parcel"] : JSONValue?.none)
    case "getCapture":
      let order = try await makeOrder()
      guard let capture = try await call("listCaptures", ["order_id": order]).json.elements.first?["capture_id"]?.text
      else { throw NotMade(description: "no capture") }
      return GoodCall(parameters: ["order_id": order, "capture_id": capture])
    case "getRefund":
      let order = try await makeOrder()
      let refund = try await call("createRefund", ["order_id": order], json: ["refunded_amount": 100])
      return GoodCall(parameters: ["order_id": order, "refund_id": refund.header("refund-id") ?? ""])
    case "listPaymentMethods", "listOrders":
      return GoodCall()
    case "getPaymentMethod", "updatePaymentMethod", "checkPaymentMethod", "subscribePaymentMethod":
      return GoodCall(
        parameters: ["method": "CARD"],
        json: id == "updatePaymentMethod" ? ["provider": "SIMULATED", "enabled": true] : JSONValue?.none)
    case "deletePaymentMethod":
      // By a method of another currency than these tests collect in.
      return GoodCall(parameters: ["method": "VIPPS"])
    case "createWebhook":
      // Makes room.
      _ = try await makeWebhook()
      return GoodCall(json: Self.webhookBody())
    case "getWebhook", "deleteWebhook", "rotateWebhookSecret", "sendWebhookTestEvent", "listWebhookDeliveries",
      "updateWebhook":
      return GoodCall(
        parameters: ["id": try await makeWebhook()],
        json: id == "updateWebhook" ? Self.webhookBody("http://localhost:9/other") : JSONValue?.none)
    case "resendWebhookDelivery":
      return GoodCall(parameters: ["delivery_id": try await makeDelivery()])
    default:
      return nil
    }
  }

  /// The same, with an issue for an operation that is not known.
  func knownGoodCall(_ id: String, at location: SourceLocation = #_sourceLocation) async throws -> GoodCall? {
    let call = try await goodCall(id)
    if call == nil {
      Issue.record(
        "the operation \(id) is new: say in APIClient.goodCall what a good call of it needs", sourceLocation: location)
    }
    return call
  }
}

/// An id that nothing has.
let unknownID = "00000000-0000-4000-8000-000000000000"
