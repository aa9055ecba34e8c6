import AsyncHTTPClient
import Foundation
import KassaDomain
import KassaServer
import KassaService
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization
import Testing

/// The whole server: webhooks by the API, and a device's pairing told by callback.
@Suite(.serialized) struct PortalTests {
  private struct Answer {
    let status: Int
    let headers: [String: String]
    let body: String

    subscript(_ name: String) -> String { member(name, of: body) ?? "" }
  }

  private struct Client: Sendable {
    let url: String
    let key: String

    func callAsFunction(
      _ method: String, _ path: String, _ body: String? = nil, headers: [(String, String)] = []
    ) async throws -> Answer {
      var request = HTTPClientRequest(url: url + path)
      request.method = .init(rawValue: method)
      request.headers.add(name: "authorization", value: "Basic \(key)")
      for (name, value) in headers { request.headers.add(name: name, value: value) }
      if let body {
        request.headers.add(name: "content-type", value: "application/json")
        request.body = .bytes(Array(body.utf8))
      }
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
      let bytes = try await response.body.collect(upTo: 1 << 20)
      return Answer(
        status: Int(response.status.code),
        headers: Dictionary(response.headers.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 }),
        body: String(buffer: bytes))
    }
  }

  /// Runs a playground server while `body` calls it.
  private func serving(_ body: @Sendable (Client) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "kassa-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let source = try SettingsSource(options: [.port: "0"], variables: [:], file: nil)
    let settings = try ServerSettings(
      source, environment: .playground, databasePath: folder.appending(path: "kassa.sqlite").path)
    let secrets = try KassaServer.loadSecrets(settings)
    let store = try KassaServer.openStore(settings.database)
    let service = KassaServer.makeService(
      settings, store: store, secrets: secrets, listeningURL: { "http://127.0.0.1" })
    try await KassaServer.claim(service, database: settings.database)
    let playground = try await service.preparePlayground()
    let (ports, listening) = AsyncStream<Int>.makeStream()
    let application = KassaServer.buildApplication(settings, service: service, logger: Logger(label: "test")) {
      listening.yield($0)
    }
    let group = ServiceGroup(configuration: .init(services: [application], logger: Logger(label: "test")))
    async let running: Void = group.run()
    var iterator = ports.makeAsyncIterator()
    let port = try #require(await iterator.next())
    let result: Result<Void, any Error>
    do {
      result = .success(try await body(Client(url: "http://127.0.0.1:\(port)", key: playground.apiKey)))
    } catch {
      result = .failure(error)
    }
    await group.triggerGracefulShutdown()
    try await running
    await store.close()
    try result.get()
  }

  @Test func aPairingReachesTheReceiver() async throws {
    let receiver = try await Receiver { _ in ReceiverAnswer(body: "ok") }
    try await serving { call in
      let create = #"{"name":"Shop","url":"\#(receiver.url)","events":["ipp.device.deleted","ipp.device.paired"]}"#
      let created = try await call("POST", "/portal/v1/webhooks", create, headers: [("idempotency-key", "one")])
      #expect(created.status == 201)
      #expect(created["secret"].hasPrefix("whsec_"))
      let again = try await call("POST", "/portal/v1/webhooks", create, headers: [("idempotency-key", "one")])
      #expect(again.body == created.body)
      #expect(again.headers["idempotent-replayed"] == "true")
      let id = created["id"]

      let read = try await call("GET", "/portal/v1/webhooks/\(id)")
      #expect(read.status == 200)
      #expect(!read.body.contains("secret"))
      let list = try await call("GET", "/portal/v1/webhooks")
      #expect(list["total_elements"] == "1")

      let enrollment = try await call("POST", "/ipp/v1/enrollments", "{}")
      let paired = try await call(
        "POST", "/pos/v1/devices",
        #"{"enrollment_code":"\#(enrollment["enrollment_code"])","hardware_id":"h","platform":"IOS"}"#)
      #expect(paired.status == 201)
      try await eventually("the pairing is told") { receiver.requests.count == 1 }
      let told = try #require(receiver.requests.first)
      #expect(member("type", of: told.body) == "ipp.device.paired")
      #expect(member("device_id", of: told.body) == paired["id"])
      #expect(member("enrollment_id", of: told.body) == enrollment["enrollment_id"])

      let tested = try await call("POST", "/portal/v1/webhooks/\(id)/test")
      #expect(tested.status == 202)
      try await eventually("the test is told") { receiver.requests.count == 2 }
      #expect(receiver.requests.last?.body == tested.body)

      try await eventually("both are noted") {
        try await call("GET", "/portal/v1/webhooks/\(id)/deliveries?status=DELIVERED")["total_elements"] == "2"
      }
      let deliveries = try await call("GET", "/portal/v1/webhooks/\(id)/deliveries")
      #expect(deliveries.body.contains(#""payload":\#(told.body)"#))
      #expect(deliveries.body.contains(#""response_status":200,"response_excerpt":"ok""#))
      #expect(try await call("GET", "/portal/v1/webhooks/\(id)/deliveries?status=LOST").status == 400)

      let delivery = deliveries["id"]
      let resent = try await call("POST", "/portal/v1/webhook-deliveries/\(delivery)/resend")
      #expect(resent.status == 200)
      #expect(resent["status"] == "PENDING")
      try await eventually("it is told again") { receiver.requests.count == 3 }

      let rotated = try await call("POST", "/portal/v1/webhooks/\(id)/rotate-secret")
      #expect(rotated.status == 200)
      #expect(rotated["secret"] != created["secret"])
      #expect(!rotated["previous_secret_valid_until"].isEmpty)

      let feed = try await call("GET", "/portal/v1/events?limit=1")
      #expect(feed.body.contains(told.body))
      #expect(feed["has_more"] == "true")
      let rest = try await call("GET", "/portal/v1/events?after=\(feed["next_cursor"])")
      #expect(rest.body.contains("ipp.webhook.test"))
      #expect(!rest.body.contains("ipp.device.paired"))
      #expect(try await call("GET", "/portal/v1/events?after=nonsense").status == 400)

      let metrics = try await call("GET", "/metrics")
      #expect(metrics.body.contains(#"kassa_callback_attempts_total{outcome="acknowledged"} 3"#))
      #expect(metrics.body.contains("kassa_callback_pending 0"))
      #expect(metrics.body.contains("kassa_callback_lag_seconds_count 3"))
      #expect(metrics.body.contains("kassa_callback_dead_total 0"))

      let off = #"{"name":"Shop","url":"\#(receiver.url)","events":["*"],"enabled":false}"#
      let disabled = try await call("PUT", "/portal/v1/webhooks/\(id)", off)
      #expect(disabled.status == 200)
      #expect(disabled["enabled"] == "false")
      #expect(disabled["disabled_reason"] == "MERCHANT")
      #expect(try await call("POST", "/portal/v1/webhooks/\(id)/test").status == 400)
      #expect(try await call("DELETE", "/portal/v1/webhooks/\(id)").status == 204)
      #expect(try await call("GET", "/portal/v1/webhooks/\(id)").status == 404)
      #expect(try await call("GET", "/portal/v1/webhooks/\(id)/deliveries").status == 404)
      #expect(try await call("POST", "/portal/v1/webhook-deliveries/\(delivery)/resend").status == 404)
      #expect(try await call("DELETE", "/portal/v1/webhooks/\(id)").status == 404)
    }
    await receiver.close()
  }

  /// Made switched off, it hears of nothing that happens before it is switched on.
  @Test func aWebhookCanBeMadeSwitchedOff() async throws {
    let (off, on) = (
      try await Receiver { _ in .ok }, try await Receiver { _ in .ok }
    )
    try await serving { call in
      func body(_ receiver: Receiver, _ more: String) -> String {
        #"{"name":"Shop","url":"\#(receiver.url)","events":["*"]\#(more)}"#
      }
      let made = try await call("POST", "/portal/v1/webhooks", body(off, #","enabled":false"#))
      #expect(made.status == 201 && made["enabled"] == "false" && made["disabled_reason"] == "MERCHANT")
      #expect(made["secret"].hasPrefix("whsec_") && !made["disabled_at"].isEmpty)
      let id = made["id"]
      let other = try await call("POST", "/portal/v1/webhooks", body(on, #","enabled":true"#))
      #expect(other["enabled"] == "true" && other["disabled_at"].isEmpty)

      func pair(_ name: String) async throws {
        let enrollment = try await call("POST", "/ipp/v1/enrollments", "{}")
        let paired = try await call(
          "POST", "/pos/v1/devices",
          #"{"enrollment_code":"\#(enrollment["enrollment_code"])","hardware_id":"\#(name)","platform":"IOS"}"#)
        #expect(paired.status == 201)
      }
      try await pair("before")
      try await eventually("the control is told") { on.requests.count == 1 }
      #expect(try await call("POST", "/portal/v1/webhooks/\(id)/test").status == 400)
      let queued = try await call("GET", "/portal/v1/webhooks/\(id)/deliveries")
      #expect(queued["total_elements"] == "0")

      #expect(try await call("PUT", "/portal/v1/webhooks/\(id)", body(off, #","enabled":true"#))["enabled"] == "true")
      try await pair("after")
      try await eventually("it is told now") { off.requests.count == 1 }
      try await eventually("the control is told again") { on.requests.count == 2 }
      #expect(off.requests.first?.body == on.requests.last?.body)
    }
    await off.close()
    await on.close()
  }

  @Test func everyFlawIsNamed() async throws {
    try await serving { call in
      let bad = try await call(
        "POST", "/portal/v1/webhooks", #"{"url":"http://10.0.0.1/","events":["*","nonsense"],"enabled":"yes"}"#)
      #expect(bad.status == 400)
      for field in [#""name":"#, #""events[1]":"#, #""enabled":"#] { #expect(bad.body.contains(field)) }
      for url in ["http://10.0.0.1/", "https://10.0.0.1/", "https://localhost/", "https://169.254.169.254/latest"] {
        let refused = try await call(
          "POST", "/portal/v1/webhooks", #"{"name":"x","url":"\#(url)","events":["*"]}"#)
        #expect(refused.status == 400)
        #expect(refused.body.contains(#""url":"must"#), "\(refused.body)")
      }
      let listed = try await call("GET", "/portal/v1/webhooks")
      #expect(listed["total_elements"] == "0")
    }
  }
}
