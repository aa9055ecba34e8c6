/// What a provider knows of a charge. Three classes, never two: yes, no, and not known.
package enum ProviderAnswer: Equatable, Sendable {
  /// Money moved. Certain.
  case paid(CardSummary?)
  /// No money moved, and none ever will for this charge. Certain.
  case notPaid(PaymentFailureReason)
  /// The customer may still pay.
  case pending
  /// No answer, or one that leaves it open; the words are for the operator. Never folded into no.
  case unknown(String)
}

extension Payment {
  /// What an answer led to.
  package struct Heard: Equatable, Sendable {
    /// Of the session.
    package var change: Session.Change
    /// When the attempt wants looking after next; `nil` where that stays as it was.
    package var nextLook: NextLook?

    package init(change: Session.Change, nextLook: NextLook? = nil) {
      self.change = change
      self.nextLook = nextLook
    }
  }

  /// When an attempt wants looking after next, as a reason: how long that is, the service knows.
  package enum NextLook: Equatable, Sendable {
    /// It is settled for good.
    case never
    /// When the provider wants to be asked again, or when the customer had time enough to pay.
    case whileAwaiting
    /// After a pause that grows: the outcome is not known.
    case whileUnknown
    /// Some time after the provider denied, to be sure of it.
    case toVerifyDenial
    /// Soon: money is to be given back.
    case untilReversed
  }

  /// Applies a provider's answer about this attempt to it and to its session: the one rule by which answers become
  /// states. Heard again it changes nothing the second time. `order` is the order's name, should there be one now.
  ///
  /// States that are certain never change, but when money moved after all.
  package mutating func hear(
    _ answer: ProviderAnswer, in session: inout Session, order: OrderID
  ) throws(Refusal) -> Heard {
    // Money that was decided on stays decided: an answer told again must not pay for a session what is on its way back.
    switch state {
    case .succeeded, .reversing, .reversed: return Heard(change: Session.Change())
    case .open, .unknown, .failed, .cancelled: break
    }
    let attempt = session.attempt(id)
    let command: Session.Command =
      switch answer {
      case .paid: .paid(payment: id, order: order)
      case .notPaid(let reason): .notPaid(payment: id, reason)
      case .pending: .pending(payment: id)
      case .unknown: .unknown(payment: id)
      }
    let change = try session.apply(command)
    return Heard(
      change: change, nextLook: note(answer, during: attempt, mustReverse: change.mustReverse))
  }

  /// The provider gave the money back for certain. Returns the event that tells of it; `nil` the second time, also when
  /// the money had come back in between.
  package mutating func noteReversed(in session: inout Session) -> Session.Change.Emitted? {
    guard state == .reversing else { return nil }
    state = .reversed
    return references.isReversalTold ? nil : session.noteLateMoney()
  }

  private mutating func note(
    _ answer: ProviderAnswer, during attempt: Session.Attempt?, mustReverse: Bool
  ) -> NextLook? {
    switch (state, answer) {
    case (.succeeded, _), (.reversing, _), (.reversed, _): return nil
    case (_, .paid(let card)):
      self.card = card
      failureReason = nil
      state = mustReverse ? .reversing : .succeeded
      // From here on it is counted how often the money was asked back.
      if mustReverse { checks = 0 }
      return mustReverse ? .untilReversed : .never
    case (.failed, _), (.cancelled, _): return nil
    case (.open, .notPaid(let reason)), (.unknown, .notPaid(let reason)):
      switch attempt?.phase.wantedEnding {
      case .choice, .expired, .cancelled: state = .cancelled
      case .timedOut: (state, failureReason) = (.failed, .timedOut)
      case nil: (state, failureReason) = (.failed, reason)
      }
      return .toVerifyDenial
    case (.open, .pending), (.unknown, .pending):
      guard let attempt, attempt.phase.wantedEnding == nil else { return nil }
      state = .open
      checks = 0
      return .whileAwaiting
    case (.open, .unknown), (.unknown, .unknown):
      state = .unknown
      return .whileUnknown
    }
  }
}
