import KassaAPI
import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import Synchronization

/// What a playground has that production has not: a simulated card network, and a clock that can be moved.
package struct PlaygroundParts: Sendable {
  let cards: SimulatedCardProvider
  let clock = MovableClock()

  package init(store: any Store) { cards = SimulatedCardProvider(store: store) }

  /// Lets the card network tell the service what it was not asked.
  func connect(_ service: KassaService) {
    cards.whenToldAgain { charge, report in await service.hearAgain(report, charge) }
  }

  var controls: PlaygroundControls {
    let (cards, clock) = (cards, clock)
    return PlaygroundControls(
      cards: cards, cardOperations: SimulatedCardProvider.Operation.allCases.map(\.rawValue),
      cardFaults: SimulatedCardProvider.Fault.allCases.map(\.rawValue),
      planCardFault: { operation, fault, count, delayMilliseconds in
        guard let operation = SimulatedCardProvider.Operation(rawValue: operation),
          let fault = SimulatedCardProvider.Fault(rawValue: fault)
        else { return false }
        return cards.plan(fault, for: operation, count: count, delayMilliseconds: delayMilliseconds)
      },
      advanceClock: clock.advance(seconds:), clockOffsetSeconds: { clock.offsetSeconds })
  }
}

/// The machine's clock, moved forward. Never back: what expired stays expired.
final class MovableClock: Sendable {
  private let offsetMilliseconds = Atomic<Int64>(0)

  @Sendable func now() -> Timestamp {
    SystemClock.now().adding(milliseconds: offsetMilliseconds.load(ordering: .relaxed))
  }

  @Sendable func advance(seconds: Int64) { offsetMilliseconds.add(seconds * 1000, ordering: .relaxed) }

  var offsetSeconds: Int64 { offsetMilliseconds.load(ordering: .relaxed) / 1000 }
}
