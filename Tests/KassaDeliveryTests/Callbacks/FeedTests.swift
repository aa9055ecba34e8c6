import KassaDelivery
import KassaDomain
import KassaStore
import Testing

@testable import KassaService

/// The pull feed, and what queueing costs.
@Suite(.serialized) struct FeedTests {
  @Test func aWalkNeverSkipsAndNeverRepeats() async throws {
    let harness = try await Harness()
    let sessions = (0..<40).map { _ in Harness.subject() }
    async let writing: Void = {
      for sequence in Int64(1)...5 {
        for session in sessions { try await harness.session(session, sequences: sequence...sequence) }
      }
    }()
    var cursor = EventCursor.start
    var seen: [String] = []
    var ids: Set<String> = []
    while seen.count < 200 {
      let page = try await harness.service.events(
        after: cursor, limit: Int.random(in: 1...9), of: harness.merchant)
      for envelope in page.envelopes {
        seen.append(envelope.id.text)
        ids.insert(envelope.id.text)
      }
      #expect(EventCursor(text: page.next.text) == page.next)
      cursor = page.next
    }
    try await writing
    #expect(ids.count == 200)
    let rest = try await harness.service.events(after: cursor, limit: 10, of: harness.merchant)
    #expect(rest.envelopes.isEmpty && !rest.hasMore && rest.next == cursor)
    var whole: [String] = []
    var from = EventCursor.start
    while true {
      let page = try await harness.service.events(after: from, limit: 1000, of: harness.merchant)
      whole += page.envelopes.map(\.id.text)
      from = page.next
      if !page.hasMore { break }
    }
    #expect(whole == seen)
  }

  @Test(arguments: ["", "x", "AAAAAAAAAAAA", "4f__________", "4QAAAAAAAAAB?"]) func otherCursorsAreRefused(
    _ text: String
  ) {
    #expect(EventCursor(text: text) == nil)
  }

  @Test func anotherMerchantsEventsAreNotInTheFeed() async throws {
    let harness = try await Harness()
    try await harness.session(Harness.subject(), sequences: 1...3)
    let other = try await harness.service.createMerchant(name: "Other").merchant.id
    let page = try await harness.service.events(after: .start, limit: 100, of: other)
    #expect(page.envelopes.isEmpty)
  }

