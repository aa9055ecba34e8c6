import KassaDomain
import KassaEmulators
import KassaService
import KassaStore
import Testing

@testable import KassaProviders

typealias StripeBench = PortBench<StripeEmulator, StripeTerminalProvider>

@Suite struct StripeTests {
  private func withBench(
    changing changes: [String: String] = [:], _ body: (StripeBench) async throws -> Void
  ) async throws {
    let bench = try await StripeBench(StripeEmulator(), changing: changes, StripeTerminalProvider.kind)
    do {
      try await body(bench)
      #expect(bench.emulator.world.journal.undocumented == [])
    } catch {
      await bench.stop()
      throw error
    }
    await bench.stop()
  }

  /// Without a reader for all devices: they collect with their own.
  private static let phone = ["reader_id": ""]
  private static let visa = CardSummary(brand: "visa", lastFour: "4242")

  private func intents(_ bench: StripeBench, of charge: Charge) -> [EmulatedPayment] {
    bench.emulator.payments().filter { $0.reference == charge.paymentID.description }
  }

  private func intent(_ bench: StripeBench, _ charge: Charge) throws -> EmulatedPayment {
    let found = intents(bench, of: charge)
    #expect(found.count == 1)
    return try #require(found.first)
  }

  private func buyer(_ bench: StripeBench, _ action: BuyerAction, _ charge: Charge) throws {
    let name = try intent(bench, charge).id
    #expect(bench.emulator.buyer(action, name) == nil)
  }

  private func tap(_ bench: StripeBench, _ charge: Charge, _ outcome: SimulatedOutcome = .success) async -> Bool {
    await bench.adapter.tap(bench.current(charge), outcome)
  }

  /// Starts on the reader, and has a card tapped: the money is reserved.
  private func reserved(_ bench: StripeBench, _ charge: Charge) async {
    #expect(await bench.start(charge).answer == .pending)
    #expect(await tap(bench, charge))
    #expect(await bench.settle(charge).answer == .paid(Self.visa))
  }

  /// The same, and all of it is taken.
  private func paid(_ bench: StripeBench, _ charge: Charge) async {
    await reserved(bench, charge)
    #expect(await bench.capture(bench.movement(charge, charge.amount)).answer == .done)
  }

  // MARK: A reader that is commanded

