extension Payment {
  /// What is done for an attempt whose look is due.
  package enum Care: Equatable, Sendable {
    /// The provider is asked to begin, again.
    case start
    /// Nobody paid in time: the attempt is ended.
    case timeOut
    /// The provider is asked.
    case query
    /// The provider is asked to end it.
    case cancel
    /// The money is given back, or it is asked whether it stayed there.
    case reverse
    /// A provider that denied is asked to end it once more: money that moved all the same is found and given back.
    case verify
    /// There is nothing left to look after.
    case none
  }

  /// What a look after this attempt of `session`, taken at `now`, leads to.
  package func care(in session: Session, at now: Timestamp) -> Care {
    switch state {
    case .open, .unknown:
      // The session was given up: nobody wants this money any more.
      guard let attempt = session.attempt(id) else { return .cancel }
      switch attempt.phase {
      case .starting: return .start
      case .awaiting: return now < waitsUntil ? .query : .timeOut
      case .settling, .unresolved(nil): return .query
      case .cancelling, .unresolved(.some): return .cancel
      }
    case .failed, .cancelled: return .verify
    // What was given back is looked after only when it may have come back.
    case .reversing, .reversed: return .reverse
    case .succeeded: return .none
    }
  }
}
