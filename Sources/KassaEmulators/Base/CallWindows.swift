import KassaDomain

/// Counts calls by name in windows of one minute, for limits that a provider documents.
struct CallWindows: Sendable {
  private static let windowSeconds: Int64 = 60
  private var times: [String: [Timestamp]] = [:]

  /// Counts one. Returns after how many seconds another would be taken, when there were `max` already.
  mutating func count(_ name: String, max: Int, at now: Timestamp) -> Int64? {
    let start = now.adding(seconds: -Self.windowSeconds)
    let recent = (times[name] ?? []).filter { $0 > start }
    guard recent.count < max else {
      times[name] = recent
      let wait = (recent.first ?? now).adding(seconds: Self.windowSeconds).millisecondsSinceEpoch
      return Swift.max(1, (wait - now.millisecondsSinceEpoch + 999) / 1000)
    }
    times[name] = recent + [now]
    return nil
  }
}
