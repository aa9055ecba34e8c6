import AsyncHTTPClient
import Foundation
import KassaDomain
import KassaService
import KassaStore
import NIOCore
import Synchronization
import Testing

@testable import KassaDelivery

/// What a destination's answer leads to (contract, section 8).
@Suite(.serialized) struct DeliveryTests {
  @Test func aTryCarriesWhatStandardWebhooksAsksFor() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in ReceiverAnswer(body: "thank you") }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...1)
    try await harness.working(harness.worker(harness.queue())) { try await harness.nothingPending() }
    let request = try #require(receiver.requests.first)
    #expect(request.uri == "/hook")
    #expect(request.headers["content-type"] == "application/json")
    #expect(request.headers["user-agent"]?.hasPrefix("Kassa/") == true)
    let id = try #require(request.headers["webhook-id"])
    #expect(id.hasPrefix("kevt_") && id.utf8.count == 27)
    let timestamp = try #require(request.headers["webhook-timestamp"].flatMap { Int64($0) })
    #expect(abs(timestamp - Harness.clock().secondsSinceEpoch) < 60)
    #expect(
      request.headers["webhook-signature"]
        == webhook.secret.signature(id: id, timestampSeconds: timestamp, body: Array(request.body.utf8)))
    let logged = try #require(try await harness.deliveries(webhook.destination.id).first)
    #expect(logged.attempts.map(\.result) == [.status(200)])
    #expect(logged.attempts.first?.responseExcerpt == "thank you")
    try Self.keepSample(request, secrets: [webhook.secret])
    await receiver.close()
  }

  /// Adds a line for `scripts/verify-webhook-signatures` to the file that KASSA_WEBHOOK_SAMPLES names, if any.
  private static func keepSample(_ request: ReceivedRequest, secrets: [WebhookSecret]) throws {
    guard let path = ProcessInfo.processInfo.environment["KASSA_WEBHOOK_SAMPLES"] else { return }
    let sample: [String: Any] = [
      "secrets": secrets.map(\.text), "body": request.body,
      "headers": request.headers.filter { $0.key.hasPrefix("webhook-") },
    ]
    let line = try JSONSerialization.data(withJSONObject: sample) + Data("\n".utf8)
    let before = (try? Data(contentsOf: URL(filePath: path))) ?? Data()
    try (before + line).write(to: URL(filePath: path))
  }

  @Test func bothSecretsSignAfterARotation() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in .ok }
    let webhook = try await harness.webhook(receiver.url)
    guard
      case .fresh(let rotated) = try await harness.service.rotateWebhookSecret(
        webhook.destination.id, as: harness.principal)
    else { throw Unexpected(what: "a replay") }
    #expect(rotated.secret != webhook.secret)
    try await harness.session(Harness.subject(), sequences: 1...1)
    try await harness.working(harness.worker(harness.queue())) { try await harness.nothingPending() }
    let request = try #require(receiver.requests.first)
    let (id, at) = (request.headers["webhook-id"] ?? "", Int64(request.headers["webhook-timestamp"] ?? "") ?? 0)
    let expected = [rotated.secret, webhook.secret].map {
      $0.signature(id: id, timestampSeconds: at, body: Array(request.body.utf8))
    }
    #expect(request.headers["webhook-signature"] == expected.joined(separator: " "))
    try Self.keepSample(request, secrets: [rotated.secret, webhook.secret])
    await receiver.close()
  }

  @Test func onlySubscribedTypesAreSent() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in .ok }
    _ = try await harness.webhook(receiver.url, events: .only(["ipp.payment.failed"]))
    try await harness.session(Harness.subject(), sequences: 1...5)
    try await harness.working(harness.worker(harness.queue())) { try await harness.nothingPending() }
    #expect(receiver.requests.map { member("type", of: $0.body) } == ["ipp.payment.failed", "ipp.payment.failed"])
    await receiver.close()
  }

  @Test func aTestEventGoesToItsOwnDestinationOnly() async throws {
    let harness = try await Harness()
    let (asked, other) = (try await Receiver { _ in .ok }, try await Receiver { _ in .ok })
    let webhook = try await harness.webhook(asked.url, events: .only(["ipp.payment.late"]))
    _ = try await harness.webhook(other.url)
    _ = try await harness.service.sendWebhookTestEvent(webhook.destination.id, as: harness.principal)
    try await harness.working(harness.worker(harness.queue())) { try await harness.nothingPending() }
    #expect(asked.requests.map { member("type", of: $0.body) } == ["ipp.webhook.test"])
    #expect(other.requests.isEmpty)
    for receiver in [asked, other] { await receiver.close() }
  }

  @Test func goneDisablesAndEnablingResumes() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { $0.index == 0 ? ReceiverAnswer(status: 410) : .ok }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...2)
    let id = webhook.destination.id
    try await harness.working(harness.worker(harness.queue())) {
      try await eventually("it is disabled") {
        try await harness.service.webhook(id, as: harness.principal).disabled?.reason == .gone
      }
      // Nothing is queued for a disabled destination, and what waits is not sent.
      try await harness.session(Harness.subject(), sequences: 1...1)
      try await Task.sleep(for: .milliseconds(200))
      #expect(receiver.requests.count == 1)
      #expect(try await harness.deliveries(id).count == 2)
      _ = try await harness.service.replaceWebhook(
        id, with: webhook.destination.details, enabled: true, as: harness.principal)
      try await harness.nothingPending()
    }
    #expect(receiver.requests.map { member("sequence", of: $0.body) } == ["1", "1", "2"])
    await receiver.close()
  }

  @Test func retryAfterIsHonoured() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { request in
      request.index == 0 ? ReceiverAnswer(status: 429, headers: [("Retry-After", "1")]) : .ok
    }
    _ = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...1)
    let start = ContinuousClock.now
    try await harness.working(harness.worker(harness.queue())) { try await harness.nothingPending() }
    #expect(start.duration(to: .now) >= .milliseconds(950))
    #expect(receiver.requests.count == 2)
    await receiver.close()
  }

  @Test(arguments: [301, 302, 303, 307, 308]) func redirectsAreNotFollowed(status: Int) async throws {
    let harness = try await Harness()
    let target = try await Receiver { _ in .ok }
    let receiver = try await Receiver { [url = target.url] _ in
      ReceiverAnswer(status: status, headers: [("Location", url)])
    }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...1)
    let queue = harness.queue(schedule: Harness.schedule(tries: 1, milliseconds: 10))
    try await harness.working(harness.worker(queue)) { try await harness.nothingPending() }
    let logged = try #require(try await harness.deliveries(webhook.destination.id).first)
    #expect(logged.delivery.state.name == .dead)
    #expect(logged.attempts.map(\.result) == [.status(status)])
    #expect(target.requests.isEmpty)
    for receiver in [target, receiver] { await receiver.close() }
  }

  @Test func aDeadLetterIsGivenUpLoggedAndCanBeResent() async throws {
    let harness = try await Harness()
    let works = Mutex(false)
    let receiver = try await Receiver { _ in
      ReceiverAnswer(status: works.withLock { $0 } ? 204 : 500, body: works.withLock { $0 } ? "" : "no\0 good")
    }
    let webhook = try await harness.webhook(receiver.url)
    let subject = Harness.subject()
    try await harness.session(subject, sequences: 1...2)
    let queue = harness.queue(schedule: Harness.schedule(tries: 3, milliseconds: 10))
    try await harness.working(harness.worker(queue)) {
      try await harness.nothingPending()
      // The next of the session followed once the first was given up.
      #expect(receiver.requests.map { member("sequence", of: $0.body) } == ["1", "1", "1", "2", "2", "2"])
      let dead = try await harness.service.deliveries(
        to: webhook.destination.id, state: .dead, PageRequest(number: 0, size: 1), as: harness.principal)
      #expect(dead.totalElements == 2)
      #expect(dead.hasMore)
      let logged = try #require(dead.content.first).logged
      #expect(logged.attempts.count == 3)
      #expect(logged.attempts.first?.responseExcerpt == "no\u{fffd} good")
      works.withLock { $0 = true }
      _ = try await harness.service.resendDelivery(logged.delivery.id, as: harness.principal)
      try await harness.nothingPending()
      let after = try await harness.deliveries(webhook.destination.id)
      #expect(after.count { $0.delivery.state.name == .delivered } == 1)
      #expect(after.first { $0.delivery.id == logged.delivery.id }?.attempts.count == 4)
    }
    #expect(harness.outcomes.all.count { $0 == .dead } == 2)
    #expect(harness.outcomes.all.count { $0 == .failed } == 4)
    await receiver.close()
  }

  /// A delivery is sent again and again while it is being sent: whoever asks for it is never told to come back.
  @Test(.timeLimit(.minutes(2))) func resendingMeetsTheWorker() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in ReceiverAnswer(status: 204) }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...1)
    let queue = harness.queue(schedule: Harness.schedule(tries: 3, milliseconds: 10))
    try await harness.working(harness.worker(queue)) {
      try await harness.nothingPending()
      let id = try #require(try await harness.deliveries(webhook.destination.id).first).delivery.id
      for _ in 0..<200 { _ = try await harness.service.resendDelivery(id, as: harness.principal) }
      try await harness.nothingPending()
      let delivery = try #require(try await harness.deliveries(webhook.destination.id).first)
      #expect(delivery.delivery.state.name == .delivered)
      // It was under way in between, so they did meet.
      #expect(receiver.requests.count > 2)
    }
    await receiver.close()
  }

  @Test func aStallIsCutOffAndTheStatusCounts() async throws {
    let harness = try await Harness()
    let mute = try await Receiver { _ in ReceiverAnswer(delayMilliseconds: 30_000) }
    let stalling = try await Receiver { _ in ReceiverAnswer(stallsAfterHead: true) }
    let ids = [try await harness.webhook(mute.url), try await harness.webhook(stalling.url)].map(\.destination.id)
    try await harness.session(Harness.subject(), sequences: 1...1)
    let queue = harness.queue(schedule: Harness.schedule(tries: 1, milliseconds: 10))
    try await harness.working(harness.worker(queue, tryMilliseconds: 300)) { try await harness.nothingPending() }
    let muteLog = try #require(try await harness.deliveries(ids[0]).first)
    #expect(muteLog.attempts.map(\.result) == [.error(.timedOut)])
    #expect(muteLog.delivery.state.name == .dead)
    let stallingLog = try #require(try await harness.deliveries(ids[1]).first)
    #expect(stallingLog.attempts.map(\.result) == [.status(200)])
    #expect(stallingLog.delivery.state.name == .delivered)
    for receiver in [mute, stalling] { await receiver.close() }
  }

  @Test func ofALongAnswerOnlyTheBeginningIsKept() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in ReceiverAnswer(body: String(repeating: "å", count: 500_000)) }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...1)
    try await harness.working(harness.worker(harness.queue())) { try await harness.nothingPending() }
    let excerpt = try #require(
      try await harness.deliveries(webhook.destination.id).first?.attempts.first?.responseExcerpt)
    #expect(excerpt == String(repeating: "å", count: 512))
    await receiver.close()
  }

  @Test func aClosedPortIsAFailedConnection() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in .ok }
    let webhook = try await harness.webhook(receiver.url)
    await receiver.close()
    try await harness.session(Harness.subject(), sequences: 1...1)
    let queue = harness.queue(schedule: Harness.schedule(tries: 2, milliseconds: 10))
    try await harness.working(harness.worker(queue)) { try await harness.nothingPending() }
    let logged = try #require(try await harness.deliveries(webhook.destination.id).first)
    #expect(logged.attempts.map(\.result) == [.error(.connectionFailed), .error(.connectionFailed)])
  }

  @Test func deletingEndsEverything() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in ReceiverAnswer(status: 500) }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...3)
    try await harness.service.deleteWebhook(webhook.destination.id, as: harness.principal)
    try await harness.working(harness.worker(harness.queue())) { try await Task.sleep(for: .milliseconds(150)) }
    #expect(receiver.requests.isEmpty)
    _ = try await harness.service.forgetExpiredRecords()
    #expect(try await harness.service.pendingCallbacks() == 0)
    await receiver.close()
  }
}

