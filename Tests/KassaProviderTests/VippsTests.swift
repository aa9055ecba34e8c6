import Foundation
import KassaDomain
import KassaEmulators
import KassaJSON
import KassaService
import Testing

@testable import KassaProviders

private typealias Vipps = Made<VippsEmulator, VippsProvider>

@Suite(.serialized) struct VippsTests {
  private func with(
    limits: CallLimits = CallLimits(pauseMilliseconds: 5), settings: [String: String] = [:],
    _ body: (Vipps) async throws -> Void
  ) async throws {
    try await Vipps.with(
      VippsEmulator(), limits: limits, { VippsProvider.kind(http: $0, isPlayground: true, clock: $1) },
      settings: settings, body)
  }

  @Test func aPaymentIsMadeApprovedCapturedAndRefunded() async throws {
    try await with { made in
      let charge = try made.charge()
      let started = await made.adapter.start(charge)
      #expect(started.answer == .pending)
      #expect(started.code?.text == made.emulator.payments().first?.qrText)
      #expect(started.code?.expiresAt == charge.waitsUntil)
      #expect(started.askAgainSeconds == 5)
      let known = charge.with(started.references)
      #expect(await made.adapter.query(known).askAgainSeconds == 2)
      #expect(made.emulator.buyer(.approve, charge.paymentID.description) == nil)
      #expect(await made.adapter.settle(known).answer == .paid(nil))
      #expect(made.emulator.world.ledger.netTaken.isEmpty)

      #expect(await made.adapter.capture(known.movement(24_000)).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 24_000])
      let refund = known.movement(10_000)
      #expect(await made.adapter.refund(refund).answer == .done)
      #expect(await made.adapter.refund(refund).answer == .done)
      #expect(await made.adapter.refund(known.movement(20_000)).answer.isRefused)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 14_000])
      #expect(await made.adapter.reverse(known).answer == .done)
      #expect(await made.adapter.reverse(known).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 0])
      #expect(await made.adapter.query(known).answer == .notPaid(.cancelled))
      #expect(made.emulator.world.journal.undocumented.isEmpty)
    }
  }

  @Test func reservedMoneyIsFreed() async throws {
    try await with { made in
      let known = try await approved(made)
      #expect(await made.adapter.release(known).answer == .done)
      #expect(await made.adapter.release(known).answer == .done)
      #expect(await made.adapter.capture(known.movement(1000)).answer.isRefused)
      #expect(made.emulator.world.ledger.netTaken.isEmpty)
    }
  }

  /// An order is cancelled while nothing of it was captured. Did Vipps capture past Kassa, it is not called cancelled, and
  /// nothing is freed; late money goes back all the same.
  @Test func whatWasCapturedIsNotCalledFreed() async throws {
    try await with { made in
      let known = try await approved(made)
      #expect(await made.adapter.capture(known.movement(4000)).answer == .done)
      guard case .refused(let words) = await made.adapter.release(known).answer else {
        Issue.record("captured money was called freed")
        return
      }
      #expect(words.contains("captured 4000"))
      #expect(made.emulator.payments().first?.held == 20_000)
      #expect(await made.adapter.reverse(known).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 0])
      #expect(made.emulator.payments().first?.held == 0)
    }
  }

  /// Each try to give back has a key of its own, within the fifty characters that Vipps takes.
  @Test func whatWasRefusedIsGivenBackUnderAnotherKey() async throws {
    try await with { made in
      let known = try await approved(made, 65_000_000)
      #expect(await made.adapter.capture(known.movement(65_000_000)).answer == .done)
      made.emulator.emptyAccount(true)
      #expect(await made.adapter.reverse(known).answer.isRefused)
      made.emulator.emptyAccount(false)
      // Vipps keeps what it answered to the key.
      #expect(await made.adapter.reverse(known).answer.isRefused)
      let next = known.with(["reverse_try": "2"])
      #expect(await made.adapter.reverse(next).answer == .done)
      #expect(await made.adapter.reverse(next).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 0])
    }
  }