  /// Each destination in turn, and none with more than its limit out at a time.
  @Test func claimsAreFair() async throws {
    let harness = try await Harness()
    var ids: [WebhookID] = []
    for index in 0..<4 {
      ids.append(try await harness.webhook("http://127.0.0.1:9/\(index)").destination.id)
    }
    for _ in 0..<20 { try await harness.session(Harness.subject(), sequences: 1...2) }
    let queue = harness.queue(perDestinationMax: 6)
    func counts(_ claimed: [CallbackTry]) -> [Int] {
      ids.map { id in claimed.count { $0.delivery.destinationID == id } }
    }
    let first = try await queue.claim(limit: 8)
    #expect(counts(first) == [2, 2, 2, 2])
    let second = try await queue.claim(limit: 100)
    #expect(counts(second) == [4, 4, 4, 4])
    #expect(try await queue.claim(limit: 100).isEmpty)
    #expect((first + second).allSatisfy { $0.delivery.sequence == 1 })
    #expect(Set((first + second).map(\.delivery.id)).count == 24)
    try await queue.release(try #require(first.first))
    #expect(try await queue.claim(limit: 100).count == 1)
  }

  @Test func oneThatCannotBeSignedHoldsUpNoOther() async throws {
    let harness = try await Harness()
    let sound = try await harness.webhook("http://127.0.0.1:9/").destination
    var generator = SystemRandomNumberGenerator()
    let broken = WebhookDestination(
      id: WebhookID(using: &generator), merchantID: harness.merchant, details: sound.details,
      sealedSecret: Array(repeating: 1, count: 60), createdAt: Harness.clock())
    try await harness.store.write { try $0.webhooks.insert(broken) }
    for _ in 0..<3 { try await harness.session(Harness.subject(), sequences: 1...1) }
    let claimed = try await harness.queue().claim(limit: 100)
    #expect(claimed.map(\.delivery.destinationID) == [sound.id, sound.id, sound.id])

    // Alone it is told of.
    try await harness.service.deleteWebhook(sound.id, as: harness.principal)
    try await harness.session(Harness.subject(), sequences: 1...1)
    await #expect(throws: (any Error).self) { try await harness.queue().claim(limit: 100) }
  }

  /// With one place left each time, every destination gets its turn.
  @Test func smallClaimsGoRound() async throws {
    let harness = try await Harness()
    var ids: [WebhookID] = []
    for index in 0..<3 {
      ids.append(try await harness.webhook("http://127.0.0.1:9/\(index)").destination.id)
    }
    for _ in 0..<20 { try await harness.session(Harness.subject(), sequences: 1...1) }
    let queue = harness.queue()
    var served: [WebhookID] = []
    for _ in 0..<9 {
      let claimed = try await queue.claim(limit: 1)
      served += claimed.map(\.delivery.destinationID)
      try await Task.sleep(for: .milliseconds(3))
    }
    #expect(ids.allSatisfy { id in served.count { $0 == id } == 3 })
  }

  @Test func aReportWithoutALeaseChangesNothing() async throws {
    let harness = try await Harness()
    let webhook = try await harness.webhook("http://127.0.0.1:9/")
    try await harness.session(Harness.subject(), sequences: 1...1)
    let stale = try #require(try await harness.queue(leaseMilliseconds: 1).claim(limit: 1).first)
    try await Task.sleep(for: .milliseconds(20))
    let fresh = try #require(try await harness.queue().claim(limit: 1).first)
    let attempt = CallbackAttempt(at: Harness.clock(), durationMilliseconds: 1, result: .status(200))
    #expect(try await harness.queue().finish(stale, attempt, retryAfterSeconds: nil) == .leaseLost)
    #expect(try await harness.deliveries(webhook.destination.id).first?.attempts.isEmpty == true)
    let outcome = try await harness.queue().finish(fresh, attempt, retryAfterSeconds: nil)
    guard case .acknowledged = outcome else { throw Unexpected(what: "\(outcome)") }
    #expect(try await harness.queue().finish(fresh, attempt, retryAfterSeconds: nil) == .leaseLost)
  }

  @Test func webhooksAreLimitedPerMerchantAndTheirEventsAreAudited() async throws {
    let harness = try await Harness()
    for index in 0..<Limits.webhooksPerMerchantMax { _ = try await harness.webhook("http://127.0.0.1:9/\(index)") }
    await #expect(throws: ServiceFailure.self) { _ = try await harness.webhook("http://127.0.0.1:9/more") }
    let audit = try await harness.service.auditEntries(before: nil, size: 100, as: harness.principal)
    #expect(audit.entries.count { $0.event.type == .webhookCreated } == Limits.webhooksPerMerchantMax)
  }

  @Test func finishedDeliveriesAndTheirLogAreForgotten() async throws {
    let harness = try await Harness()
    let webhook = try await harness.webhook("http://127.0.0.1:9/")
    try await harness.session(Harness.subject(), sequences: 1...1)
    let claimed = try #require(try await harness.queue().claim(limit: 1).first)
    let attempt = CallbackAttempt(at: Harness.clock(), durationMilliseconds: 1, result: .status(200))
    _ = try await harness.queue().finish(claimed, attempt, retryAfterSeconds: nil)
    _ = try await harness.service.forgetExpiredRecords()
    #expect(try await harness.deliveries(webhook.destination.id).count == 1)
    let later = Harness.clock().adding(seconds: 1)
    let rows = try await harness.service.store.write { try $0.deliveries.forget(before: later, limit: 100) }
    #expect(rows == 2)
    #expect(try await harness.deliveries(webhook.destination.id).isEmpty)
  }
}
