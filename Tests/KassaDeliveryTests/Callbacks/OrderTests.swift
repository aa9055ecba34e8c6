import KassaDelivery
import KassaDomain
import KassaService
import KassaStore
import ServiceLifecycle
import Synchronization
import Testing

/// Contract, section 8: at least once, and per session in order, whatever fails.
@Suite(.serialized) struct OrderTests {
  private static let sessions = 12
  private static let lastSequence: Int64 = 6
  private static let destinations = 3

  /// Fails every third request, but not the same event always.
  private static func flaky() async throws -> Receiver {
    try await Receiver { request in request.index % 3 == 1 ? ReceiverAnswer(status: 500) : .ok }
  }

  /// Sends all sessions' events to several flaky receivers with `makeSource`, and returns what is wrong with each.
  private func flaws(_ makeSource: (Harness, [WebhookWithSecret]) -> any CallbackSource) async throws -> [String] {
    let harness = try await Harness()
    var receivers: [Receiver] = []
    var webhooks: [WebhookWithSecret] = []
    for _ in 0..<Self.destinations {
      let receiver = try await Self.flaky()
      receivers.append(receiver)
      webhooks.append(try await harness.webhook(receiver.url))
    }
    let all = receivers
    let sessions = (0..<Self.sessions).map { _ in Harness.subject() }
    try await harness.working(harness.worker(makeSource(harness, webhooks))) {
      for session in sessions { try await harness.session(session, sequences: 1...Self.lastSequence) }
      let expected = Self.sessions * Int(Self.lastSequence)
      try await eventually("everything is acknowledged") {
        all.allSatisfy { receiver in
          let acknowledged = receiver.log.compactMap { entry -> String? in
            if case .answered(let request, 200) = entry { request.headers["webhook-id"] } else { nil }
          }
          return Set(acknowledged).count == expected
        }
      }
    }
    let logs = receivers.map(\.log)
    for receiver in receivers { await receiver.close() }
    return logs.flatMap { orderFlaws($0, sessions: sessions, lastSequence: Self.lastSequence) }
  }

  @Test func everySessionArrivesInOrderAtEveryDestination() async throws {
    let flaws = try await flaws { harness, _ in harness.queue() }
    #expect(flaws.isEmpty, "\(flaws.prefix(5))")
  }

  /// The control: without the rule that only a chain's head may be tried, the same harness must find fault.
  @Test func withoutChainHeadsTheHarnessFindsFault() async throws {
    let flaws = try await flaws { harness, webhooks in HeadlessQueue(harness: harness, webhooks: webhooks) }
    #expect(flaws.contains { $0.contains("was sent when") })
  }

  @Test func aSlowDestinationDoesNotHoldUpAFastOne() async throws {
    let harness = try await Harness()
    // It holds what it got before the fast one had all for longer than that can take, and then answers at once.
    let fastHasAll = Atomic(false)
    let slow = try await Receiver { _ in
      ReceiverAnswer(delayMilliseconds: fastHasAll.load(ordering: .relaxed) ? 0 : 12_000)
    }
    let fast = try await Receiver { _ in .ok }
    _ = try await harness.webhook(slow.url)
    _ = try await harness.webhook(fast.url)
    let sessions = (0..<60).map { _ in Harness.subject() }
    for session in sessions { try await harness.session(session, sequences: 1...1) }
    try await harness.working(harness.worker(harness.queue())) {
      try await eventually("the fast one has all") { fast.requests.count == sessions.count }
      let answered = slow.log.count { if case .answered = $0 { true } else { false } }
      #expect(answered == 0, "the fast destination waited for \(answered) answers of the slow one")
      #expect(slow.requests.count <= 8, "the slow destination had \(slow.requests.count) tries at once")
      fastHasAll.store(true, ordering: .relaxed)
      try await harness.nothingPending()
    }
    // At least once: what it held for longer than a try may take came to it again.
    #expect(Set(slow.requests.map { $0.headers["webhook-id"] }).count == sessions.count)
    for receiver in [slow, fast] { await receiver.close() }
  }

