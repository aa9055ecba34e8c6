import KassaDomain

/// The bounds of callbacks, each with its reason.
extension Limits {
  /// Tries of one delivery (contract, section 8): about three days in all. Jitter adds up to a tenth, so that what failed
  /// together does not come back together; a destination's `Retry-After` is granted up to a day, which is the longest
  /// step of the schedule itself.
  package static let deliverySchedule = DeliverySchedule(
    delaysMilliseconds: [0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400].map { $0 * 1000 },
    retryAfterSecondsMax: 86_400, jitterShare: 0.1)
  /// One try, from resolving the name to the end of the answer (contract, section 8).
  package static let callbackTrySeconds: Int64 = 15
  /// Resolving a name while a merchant waits for the answer to its request.
  package static let callbackNameSeconds: Int64 = 5
  /// How long a worker may hold a chain: a try, and as much again to commit what came of it. What a crashed worker held
  /// is tried again after this.
  package static let callbackLeaseSeconds: Int64 = 30
  /// Chains of one destination that are tried at once: enough for some hundred callbacks a second to a quick one, while a
  /// stuck one holds no more than these.
  package static let callbackTriesPerDestinationMax = 8
  /// Tries at once in one process: room for more than a hundred stuck destinations before a quick one waits.
  package static let callbackTriesMax = 1024
  /// How often a delivery that is to be sent again is looked at anew because a worker noted a try of it meanwhile.
  package static let resendTriesMax = 5
  /// How often a worker looks without being called: makes up for lost calls, and finds what has become due.
  package static let callbackPollMilliseconds: Int64 = 1000
  /// The least time between two looks: bounds what looking costs under load.
  package static let callbackLookGapMilliseconds: Int64 = 10
  /// Bytes of an answer that are read; nobody needs its body, and it comes from a stranger.
  package static let callbackAnswerBytesMax = 64 * 1024
  /// Bytes of an answer that the log keeps, so that a merchant sees what the destination said.
  package static let callbackExcerptBytesMax = 1024
  /// How long finished deliveries and their attempts are kept.
  package static let callbackLogDays: Int64 = 30
  /// How long both secrets sign after a rotation (contract, section 8).
  package static let secretOverlapSeconds: Int64 = 600
  /// Destinations of one merchant: each event costs a row for each, and each may hold some tries.
  package static let webhooksPerMerchantMax = 20
  /// Rows of the log that one page of the pull feed looks at, when most of them are not for merchants.
  package static let feedRowsScannedMax = 5000
}
