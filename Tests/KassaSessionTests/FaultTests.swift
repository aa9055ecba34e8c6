import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import KassaTestDatabases
import Testing

/// Every fault of the card network on every call, with a card that pays and one that does not, and with a backend that
/// cancels at every moment: in the end the network's book and Kassa's agree.
@Suite(.serialized) struct FaultTests {
  typealias Operation = SimulatedCardProvider.Operation
  typealias Fault = SimulatedCardProvider.Fault

  /// When the backend cancels, seen from the tap.
  enum Cancellation: CaseIterable, Sendable { case never, before, during, after }

  private static let answerSeconds: Int64 = 1

  @Test(arguments: [Operation.start, .settle, .cancel, .query, .reverse], Fault.allCases)
  func theReconcilerSettles(operation: Operation, fault: Fault) async throws {
    let log = try EventLogCheck()
    // Side by side: with late answers they mostly sleep.
    try await withThrowingTaskGroup(of: Void.self) { group in
      for pays in [true, false] {
        for cancellation in Cancellation.allCases {
          group.addTask { try await settle(operation, fault, pays: pays, cancellation, log) }
        }
      }
      try await group.waitForAll()
    }
  }

  private func settle(
    _ operation: Operation, _ fault: Fault, pays: Bool, _ cancellation: Cancellation, _ log: EventLogCheck
  ) async throws {
    let what: Comment = "\(fault) on \(operation), pays: \(pays), cancelled \(cancellation)"
    let shop = try await Shop(answerSeconds: Self.answerSeconds)
    let device = try await shop.pair()
    let isLate = fault == .answerLate
    func plan(_ fault: Fault, _ operation: Operation, count: Int = 1) {
      let delay: Int64 = fault == .answerLate ? Self.answerSeconds * 1000 + 50 : 20
      #expect(shop.cards.plan(fault, for: operation, count: count, delayMilliseconds: delay))
    }
    let id = try await shop.create(on: device, amount: 700)
    func cancel() async throws {
      _ = try await failure { _ = try await shop.service.cancelSession(id, as: shop.merchant) }
    }
    plan(fault, operation)
    let payment = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
    if cancellation == .before { try await cancel() }
    // A start of which nothing was heard is asked for, so that there is something to tap.
    shop.clock.advance(seconds: 10)
    _ = try await shop.service.reconcilePayments()
    if operation == .query || operation == .reverse { plan(.loseAnswer, .settle) }
    if operation == .reverse {
      // Late money comes to be when nobody can be asked for more than a day.
      plan(.unreachable, .query, count: 3)
      plan(.unreachable, .cancel, count: 6)
    }
    _ = try await shop.cards.tap(payment, pays ? .success : .declined(.stolenCard))
    async let cancelledMeanwhile: Void = cancellation == .during ? cancel() : ()
    _ = try await failure { _ = try await shop.service.settlePayment(payment, of: id, as: .device(device)) }
    try await cancelledMeanwhile
    if cancellation == .after { try await cancel() }
    if operation == .reverse {
      for _ in 0..<4 {
        shop.clock.advance(seconds: Limits.outcomeUnknownSecondsMax / 3)
        _ = try await shop.service.expireSessions()
        _ = try await shop.service.reconcilePayments()
      }
    }
    try await shop.rest()
    if isLate || fault == .answerTwice {
      try await Task.sleep(for: .milliseconds(300))
      try await shop.rest()
    }

    let view = try await shop.view(id)
    var charges: [PaymentID: SimulatedCharge] = [:]
    for payment in view.payments { charges[payment.id] = try await shop.charge(payment.id) }
    let found = disagreements(view, charges: charges, log)
    #expect(found.isEmpty, "\(what): \(found)")
    #expect(view.session.state.isTerminal, what)
    let kassas = view.payments.filter { $0.state == .succeeded }.map(\.amount).reduce(0, +)
    #expect(try await shop.cards.netCharged() == kassas, what)
    for charge in charges.values { #expect(charge.state != .primed, "\(what): the reader still waits") }
    // Where the customer could pay and nobody cancelled before, the merchant must get the money. A network that was not
    // reached to begin or to settle took none.
    let isReached = !(fault == .unreachable && (operation == .start || operation == .settle)) && operation != .reverse
    if pays, isReached, cancellation == .never || cancellation == .after {
      #expect(view.session.state.name == .finalized, what)
    }
    if operation == .reverse, pays, cancellation == .never {
      #expect(view.session.state == .failed(.outcomeUnknown), what)
      #expect(view.payments.map(\.state) == [.reversed], what)
    }
    await shop.close()
  }
}
