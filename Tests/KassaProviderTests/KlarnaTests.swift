import KassaDomain
import KassaEmulators
import KassaService
import Testing

@testable import KassaProviders

private typealias Klarna = Made<KlarnaEmulator, KlarnaProvider>

@Suite(.serialized) struct KlarnaTests {
  private func with(
    limits: CallLimits = CallLimits(pauseMilliseconds: 5), settings: [String: String] = ["country": "SE"],
    _ body: (Klarna) async throws -> Void
  ) async throws {
    try await Klarna.with(
      KlarnaEmulator(), limits: limits, { KlarnaProvider.kind(http: $0, isPlayground: true, clock: $1) },
      settings: settings, body)
  }

  private func session(_ charge: Charge, _ emulator: KlarnaEmulator) throws -> String {
    try #require(emulator.payments().last { $0.reference == charge.paymentID.description }).id
  }

  @Test func aPaymentIsMadeApprovedCapturedAndRefunded() async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      let started = await made.adapter.start(charge)
      let known = charge.with(started.references)
      #expect(started.answer == .pending)
      #expect(started.code?.text == made.emulator.payments().first?.qrText)
      let session = try session(charge, made.emulator)
      _ = made.emulator.buyer(.open, session)
      #expect(await made.adapter.query(known).code?.isBuyerPaying == true)
      _ = made.emulator.buyer(.approve, session)
      let paid = await made.adapter.settle(known)
      #expect(paid.answer == .paid(nil))
      let order = known.with(paid.references)
      #expect(await made.adapter.capture(order.movement(240_000)).answer == .done)
      let refund = order.movement(40_000)
      #expect(await made.adapter.refund(refund).answer == .done)
      #expect(await made.adapter.refund(refund).answer == .done)
      #expect(await made.adapter.refund(order.movement(200_001)).answer.isRefused)
      #expect(made.emulator.world.ledger.netTaken == ["SEK": 200_000])
      // Without the order's name it is found by the session.
      #expect(await made.adapter.reverse(known).answer == .done)
      #expect(await made.adapter.reverse(order).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["SEK": 0])
      #expect(made.emulator.world.journal.undocumented.isEmpty)
    }
  }

  /// The claim that starting again rests on: of a session whose answer was lost no phone has a code, and what is shown
  /// is always the session that is looked at.
  @Test func aLostSessionIsShownToNobody() async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      made.emulator.world.faults.plan(.answerLost, for: "CREATE")
      let started = await made.adapter.start(charge)
      let known = charge.with(started.references)
      #expect(made.emulator.payments().count == 2)
      #expect(started.code?.text == made.emulator.payments().last?.qrText)
      #expect(started.references["session_id"] == made.emulator.payments().last?.id)
      // Once known, a session stays the only one.
      _ = await made.adapter.start(known)
      #expect(made.emulator.payments().count == 2)
      #expect(await made.adapter.cancel(known).answer == .notPaid(.cancelled))
      #expect(made.emulator.payments().map(\.isOpen) == [true, false])
      made.emulator.world.clock.advance(seconds: KlarnaEmulator.sessionSeconds)
      made.emulator.timePassed()
      #expect(made.emulator.payments().isEmpty)
    }
  }

  @Test func aStartWithoutAnyAnswerIsNotPaid() async throws {
    let limits = CallLimits(triesMax: 1, pauseMilliseconds: 5)
    try await with(limits: limits) { made in
      let charge = try made.charge(240_000, "SEK")
      made.emulator.world.faults.plan(.answerLost, for: "CREATE")
      #expect(await made.adapter.start(charge).answer == .notPaid(.notStarted))
      #expect(await made.adapter.query(charge).answer == .notPaid(.notStarted))
      #expect(await made.adapter.cancel(charge).answer == .notPaid(.cancelled))
    }
  }

  @Test func aLinkThatIsLateIsWaitedForOrShownLater() async throws {
    try await with { made in
      made.emulator.distribute(afterReads: 1)
      let quick = try made.charge(240_000, "SEK")
      #expect(await made.adapter.start(quick).code != nil)
      made.emulator.distribute(afterReads: 5)
      let slow = try made.charge(240_000, "SEK")
      let started = await made.adapter.start(slow)
      #expect(started.answer == .pending && started.code == nil && started.askAgainSeconds == 1)
      let known = slow.with(started.references)
      var code: NextAction.QRCode?
      for _ in 0..<5 where code == nil { code = await made.adapter.query(known).code }
      #expect(code?.text == made.emulator.payments().last?.qrText)
    }
  }

  @Test func resultsAreReadByPostWhereGetIsNotServed() async throws {
    try await with { made in
      made.emulator.readByPostOnly(true)
      let charge = try made.charge(240_000, "SEK")
      let started = await made.adapter.start(charge)
      #expect(started.code != nil)
      let before = made.emulator.world.journal.count(of: "RESULT")
      #expect(await made.adapter.query(charge.with(started.references)).answer == .pending)
      // What worked is kept to.
      #expect(made.emulator.world.journal.count(of: "RESULT") == before + 1)
    }
  }

  @Test(arguments: ["BAD_REQUEST", "PERMISSION_DENIED", "UNKNOWN", "INTERNAL_ERROR"])
  func failuresAreCertainOnlyWhereNothingWasHandedOut(code: String) async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.refuse(code), try session(charge, made.emulator))
      let answer = await made.adapter.query(known).answer
      #expect(code.hasSuffix("D") || code.hasSuffix("ST") ? answer == .notPaid(.notStarted) : answer.isUnknown)
      #expect(await made.adapter.cancel(known).answer == .notPaid(.cancelled))
    }
  }

  @Test func endingWhatIsPaidSaysSo() async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.approve, try session(charge, made.emulator))
      let ended = await made.adapter.cancel(known)
      #expect(ended.answer == .paid(nil))
      #expect(await made.adapter.reverse(known.with(ended.references)).answer == .done)
      #expect(await made.adapter.capture(known.movement(240_000)).answer.isRefused)
      #expect(made.emulator.world.ledger.netTaken.isEmpty)
    }
  }

  @Test func reservedMoneyIsFreed() async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.approve, try session(charge, made.emulator))
      #expect(await made.adapter.capture(known.movement(40_000)).answer == .done)
      #expect(await made.adapter.release(known).answer == .done)
      #expect(await made.adapter.release(known).answer == .done)
      #expect(await made.adapter.capture(known.movement(1)).answer.isRefused)
      #expect(made.emulator.world.ledger.netTaken == ["SEK": 40_000])
    }
  }

  @Test func onlyTheSecretOfTheAttemptIsBelieved() async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      func verdict(_ target: String, about charge: Charge?) async -> NotificationVerdict {
        await made.adapter.verdict(
          on: ProviderNotification(
            method: "POST", target: target, headers: [], body: Array(#"{"status":"COMPLETED"}"#.utf8),
            receivedAt: made.emulator.world.clock.now), about: charge)
      }
      let right = "/providers/v1/klarna/m/p?token=\(charge.notificationSecret)"
      #expect(await verdict(right, about: known) == .concerns(charge.paymentID))
      #expect(await verdict(right + "&x=1", about: known) == .concerns(charge.paymentID))
      #expect(await verdict(right, about: nil) == .forged)
      #expect(await verdict("/providers/v1/klarna/m/p", about: known) == .forged)
      #expect(await verdict("/providers/v1/klarna/m/p?token=", about: known) == .forged)
      #expect(await verdict(String(right.dropLast()) + "0", about: known) == .forged)
      // Nothing is known of a session yet: nothing can be told of it.
      #expect(await verdict(right, about: charge) == .irrelevant)
    }
  }

  @Test func onlyItsCountriesInTheirCurrenciesAreOffered() throws {
    let http = ProviderHTTPClient { Timestamp(millisecondsSinceEpoch: 0) }
    let kind = KlarnaProvider.kind(http: http, isPlayground: false) { Timestamp(millisecondsSinceEpoch: 0) }
    func accepts(_ code: String, _ country: String?, _ settings: [String: String] = [:]) throws -> Bool {
      kind.accepts(Purchase(amount: 100, currency: try #require(Currency(code: code)), country: country), settings)
    }
    #expect(try accepts("SEK", "SE") && accepts("EUR", "FI") && accepts("GBP", "GB"))
    #expect(try !accepts("SEK", "NO") && !accepts("USD", "US") && !accepts("SEK", nil))
    #expect(try accepts("NOK", "SE", ["country": "NO"]))
    Task { await http.shutdown() }
  }

  @Test func whatIsWrongIsSaidInWords() async throws {
    try await with { made in #expect(await made.adapter.check().allSatisfy(\.isSound)) }
    try await with(settings: ["password": "wrong"]) { made in
      let findings = await made.adapter.check()
      #expect(findings.contains { !$0.isSound && $0.text.contains("password") })
      #expect(!findings.contains { $0.text.contains("wrong") })
    }
  }

  @Test func settingsAreCheckedBeforeAnythingIsCalled() {
    do {
      _ = try KlarnaSettings(["username": "a:b", "country": "US", "locale": "swedish"])
      Issue.record("wrong settings were taken")
    } catch {
      #expect(error.all.map(\.path) == ["username", "password", "country", "locale"])
    }
  }
}
