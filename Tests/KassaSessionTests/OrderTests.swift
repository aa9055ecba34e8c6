import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import Testing

/// Orders from the sale to the last refund, with the card network's own book compared after each.
@Suite(.serialized) struct OrderTests {
  private typealias Operation = SimulatedCardProvider.Operation
  private typealias Fault = SimulatedCardProvider.Fault

  private func paid(
    _ shop: Shop, _ device: DevicePrincipal, amount: Int64 = 700
  ) async throws -> (order: OrderID, payment: PaymentID) {
    let (session, payment) = try await shop.awaiting(on: device, amount: amount)
    let view = try await shop.pay(payment, of: session, as: device)
    guard case .finalized(payment, let order) = view.session.state else {
      throw Violation(description: "not paid: \(view.session.state)")
    }
    return (order, payment)
  }

  private func money(_ amount: Int64, _ reference: String? = nil) -> MoveMoney {
    MoveMoney(amount: amount, reference: reference, description: nil)
  }

  private func order(_ id: OrderID, _ shop: Shop) async throws -> OrderView {
    try await shop.service.orderView(id, as: shop.backend)
  }

  /// What is wrong between an order, its movements, its events and the network's book; empty when they agree.
  private func disagreements(_ id: OrderID, _ shop: Shop) async throws -> [String] {
    let view = try await order(id, shop)
    let charge = try #require(try await shop.charge(view.payment.id))
    var found: [String] = []
    func sum(_ movements: [OrderMovement], _ state: OrderMovement.StateName) -> Int64 {
      movements.filter { $0.state.name == state }.map(\.amount).reduce(0, +)
    }
    let money = view.order.money
    if sum(view.captures, .done) != money.captured { found.append("captures do not sum to \(money.captured)") }
    if sum(view.captures, .requested) != money.capturing { found.append("reserved captures differ") }
    if sum(view.refunds, .done) != money.refunded { found.append("refunds do not sum to \(money.refunded)") }
    if sum(view.refunds, .requested) != money.refunding { found.append("reserved refunds differ") }
    if charge.captured != money.captured { found.append("the network captured \(charge.captured)") }
    if charge.refunded != money.refunded { found.append("the network refunded \(charge.refunded)") }
    if charge.isReleased != (money.release == .done) { found.append("released: \(charge.isReleased)") }
    let events = try await shop.store.read {
      try $0.events.history(of: id.of(EventSubject.self), merchant: shop.backend.merchantID)
    }.map(\.event)
    if events.map(\.sequence) != (0..<events.count).map({ Int64($0) + 1 }) { found.append("events are not numbered") }
    if events.first?.type != .orderCreated { found.append("no order.created") }
    for (type, movements) in [(EventType.captureCreated, view.captures), (.refundCreated, view.refunds)] {
      let told = events.filter { $0.type == type }.compactMap(\.relatedID)
      let done = movements.filter { $0.state.name == .done }.map { $0.id.of(EventSubject.self) }
      if Set(told) != Set(done) || told.count != done.count { found.append("\(type): told \(told.count) times") }
    }
    for (type, movements) in [(EventType.captureFailed, view.captures), (.refundFailed, view.refunds)] {
      let told = events.count { $0.type == type }
      let refused = movements.count { $0.state.name == .refused }
      if told != refused { found.append("\(type): told \(told) of \(refused) times") }
    }
    return found
  }

