import KassaDomain
import KassaStore

extension KassaService {
  /// Ends a session with a confirmed outcome (contract, section 6, "Cancel is confirmed"). Done again it changes nothing.
  ///
  /// Throws `sessionFinalized` when the money had already moved, `sessionOver` when it ended otherwise, and
  /// `paymentOutcomeUnknown` when the provider does not know yet; Kassa then goes on asking, and the session ends as soon
  /// as it is certain that no money moved.
  package func cancelSession(_ id: SessionID, as actor: CollectingActor) async throws -> SessionView {
    let session = try await endAttempt(id, .cancelled, as: actor)
    switch session.state {
    case .cancelled: return try await self.session(id, as: actor)
    case .finalized: throw ServiceFailure.sessionFinalized
    case .expired, .failed: throw ServiceFailure.sessionOver
    case .created, .active: throw ServiceFailure.paymentOutcomeUnknown
    }
  }

  /// Asks for an end: at once where no attempt is under way, else after the provider confirmed that no money moves.
  /// Returns the session as it stands then. With `only`, nothing is asked for unless that attempt is under way.
  func endAttempt(
    _ id: SessionID, _ ending: Session.Ending, only: PaymentID? = nil, as actor: CollectingActor
  ) async throws -> Session {
    let now = self.now
    let session = try await writeSession { transaction in
      var session = try visibleSession(id, to: actor, in: transaction)
      if let only, session.attempt(only) == nil { return session }
      // Its time came before the wish to cancel it.
      let ending = ending == .cancelled && session.expiresAt <= now ? .expired : ending
      try end(ending, &session, origin: actor.origin, at: now, in: transaction)
      return session
    }
    return try await confirmEnd(of: session, only: only)
  }

  /// Asks for an end in the commit of `transaction`. An attempt under way is looked after from `lookAfterSeconds` on: later
  /// than the caller needs for it.
  func end(
    _ ending: Session.Ending, _ session: inout Session, origin: ChangeOrigin, at now: Timestamp,
    lookAfterSeconds: Int64 = Limits.providerCrashSeconds, in transaction: any WriteTransaction
  ) throws {
    _ = try apply(.end(ending), to: &session, origin: origin, at: now, in: transaction)
    guard case .active(.some(let attempt)) = session.state,
      var payment = try transaction.payments.find(attempt.payment, of: session.merchantID)
    else { return }
    payment.checkAt = now.adding(seconds: lookAfterSeconds)
    try transaction.payments.save(payment)
  }

  /// Has the provider confirm the end of the attempt that is under way, if any. Returns the session as it stands then.
  func confirmEnd(of session: Session, only: PaymentID? = nil) async throws -> Session {
    guard case .active(.some(let attempt)) = session.state, attempt.payment == only ?? attempt.payment,
      let payment = try await store.read({ try $0.payments.find(attempt.payment, of: session.merchantID) })
    else { return session }
    return try await ask(payment) { await $0.cancel($1) }.session
  }
}
