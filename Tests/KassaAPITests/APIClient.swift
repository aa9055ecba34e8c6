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
    let path = try path(operation, parameters) + (query.map { "?\($0)" } ?? "")
    let call = HTTPCall(operation.method, path, headers: all, body: json?.bytes ?? body)
    let answer = if let connection { try await connection.send(call) } else { try await server.send(call) }
    seen.note(id, answer.status)
    for flaw in try document.flaws(of: answer, to: operation) { Issue.record("\(flaw)", sourceLocation: location) }
    return answer
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
  }

  /// Makes fresh what the call is about. `nil` for an operation it does not know.
  func goodCall(_ id: String) async throws -> GoodCall? {
    switch id {
    case "listEnrollments", "listDevices", "listLocations", "listAPIKeys", "listAuditEntries", "getCodeSecurity",
      "getHealth", "getReadiness", "getMetrics", "getOpenAPIDocumentYAML", "getOpenAPIDocumentJSON":
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
        json: id == "updateDevice" ? ["name": "Till 2", "metadata": ["store_id": "7"]] : nil)
    case "createLocation":
      return GoodCall(json: ["name": "Market stall", "country": "SE"])
    case "getLocation", "deleteLocation", "updateLocation":
      return GoodCall(
        parameters: ["id": try await makeLocation()], json: id == "updateLocation" ? ["name": "Other"] : nil)
    case "createAPIKey":
      return GoodCall(json: ["name": "Webshop"])
    case "revokeAPIKey":
      return GoodCall(parameters: ["id": try await makeKey().id])
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
