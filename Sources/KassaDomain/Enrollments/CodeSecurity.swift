/// The promise about guessing typed codes, and the figures it rests on (contract, section 2, "The code").
///
/// A guess of a code with `n` random symbols hits one of the live codes of that length with the chance
/// *live / 32^n*. With a budget of failed attempts that the server evaluates per day, the chance that anybody hits any
/// code within a day is at most *live x budget / 32^n*, and that stays at or below 2^-20.
package struct CodeSecurity: Equatable, Sendable {
  /// The bound: 2^-20 per day.
  package static let boundExponent = -20

  /// Live (PENDING, typed) codes by their number of random symbols. UUID-shaped codes are not guessable: not here.
  package let liveCodes: [Int: Int64]
  /// Failed attempts that the whole deployment evaluates per UTC day.
  package let attemptsPerDay: Int64

  package init(liveCodes: [Int: Int64], attemptsPerDay: Int64) {
    self.liveCodes = liveCodes.filter { $0.value > 0 && $0.key > 0 }
    self.attemptsPerDay = attemptsPerDay
  }

  /// Stops at the largest number instead of trapping.
  package var liveTotal: Int64 { Int64(clamping: exactTotal) }

  private var exactTotal: UInt128 { liveCodes.values.reduce(0) { $0 + UInt128($1) } }

  /// Random symbols that the next code needs, itself counted among the live ones: the smallest number, from 8, that
  /// keeps the bound; `nil` when even the longest code cannot.
  package var symbolsForNextCode: Int? {
    (EnrollmentCode.symbolsMin...EnrollmentCode.symbolsMax).first { symbols in
      // Exact: the right side is at most 2^100, and a left side that overflows is larger than that.
      let (product, overflow) = (exactTotal + 1).multipliedReportingOverflow(by: UInt128(max(0, attemptsPerDay)))
      return !overflow && product <= UInt128(1) << (5 * symbols + Self.boundExponent)
    }
  }

  /// The most failed attempts per day that keep the bound for the codes live now. At most `attemptsPerDay`: the server
  /// evaluates no more than this, so the bound holds even after the setting was raised.
  package var attemptsThatHold: Int64 {
    var attempts = attemptsPerDay
    for (symbols, live) in liveCodes {
      let exponent = 5 * symbols + Self.boundExponent
      guard exponent < 126 else { continue }
      attempts = min(attempts, Int64(clamping: (UInt128(1) << exponent) / UInt128(live)))
    }
    return attempts
  }

  /// The chance that a day's budget of guesses, all aimed at the weakest length, hits a live code.
  package func chanceOfHitPerDay(attempts: Int64) -> Double {
    liveCodes.map { symbols, live in
      Double(live) * Double(attempts) * Self.powerOfTwo(-5 * symbols)
    }.max() ?? 0
  }

  package static var bound: Double { powerOfTwo(boundExponent) }

  private static func powerOfTwo(_ exponent: Int) -> Double {
    Double(sign: .plus, exponent: exponent, significand: 1)
  }
}