/// Addresses: what is refused, when it is made and when it is connected to.
@Suite struct AddressTests {
  /// Gives the next of its answers each time, and the last for ever.
  private final class Script: HostResolver {
    private let answers: Mutex<[[String]]>
    init(_ answers: [[String]]) { self.answers = Mutex(answers) }

    func addresses(of host: String) async throws -> [VettableAddress] {
      let texts = answers.withLock { $0.count > 1 ? $0.removeFirst() : $0.first ?? [] }
      guard !texts.isEmpty else { throw NameNotResolved() }
      return texts.compactMap { VettableAddress($0) }
    }
  }

  @Test func aNameThatTurnsInwardIsRefusedAtConnect() async throws {
    let receiver = try await Receiver { _ in .ok }
    let harness = try await Harness(resolver: Script([["93.184.216.34"], ["127.0.0.1"]]))
    let webhook = try await harness.webhook("https://rebind.example:\(receiver.port)/hook")
    try await harness.session(Harness.subject(), sequences: 1...1)
    let queue = harness.queue(schedule: Harness.schedule(tries: 2, milliseconds: 10))
    try await harness.working(harness.worker(queue)) { try await harness.nothingPending() }
    let logged = try #require(try await harness.deliveries(webhook.destination.id).first)
    #expect(logged.attempts.map(\.result) == [.error(.addressRefused), .error(.addressRefused)])
    #expect(receiver.requests.isEmpty)
    await receiver.close()
  }

