import KassaDomain
import KassaService
import KassaStore
import KassaTestDatabases
import Synchronization
import Testing

/// Words that several tasks note.
final class Notes: Sendable {
  private let noted = Mutex<[String]>([])
  func add(_ words: String) { noted.withLock { $0.append(words) } }
  var values: [String] { noted.withLock { $0 } }
}

/// Paying by a scanned code, against a network with a ledger of its own.
@Suite(.serialized) struct ScanTests {
  private func shop(
    askAgainSeconds: Int64? = 2, _ body: (Shop, ScanNetwork, DevicePrincipal) async throws -> Void
  ) async throws {
    let clock = TestClock()
    let network = ScanNetwork(askAgainSeconds: askAgainSeconds) { clock.now }
    let shop = try await Shop(clock: clock, scans: network)
    try await body(shop, network, try await shop.pair())
    await shop.close()
  }

  private func start(_ shop: Shop, _ device: DevicePrincipal) async throws -> CollectionView {
    let id = try await shop.create(on: device)
    return try await shop.service.startPayment(.swish, of: id, as: .device(device))
  }

  private func payment(_ shop: Shop, _ view: CollectionView) async throws -> Payment {
    try #require(try await shop.view(view.session.id).payments.first { $0.id == view.payment.id })
  }

  private func code(_ payment: Payment) throws -> NextAction.QRCode {
    guard case .showQR(let code) = payment.nextAction else { throw Violation(description: "no code is shown") }
    return code
  }

