import KassaDomain
import KassaStore

struct PostgresIdempotency: IdempotencyTable {
  let session: PostgresSession

  /// A second request with this key waits here until the first is committed, and then finds its record; but not for long.
  func find(_ scope: IdempotencyScope, at now: Timestamp) throws -> IdempotencyRecord? {
    let name = scope.merchantID.bytes + Array(scope.operation.utf8) + [0] + Array(scope.key.utf8)
    try session.lock(.idempotencyKey, name)
    do {
      return try session.first(
        """
        SELECT body_hash, status, sealed_body, expires_at FROM idempotency
        WHERE merchant_id = $1 AND operation = $2 AND key = $3 AND expires_at > $4
        """,
        .id(scope.merchantID), .text(scope.operation), .text(scope.key), .time(now)
      ) {
        IdempotencyRecord(
          bodyHash: $0.bytes(0), status: Int($0.integer(1)), sealedBody: $0.bytes(2), expiresAt: $0.time(3))
      }
    } catch {
      if session.isPatient, session.failure?.isLockTimeout == true { throw StoreError.conflict(.idempotencyKey) }
      throw error
    }
  }

  func insert(_ record: IdempotencyRecord, for scope: IdempotencyScope, at now: Timestamp) throws {
    try session.run(
      """
      WITH expired AS (DELETE FROM idempotency
      WHERE merchant_id = $1 AND operation = $2 AND key = $3 AND expires_at <= $8 RETURNING 1)
      INSERT INTO idempotency (merchant_id, operation, key, body_hash, status, sealed_body, expires_at)
      SELECT $1, $2, $3, $4::bytea, $5::bigint, $6::bytea, $7::bigint FROM (SELECT count(*) FROM expired) AS gone
      """,
      .id(scope.merchantID), .text(scope.operation), .text(scope.key), .bytes(record.bodyHash),
      .integer(Int64(record.status)), .bytes(record.sealedBody), .time(record.expiresAt), .time(now))
  }

  func forget(expiredBefore now: Timestamp, limit: Int) throws -> Int {
    try session.change(
      """
      DELETE FROM idempotency WHERE (merchant_id, operation, key) IN
      (SELECT merchant_id, operation, key FROM idempotency WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
      """,
      .time(now), .integer(Int64(limit)))
  }
}
