import KassaDomain
import KassaEmulators
import KassaService
import KassaTestDatabases
import Testing

@testable import KassaProviders

/// Money that came after its session's end, and does not go back at once.
@Suite(.serialized) struct ReversalTests {
  private func taken(_ shop: ProviderShop) -> Int64 {
    shop.emulator.world.ledger.netTaken[shop.harness.currency] ?? 0
  }

  private func timesGivenBack(_ shop: ProviderShop) -> Int {
    shop.emulator.world.ledger.entries.count { $0.amount < 0 }
  }

  /// Events that tell merchants of late money.
  private func timesTold(_ shop: ProviderShop, _ session: SessionID) async throws -> Int {
    try await shop.view(session).history.count { $0.type == .paymentLate }
  }

  private func late(_ shop: ProviderShop) async throws -> (session: SessionID, payment: PaymentID) {
    try await shop.given(up: try await shop.pair()) { payment in
      try #require(shop.buyer(.approve, payment) == nil)
      // At Stripe it is reserved until somebody captures it.
      if let stripe = shop.emulator as? StripeEmulator {
        try #require(stripe.captureInDashboard(try #require(shop.emulated(payment)?.id)) == nil)
      }
    }
  }

  /// The account is empty, then filled: each try is a refund of its own, and one goes through.
  @Test(.timeLimit(.minutes(2)), arguments: ProviderHarness.refundingLateMoney)
  func fromAnEmptyAccountItGoesBackOnceThereIsMoney(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness) { shop in
      shop.emulator.emptyAccount(true)
      let (session, payment) = try await late(shop)
      try await shop.pass(minutes: 120)
      #expect(try await shop.payment(payment, of: session).state == .reversing)
      #expect(try await shop.payment(payment, of: session).reversalTry > 2)
      #expect(taken(shop) == ProviderShop.amount)
      #expect(try await timesTold(shop, session) == 0)

      shop.emulator.emptyAccount(false)
      try await shop.pass(minutes: 120)
      #expect(try await shop.payment(payment, of: session).state == .reversed)
      #expect(taken(shop) == 0 && timesGivenBack(shop) == 1)
      #expect(try await timesTold(shop, session) == 1)
      try await shop.rest()
      try await shop.expectAgreement([session])
      try await shop.service.deletePaymentMethod(harness.method, as: .backend(shop.backend))
    }
  }

  /// The control: under the name of the first try it is refused for ever, for these keep what was refused.
  @Test(.timeLimit(.minutes(2)), arguments: ProviderHarness.refundingLateMoney)
  func underOneNameItWouldNeverGoBack(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness, spoilt: SpoiltReversals.kind(.alwaysTheFirstTry)) { shop in
      shop.emulator.emptyAccount(true)
      let (session, payment) = try await late(shop)
      try await shop.pass(minutes: 60)
      shop.emulator.emptyAccount(false)
      try await shop.pass(minutes: 720)
      #expect(try await shop.payment(payment, of: session).state == .reversing)
      #expect(taken(shop) == ProviderShop.amount)
    }
  }

  @Test(arguments: ["RF07", "FF10"]) func whatSwishEndsAsAnErrorIsTriedAnew(code: String) async throws {
    try await ProviderShop.with(.swish) { shop in
      let emulator = try #require(shop.emulator as? SwishEmulator)
      emulator.endRefunds(with: code)
      let (session, payment) = try await late(shop)
      try await shop.pass(until: "it is refused") { try await shop.payment(payment, of: session).reversalTry == 2 }
      #expect(taken(shop) == ProviderShop.amount)
      emulator.endRefunds(with: nil)
      try await shop.pass(minutes: 60)
      #expect(try await shop.payment(payment, of: session).state == .reversed)
      #expect(taken(shop) == 0 && timesGivenBack(shop) == 1)
    }
  }

  /// What Swish does not know stays one try, however long, and is done in the end.
  @Test(.timeLimit(.minutes(2))) func anUnknownOutcomeBeginsNoSecondTry() async throws {
    try await ProviderShop.with(.swish) { shop in
      let emulator = try #require(shop.emulator as? SwishEmulator)
      let (session, payment) = try await unknownForHours(shop, emulator)
      #expect(try await shop.payment(payment, of: session).reversalTry == 1)
      #expect(try await shop.payment(payment, of: session).state == .reversed)
      #expect(taken(shop) == 0 && timesGivenBack(shop) == 1)
    }
  }

  /// The control: an adapter that begins another try upon what is not known gives back twice.
  @Test(.timeLimit(.minutes(2))) func whoeverStepsOnWhatIsNotKnownGivesBackTwice() async throws {
    try await ProviderShop.with(.swish, spoilt: SpoiltReversals.kind(.unknownIsRefused)) { shop in
      let emulator = try #require(shop.emulator as? SwishEmulator)
      _ = try await unknownForHours(shop, emulator)
      #expect(taken(shop) == -ProviderShop.amount && timesGivenBack(shop) == 2)
    }
  }

  /// The refund ends as DS24; hours later the banks find that it was made.
  private func unknownForHours(
    _ shop: ProviderShop, _ emulator: SwishEmulator
  ) async throws -> (session: SessionID, payment: PaymentID) {
    emulator.endRefunds(with: "DS24")
    let late = try await late(shop)
    try await shop.pass(until: "a refund is asked for") { shop.emulator.world.journal.count(of: "refund") > 0 }
    // A second one, should there be any, would be made.
    emulator.endRefunds(with: nil)
    try await shop.pass(minutes: 180)
    emulator.settleUnknownRefunds()
    try await shop.pass(minutes: 60)
    return late
  }

  /// Vipps tells of each refusal. What comes of being told sets off no try: only time does.
  @Test(.timeLimit(.minutes(2))) func beingToldOfARefusalSetsOffNoTry() async throws {
    try await ProviderShop.with(.vippsCapturing) { shop in
      shop.emulator.emptyAccount(true)
      let (session, payment) = try await late(shop)
      try await shop.pass(until: "it is refused") { try await shop.payment(payment, of: session).reversalTry == 2 }
      let refunds = shop.emulator.world.journal.count(of: "REFUND")
      for _ in 0..<5 {
        await shop.service.applyLate(ProviderReport(.paid(nil)), to: try await shop.payment(payment, of: session))
      }
      #expect(shop.emulator.world.journal.count(of: "REFUND") == refunds)
      #expect(try await shop.payment(payment, of: session).reversalTry == 2)
    }
  }

  /// The card's bank sends back what was given back: told, it is given back again, and merchants are not told twice. Told
  /// by nobody, it would stay with the merchant: that is the control.
  @Test(.timeLimit(.minutes(2))) func lateMoneyThatComesBackIsGivenBackAgain() async throws {
    try await ProviderShop.with(.stripe) { shop in
      let emulator = try #require(shop.emulator as? StripeEmulator)
      let (session, payment) = try await shop.given(up: try await shop.pair()) { payment in
        let intent = try #require(shop.emulated(payment)?.id)
        try #require(emulator.hold(card: "4000000000005126", to: intent) == nil)
        try #require(emulator.captureInDashboard(intent) == nil)
      }
      try await shop.pass(until: "it is given back") {
        try await shop.payment(payment, of: session).state == .reversed
      }
      try await shop.pass(minutes: 10)
      #expect(try await shop.payment(payment, of: session).state == .reversed)
      #expect(taken(shop) == ProviderShop.amount)

      emulator.keepRefunds(of: try #require(shop.emulated(payment)?.id))
      let failure = try #require(emulator.world.notifications.waiting.last { $0.event == "refund.failed" })
      func tell() async throws -> Int {
        let headers = failure.headers(emulator.world.clock.now)
        return try await shop.send(NotificationRequest(url: failure.url, headers: headers, body: failure.body))
      }
      #expect(try await tell() == 204)
      _ = try await shop.service.reconcilePayments()
      #expect(try await shop.payment(payment, of: session).state == .reversing)
      #expect(try await shop.service.unsettledPayments().reversing.count == 1)
      try await shop.pass(minutes: 60)
      #expect(try await shop.payment(payment, of: session).state == .reversed)
      #expect(taken(shop) == 0 && timesGivenBack(shop) == 2)
      #expect(try await timesTold(shop, session) == 1)

      // Told once more: what was given back last is asked about, and stays there.
      #expect(try await tell() == 204)
      try await shop.pass(minutes: 10)
      #expect(try await shop.payment(payment, of: session).state == .reversed)
      #expect(try await shop.payment(payment, of: session).reversalTry == 2)
      #expect(taken(shop) == 0)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }

  /// Where Vipps captures by itself, our own capture is refused as already done; the money is in the order all the same.
  @Test func whatTheProviderCapturedByItselfCanBeRefunded() async throws {
    try await ProviderShop.with(.vippsCapturing) { shop in
      let device = try await shop.pair()
      let (session, payment) = try await shop.awaiting(on: device)
      #expect(shop.buyer(.approve, payment) == nil)
      _ = try await shop.service.settlePayment(payment, of: session, as: .device(device))
      try await shop.rest()
      let order = try await shop.service.orderView(ofSession: session, as: shop.merchant).order
      #expect(order.money.captured == ProviderShop.amount)
      let refund = MoveMoney(amount: 4_000, reference: nil, description: nil)
      _ = try await shop.service.refund(refund, of: order.id, as: shop.backend)
      try await shop.rest()
      try await shop.expectAgreement([session])
    }
  }
}

extension Charge {
  /// The same attempt, with these references alone.
  func replacing(_ references: ProviderReferences) -> Charge {
    Charge(
      paymentID: paymentID, sessionID: sessionID, merchantID: merchantID, amount: amount, currency: currency,
      createdAt: createdAt, waitsUntil: waitsUntil, references: references, cart: cart,
      merchantReference: merchantReference, device: device, location: location, notificationURL: notificationURL,
      notificationSecret: notificationSecret)
  }
}
