import KassaDomain
import KassaStore

extension KassaService {
  /// The clerk chose a method: the session becomes ACTIVE and the provider is asked to begin. Throws `deviceBusy` while
  /// another session of the device is ACTIVE, and `methodUnavailable` for a method that cannot collect it.
  package func startPayment(
    _ method: PaymentMethod, of id: SessionID, as actor: CollectingActor
  ) async throws -> CollectionView {
    let (session, offer) = try await store.read { transaction in
      let session = try visibleSession(id, to: actor, in: transaction)
      return (session, try offers(for: session, in: transaction).first { $0.method == method })
    }
    switch session.state.name {
    case .created, .active: break
    case .finalized: throw ServiceFailure.sessionFinalized
    case .cancelled, .expired, .failed: throw ServiceFailure.sessionOver
    }
    guard let offer else { throw ServiceFailure.methodUnavailable }
    let now = self.now
    let waitsUntil = min(now.adding(seconds: Limits.waitingSeconds(for: method)), session.expiresAt)
    var generator = SystemRandomNumberGenerator()
    let paymentID = PaymentID(using: &generator)
    let view = try await writeSession { transaction in
      var session = try visibleSession(id, to: actor, in: transaction)
      let isWaiting = session.state == .created || session.state == .active(nil)
      guard now < session.expiresAt || !isWaiting else { throw ServiceFailure.sessionOver }
      // Since it was offered it may have been switched off, or removed, and then nobody could ask for what it took.
      let role = try providers.role(of: offer.provider, for: method, of: session.merchantID, in: transaction)
      guard role == .collects else { throw ServiceFailure.methodUnavailable }
      let payment = Payment(
        id: paymentID, sessionID: id, merchantID: session.merchantID, method: method,
        provider: offer.provider, amount: session.cart.orderAmount, currency: session.cart.currency, createdAt: now,
        checkAt: now.adding(seconds: Limits.providerCrashSeconds), waitsUntil: waitsUntil)
      do {
        _ = try apply(
          .choose(payment: paymentID), to: &session, origin: actor.origin, at: now, in: transaction)
      } catch StoreError.conflict(.activeSessionOfDevice) {
        throw ServiceFailure.deviceBusy
      }
      try transaction.payments.insert(payment)
      return CollectionView(session: session, payment: payment)
    }
    return try await ask(view.payment) { await $0.start($1) }
  }

  /// The device says that the customer paid: the provider is asked to settle.
  package func settlePayment(
    _ id: PaymentID, of sessionID: SessionID, as actor: CollectingActor
  ) async throws -> CollectionView {
    let now = self.now
    let view = try await writeSession { transaction in
      var session = try visibleSession(sessionID, to: actor, in: transaction)
      guard var payment = try transaction.payments.find(id, of: session.merchantID), payment.sessionID == sessionID
      else { throw ServiceFailure.notFound }
      if payment.state == .open || payment.state == .unknown {
        let change = try apply(.settle(payment: id), to: &session, origin: actor.origin, at: now, in: transaction)
        if change.isChanged {
          payment.checkAt = now.adding(seconds: Limits.providerCrashSeconds)
          try transaction.payments.save(payment)
        }
      }
      return CollectionView(session: session, payment: payment)
    }
    switch view.payment.state {
    case .open: return try await ask(view.payment) { await $0.settle($1) }
    case .unknown: return try await ask(view.payment) { await $0.query($1) }
    case .succeeded, .failed, .cancelled, .reversing, .reversed: return view
    }
  }

  /// The clerk goes back to the choice of method. Throws what `cancelSession` throws when that cannot be made certain.
  package func cancelPayment(
    _ id: PaymentID, of sessionID: SessionID, as actor: CollectingActor
  ) async throws -> CollectionView {
    let session = try await store.read { try visibleSession(sessionID, to: actor, in: $0) }
    let found = try await store.read { try $0.payments.find(id, of: session.merchantID) }
    guard let found, found.sessionID == sessionID else { throw ServiceFailure.notFound }
    if session.attempt(id) == nil { return CollectionView(session: session, payment: found) }
    let ended = try await endAttempt(sessionID, .choice, only: id, as: actor)
    switch ended.state {
    case .finalized: throw ServiceFailure.sessionFinalized
    case .active(.some(let attempt)) where attempt.payment == id: throw ServiceFailure.paymentOutcomeUnknown
    case .created, .active, .cancelled, .expired, .failed: break
    }
    let payment = try await store.read { try $0.payments.find(id, of: session.merchantID) }
    return CollectionView(session: ended, payment: payment ?? found)
  }
}
