import Foundation
import KassaJSON
import KassaTestSupport

/// A merchant's backend and its phones, for the tests of payments.
struct Shop: Sendable {
  let server: ServerProcess

  /// A phone of the shop.
  struct Phone: Sendable {
    let server: ServerProcess
    let id: String
    let token: String

    var authorization: (String, String) { ("authorization", "Bearer \(token)") }

    func call(_ method: String, _ path: String, _ json: JSONValue? = nil) async throws -> HTTPAnswer {
      if let json {
        return try await server.send(HTTPCall(method, path, headers: [authorization], json: json))
      }
      return try await server.send(HTTPCall(method, path, headers: [authorization]))
    }

    /// Opens the phone's stream of events.
    func stream(after cursor: String? = nil) async throws -> EventStream {
      let stream = try await EventStream.open(
        port: server.port,
        HTTPCall(
          "GET", "/pos/v1/events", headers: [authorization] + (cursor.map { [("last-event-id", $0)] } ?? [])))
      guard stream.isStream else { throw Missing(description: "no stream: \(stream.head)") }
      return stream
    }

    /// The same phone, at a server that was started again.
    func at(_ server: ServerProcess) -> Phone { Phone(server: server, id: id, token: token) }
  }

  /// Makes a simulated phone; over `connection`, or over one of its own.
  func phone(_ name: String = "Till 1", over connection: HTTPConnection? = nil) async throws -> Phone {
    let made = try await post("/ipp/v1/dev/devices", ["name": .string(name)], over: connection)
    guard made.status == 201, let token = made.json["credentials"]?["bearer_token"]?.text else {
      throw Missing(description: "no device: \(made)")
    }
    return Phone(server: server, id: try made.text("device_id"), token: token)
  }

  /// The contract's sample (section 6), which must work unchanged but for the device.
  static func sample(_ device: String) throws -> JSONValue {
    let text = #"""
      {"device_id":"550e8400-e29b-41d4-a716-446655440000","order_amount":240000,"purchase_currency":"SEK","purchase_started_at":"2024-01-15T10:30:00Z",
       "order_tax_amount":48000,"merchant_reference1":"ORDER-12345","order_items":[
       {"type":"physical","reference":"SKU-001","name":"T-Shirt","quantity":2,"unit_price":100000,"total_amount":200000,"tax_rate":2500,"total_tax_amount":40000},
       {"type":"physical","reference":"SKU-002","name":"Socks","quantity":1,"unit_price":40000,"total_amount":40000,"tax_rate":2500,"total_tax_amount":8000}]}
      """#
    return try JSONParser.parse(Array(text.utf8)).setting("device_id", to: .string(device))
  }

  func session(on device: String, over connection: HTTPConnection? = nil) async throws -> String {
    let made = try await post("/ipp/v1/sessions", try Self.sample(device), over: connection)
    guard made.status == 200 else { throw Missing(description: "no session: \(made)") }
    return try made.text("session_id")
  }

  func tap(
    _ session: String, _ outcome: String? = nil, over connection: HTTPConnection? = nil
  ) async throws -> HTTPAnswer {
    let query = outcome.map { "?outcome=\($0)" } ?? ""
    return try await send(
      HTTPCall("POST", "/ipp/v1/dev/sessions/\(session)/simulate-tap\(query)", headers: [server.authorization()]),
      over: connection)
  }

  func cancel(_ session: String, over connection: HTTPConnection? = nil) async throws -> HTTPAnswer {
    try await send(
      HTTPCall("PUT", "/ipp/v1/sessions/\(session)/cancel", headers: [server.authorization()]), over: connection)
  }

  private func post(
    _ path: String, _ json: JSONValue, over connection: HTTPConnection?
  ) async throws -> HTTPAnswer {
    try await send(HTTPCall("POST", path, headers: [server.authorization()], json: json), over: connection)
  }

  private func send(_ call: HTTPCall, over connection: HTTPConnection?) async throws -> HTTPAnswer {
    guard let connection else { return try await server.send(call) }
    return try await connection.send(call)
  }

  /// Runs `body` for each element, as many at once as there are connections. Returns the values in the elements' order.
  func forEach<Element: Sendable, Value: Sendable>(
    _ elements: [Element], connections: Int = 16,
    _ body: @escaping @Sendable (Element, HTTPConnection) async throws -> Value
  ) async throws -> [Value] {
    let found = try await withThrowingTaskGroup(of: [(Int, Value)].self) { group in
      for first in 0..<min(connections, elements.count) {
        group.addTask {
          let connection = try await server.connect()
          var values: [(Int, Value)] = []
          for index in stride(from: first, to: elements.count, by: connections) {
            values.append((index, try await body(elements[index], connection)))
          }
          await connection.close()
          return values
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    return found.sorted { $0.0 < $1.0 }.map(\.1)
  }

  func advanceClock(seconds: Int64) async throws {
    let moved = try await server.post("/ipp/v1/dev/clock", ["advance_seconds": .integer(seconds)])
    guard moved.status == 200 else { throw Missing(description: "the clock stands: \(moved)") }
  }
}

/// Waits until `isSo`, which is asked again and again.
func eventually(_ what: String, _ isSo: () async throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(HTTPConnection.patienceSeconds)
  while ContinuousClock.now < end {
    if try await isSo() { return }
    try await Task.sleep(for: .milliseconds(20))
  }
  throw Missing(description: "never: \(what)")
}