  @Test func theClientConnectsToTheVettedAddressWhateverTheNameMeansNow() async throws {
    let receiver = try await Receiver { _ in .ok }
    let clients = CallbackClients(countMax: 2)
    #expect(await Self.status(of: "no-such-name.invalid", receiver, by: clients) == 200)
    #expect(receiver.requests.first?.headers["host"] == "no-such-name.invalid:\(receiver.port)")
    await clients.shutdown()
    await receiver.close()
  }

  @Test func clientsAreBounded() async throws {
    let receiver = try await Receiver { _ in .ok }
    let clients = CallbackClients(countMax: 2)
    for index in 0..<6 {
      #expect(await Self.status(of: "host\(index).invalid", receiver, by: clients) == 200)
      #expect(clients.count <= 2)
    }
    await clients.shutdown()
    await receiver.close()
  }

  /// What the receiver answers to a request for `host` that goes to 127.0.0.1.
  private static func status(of host: String, _ receiver: Receiver, by clients: CallbackClients) async -> UInt? {
    guard let address = VettableAddress("127.0.0.1") else { return nil }
    return await clients.with(host: host, address: address) { client in
      let request = HTTPClientRequest(url: "http://\(host):\(receiver.port)/")
      return try? await client.execute(request, timeout: .seconds(5)).status.code
    }
  }

