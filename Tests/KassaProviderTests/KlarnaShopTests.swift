import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import Testing

/// Klarna with the service and the store around: what only both together can get wrong.
@Suite(.serialized) struct KlarnaShopTests {
  private static let oneTry = CallLimits(
    budgetMilliseconds: 3000, tryMilliseconds: 1000, triesMax: 1, pauseMilliseconds: 5)

  private func emulator(_ shop: ProviderShop) throws -> KlarnaEmulator {
    try #require(shop.emulator as? KlarnaEmulator)
  }

  /// A session that is paid, and its order.
  private func paid(_ shop: ProviderShop) async throws -> (session: SessionID, payment: PaymentID, order: OrderID) {
    let device = try await shop.pair()
    let (session, payment) = try await shop.awaiting(on: device)
    #expect(shop.buyer(.approve, payment) == nil)
    _ = try await shop.service.settlePayment(payment, of: session, as: .device(device))
    let order = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.id
    return (session, payment, order)
  }

  /// The answer to a refund is lost, and nobody asks for a day. With an adapter that asks as if it were the first time the
  /// money moves twice, which is the control.
  @Test(arguments: [false, true]) func aRefundAskedAgainADayLaterMovesOnce(isCareless: Bool) async throws {
    try await ProviderShop.with(.klarna, limits: Self.oneTry, isCareless: isCareless) { shop in
      let (session, _, order) = try await paid(shop)
      shop.emulator.world.faults.plan(.answerLost, for: "REFUND")
      let wanted = MoveMoney(amount: 4000, reference: "RETURN-77", description: nil)
      let asked = try await shop.service.refund(wanted, of: order, as: shop.backend).movement
      #expect(asked.state.name == .requested)
      shop.advance(25 * 3600)
      try await shop.rest()
      let booked = try await shop.booked([session])
      #expect(booked == ProviderShop.amount - 4000)
      let taken = shop.emulator.world.ledger.netTaken[shop.harness.currency]
      if isCareless { #expect(taken == booked - 4000) }
      if !isCareless { try await shop.expectAgreement([session]) }
    }
  }

  @Test func aPartAskedAgainADayLaterIsCapturedOnce() async throws {
    try await ProviderShop.with(.klarna, limits: Self.oneTry) { shop in
      try await shop.enter(capture: .manual)
      let (session, _, order) = try await paid(shop)
      shop.emulator.world.faults.plan(.answerLost, for: "CAPTURE")
      let part = MoveMoney(amount: 10_000, reference: nil, description: nil)
      let asked = try await shop.service.capture(part, of: order, as: shop.backend).movement
      #expect(asked.state.name == .requested)
      shop.advance(25 * 3600)
      try await shop.rest()
      #expect(try await shop.booked([session]) == 10_000)
      #expect(shop.emulator.world.ledger.netTaken == ["SEK": 10_000])
      // A second part of the same amount is a second part.
      #expect(try await shop.service.capture(part, of: order, as: shop.backend).movement.state.name == .done)
      #expect(shop.emulator.world.ledger.netTaken == ["SEK": 20_000])
      #expect(try await shop.booked([session]) == 20_000)
    }
  }

  /// The order says CANCELLED only when Klarna holds no money of it.
  @Test func anOrderCapturedElsewhereIsNotCancelled() async throws {
    try await ProviderShop.with(.klarna) { shop in
      try await shop.enter(capture: .manual)
      let (session, payment, order) = try await paid(shop)
      let there = try #require(shop.emulated(payment)).id
      #expect(try emulator(shop).captureElsewhere(9000, there) == nil)
      await #expect {
        try await shop.service.cancelOrder(order, as: shop.backend)
      } throws: { error in
        guard case ServiceFailure.notAllowed(let words) = error else { return false }
        return words.contains("capture it here")
      }
      #expect(try await shop.service.orderView(order, as: shop.backend).order.status == .authorized)
      // As the words say.
      let sum = MoveMoney(amount: 9000, reference: nil, description: nil)
      #expect(try await shop.service.capture(sum, of: order, as: shop.backend).movement.state.name == .done)
      #expect(try await shop.booked([session]) == 9000)
      #expect(shop.emulator.world.ledger.netTaken == ["SEK": 9000])
      let rest = MoveMoney(amount: ProviderShop.amount - 9000, reference: nil, description: nil)
      #expect(try await shop.service.capture(rest, of: order, as: shop.backend).movement.state.name == .done)
      let all = MoveMoney(amount: ProviderShop.amount, reference: nil, description: nil)
      #expect(try await shop.service.refund(all, of: order, as: shop.backend).movement.state.name == .done)
      try await shop.expectAgreement([session])
      #expect(shop.emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  /// Other keys are entered while a code is shown. What is then not seen is not called unpaid, and when it is paid, it is
  /// found as soon as it can be read.
  @Test func otherKeysEndNothing() async throws {
    let elsewhere = KlarnaEmulator()
    let server = try await EmulatorServer.start(elsewhere)
    let other = elsewhere.settings(url: server.url).reduce(into: [:]) { $0[$1.name] = $1.value }
    let result: Result<Void, any Error>
    do {
      result = .success(
        try await ProviderShop.with(.klarna) { shop in
          let device = try await shop.pair()
          let (session, payment) = try await shop.awaiting(on: device)
          try await shop.enter(changing: other)
          await #expect(throws: ServiceFailure.self) {
            _ = try await shop.service.cancelPayment(payment, of: session, as: .device(device))
          }
          #expect(try await shop.payment(payment, of: session).state == .unknown)
          #expect(shop.buyer(.approve, payment) == nil)
          try await shop.enter()
          try await shop.rest()
          #expect(try await shop.state(session) == .finalized)
          try await shop.expectAgreement([session])
          #expect(shop.emulator.world.ledger.netTaken == ["SEK": ProviderShop.amount])
        })
    } catch {
      result = .failure(error)
    }
    await server.stop()
    try result.get()
  }

  /// Cancelling ends also where Klarna has no result of what was cancelled, however it is read.
  @Test(arguments: [["GET", "POST"], ["GET"], ["POST"]] as [Set<String>])
  func cancellingEndsWithoutAResult(methods: Set<String>) async throws {
    try await ProviderShop.with(.klarna) { shop in
      try emulator(shop).forgetCancelled(true)
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      try emulator(shop).read(by: methods)
      let back = try await shop.service.cancelPayment(payment, of: session, as: .device(device))
      #expect(back.payment.state == .cancelled)
      // The look that follows every denial says the same.
      try await shop.rest()
      #expect(try await shop.payment(payment, of: session).state == .cancelled)
      try await shop.expectAgreement([session])
    }
  }

  @Test func anOrderOfAnotherAmountFinalizesNothing() async throws {
    try await ProviderShop.with(.klarna) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      try emulator(shop).misstateOrders((ProviderShop.amount - 1, "SEK"))
      #expect(shop.buyer(.approve, payment) == nil)
      let settled = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      #expect(settled.payment.state == .unknown)
      #expect(settled.session.state.name == .active)
      try emulator(shop).misstateOrders(nil)
      try await shop.rest()
      #expect(try await shop.state(session) == .finalized)
      try await shop.expectAgreement([session])
    }
  }
}
