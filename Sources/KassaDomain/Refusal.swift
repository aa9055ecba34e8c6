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
  /// The session is paid.
  case sessionFinalized
  /// The session ended otherwise.
  case sessionOver
  /// An attempt is under way; it must end first.
  case paymentInProgress
  /// There is no such attempt under way.
  case noPaymentUnderWay
  /// So much may still be captured, and no more.
  case moreThanCapturable(Int64)
  /// So much may still be refunded, and no more.
  case moreThanRefundable(Int64)
  /// The order is cancelled, or being cancelled.
  case orderCancelled
  /// Money of the order was captured, or is being captured.
  case orderCaptured
  /// The order knows of no such capture, refund or release under way.
  case nothingAskedFor
}
