/// Every bound of the HTTP side, once, with its reason. Those that an operator may change are settings with these
/// defaults.
package enum APILimits {
  /// How long a server that was told to stop still takes requests. With another server behind the same front it must be
  /// longer than the front takes to notice; without one it would only delay the end.
  package static let drainDelaySeconds: Int64 = 0
  /// Largest request body (contract, section 1).
  package static let bodyBytesMax = 256 * 1024
  /// Largest body of a device registration, which needs no credential (contract, section 1).
  package static let registrationBodyBytesMax = 64 * 1024
  /// Largest request head: far above what any client sends, far below what would hurt.
  package static let headBytesMax = 16 * 1024
  /// From connecting to a whole request head. A trickling client does not extend it.
  package static let headSeconds: Int64 = 10
  /// From a request's head to the end of its body, in total.
  package static let bodySeconds: Int64 = 20
  /// From an answer to the next request's whole head on the same connection.
  package static let idleSeconds: Int64 = 60
  /// From writing to the client having taken what was written.
  package static let writeSeconds: Int64 = 20
  /// Open connections; more wait in the listen queue. At some 30 KB each this is 300 MB.
  package static let connectionsMax = 10_000
  /// Connections that may wait to be accepted: thousands of phones reconnect at once after a restart.
  package static let listenBacklog = 4096
  /// Requests per second and merchant; twice as many at once. 0: no limit.
  package static let requestsPerSecondPerMerchant = 1000
  /// Requests per second and device, twice as many at once: a clerk's phone makes a few, and each may ask a provider. No limit
  /// where there is none for merchants.
  package static let requestsPerSecondPerDevice = 50
  /// Registrations that pair nothing, per minute and source address, as many at once; more where an operator allows more
  /// attempts at typed codes.
  package static let failedRegistrationsPerSourcePerMinute: Int64 = 600
  /// Streams of events that one merchant may have open at one server: each looks into the log with every commit.
  package static let eventStreamsPerMerchantMax = 16
  /// Notifications of providers per second and source address, twice as many at once: each costs a look at the store.
  package static let notificationsPerSecondPerSource = 100
  /// Largest notification of a provider: theirs have a few KiB.
  package static let notificationBodyBytesMax = 64 * 1024
  package static let pageSizeDefault = 20
  /// Largest page of enrollments (contract, section 1) and of everything else.
  package static let enrollmentPageSizeMax = 100
  package static let pageSizeMax = 1000
  /// Metadata pairs in one list query (contract, section 2).
  package static let metadataFiltersMax = 5
  package static let nameCharactersMax = 100
  package static let hardwareIDCharactersMax = 255
  package static let idempotencyKeyBytesMax = 255
  package static let requestIDBytesMax = 128
  /// Longest key, token or proof in a header that is looked at.
  package static let secretTextBytesMax = 4096
  /// API keys that do not sign in, per source address and minute: a person pastes slower. Keys cannot be guessed; this
  /// bounds what trying costs.
  static let failedSignInsPerSourcePerMinute: Int64 = 20
  /// Failing fields that one answer names; a body can hold thousands.
  package static let flawsMax = 100
  /// Between two signs of life on a stream (contract, section 7).
  package static let heartbeatSeconds: Int64 = 15
}
