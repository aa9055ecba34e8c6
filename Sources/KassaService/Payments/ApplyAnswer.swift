import KassaDomain
import KassaStore

/// A session and one of its attempts, as one commit left them.
package struct CollectionView: Sendable {
  package let session: Session
  package let payment: Payment
}

extension KassaService {
  /// Applies a provider's report to an attempt: the one place where answers become states. Applying one twice changes
  /// nothing the second time. Money that comes after the session's end is given back.
  func apply(_ report: ProviderReport, to id: PaymentID, of merchant: MerchantID) async throws -> CollectionView {
    let now = self.now
    var generator = SystemRandomNumberGenerator()
    let order = OrderID(using: &generator)
    let capture = OrderMovementID(using: &generator)
    let applied = try await writeSession { transaction in
      guard var payment = try transaction.payments.find(id, of: merchant),
        var session = try transaction.sessions.find(payment.sessionID, of: merchant)
      else { throw ServiceFailure.notFound }
      let (version, before) = (session.version, payment)
      let heard = try payment.hear(report.answer, in: &session, order: order)
      payment.keep(report.nextAction, report.references)
      try save(heard.change, of: session, expecting: version, origin: .system, at: now, in: transaction)
      if let look = heard.nextLook { payment.checkAt = payment.time(of: look, report.askAgainSeconds, after: now) }
      if payment != before { try transaction.payments.save(payment) }
      var asked: OrderMovement?
      if case .finalized(id, order) = session.state {
        asked = try createOrder(order, paidBy: payment, of: session, capture: capture, at: now, in: transaction)
      }
      try recordNextAction(of: payment, before: before, session, at: now, in: transaction)
      return AppliedAnswer(session: session, payment: payment, capture: asked, before: before.state)
    }
    for what in applied.notices(of: report.answer) { notice(what, applied.payment) }
    if let capture = applied.capture { await carryOutWithin(Limits.captureWaitMilliseconds, capture) }
    let view = CollectionView(session: applied.session, payment: applied.payment)
    // Once refused, it is asked for by its time alone: a provider that tells of each refusal would set off the next.
    guard view.payment.state == .reversing, view.payment.reversalTry == 1 else { return view }
    return try await reverse(view)
  }

  /// Has money captured that was paid, and waits no longer than is pleasant for whoever waits for the answer; what takes
  /// longer goes on, and what fails is found by the reconciler.
  private func carryOutWithin(_ milliseconds: Int64, _ movement: OrderMovement) async {
    await bounded(milliseconds: milliseconds) { _ in
    } _: {
      _ = try? await carryOut(movement, isAskedAgain: false)
    }
  }

  /// Gives back money that came after the session's end, and tells of it once it is certain; of what was given back before
  /// it asks whether it stayed there. A provider that refuses for certain is asked again after a longer pause each time,
  /// under another name, and each refusal is told of.
  func reverse(_ view: CollectionView) async throws -> CollectionView {
    let (number, report) = try await askToReverse(view.payment)
    let now = self.now
    let told = try await writeSession { transaction in
      guard var payment = try transaction.payments.find(view.payment.id, of: view.payment.merchantID),
        var session = try transaction.sessions.find(payment.sessionID, of: payment.merchantID)
      else { return ToldReversal(view: view, what: nil) }
      let (version, before) = (session.version, payment.state)
      // What is heard of a try that was refused since says nothing of the next one.
      guard before == .reversing || before == .reversed, number == payment.reversalTry else {
        return ToldReversal(view: CollectionView(session: session, payment: payment), what: nil)
      }
      payment.keep(nil, report.references)
      var what: PaymentNotice.What?
      switch report.answer {
      case .done:
        let event = payment.noteReversed(in: &session)
        payment.checkAt = nil
        what = before == .reversing ? .givenBack : nil
        if let event {
          guard try transaction.sessions.save(session, expecting: version) else {
            throw ServiceFailure.changedMeanwhile
          }
          try record(event, of: session, origin: .system, at: now, in: transaction)
        }
      case .refused(let words):
        _ = payment.noteReversalRefused(number)
        payment.checkAt = now.adding(seconds: Limits.reversalRefusedPauseSeconds(after: payment.checks))
        what = before == .reversed ? .cameBack(OperatorDetail(words)) : .reversalRefused(OperatorDetail(words))
      case .pending: what = before == .reversing ? .givingBack : nil
      case .unknown(let words): what = .reversalUnknown(OperatorDetail(words))
      }
      try transaction.payments.save(payment)
      return ToldReversal(view: CollectionView(session: session, payment: payment), what: what)
    }
    if let what = told.what { notice(what, told.view.payment) }
    return told.view
  }

