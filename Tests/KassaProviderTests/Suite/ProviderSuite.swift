import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import KassaTestDatabases
import Testing

/// What must hold with every provider, over real HTTP between its adapter and its emulator, with the real service and
/// store around. After each the two books agree.
@Suite(.serialized) struct ProviderSuite {
  // MARK: Ends

  @Test(arguments: ProviderHarness.all) func paidAndRefunded(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.open, payment) == nil)
      #expect(shop.buyer(.approve, payment) == nil)
      let settled = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      #expect(settled.session.state.name == .finalized)
      try await shop.expectAgreement([session])
      #expect(shop.emulator.world.ledger.netTaken == [harness.currency: ProviderShop.amount])

      let order = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.id
      let part = MoveMoney(amount: 10_000, reference: "part", description: nil)
      #expect(try await shop.service.refund(part, of: order, as: shop.backend).movement.state.name == .done)
      try await shop.expectAgreement([session])
      let rest = MoveMoney(amount: 14_000, reference: nil, description: nil)
      #expect(try await shop.service.refund(rest, of: order, as: shop.backend).movement.state.name == .done)
      try await shop.rest()
      try await shop.expectAgreement([session])
      #expect(shop.emulator.world.ledger.netTaken == [harness.currency: 0])
    }
  }

  /// Refused, or left by the buyer: the clerk may try again, and does.
  @Test(arguments: ProviderHarness.all, [BuyerAction.fail, .refuse(nil)])
  func refusedThenPaid(harness: ProviderHarness, action: BuyerAction) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      _ = shop.buyer(action, payment)
      let refused = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      #expect(refused.payment.state == .failed)
      #expect(refused.session.state == .active(nil))
      try await shop.expectAgreement([session])
      let again = try await shop.service.startPayment(harness.method, of: session, as: .device(device)).payment.id
      #expect(shop.buyer(.approve, again) == nil)
      #expect(
        try await shop.service.settlePayment(again, of: session, as: .device(device)).session.state.name == .finalized)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  @Test(arguments: ProviderHarness.all) func theProviderStopsWaiting(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.letExpire, payment) == nil)
      let settled = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      #expect(settled.payment.state == .failed)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  /// Nobody comes. Kassa ends it at the provider at its own time, and no buyer can pay any more.
  @Test(arguments: ProviderHarness.all) func kassaStopsWaiting(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      let waitsUntil = try await shop.payment(payment, of: session).waitsUntil
      shop.advance(waitsUntil.secondsSinceEpoch - shop.emulator.world.clock.now.secondsSinceEpoch + 1)
      _ = try await shop.service.reconcilePayments()
      let ended = try await shop.payment(payment, of: session)
      #expect(ended.state == .failed || ended.state == .cancelled)
      #expect(shop.buyer(.approve, payment) != nil)
      try await shop.rest()
      #expect(try await shop.state(session) == .expired)
      try await shop.expectAgreement([session])
    }
  }

  @Test(arguments: ProviderHarness.all) func cancelledByClerkAndByBackend(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      let back = try await shop.service.cancelPayment(payment, of: session, as: .device(device))
      #expect(back.payment.state == .cancelled)
      #expect(shop.buyer(.approve, payment) != nil)
      let again = try await shop.service.startPayment(harness.method, of: session, as: .device(device)).payment.id
      #expect(try await shop.service.cancelSession(session, as: shop.merchant).session.state.name == .cancelled)
      #expect(shop.buyer(.approve, again) != nil)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  // MARK: Not known

  @Test(arguments: ProviderHarness.all, [true, false])
  func unknownThenCertain(harness: ProviderHarness, isPaid: Bool) async throws {
    try await ProviderShop.with(harness, limits: CallLimits(triesMax: 1, pauseMilliseconds: 5)) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      _ = shop.buyer(isPaid ? .approve : .refuse(nil), payment)
      shop.emulator.world.faults.plan(.answerLost, for: harness.lookOperation, count: 2)
      let settled = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      #expect(settled.payment.state == .unknown)
      // Ending it is no more certain while nobody answers; it is not called cancelled.
      await #expect(throws: ServiceFailure.self) {
        _ = try await shop.service.cancelPayment(payment, of: session, as: .device(device))
      }
      shop.emulator.world.faults.clear()
      shop.advance(Limits.providerCrashSeconds + Limits.outcomeCheckSecondsMin)
      try await shop.wait("the outcome is known") {
        _ = try await shop.service.reconcilePayments()
        let state = try await shop.payment(payment, of: session).state
        if state == .open || state == .unknown { shop.advance(Limits.providerCrashSeconds) }
        return state != .open && state != .unknown
      }
      let state = try await shop.payment(payment, of: session).state
      #expect(isPaid ? state == .succeeded : state == .failed || state == .cancelled)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  // MARK: Notifications

  @Test(arguments: ProviderHarness.all, [1, 2])
  func aNotificationSettles(harness: ProviderHarness, times: Int) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.approve, payment) == nil)
      let statuses = await shop.emulator.world.notifications.deliver(times: times)
      #expect(!statuses.isEmpty && statuses.allSatisfy { $0.map { (200..<300).contains($0) } ?? false })
      try await shop.wait("the session is finalized") { try await shop.state(session) == .finalized }
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  @Test(arguments: ProviderHarness.all) func aLostNotificationIsMadeUpFor(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.approve, payment) == nil)
      shop.emulator.world.notifications.lose()
      shop.advance(11)
      _ = try await shop.service.reconcilePayments()
      #expect(try await shop.state(session) == .finalized)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  /// It comes before the answer to the call that made the payment.
  @Test(arguments: ProviderHarness.all) func anEarlyNotificationDisturbsNothing(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let notifications = shop.emulator.world.notifications
      shop.emulator.world.faults.plan(
        .beforeAnswer { await notifications.deliver() }, for: harness.startOperation)
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.approve, payment) == nil)
      let settled = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      #expect(settled.session.state.name == .finalized)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  @Test(arguments: ProviderHarness.all) func aForgedNotificationDoesNothing(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.approve, payment) == nil)
      let now = shop.emulator.world.clock.now
      let genuine = try #require(
        shop.emulator.world.notifications.waiting.last.map {
          NotificationRequest(url: $0.url, headers: $0.headers(now), body: $0.body)
        })
      shop.emulator.world.notifications.lose()
      let looks = shop.looks
      for forged in harness.forgeries(genuine) {
        #expect(try await shop.send(forged) == 401)
      }
      #expect(shop.looks == looks)
      #expect(try await shop.payment(payment, of: session).state == .open)
      // The genuine one, late and again: at most a reason to ask.
      #expect(try await shop.send(genuine) == 204)
      try await shop.wait("the session is finalized") { try await shop.state(session) == .finalized }
      shop.advance(3600)
      _ = try await shop.send(genuine)
      #expect(try await shop.state(session) == .finalized)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }
}
