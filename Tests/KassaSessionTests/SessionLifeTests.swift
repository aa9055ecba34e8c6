import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import KassaTestDatabases
import Testing

/// Sessions over time and beside each other, through the use cases.
@Suite struct SessionLifeTests {
  private func expectSound(_ id: SessionID, in shop: Shop) async throws {
    let view = try await shop.view(id)
    var charges: [PaymentID: SimulatedCharge] = [:]
    for payment in view.payments { charges[payment.id] = try await shop.charge(payment.id) }
    #expect(disagreements(view, charges: charges, try EventLogCheck()) == [])
  }

  @Test func ofFiftyRacingStartsOneIsActive() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    for _ in 0..<4 {
      var sessions: [SessionID] = []
      for _ in 0..<50 { sessions.append(try await shop.create(on: device)) }
      var failures: [String: Int] = [:]
      try await withThrowingTaskGroup(of: String?.self) { group in
        for id in sessions {
          group.addTask {
            try await failure { _ = try await shop.service.startPayment(.card, of: id, as: .device(device)) }
          }
        }
        for try await failure in group { failures[failure ?? "started", default: 0] += 1 }
      }
      #expect(failures == ["started": 1, "deviceBusy": 49])
      var active: [SessionID] = []
      for id in sessions {
        let session = try await shop.session(id)
        if session.state.name == .active { active.append(id) }
        // Who was refused left no trace.
        if session.state.name != .active { #expect(session.version == 1 && session.state == .created) }
        try await expectSound(id, in: shop)
      }
      #expect(active.count == 1)
      for id in sessions { _ = try await shop.service.cancelSession(id, as: shop.merchant) }
    }
    await shop.close()
  }

  /// One session started by several at once has one attempt.
  @Test func ofTwentyRacingStartsOfOneSessionOneBegins() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let id = try await shop.create(on: device)
    var started = 0
    try await withThrowingTaskGroup(of: String?.self) { group in
      for _ in 0..<20 {
        group.addTask {
          try await failure { _ = try await shop.service.startPayment(.card, of: id, as: .device(device)) }
        }
      }
      for try await failure in group {
        if failure == nil { started += 1 } else { #expect(failure == "paymentInProgress") }
      }
    }
    #expect(started == 1)
    #expect(try await shop.view(id).payments.count == 1)
    await shop.close()
  }

