import AsyncHTTPClient
import KassaDomain
import KassaEmulators
import KassaJSON
import KassaProviders
import NIOCore
import Synchronization
import Testing

/// What an emulator is by itself, as other people's tests use it.
@Suite(.serialized) struct EmulatorTests {
  /// Takes notifications, and answers what it was told to.
  private final class Receiver: ProviderEmulator {
    let world = EmulatorWorld()
    let status = Atomic(204)
    private let taken = Mutex<[String]>([])

    var bodies: [String] { taken.withLock { $0 } }
    var routes: [EmulatorRoute] {
      [
        EmulatorRoute("TAKE", "POST", "/take") { request in
          self.taken.withLock { $0.append(String(decoding: request.body, as: UTF8.self)) }
          return EmulatorResponse(status: self.status.load(ordering: .relaxed))
        }
      ]
    }
    func payments() -> [EmulatedPayment] { [] }
    func buyer(_ action: BuyerAction, _ payment: String) -> String? { nil }
    func settings(url: String) -> [(name: String, value: String)] { [] }
  }

  /// Refused ones are sent again after their pause, and those behind them wait; other chains do not.
  @Test func notificationsAreRepeatedInTheOrderOfTheirChain() async throws {
    let receiver = Receiver()
    let server = try await EmulatorServer.start(receiver)
    let sender = VippsEmulator()
    let sending = try await EmulatorServer.start(sender)
    func send(_ text: String, _ chain: String) {
      sender.world.notifications.send(
        EmulatorNotification(
          chain: chain, payment: "p", event: "e", url: "\(server.url)/take", body: Array(text.utf8),
          pausesSeconds: [3600, 3600]
        ) { _ in [] })
    }
    /// Until they came, and the sender has heard so of all but `waiting`.
    func until(_ bodies: [String], waiting: Int) async throws {
      let notifications = sender.world.notifications
      func isSo() -> Bool {
        receiver.bodies.sorted() == bodies.sorted() && notifications.sent.count == bodies.count
          && notifications.waitingCount == waiting
      }
      let end = ContinuousClock.now.advanced(by: .seconds(20))
      while !isSo(), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(2)) }
      #expect(isSo(), "\(receiver.bodies), \(notifications.waitingCount) wait")
    }
    receiver.status.store(500, ordering: .relaxed)
    send("a1", "a")
    send("a2", "a")
    try await until(["a1"], waiting: 2)
    receiver.status.store(204, ordering: .relaxed)
    send("b1", "b")
    try await until(["a1", "b1"], waiting: 2)
    sender.world.clock.advance(seconds: 3600)
    try await until(["a1", "a1", "a2", "b1"], waiting: 0)
    #expect(receiver.bodies.suffix(2) == ["a1", "a2"])
    await sending.stop()
    await server.stop()
  }

  private func call(
    _ method: ProviderCall.Method, _ path: String, _ url: String, _ http: ProviderHTTPClient, _ body: String? = nil,
    headers: [(name: String, value: String)] = []
  ) async throws -> ProviderHTTPAnswer {
    let call = ProviderCall(
      method, path, headers: headers, body: body.map { .json(Array($0.utf8)) } ?? .empty, isRepeatable: false)
    guard case .answered(let answer) = await http.send(call, to: ProviderAddress(url), within: http.budget()) else {
      throw ProviderShop.Violation(description: "\(path) was not answered")
    }
    return answer
  }

  /// All that the page on emulators promises, by its words.
  @Test func everythingIsCommandedOverHTTP() async throws {
    let emulator = KlarnaEmulator()
    emulator.world.notifications.hold(true)
    let server = try await EmulatorServer.start(emulator)
    let http = ProviderHTTPClient(limits: CallLimits(pauseMilliseconds: 5)) { emulator.world.clock.now }
    let url = server.url
    let settings = emulator.settings(url: url).reduce(into: ["country": "SE"]) { $0[$1.name] = $1.value }
    let adapter = try KlarnaProvider.kind(http: http, isPlayground: true) { emulator.world.clock.now }.make(settings)
    let charge = try TestCharge.make(240_000, "SEK", at: emulator.world.clock.now)
    _ = await adapter.start(charge)
    func object(_ path: String) async throws -> JSONObject {
      let answer = try await call(.get, path, url, http)
      guard case .object(let object) = try JSONParser.parse(answer.body) else { return JSONObject() }
      return object
    }
    let payment = try #require(try await object("/emulator/payments").objects("payments").first)
    let id = try #require(payment.text("id"))
    #expect(payment.text("reference") == charge.paymentID.description && payment.bool("is_open") == true)
    #expect(try await call(.get, "/emulator/pay/\(id)", url, http).status == 200)
    #expect(try await call(.post, "/emulator/payments/\(id)/open", url, http).status == 204)
    let html = [(name: "accept", value: "text/html")]
    #expect(try await call(.post, "/emulator/payments/\(id)/approve", url, http, headers: html).status == 303)
    #expect(try await call(.post, "/emulator/payments/\(id)/approve", url, http).status == 409)
    #expect(try await object("/emulator/payments").objects("payments").first?.integer("held") == 240_000)

    let wrong = try await call(.post, "/emulator/faults", url, http, #"{"operation":"NONE","fault":"LATE"}"#)
    #expect(wrong.status == 400 && String(decoding: wrong.body, as: UTF8.self).contains("RESULT"))
    let fault = #"{"operation":"RESULT","fault":"REFUSED","status":503,"count":2}"#
    #expect(try await call(.post, "/emulator/faults", url, http, fault).status == 204)
    let kept = #"{"operation":"RESULT","fault":"KEPT_AFTER_EFFECT","status":500}"#
    #expect(try await call(.post, "/emulator/faults", url, http, kept).status == 204)
    #expect(emulator.world.faults.waitingCount == 3)
    #expect(try await call(.delete, "/emulator/faults", url, http).status == 204)
    #expect(emulator.world.faults.waitingCount == 0)

    let before = emulator.world.clock.now
    #expect(try await call(.post, "/emulator/clock", url, http, #"{"advance_seconds":600}"#).status == 200)
    #expect(emulator.world.clock.now >= before.adding(seconds: 600))
    #expect(try await object("/emulator/calls").objects("calls").contains { $0.text("operation") == "CREATE" })
    #expect(try await object("/emulator/ledger").object("net_taken") != nil)
    #expect(emulator.world.notifications.waitingCount > 0)
    #expect(try await call(.post, "/emulator/notifications/lose", url, http).status == 200)
    #expect(emulator.world.notifications.waitingCount == 0)
    #expect(try await call(.get, "/emulator/nothing", url, http).status == 404)
    await http.shutdown()
    await server.stop()
  }

  /// What a provider does not document is noted, and what breaks its rules is refused.
  @Test func requestsAreReadStrictly() async throws {
    let emulator = VippsEmulator()
    let server = try await EmulatorServer.start(emulator)
    let http = ProviderHTTPClient { emulator.world.clock.now }
    func header(_ name: String, _ value: String) -> (name: String, value: String) { (name, value) }
    let keys = [
      header("client_id", emulator.clientID), header("client_secret", emulator.clientSecret),
      header("Ocp-Apim-Subscription-Key", emulator.subscriptionKey),
      header("Merchant-Serial-Number", emulator.merchantSerialNumber),
    ]
    let token = try await call(.post, "/accesstoken/get", server.url, http, headers: keys)
    guard case .object(let object) = try JSONParser.parse(token.body) else { return }
    let access = Array(keys.suffix(2)) + [header("Authorization", "Bearer \(object.text("access_token") ?? "")")]
    func create(_ amount: Int, _ reference: String, _ more: String = "", key: String) async throws -> Int {
      let body = """
        {"amount":{"currency":"NOK","value":\(amount)},"paymentMethod":{"type":"WALLET"},"reference":"\(reference)",
         "userFlow":"QR"\(more)}
        """
      return try await call(
        .post, "/epayment/v1/payments", server.url, http, body, headers: access + [header("Idempotency-Key", key)]
      ).status
    }
    #expect(try await create(99, "reference-1", key: "k1") == 400)
    #expect(try await create(100, "short", key: "k2") == 400)
    #expect(try await create(100, "reference_1", key: "k3") == 400)
    #expect(try await create(100, "reference-1", #","invented":1"#, key: "k4") == 201)
    #expect(emulator.world.journal.undocumented == ["CREATE: invented"])
    // The key again, with the same body and with another; the reference again, with another key.
    #expect(try await create(100, "reference-1", #","invented":1"#, key: "k4") == 201)
    #expect(try await create(200, "reference-1", key: "k4") == 409)
    #expect(try await create(100, "reference-1", key: "k5") == 409)
    #expect(emulator.payments().count == 1)
    // Five changes a minute for one payment.
    var statuses: [Int] = []
    for _ in 0..<6 {
      let path = "/epayment/v1/payments/reference-1/cancel"
      statuses.append(try await call(.post, path, server.url, http, headers: access).status)
    }
    #expect(statuses.first == 200 && statuses.last == 429)
    await http.shutdown()
    await server.stop()
  }
}