  @Test func aFailingSessionDoesNotHoldUpAnother() async throws {
    let harness = try await Harness()
    let stuck = Harness.subject()
    let receiver = try await Receiver { request in
      request.body.contains("\(stuck)") ? ReceiverAnswer(status: 503) : .ok
    }
    let webhook = try await harness.webhook(receiver.url)
    let other = Harness.subject()
    try await harness.session(stuck, sequences: 1...3)
    try await harness.session(other, sequences: 1...3)
    try await harness.working(harness.worker(harness.queue(schedule: Harness.schedule(tries: 500, milliseconds: 200))))
    {
      try await eventually("the other session is through") {
        try await harness.deliveries(webhook.destination.id)
          .filter { $0.delivery.subjectID == other && $0.delivery.state.name == .delivered }.count == 3
      }
    }
    let sent = receiver.requests.filter { $0.body.contains("\(stuck)") }
    #expect(!sent.isEmpty)
    #expect(sent.allSatisfy { member("sequence", of: $0.body) == "1" })
    await receiver.close()
  }

  /// A worker that crashes leaves leases behind, some before sending and some between the answer and its report.
  @Test func anotherWorkerTakesOverWhatACrashedOneLeft() async throws {
    let harness = try await Harness()
    let receiver = try await Self.flaky()
    _ = try await harness.webhook(receiver.url)
    let sessions = (0..<Self.sessions).map { _ in Harness.subject() }
    for session in sessions { try await harness.session(session, sequences: 1...Self.lastSequence) }

    let unsent = try await harness.queue(leaseMilliseconds: 400, perDestinationMax: 3).claim(limit: 3)
    #expect(unsent.count == 3)
    let crashing = CrashingQueue(base: harness.queue(leaseMilliseconds: 400), reportsUntilCrash: 10)
    try await harness.working(harness.worker(crashing, tryMilliseconds: 200, leaseMilliseconds: 400)) {
      try await eventually("the crash") { crashing.hasCrashed }
    }
    let before = receiver.requests.count
    try await harness.working(
      harness.worker(harness.queue(leaseMilliseconds: 400), tryMilliseconds: 200, leaseMilliseconds: 400)
    ) {
      try await harness.nothingPending()
    }
    #expect(receiver.requests.count > before)
    let flaws = orderFlaws(receiver.log, sessions: sessions, lastSequence: Self.lastSequence)
    #expect(flaws.isEmpty, "\(flaws.prefix(5))")
    await receiver.close()
  }

  @Test func twoWorkersShareWithoutDisorder() async throws {
    let harness = try await Harness()
    let receiver = try await Self.flaky()
    _ = try await harness.webhook(receiver.url)
    let sessions = (0..<Self.sessions).map { _ in Harness.subject() }
    try await harness.working(harness.worker(harness.queue())) {
      try await harness.working(harness.worker(harness.queue())) {
        for session in sessions { try await harness.session(session, sequences: 1...Self.lastSequence) }
        try await harness.nothingPending()
      }
    }
    let flaws = orderFlaws(receiver.log, sessions: sessions, lastSequence: Self.lastSequence)
    #expect(flaws.isEmpty, "\(flaws.prefix(5))")
    await receiver.close()
  }

