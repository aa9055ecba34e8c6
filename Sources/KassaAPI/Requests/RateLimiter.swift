import Synchronization

/// How much of what is allowed, in words for whoever is above it.
struct RateLimit: Sendable {
  enum Window: String, Sendable {
    case second
    case minute

    var seconds: Int64 { self == .second ? 1 : 60 }
  }

  let count: Int64
  /// What is counted, and of whom: `requests of one merchant`.
  let of: String
  let window: Window
}

/// Requests per merchant, or per whoever else makes them, by the generic cell rate algorithm: a steady rate with a burst.
/// Kept in memory, so with several servers each allows its own share.
final class RateLimiter<Key: Hashable & Sendable>: Sendable {
  /// Keys remembered before those at rest are forgotten.
  private static var entriesMax: Int { 10_000 }

  private let limit: RateLimit
  private let intervalNanoseconds: Int64
  private let burstNanoseconds: Int64
  /// When each would be at rest again, in nanoseconds of the monotonic clock.
  private let atRest = Mutex<[Key: Int64]>([:])

  /// With a burst of two seconds' worth. 0 per second: no limit.
  init(perSecond: Int, of counted: String) {
    limit = RateLimit(count: Int64(perSecond), of: counted, window: .second)
    intervalNanoseconds = perSecond > 0 ? 1_000_000_000 / Int64(perSecond) : 0
    burstNanoseconds = 2_000_000_000
  }

  /// With a burst of a minute's worth.
  init(perMinute: Int64, of counted: String) {
    limit = RateLimit(count: perMinute, of: counted, window: .minute)
    intervalNanoseconds = 60_000_000_000 / perMinute
    burstNanoseconds = 60_000_000_000
  }

  /// Takes one request. Throws `RequestFailure.tooManyRequests` when it comes too early.
  func take(_ key: Key, nowNanoseconds now: Int64) throws {
    if let wait = secondsToWait(taking: key, nowNanoseconds: now) {
      throw RequestFailure.tooManyRequests(limit, retryAfterSeconds: wait)
    }
  }

  /// Takes one request and answers `nil`; or takes none, and answers after how many seconds it may come again.
  func secondsToWait(taking key: Key, nowNanoseconds now: Int64) -> Int64? {
    guard intervalNanoseconds > 0 else { return nil }
    let wait: Int64 = atRest.withLock { atRest in
      let next = max(now, atRest[key] ?? now) + intervalNanoseconds
      guard next - now <= burstNanoseconds else { return next - now - burstNanoseconds }
      if atRest.count >= Self.entriesMax { atRest = atRest.filter { $0.value > now } }
      atRest[key] = next
      return 0
    }
    return wait > 0 ? max(1, (wait + 999_999_999) / 1_000_000_000) : nil
  }

  /// Takes back what was taken: the request turned out not to count.
  func giveBack(_ key: Key) {
    atRest.withLock { atRest in
      if let next = atRest[key] { atRest[key] = next - intervalNanoseconds }
    }
  }
}