  @Test func aCardIsTappedOnTheReader() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      let report = await bench.start(charge)
      #expect(report.answer == .pending)
      #expect(report.nextAction == .tap(clientSecret: nil))
      #expect(await bench.query(charge).answer == .pending)
      #expect(await tap(bench, charge))
      #expect(await bench.settle(charge).answer == .paid(Self.visa))
      #expect(bench.emulator.world.ledger.netTaken.isEmpty)
      let capture = bench.movement(charge, charge.amount)
      #expect(await bench.capture(capture).answer == .done)
      #expect(await bench.capture(capture).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": charge.amount])
      #expect(await bench.query(charge).answer == .paid(Self.visa))
      // Nobody waits for a card any more.
      #expect(await !tap(bench, charge))
    }
  }

  @Test(
    arguments: PaymentFailureReason.allCases.filter { ![.timedOut, .notStarted, .cancelled].contains($0) })
  func aDeclinedCardHasItsReasonAndCanNeverPay(reason: PaymentFailureReason) async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      #expect(await bench.start(charge).answer == .pending)
      #expect(await tap(bench, charge, .declined(reason)))
      #expect(await bench.settle(charge).answer == .notPaid(reason))
      #expect(try intent(bench, charge).state == "canceled")
      #expect(await bench.query(charge).answer == .notPaid(reason))
      #expect(bench.emulator.world.ledger.netTaken.isEmpty)
    }
  }

  @Test func aDeviceHasItsOwnReader() async throws {
    try await withBench(changing: Self.phone) { bench in
      let charge = try bench.charge(readerID: StripeEmulator.reader)
      #expect(await bench.start(charge).nextAction == .tap(clientSecret: nil))
      #expect(await tap(bench, charge))
      #expect(await bench.settle(charge).answer == .paid(Self.visa))
    }
  }

  @Test(arguments: [StripeEmulator.busyReader, StripeEmulator.offlineReader, StripeEmulator.deafReader, "tmr_nobodys"])
  func aReaderThatCannotCollectLeavesNothingThatCanBePaid(reader: String) async throws {
    try await withBench { bench in
      let charge = try bench.charge(readerID: reader)
      #expect(await bench.start(charge).answer == .notPaid(.notStarted))
      #expect(try intent(bench, charge).state == "canceled")
    }
  }

  @Test func aReaderThatTimesOutButCollectsIsNotGivenUp() async throws {
    try await withBench { bench in
      let charge = try bench.charge(readerID: StripeEmulator.slowReader)
      #expect(await bench.start(charge).answer == .pending)
      #expect(await tap(bench, charge))
      #expect(await bench.settle(charge).answer == .paid(Self.visa))
    }
  }

  /// A reader collects for the attempt that it was told of last; the one before is over, and not shown to be waiting.
  @Test func aReaderIsTakenOverByTheNextAttempt() async throws {
    try await withBench { bench in
      let (first, second) = (try bench.charge(), try bench.charge())
      #expect(await bench.start(first).answer == .pending)
      #expect(await bench.settle(first).answer == .pending)
      #expect(await bench.start(second).answer == .pending)
      #expect(await bench.settle(first).answer == .notPaid(.cancelled))
      #expect(try intent(bench, first).state == "canceled")
      // The end of the first leaves the reader alone.
      #expect(await bench.cancel(first).answer == .notPaid(.cancelled))
      #expect(await bench.settle(second).answer == .pending)
      #expect(await tap(bench, second))
      #expect(await bench.settle(second).answer == .paid(Self.visa))
    }
  }

  @Test func cancellingFreesTheReader() async throws {
    try await withBench { bench in
      let first = try bench.charge()
      #expect(await bench.start(first).answer == .pending)
      #expect(await bench.cancel(first).answer == .notPaid(.cancelled))
      #expect(await bench.cancel(first).answer == .notPaid(.cancelled))
      #expect(await !tap(bench, first))
      await paid(bench, try bench.charge())
    }
  }

  // MARK: The phone's own reader

  @Test func aPhoneCollectsWithTheClientSecret() async throws {
    try await withBench(changing: Self.phone) { bench in
      let charge = try bench.charge()
      let report = await bench.start(charge)
      let made = try intent(bench, charge)
      guard case .tap(.some(let secret))? = report.nextAction else {
        Issue.record("no client secret")
        return
      }
      #expect(secret.hasPrefix("\(made.id)_secret_"))
      #expect(await !tap(bench, charge))
      #expect(bench.emulator.buyer(.approve, made.id) == nil)
      #expect(await bench.settle(charge).answer == .paid(Self.visa))
      let declined = try bench.charge()
      #expect(await bench.start(declined).answer == .pending)
      try buyer(bench, .refuse("lost_card"), declined)
      #expect(await bench.settle(declined).answer == .notPaid(.lostCard))
    }
  }

  @Test func aPhoneGetsATokenForItsReader() async throws {
    try await withBench { bench in
      let device = try #require(try bench.charge().device)
      let token = try #require(await bench.adapter.connectionToken(for: device))
      #expect(token.hasPrefix("pst_test_"))
      #expect(await bench.adapter.connectionToken(for: device) != token)
    }
    try await withBench(changing: ["location_id": "tml_elsewhere"]) { bench in
      let device = try #require(try bench.charge().device)
      #expect(await bench.adapter.connectionToken(for: device) == nil)
    }
  }

  // MARK: Cancel against success

  @Test func cancelAndTapRaceToOneEnd() async throws {
    try await withBench { bench in
      var (paid, cancelled) = (0, 0)
      for _ in 0..<100 {
        let charge = try bench.charge()
        #expect(await bench.start(charge).answer == .pending)
        async let cancelling = bench.cancel(charge)
        async let tapping: Bool = { [charge = bench.current(charge)] in
          try? await Task.sleep(for: .microseconds(Int.random(in: 0...2500)))
          return await bench.adapter.tap(charge, .success)
        }()
        let (report, isTapped) = await (cancelling, tapping)
        switch report.answer {
        case .paid(Self.visa):
          #expect(isTapped)
          paid += 1
        case .notPaid(.cancelled):
          // What was reserved in the moment between is freed by the same cancelling.
          cancelled += 1
        default: Issue.record("neither paid nor cancelled: \(report.answer)")
        }
      }
      #expect(bench.emulator.payments().count { $0.state == "requires_capture" } == paid)
      #expect(bench.emulator.payments().count { $0.state == "canceled" } == cancelled)
      #expect(paid + cancelled == 100)
    }
  }

  // MARK: Answers that do not come

  @Test(arguments: [true, false]) func aLostAnswerToCreatingIsHeardAgain(isOnReader: Bool) async throws {
    try await withBench(changing: isOnReader ? [:] : Self.phone) { bench in
      // The second try is answered as the first was.
      let once = try bench.charge()
      bench.plan(.answerLost, for: "createIntent")
      #expect(await bench.start(once).answer == .pending)
      #expect(intents(bench, of: once).count == 1)
      _ = await bench.cancel(once)
      // No try is answered: not known, and found when asked.
      let charge = try bench.charge()
      bench.plan(.answerLost, for: "createIntent", count: 2)
      #expect(bench.isUnknown(await bench.start(charge)))
      let report = await bench.query(charge)
      #expect(intents(bench, of: charge).count == 1)
      if isOnReader {
        // The reader was never told: over, for certain.
        #expect(report.answer == .notPaid(.notStarted))
        #expect(try intent(bench, charge).state == "canceled")
      } else {
        // Goes on from there.
        #expect(report.answer == .pending)
        #expect(report.nextAction != nil)
        try buyer(bench, .approve, charge)
        #expect(await bench.query(charge).answer == .paid(Self.visa))
      }
    }
  }

  @Test func aServerThatDiedAfterTellingTheReaderGoesOn() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      // Told and not heard of: nothing of the report is kept.
      _ = await bench.adapter.start(charge)
      bench.emulator.world.clock.advance(seconds: Limits.providerCrashSeconds)
      #expect(await bench.start(charge).answer == .pending)
      #expect(await tap(bench, charge))
      #expect(await bench.query(charge).answer == .paid(Self.visa))
      #expect(intents(bench, of: charge).count == 1)
      // Ended instead of begun again.
      let other = try bench.charge()
      _ = await bench.adapter.start(other)
      #expect(await bench.cancel(other).answer == .notPaid(.cancelled))
      #expect(try intent(bench, other).state == "canceled")
      await paid(bench, try bench.charge())
    }
  }

  @Test func anAttemptIsFoundAfterItsKeyWasForgotten() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      _ = await bench.adapter.start(charge)
      try buyer(bench, .approve, charge)
      bench.emulator.world.clock.advance(seconds: 86_400)
      bench.emulator.forgetKeys()
      #expect(await bench.query(charge).answer == .paid(Self.visa))
      let never = try bench.charge(createdAt: bench.now.adding(seconds: -86_400))
      #expect(await bench.query(never).answer == .notPaid(.notStarted))
      #expect(intents(bench, of: never).isEmpty)
    }
  }

  @Test(arguments: [EmulatorFault.answerLost, .unreachable, .refused(status: 500), .refusedAfterEffect(status: 503)])
  func anAnswerOfTheReaderThatDoesNotComeIsNotNo(fault: EmulatorFault) async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      bench.plan(fault, for: "process", count: 2)
      let report = await bench.start(charge)
      switch fault {
      case .answerLost, .refusedAfterEffect:
        #expect(report.answer == .pending)
        #expect(await tap(bench, charge))
        #expect(await bench.query(charge).answer == .paid(Self.visa))
      default:
        #expect(report.answer == .notPaid(.notStarted))
        #expect(try intent(bench, charge).state == "canceled")
      }
    }
  }

  @Test func aLostAnswerToCancellingIsRead() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      #expect(await bench.start(charge).answer == .pending)
      bench.plan(.answerLost, for: "cancelIntent", count: 2)
      #expect(await bench.cancel(charge).answer == .notPaid(.cancelled))
      let silent = try bench.charge()
      #expect(await bench.start(silent).answer == .pending)
      bench.plan(.unreachable, for: "cancelIntent", count: 2)
      #expect(bench.isUnknown(await bench.cancel(silent)))
      bench.plan(.unreachable, for: "readIntent", count: 2)
      #expect(bench.isUnknown(await bench.query(silent)))
      #expect(await bench.cancel(silent).answer == .notPaid(.cancelled))
    }
  }

  @Test func stripeThatCannotBeReachedAtTheBeginningIsNo() async throws {
    let bench = try await StripeBench(StripeEmulator(), StripeTerminalProvider.kind)
    await bench.server.stop()
    let charge = try bench.charge()
    #expect(await bench.start(charge).answer == .notPaid(.notStarted))
    // Later it might have been begun by a call that nobody remembers.
    bench.emulator.world.clock.advance(seconds: Limits.providerCrashSeconds)
    #expect(bench.isUnknown(await bench.start(charge)))
    #expect(bench.isUnknown(await bench.query(charge)))
    await bench.stop()
  }

  // MARK: Movements

  @Test func partsAreGivenBackAndNeverMoreThanThere() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await paid(bench, charge)
      let part = bench.movement(charge, 2_501)
      #expect(await bench.refund(part).answer == .done)
      #expect(await bench.refund(part).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 7_499])
      #expect(bench.isRefused(await bench.refund(bench.movement(charge, 7_500))))
      #expect(await bench.refund(bench.movement(charge, 7_499)).answer == .done)
      #expect(bench.isRefused(await bench.refund(bench.movement(charge, 1))))
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  @Test func aRefundWhoseAnswerIsLostHappensOnceAlsoAfterADay() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await paid(bench, charge)
      let lost = bench.movement(charge, 1_000)
      bench.plan(.answerLost, for: "createRefund", count: 2)
      #expect(bench.isUnknown(await bench.refund(lost)))
      bench.emulator.forgetKeys()
      #expect(await bench.refund(lost).answer == .done)
      let twice = bench.movement(charge, 1_000)
      bench.plan(.twice, for: "createRefund")
      #expect(await bench.refund(twice).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 8_000])
    }
  }

  @Test func theSameRefundAskedForAtOnceHappensOnce() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await paid(bench, charge)
      let part = bench.movement(charge, 4_000)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 { group.addTask { #expect(await bench.adapter.refund(part.of(bench)).answer == .done) } }
      }
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 6_000])
    }
  }

  /// Reserves and captures 10,000 with the test card of this number.
  private func paid(_ bench: StripeBench, withCard number: String) async throws -> Charge {
    let charge = try bench.charge(10_000)
    #expect(await bench.start(charge).answer == .pending)
    #expect(bench.emulator.hold(card: number, to: try intent(bench, charge).id) == nil)
    #expect(await bench.query(charge).answer == .paid(CardSummary(brand: "visa", lastFour: String(number.suffix(4)))))
    #expect(await bench.capture(bench.movement(charge, 10_000)).answer == .done)
    return charge
  }

  @Test func aRefundThatIsUnderWayIsDoneLater() async throws {
    try await withBench { bench in
      let part = bench.movement(try await paid(bench, withCard: "4000000000007726"), 1_000)
      #expect(await bench.refund(part).answer == .pending)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 10_000])
      #expect(await bench.untilDecided(part).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 9_000])
    }
  }

  @Test func aRefundThatCameBackIsRefusedWhenAskedAgain() async throws {
    try await withBench { bench in
      let part = bench.movement(try await paid(bench, withCard: "4000000000005126"), 1_000)
      #expect(await bench.refund(part).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 9_000])
      bench.emulator.world.clock.advance(seconds: StripeEmulator.refundSeconds)
      #expect(bench.isRefused(await bench.refund(part)))
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 10_000])
    }
  }

  /// The card's bank sends a refund back that was done: the merchant is told, the books agree, and it may be made again.
  /// Told by nobody, or by somebody else, the books disagree: that is the control.
  @Test func aRefundThatComesBackIsTold() async throws {
    try await ProviderShop.with(.stripe) { shop in
      let emulator = try #require(shop.emulator as? StripeEmulator)
      let (session, payment) = try await shop.awaiting(on: try await shop.pair())
      let intent = try #require(shop.emulated(payment)?.id)
      #expect(emulator.hold(card: "4000000000005126", to: intent) == nil)
      await emulator.world.notifications.deliver()
      try await shop.wait("it is paid") { try await shop.state(session) == .finalized }
      try await shop.rest()
      func view() async throws -> OrderView { try await shop.service.orderView(ofSession: session, as: shop.merchant) }
      let order = try await view().order.id
      let refund = MoveMoney(amount: 4_000, reference: nil, description: nil)
      #expect(try await shop.service.refund(refund, of: order, as: shop.backend).movement.state.name == .done)
      try await shop.expectAgreement([session])

      shop.advance(StripeEmulator.refundSeconds)
      try await shop.rest()
      // Nobody told: the control.
      let taken = emulator.world.ledger.netTaken["SEK"]
      #expect(taken == ProviderShop.amount)
      #expect(try await shop.booked([session]) == ProviderShop.amount - 4_000)
      let failure = try #require(
        emulator.world.notifications.waiting.first { $0.event == "refund.failed" })
      /// As Stripe signs it now, with `more` behind what was signed.
      func tell(more: [UInt8] = []) async throws -> Int {
        let headers = failure.headers(emulator.world.clock.now)
        return try await shop.send(NotificationRequest(url: failure.url, headers: headers, body: failure.body + more))
      }
      #expect(try await tell(more: [0x20]) == 401)
      try await shop.rest()
      #expect(try await shop.booked([session]) == ProviderShop.amount - 4_000)

      #expect(try await tell() == 204)
      try await shop.rest()
      try await shop.expectAgreement([session])
      let after = try await view()
      #expect(after.refunds.map(\.state.name) == [.refused] && after.order.refundable == ProviderShop.amount)
      let events = try await shop.store.read {
        try $0.events.history(of: order.of(EventSubject.self), merchant: shop.backend.merchantID)
      }.map(\.event)
      #expect(events.map(\.type) == [.orderCreated, .captureCreated, .refundCreated, .refundFailed])
      // Told twice, it is told once.
      #expect(try await tell() == 204)
      try await shop.rest()
      #expect(try await view().order.sequence == after.order.sequence)
    }
  }

  @Test func moneyThatIsOnlyReservedIsCapturedOnceOrFreed() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await reserved(bench, charge)
      #expect(bench.emulator.world.ledger.netTaken.isEmpty)
      let part = bench.movement(charge, 6_000)
      bench.plan(.answerLost, for: "captureIntent", count: 2)
      #expect(bench.isUnknown(await bench.capture(part)))
      #expect(await bench.capture(part).answer == .done)
      #expect(bench.isRefused(await bench.capture(bench.movement(charge, 1_000))))
      // What was taken is not freed, and is not said to be.
      #expect(bench.isRefused(await bench.adapter.release(bench.current(charge))))
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 6_000])
      #expect(await bench.adapter.reverse(bench.current(charge)).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
      let other = try bench.charge(10_000)
      await reserved(bench, other)
      #expect(await bench.adapter.release(bench.current(other)).answer == .done)
      #expect(bench.isRefused(await bench.capture(bench.movement(other, 10_000))))
      #expect(try intent(bench, other).state == "canceled")
    }
  }

  /// Two captures of the same amount are two: Stripe made one, and only one is said to be done.
  @Test func anotherCaptureOfTheSameAmountIsRefused() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await reserved(bench, charge)
      let (first, second) = (bench.movement(charge, 5_000), bench.movement(charge, 5_000))
      #expect(await bench.capture(first).answer == .done)
      #expect(bench.isRefused(await bench.capture(second)))
      #expect(await bench.capture(first).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 5_000])
      // Crosswise: the first never arrives, and the second is captured.
      let other = try bench.charge(10_000)
      await reserved(bench, other)
      let (lost, made) = (bench.movement(other, 5_000), bench.movement(other, 5_000))
      bench.plan(.unreachable, for: "captureIntent", count: 2)
      #expect(bench.isUnknown(await bench.capture(lost)))
      #expect(await bench.capture(made).answer == .done)
      #expect(bench.isRefused(await bench.capture(lost)))
      #expect(await bench.capture(made).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 10_000])
    }
  }

  /// Both see it reserved, and Stripe takes one: the other is told so, whichever it is.
  @Test func capturesOfTheSameAmountAtOnceAreTwo() async throws {
    try await withBench { bench in
      for round in 1...10 {
        let charge = try bench.charge(10_000)
        await reserved(bench, charge)
        async let first = bench.capture(bench.movement(charge, 5_000))
        async let second = bench.capture(bench.movement(charge, 5_000))
        let reports = await [first, second]
        #expect(reports.count { $0.answer == .done } == 1 && reports.count { bench.isRefused($0) } == 1)
        #expect(bench.emulator.world.ledger.netTaken == ["SEK": Int64(round) * 5_000])
      }
    }
  }

  /// Nobody wrote at Stripe whose capture it was: a capture of this amount is it, and others are not.
  @Test func aCaptureMadeInTheDashboardIsKnownByItsAmount() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await reserved(bench, charge)
      #expect(bench.emulator.capture(6_000, of: try intent(bench, charge).id) == nil)
      #expect(bench.isRefused(await bench.adapter.release(bench.current(charge))))
      #expect(bench.isRefused(await bench.capture(bench.movement(charge, 10_000))))
      #expect(await bench.capture(bench.movement(charge, 6_000)).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 6_000])
      #expect(await bench.adapter.reverse(bench.current(charge)).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  /// A session that is paid and captured by a call, with its order.
  private func authorized(_ shop: ProviderShop) async throws -> (SessionID, intent: String, OrderID) {
    _ = try await shop.service.replacePaymentMethod(
      .card,
      with: ReplacePaymentMethod(
        provider: .stripeTerminal, isOn: true, capturePolicy: .manual, settings: shop.settings),
      as: .backend(shop.backend))
    let device = try await shop.pair()
    let (session, payment) = try await shop.awaiting(on: device)
    #expect(shop.buyer(.approve, payment) == nil)
    _ = try await shop.service.settlePayment(payment, of: session, as: .device(device))
    let order = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.id
    return (session, try #require(shop.emulated(payment)?.id), order)
  }

  /// What Stripe would refuse, or worse, is refused before it is asked.
  @Test func anOrderIsCapturedOnce() async throws {
    try await ProviderShop.with(.stripe) { shop in
      let (session, _, order) = try await authorized(shop)
      let half = MoveMoney(amount: ProviderShop.amount / 2, reference: nil, description: nil)
      // The first is not known to have come about: there may be one.
      shop.emulator.world.faults.plan(.unreachable, for: "captureIntent", count: 3)
      #expect(try await shop.service.capture(half, of: order, as: shop.backend).movement.state.name == .requested)
      let isRefused = { (failure: ServiceFailure?) in if case .notAllowed? = failure { true } else { false } }
      func refusal() async -> ServiceFailure? {
        await #expect(throws: ServiceFailure.self) {
          _ = try await shop.service.capture(half, of: order, as: shop.backend)
        }
      }
      #expect(isRefused(await refusal()))
      try await shop.rest()
      #expect(isRefused(await refusal()))
      try await shop.expectAgreement([session])
      let money = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.money
      #expect(money.captured == half.amount && money.capturing == 0)
    }
  }

  /// An order is not called cancelled while Stripe holds money of it; captured here, it can be refunded.
  @Test func anOrderCapturedInTheDashboardIsNotCancelled() async throws {
    try await ProviderShop.with(.stripe) { shop in
      let emulator = try #require(shop.emulator as? StripeEmulator)
      let (session, intent, order) = try await authorized(shop)
      #expect(emulator.capture(10_000, of: intent) == nil)
      let failure = await #expect(throws: ServiceFailure.self) {
        try await shop.service.cancelOrder(order, as: shop.backend)
      }
      guard case .notAllowed(let words)? = failure else {
        Issue.record("it is \(String(describing: failure))")
        return
      }
      #expect(words.contains("10000 minor units were captured at Stripe"))
      let view = try await shop.service.orderView(ofSession: session, as: shop.merchant)
      #expect(view.order.status == .authorized && view.order.money.release == .none)
      let taken = MoveMoney(amount: 10_000, reference: nil, description: nil)
      #expect(try await shop.service.capture(taken, of: order, as: shop.backend).movement.state.name == .done)
      try await shop.expectAgreement([session])
      #expect(try await shop.service.refund(taken, of: order, as: shop.backend).movement.state.name == .done)
      try await shop.rest()
      try await shop.expectAgreement([session])
      #expect(emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  /// Stripe keeps a failure under its key for a day. What was asked for goes on under another, and what the failure hid is
  /// found: never twice.
  @Test(arguments: [true, false]) func aKeptFailureHoldsUpNoMovement(hasEffect: Bool) async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await reserved(bench, charge)
      let capture = bench.movement(charge, 10_000)
      bench.plan(.kept(status: 500, hasEffect: hasEffect), for: "captureIntent")
      #expect(bench.isUnknown(await bench.capture(capture)))
      if !hasEffect {
        // The next key breaks as well.
        bench.plan(.kept(status: 503, hasEffect: hasEffect), for: "captureIntent")
        #expect(bench.isUnknown(await bench.capture(capture)))
      }
      #expect(await bench.capture(capture).answer == .done)
      #expect(await bench.capture(capture).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 10_000])

      let refund = bench.movement(charge, 4_000)
      bench.plan(.kept(status: 500, hasEffect: hasEffect), for: "createRefund")
      #expect(bench.isUnknown(await bench.refund(refund)))
      // All who ask now ask under the same key.
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 { group.addTask { #expect(await bench.refund(refund).answer == .done) } }
      }
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 6_000])
    }
  }

  @Test(arguments: [true, false]) func aKeptFailureHoldsUpNoReversal(hasEffect: Bool) async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await paid(bench, charge)
      bench.plan(.kept(status: 500, hasEffect: hasEffect), for: "createRefund")
      #expect(bench.isUnknown(await bench.reverse(charge)))
      #expect(await bench.reverse(charge).answer == .done)
      #expect(await bench.reverse(charge).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  /// Under its key nobody was ever told a name or a secret: nobody can pay it, and the till is free at once.
  @Test(arguments: [true, false], [true, false])
  func aKeptFailureHoldsUpNoTill(isOnReader: Bool, isHidden: Bool) async throws {
    try await withBench(changing: isOnReader ? [:] : Self.phone) { bench in
      bench.emulator.delaySearches(seconds: 60)
      let charge = try bench.charge()
      bench.plan(.kept(status: 500, hasEffect: isHidden), for: "createIntent")
      #expect(await bench.start(charge).answer == .notPaid(.notStarted))
      #expect(await bench.cancel(charge).answer == .notPaid(.cancelled))
      #expect(intents(bench, of: charge).count == (isHidden ? 1 : 0))
      // What the failure hid is found when searches know of it, and ended.
      bench.emulator.world.clock.advance(seconds: 60)
      #expect(await bench.cancel(charge).answer == .notPaid(.cancelled))
      #expect(intents(bench, of: charge).allSatisfy { $0.state == "canceled" })
      #expect(await bench.start(try bench.charge()).answer == .pending)
    }
  }

  /// What the failure hid, and is found at once, is collected with.
  @Test(arguments: [true, false]) func whatAKeptFailureHidIsCollectedWith(isOnReader: Bool) async throws {
    try await withBench(changing: isOnReader ? [:] : Self.phone) { bench in
      let charge = try bench.charge()
      bench.plan(.kept(status: 500, hasEffect: true), for: "createIntent")
      #expect(await bench.start(charge).answer == .pending)
      try buyer(bench, .approve, charge)
      #expect(await bench.settle(charge).answer == .paid(Self.visa))
      // Broken for once, or kept and not said to be: nothing is known.
      let other = try bench.charge()
      bench.plan(.refused(status: 500), for: "createIntent", count: 2)
      #expect(bench.isUnknown(await bench.start(other)))
    }
  }

  /// A refund is found behind a hundred newer ones, also when its key is forgotten.
  @Test func aRefundIsFoundAmongMany() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      await paid(bench, charge)
      let first = bench.movement(charge, 1_000)
      bench.plan(.answerLost, for: "createRefund", count: 2)
      #expect(bench.isUnknown(await bench.refund(first)))
      for _ in 0..<205 { #expect(await bench.refund(bench.movement(charge, 1)).answer == .done) }
      bench.emulator.forgetKeys()
      #expect(await bench.refund(first).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 10_000 - 1_000 - 205])
    }
  }

  /// Stripe says paid, but not what was asked for: people must look, and nothing is captured or called paid.
  @Test(arguments: [(nil, "eur"), (1_000, nil)] as [(Int64?, String?)])
  func whatDoesNotAddUpIsNotPaid(amount: Int64?, currency: String?) async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      #expect(await bench.start(charge).answer == .pending)
      #expect(await tap(bench, charge))
      let name = try intent(bench, charge).id
      bench.emulator.falsify(name, amount: amount, currency: currency)
      for report in [await bench.settle(charge), await bench.query(charge), await bench.cancel(charge)] {
        guard case .unknown(let words) = report.answer else {
          Issue.record("\(report.answer)")
          continue
        }
        #expect(words.contains(name) && words.contains("10000 SEK"))
      }
      #expect(bench.isUnknown(await bench.capture(bench.movement(charge, 10_000))))
      #expect(bench.emulator.world.ledger.netTaken.isEmpty)
      // Said right again, it is paid.
      bench.emulator.falsify(name, amount: 10_000, currency: "sek")
      #expect(await bench.query(charge).answer == .paid(Self.visa))
    }
  }

  @Test func lateMoneyGoesBackWholeAndOnce() async throws {
    try await withBench { bench in
      // Reserved only: freed.
      let late = try bench.charge(10_000)
      await reserved(bench, late)
      #expect(await bench.adapter.reverse(bench.current(late)).answer == .done)
      #expect(try intent(bench, late).state == "canceled")
      // Taken: given back.
      let taken = try bench.charge(10_000)
      await paid(bench, taken)
      #expect(await bench.adapter.reverse(bench.current(taken)).answer == .done)
      #expect(await bench.adapter.reverse(bench.current(taken)).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  // MARK: Webhooks

  /// Made with another implementation of HMAC-SHA256.
  @Test func theDocumentedSignatureIsRead() throws {
    let secret = "whsec_test_secret"
    let body = Array(#"{"id":"evt_1","object":"event"}"#.utf8)
    let header =
      "t=1700000000,v1=0c8670ed117751cc551a20e35839447075c42800ea3cf3e8a2fbda99cd1e6edd,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
    let signature = try #require(StripeSignature(header: header))
    let now = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)
    #expect(signature.isValid(for: body, secret: secret, at: now))
    #expect(signature.isValid(for: body, secret: secret, at: now.adding(seconds: 300)))
    #expect(signature.isValid(for: body, secret: secret, at: now.adding(seconds: -300)))
    #expect(!signature.isValid(for: body, secret: secret, at: now.adding(seconds: 301)))
    #expect(!signature.isValid(for: body, secret: secret, at: now.adding(seconds: -301)))
    #expect(!signature.isValid(for: body + [10], secret: secret, at: now))
    #expect(!signature.isValid(for: body, secret: "whsec_other", at: now))
    // While a secret is rolled over there are two; one is enough.
    let wrong = String(repeating: "0", count: 64)
    let two = try #require(StripeSignature(header: header.replacing("v1=", with: "v1=\(wrong),v1=")))
    #expect(two.isValid(for: body, secret: secret, at: now))
    // The time is signed: another one does not go with it.
    let later = try #require(StripeSignature(header: header.replacing("1700000000", with: "1700000001")))
    #expect(!later.isValid(for: body, secret: secret, at: now))
  }

  @Test(arguments: [
    "", "t=1700000000", "v1=00", "t=x,v1=\(String(repeating: "0", count: 64))", "t=1700000000,v1=zz",
    "t=1700000000,v0=\(String(repeating: "0", count: 64))", "t=1700000000,v1=", "t,v1",
  ])
  func whatIsNoSignatureIsNone(header: String) { #expect(StripeSignature(header: header) == nil) }

  @Test func aTimeFarAwayIsNoReasonToStumble() throws {
    let signature = try #require(
      StripeSignature(header: "t=-9223372036854775808,v1=\(String(repeating: "0", count: 64))"))
    #expect(!signature.isValid(for: [], secret: "whsec_", at: Timestamp(millisecondsSinceEpoch: .max)))
  }

  @Test func aSignedWebhookNamesItsAttemptAndAForgedOneNone() async throws {
    let emulator = StripeEmulator()
    let bench = try await StripeBench(emulator, StripeTerminalProvider.kind)
    let subscribed = await bench.adapter.subscribe(to: "\(bench.server.url)/emulator/providers/card")
    let secret = try #require(try subscribed.get()["webhook_secret"])
    let knowing = StripeTerminalProvider(
      try StripeSettings(
        ["secret_key": StripeEmulator.secretKey, "webhook_secret": secret], at: ProviderAddress(bench.server.url),
        isPlayground: true), http: bench.adapter.http, clock: { bench.now })

    emulator.world.notifications.hold(true)
    let charge = try bench.charge()
    await reserved(bench, charge)
    await emulator.world.notifications.deliver()
    let sent = emulator.world.notifications.sent.map(\.notification)
    #expect(
      Set(sent.map(\.event)) == ["payment_intent.amount_capturable_updated", "terminal.reader.action_succeeded"])
    for notification in sent {
      func verdict(
        of adapter: StripeTerminalProvider, _ body: [UInt8], signedAt: Timestamp, _ receivedAt: Timestamp
      ) async -> NotificationVerdict {
        await adapter.verdict(
          on: ProviderNotification(
            method: "POST", target: "/", headers: notification.headers(signedAt), body: body, receivedAt: receivedAt),
          about: nil)
      }
      let now = bench.now
      #expect(
        await verdict(of: knowing, notification.body, signedAt: now, now) == .concerns(charge.paymentID))
      #expect(await verdict(of: knowing, notification.body + [32], signedAt: now, now) == .forged)
      #expect(await verdict(of: knowing, notification.body, signedAt: now, now.adding(seconds: 301)) == .forged)
      // Without a secret nothing is believed.
      #expect(await verdict(of: bench.adapter, notification.body, signedAt: now, now) == .forged)
    }
    await bench.stop()
  }

  // MARK: Settings

  @Test func whatIsEnteredIsCheckedAtStripe() async throws {
    func findings(_ changes: [String: String]) async throws -> [ProviderFinding] {
      var found: [ProviderFinding] = []
      try await withBench(changing: changes) { bench in found = await bench.adapter.check() }
      return found
    }
    let sound = try await findings(["webhook_secret": "whsec_any"])
    #expect(sound.allSatisfy { $0.isSound })
    #expect(sound.contains { $0.text.contains("test mode") })
    let unsound = try await findings([:]).filter { !$0.isSound }
    #expect(unsound.count == 1 && unsound[0].text.contains("webhook_secret"))
    #expect(try await findings(["secret_key": "sk_test_other"]).map(\.isSound) == [false])
    #expect(
      try await findings(["location_id": "tml_nobodys"]).contains { !$0.isSound && $0.text.contains("tml_nobodys") })
    #expect(
      try await findings(["reader_id": "tmr_nobodys"]).contains { !$0.isSound && $0.text.contains("tmr_nobodys") })
    for finding in try await findings(["secret_key": "sk_test_other"]) {
      #expect(!finding.text.contains("sk_test_other"))
    }
  }

  @Test func keysGoWithTheirEnvironment() throws {
    func paths(_ settings: [String: String], isPlayground: Bool) -> [String] {
      do {
        _ = try StripeSettings(
          settings, at: ProviderAddress(StripeSettings.productionURL), isPlayground: isPlayground)
        return []
      } catch {
        return error.all.map(\.path)
      }
    }
    #expect(paths(["secret_key": "sk_live_1"], isPlayground: false) == [])
    #expect(paths(["secret_key": "sk_test_1"], isPlayground: false) == ["secret_key"])
    #expect(paths(["secret_key": "sk_test_1"], isPlayground: true) == [])
    #expect(paths(["secret_key": "sk_live_1"], isPlayground: true) == ["secret_key"])
    #expect(paths(["secret_key": "rk_test_1"], isPlayground: true) == [])
    let wrong = ["secret_key": "pk_test_1", "reader_id": "1", "location_id": "tml_", "webhook_secret": "x"]
    #expect(paths(wrong, isPlayground: true) == ["secret_key", "webhook_secret", "reader_id", "location_id"])
  }

  @Test func currenciesHaveTheirSmallestAmounts() throws {
    func accepts(_ amount: Int64, _ code: String) throws -> Bool {
      StripeAmounts.accepts(amount, try #require(Currency(code: code)))
    }
    #expect(try accepts(300, "SEK"))
    #expect(try !accepts(299, "SEK"))
    #expect(try accepts(99_999_999, "EUR"))
    #expect(try !accepts(100_000_000, "EUR"))
    #expect(try !accepts(1_000, "JPY"))
  }
}

extension MoneyMovement {
  /// With what is known of its attempt by now.
  fileprivate func of(_ bench: StripeBench) -> MoneyMovement {
    MoneyMovement(
      charge: bench.current(charge), id: id, amount: amount, reference: reference, references: references)
  }
}