  @Test func aSaleIsCapturedAtOnceAndRefundedInParts() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (id, payment) = try await paid(shop, device)
    var view = try await order(id, shop)
    #expect(view.order.status == .captured && view.order.money == Order.Money(captured: 700))
    #expect(view.captures.map(\.amount) == [700] && view.session.id == view.order.sessionID)
    #expect(view.payment.id == payment)
    for (amount, left) in [(Int64(200), Int64(500)), (1, 499), (499, 0)] {
      let refund = try await shop.service.refund(money(amount, "R-\(amount)"), of: id, as: shop.backend)
      #expect(refund.movement.state.name == .done && !refund.isReplayed)
      shop.clock.advance(seconds: 1)
      view = try await order(id, shop)
      #expect(view.order.refundable == left && view.order.status == .captured)
      #expect(try await disagreements(id, shop) == [])
    }
    #expect(view.refunds.map(\.reference) == ["R-200", "R-1", "R-499"])
    #expect(try await shop.cards.netCharged() == 0)
    for amount in [Int64(1), .max] {
      #expect(
        try await failure { _ = try await shop.service.refund(money(amount), of: id, as: shop.backend) }
          == "notAllowed")
    }
    #expect(
      try await failure { _ = try await shop.service.capture(money(1), of: id, as: shop.backend) } == "notAllowed")
    #expect(try await failure { try await shop.service.cancelOrder(id, as: shop.backend) } == "notAllowed")
    // Another merchant's order is as if it were not there.
    let (stranger, key) = try await shop.service.createMerchant(name: "Other")
    let other = MerchantPrincipal(merchantID: stranger.id, keyID: key.key.id, requestID: "r")
    #expect(try await failure { _ = try await shop.service.refund(money(1), of: id, as: other) } == "notFound")
    #expect(try await failure { _ = try await shop.service.orderView(id, as: other) } == "notFound")
    #expect(try await disagreements(id, shop) == [])
    try await shop.rest()
    await shop.close()
  }

  /// With cards that are captured by a call.
  private func manualShop() async throws -> Shop {
    let shop = try await Shop(kinds: { [$0.kind] })
    _ = try await shop.service.replacePaymentMethod(
      .card, with: ReplacePaymentMethod(provider: .simulated, isOn: true, capturePolicy: .manual, settings: [:]),
      as: .backend(shop.backend))
    return shop
  }

  @Test func moneyIsCapturedByACallWhereTheMerchantWantsIt() async throws {
    let shop = try await manualShop()
    let device = try await shop.pair()
    let (id, _) = try await paid(shop, device)
    try await shop.rest()
    #expect(try await order(id, shop).order.status == .authorized)
    #expect(try await order(id, shop).order.capturable == 700)
    #expect(try await failure { _ = try await shop.service.refund(money(1), of: id, as: shop.backend) } == "notAllowed")
    _ = try await shop.service.capture(money(300), of: id, as: shop.backend)
    #expect(try await order(id, shop).order.status == .partCaptured)
    #expect(
      try await failure { _ = try await shop.service.capture(money(401), of: id, as: shop.backend) } == "notAllowed")
    _ = try await shop.service.refund(money(300), of: id, as: shop.backend)
    _ = try await shop.service.capture(money(400), of: id, as: shop.backend)
    #expect(try await order(id, shop).order.money == Order.Money(captured: 700, refunded: 300))
    #expect(try await disagreements(id, shop) == [])

    let (cancelled, _) = try await paid(shop, device)
    for _ in 0..<2 { try await shop.service.cancelOrder(cancelled, as: shop.backend) }
    #expect(try await order(cancelled, shop).order.status == .cancelled)
    #expect(try await order(cancelled, shop).order.capturable == 0)
    #expect(
      try await failure { _ = try await shop.service.capture(money(1), of: cancelled, as: shop.backend) }
        == "notAllowed")
    #expect(try await disagreements(cancelled, shop) == [])
    #expect(try await shop.cards.netCharged() == 400)
    await shop.close()
  }

  /// Every fault of the network on every movement of money: in the end the books agree, and nothing moved twice.
  @Test(arguments: [Operation.capture, .refund, .release], Fault.allCases)
  private func theReconcilerSettles(operation: Operation, fault: Fault) async throws {
    let isAutomatic = operation == .capture
    let shop = isAutomatic ? try await Shop(answerSeconds: 1) : try await manualShop()
    let device = try await shop.pair()
    let count = 3
    if isAutomatic { #expect(shop.cards.plan(fault, for: operation, count: count, delayMilliseconds: 1200)) }
    let (id, _) = try await paid(shop, device)
    switch operation {
    case .refund:
      _ = try await shop.service.capture(money(700), of: id, as: shop.backend)
      #expect(shop.cards.plan(fault, for: operation, count: count, delayMilliseconds: 20))
      let refund = try await shop.service.refund(money(250), of: id, as: shop.backend)
      let isCertain = fault == .answerLate || fault == .answerTwice
      #expect(refund.movement.state.name == (isCertain ? .done : .requested))
      // What is not known is reserved: the rest is all that is left.
      #expect(try await order(id, shop).order.refundable == 450)
      #expect(
        try await failure { _ = try await shop.service.refund(money(451), of: id, as: shop.backend) } == "notAllowed")
    case .release:
      #expect(shop.cards.plan(fault, for: operation, count: count, delayMilliseconds: 20))
      let failed = try await failure { try await shop.service.cancelOrder(id, as: shop.backend) }
      #expect(failed == (fault == .answerLate || fault == .answerTwice ? nil : "paymentOutcomeUnknown"))
      #expect(
        try await failure { _ = try await shop.service.capture(money(1), of: id, as: shop.backend) } == "notAllowed")
    default: break
    }
    try await shop.rest()
    if fault == .answerLate, isAutomatic {
      try await Task.sleep(for: .milliseconds(1500))
      try await shop.rest()
    }
    let view = try await order(id, shop)
    switch operation {
    case .refund: #expect(view.order.money == Order.Money(captured: 700, refunded: 250))
    case .release: #expect(view.order.status == .cancelled)
    default: #expect(view.order.money == Order.Money(captured: 700))
    }
    #expect(try await disagreements(id, shop) == [], "\(fault) on \(operation)")
    await shop.close()
  }

  /// What is not known is told each time, with the provider's words, until it is settled.
  @Test func aRefundThatIsNotKnownIsToldToTheOperator() async throws {
    let clock = TestClock()
    let network = ScanNetwork { clock.now }
    let told = Notes()
    let shop = try await Shop(
      clock: clock, scans: network,
      movementSettled: { told.add("\($0.kind.rawValue) \($0.state.name.rawValue)") },
      movementUnknown: { told.add("\($0.kind.rawValue) \($0.state.name.rawValue)\($1.text.isEmpty ? "" : ": why")") })
    let device = try await shop.pair()
    let session = try await shop.create(on: device)
    let view = try await shop.service.simulateScan(session, .swish, .success, as: shop.merchant)
    guard case .finalized(_, let id) = view.session.state else { throw Violation(description: "not paid") }
    network.plan(.unreachable, for: "refund", count: 2)
    #expect(try await shop.service.refund(money(40), of: id, as: shop.backend).movement.state.name == .requested)
    try await shop.rest()
    #expect(told.values == ["CAPTURE DONE", "REFUND REQUESTED: why", "REFUND REQUESTED: why", "REFUND DONE"])
    #expect(network.netTaken == 60)
    await shop.close()
  }

  /// A refusal is certain: it is told, the money is free again, and nobody goes on asking.
  @Test func aRefusedRefundIsToldAndNotTriedForEver() async throws {
    let clock = TestClock()
    let network = ScanNetwork { clock.now }
    let settled = Notes()
    let shop = try await Shop(
      clock: clock, scans: network,
      movementSettled: { settled.add("\($0.kind.rawValue) \($0.state.name.rawValue)") })
    let device = try await shop.pair()
    let session = try await shop.create(on: device)
    let view = try await shop.service.simulateScan(session, .swish, .success, as: shop.merchant)
    guard case .finalized(_, let id) = view.session.state else { throw Violation(description: "not paid") }
    network.refuseRefunds(true)
    #expect(
      try await failure { _ = try await shop.service.refund(money(40), of: id, as: shop.backend) } == "notAllowed")
    let asked = network.calls("refund")
    try await shop.rest()
    #expect(network.calls("refund") == asked)
    let refused = try #require(try await order(id, shop).refunds.first)
    guard case .refused(let words, _) = refused.state else { throw Violation(description: "\(refused.state)") }
    #expect(words == "not so much is left" && refused.checkAt == nil)
    #expect(try await order(id, shop).order.refundable == 100)
    let events = try await shop.store.read {
      try $0.events.history(of: id.of(EventSubject.self), merchant: shop.backend.merchantID)
    }.map(\.event)
    #expect(events.map(\.type) == [.orderCreated, .captureCreated, .refundFailed])
    #expect(
      events.last?.failureReason == "PROVIDER_REFUSED" && events.last?.relatedID == refused.id.of(EventSubject.self))
    // Again, under a new identifier, when it may.
    network.refuseRefunds(false)
    #expect(try await shop.service.refund(money(40), of: id, as: shop.backend).movement.state.name == .done)
    #expect(settled.values == ["CAPTURE DONE", "REFUND REFUSED", "REFUND DONE"])
    #expect(network.netTaken == 60)
    // The provider's own references are given again, and kept.
    #expect(try await order(id, shop).refunds.last?.references["refund"] == "made")
    await shop.close()
  }

  @Test func anIdempotencyKeyMovesMoneyOnce() async throws {
    let shop = try await Shop()
    let (id, _) = try await paid(shop, try await shop.pair())
    func once(_ key: String, _ body: UInt8 = 1) -> IdempotentRequest<OrderMovement> {
      IdempotentRequest(operation: "POST refunds", key: key, bodyHash: [body]) { _ in
        RenderedAnswer(status: 0, body: [])
      }
    }
    let first = try await shop.service.refund(money(300), of: id, as: shop.backend, once: once("a"))
    let again = try await shop.service.refund(money(300), of: id, as: shop.backend, once: once("a"))
    #expect(again.isReplayed && again.movement == first.movement)
    #expect(
      try await failure {
        _ = try await shop.service.refund(money(301), of: id, as: shop.backend, once: once("a", 2))
      } == "idempotencyKeyReused")
    // A repetition of what is not known yet says how it stands then.
    #expect(shop.cards.plan(.loseAnswer, for: .refund, count: 1, delayMilliseconds: 0))
    let open = try await shop.service.refund(money(100), of: id, as: shop.backend, once: once("b"))
    #expect(open.movement.state == .requested)
    try await shop.rest()
    let known = try await shop.service.refund(money(100), of: id, as: shop.backend, once: once("b"))
    #expect(known.isReplayed && known.movement.id == open.movement.id && known.movement.state.name == .done)
    #expect(try await order(id, shop).order.money == Order.Money(captured: 700, refunded: 400))
    #expect(try await disagreements(id, shop) == [])
    await shop.close()
  }

  // MARK: Races

  private struct RefundTally {
    var done = 0
    var refusedByKassa = 0
    var violations: [String] = []
  }

  /// On each order so many refunds at the same moment, of parts that sum to twice what there is.
  private func race(
    orders: Int, refundsEach: Int, _ shop: Shop, refundedBy service: KassaService
  ) async throws -> RefundTally {
    var tally = RefundTally()
    let device = try await shop.pair()
    for number in 0..<orders {
      let (id, _) = try await paid(shop, device)
      let part = 700 * 2 / Int64(refundsEach)
      let outcomes = try await withThrowingTaskGroup(of: String?.self) { group in
        for index in 0..<refundsEach {
          group.addTask {
            for _ in 0..<(index + number) % 3 { try await shop.store.checkWritable() }
            return try await failure { _ = try await service.refund(money(part), of: id, as: shop.backend) }
          }
        }
        return try await group.reduce(into: [String?]()) { $0.append($1) }
      }
      do {
        try await shop.rest()
      } catch {
        tally.violations.append("the reconciler cannot settle: \(error)")
      }
      tally.done += outcomes.count { $0 == nil }
      tally.refusedByKassa += outcomes.count { $0 == "notAllowed" }
      let view = try await order(id, shop)
      if outcomes.contains(where: { $0 != nil && $0 != "notAllowed" }) { tally.violations.append("\(outcomes)") }
      if view.refunds.contains(where: { $0.state.name == .refused }) {
        tally.violations.append("the network was asked for more than there was")
      }
      if view.order.money.refunded != part * Int64(outcomes.count { $0 == nil }) {
        tally.violations.append("\(view.order.money.refunded) refunded, \(outcomes.count { $0 == nil }) heard yes")
      }
      tally.violations += try await disagreements(id, shop)
    }
    return tally
  }

  @Test func refundsRacingRefundsAThousandTimes() async throws {
    let shop = try await Shop()
    let tally = try await race(orders: 100, refundsEach: 10, shop, refundedBy: shop.service)
    print("refund against refund: \(tally.done) done, \(tally.refusedByKassa) refused")
    #expect(tally.violations.isEmpty, "\(tally.violations.count): \(tally.violations.prefix(5))")
    #expect(tally.done == 500 && tally.refusedByKassa == 500)
    #expect(try await shop.cards.netCharged() == 0)
    await shop.close()
  }

  /// The control: on a store without guards, the same race must be seen to fail.
  @Test func withoutTheGuardsTheRaceIsLost() async throws {
    let shop = try await Shop()
    let tally = try await race(
      orders: 10, refundsEach: 10, shop, refundedBy: shop.service(over: UnguardedStore(shop.store)))
    print("without guards: \(tally.violations.count) violations on 10 orders, such as \(tally.violations.prefix(3))")
    #expect(!tally.violations.isEmpty)
    await shop.close()
  }
}
