/// How long calls to a provider may take. The defaults are for production.
package struct CallLimits: Sendable {
  /// All calls of one question to an adapter, with their repetitions and the pauses between them: below
  /// `Limits.providerAnswerSeconds`, so that the adapter itself says what it knows before it is given up.
  package var budgetMilliseconds: Int64
  /// One try of one call.
  package var tryMilliseconds: Int64
  /// Tries of one call.
  package var triesMax: Int
  /// The longest first pause between two tries; it doubles. The pause itself is random below it, so that many who failed
  /// together do not come back together.
  package var pauseMilliseconds: Int64
  /// The largest answer that is read.
  package var answerBytesMax: Int

  package init(
    budgetMilliseconds: Int64 = 12_000, tryMilliseconds: Int64 = 5000, triesMax: Int = 3,
    pauseMilliseconds: Int64 = 400, answerBytesMax: Int = 512 * 1024
  ) {
    self.budgetMilliseconds = budgetMilliseconds
    self.tryMilliseconds = tryMilliseconds
    self.triesMax = triesMax
    self.pauseMilliseconds = pauseMilliseconds
    self.answerBytesMax = answerBytesMax
  }
}

/// The time that is left for one question to an adapter, over all the calls that it takes.
package struct CallBudget: Sendable {
  private let end: ContinuousClock.Instant

  package init(milliseconds: Int64) { end = .now.advanced(by: .milliseconds(milliseconds)) }

  package var remainingMilliseconds: Int64 {
    let rest = ContinuousClock.now.duration(to: end).components
    return max(0, rest.seconds * 1000 + rest.attoseconds / 1_000_000_000_000_000)
  }
}
