import KassaDomain
import KassaService
import KassaStore
import Synchronization

/// A card network for the playground: with a book of its own, in which it writes in transactions of its own, and with the
/// faults of a real one on demand.
package final class SimulatedCardProvider: CardSimulator, NotifyingProvider {
  /// What a call does beside, or instead of, answering.
  package enum Fault: String, CaseIterable, Sendable {
    /// The effect happens; the answer is lost.
    case loseAnswer = "LOSE_ANSWER"
    /// The effect happens; the answer comes after the time that was set.
    case answerLate = "ANSWER_LATE"
    /// The effect happens; the answer comes, and comes again.
    case answerTwice = "ANSWER_TWICE"
    /// Nothing happens, and no answer comes.
    case unreachable = "UNREACHABLE"
  }

  package enum Operation: String, CaseIterable, Sendable {
    case start = "START"
    case settle = "SETTLE"
    case cancel = "CANCEL"
    case query = "QUERY"
    case capture = "CAPTURE"
    case refund = "REFUND"
    case release = "RELEASE"
    case reverse = "REVERSE"
  }

  package struct PlannedFault: Sendable, Equatable {
    package let operation: Operation
    package let fault: Fault
    package let delayMilliseconds: Int64
  }

  /// Faults that may be waiting.
  package static let plannedFaultsMax = 1000

  private let store: any Store
  private let faults = Mutex<[PlannedFault]>([])
  private let tellAgain = Mutex<(@Sendable (Charge, ProviderReport) async -> Void)?>(nil)

  package init(store: any Store) { self.store = store }

  /// As merchants choose it: there is nothing to set.
  package var kind: ProviderKind {
    ProviderKind(name: .simulated, method: .card, fields: []) { _, _ in
      true
    } make: { _ in
      self
    }
  }

  /// Where answers go that come a second time.
  package func whenToldAgain(_ tell: @escaping @Sendable (Charge, ProviderReport) async -> Void) {
    tellAgain.withLock { $0 = tell }
  }

  /// Plans a fault for the next `count` calls of an operation. Returns `false` when too many wait already.
  package func plan(_ fault: Fault, for operation: Operation, count: Int, delayMilliseconds: Int64) -> Bool {
    faults.withLock { faults in
      guard faults.count + count <= Self.plannedFaultsMax else { return false }
      let planned = PlannedFault(operation: operation, fault: fault, delayMilliseconds: delayMilliseconds)
      faults += Array(repeating: planned, count: count)
      return true
    }
  }

  /// The faults that wait, the next one of each operation first.
  package var plannedFaults: [PlannedFault] { faults.withLock { $0 } }

  /// Forgets every fault that waits.
  package func clearFaults() { faults.withLock { $0 = [] } }

  /// A card is held to the reader. Returns `false` when the reader does not wait for one.
  package func tap(_ payment: PaymentID, _ outcome: SimulatedOutcome) async throws -> Bool {
    try await store.write { transaction in
      guard var charge = try transaction.simulatedCards.find(payment), charge.state == .primed else { return false }
      charge.tapped = outcome
      try transaction.simulatedCards.save(charge)
      return true
    }
  }

  package func tap(_ charge: Charge, _ outcome: SimulatedOutcome) async throws -> Bool {
    try await tap(charge.paymentID, outcome)
  }

  /// What this network took and did not give back, over all charges.
  package func netCharged() async throws -> Int64 {
    try await store.read { try $0.simulatedCards.netCharged() }
  }

  package func start(_ charge: Charge) async -> ProviderReport {
    await answer(.start, charge) { table in
      let known = try table.find(charge.paymentID)
      if known == nil { try table.save(SimulatedCharge(paymentID: charge.paymentID, amount: charge.amount)) }
      return Self.answer(known ?? SimulatedCharge(paymentID: charge.paymentID, amount: charge.amount))
    }
  }

  package func settle(_ charge: Charge) async -> ProviderReport {
    await answer(.settle, charge) { table in
      guard var known = try table.find(charge.paymentID) else { return .notPaid(.notStarted) }
      if known.state == .primed, let tapped = known.tapped {
        known.state = tapped == .success ? .charged : .declined
        try table.save(known)
      }
      return Self.answer(known)
    }
  }

  package func cancel(_ charge: Charge) async -> ProviderReport {
    await answer(.cancel, charge) { table in
      var known =
        try table.find(charge.paymentID) ?? SimulatedCharge(paymentID: charge.paymentID, amount: charge.amount)
      if known.state == .primed {
        known.state = .voided
        try table.save(known)
      }
      return Self.answer(known)
    }
  }

  package func query(_ charge: Charge) async -> ProviderReport {
    await answer(.query, charge) { table in
      try table.find(charge.paymentID).map(Self.answer) ?? .notPaid(.notStarted)
    }
  }

  package func capture(_ movement: MoneyMovement) async -> MovementReport {
    await move(.capture, movement) { charge in
      guard !charge.isReleased, movement.amount <= charge.amount - charge.captured else {
        return .refused("not so much is left to capture")
      }
      charge.captured += movement.amount
      return .done
    }
  }

  package func refund(_ movement: MoneyMovement) async -> MovementReport {
    await move(.refund, movement) { charge in
      guard movement.amount <= charge.captured - charge.refunded else {
        return .refused("not so much is left to refund")
      }
      charge.refunded += movement.amount
      return .done
    }
  }

  package func release(_ charge: Charge) async -> MovementReport {
    await act(.release) { table in
      guard var known = try table.find(charge.paymentID), known.state == .charged else {
        return .refused("this charge took no money")
      }
      known.isReleased = true
      try table.save(known)
      return .done
    }
  }

  package func reverse(_ charge: Charge) async -> MovementReport {
    await act(.reverse) { table in
      guard var known = try table.find(charge.paymentID), known.state == .charged || known.state == .refunded else {
        return .refused("this charge took no money")
      }
      (known.state, known.refunded) = (.refunded, known.amount)
      try table.save(known)
      return .done
    }
  }

  /// The simulated card network has nothing to tell that it is not asked: whatever comes changes nothing.
  package func verdict(on notification: ProviderNotification, about charge: Charge?) async -> NotificationVerdict {
    .irrelevant
  }

  /// There is nothing to set up.
  package func subscribe(to url: String) async -> Result<[String: String], ProviderSetupFailure> { .success([:]) }

  package func check() async -> [ProviderFinding] {
    [ProviderFinding("Cards are simulated: no money moves, and a tap is a call of the playground's.", isSound: true)]
  }

  private static func answer(_ charge: SimulatedCharge) -> ProviderAnswer {
    switch charge.state {
    case .primed: .pending
    case .charged: .paid(CardSummary(brand: "visa", lastFour: "4242"))
    case .declined:
      if case .declined(let reason) = charge.tapped { .notPaid(reason) } else { .notPaid(.declinedGeneric) }
    case .voided, .refunded: .notPaid(.cancelled)
    }
  }

  /// A capture or refund, made once however often it is asked for.
  private func move(
    _ operation: Operation, _ movement: MoneyMovement,
    _ change: @escaping @Sendable (inout SimulatedCharge) -> MovementReport.Answer
  ) async -> MovementReport {
    let id = movement.charge.paymentID
    return await act(operation) { table in
      guard var known = try table.find(id), known.state == .charged else {
        return .refused("this charge took no money")
      }
      let changed = change(&known)
      guard try table.isNoted(id, movement.id) || changed == .done else { return changed }
      if try table.note(SimulatedMovement(paymentID: id, id: movement.id, amount: movement.amount)) {
        try table.save(known)
      }
      return .done
    }
  }

  /// An effect that moves money of an order, with the planned fault.
  private func act(
    _ operation: Operation,
    _ effect: @escaping @Sendable (any SimulatedCardTable) throws -> MovementReport.Answer
  ) async -> MovementReport {
    MovementReport(await faulty(operation, unknown: { .unknown($0) }, effect))
  }

  /// An effect on an attempt, with the planned fault.
  private func answer(
    _ operation: Operation, _ charge: Charge,
    _ effect: @escaping @Sendable (any SimulatedCardTable) throws -> ProviderAnswer
  ) async -> ProviderReport {
    let answer = await faulty(
      operation, unknown: { .unknown($0) }, effect,
      again: { answer, delay in
        guard let tell = self.tellAgain.withLock({ $0 }) else { return }
        Task {
          try? await Task.sleep(for: .milliseconds(delay))
          await tell(charge, Self.report(answer))
        }
      })
    return Self.report(answer)
  }

  private static func report(_ answer: ProviderAnswer) -> ProviderReport {
    ProviderReport(answer, nextAction: answer == .pending ? .tap(clientSecret: nil) : nil)
  }

  /// Does the effect in a transaction of its own, and then answers as the planned fault has it.
  private func faulty<Value: Sendable>(
    _ operation: Operation, unknown: (String) -> Value,
    _ effect: @escaping @Sendable (any SimulatedCardTable) throws -> Value,
    again: (_ value: Value, _ delayMilliseconds: Int64) -> Void = { _, _ in }
  ) async -> Value {
    let planned = faults.withLock { faults in
      faults.firstIndex { $0.operation == operation }.map { faults.remove(at: $0) }
    }
    if planned?.fault == .unreachable { return unknown("the simulated card network cannot be reached") }
    let value: Value
    do {
      value = try await store.write { try effect($0.simulatedCards) }
    } catch {
      return unknown("the simulated card network has no book: \(error)")
    }
    let delayMilliseconds = planned?.delayMilliseconds ?? 0
    switch planned?.fault {
    case nil, .unreachable: return value
    case .loseAnswer: return unknown("the answer was lost")
    case .answerLate:
      try? await Task.sleep(for: .milliseconds(delayMilliseconds))
      return value
    case .answerTwice:
      again(value, delayMilliseconds)
      return value
    }
  }
}
