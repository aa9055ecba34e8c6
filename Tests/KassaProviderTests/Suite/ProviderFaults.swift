import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import KassaTestDatabases
import Testing

/// Every call of every provider, with its answer lost, late, twice, never, or broken on the other side.
@Suite(.serialized) struct ProviderFaults {
  /// One try, and little time, so that a fault of one call is never made up for by the client itself.
  private static let limits = CallLimits(
    budgetMilliseconds: 3000, tryMilliseconds: 400, triesMax: 1, pauseMilliseconds: 5)

  private static let faults: [(name: String, fault: EmulatorFault)] = [
    ("unreachable", .unreachable), ("never", .never), ("answer lost", .answerLost),
    ("answer late", .answerLate(milliseconds: 600)), ("twice", .twice), ("refused", .refused(status: 503)),
    ("broken after the effect", .refusedAfterEffect(status: 500)),
    ("broken for good", .kept(status: 500, hasEffect: false)),
    ("broken for good after the effect", .kept(status: 500, hasEffect: true)),
  ]

  @Test(.timeLimit(.minutes(5)), arguments: ProviderHarness.all)
  func paidInTheEnd(harness: ProviderHarness) async throws {
    try await ProviderShop.with(harness, limits: Self.limits) { shop in
      let device = try await shop.pair()
      var sessions: [SessionID] = []
      for operation in harness.operations {
        for (name, fault) in Self.faults {
          let what = "\(operation) \(name)"
          shop.emulator.world.faults.plan(fault, for: operation)
          let session = try await live(shop, device, what)
          shop.emulator.world.faults.clear()
          sessions.append(session)
          try await shop.rest()
          #expect(try await shop.state(session) == .finalized, "\(what)")
          try await shop.expectAgreement(sessions)
          let money = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.money
          #expect(money.captured == ProviderShop.amount && money.refunded == 4000, "\(what): \(money)")
        }
      }
    }
  }

  /// Starts, again if that came to nothing; the buyer pays; the phone settles; the backend refunds a part.
  private func live(_ shop: ProviderShop, _ device: DevicePrincipal, _ what: String) async throws -> SessionID {
    let session = try await shop.create(on: device)
    for _ in 0..<4 {
      guard case .active(nil) = try await shop.view(session).session.state else {
        if try await shop.state(session) != .created { break }
        _ = try await shop.service.startPayment(shop.harness.method, of: session, as: .device(device))
        try await becomeShown(shop, session)
        continue
      }
      _ = try await shop.service.startPayment(shop.harness.method, of: session, as: .device(device))
      try await becomeShown(shop, session)
    }
    guard let payment = try await shop.view(session).payments.last(where: { $0.state == .open }) else {
      Issue.record("\(what): nothing could be started")
      return session
    }
    #expect(shop.buyer(.approve, payment.id) == nil, "\(what)")
    _ = try await shop.service.settlePayment(payment.id, of: session, as: .device(device))
    try await shop.wait("\(what): it is paid") {
      if try await shop.state(session) == .finalized { return true }
      shop.advance(Limits.providerCrashSeconds)
      _ = try await shop.service.reconcilePayments()
      return false
    }
    try await shop.wait("\(what): it is captured") {
      let money = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.money
      if money.captured == ProviderShop.amount { return true }
      shop.advance(Limits.outcomeCheckSecondsMax)
      _ = try await shop.service.reconcileOrders()
      return false
    }
    let order = try await shop.service.orderView(ofSession: session, as: shop.merchant).order.id
    let wanted = MoveMoney(amount: 4000, reference: nil, description: nil)
    _ = try await shop.service.refund(wanted, of: order, as: shop.backend)
    return session
  }

  /// Until the attempt shows a code, or is over.
  private func becomeShown(_ shop: ProviderShop, _ session: SessionID) async throws {
    try await shop.wait("the attempt shows a code or ends") {
      guard let payment = try await shop.view(session).payments.last else { return true }
      switch payment.state {
      case .open where payment.nextAction != nil: return true
      case .open, .unknown:
        shop.advance(Limits.outcomeCheckSecondsMin)
        _ = try await shop.service.reconcilePayments()
        return false
      case .succeeded, .failed, .cancelled, .reversing, .reversed: return true
      }
    }
  }

  /// The backend cancels while a call fails: nothing is taken, whatever was approved meanwhile.
  @Test(.timeLimit(.minutes(5)), arguments: ProviderHarness.all, [true, false])
  func cancelledInTheEnd(harness: ProviderHarness, isApproved: Bool) async throws {
    try await ProviderShop.with(harness, limits: Self.limits) { shop in
      let device = try await shop.pair()
      var sessions: [SessionID] = []
      for operation in harness.operations {
        for (name, fault) in Self.faults {
          let what = "\(operation) \(name)"
          let session = try await shop.create(on: device)
          sessions.append(session)
          let view = try await shop.service.startPayment(harness.method, of: session, as: .device(device))
          if isApproved { shop.buyer(.approve, view.payment.id) }
          shop.emulator.world.faults.plan(fault, for: operation)
          do {
            _ = try await shop.service.cancelSession(session, as: shop.merchant)
          } catch ServiceFailure.sessionFinalized, ServiceFailure.paymentOutcomeUnknown {
            // Paid already, or not known yet.
          }
          try await shop.rest()
          shop.emulator.world.faults.clear()
          let state = try await shop.state(session)
          #expect(isApproved ? state == .finalized || state == .cancelled : state == .cancelled, "\(what): \(state)")
          try await shop.expectAgreement(sessions)
        }
      }
    }
  }
}
