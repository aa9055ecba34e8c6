import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import Testing

@Suite(.serialized) struct ProviderRaces {
  private struct Outcome {
    let session: SessionID
    let state: Session.StateName
    let violation: String?
  }

  /// Each session is approved and cancelled at the same moment. Exactly one end, both callers heard it, and the books
  /// agree in the sum.
  @Test(.timeLimit(.minutes(5)), arguments: ProviderHarness.all)
  func cancelAgainstApprovalAThousandTimes(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let outcomes = try await race(shop, tills: 25, rounds: 40)
      let finalized = outcomes.count { $0.state == .finalized }
      let cancelled = outcomes.count { $0.state == .cancelled }
      print("\(harness.name): cancel against approval: \(finalized) finalized, \(cancelled) cancelled")
      #expect(finalized + cancelled == 1000)
      // A race that one side always wins races nothing.
      #expect(finalized > 50 && cancelled > 50)
      let violations = outcomes.compactMap(\.violation)
      #expect(violations.isEmpty, "\(violations.count): \(violations.prefix(5))")
      try await shop.rest()
      try await shop.expectAgreement(outcomes.map(\.session))
      #expect(
        shop.emulator.world.ledger.netTaken[harness.currency] ?? 0 == Int64(finalized) * ProviderShop.amount)
    }
  }

  /// The control: with an adapter that does not read what became of a cancellation the same race must be seen to fail.
  @Test(.timeLimit(.minutes(2)), arguments: ProviderHarness.all)
  func anAdapterThatBelievesItselfLosesTheRace(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness, isCareless: true) { shop in
      let outcomes = try await race(shop, tills: 25, rounds: 4)
      try await shop.rest()
      let held = shop.emulator.payments().reduce(0) { $0 + $1.held }
      let taken = shop.emulator.world.ledger.netTaken[harness.currency] ?? 0
      let booked = try await shop.booked(outcomes.map(\.session))
      print("\(harness.name), careless: \(held) still reserved, \(taken) taken, \(booked) booked")
      #expect(held > 0 || taken != booked)
    }
  }

  private func race(_ shop: ProviderShop, tills: Int, rounds: Int) async throws -> [Outcome] {
    var devices: [DevicePrincipal] = []
    for _ in 0..<tills { devices.append(try await shop.pair()) }
    var outcomes: [Outcome] = []
    for round in 0..<rounds {
      try await withThrowingTaskGroup(of: Outcome.self) { group in
        for (index, device) in devices.enumerated() {
          group.addTask { try await one(shop, device, waits: (round + index) % 8) }
        }
        for try await outcome in group { outcomes.append(outcome) }
      }
    }
    return outcomes
  }

  private func one(_ shop: ProviderShop, _ device: DevicePrincipal, waits: Int) async throws -> Outcome {
    let (session, payment) = try await shop.awaiting(on: device)
    async let approved: Bool = {
      for _ in 0..<waits { try await shop.store.checkWritable() }
      return shop.buyer(.approve, payment) == nil
    }()
    async let cancelled: Bool = {
      do {
        return try await shop.service.cancelSession(session, as: shop.merchant).session.state.name == .cancelled
      } catch ServiceFailure.sessionFinalized {
        return false
      }
    }()
    let (wasApproved, wasCancelled) = (try await approved, try await cancelled)
    let state = try await shop.state(session)
    var violation: String?
    if wasCancelled != (state == .cancelled) { violation = "the canceller heard \(wasCancelled), and it is \(state)" }
    // The buyer saw it approved: then it is paid, or given back.
    if !wasApproved && state == .finalized { violation = "nobody approved, and it is paid" }
    return Outcome(session: session, state: state, violation: violation)
  }

  /// Eight want 40 % back of what was captured once: two get it.
  @Test(arguments: ProviderHarness.all) func refundAgainstRefund(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.approve, payment) == nil)
      _ = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      let order = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.id
      let done = try await withThrowingTaskGroup(of: Bool.self) { group in
        for _ in 0..<8 {
          group.addTask {
            do {
              let wanted = MoveMoney(amount: ProviderShop.amount * 4 / 10, reference: nil, description: nil)
              return try await shop.service.refund(wanted, of: order, as: shop.backend).movement.state.name != .refused
            } catch ServiceFailure.notAllowed {
              return false
            }
          }
        }
        return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
      }
      #expect(done == 2)
      try await shop.rest()
      try await shop.expectAgreement([session])
      #expect(shop.emulator.world.ledger.netTaken[harness.currency] == ProviderShop.amount / 5)
    }
  }
}