  @Test(arguments: SimulatedScan.allCases)
  func everyOutcomeOfAScan(scan: SimulatedScan) async throws {
    try await shop { shop, network, device in
      let id = try await shop.create(on: device)
      #expect(
        try await failure { _ = try await shop.service.simulateScan(id, nil, scan, as: shop.merchant) } == "invalid")
      let view = try await shop.service.simulateScan(id, .swish, scan, as: shop.merchant)
      switch scan {
      case .success:
        #expect(view.session.state.name == .finalized && view.payment.state == .succeeded)
        #expect(network.netTaken == 100)
        #expect(
          try await failure { _ = try await shop.service.simulateScan(id, .swish, scan, as: shop.merchant) }
            == "sessionFinalized")
      case .declined: #expect(view.payment.failureReason == .insufficientFunds)
      case .cancelledByBuyer: #expect(view.payment.failureReason == .cancelled)
      case .timedOut: #expect(view.payment.failureReason == .timedOut)
      }
      if scan != .success { #expect(view.session.state == .active(nil) && network.netTaken == 0) }
      #expect(view.payment.nextAction == nil)
      let log = try EventLogCheck()
      #expect(log.flaw(try await shop.view(id).history, endingIn: view.session.state) == nil)
      try await shop.rest()
    }
  }

  /// While the customer is waited for the provider is asked as often as it wants, and not once the time is over.
  @Test func theProviderIsAskedWhileTheCustomerIsWaitedFor() async throws {
    try await shop(askAgainSeconds: 5) { shop, network, device in
      let view = try await start(shop, device)
      let waits = Limits.scanSecondsMax
      #expect(view.payment.waitsUntil == view.payment.createdAt.adding(seconds: waits))
      #expect(try code(view.payment).text == "https://scan.example/\(view.payment.id)")
      for second in 1..<waits {
        shop.clock.advance(seconds: 1)
        _ = try await shop.service.reconcilePayments()
        #expect(network.calls("query") == Int(second / 5), "after \(second) seconds")
      }
      #expect(try await payment(shop, view).checks == 0)
      #expect(network.calls("cancel") == 0)
      shop.clock.advance(seconds: 1)
      _ = try await shop.service.reconcilePayments()
      let ended = try await payment(shop, view)
      #expect(ended.state == .failed && ended.failureReason == .timedOut && ended.nextAction == nil)
      #expect(network.calls("cancel") == 1)
      try await shop.rest()
    }
  }

  @Test func aLostAnswerWhileWaitingIsMadeUpFor() async throws {
    try await shop { shop, network, device in
      let view = try await start(shop, device)
      for _ in 0..<20 {
        shop.clock.advance(seconds: 2)
        _ = try await shop.service.reconcilePayments()
      }
      network.plan(.loseAnswer, for: "query")
      shop.clock.advance(seconds: 2)
      _ = try await shop.service.reconcilePayments()
      let lost = try await payment(shop, view)
      #expect(lost.state == .unknown && lost.nextAction != nil)
      #expect(lost.checkAt == shop.clock.now.adding(seconds: Limits.outcomeCheckPauseSeconds(after: 1)))
      shop.clock.advance(seconds: Limits.outcomeCheckPauseSeconds(after: 1))
      _ = try await shop.service.reconcilePayments()
      #expect(try await payment(shop, view).state == .open)
      #expect(await network.buyer(.approve, of: try await shop.service.charge(of: view.payment)))
      shop.clock.advance(seconds: 2)
      _ = try await shop.service.reconcilePayments()
      #expect(try await shop.session(view.session.id).state.name == .finalized)
    }
  }

  /// An attempt never waits longer than its session lives.
  @Test func theSessionsEndIsTheAttemptsEnd() async throws {
    try await shop(askAgainSeconds: nil) { shop, network, device in
      let id = try await shop.create(on: device)
      shop.clock.advance(seconds: Limits.sessionSeconds - 60)
      let view = try await shop.service.startPayment(.vipps, of: id, as: .device(device))
      #expect(view.payment.waitsUntil == view.session.expiresAt)
      shop.clock.advance(seconds: 60)
      _ = try await shop.service.expireSessions()
      _ = try await shop.service.reconcilePayments()
      #expect(try await shop.session(id).state == .expired)
      #expect(network.netTaken == 0)
      try await shop.rest()
    }
  }

  /// The phone hears of the code and of the buyer, by events that leave the session's numbers alone.
  @Test func aBuyerWhoOpensTheCodeIsToldToThePhone() async throws {
    try await shop { shop, network, device in
      let position = try await shop.service.feedStart(of: device.device.id)
      let view = try await start(shop, device)
      let charge = try await shop.service.charge(of: view.payment)
      func told() async throws -> [EventType] {
        try await shop.service.feed(of: device.device.id, after: position).map(\.event).map(\.type)
      }
      #expect(try await told() == [.sessionCreated, .sessionActivated, .paymentActionChanged])
      #expect(await network.buyer(.open, of: charge))
      for _ in 0..<3 {
        _ = try await shop.service.settlePayment(view.payment.id, of: view.session.id, as: .device(device))
      }
      let opened = try await payment(shop, view)
      #expect(try code(opened).isBuyerPaying)
      let events = try await shop.service.feed(of: device.device.id, after: position).map(\.event)
      #expect(
        events.map(\.type) == [.sessionCreated, .sessionActivated, .paymentActionChanged, .paymentActionChanged])
      #expect(events.last?.subjectID == view.payment.id.of(EventSubject.self) && events.last?.sequence == 2)
      #expect(events.last?.relatedID == view.session.id.of(EventSubject.self))
      #expect(try await shop.session(view.session.id).sequence == 2)
    }
  }

  /// The name of a code's picture is a credential of its own.
  @Test func aCodesNameCannotBeGuessed() async throws {
    try await shop { shop, network, device in
      let view = try await start(shop, device)
      let name = shop.service.codeName(of: view.payment)
      #expect(try await shop.service.code(named: name).text == "https://scan.example/\(view.payment.id)")
      let other = try await start(shop, try await shop.pair())
      let otherName = shop.service.codeName(of: other.payment)
      var wrong = [
        name.uppercased(), String(name.dropLast()), name + "00", "", "zz",
        String(otherName.prefix(64)) + String(name.suffix(32)),
      ]
      for index in [0, 40, 70, 95] {
        var digits = Array(name)
        digits[index] = digits[index] == "0" ? "1" : "0"
        wrong.append(String(digits))
      }
      for name in wrong {
        #expect(try await failure { _ = try await shop.service.code(named: name) } == "notFound", "\(name)")
      }
      #expect(await network.buyer(.approve, of: try await shop.service.charge(of: view.payment)))
      _ = try await shop.service.settlePayment(view.payment.id, of: view.session.id, as: .device(device))
      #expect(try await failure { _ = try await shop.service.code(named: name) } == "notFound")
    }
  }

  // MARK: Notifications

  private func notification(_ body: String, at now: Timestamp) -> ProviderNotification {
    ProviderNotification(method: "POST", target: "/", headers: [], body: Array(body.utf8), receivedAt: now)
  }

  /// Waits for what goes on after the answer.
  private func eventually(_ holds: () async throws -> Bool) async throws -> Bool {
    for _ in 0..<400 {
      if try await holds() { return true }
      try await Task.sleep(for: .milliseconds(5))
    }
    return false
  }

  @Test func genuineNotificationsAreAReasonToAskAndForgedOnesAreNothing() async throws {
    try await shop(askAgainSeconds: nil) { shop, network, device in
      let view = try await start(shop, device)
      let charge = try await shop.service.charge(of: view.payment)
      let merchant = shop.backend.merchantID
      let other = try await shop.service.charge(of: try await start(shop, try await shop.pair()).payment)
      #expect(charge.notificationSecret.count == 64 && charge.notificationSecret != other.notificationSecret)
      #expect(charge.notificationURL == "http://localhost/providers/v1/swish/\(merchant)/\(view.payment.id)")
      #expect(await network.buyer(.approve, of: charge))
      let unknown: PaymentID = try Make.id(77)
      let forged: [(String, PaymentMethod, MerchantID, PaymentID?)] = [
        ("", .swish, merchant, view.payment.id), (other.notificationSecret, .swish, merchant, view.payment.id),
        (charge.notificationSecret, .vipps, merchant, view.payment.id),
        (charge.notificationSecret, .swish, try Make.id(78), view.payment.id),
        (charge.notificationSecret, .swish, merchant, unknown), ("genuine \(view.payment.id)", .card, merchant, nil),
        ("nonsense", .swish, merchant, nil),
      ]
      let before = try await shop.service.auditEntries(before: nil, size: 50, as: shop.backend).entries.count
      for (body, method, merchant, id) in forged {
        #expect(
          try await failure {
            try await shop.service.hear(
              notification(body, at: shop.clock.now), for: method, of: merchant, about: id)
          } == "unauthorized", "\(body) \(method)")
      }
      try await Task.sleep(for: .milliseconds(50))
      #expect(network.calls("query") == 0)
      #expect(try await shop.session(view.session.id).attempt(view.payment.id)?.phase == .awaiting)
      #expect(try await shop.service.auditEntries(before: nil, size: 50, as: shop.backend).entries.count == before)

      // Genuine: it is asked, and what it says itself counts for nothing. Twice changes nothing more.
      for _ in 0..<3 {
        try await shop.service.hear(
          notification(charge.notificationSecret, at: shop.clock.now), for: .swish, of: merchant,
          about: view.payment.id)
      }
      #expect(try await eventually { try await shop.session(view.session.id).state.name == .finalized })
      #expect(try await shop.view(view.session.id).history.count { $0.type == .sessionFinalized } == 1)
      #expect(network.netTaken == 100)
      #expect(network.calls("query") >= 1)
    }
  }

  /// An attempt that was taken back, and paid at the same moment: the notification finds the money, and it goes back.
  @Test func lateMoneyIsFoundByANotification() async throws {
    try await shop(askAgainSeconds: nil) { shop, network, device in
      let view = try await start(shop, device)
      let charge = try await shop.service.charge(of: view.payment)
      network.plan(.unreachable, for: "cancel", count: 2)
      _ = try await failure { _ = try await shop.service.cancelSession(view.session.id, as: shop.merchant) }
      for _ in 0..<30 where try await shop.session(view.session.id).state.name == .active {
        network.plan(.unreachable, for: "cancel", count: 2)
        network.plan(.unreachable, for: "query", count: 2)
        shop.clock.advance(seconds: 3600)
        _ = try await shop.service.reconcilePayments()
      }
      #expect(try await shop.session(view.session.id).state == .failed(.outcomeUnknown))
      network.heal()
      #expect(await network.buyer(.approve, of: charge))
      try await shop.service.hear(
        notification(charge.notificationSecret, at: shop.clock.now), for: .swish, of: shop.backend.merchantID,
        about: view.payment.id)
      #expect(try await eventually { try await payment(shop, view).state == .reversed })
      #expect(network.netTaken == 0 && network.entry(view.payment.id)?.state == .reversed)
    }
  }

  /// A provider that will not give late money back: somebody is told, and it is tried again after a pause, not at once.
  @Test func aRefusedReversalIsTold() async throws {
    let clock = TestClock()
    let network = ScanNetwork(askAgainSeconds: nil) { clock.now }
    let shop = try await Shop(clock: clock, scans: network)
    func refusals() -> [String] { shop.notices.words.filter { $0.hasPrefix("refused: ") } }
    let device = try await shop.pair()
    let view = try await start(shop, device)
    let charge = try await shop.service.charge(of: view.payment)
    for _ in 0..<30 where try await shop.session(view.session.id).state.name == .active {
      network.plan(.unreachable, for: "cancel", count: 2)
      network.plan(.unreachable, for: "query", count: 2)
      _ = try await failure { _ = try await shop.service.cancelSession(view.session.id, as: shop.merchant) }
      shop.clock.advance(seconds: 3600)
      _ = try await shop.service.reconcilePayments()
    }
    #expect(await network.buyer(.approve, of: charge))
    network.heal()
    network.refuseRefunds(true)
    shop.clock.advance(seconds: Limits.outcomeCheckSecondsMax)
    _ = try await shop.service.reconcilePayments()
    #expect(try await payment(shop, view).state == .reversing)
    #expect(refusals() == ["refused: not so much is left"])
    shop.clock.advance(seconds: Limits.reversalRefusedSecondsMin - 1)
    _ = try await shop.service.reconcilePayments()
    #expect(refusals().count == 1)
    network.refuseRefunds(false)
    shop.clock.advance(seconds: Limits.reversalRefusedSecondsMax)
    _ = try await shop.service.reconcilePayments()
    #expect(try await payment(shop, view).state == .reversed)
    #expect(refusals().count == 1 && network.netTaken == 0)
    await shop.close()
  }
}