  @Test func gracefulShutdownFinishesWhatIsUnderWay() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { _ in ReceiverAnswer(delayMilliseconds: 300) }
    let webhook = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...2)
    let group = ServiceGroup(
      configuration: .init(services: [harness.worker(harness.queue())], logger: .init(label: "test")))
    async let running: Void = group.run()
    try await eventually("the first try") { receiver.requests.count == 1 }
    await group.triggerGracefulShutdown()
    try await running
    let states = try await harness.deliveries(webhook.destination.id).sorted {
      $0.delivery.sequence < $1.delivery.sequence
    }.map(\.delivery.state.name)
    #expect(states == [.delivered, .pending])
    #expect(receiver.requests.count == 1)
    await receiver.close()
  }

  /// A cancelled worker gives its leases back, so that another need not wait for their end.
  @Test func cancellingGivesLeasesBack() async throws {
    let harness = try await Harness()
    let receiver = try await Receiver { request in
      request.index == 0 ? ReceiverAnswer(delayMilliseconds: 60_000) : .ok
    }
    _ = try await harness.webhook(receiver.url)
    try await harness.session(Harness.subject(), sequences: 1...1)
    let queue = harness.queue(leaseMilliseconds: 120_000)
    try await harness.working(harness.worker(queue, tryMilliseconds: 60_000, leaseMilliseconds: 120_000)) {
      try await eventually("the first try") { receiver.requests.count == 1 }
    }
    try await harness.working(harness.worker(queue)) { try await harness.nothingPending() }
    #expect(receiver.requests.count == 2)
    await receiver.close()
  }
}

/// A source that loses whatever happens after so many reports, as a process does that is killed.
private final class CrashingQueue: CallbackSource {
  private struct Crashed: Error {}

  private let base: CallbackQueue
  private let left: Mutex<Int>

  init(base: CallbackQueue, reportsUntilCrash: Int) {
    self.base = base
    left = Mutex(reportsUntilCrash)
  }

  var hasCrashed: Bool { left.withLock { $0 < 0 } }

  func claim(limit: Int) async throws -> [CallbackTry] {
    if hasCrashed { throw Crashed() }
    return try await base.claim(limit: limit)
  }

  func finish(
    _ callback: CallbackTry, _ attempt: CallbackAttempt, retryAfterSeconds: Int64?
  ) async throws -> CallbackOutcome {
    let crashes = left.withLock { left in
      left -= 1
      return left < 0
    }
    if crashes { throw Crashed() }
    return try await base.finish(callback, attempt, retryAfterSeconds: retryAfterSeconds)
  }

  func release(_ callback: CallbackTry) async throws { throw Crashed() }
}

/// A claim without the rule of chain heads: hands out every event at once, and again what failed.
private final class HeadlessQueue: CallbackSource {
  private struct State {
    var cursor = EventCursor.start
    var waiting: [CallbackTry] = []
  }

  private let harness: Harness
  private let webhooks: [WebhookWithSecret]
  private let state = Mutex(State())

  init(harness: Harness, webhooks: [WebhookWithSecret]) {
    self.harness = harness
    self.webhooks = webhooks
  }

  func claim(limit: Int) async throws -> [CallbackTry] {
    let cursor = state.withLock { $0.cursor }
    let page = try await harness.service.events(after: cursor, limit: 1000, of: harness.merchant)
    return state.withLock { state in
      state.cursor = page.next
      for envelope in page.envelopes {
        for webhook in webhooks {
          state.waiting.append(
            CallbackTry(
              delivery: CallbackDelivery(
                id: Harness.subject().of(CallbackDelivery.self), merchantID: harness.merchant,
                destinationID: webhook.destination.id, subjectID: Harness.subject(), sequence: 1,
                createdAt: envelope.at), envelope: envelope, url: webhook.destination.details.url,
              secrets: [webhook.secret]))
        }
      }
      let taken = Array(state.waiting.prefix(min(limit, 24)))
      state.waiting.removeFirst(taken.count)
      return taken
    }
  }

  func finish(
    _ callback: CallbackTry, _ attempt: CallbackAttempt, retryAfterSeconds: Int64?
  ) async throws -> CallbackOutcome {
    if attempt.isAcknowledged { return .acknowledged(lagMilliseconds: 0) }
    state.withLock { $0.waiting.append(callback) }
    return .failed
  }

  func release(_ callback: CallbackTry) async throws { state.withLock { $0.waiting.append(callback) } }
}
