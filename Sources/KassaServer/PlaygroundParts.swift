import KassaAPI
import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import Synchronization

/// What a playground has that production has not: a simulated card network, emulators of providers, and a clock that can be moved.
package struct PlaygroundParts: Sendable {
  let cards: SimulatedCardProvider
  let clock = MovableClock()
  private let emulated: [EmulatedMethod]
  private let moveEmulators: @Sendable (_ seconds: Int64) -> Void

  package init(
    store: any Store, emulated: [EmulatedMethod] = [],
    moveEmulators: @escaping @Sendable (_ seconds: Int64) -> Void = { _ in }
  ) {
    self.moveEmulators = moveEmulators
    cards = SimulatedCardProvider(store: store)
    self.emulated = emulated
  }

  /// What every merchant has without entering anything.
  var builtInMethods: [BuiltInMethod] {
    [BuiltInMethod(provider: .simulated, method: .card)] + emulated.map(\.method)
  }

  var buyers: [PaymentMethod: any BuyerSimulator] {
    emulated.reduce(into: [:]) { $0[$1.method.method] = $1.buyer }
  }

  /// Lets the card network tell the service what it was not asked.
  func connect(_ service: KassaService) {
    cards.whenToldAgain { charge, report in await service.hearAgain(report, charge) }
  }

  var controls: PlaygroundControls {
    let (cards, clock, moveEmulators) = (cards, clock, moveEmulators)
    return PlaygroundControls(
      cardOperations: SimulatedCardProvider.Operation.allCases.map(\.rawValue),
      cardFaults: SimulatedCardProvider.Fault.allCases.map(\.rawValue),
      planCardFault: { operation, fault, count, delayMilliseconds in
        guard let operation = SimulatedCardProvider.Operation(rawValue: operation),
          let fault = SimulatedCardProvider.Fault(rawValue: fault)
        else { return false }
        return cards.plan(fault, for: operation, count: count, delayMilliseconds: delayMilliseconds)
      },
      plannedCardFaults: {
        cards.plannedFaults.map {
          PlannedCardFault(
            operation: $0.operation.rawValue, fault: $0.fault.rawValue, delayMilliseconds: $0.delayMilliseconds)
        }
      }, clearCardFaults: cards.clearFaults,
      advanceClock: { seconds in
        clock.advance(seconds: seconds)
        moveEmulators(seconds)
      }, clockOffsetSeconds: { clock.offsetSeconds })
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
