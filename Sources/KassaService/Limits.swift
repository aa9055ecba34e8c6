import KassaDomain

/// Every bound of the service, once, with its reason. Those that an operator may change are settings with these defaults.
package enum Limits {
  /// Life of an enrollment when the caller names none (contract, section 2), in milliseconds.
  package static let enrollmentLifeDefaultMilliseconds: Int64 = 7_200_000
  package static let enrollmentLifeMilliseconds: ClosedRange<Int64> = 1000...259_200_000
  /// Longest life of a typed code; beyond it codes are UUID-shaped (contract, section 2).
  package static let typedCodeLifeMillisecondsMax: Int64 = 7_200_000
  /// Failed attempts at typed codes evaluated per UTC day by the whole deployment. With this default the shortest code
  /// serves until some hundred are live at once; a check symbol keeps honest typos out of it.
  package static let codeAttemptsPerDay: Int64 = 10_000
  /// Attempts at typed codes per source address and minute: a person types slower, a shop behind one address fits.
  package static let codeAttemptsPerSourcePerMinute: Int64 = 20
  /// How long a phone may repeat a registration whose answer it lost (contract, section 3).
  package static let registrationReplaySeconds: Int64 = 60
  /// A device seen within this time is ONLINE.
  package static let onlineSeconds: Int64 = 60
  /// `last_seen_at` is written at most this often per device, so that a busy phone does not cost a write a call.
  package static let lastSeenGranularitySeconds: Int64 = 15
  /// How long an idempotency record is kept (contract, section 1).
  package static let idempotencyDays: Int64 = 30
  /// How long a browser stays signed in: a long working day. Not prolonged by use, so that a copied cookie ends as well.
  package static let portalSignInSeconds: Int64 = 43_200
  /// Keys that a server remembers the merchants of. Beyond it all are forgotten, and looked up again.
  package static let knownKeysMax = 10_000
  /// Tries with fresh randomness when a new code collides with a live one.
  package static let codeCollisionTriesMax = 5
  /// Rows that one sweep changes in one transaction: bounds how long it holds up others.
  package static let sweepRowsMax = 200
  /// The age at which a proof of possession is refused, and clocks' disagreement, in seconds (RFC 9449, section 11.1).
  package static let proofAgeSecondsMax: Int64 = 60
  /// Life of a session unless configured otherwise (contract, section 6).
  package static let sessionSeconds: Int64 = 900
  /// How long a provider's answer is waited for before it counts as not known.
  package static let providerAnswerSeconds: Int64 = 15
  /// After this time a call to a provider is taken to have died with its server, and is made again.
  package static let providerCrashSeconds: Int64 = 30
  /// How long a device waits for a card before it is taken back.
  package static let primedSecondsMax: Int64 = 180
  /// How long a code is shown before it is taken back: the buyer finds the phone, scans, and signs in at a bank.
  package static let scanSecondsMax: Int64 = 180
  /// Attempts that are asked about at once because providers told of them; the reconciler finds what is beyond.
  package static let notificationsAskedAtOnceMax = 256
  /// How long the answer to a payment waits for its automatic capture, which goes on without being waited for.
  package static let captureWaitMilliseconds: Int64 = 1000
  /// Adapters kept ready, each with its merchant's settings; beyond that all are made anew.
  package static let adaptersKeptMax = 10_000
  /// One setting of a provider: room for a certificate chain with its key.
  package static let providerSettingBytesMax = 16 * 1024
  /// How soon a provider may want to be asked again while the customer is waited for: not so often that it hurts, and
  /// not so seldom that the clerk waits.
  package static let askAgainSeconds: ClosedRange<Int64> = 1...60
  /// First pause before an outcome that is not known is asked for again; it doubles up to the longest.
  package static let outcomeCheckSecondsMin: Int64 = 2
  package static let outcomeCheckSecondsMax: Int64 = 300
  /// First pause before a provider that refused to give money back is asked again; it doubles up to the longest. Somebody
  /// may have to put something right first: fill an account, call the provider.
  package static let reversalRefusedSecondsMin: Int64 = 300
  package static let reversalRefusedSecondsMax: Int64 = 3600
  /// Money that was asked back more often than this does not go back by itself: somebody should look at it.
  package static let reversalChecksSound = 3
  /// How long the metric that tells when credentials end may be old: they end after months.
  package static let credentialsEndSeconds: Int64 = 3600
  /// Credentials that end sooner than this need somebody now: a new certificate takes days to get.
  package static let credentialsEndSoonSeconds: Int64 = 7 * 86_400
  /// After this time without an outcome the session ends as FAILED; the outcome is asked for on and on.
  package static let outcomeUnknownSecondsMax: Int64 = 86_400
  /// Attempts by one method that are looked after at once: a silent provider takes up to `providerAnswerSeconds` for each.
  package static let outcomeChecksAtOnceMax = 16
  /// When a provider that denied is asked once more.
  package static let denialVerificationSeconds: Int64 = 60
  /// How long a server counts as ready after it proved that it can write.
  package static let readinessSeconds: Int64 = 1
  /// Sessions that a device's line shows: more than any clerk can look at.
  package static let lineSessionsMax = 100
  /// Events read at once for a device's stream.
  package static let feedEventsMax = 200
  /// Streams that one device may have open: one, and those that a lost connection left behind.
  package static let streamsPerDeviceMax = 4

  /// How long a customer is waited for.
  package static func waitingSeconds(for method: PaymentMethod) -> Int64 {
    switch method {
    case .card: primedSecondsMax
    case .klarna, .swish, .vipps: scanSecondsMax
    }
  }

  /// When a provider is asked again that wants to be asked after so many seconds.
  package static func askAgainSeconds(wanted: Int64) -> Int64 {
    min(max(wanted, askAgainSeconds.lowerBound), askAgainSeconds.upperBound)
  }

  /// The pause after so many refusals.
  package static func reversalRefusedPauseSeconds(after checks: Int) -> Int64 {
    min(reversalRefusedSecondsMax, reversalRefusedSecondsMin << min(checks, 10))
  }

  /// The pause after so many looks without an answer.
  package static func outcomeCheckPauseSeconds(after checks: Int) -> Int64 {
    min(outcomeCheckSecondsMax, outcomeCheckSecondsMin << min(checks, 10))
  }
}