  /// The first try hangs and is carried out, the second is refused for it, and the log lags behind: that is no *no*.
  @Test(arguments: [400, 409, 422]) func aRefusalOfARepetitionIsNotBelieved(status: Int) async throws {
    try await with { made in
      let known = try await approved(made)
      #expect(await made.adapter.capture(known.movement(24_000)).answer == .done)
      made.emulator.fallBehind([.log, .sums])
      made.emulator.world.faults.plan(.answerLost, for: "REFUND")
      made.emulator.world.faults.plan(.refused(status: status), for: "REFUND")
      let refund = known.movement(10_000)
      #expect(await made.adapter.refund(refund).answer.isUnknown)
      #expect(made.emulator.world.faults.waitingCount == 0)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 14_000])
      made.emulator.fallBehind([])
      #expect(await made.adapter.refund(refund).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 14_000])
    }
  }

  /// Asked again when Vipps has forgotten the key, the log still has it.
  @Test func aMovementWhoseKeyIsForgottenHappensOnce() async throws {
    try await with { made in
      let known = try await approved(made)
      let capture = known.movement(24_000)
      #expect(await made.adapter.capture(capture).answer == .done)
      let refund = known.movement(10_000)
      made.emulator.fallBehind([.log, .sums])
      made.emulator.world.faults.plan(.answerLost, for: "REFUND", count: 10)
      #expect(await made.adapter.refund(refund).answer.isUnknown)
      made.emulator.world.faults.clear()
      made.emulator.fallBehind([])
      made.emulator.forgetKeys()
      #expect(await made.adapter.refund(refund).answer == .done)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 14_000])
    }
  }

  /// The state says AUTHORIZED, and the sums do not show it yet: neither unpaid, nor freed, nor given back.
  @Test func sumsThatLagBehindSayNothing() async throws {
    try await with { made in
      let known = try await approved(made)
      made.emulator.fallBehind([.sums])
      #expect(await made.adapter.query(known).answer.isUnknown)
      #expect(await made.adapter.cancel(known).answer.isUnknown)
      made.emulator.fallBehind([])
      #expect(await made.adapter.query(known).answer == .paid(nil))
      made.emulator.fallBehind([.sums])
      #expect(await made.adapter.release(known).answer.isUnknown)
      #expect(await made.adapter.reverse(known).answer.isUnknown)
      made.emulator.fallBehind([])
      #expect(await made.adapter.release(known).answer == .done)
      #expect(await made.adapter.query(known).answer == .notPaid(.cancelled))
      #expect(await made.adapter.reverse(known).answer == .done)
    }
  }

  /// An attempt that its customer approved.
  private func approved(_ made: Vipps, _ amount: Int64 = 24_000) async throws -> Charge {
    let charge = try made.charge(amount)
    let known = charge.with(await made.adapter.start(charge).references)
    try #require(made.emulator.buyer(.approve, charge.paymentID.description) == nil)
    return known
  }

  /// The code's answer was lost, and reading the payment does not tell it: asked for again with the same key.
  @Test func aCodeThatWasLostIsFound() async throws {
    let limits = CallLimits(triesMax: 1, pauseMilliseconds: 5)
    try await with(limits: limits) { made in
      let charge = try made.charge()
      made.emulator.world.faults.plan(.answerLost, for: "CREATE")
      #expect(await made.adapter.start(charge).answer.isUnknown)
      let found = await made.adapter.query(charge)
      #expect(found.answer == .pending)
      #expect(found.code?.text == made.emulator.payments().first?.qrText)
      #expect(made.emulator.payments().count == 1)
    }
  }