  @Test func oneRefusedAddressRefusesTheName() async throws {
    let gate = AddressGate(environment: .production, resolver: Script([["93.184.216.34", "10.0.0.1"]]))
    #expect(await gate.flaw(of: try WebhookURL("https://both.example/")) != nil)
    let fine = AddressGate(environment: .production, resolver: Script([["93.184.216.34", "2606:2800:21f::1"]]))
    #expect(await fine.flaw(of: try WebhookURL("https://both.example/")) == nil)
    #expect(try await fine.address(of: try WebhookURL("https://both.example/")).text == "93.184.216.34")
    let nothing = AddressGate(environment: .production, resolver: Script([]))
    #expect(await nothing.flaw(of: try WebhookURL("https://none.example/")) != nil)
  }

  @Test(arguments: [
    ("http://127.0.0.1:8080/", true), ("http://localhost/", true), ("http://[::1]:9/", true),
    ("http://127.0.0.2/", false), ("http://93.184.216.34/", false), ("https://127.0.0.1/", false),
    ("https://[::ffff:127.0.0.1]/", false), ("https://[fd00::1]/", false), ("https://169.254.169.254/", false),
    ("https://93.184.216.34/", true),
  ]) func thePlaygroundAlsoSendsToThisMachine(_ url: String, isAllowed: Bool) async throws {
    let gate = AddressGate(environment: .playground, resolver: Script([["127.0.0.1", "::1"]]))
    #expect((await gate.flaw(of: try WebhookURL(url)) == nil) == isAllowed)
    let production = AddressGate(environment: .production, resolver: Script([["127.0.0.1"]]))
    #expect((await production.flaw(of: try WebhookURL(url)) == nil) == (url == "https://93.184.216.34/"))
  }

  @Test(arguments: [
    "0.0.0.0", "0.255.0.1", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.255", "169.254.0.1", "169.254.169.254", "172.16.0.0", "172.31.255.255", "192.0.0.1", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "64:ff9b::7f00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:db8::1", "2001:10::1", "2001:20::1", "2002:7f00:1::1", "3fff::1", "3ffe::1", "5f00::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
  ]) func isRefused(_ text: String) throws {
    #expect(!AddressPolicy.isPublic(try #require(VettableAddress(text)).bytes))
  }

  @Test(arguments: [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.1", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2001:200::1", "2606:4700::1111", "2a00:1450::1", "2003::1", "2001:db7::1", "2001:db9::1", "3ffd::1",
  ]) func isPublic(_ text: String) throws {
    #expect(AddressPolicy.isPublic(try #require(VettableAddress(text)).bytes))
  }
}
