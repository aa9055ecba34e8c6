import KassaDomain
import KassaEmulators
import KassaService
import NIOSSL
import Testing

@testable import KassaProviders

typealias SwishBench = PortBench<SwishEmulator, SwishProvider>

@Suite struct SwishTests {
  private func withBench(_ body: (SwishBench) async throws -> Void) async throws {
    let bench = try await SwishBench(try SwishEmulator(), SwishProvider.kind)
    do {
      try await body(bench)
      #expect(bench.emulator.world.journal.undocumented == [])
    } catch {
      await bench.stop()
      throw error
    }
    await bench.stop()
  }

  /// The one payment at Swish.
  private func name(_ charge: Charge) -> String { SwishInstruction.payment(charge.paymentID) }

  private func state(_ bench: SwishBench, _ charge: Charge) throws -> String {
    try #require(bench.emulator.payments().first { $0.id == name(charge) }).state
  }

  /// Starts, and has the buyer approve.
  private func paid(_ bench: SwishBench, _ charge: Charge) async throws {
    #expect(await bench.start(charge).answer == .pending)
    #expect(bench.emulator.buyer(.approve, name(charge)) == nil)
    #expect(await bench.query(charge).answer == .paid(nil))
  }

  // MARK: Collecting

  @Test func aBuyerScansAndPays() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      let report = await bench.start(charge)
      #expect(report.answer == .pending)
      let shown = try #require(bench.emulator.payments().first)
      guard case .showQR(let code)? = report.nextAction else {
        Issue.record("no code to show")
        return
      }
      #expect(code.text == shown.qrText)
      #expect(code.text.hasPrefix("D") && code.text.utf8.count == 33)
      #expect(code.expiresAt == charge.createdAt.adding(seconds: 180))
      #expect(shown.amount == charge.amount)
      #expect(await bench.query(charge).answer == .pending)
      #expect(bench.emulator.buyer(.approve, shown.id) == nil)
      #expect(await bench.settle(charge).answer == .paid(nil))
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": charge.amount])
    }
  }

  @Test func theSameAttemptIsStartedOnce() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      #expect(await bench.start(charge).answer == .pending)
      // Its code is on the phone already: it goes on.
      #expect(await bench.start(charge).answer == .pending)
      #expect(bench.emulator.payments().count == 1)
    }
  }

  @Test func onlyKronorWithinTheLimitsAreAskedFor() async throws {
    try await withBench { bench in
      let (foreign, small, least) = (try bench.charge(currency: "NOK"), try bench.charge(99), try bench.charge(100))
      #expect(await bench.start(foreign).answer == .notPaid(.notStarted))
      #expect(await bench.start(small).answer == .notPaid(.notStarted))
      #expect(bench.emulator.world.journal.entries.isEmpty)
      #expect(await bench.start(least).answer == .pending)
    }
  }

  @Test(arguments: [
    ("RF07", PaymentFailureReason.declinedGeneric), ("FF10", .processingError), ("TM01", .timedOut),
    ("BANKIDCL", .cancelled),
  ])
  func whatGoesWrongLaterHasItsReason(code: String, reason: PaymentFailureReason) async throws {
    try await withBench { bench in
      let charge = try bench.charge(reference: code)
      #expect(await bench.start(charge).answer == .pending)
      bench.emulator.world.clock.advance(seconds: SwishEmulator.triggerSeconds)
      #expect(await bench.query(charge).answer == .notPaid(reason))
      #expect(bench.emulator.world.ledger.netTaken.isEmpty)
    }
  }

  @Test(arguments: ["FF08", "PA02", "AM06", "ACMT07", "RP03"])
  func whatIsRefusedAtOnceWasNotStarted(code: String) async throws {
    try await withBench { bench in
      let charge = try bench.charge(reference: code)
      #expect(await bench.start(charge).answer == .notPaid(.notStarted))
      #expect(bench.emulator.payments().isEmpty)
    }
  }

  @Test(arguments: [true, false]) func anOutcomeThatSwishDoesNotKnowIsNotGuessed(isPaid: Bool) async throws {
    try await withBench { bench in
      let charge = try bench.charge(reference: "DS24")
      #expect(await bench.start(charge).answer == .pending)
      bench.emulator.world.clock.advance(seconds: SwishEmulator.triggerSeconds)
      #expect(bench.isUnknown(await bench.query(charge)))
      #expect(bench.isUnknown(await bench.cancel(charge)))
      #expect(bench.emulator.buyer(isPaid ? .approve : .refuse("RF07"), name(charge)) == nil)
      #expect(await bench.query(charge).answer == (isPaid ? .paid(nil) : .notPaid(.declinedGeneric)))
    }
  }

  @Test func aBuyerWhoDoesNothingOrRefusesEndsIt() async throws {
    try await withBench { bench in
      let refused = try bench.charge()
      #expect(await bench.start(refused).answer == .pending)
      #expect(bench.emulator.buyer(.refuse(nil), name(refused)) == nil)
      #expect(await bench.query(refused).answer == .notPaid(.cancelled))
      let forgotten = try bench.charge()
      #expect(await bench.start(forgotten).answer == .pending)
      bench.emulator.world.clock.advance(seconds: SwishEmulator.requestSeconds)
      #expect(await bench.query(forgotten).answer == .notPaid(.timedOut))
    }
  }

  @Test func cancellingIsReadAndNotBelieved() async throws {
    try await withBench { bench in
      let open = try bench.charge()
      #expect(await bench.start(open).answer == .pending)
      #expect(await bench.cancel(open).answer == .notPaid(.cancelled))
      #expect(try state(bench, open) == "CANCELLED")
      let approved = try bench.charge()
      #expect(await bench.start(approved).answer == .pending)
      #expect(bench.emulator.buyer(.approve, name(approved)) == nil)
      #expect(await bench.cancel(approved).answer == .paid(nil))
      // The cancelling arrives, its answer does not.
      let lost = try bench.charge()
      #expect(await bench.start(lost).answer == .pending)
      bench.plan(.answerLost, for: "cancel", count: 2)
      #expect(await bench.cancel(lost).answer == .notPaid(.cancelled))
      // It does not arrive at all: still open, and that is not called cancelled.
      let still = try bench.charge()
      #expect(await bench.start(still).answer == .pending)
      bench.plan(.unreachable, for: "cancel", count: 2)
      #expect(bench.isUnknown(await bench.cancel(still)))
      #expect(try state(bench, still) == "CREATED")
    }
  }

  @Test func cancellingAnAttemptThatNeverBeganIsCertain() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      #expect(await bench.cancel(charge).answer == .notPaid(.notStarted))
    }
  }

  @Test func cancelAndApprovalRaceToOneEnd() async throws {
    try await withBench { bench in
      var sums = (paid: 0, cancelled: 0)
      for _ in 0..<100 {
        let charge = try bench.charge()
        #expect(await bench.start(charge).answer == .pending)
        async let cancelling = bench.cancel(charge)
        async let approving = { [name = name(charge)] in
          try? await Task.sleep(for: .microseconds(Int.random(in: 0...1500)))
          return bench.emulator.buyer(.approve, name)
        }()
        let (report, refusal) = await (cancelling, approving)
        switch report.answer {
        case .paid(nil):
          #expect(refusal == nil)
          sums.paid += 1
        case .notPaid(.cancelled):
          #expect(refusal != nil)
          sums.cancelled += 1
        default: Issue.record("neither paid nor cancelled: \(report.answer)")
        }
      }
      #expect(bench.emulator.world.ledger.netTaken["SEK", default: 0] == Int64(sums.paid) * 12_550)
      #expect(sums.paid + sums.cancelled == 100)
    }
  }

  /// PAID of something else than what was asked for is not believed, and not called unpaid.
  @Test func anotherAmountOrCurrencyIsNotThisPayment() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      try await paid(bench, charge)
      bench.emulator.misstate(currency: "EUR")
      guard case .unknown(let words) = await bench.query(charge).answer else {
        Issue.record("another currency was believed")
        return
      }
      #expect(words == "Swish says PAID, but not in SEK")
      bench.emulator.misstate(amount: charge.amount + 1)
      #expect(bench.isUnknown(await bench.query(charge)))
      #expect(bench.isUnknown(await bench.cancel(charge)))
      bench.emulator.misstate()
      #expect(await bench.query(charge).answer == .paid(nil))
    }
  }

  // MARK: Answers that do not come

  @Test func aLostAnswerToCreatingLeavesNothingThatCanBePaid() async throws {
    try await withBench { bench in
      // The second try finds that the first one had its effect; the token is lost with the first answer.
      let once = try bench.charge()
      bench.plan(.answerLost, for: "create")
      #expect(await bench.start(once).answer == .notPaid(.notStarted))
      #expect(try state(bench, once) == "CREATED")
      // A look that follows every denial ends it.
      #expect(await bench.cancel(once).answer == .notPaid(.cancelled))
      #expect(try state(bench, once) == "CANCELLED")
      let always = try bench.charge()
      bench.plan(.answerLost, for: "create", count: 2)
      #expect(await bench.start(always).answer == .notPaid(.notStarted))
      let silent = try bench.charge()
      bench.plan(.answerLost, for: "create", count: 2)
      bench.plan(.unreachable, for: "read", count: 2)
      #expect(bench.isUnknown(await bench.start(silent)))
      #expect(await bench.query(silent).answer == .notPaid(.notStarted))
      let unreachable = try bench.charge()
      bench.plan(.refused(status: 503), for: "create", count: 2)
      #expect(await bench.start(unreachable).answer == .notPaid(.notStarted))
    }
  }

  @Test func aPaymentThatIsForgottenIsNotCalledUnpaid() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      #expect(await bench.start(charge).answer == .pending)
      bench.plan(.refused(status: 404), for: "read")
      #expect(bench.isUnknown(await bench.query(charge)))
      bench.plan(.refused(status: 500), for: "read", count: 2)
      #expect(bench.isUnknown(await bench.query(charge)))
      bench.plan(.never, for: "read", count: 2)
      #expect(bench.isUnknown(await bench.query(charge)))
      #expect(await bench.query(charge).answer == .pending)
    }
  }

  // MARK: Giving back

  @Test func partsAreGivenBackAndNeverMoreThanThere() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      try await paid(bench, charge)
      let part = bench.movement(charge, 2_501, reference: "return 1")
      #expect(await bench.refund(part).answer == .pending)
      #expect(await bench.untilDecided(part).answer == .done)
      // Asked again, it stands as it stands.
      #expect(await bench.refund(part).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 7_499])
      #expect(bench.isRefused(await bench.untilDecided(bench.movement(charge, 7_500))))
      #expect(await bench.untilDecided(bench.movement(charge, 7_499)).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
      #expect(bench.isRefused(await bench.untilDecided(bench.movement(charge, 100))))
    }
  }

  @Test func aRefundWhoseAnswerIsLostHappensOnce() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      try await paid(bench, charge)
      for fault in [EmulatorFault.answerLost, .twice, .refusedAfterEffect(status: 500)] {
        let part = bench.movement(charge, 1_000)
        bench.plan(fault, for: "refund", count: 2)
        bench.plan(.unreachable, for: "readRefund", count: 0)
        #expect(await bench.untilDecided(part).answer == .done)
        bench.emulator.world.faults.clear()
      }
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 7_000])
    }
  }

  @Test func theSameRefundAskedForAtOnceHappensOnce() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      try await paid(bench, charge)
      let part = bench.movement(charge, 4_000)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<4 { group.addTask { _ = await bench.refund(part) } }
      }
      #expect(await bench.untilDecided(part).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 6_000])
    }
  }

  @Test func aRefundThatTheBankRefusesIsRefusedAndOneNotKnownIsNot() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      try await paid(bench, charge)
      #expect(bench.isRefused(await bench.untilDecided(bench.movement(charge, 1_000, reference: "RF07"))))
      #expect(bench.isUnknown(await bench.untilDecided(bench.movement(charge, 1_000, reference: "DS24"))))
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 10_000])
    }
  }

  @Test func lateMoneyGoesBackWholeAndOnce() async throws {
    try await withBench { bench in
      let charge = try bench.charge(10_000)
      try await paid(bench, charge)
      for _ in 0..<4 {
        if await bench.adapter.reverse(bench.current(charge)).answer == .done { break }
        bench.emulator.world.clock.advance(seconds: 2)
      }
      #expect(await bench.adapter.reverse(bench.current(charge)).answer == .done)
      #expect(bench.emulator.world.ledger.netTaken == ["SEK": 0])
    }
  }

  @Test func refundsGoOutOneASecond() async throws {
    let pace = SwishRefundPace()
    let began = ContinuousClock.now
    #expect(await pace.wait(within: CallBudget(milliseconds: 10_000)))
    #expect(await pace.wait(within: CallBudget(milliseconds: 10_000)))
    #expect(began.duration(to: .now) >= .milliseconds(SwishRefundPace.pauseMilliseconds))
    // A turn that would come too late is not taken.
    #expect(await !pace.wait(within: CallBudget(milliseconds: 100)))
  }

  // MARK: Callbacks

  @Test func aCallbackCountsByItsIdentifierOnly() async throws {
    try await withBench { bench in
      let charge = try bench.charge()
      bench.emulator.world.notifications.hold(true)
      #expect(await bench.start(charge).answer == .pending)
      #expect(bench.emulator.buyer(.approve, name(charge)) == nil)
      await bench.emulator.world.notifications.deliver()
      let sent = try #require(bench.emulator.world.notifications.sent.first).notification
      func verdict(_ headers: [(name: String, value: String)], about charge: Charge?) async -> NotificationVerdict {
        await bench.adapter.verdict(
          on: ProviderNotification(
            method: "POST", target: "/", headers: headers.map { ($0.name.lowercased(), $0.value) }, body: sent.body,
            receivedAt: bench.now), about: charge)
      }
      let genuine = sent.headers(bench.now)
      #expect(await verdict(genuine, about: charge) == .concerns(charge.paymentID))
      #expect(await verdict(genuine, about: nil) == .forged)
      #expect(await verdict([("content-type", "application/json")], about: charge) == .forged)
      let other = String(repeating: "0", count: 32)
      #expect(await verdict([("callbackidentifier", other)], about: charge) == .forged)
      #expect(await verdict([("callbackidentifier", "")], about: charge) == .forged)
    }
  }

  // MARK: Certificates

  @Test func withoutACertificateThatItKnowsSwishTalksToNobody() async throws {
    try await withBench { bench in
      let client = ProviderHTTPClient(limits: SwishBench.shortLimits) { bench.now }
      let call = ProviderCall(.get, "/swish-cpcapi/api/v1/paymentrequests/0")
      var tls = TLSConfiguration.makeClientConfiguration()
      tls.trustRoots = .certificates(
        try NIOSSLCertificate.fromPEMBytes(Array(bench.emulator.certificates.authority.utf8)))
      for stranger in [nil, try EmulatorCertificates(at: bench.now).client(named: "stranger", at: bench.now)] {
        if let stranger {
          tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(stranger.certificate.utf8))
            .map { .certificate($0) }
          tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(stranger.privateKey.utf8), format: .pem))
        }
        let response = await client.send(
          call, to: ProviderAddress(bench.server.url, tls: tls), within: client.budget())
        if case .answered(let answer) = response { Issue.record("answered with \(answer.status)") }
      }
      #expect(bench.emulator.world.journal.entries.isEmpty)
      // The control: with the merchant's own it is let in.
      let findings = await bench.adapter.check()
      #expect(findings.allSatisfy { $0.isSound })
      #expect(bench.adapter.credentialsEndAt != nil)
      #expect(!bench.emulator.world.journal.entries.isEmpty)
      await client.shutdown()
    }
  }

  @Test(arguments: [(61, true), (59, false), (29, false), (6, false), (0, false), (-1, false)] as [(Int64, Bool)])
  func theEndOfTheCertificateIsToldInTime(daysLeft: Int64, isSound: Bool) throws {
    let now = Timestamp(millisecondsSinceEpoch: 1_790_000_000_000)
    let made = try EmulatorCertificates(at: now).client(named: "merchant", at: now, lifeDays: daysLeft)
    let chain = try NIOSSLCertificate.fromPEMBytes(Array(made.certificate.utf8))
    let certificate = try #require(SwishCertificate(chain: chain))
    #expect(certificate.endsAt == now.adding(seconds: daysLeft * 86_400))
    let finding = certificate.finding(at: now)
    #expect(finding.isSound == isSound)
    switch daysLeft {
    case 61: #expect(finding.text.contains("61 days"))
    case 59: #expect(finding.text.contains("two months"))
    case 29: #expect(finding.text.contains("a month"))
    case 6: #expect(finding.text.contains("a week"))
    default: #expect(finding.text.contains("ended"))
    }
  }

  @Test func settingsThatCannotBeAreAllNamed() throws {
    let made = try EmulatorCertificates(at: Timestamp(millisecondsSinceEpoch: 1_790_000_000_000))
    let identity = made.server
    let addresses = ProviderAddresses(
      production: SwishSettings.productionURL, test: SwishSettings.testURL, isPlayground: false)
    do {
      _ = try SwishSettings(["payee_alias": "12345", "certificate": "none", "private_key": "none"], at: addresses)
      Issue.record("accepted")
    } catch {
      #expect(error.all.map(\.path) == ["payee_alias", "certificate", "private_key"])
    }
    let settings = [
      "payee_alias": "1231181189", "certificate": identity.certificate, "private_key": identity.privateKey,
      // Counts in a playground only.
      "base_url": "https://example.com",
    ]
    #expect(try SwishSettings(settings, at: addresses).address.baseURL == SwishSettings.productionURL)
  }

  // MARK: Forms

  @Test(
    arguments: [
      (100, "1.00"), (101, "1.01"), (110, "1.10"), (12_550, "125.50"), (99_999_999_999_999, "999999999999.99"),
      // Where a binary fraction would not be exact.
      (1_000_000_000_001, "10000000000.01"), (9_007_199_254_740_993, "90071992547409.93"), (8, "0.08"),
    ] as [(Int64, String)])
  func amountsAreExactDecimals(minorUnits: Int64, text: String) {
    #expect(SwishAmount.text(minorUnits) == text)
    #expect(SwishAmount.minorUnits(.string(text)) == minorUnits)
    #expect(SwishAmount.minorUnits(.number(text)) == minorUnits)
  }

  @Test func whatIsNoAmountIsNotGuessed() {
    #expect(SwishAmount.minorUnits(.integer(150)) == 15_000)
    #expect(SwishAmount.minorUnits(.number("150.5")) == 15_050)
    #expect(SwishAmount.minorUnits(.number("150.5000")) == 15_050)
    for text in ["150.001", "1e2", "-1.00", "", ".", "1.", ".5", "1,00", "1.0.0", "99999999999999999999"] {
      #expect(SwishAmount.minorUnits(.string(text)) == nil, "\(text)")
    }
    #expect(SwishAmount.minorUnits(.integer(.max)) == nil)
    #expect(SwishAmount.minorUnits(nil) == nil)
  }

  @Test func messagesHaveOnlyWhatSwishTakes() {
    #expect(SwishMessage.allowed("ORDER-12345") == "ORDER 12345")
    #expect(SwishMessage.allowed("Åke & Örjan: \"två\" (2)!") == "Åke Örjan: \"två\" (2)!")
    #expect(SwishMessage.allowed("—🙂—") == nil)
    #expect(SwishMessage.allowed(String(repeating: "a", count: 80))?.utf8.count == 50)
  }

  @Test func everyDocumentedCodeHasOneMeaning() {
    #expect(SwishErrors.meaning(of: "DS24") == .unknown)
    #expect(SwishErrors.meaning(of: "RP09") == .exists)
    #expect(SwishErrors.meaning(of: "RP07") == .cannotCancel)
    let refused = [
      "FF08", "RP01", "RP02", "RP03", "RP06", "BE18", "PA01", "PA02", "AM02", "AM03", "AM06", "ACMT01", "ACMT03",
      "ACMT07", "RF02", "RF07", "BANKIDCL", "BANKIDONGOING", "BANKIDUNKN", "FF10", "TM01", "VR01", "VR02",
    ]
    for code in refused {
      guard case .refused = SwishErrors.meaning(of: code) else {
        Issue.record("\(code) is not a refusal")
        continue
      }
      #expect(SwishErrors.words(for: code).contains(code))
    }
    // Not documented: neither yes nor no.
    #expect(SwishErrors.meaning(of: "ZZ99") == .unknown)
    #expect(SwishErrors.meaning(of: "") == .unknown)
  }
}
