import KassaDomain
import KassaService
import KassaStore

/// Many sessions, each of which is paid and cancelled at the same moment.
struct CancelRace {
  let shop: Shop
  let log: EventLogCheck

  struct Tally {
    var finalized = 0
    var cancelled = 0
    var violations: [String] = []
  }

  init(_ shop: Shop) throws {
    self.shop = shop
    log = try EventLogCheck()
  }

  /// Races `rounds` times on all devices at once.
  func run(on devices: [DevicePrincipal], rounds: Int) async throws -> Tally {
    var tally = Tally()
    for round in 0..<rounds {
      try await withThrowingTaskGroup(of: (Session.StateName, [String]).self) { group in
        for (index, device) in devices.enumerated() {
          group.addTask { try await one(on: device, variant: round * devices.count + index) }
        }
        for try await (state, violations) in group {
          if state == .finalized { tally.finalized += 1 }
          if state == .cancelled { tally.cancelled += 1 }
          tally.violations += violations
        }
      }
    }
    return tally
  }

  private enum Answer {
    case state(Session.StateName)
    case refused(String)
  }

  private func one(on device: DevicePrincipal, variant: Int) async throws -> (Session.StateName, [String]) {
    // By thirds: cancelled while the attempt begins, while a card is held to the reader, and while the attempt is settled.
    // Each side waits for a few commits now and then, so that either may come first.
    let stage = variant % 3
    let (id, started): (SessionID, PaymentID?) =
      stage == 0 ? (try await shop.create(on: device), nil) : try await shop.awaiting(on: device)
    if stage == 2, let started { _ = try await shop.cards.tap(started, .success) }
    let (payerWaits, cancellerWaits) = (variant / 3 % 2, variant / 6 % 6)
    async let paid = answer {
      for _ in 0..<payerWaits { try await shop.store.checkWritable() }
      let payment: PaymentID
      if let started {
        payment = started
      } else {
        payment = try await shop.service.startPayment(.card, of: id, as: .device(device)).payment.id
      }
      if stage == 2 {
        return try await shop.service.settlePayment(payment, of: id, as: .device(device)).session.state.name
      }
      return try await shop.pay(payment, of: id, as: device).session.state.name
    }
    async let cancelled = answer {
      for _ in 0..<cancellerWaits { try await shop.store.checkWritable() }
      return try await shop.service.cancelSession(id, as: shop.merchant).session.state.name
    }
    let answers = (paid: try await paid, cancelled: try await cancelled)
    let view = try await shop.view(id)
    var charges: [PaymentID: SimulatedCharge] = [:]
    for payment in view.payments { charges[payment.id] = try await shop.charge(payment.id) }
    var violations = disagreements(view, charges: charges, log)
    let state = view.session.state.name
    switch (state, answers.cancelled) {
    case (.cancelled, .state(.cancelled)), (.finalized, .refused("sessionFinalized")): break
    default: violations.append("the canceller heard \(answers.cancelled), and the session is \(state)")
    }
    switch (state, answers.paid) {
    case (.finalized, .state(.finalized)), (.cancelled, .state(.cancelled)), (.cancelled, .refused): break
    default: violations.append("the payer heard \(answers.paid), and the session is \(state)")
    }
    return (state, violations)
  }

  private func answer(_ body: () async throws -> Session.StateName) async throws -> Answer {
    do {
      return .state(try await body())
    } catch let failure as ServiceFailure {
      return .refused(String("\(failure)".prefix { $0 != "(" }))
    }
  }
}
