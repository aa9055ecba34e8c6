import KassaDomain
import KassaService
import KassaStore
import Synchronization

/// A card network for the playground: with a book of its own, in which it writes in transactions of its own, and with the
/// faults of a real one on demand.
package final class SimulatedCardProvider: PaymentProvider, CardSimulator {
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
    case refund = "REFUND"
  }

  private struct PlannedFault: Sendable {
    let operation: Operation
    let fault: Fault
    let delayMilliseconds: Int64
  }

  /// Faults that may be waiting.
  package static let plannedFaultsMax = 1000

  private let store: any Store
  private let faults = Mutex<[PlannedFault]>([])
  private let tellAgain = Mutex<(@Sendable (Charge, ProviderAnswer) async -> Void)?>(nil)

  package init(store: any Store) { self.store = store }

  /// Where answers go that come a second time.
  package func whenToldAgain(_ tell: @escaping @Sendable (Charge, ProviderAnswer) async -> Void) {
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

  /// A card is held to the reader. Returns `false` when the reader does not wait for one.
  package func tap(_ payment: PaymentID, _ outcome: SimulatedOutcome) async throws -> Bool {
    try await store.write { transaction in
      guard var charge = try transaction.simulatedCards.find(payment), charge.state == .primed else { return false }
      charge.tapped = outcome
      try transaction.simulatedCards.save(charge)
      return true
    }
  }

  /// What this network took and did not give back, over all charges.
  package func netCharged() async throws -> Int64 {
    try await store.read { try $0.simulatedCards.netCharged() }
  }

  package func start(_ charge: Charge) async -> ProviderAnswer {
    await answer(.start, charge) { table in
      let known = try table.find(charge.paymentID)
      if known == nil { try table.save(SimulatedCharge(paymentID: charge.paymentID, amount: charge.amount)) }
      return Self.answer(known ?? SimulatedCharge(paymentID: charge.paymentID, amount: charge.amount))
    }
  }

  package func settle(_ charge: Charge) async -> ProviderAnswer {
    await answer(.settle, charge) { table in
      guard var known = try table.find(charge.paymentID) else { return .notPaid(.notStarted) }
      if known.state == .primed, let tapped = known.tapped {
        known.state = tapped == .success ? .charged : .declined
        try table.save(known)
      }
      return Self.answer(known)
    }
  }

  package func cancel(_ charge: Charge) async -> ProviderAnswer {
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

  package func query(_ charge: Charge) async -> ProviderAnswer {
    await answer(.query, charge) { table in
      try table.find(charge.paymentID).map(Self.answer) ?? .notPaid(.notStarted)
    }
  }

  package func refund(_ charge: Charge) async -> RefundAnswer {
    let answer = await answer(.refund, charge) { table in
      guard var known = try table.find(charge.paymentID), known.state == .charged || known.state == .refunded else {
        return .notPaid(.notStarted)
      }
      known.state = .refunded
      try table.save(known)
      return .paid(nil)
    }
    switch answer {
    case .paid: return .refunded
    case .notPaid: return .refused("this charge took no money")
    case .pending: return .unknown("pending")
    case .unknown(let detail): return .unknown(detail)
    }
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

  /// Does the effect in a transaction of its own, and then answers as the planned fault has it.
  private func answer(
    _ operation: Operation, _ charge: Charge,
    _ effect: @escaping @Sendable (any SimulatedCardTable) throws -> ProviderAnswer
  ) async -> ProviderAnswer {
    let planned = faults.withLock { faults in
      faults.firstIndex { $0.operation == operation }.map { faults.remove(at: $0) }
    }
    if planned?.fault == .unreachable { return .unknown("the simulated card network cannot be reached") }
    let answer: ProviderAnswer
    do {
      answer = try await store.write { try effect($0.simulatedCards) }
    } catch {
      return .unknown("the simulated card network has no book: \(error)")
    }
    switch planned?.fault {
    case nil, .unreachable: return answer
    case .loseAnswer: return .unknown("the answer was lost")
    case .answerLate:
      try? await Task.sleep(for: .milliseconds(planned?.delayMilliseconds ?? 0))
      return answer
    case .answerTwice:
      if operation != .refund, let tell = tellAgain.withLock({ $0 }) {
        let delay = planned?.delayMilliseconds ?? 0
        Task {
          try? await Task.sleep(for: .milliseconds(delay))
          await tell(charge, answer)
        }
      }
      return answer
    }
  }
}
