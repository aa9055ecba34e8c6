import Synchronization

/// Requests per merchant, or per whoever else makes them, by the generic cell rate algorithm: a steady rate with a burst of two seconds' worth.
/// Kept in memory, so with several servers each allows its own share.
final class RateLimiter<Key: Hashable & Sendable>: Sendable {
  /// Keys remembered before those at rest are forgotten.
  private static var entriesMax: Int { 10_000 }

  private let perSecond: Int
  /// When each would be at rest again, in nanoseconds of the monotonic clock.
  private let atRest = Mutex<[Key: Int64]>([:])

  /// 0 requests per second: no limit.
  init(perSecond: Int) { self.perSecond = perSecond }

  /// Takes one request. Throws `RequestFailure.tooManyRequests` when it comes too early.
  func take(_ key: Key, nowNanoseconds now: Int64) throws {
    guard perSecond > 0 else { return }
    let interval = 1_000_000_000 / Int64(perSecond)
    let burst: Int64 = 2_000_000_000
    let wait: Int64 = atRest.withLock { atRest in
      let next = max(now, atRest[key] ?? now) + interval
      guard next - now <= burst else { return next - now - burst }
      if atRest.count >= Self.entriesMax { atRest = atRest.filter { $0.value > now } }
      atRest[key] = next
      return 0
    }
    if wait > 0 {
      throw RequestFailure.tooManyRequests(
        perSecond: perSecond, retryAfterSeconds: max(1, (wait + 999_999_999) / 1_000_000_000))
    }
  }
}
