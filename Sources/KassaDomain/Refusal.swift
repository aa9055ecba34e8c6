/// Why the domain refuses a command. The state stays as it was.
package enum Refusal: Error, Equatable, Sendable {
  /// The enrollment already paired a device.
  case enrollmentConsumed
  /// The enrollment's time has come.
  case enrollmentExpired
  /// The enrollment was deleted.
  case enrollmentCancelled
  /// The sweeper came before the enrollment's time.
  case enrollmentNotYetExpired
}
