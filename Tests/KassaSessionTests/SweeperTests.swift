import KassaDelivery
import KassaDomain
import KassaProviders
import KassaService
import KassaTestDatabases
import Logging
import Synchronization
import Testing

/// What runs by itself, as the server runs it.
@Suite(.serialized) struct SweeperTests {
  /// More attempts by card than are looked after at once wait for a network that says nothing. Sessions end, and money that
  /// came by another method is found, all the same; and those by card are ended once it speaks again.
  @Test(.timeLimit(.minutes(2))) func aSilentProviderHoldsUpNothingElse() async throws {
    let clock = TestClock()
    let network = ScanNetwork { clock.now }
    let silence = Silence()
    let shop = try await Shop(
      answerSeconds: 600, clock: clock, scans: network, before: { SilentProvider(base: $0, silence: silence) })
    var byCard: [SessionID] = []
    for device in try await shop.pair(Limits.outcomeChecksAtOnceMax + 1) {
      byCard.append(try await shop.awaiting(on: device).session)
    }
    let device = try await shop.pair()
    let scanned = try await shop.create(on: device)
    let payment = try await shop.service.startPayment(.swish, of: scanned, as: .device(device)).payment
    #expect(await network.buyer(.approve, of: try await shop.service.charge(of: payment)))
    clock.advance(seconds: Limits.sessionSeconds + 1)
    #expect(try await shop.service.expireSessions() == byCard.count + 1)
    let unpaid = try await shop.create(on: try await shop.pair())

    let sweeper = Task {
      try await Sweeper(service: shop.service, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }).run()
    }
    try await wait { silence.callers == Limits.outcomeChecksAtOnceMax }
    try await wait { try await shop.session(scanned).state.name == .finalized }
    clock.advance(seconds: Limits.sessionSeconds + 1)
    try await wait { try await shop.session(unpaid).state == .expired }
    // They are still being waited for, by as many as may.
    #expect(silence.callers == Limits.outcomeChecksAtOnceMax)
    for session in byCard { #expect(try await shop.session(session).state.name == .active) }

    silence.end()
    for session in byCard { try await wait { try await shop.session(session).state == .expired } }
    sweeper.cancel()
    try await sweeper.value
    try await shop.rest()
    await shop.close()
  }

  /// A call that takes long holds up only itself: what becomes due meanwhile, by the same method, is looked after.
  @Test(.timeLimit(.minutes(2))) func aSilentCallHoldsUpNoOther() async throws {
    let silence = Silence()
    let shop = try await Shop(answerSeconds: 600, before: { SilentProvider(base: $0, silence: silence) })
    let first = try await shop.awaiting(on: try await shop.pair())
    let sweeper = Task {
      try await Sweeper(service: shop.service, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }).run()
    }
    // It times out, and its cancel is not answered.
    shop.clock.advance(seconds: Limits.primedSecondsMax + 1)
    try await wait { silence.callers == 1 }
    let second = try await shop.awaiting(on: try await shop.pair())
    shop.clock.advance(seconds: Limits.primedSecondsMax + 1)
    try await wait { silence.callers > 1 }
    silence.end()
    for session in [first.session, second.session] {
      try await wait { try await shop.session(session).state == .active(nil) }
    }
    sweeper.cancel()
    try await sweeper.value
    await shop.close()
  }

  /// What nobody swept yet is over all the same: nothing can be chosen any more, and it is too late to cancel.
  @Test func aSessionIsOverWhenItsTimeComes() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let id = try await shop.create(on: device)
    #expect(try await shop.view(id).methods == [.card])
    shop.clock.advance(seconds: Limits.sessionSeconds)
    #expect(try await shop.view(id).methods == [])
    #expect(try await failure { _ = try await shop.service.cancelSession(id, as: shop.merchant) } == "sessionOver")
    #expect(try await shop.session(id).state == .expired)
    #expect(try await shop.service.expireSessions() == 0)
    await shop.close()
  }

  private func wait(
    until holds: () async throws -> Bool, at location: SourceLocation = #_sourceLocation
  ) async throws {
    for _ in 0..<2000 {
      if try await holds() { return }
      try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("it did not come about", sourceLocation: location)
  }
}

/// Who waits for an answer.
private final class Silence: Sendable {
  private struct State {
    var isOver = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  var callers: Int { state.withLock { $0.waiting.count } }

  func last() async {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        if !state.isOver { state.waiting.append(continuation) }
        return state.isOver
      }
      if isOver { continuation.resume() }
    }
  }

  func end() {
    let waiting = state.withLock { state in
      defer { state.waiting = [] }
      state.isOver = true
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// Answers no cancel while there is silence.
private struct SilentProvider: PassingProvider {
  let base: any PaymentProvider
  let silence: Silence

  func cancel(_ charge: Charge) async -> ProviderReport {
    await silence.last()
    return await base.cancel(charge)
  }
}
