/// One event on its way to one destination (contract, section 8, "Delivery").
///
/// The deliveries of one subject to one destination form a chain, in the order of their sequence numbers; only the first
/// pending one of a chain is tried.
package struct CallbackDelivery: Equatable, Sendable {
  package let id: DeliveryID
  package let merchantID: MerchantID
  package let destinationID: WebhookID
  /// With `sequence`, names the event.
  package let subjectID: SubjectID
  package let sequence: Int64
  package let createdAt: Timestamp
  package private(set) var state: State

  package enum State: Equatable, Sendable {
    /// To be tried at `nextTryAt`, after so many failures since it was queued or sent again.
    case pending(failedTries: Int, nextTryAt: Timestamp)
    /// The destination acknowledged it.
    case delivered(at: Timestamp)
    /// Given up after the last try of the schedule.
    case dead(at: Timestamp)

    package var name: StateName {
      switch self {
      case .pending: .pending
      case .delivered: .delivered
      case .dead: .dead
      }
    }
  }

  package enum StateName: String, CaseIterable, Sendable {
    case pending = "PENDING"
    case delivered = "DELIVERED"
    case dead = "DEAD"
  }

  package enum Command: Equatable, Sendable {
    /// A try was answered with 2xx.
    case acknowledge
    /// A try was not. `jitter` is from 0 to 1.
    case fail(schedule: DeliverySchedule, retryAfterSeconds: Int64?, jitter: Double)
    /// The merchant wants it sent now.
    case resend
  }

  /// A new one, to be tried at once.
  package init(
    id: DeliveryID, merchantID: MerchantID, destinationID: WebhookID, subjectID: SubjectID, sequence: Int64,
    createdAt: Timestamp
  ) {
    self.init(
      restoring: id, merchantID: merchantID, destinationID: destinationID, subjectID: subjectID, sequence: sequence,
      createdAt: createdAt, state: .pending(failedTries: 0, nextTryAt: createdAt))
  }

  /// What a store saved, as it was.
  package init(
    restoring id: DeliveryID, merchantID: MerchantID, destinationID: WebhookID, subjectID: SubjectID, sequence: Int64,
    createdAt: Timestamp, state: State
  ) {
    self.id = id
    self.merchantID = merchantID
    self.destinationID = destinationID
    self.subjectID = subjectID
    self.sequence = sequence
    self.createdAt = createdAt
    self.state = state
  }

  /// Applies `command` at `now`. A finished delivery takes no more results: of two workers that tried the same one, the
  /// first report counts. Sending again one that is pending brings its next try forward and keeps its count.
  package mutating func apply(_ command: Command, at now: Timestamp) {
    switch (state, command) {
    case (.pending, .acknowledge):
      state = .delivered(at: now)
    case (.pending(let failedTries, _), .fail(let schedule, let retryAfterSeconds, let jitter)):
      let next = schedule.nextTry(
        afterFailedTries: failedTries + 1, at: now, retryAfterSeconds: retryAfterSeconds, jitter: jitter)
      state = next.map { .pending(failedTries: failedTries + 1, nextTryAt: $0) } ?? .dead(at: now)
    case (.pending(let failedTries, _), .resend):
      state = .pending(failedTries: failedTries, nextTryAt: now)
    case (.delivered, .acknowledge), (.delivered, .fail), (.dead, .acknowledge), (.dead, .fail):
      break
    case (.delivered, .resend), (.dead, .resend):
      state = .pending(failedTries: 0, nextTryAt: now)
    }
  }
}

package typealias DeliveryID = Identifier<CallbackDelivery>

/// When a delivery is tried again (contract, section 8).
package struct DeliverySchedule: Equatable, Sendable {
  /// Before each try, counted from the failure before it: the first is at once.
  package let delaysMilliseconds: [Int64]
  /// The longest wait that a destination's `Retry-After` is granted.
  package let retryAfterSecondsMax: Int64
  /// How much of a delay jitter may add to it.
  package let jitterShare: Double

  package init(delaysMilliseconds: [Int64], retryAfterSecondsMax: Int64, jitterShare: Double) {
    self.delaysMilliseconds = delaysMilliseconds
    self.retryAfterSecondsMax = retryAfterSecondsMax
    self.jitterShare = jitterShare
  }

  /// When to try again, or `nil` when that was the last try. Never before the schedule says; later when the destination
  /// asked for it, and by `jitter` (0 to 1) of `jitterShare` of the delay, so that what failed together does not come
  /// back together.
  package func nextTry(
    afterFailedTries failedTries: Int, at now: Timestamp, retryAfterSeconds: Int64?, jitter: Double
  ) -> Timestamp? {
    guard failedTries < delaysMilliseconds.count else { return nil }
    let asked = min(max(retryAfterSeconds ?? 0, 0), retryAfterSecondsMax) * 1000
    let delay = max(delaysMilliseconds[failedTries], asked)
    let added = Int64(Double(delay) * jitterShare * min(max(jitter, 0), 1))
    return now.adding(milliseconds: delay + added)
  }
}

/// What came of one try.
package struct CallbackAttempt: Equatable, Sendable {
  package let at: Timestamp
  package let durationMilliseconds: Int64
  package let result: Result
  /// The first bytes of the answer's body, as text.
  package let responseExcerpt: String?

  package enum Result: Equatable, Sendable {
    /// The destination answered with this HTTP status.
    case status(Int)
    case error(ErrorClass)
  }

  /// Why there was no answer.
  package enum ErrorClass: String, CaseIterable, Sendable {
    /// The URL names, or its host resolves to, an address that callbacks are not sent to.
    case addressRefused = "address_refused"
    case nameNotResolved = "name_not_resolved"
    case connectionFailed = "connection_failed"
    case tlsFailed = "tls_failed"
    case timedOut = "timed_out"
    /// What came was not HTTP, or broke off.
    case answerInvalid = "answer_invalid"
  }

  package init(at: Timestamp, durationMilliseconds: Int64, result: Result, responseExcerpt: String? = nil) {
    self.at = at
    self.durationMilliseconds = durationMilliseconds
    self.result = result
    self.responseExcerpt = responseExcerpt
  }

  /// 2xx, and nothing else.
  package var isAcknowledged: Bool {
    if case .status(let status) = result { return (200...299).contains(status) }
    return false
  }

  package var saysGone: Bool { result == .status(410) }
}