  @Test func theLineRunsOldestFirstAndHoldsWhatIsOpen() async throws {
    let shop = try await Shop()
    let (device, other) = (try await shop.pair(), try await shop.pair())
    var sessions: [SessionID] = []
    for _ in 0..<5 {
      sessions.append(try await shop.create(on: device))
      _ = try await shop.create(on: other)
      shop.clock.advance(seconds: 1)
    }
    func line() async throws -> [SessionID] { try await shop.service.line(of: device).map(\.session.id) }
    #expect(try await line() == sessions)
    _ = try await shop.service.startPayment(.card, of: sessions[3], as: .device(device))
    #expect(try await line() == sessions)
    _ = try await shop.service.cancelSession(sessions[1], as: .device(device))
    _ = try await shop.service.cancelSession(sessions[3], as: shop.merchant)
    #expect(try await line() == [sessions[0], sessions[2], sessions[4]])
    // Another device's session is one that does not exist.
    #expect(
      try await failure { _ = try await shop.service.cancelSession(sessions[0], as: .device(other)) } == "notFound")
    #expect(
      try await failure { _ = try await shop.service.startPayment(.card, of: sessions[0], as: .device(other)) }
        == "notFound")
    await shop.close()
  }

  @Test func aSessionExpiresInTheLine() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let id = try await shop.create(on: device)
    shop.clock.advance(seconds: Limits.sessionSeconds - 1)
    #expect(try await shop.service.expireSessions() == 0)
    #expect(try await shop.service.line(of: device).count == 1)
    shop.clock.advance(seconds: 1)
    // Before the sweeper comes it is over for the clerk.
    #expect(try await shop.service.line(of: device).isEmpty)
    #expect(
      try await failure { _ = try await shop.service.startPayment(.card, of: id, as: .device(device)) }
        == "sessionOver")
    #expect(try await shop.service.expireSessions() == 1)
    #expect(try await shop.session(id).state == .expired)
    #expect(try await shop.service.expireSessions() == 0)
    #expect(try await failure { _ = try await shop.service.cancelSession(id, as: shop.merchant) } == "sessionOver")
    try await expectSound(id, in: shop)
    await shop.close()
  }

  @Test func aSessionExpiresBetweenAttempts() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (id, payment) = try await shop.awaiting(on: device)
    _ = try await shop.pay(payment, of: id, as: device, .declined(.lostCard))
    #expect(try await shop.session(id).state == .active(nil))
    shop.clock.advance(seconds: Limits.sessionSeconds)
    // Its time came: no new attempt begins, though the sweeper was not there yet.
    #expect(
      try await failure { _ = try await shop.service.startPayment(.card, of: id, as: .device(device)) }
        == "sessionOver")
    _ = try await shop.service.expireSessions()
    #expect(try await shop.session(id).state == .expired)
    try await expectSound(id, in: shop)
    await shop.close()
  }

  @Test(arguments: [false, true])
  func aSessionExpiresWithAnAttempt(isPaidMeanwhile: Bool) async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (id, payment) = try await shop.awaiting(on: device)
    #expect(try await shop.cards.tap(payment, .success))
    if isPaidMeanwhile {
      // The money moves, and Kassa does not hear of it.
      #expect(shop.cards.plan(.loseAnswer, for: .settle, count: 1, delayMilliseconds: 0))
      _ = try await shop.service.settlePayment(payment, of: id, as: .device(device))
    }
    shop.clock.advance(seconds: Limits.sessionSeconds)
    _ = try await shop.service.expireSessions()
    _ = try await shop.service.reconcilePayments()
    #expect(try await shop.session(id).state.name == (isPaidMeanwhile ? .finalized : .expired))
    #expect(try await shop.charge(payment)?.state == (isPaidMeanwhile ? .charged : .voided))
    try await expectSound(id, in: shop)
    await shop.close()
  }

  @Test func anIdleAttemptIsTakenBackAfterTheLimit() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (id, payment) = try await shop.awaiting(on: device)
    shop.clock.advance(seconds: Limits.primedSecondsMax - 1)
    _ = try await shop.service.reconcilePayments()
    #expect(try await shop.session(id).attempt(payment)?.phase == .awaiting)
    shop.clock.advance(seconds: 1)
    _ = try await shop.service.reconcilePayments()
    let view = try await shop.view(id)
    #expect(view.session.state == .active(nil) && view.session.failedAttempts == 1)
    #expect(view.payments.map(\.state) == [.failed] && view.payments.first?.failureReason == .timedOut)
    #expect(view.history.last?.failureReason == "TIMED_OUT")
    #expect(try await shop.charge(payment)?.state == .voided)
    // The clerk may choose again.
    let next = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
    #expect(try await shop.pay(next, of: id, as: device).session.state.name == .finalized)
    try await expectSound(id, in: shop)
    await shop.close()
  }

  @Test func theLimitOfFailedAttemptsEndsTheSession() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let id = try await shop.create(on: device)
    for number in 1...Session.failedAttemptsMax {
      let payment = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
      let view = try await shop.pay(payment, of: id, as: device, .declined(.insufficientFunds))
      #expect(view.session.state == (number < Session.failedAttemptsMax ? .active(nil) : .failed(.attemptLimit)))
    }
    #expect(
      try await failure { _ = try await shop.service.startPayment(.card, of: id, as: .device(device)) }
        == "sessionOver")
    try await expectSound(id, in: shop)
    await shop.close()
  }

  /// A network that is gone for good: after a day the device is free again, and what the network knows then counts.
  @Test(arguments: [false, true])
  func anOutcomeNobodyCanSettleIsGivenUp(isPaid: Bool) async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (id, payment) = try await shop.awaiting(on: device)
    if isPaid { #expect(try await shop.cards.tap(payment, .success)) }
    #expect(shop.cards.plan(isPaid ? .loseAnswer : .unreachable, for: .settle, count: 1, delayMilliseconds: 0))
    _ = try await shop.service.settlePayment(payment, of: id, as: .device(device))
    for operation in [SimulatedCardProvider.Operation.query, .cancel] {
      #expect(shop.cards.plan(.unreachable, for: operation, count: 500, delayMilliseconds: 0))
    }
    #expect(
      try await failure { _ = try await shop.service.cancelSession(id, as: shop.merchant) } == "paymentOutcomeUnknown")
    #expect(
      try await failure { try await shop.service.deleteDevice(device.device.id, as: shop.backend) }
        == "devicePaymentInFlight")
    var hours = 0
    while try await shop.session(id).state.name == .active, hours < 48 {
      shop.clock.advance(seconds: 3600)
      hours += 1
      _ = try await shop.service.expireSessions()
      _ = try await shop.service.reconcilePayments()
    }
    #expect(hours == 24)
    #expect(try await shop.session(id).state == .failed(.outcomeUnknown))
    #expect(try await shop.view(id).payments.map(\.state) == [.unknown])
    // The device is free.
    let next = try await shop.awaiting(on: device)
    #expect(try await shop.pay(next.payment, of: next.session, as: device).session.state.name == .finalized)
    // The network is back: a service with one that has no faults.
    let back = SimulatedCardProvider(store: shop.store)
    let secrets = try #require(ServerSecrets(masterKey: Array(repeating: 7, count: ServerSecrets.keyBytes)))
    let service = KassaService(
      store: shop.store, secrets: secrets, environment: .playground, settings: ServiceSettings(publicURL: { "" }),
      providers: FixedProviders([.card: back]), clock: { shop.clock.now })
    for _ in 0..<4 {
      shop.clock.advance(seconds: 3600)
      _ = try await service.reconcilePayments()
    }
    let view = try await shop.view(id)
    #expect(view.payments.map(\.state) == [isPaid ? .reversed : .failed])
    #expect(try await shop.charge(payment)?.state == (isPaid ? .refunded : .voided))
    #expect(try await shop.cards.netCharged() == 100)
    try await expectSound(id, in: shop)
    await shop.close()
  }

  @Test func deletingADeviceCancelsItsLineUnlessAPaymentIsUnderWay() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let waiting = try await shop.create(on: device)
    let (active, payment) = try await shop.awaiting(on: device)
    func delete() async throws -> String? {
      try await failure { try await shop.service.deleteDevice(device.device.id, as: shop.backend) }
    }
    #expect(try await delete() == "devicePaymentInFlight")
    // Refused as a whole.
    #expect(try await shop.session(waiting).state == .created)
    _ = try await shop.pay(payment, of: active, as: device, .declined(.expiredCard))
    #expect(try await delete() == nil)
    for id in [waiting, active] {
      #expect(try await shop.session(id).state == .cancelled)
      try await expectSound(id, in: shop)
    }
    #expect(try await delete() == "notFound")
    #expect(try await failure { _ = try await shop.create(on: device) } == "notFound")
    await shop.close()
  }

  /// A phone that starts while its device is deleted: one of the two happens, never both.
  @Test func deletingRacesStarting() async throws {
    let shop = try await Shop()
    var outcomes: Set<String> = []
    for device in try await shop.pair(60) {
      let id = try await shop.create(on: device)
      async let started = failure { _ = try await shop.service.startPayment(.card, of: id, as: .device(device)) }
      async let deleted = failure { try await shop.service.deleteDevice(device.device.id, as: shop.backend) }
      let (start, delete) = (try await started, try await deleted)
      outcomes.insert("\(start ?? "started"), \(delete ?? "deleted")")
      #expect(try await shop.session(id).state.name == (delete == nil ? .cancelled : .active))
      try await expectSound(id, in: shop)
    }
    #expect(outcomes.isSubset(of: ["started, devicePaymentInFlight", "sessionOver, deleted"]), "\(outcomes)")
    await shop.close()
  }

  @Test func aDeliveryStepCountsTheFirstTimeOnly() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let id = try await shop.create(on: device)
    #expect(try await shop.session(id).delivery == Session.Delivery())
    var times: [Timestamp] = []
    for step in [DeliveryStep.pushed, .fetched, .shown] {
      shop.clock.advance(seconds: 1)
      times.append(shop.clock.now)
      try await shop.service.note(step, of: id, as: device)
      shop.clock.advance(seconds: 1)
      try await shop.service.note(step, of: id, as: device)
    }
    let session = try await shop.session(id)
    #expect(session.delivery == Session.Delivery(pushedAt: times[0], fetchedAt: times[1], shownAt: times[2]))
    // No change of the session: no version, no event.
    #expect(session.version == 1 && session.sequence == 1)
    let other = try await shop.pair()
    #expect(try await failure { try await shop.service.note(.shown, of: id, as: other) } == "notFound")
    await shop.close()
  }

  @Test func theHistoryIsTheTimeline() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let id = try await shop.create(on: device)
    shop.clock.advance(seconds: 5)
    let first = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
    shop.clock.advance(seconds: 5)
    _ = try await shop.pay(first, of: id, as: device, .declined(.incorrectCVC))
    shop.clock.advance(seconds: 5)
    let second = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
    _ = try await shop.pay(second, of: id, as: device)
    let view = try await shop.view(id)
    #expect(
      view.history.map(\.type) == [.sessionCreated, .sessionActivated, .paymentFailed, .sessionFinalized])
    #expect(view.history.map(\.sequence) == [1, 2, 3, 4])
    #expect(view.history.map { $0.at.secondsSinceEpoch - Make.epoch.secondsSinceEpoch } == [0, 5, 10, 15])
    #expect(view.history.map(\.failureReason) == [nil, nil, "INCORRECT_CVC", nil])
    #expect(view.payments.map(\.id) == [first, second])
    try await expectSound(id, in: shop)
    await shop.close()
  }

  /// An answer to a clerk's wish to go back names the attempt it was about, though the next one has begun.
  @Test func goingBackFromAnAttemptThatEndedLeavesTheNextAlone() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let (id, first) = try await shop.awaiting(on: device)
    _ = try await shop.pay(first, of: id, as: device, .declined(.lostCard))
    let second = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
    let view = try await shop.service.cancelPayment(first, of: id, as: .device(device))
    #expect(view.payment.id == first && view.payment.state == .failed)
    #expect(try await shop.session(id).attempt(second)?.phase == .awaiting)
    _ = try await shop.service.cancelPayment(second, of: id, as: .device(device))
    #expect(try await shop.session(id).state == .active(nil))
    #expect(try await shop.charge(second)?.state == .voided)
    try await expectSound(id, in: shop)
    await shop.close()
  }

  /// More sessions than one sweep takes wait for a network that is gone; those behind them expire all the same.
  @Test func aSilentProviderHoldsUpNoOtherSession() async throws {
    let shop = try await Shop()
    let devices = try await shop.pair(Limits.sweepRowsMax + 1)
    for device in devices.dropLast() { _ = try await shop.awaiting(on: device) }
    #expect(shop.cards.plan(.unreachable, for: .cancel, count: 1000, delayMilliseconds: 0))
    shop.clock.advance(seconds: 1)
    let last = try await shop.create(on: try #require(devices.last))
    shop.clock.advance(seconds: Limits.sessionSeconds)
    #expect(try await shop.service.expireSessions() == Limits.sweepRowsMax)
    #expect(try await shop.session(last).state == .created)
    #expect(try await shop.service.expireSessions() == 1)
    #expect(try await shop.session(last).state == .expired)
    #expect(try await shop.service.expireSessions() == 0)
    await shop.close()
  }

  /// Three servers that sweep at once share the sessions whose time has come: each is ended by one of them.
  @Test func sweepersShareTheWork() async throws {
    let shop = try await Shop()
    let devices = try await shop.pair(60)
    var sessions: [SessionID] = []
    for (number, device) in devices.enumerated() {
      if number.isMultiple(of: 2) {
        sessions.append(try await shop.awaiting(on: device).session)
      } else {
        sessions.append(try await shop.create(on: device))
      }
    }
    shop.clock.advance(seconds: Limits.sessionSeconds)
    let services = [shop.service, shop.service(over: shop.store), shop.service(over: shop.store)]
    let ended = try await withThrowingTaskGroup(of: Int.self) { group in
      for service in services {
        group.addTask {
          let ended = try await service.expireSessions()
          _ = try await service.reconcilePayments()
          return ended
        }
      }
      return try await group.reduce(0, +)
    }
    #expect(ended == sessions.count)
    for session in sessions {
      #expect(try await shop.session(session).state == .expired)
      try await expectSound(session, in: shop)
    }
    await shop.close()
  }
}
