import KassaDomain
import KassaStore

/// A session and one of its attempts, as one commit left them.
package struct CollectionView: Sendable {
  package let session: Session
  package let payment: Payment
}

extension KassaService {
  /// Applies a provider's answer to an attempt: the one place where answers become states. Applying one twice changes
  /// nothing the second time. Money that comes after the session's end is given back.
  func apply(_ answer: ProviderAnswer, to id: PaymentID, of merchant: MerchantID) async throws -> CollectionView {
    let now = self.now
    var generator = SystemRandomNumberGenerator()
    let order = OrderID(using: &generator)
    let applied = try await writeSession { transaction in
      guard var payment = try transaction.payments.find(id, of: merchant),
        var session = try transaction.sessions.find(payment.sessionID, of: merchant)
      else { throw ServiceFailure.notFound }
      let wantedEnding = session.attempt(id)?.phase.wantedEnding
      let command: Session.Command =
        switch answer {
        case .paid: .paid(payment: id, order: order)
        case .notPaid(let reason): .notPaid(payment: id, reason)
        case .pending: .pending(payment: id)
        case .unknown: .unknown(payment: id)
        }
      let change = try apply(command, to: &session, origin: .system, at: now, in: transaction)
      let before = payment
      payment.note(answer, wantedEnding: wantedEnding, mustReverse: change.mustReverse, at: now)
      if payment != before { try transaction.payments.save(payment) }
      let hasNewOutcome = payment.state != before.state && payment.state != .open
      return AppliedAnswer(session: session, payment: payment, hasNewOutcome: hasNewOutcome)
    }
    if applied.hasNewOutcome { paymentChanged(applied.payment) }
    let view = CollectionView(session: applied.session, payment: applied.payment)
    guard view.payment.state == .reversing else { return view }
    return try await reverse(view)
  }

  /// Gives back money that came after the session's end, and tells of it once it is certain.
  func reverse(_ view: CollectionView) async throws -> CollectionView {
    guard let provider = providers[view.payment.method],
      case .refunded = await provider.refund(Charge(view.payment))
    else { return view }
    let now = self.now
    return try await writeSession { transaction in
      guard var payment = try transaction.payments.find(view.payment.id, of: view.payment.merchantID),
        var session = try transaction.sessions.find(payment.sessionID, of: payment.merchantID),
        payment.state == .reversing
      else { return view }
      payment.state = .reversed
      payment.checkAt = nil
      try transaction.payments.save(payment)
      let version = session.version
      let event = session.noteLateMoney()
      guard try transaction.sessions.save(session, expecting: version) else { throw ServiceFailure.changedMeanwhile }
      try record(event, of: session, origin: .system, at: now, in: transaction)
      return CollectionView(session: session, payment: payment)
    }
  }
}

/// What one commit made of an answer.
private struct AppliedAnswer: Sendable, SessionHolder {
  let session: Session
  let payment: Payment
  let hasNewOutcome: Bool
}

extension Payment {
  /// What an answer makes of the attempt. States that are certain never change, but to give late money back.
  fileprivate mutating func note(
    _ answer: ProviderAnswer, wantedEnding: Session.Ending?, mustReverse: Bool, at now: Timestamp
  ) {
    switch (state, answer) {
    case (.succeeded, _), (.reversing, _), (.reversed, _): return
    case (_, .paid(let card)):
      self.card = card
      failureReason = nil
      state = mustReverse ? .reversing : .succeeded
      checkAt = mustReverse ? now.adding(seconds: Limits.outcomeCheckSecondsMin) : nil
    case (.failed, _), (.cancelled, _): return
    case (.open, .notPaid(let reason)), (.unknown, .notPaid(let reason)):
      switch wantedEnding {
      case .choice, .expired, .cancelled: state = .cancelled
      case .timedOut: (state, failureReason) = (.failed, .timedOut)
      case nil: (state, failureReason) = (.failed, reason)
      }
      checkAt = now.adding(seconds: Limits.denialVerificationSeconds)
    case (.open, .pending), (.unknown, .pending):
      guard wantedEnding == nil else { return }
      state = .open
      checkAt = createdAt.adding(seconds: Limits.primedSecondsMax)
    case (.open, .unknown), (.unknown, .unknown):
      state = .unknown
      checkAt = now.adding(seconds: Limits.outcomeCheckPauseSeconds(after: checks))
    }
  }
}
