import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import KassaTestDatabases
import Synchronization
import Testing

/// What is told of attempts whose outcome is open, and of money that comes too late.
@Suite(.serialized) struct NoticeTests {
  @Test func anOutcomeThatIsNotKnownIsToldWithTheProvidersWords() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let attempt = try await shop.awaiting(on: device)
    #expect(shop.cards.plan(.loseAnswer, for: .settle, count: 1, delayMilliseconds: 0))
    #expect(shop.cards.plan(.unreachable, for: .query, count: 2, delayMilliseconds: 0))
    let answered = try await shop.pay(attempt.payment, of: attempt.session, as: device)
    #expect(answered.payment.state == .unknown)
    let waiting = try await shop.service.unsettledPayments()
    #expect(waiting.unknown.count == 1 && waiting.unknown.oldestCreatedAt == answered.payment.createdAt)
    #expect(waiting.reversing == UnsettledPayments(count: 0, oldestCreatedAt: nil, checksMax: 0))

    for _ in 0..<3 {
      shop.clock.advance(seconds: Limits.outcomeCheckSecondsMax)
      _ = try await shop.service.reconcilePayments()
    }
    let lost = "unknown: the simulated card network cannot be reached"
    #expect(shop.notices.words == ["unknown: the answer was lost", lost, lost, "settled"])
    #expect(shop.notices.all.allSatisfy { $0.payment.id == attempt.payment })
    // Each time it was asked once more.
    let checks = shop.notices.all.compactMap { notice in
      if case .unknown = notice.what { notice.payment.checks } else { nil }
    }
    #expect(checks == [0, 1, 2])
    #expect(try await shop.service.unsettledPayments().unknown.count == 0)
    #expect(try await shop.session(attempt.session).state.name == .finalized)
    await shop.close()
  }

  /// A provider that will not give late money back is asked less and less often, each refusal is told, and the money is
  /// still given back once it can be.
  @Test func aRefusedReversalIsToldAndAskedForMoreSlowly() async throws {
    let refusals = 4
    let refusing = Mutex<RefusingProvider?>(nil)
    let shop = try await Shop(before: { cards in
      let provider = RefusingProvider(cards, refusals: refusals)
      refusing.withLock { $0 = provider }
      return provider
    })
    let provider = try #require(refusing.withLock { $0 })
    let device = try await shop.pair()
    let attempt = try await shop.awaiting(on: device)
    // Nobody can be asked for more than a day: the session is given up, and then the money is found.
    #expect(shop.cards.plan(.loseAnswer, for: .settle, count: 1, delayMilliseconds: 0))
    #expect(shop.cards.plan(.unreachable, for: .query, count: 2, delayMilliseconds: 0))
    #expect(shop.cards.plan(.unreachable, for: .cancel, count: 2, delayMilliseconds: 0))
    _ = try await shop.pay(attempt.payment, of: attempt.session, as: device)
    for _ in 0..<5 where try await shop.session(attempt.session).state.name != .failed {
      shop.clock.advance(seconds: Limits.outcomeUnknownSecondsMax / 2)
      _ = try await shop.service.expireSessions()
      _ = try await shop.service.reconcilePayments()
    }
    #expect(try await shop.session(attempt.session).state == .failed(.outcomeUnknown))

    // A look every ten seconds, as a sweeper would; what counts is when the provider is asked.
    var askedAt: [Int64] = []
    for second in stride(from: Int64(0), to: 6 * 3600, by: 10) {
      shop.clock.advance(seconds: 10)
      let before = provider.reversals
      _ = try await shop.service.reconcilePayments()
      if provider.reversals > before { askedAt.append(second) }
      if provider.reversals == 2, before == 1 {
        let waiting = try await shop.service.unsettledPayments().reversing
        #expect(waiting.count == 1 && waiting.checksMax == 1)
      }
    }
    #expect(provider.reversals == refusals + 1, "asked at \(askedAt)")
    let pauses = zip(askedAt.dropFirst(), askedAt).map { $0 - $1 }
    for (number, pause) in pauses.enumerated() {
      #expect(pause >= Limits.reversalRefusedPauseSeconds(after: number), "asked at \(askedAt)")
    }
    #expect(pauses == pauses.sorted() && (pauses.last ?? 0) >= 2400, "asked at \(askedAt)")
    let told = shop.notices.words.drop { $0 != "late money" }
    let refused = Array(repeating: "refused: the account is empty", count: refusals)
    #expect(Array(told) == ["late money"] + refused + ["given back"])
    #expect(shop.notices.words.contains("given up"))
    #expect(try await shop.service.unsettledPayments().reversing.count == 0)
    #expect(try await shop.cards.netCharged() == 0)
    #expect(try await shop.view(attempt.session).payments.map(\.state) == [.reversed])
    await shop.close()
  }

  /// Attempts of sessions whose time has come are ended side by side: a provider that takes long holds up a few, not all.
  @Test(.timeLimit(.minutes(2))) func attemptsAreEndedSideBySide() async throws {
    let gathering = Mutex<GatheringProvider?>(nil)
    let shop = try await Shop(before: { cards in
      let provider = GatheringProvider(cards, parties: Limits.outcomeChecksAtOnceMax)
      gathering.withLock { $0 = provider }
      return provider
    })
    let provider = try #require(gathering.withLock { $0 })
    let devices = try await shop.pair(Limits.outcomeChecksAtOnceMax + 4)
    var sessions: [SessionID] = []
    for device in devices { sessions.append(try await shop.awaiting(on: device).session) }
    shop.clock.advance(seconds: Limits.sessionSeconds + 1)
    #expect(try await shop.service.expireSessions() == devices.count)
    #expect(try await shop.service.reconcilePayments() == devices.count)
    // One after the other they would never have met, and none would have been ended by its provider's word.
    for session in sessions { #expect(try await shop.session(session).state.name == .expired) }
    #expect(provider.atOnceMax == Limits.outcomeChecksAtOnceMax)
    await shop.close()
  }
}

/// Refuses to give money back, some times.
private final class RefusingProvider: PassingProvider {
  let base: any PaymentProvider
  private let refusals: Int
  private let asked = Atomic<Int>(0)

  init(_ base: any PaymentProvider, refusals: Int) {
    self.base = base
    self.refusals = refusals
  }

  var reversals: Int { asked.load(ordering: .relaxed) }

  func reverse(_ charge: Charge) async -> MovementReport {
    let before = asked.add(1, ordering: .relaxed).oldValue
    return before < refusals ? MovementReport(.refused("the account is empty")) : await base.reverse(charge)
  }
}

/// Answers to nobody before so many have asked it to cancel at the same time.
private final class GatheringProvider: PassingProvider {
  private struct State {
    var inside = 0
    var atOnceMax = 0
    var isOpen = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  let base: any PaymentProvider
  private let parties: Int
  private let state = Mutex(State())

  init(_ base: any PaymentProvider, parties: Int) {
    self.base = base
    self.parties = parties
  }

  var atOnceMax: Int { state.withLock { $0.atOnceMax } }

  func cancel(_ charge: Charge) async -> ProviderReport {
    await withCheckedContinuation { continuation in
      let released: [CheckedContinuation<Void, Never>] = state.withLock { state in
        state.inside += 1
        state.atOnceMax = max(state.atOnceMax, state.inside)
        state.waiting.append(continuation)
        if state.inside >= parties { state.isOpen = true }
        guard state.isOpen else { return [] }
        defer { state.waiting = [] }
        return state.waiting
      }
      for continuation in released { continuation.resume() }
    }
    defer { state.withLock { $0.inside -= 1 } }
    return await base.cancel(charge)
  }
}
