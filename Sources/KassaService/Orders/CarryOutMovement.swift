import KassaDomain
import KassaStore

extension KassaService {
  /// Asks the provider that took the money to move it, and applies what it reports. Harmless done again: the movement's
  /// identifier is the provider's idempotency key. Only whoever just made the movement knows that it is not asked again.
  /// Returns the movement as it stands then.
  func carryOut(_ movement: OrderMovement, isAskedAgain: Bool) async throws -> OrderMovement {
    let merchant = movement.merchantID
    let found = try await store.read { transaction in
      try transaction.orders.find(movement.orderID, of: merchant).flatMap { order in
        try transaction.payments.find(order.paymentID, of: merchant).map { payment in
          (payment, try othersDone(movement, of: order, in: transaction))
        }
      }
    }
    guard let (payment, othersDone) = found else { throw ServiceFailure.notFound }
    guard let provider = try await provider(of: payment) else {
      return try await apply(MovementReport(.unknown("the provider is not configured")), to: movement)
    }
    let charge = try await charge(of: payment)
    let wanted = MoneyMovement(
      charge: charge, id: movement.id.of(EventSubject.self), amount: movement.amount, reference: movement.reference,
      references: movement.references, createdAt: movement.createdAt, isAskedAgain: isAskedAgain,
      othersDone: othersDone)
    let report = await bounded {
      MovementReport(.unknown("no answer within \($0) seconds"))
    } late: { report in
      // A failing store loses nothing: the reconciler asks again.
      _ = try? await apply(report, to: movement)
    } _: {
      switch movement.kind {
      case .capture: await provider.capture(wanted)
      case .refund: await provider.refund(wanted)
      case .release: await provider.release(charge)
      }
    }
    return try await apply(report, to: movement)
  }

  /// Other movements of this kind that are done. Where the order's sums say that there are none, none are read.
  private func othersDone(
    _ movement: OrderMovement, of order: Order, in transaction: any ReadTransaction
  ) throws -> [SubjectID: Int64] {
    let sum =
      switch movement.kind {
      case .capture: order.money.captured
      case .refund: order.money.refunded
      case .release: Int64(0)
      }
    guard sum > 0 else { return [:] }
    return try transaction.orders.movements(of: order.id, merchant: order.merchantID).reduce(into: [:]) { done, other in
      guard other.id != movement.id, other.kind == movement.kind, other.state.name == .done else { return }
      done[other.id.of(EventSubject.self)] = other.amount
    }
  }

  /// Applies a provider's report to a movement and to its order: the one place where answers move an order's money.
  /// Applying one twice changes nothing the second time.
  private func apply(_ report: MovementReport, to movement: OrderMovement) async throws -> OrderMovement {
    let now = self.now
    let merchant = movement.merchantID
    let (applied, isSettled) = try await translatingRefusals {
      try await store.write { transaction in
        guard var stored = try transaction.orders.movement(movement.id, of: merchant),
          var order = try transaction.orders.find(stored.orderID, of: merchant)
        else { throw ServiceFailure.notFound }
        stored.keep(report.references)
        let outcome: OrderMovement.State
        switch report.answer {
        case .done: outcome = .done(at: now)
        case .refused(let words): outcome = .refused(words, at: now)
        case .pending, .unknown: outcome = .requested
        }
        guard let command = stored.settle(outcome) else {
          if stored.checkAt != nil {
            stored.checkAt = now.adding(seconds: Limits.outcomeCheckPauseSeconds(after: stored.checks))
          }
          try transaction.orders.save(stored)
          return (stored, false)
        }
        let version = order.version
        let event = try order.apply(command)
        guard try transaction.orders.save(order, expecting: version) else { throw ServiceFailure.changedMeanwhile }
        try transaction.orders.save(stored)
        if let event {
          let related =
            stored.kind == .release ? order.sessionID.of(EventSubject.self) : stored.id.of(EventSubject.self)
          try record(
            event, of: order, related: related, reason: stored.state.name == .refused ? Self.refusedReason : nil,
            origin: .system, at: now, in: transaction)
        }
        return (stored, true)
      }
    }
    if isSettled {
      hooks.movementSettled(applied)
    } else if case .unknown(let words) = report.answer {
      hooks.movementUnknown(applied, OperatorDetail(words))
    }
    return applied
  }

  /// What callbacks say of a movement that the provider refused.
  private static var refusedReason: String { "PROVIDER_REFUSED" }

  /// Movements of the order that this attempt paid for, as far as they are not settled.
  func openMovements(paidBy payment: Payment) async throws -> [OrderMovement] {
    try await movements(paidBy: payment).filter { $0.checkAt != nil }
  }

  /// One of the refunds that are done may have come back, or late money that was given back: the reconciler asks about each
  /// of them until it is certain.
  func doubtRefunds(paidBy payment: Payment) async throws {
    let now = self.now
    let ids = try await movements(paidBy: payment).map(\.id)
    try await store.write { transaction in
      if var late = try transaction.payments.find(payment.id, of: payment.merchantID), late.doubtReversal(at: now) {
        try transaction.payments.save(late)
      }
      for id in ids {
        guard var movement = try transaction.orders.movement(id, of: payment.merchantID), movement.doubt(at: now) else {
          continue
        }
        try transaction.orders.save(movement)
      }
    }
  }

  private func movements(paidBy payment: Payment) async throws -> [OrderMovement] {
    try await store.read { transaction in
      guard
        case .finalized(payment.id, let order) =
          try transaction.sessions.find(payment.sessionID, of: payment.merchantID)?.state
      else { return [] }
      return try transaction.orders.movements(of: order, merchant: payment.merchantID)
    }
  }

  /// Movements by this method that want asking about, longest waiting first.
  package func dueMovements(by method: PaymentMethod, limit: Int) async throws -> [OrderMovement] {
    let now = self.now
    return try await store.read { try $0.orders.dueMovements(at: now, by: method, limit: limit) }
  }

  /// Asks again for a movement that was due, unless another server does: it is taken until a provider must have answered.
  package func lookAfter(_ movement: OrderMovement) async throws {
    let pause = Limits.outcomeCheckPauseSeconds(after: movement.checks + 1)
    let next = now.adding(seconds: max(pause, Limits.providerCrashSeconds))
    guard try await store.write({ try $0.orders.takeCheck(movement, next: next) }) else { return }
    _ = try await carryOut(movement, isAskedAgain: true)
  }
}
