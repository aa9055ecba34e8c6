import KassaDomain
import KassaStore

extension KassaService {
  /// Attempts by this method that want looking after, longest waiting first.
  package func duePayments(by method: PaymentMethod, limit: Int) async throws -> [Payment] {
    let now = self.now
    return try await store.read { try $0.payments.due(at: now, by: method, limit: limit) }
  }

  /// Looks after an attempt that was due, unless another server does: it is taken until a provider must have answered.
  package func lookAfter(_ payment: Payment) async throws {
    let now = self.now
    let pause = Limits.outcomeCheckPauseSeconds(after: payment.checks + 1)
    let next = now.adding(seconds: max(pause, Limits.providerCrashSeconds))
    guard try await store.write({ try $0.payments.takeCheck(payment, next: next) }) else { return }
    try await look(after: payment, at: now)
  }

  private func look(after payment: Payment, at now: Timestamp) async throws {
    let found = try await store.read { try $0.sessions.find(payment.sessionID, of: payment.merchantID) }
    guard let session = found else { return }
    switch payment.care(in: session, at: now) {
    case .start: _ = try await ask(payment) { await $0.start($1) }
    case .timeOut:
      _ = try await endAttempt(session.id, .timedOut, only: payment.id, as: .kassa(payment.merchantID))
    case .query: try await giveUp(ask(payment) { await $0.query($1) }, at: now)
    case .cancel: try await giveUp(ask(payment) { await $0.cancel($1) }, at: now)
    case .reverse: _ = try await reverse(CollectionView(session: session, payment: payment))
    case .verify: try await verify(payment)
    case .none:
      try await store.write { transaction in
        guard var stored = try transaction.payments.find(payment.id, of: payment.merchantID) else { return }
        stored.checkAt = nil
        try transaction.payments.save(stored)
      }
    }
  }

  /// Asks by ending it once more, not by looking only: a start that was still on its way when the provider denied finds
  /// the charge ended, instead of a reader that waits for a card nobody asked for.
  private func verify(_ payment: Payment) async throws {
    guard let provider = try await provider(of: payment) else {
      return notice(.unverified(OperatorDetail("the provider is not configured")), payment)
    }
    let charge = try await charge(of: payment)
    let report = await bounded {
      ProviderReport(.unknown("no answer within \($0) seconds"))
    } _: {
      await provider.cancel(charge)
    }
    switch report.answer {
    case .paid: _ = try await apply(report, to: payment.id, of: payment.merchantID)
    case .unknown(let words): notice(.unverified(OperatorDetail(words)), payment)
    case .pending: notice(.unverified(OperatorDetail("the customer may still pay")), payment)
    case .notPaid:
      try await store.write { transaction in
        guard var stored = try transaction.payments.find(payment.id, of: payment.merchantID),
          stored.state == payment.state
        else { return }
        stored.checkAt = nil
        try transaction.payments.save(stored)
      }
    }
  }

  /// Frees the device after a day without an answer. The attempt stays UNKNOWN and is asked for on and on: money that
  /// turns up is given back.
  private func giveUp(_ view: CollectionView, at now: Timestamp) async throws {
    guard case .unresolved = view.session.attempt(view.payment.id)?.phase,
      now >= view.payment.createdAt.adding(seconds: Limits.outcomeUnknownSecondsMax)
    else { return }
    let session = try await writeSession { transaction in
      guard var session = try transaction.sessions.find(view.session.id, of: view.session.merchantID) else {
        throw ServiceFailure.notFound
      }
      if session.attempt(view.payment.id) != nil {
        _ = try apply(.giveUp, to: &session, origin: .system, at: now, in: transaction)
      }
      return session
    }
    if session.state.name == .failed { notice(.givenUp, view.payment) }
  }

  /// Ends sessions whose time has come, in one commit, and asks nobody: an attempt that is under way is due at once to be
  /// looked after, which has its provider confirm. What one server ends no other finds. Returns how many they were;
  /// fewer than `Limits.sweepRowsMax` when none is left.
  package func expireSessions() async throws -> Int {
    let now = self.now
    if try await store.read({ try $0.sessions.due(at: now, limit: 1).isEmpty }) { return 0 }
    let ended = try await translatingRefusals {
      try await store.write { transaction in
        try transaction.sessions.due(at: now, limit: Limits.sweepRowsMax).map { due in
          var session = due
          try end(.expired, &session, origin: .system, at: now, lookAfterSeconds: 0, in: transaction)
          return session
        }
      }
    }
    for device in Set(ended.map(\.deviceID)) { signals.wake(device) }
    return ended.count
  }
}
