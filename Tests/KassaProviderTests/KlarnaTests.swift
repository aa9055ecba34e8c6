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
      made.emulator.read(by: ["POST"])
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

  /// What Klarna's order is of counts, and not that the session is completed.
  @Test(arguments: [(23_900, "SEK"), (24_100, "SEK"), (24_000, "NOK")] as [(Int64, String)])
  func anOrderOfSomethingElseIsNotPaid(amount: Int64, currency: String) async throws {
    try await with { made in
      let charge = try made.charge(24_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.approve, try session(charge, made.emulator))
      made.emulator.misstateOrders((amount, currency))
      for report in [await made.adapter.settle(known), await made.adapter.cancel(known)] {
        guard case .unknown(let words) = report.answer else {
          Issue.record("it is \(report.answer)")
          continue
        }
        #expect(words.contains("\(amount) \(currency)") && words.contains("24000 SEK"))
      }
      made.emulator.misstateOrders(nil)
      #expect(await made.adapter.settle(known).answer == .paid(nil))
    }
  }

  // MARK: Sessions that are not there

  /// Klarna's answer to reading what was cancelled is not relied on: that we ended it is enough, also when it is said much
  /// earlier than it is read.
  @Test(arguments: [["GET", "POST"], ["GET"], ["POST"]] as [Set<String>])
  func whatWeEndedNeedsNoResult(methods: Set<String>) async throws {
    try await with(limits: CallLimits(triesMax: 1, pauseMilliseconds: 5)) { made in
      made.emulator.forgetCancelled(true)
      let charge = try made.charge(240_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      made.emulator.read(by: methods)
      made.emulator.world.faults.plan(.unreachable, for: "RESULT")
      let unread = await made.adapter.cancel(known)
      #expect(unread.answer.isUnknown)
      let ended = known.with(unread.references)
      #expect(await made.adapter.cancel(ended).answer == .notPaid(.cancelled))
      #expect(await made.adapter.cancel(ended).answer == .notPaid(.cancelled))
      // The same silence without a yes of Klarna's is no answer.
      #expect(await made.adapter.cancel(known).answer.isUnknown)
      #expect(await made.adapter.query(known).answer.isUnknown)
    }
  }

  /// With other credentials a session is not seen, and stands.
  @Test func aSessionOfOtherCredentialsIsNotCalledUnpaid() async throws {
    try await with { made in
      let charge = try made.charge(240_000, "SEK")
      let known = charge.with(await made.adapter.start(charge).references)
      try await with { other in
        for report in [await other.adapter.cancel(known), await other.adapter.query(known)] {
          #expect(report.answer.isUnknown)
          #expect(report.references.values.isEmpty)
        }
      }
      #expect(made.emulator.buyer(.approve, try session(charge, made.emulator)) == nil)
      #expect(await made.adapter.cancel(known).answer == .paid(nil))
    }
  }

  // MARK: Money asked for again

  enum Kind: CaseIterable {
    case capture, refund

    var operation: String { self == .capture ? "CAPTURE" : "REFUND" }
    var path: String { self == .capture ? "/captures" : "/refunds" }
    var amountName: String { self == .capture ? "captured_amount" : "refunded_amount" }
  }

  private static let oneTry = CallLimits(tryMilliseconds: 2000, triesMax: 1, pauseMilliseconds: 5)

  /// A charge of 240,000 that is paid, and of which the whole is captured if refunds are to be asked for.
  private func paid(_ made: Klarna, for kind: Kind) async throws -> Charge {
    let charge = try made.charge(240_000, "SEK")
    let known = charge.with(await made.adapter.start(charge).references)
    #expect(made.emulator.buyer(.approve, try session(charge, made.emulator)) == nil)
    let order = known.with(await made.adapter.settle(known).references)
    if kind == .refund { #expect(await made.adapter.capture(order.movement(240_000)).answer == .done) }
    return order
  }

  private func ask(_ made: Klarna, for kind: Kind, _ movement: MoneyMovement) async -> MovementReport {
    switch kind {
    case .capture: await made.adapter.capture(movement)
    case .refund: await made.adapter.refund(movement)
    }
  }

  /// How much was moved so, by the emulator's book.
  private func moved(_ made: Klarna, by kind: Kind) -> Int64 {
    made.emulator.world.ledger.entries.reduce(0) { sum, entry in
      kind.path == "/\(entry.kind)s" ? sum + abs(entry.amount) : sum
    }
  }

  @Test(arguments: Kind.allCases, [EmulatorFault.answerLost, .unreachable, .refusedAfterEffect(status: 503)])
  func whatIsAskedAgainADayLaterMovesOnce(kind: Kind, fault: EmulatorFault) async throws {
    try await with(limits: Self.oneTry) { made in
      let order = try await paid(made, for: kind)
      let before = moved(made, by: kind)
      let movement = order.movement(30_000, reference: "RETURN-77")
      made.emulator.world.faults.plan(fault, for: kind.operation)
      let lost = await ask(made, for: kind, movement)
      #expect(lost.answer.isUnknown)
      made.emulator.world.clock.advance(seconds: 25 * 3600)
      #expect(await ask(made, for: kind, movement.again(lost.references)).answer == .done)
      made.emulator.world.clock.advance(seconds: 25 * 3600)
      #expect(await ask(made, for: kind, movement.again(lost.references)).answer == .done)
      #expect(moved(made, by: kind) == before + 30_000)
      #expect(made.emulator.world.journal.undocumented.isEmpty)
    }
  }

  /// The control of the test above: the emulator forgets keys as Klarna does, and who relies on them moves it twice.
  @Test(arguments: Kind.allCases, [23, 25] as [Int64])
  func aKeyAloneHoldsForADay(kind: Kind, hours: Int64) async throws {
    try await with { made in
      let order = try await paid(made, for: kind)
      let before = moved(made, by: kind)
      for _ in 0..<2 {
        await post(30_000, kind, of: order, key: "one", made)
        made.emulator.world.clock.advance(seconds: hours * 3600)
      }
      #expect(moved(made, by: kind) == before + (hours < 24 ? 30_000 : 60_000))
    }
  }

  /// As an earlier version asked: without a name.
  private func post(_ amount: Int64, _ kind: Kind, of order: Charge, key: String, _ made: Klarna) async {
    let settings = made.emulator.settings(url: made.server.url).reduce(into: [:]) { $0[$1.name] = $1.value }
    let id = order.references["order_id"] ?? ""
    do {
      let api = KlarnaAPI(
        settings: try KlarnaSettings(settings), address: ProviderAddress(made.server.url),
        http: made.http)
      let response = await api.send(
        .post, KlarnaAPI.path(order: id, kind.path), body: Array("{\"\(kind.amountName)\":\(amount)}".utf8),
        idempotencyKey: key, within: made.http.budget())
      guard case .answered(let answer) = response, answer.isSuccess else {
        Issue.record("the emulator does not take it: \(response)")
        return
      }
    } catch {
      Issue.record(error)
    }
  }

  /// Under way when this version came: within a day its key tells, and after that nobody does but a person.
  @Test func whatAnEarlierVersionAskedForIsNotAskedForTwice() async throws {
    try await with { made in
      let order = try await paid(made, for: .refund)
      let (recent, old, other) = (order.movement(10_000), order.movement(20_000), order.movement(30_000))
      await post(10_000, .refund, of: order, key: "\(recent.id)", made)
      #expect(await made.adapter.refund(recent.again()).answer == .done)
      await post(20_000, .refund, of: order, key: "\(old.id)", made)
      #expect(moved(made, by: .refund) == 30_000)
      made.emulator.world.clock.advance(seconds: 25 * 3600)
      let report = await made.adapter.refund(old.again())
      guard case .unknown(let words) = report.answer else {
        Issue.record("it is \(report.answer)")
        return
      }
      #expect(words.contains("portal"))
      // Of this amount there is none, and what was always asked for by name is not taken for another.
      #expect(await made.adapter.refund(other.again()).answer == .done)
      #expect(await made.adapter.refund(order.movement(20_000).again(["is_named": "true"])).answer == .done)
      #expect(moved(made, by: .refund) == 80_000)
    }
    try await with { made in
      let order = try await paid(made, for: .capture)
      let capture = order.movement(40_000)
      await post(40_000, .capture, of: order, key: "\(capture.id)", made)
      made.emulator.world.clock.advance(seconds: 25 * 3600)
      #expect(await made.adapter.capture(capture.again()).answer == .done)
      #expect(moved(made, by: .capture) == 40_000)
    }
  }

  @Test func theFirstTimeIsOneCall() async throws {
    try await with { made in
      let order = try await paid(made, for: .capture)
      let reads = made.emulator.world.journal.count(of: "ORDER")
      #expect(await made.adapter.capture(order.movement(240_000)).answer == .done)
      #expect(await made.adapter.refund(order.movement(40_000)).answer == .done)
      #expect(made.emulator.world.journal.count(of: "ORDER") == reads)
    }
  }

  @Test func theNameIsAtTheEndOfTheMerchantsReference() async throws {
    let movement = try TestCharge.make(240_000, "SEK", at: Timestamp(millisecondsSinceEpoch: 0)).movement(1)
    func text(_ reference: String?) -> String {
      KlarnaReference.text(of: movement.charge.movement(1, movement.id, reference: reference))
    }
    #expect(text(nil) == "kassa:\(movement.id)")
    #expect(text("RETURN 77") == "RETURN 77 kassa:\(movement.id)")
    for long in [String(repeating: "x", count: 255), String(repeating: "🧾", count: 255)] {
      #expect(text(long).utf16.count <= 255 && text(long).utf16.count >= 254)
      #expect(KlarnaReference.movement(in: text(long)) == movement.id)
    }
    for reference in [nil, "", "RETURN 77", "kassa:", "\u{600}"] {
      #expect(KlarnaReference.movement(in: text(reference)) == movement.id)
    }
    for foreign in ["", " ", "RETURN-77", "\(movement.id)", "kassa:", "kassa:1", "kassa:\(movement.id) more"] {
      #expect(KlarnaReference.movement(in: foreign) == nil)
    }
  }

  // MARK: Money that Klarna holds

  @Test func reservedMoneyIsFreed() async throws {
    try await with { made in
      let order = try await paid(made, for: .capture)
      #expect(await made.adapter.release(order).answer == .done)
      #expect(await made.adapter.release(order).answer == .done)
      #expect(await made.adapter.capture(order.movement(1)).answer.isRefused)
      #expect(made.emulator.payments().map(\.held) == [0])
      #expect(made.emulator.world.ledger.netTaken.isEmpty)
    }
  }

  @Test(arguments: [40_000, 240_000] as [Int64])
  func whatIsCapturedElsewhereIsNotFreedAndCountsHere(amount: Int64) async throws {
    try await with { made in
      let order = try await paid(made, for: .capture)
      #expect(made.emulator.captureElsewhere(amount, try session(order, made.emulator)) == nil)
      guard case .refused(let words) = await made.adapter.release(order).answer else {
        Issue.record("Klarna holds money, and it is not told")
        return
      }
      #expect(words.contains("capture it here"))
      #expect(made.emulator.payments().map(\.held) == [240_000 - amount])
      let counted = order.movement(amount)
      #expect(await made.adapter.capture(counted).answer == .done)
      #expect(await made.adapter.capture(counted.again()).answer == .done)
      #expect(moved(made, by: .capture) == amount)
      // It counts once.
      let more = order.movement(200_000, othersDone: [counted.id: amount])
      if amount == 40_000 { #expect(await made.adapter.capture(more).answer == .done) }
      if amount == 240_000 { #expect(await made.adapter.capture(more).answer.isRefused) }
      #expect(moved(made, by: .capture) == 240_000)
      #expect(await made.adapter.refund(order.movement(amount)).answer == .done)
    }
  }

  /// Captures that Kassa made and has booked are not taken for those of others.
  @Test func partsAreTakenEachOnce() async throws {
    try await with { made in
      let order = try await paid(made, for: .capture)
      var done: [SubjectID: Int64] = [:]
      for _ in 0..<3 {
        let part = order.movement(80_000, othersDone: done)
        #expect(await made.adapter.capture(part).answer == .done)
        done[part.id] = 80_000
      }
      #expect(moved(made, by: .capture) == 240_000)
      #expect(await made.adapter.capture(order.movement(80_000, othersDone: done)).answer.isRefused)
    }
  }

  /// Captured while the order is being freed: nothing of it is called free, and late money is given back.
  @Test(arguments: [true, false]) func whatIsCapturedMeanwhileIsSeen(isLate: Bool) async throws {
    try await with { made in
      let order = try await paid(made, for: .capture)
      let session = try session(order, made.emulator)
      let emulator = made.emulator
      // After the order was read, before it is cancelled.
      emulator.world.faults.plan(.beforeAnswer { _ = emulator.captureElsewhere(240_000, session) }, for: "ORDER")
      if isLate {
        #expect(await made.adapter.reverse(order).answer == .done)
      } else {
        #expect(await made.adapter.release(order).answer.isRefused)
      }
      #expect(emulator.world.ledger.netTaken == ["SEK": isLate ? 0 : 240_000])
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
