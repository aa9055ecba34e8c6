/// How a store fails. Closed: every adapter maps its engine's errors to these, once.
package enum StoreError: Error, Sendable {
  /// A unique constraint held. Definite: nothing was written.
  case conflict(StoreConstraint)
  /// The engine cannot serve now. Definite: nothing was written. Trying later may help.
  case unavailable(OperatorDetail)
  /// The commit's outcome is not known: the effect may be there or not.
  case indeterminate(OperatorDetail)
  /// The database is newer than this program, damaged, or not Kassa's: trying again does not help.
  case unusable(OperatorDetail)
}

/// What a use case may meet: unique constraints, and what a body demanded.
package enum StoreConstraint: String, Sendable, CaseIterable {
  case apiKeyHash
  case enrollmentCode
  case enrollmentToken
  case deviceOfEnrollment
  case deviceToken
  case idempotencyKey
  case eventSequence
  case activeSessionOfDevice
  case currentPaymentMethod
  /// `APIKeyReads.demand`: the key is unknown or revoked.
  case apiKeyInForce
  /// A primary identifier twice: 122 random bits collided, or a caller reused one.
  case identifier
}

/// Words for the operator's log. Deliberately neither `Encodable` nor `CustomStringConvertible`, so that it cannot reach
/// a client by accident.
package struct OperatorDetail: Sendable {
  package let text: String
  package init(_ text: String) { self.text = text }
}
