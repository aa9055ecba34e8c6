import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import Testing

@Suite(.serialized) struct CancelRaceTests {
  /// Exactly one end, told once; the network's book agrees; and both callers heard what became of it.
  @Test func cancelAgainstTapTenThousandTimes() async throws {
    let shop = try await Shop()
    let race = try CancelRace(shop)
    let tally = try await race.run(on: try await shop.pair(250), rounds: 40)
    print("cancel against tap: \(tally.finalized) finalized, \(tally.cancelled) cancelled")
    #expect(tally.violations.isEmpty, "\(tally.violations.count): \(tally.violations.prefix(5))")
    #expect(tally.finalized + tally.cancelled == 10_000)
    // A race that one side always wins races nothing.
    #expect(tally.finalized > 1000 && tally.cancelled > 1000)
    #expect(try await shop.cards.netCharged() == Int64(tally.finalized) * 100)
    await shop.close()
  }

  /// The control: without the guards of the store, the same race must be seen to fail.
  @Test func withoutTheGuardsTheRaceIsLost() async throws {
    let shop = try await Shop(around: { UnguardedStore($0) })
    let tally = try await CancelRace(shop).run(on: try await shop.pair(480), rounds: 1)
    print("without guards: \(tally.violations.count) violations in 480 races, such as \(tally.violations.prefix(3))")
    #expect(tally.violations.contains { $0.contains("terminal events") || $0.contains("charged") })
    await shop.close()
  }

  /// The pure ledger of the exploration is the simulated network: every state and every call, and what it then answers.
  @Test(arguments: CardLedger.State.allCases, CardLedger.Operation.allCases)
  func theLedgerIsThatOfTheNetwork(state: CardLedger.State, operation: CardLedger.Operation) async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (session, id) = try await shop.awaiting(on: device)
    let payment = try #require(try await shop.view(session).payments.first)
    // Every state but `absent` is reached from the one that the attempt began with.
    let stranger = Make.payment(try Make.id(9), of: try Make.session())
    let charge = Make.charge(state == .absent ? stranger : payment, of: try await shop.session(session))
    switch state {
    case .absent, .primed: break
    case .tappedToPay: #expect(try await shop.cards.tap(id, .success))
    case .tappedToDecline: #expect(try await shop.cards.tap(id, .declined(.lostCard)))
    case .charged, .refunded:
      #expect(try await shop.cards.tap(id, .success))
      _ = await shop.cards.settle(charge)
      if state == .refunded { _ = await shop.cards.reverse(charge) }
    case .declined:
      #expect(try await shop.cards.tap(id, .declined(.lostCard)))
      _ = await shop.cards.settle(charge)
    case .voided: _ = await shop.cards.cancel(charge)
    }
    var model = CardLedger(state: state)
    for _ in 0..<2 {
      #expect(await reply(shop.cards, operation, charge) == model.take(operation))
      #expect(Self.state(try await shop.charge(charge.paymentID)) == model.state)
    }
    #expect(try await shop.cards.tap(charge.paymentID, .success) == model.tap(pays: true))
    await shop.close()
  }

  private func reply(
    _ cards: SimulatedCardProvider, _ operation: CardLedger.Operation, _ charge: Charge
  ) async -> CardLedger.Reply? {
    let answer: ProviderAnswer
    switch operation {
    case .start: answer = await cards.start(charge).answer
    case .settle: answer = await cards.settle(charge).answer
    case .cancel: answer = await cards.cancel(charge).answer
    case .query: answer = await cards.query(charge).answer
    case .refund:
      switch await cards.reverse(charge).answer {
      case .done: return .refunded
      case .refused: return .refundRefused
      case .unknown, .pending: return nil
      }
    }
    switch answer {
    case .paid: return .paid
    case .notPaid: return .notPaid
    case .pending: return .pending
    case .unknown: return nil
    }
  }

  private static func state(_ charge: SimulatedCharge?) -> CardLedger.State {
    guard let charge else { return .absent }
    switch (charge.state, charge.tapped) {
    case (.primed, nil): return .primed
    case (.primed, .success): return .tappedToPay
    case (.primed, .declined): return .tappedToDecline
    case (.charged, _): return .charged
    case (.declined, _): return .declined
    case (.voided, _): return .voided
    case (.refunded, _): return .refunded
    }
  }
}