  @Test func endingSparesWhatWasApproved() async throws {
    try await with { made in
      let charge = try made.charge()
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.approve, charge.paymentID.description)
      #expect(await made.adapter.cancel(known).answer == .paid(nil))
      #expect(made.emulator.payments().first?.state == "AUTHORIZED")
    }
  }

  @Test func whatVippsNeverHeardOfIsNotPaid() async throws {
    try await with { made in
      let charge = try made.charge()
      #expect(await made.adapter.query(charge).answer == .notPaid(.notStarted))
      #expect(await made.adapter.cancel(charge).answer == .notPaid(.cancelled))
      // But Vipps itself had told of it.
      let known = charge.with(["reference": charge.paymentID.description])
      #expect(await made.adapter.query(known).answer.isUnknown)
      #expect(await made.adapter.cancel(known).answer.isUnknown)
    }
  }

  @Test(arguments: [Int64(151), 182, 183, 184, 186, 187, 197, 202])
  func aRefusedApprovalLeavesThePaymentOpen(amount: Int64) async throws {
    try await with { made in
      let charge = try made.charge(amount)
      let known = charge.with(await made.adapter.start(charge).references)
      #expect(made.emulator.buyer(.approve, charge.paymentID.description) != nil)
      #expect(await made.adapter.query(known).answer == .pending)
      #expect(await made.adapter.cancel(known).answer == .notPaid(.cancelled))
    }
  }

  /// 2.01: for an hour nobody knows, and it cannot be ended.
  @Test func anUndecidedApprovalIsUnknownUntilItIsDecided() async throws {
    try await with { made in
      let charge = try made.charge(201)
      let known = charge.with(await made.adapter.start(charge).references)
      #expect(made.emulator.buyer(.approve, charge.paymentID.description) == nil)
      #expect(await made.adapter.cancel(known).answer.isUnknown)
      made.emulator.world.clock.advance(seconds: 900)
      #expect(await made.adapter.cancel(known).answer.isUnknown)
      made.emulator.world.clock.advance(seconds: 2701)
      #expect(await made.adapter.cancel(known).answer == .paid(nil))
    }
  }

  @Test(arguments: [Int64(123), 124]) func refundsThatAreRefused(amount: Int64) async throws {
    try await with { made in
      let charge = try made.charge()
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.approve, charge.paymentID.description)
      _ = await made.adapter.capture(known.movement(24_000))
      #expect(await made.adapter.refund(known.movement(amount)).answer.isRefused)
      #expect(made.emulator.world.ledger.netTaken == ["NOK": 24_000])
    }
  }

  @Test func anExpiredPaymentIsTimedOut() async throws {
    try await with { made in
      let charge = try made.charge()
      let known = charge.with(await made.adapter.start(charge).references)
      made.emulator.world.clock.advance(seconds: 601)
      #expect(await made.adapter.query(known).answer == .notPaid(.timedOut))
    }
  }

  /// Everybody waits for one token, and a token that Vipps forgot is fetched anew.
  @Test func theTokenIsFetchedOnceAndAgain() async throws {
    try await with { made in
      let charges = try (0..<20).map { _ in try made.charge() }
      await withTaskGroup(of: Void.self) { group in
        for charge in charges { group.addTask { _ = await made.adapter.start(charge) } }
      }
      #expect(made.emulator.world.journal.count(of: "TOKEN") == 1)
      made.emulator.endTokens()
      #expect(await made.adapter.query(charges[0].with(["reference": "x"])).answer == .pending)
      #expect(made.emulator.world.journal.count(of: "TOKEN") == 2)
      made.emulator.world.clock.advance(seconds: VippsEmulator.tokenSeconds - 30)
      _ = await made.adapter.query(charges[0])
      #expect(made.emulator.world.journal.count(of: "TOKEN") == 3)
    }
  }

  @Test func aBusyPaymentIsNotRefused() async throws {
    let limits = CallLimits(triesMax: 1, pauseMilliseconds: 5)
    try await with(limits: limits) { made in
      let charge = try made.charge()
      let known = charge.with(await made.adapter.start(charge).references)
      _ = made.emulator.buyer(.approve, charge.paymentID.description)
      made.emulator.world.faults.plan(.refused(status: 423), for: "CAPTURE")
      #expect(await made.adapter.capture(known.movement(24_000)).answer.isUnknown)
      made.emulator.world.faults.plan(.refusedAfterEffect(status: 500), for: "CAPTURE")
      #expect(await made.adapter.capture(known.movement(24_000)).answer == .done)
    }
  }

  @Test func onlyWhatVippsTakesIsOffered() throws {
    let http = ProviderHTTPClient { Timestamp(millisecondsSinceEpoch: 0) }
    let kind = VippsProvider.kind(http: http, isPlayground: false) { Timestamp(millisecondsSinceEpoch: 0) }
    func accepts(_ amount: Int64, _ code: String) throws -> Bool {
      kind.accepts(Purchase(amount: amount, currency: try #require(Currency(code: code)), country: nil), [:])
    }
    #expect(try accepts(100, "NOK") && accepts(65_000_000, "DKK") && accepts(100, "EUR"))
    #expect(try !accepts(99, "NOK") && !accepts(65_000_001, "NOK") && !accepts(100, "SEK"))
    // In production no merchant sends this server anywhere else.
    #expect(!kind.fields.contains { $0.name == "base_url" })
    Task { await http.shutdown() }
  }

  // MARK: Notifications

  /// The published example of a signed webhook.
  @Test func thePublishedVectorIsVerified() throws {
    let body = Array(#"{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-world"}"#.utf8)
    let secret = "A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A=="
    let date = "Thu, 30 Mar 2023 08:38:32 GMT"
    let signed = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
    let headers: [(name: String, value: String)] = [
      ("host", "webhook.site"), ("x-ms-date", date),
      ("x-ms-content-sha256", "lNlsp1XA03N34HrQsVzPgJKtC+r7l/RBF4V3JQUWMj4="),
      ("authorization", signed + "agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+U="),
    ]
    let sentAt = try #require(RetryAfter.date(date))
    func verifies(
      _ secret: String = secret, body: [UInt8] = body, target: String = "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63",
      headers: [(name: String, value: String)] = headers, secondsLater: Int64 = 0, registered: String? = nil
    ) -> Bool {
      VippsSignature.verifies(
        ProviderNotification(
          method: "POST", target: target, headers: headers, body: body,
          receivedAt: Timestamp(millisecondsSinceEpoch: (sentAt + secondsLater) * 1000)),
        secret: secret, registeredURL: registered)
    }
    #expect(verifies() && verifies(secondsLater: 300) && verifies(secondsLater: -300))
    #expect(!verifies(secondsLater: 301) && !verifies(secondsLater: -301))
    #expect(!verifies(String(secret.dropLast())))
    #expect(!verifies(body: body + [0x20]))
    #expect(!verifies(target: "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a64"))
    for index in headers.indices {
      var without = headers
      without.remove(at: index)
      #expect(!verifies(headers: without))
    }
    // Behind a proxy that gives host and path of its own.
    var rewritten = headers
    rewritten[0].value = "127.0.0.1:8080"
    let registered = "https://webhook.site/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63"
    #expect(!verifies(target: "/inside", headers: rewritten))
    #expect(verifies(target: "/inside", headers: rewritten, registered: registered))
  }

  @Test func subscribingRegistersOnceAndRemovesTheOldOne() async throws {
    try await with { made in
      let url = "http://127.0.0.1:9/providers/v1/vipps/m"
      let first = try await made.adapter.subscribe(to: url).get()
      let second = try await made.adapter.subscribe(to: url).get()
      #expect(first["webhook_secret"] != second["webhook_secret"])
      let known = await made.adapter.registrations(within: made.http.budget())
      #expect(known?.map(\.id) == second["webhook_id"].map { [$0] })
      guard case .failure(let failure) = await made.adapter.subscribe(to: "ftp://example.com/") else {
        Issue.record("an address that Vipps refuses was registered")
        return
      }
      #expect(failure.message.contains("ftp://example.com/"))
    }
  }

  // MARK: Checking

  @Test(arguments: ["client_id", "client_secret", "subscription_key", "merchant_serial_number"])
  func whatIsWrongIsSaidInWords(field: String) async throws {
    try await with(settings: [field: "99999"]) { made in
      let findings = await made.adapter.check()
      let wrong = findings.filter { !$0.isSound }
      #expect(wrong.count == 1)
      #expect(wrong.first?.text.contains(field) ?? false, "\(findings)")
      #expect(!findings.contains { $0.text.contains(made.emulator.clientSecret) })
    }
  }

  @Test func whatIsRightIsSaidToo() async throws {
    try await with { made in
      #expect(await made.adapter.check().allSatisfy(\.isSound))
      await made.server.stop()
      let findings = await made.adapter.check()
      #expect(findings.contains { !$0.isSound && $0.text.contains("cannot be reached") }, "\(findings)")
    }
  }

  @Test func settingsAreCheckedBeforeAnythingIsCalled() {
    #expect(throws: ProviderSettingsFlaws.self) { try VippsSettings([:]) }
    do {
      _ = try VippsSettings(["client_id": "a b", "client_secret": "x", "subscription_key": "y\r\n"])
    } catch {
      #expect(error.all.map(\.path) == ["client_id", "subscription_key", "merchant_serial_number"])
    }
  }
}
