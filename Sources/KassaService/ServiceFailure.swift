import KassaStore

/// Why a use case did not do what was asked. Closed; `KassaAPI` turns each into one answer.
package enum ServiceFailure: Error, Sendable {
  /// The credential is missing, malformed, unknown or revoked.
  case unauthorized
  /// The device's proof of possession is missing or wrong; the reason is for the caller.
  case proofInvalid(String)
  /// `x-merchant-id` names another merchant than the key's.
  case merchantMismatch
  /// No such thing of this merchant. Another merchant's things are answered the same.
  case notFound
  /// Fields that are wrong in a way only the stored data tells.
  case invalid([FieldFlaw])
  /// Unknown, used, expired, cancelled or malformed: one answer (contract, section 3).
  case enrollmentCodeInvalid
  /// The enrollment already paired a device.
  case enrollmentConsumed
  /// A device stands at the location, or a live enrollment names it.
  case locationInUse
  /// The budget of attempts at typed codes is used up.
  case codeAttemptsExceeded(scope: AttemptScope, retryAfterSeconds: Int64)
  /// The same idempotency key with another body.
  case idempotencyKeyReused
  /// A request with the same idempotency key is at work, on another server.
  case idempotencyInProgress
  /// Somebody changed the same thing in the same moment; nothing was done.
  case changedMeanwhile
  /// The session is paid: the money had already moved.
  case sessionFinalized
  /// The session ended: it was cancelled, its time came, or Kassa gave up.
  case sessionOver
  /// It is not known yet whether money moved; Kassa goes on asking.
  case paymentOutcomeUnknown
  /// An attempt is under way and must end first.
  case paymentInProgress
  /// There is no such attempt under way.
  case noPaymentUnderWay
  /// Another session of the device is ACTIVE.
  case deviceBusy
  /// The method is not switched on for this merchant.
  case methodUnavailable
  /// The order's money does not allow it, or its provider does not; the words are for the merchant.
  case notAllowed(String)
  /// Money is still on its way by the method.
  case paymentMethodInUse
  /// A provider would not do what it was asked for; the words are for the merchant.
  case providerRefused(String)
  /// A payment on the device is under way.
  case devicePaymentInFlight
  /// The device has too many streams open.
  case tooManyStreams(of: String, max: Int)

  package enum AttemptScope: Sendable {
    case deployment(limit: Int64)
    case source(limit: Int64)
  }
}

/// One wrong field: its path as the caller wrote it, and what to send instead.
package struct FieldFlaw: Equatable, Sendable {
  package let path: String
  package let message: String

  package init(_ path: String, _ message: String) {
    self.path = path
    self.message = message
  }
}