  /// The answer, and the try that it is about.
  private func askToReverse(_ payment: Payment) async throws -> (number: Int, report: MovementReport) {
    guard let provider = try await provider(of: payment) else {
      return (payment.reversalTry, MovementReport(.unknown("the provider is not configured")))
    }
    let charge = try await charge(of: payment)
    let report = await bounded {
      MovementReport(.unknown("no answer within \($0) seconds"))
    } _: {
      await provider.reverse(charge)
    }
    return (charge.references.reversalTry, report)
  }

  func notice(_ what: PaymentNotice.What, _ payment: Payment) {
    hooks.paymentNoticed(PaymentNotice(payment: payment, what: what))
  }
}

extension KassaService {
  /// The phone hears of a code that is shown from now on, and of a buyer who opened it: an event of the attempt's own, so
  /// that the session's keep their numbers.
  private func recordNextAction(
    of payment: Payment, before: Payment, _ session: Session, at now: Timestamp, in transaction: any WriteTransaction
  ) throws {
    guard case .showQR = payment.nextAction, payment.nextAction != before.nextAction else { return }
    let subject = payment.id.of(EventSubject.self)
    let sequence = Int64(try transaction.events.history(of: subject, merchant: payment.merchantID).count) + 1
    try record(
      ChangeOrigin.system.event(
        .paymentActionChanged, of: payment.id, merchant: payment.merchantID, sequence: sequence, at: now,
        related: payment.sessionID, device: session.deviceID), in: transaction)
  }
}

/// What one commit made of an answer about giving back, and what there is to be told of it.
private struct ToldReversal: Sendable, SessionHolder {
  let view: CollectionView
  let what: PaymentNotice.What?

  var session: Session { view.session }
}

/// What one commit made of an answer.
private struct AppliedAnswer: Sendable, SessionHolder {
  let session: Session
  let payment: Payment
  /// Asked for in the same commit, and not of anybody yet.
  let capture: OrderMovement?
  let before: Payment.State

  /// What there is to be told.
  func notices(of answer: ProviderAnswer) -> [PaymentNotice.What] {
    var told: [PaymentNotice.What] = []
    if payment.state != before, payment.state != .open { told.append(.outcome) }
    if case .unknown(let words) = answer, payment.state == .unknown { told.append(.unknown(OperatorDetail(words))) }
    if before == .unknown, payment.state != .unknown { told.append(.settled) }
    if payment.state == .reversing, before != .reversing { told.append(.lateMoney) }
    return told
  }
}

extension Payment {
  /// When that look is due.
  fileprivate func time(of look: NextLook, _ askAgainSeconds: Int64?, after now: Timestamp) -> Timestamp? {
    switch look {
    case .never: nil
    case .whileAwaiting:
      askAgainSeconds.map { min(now.adding(seconds: Limits.askAgainSeconds(wanted: $0)), waitsUntil) } ?? waitsUntil
    case .whileUnknown: now.adding(seconds: Limits.outcomeCheckPauseSeconds(after: checks))
    case .toVerifyDenial: now.adding(seconds: Limits.denialVerificationSeconds)
    case .untilReversed: now.adding(seconds: Limits.outcomeCheckSecondsMin)
    }
  }
}
