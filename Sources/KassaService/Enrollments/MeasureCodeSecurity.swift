import KassaDomain
import KassaStore

/// The promise about guessing codes as it stands at this moment.
package struct CodeSecurityReport: Sendable {
  package let security: CodeSecurity
  package let attemptsUsedToday: Int64
  package let attemptsPerSourcePerMinute: Int64

  /// Failed attempts per day that the server evaluates now: the setting, or fewer if the bound asks for it.
  package var attemptsPerDay: Int64 { security.attemptsThatHold }
  package var chanceOfHitPerDay: Double { security.chanceOfHitPerDay(attempts: attemptsPerDay) }
  package var boundHolds: Bool { chanceOfHitPerDay <= CodeSecurity.bound }
}

extension KassaService {
  package func codeSecurity() async throws -> CodeSecurityReport {
    let day = AttemptWindow.day(now)
    let settings = self.settings
    return try await store.read { transaction in
      CodeSecurityReport(
        security: CodeSecurity(
          liveCodes: try transaction.enrollments.liveCodes(), attemptsPerDay: settings.codeAttemptsPerDay),
        attemptsUsedToday: try transaction.budgets.used(.deployment, windowStart: day.start),
        attemptsPerSourcePerMinute: settings.codeAttemptsPerSourcePerMinute)
    }
  }
}

/// A span of time in which attempts are counted together.
struct AttemptWindow {
  let start: Timestamp
  let end: Timestamp

  /// The UTC day of `now`.
  static func day(_ now: Timestamp) -> AttemptWindow { window(now, milliseconds: 86_400_000) }
  static func minute(_ now: Timestamp) -> AttemptWindow { window(now, milliseconds: 60_000) }

  /// Whole seconds from `now` to the end, at least 1.
  func secondsLeft(at now: Timestamp) -> Int64 {
    max(1, (end.millisecondsSinceEpoch - now.millisecondsSinceEpoch + 999) / 1000)
  }

  private static func window(_ now: Timestamp, milliseconds: Int64) -> AttemptWindow {
    let start = now.millisecondsSinceEpoch / milliseconds * milliseconds
    return AttemptWindow(
      start: Timestamp(millisecondsSinceEpoch: start), end: Timestamp(millisecondsSinceEpoch: start + milliseconds))
  }
}
