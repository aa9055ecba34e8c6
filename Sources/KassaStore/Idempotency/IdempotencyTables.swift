import KassaDomain

/// What makes two requests the same one (contract, section 1, "Idempotency").
package struct IdempotencyScope: Hashable, Sendable {
  package let merchantID: MerchantID
  /// Method and path, as in `POST /ipp/v1/enrollments`.
  package let operation: String
  /// The caller's key, 1 to 255 visible ASCII characters.
  package let key: String

  package init(merchantID: MerchantID, operation: String, key: String) {
    self.merchantID = merchantID
    self.operation = operation
    self.key = key
  }
}

/// The answer that was given, sealed because it may show a secret once.
package struct IdempotencyRecord: Equatable, Sendable {
  /// SHA-256 of the request's body.
  package let bodyHash: [UInt8]
  package let status: Int
  package let sealedBody: [UInt8]
  package let expiresAt: Timestamp

  package init(bodyHash: [UInt8], status: Int, sealedBody: [UInt8], expiresAt: Timestamp) {
    self.bodyHash = bodyHash
    self.status = status
    self.sealedBody = sealedBody
    self.expiresAt = expiresAt
  }
}

package protocol IdempotencyTable {
  /// The record of this scope, unless it expired before `now`. Waits for another transaction that asked for the same
  /// scope; throws `conflict(.idempotencyKey)` when that takes too long.
  func find(_ scope: IdempotencyScope, at now: Timestamp) throws -> IdempotencyRecord?
  /// Saves the record, replacing one that expired before `now`. Throws `conflict(.idempotencyKey)` when one is in force.
  func insert(_ record: IdempotencyRecord, for scope: IdempotencyScope, at now: Timestamp) throws
  func forget(expiredBefore now: Timestamp, limit: Int) throws -> Int
}
