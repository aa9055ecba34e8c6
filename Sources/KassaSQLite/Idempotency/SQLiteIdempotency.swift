import KassaDomain
import KassaStore

struct SQLiteIdempotency: IdempotencyTable {
  let connection: SQLiteConnection

  func find(_ scope: IdempotencyScope, at now: Timestamp) throws -> IdempotencyRecord? {
    try connection.first(
      """
      SELECT body_hash, status, sealed_body, expires_at FROM idempotency
      WHERE merchant_id = ? AND operation = ? AND key = ? AND expires_at > ?
      """,
      .id(scope.merchantID), .text(scope.operation), .text(scope.key), .time(now)
    ) {
      IdempotencyRecord(
        bodyHash: $0.blob(0), status: Int($0.integer(1)), sealedBody: $0.blob(2), expiresAt: $0.time(3))
    }
  }

  func insert(_ record: IdempotencyRecord, for scope: IdempotencyScope, at now: Timestamp) throws {
    let inserted = try connection.run(
      """
      INSERT INTO idempotency (merchant_id, operation, key, body_hash, status, sealed_body, expires_at)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (merchant_id, operation, key) DO UPDATE SET body_hash = excluded.body_hash,
      status = excluded.status, sealed_body = excluded.sealed_body, expires_at = excluded.expires_at
      WHERE expires_at <= ?
      """,
      .id(scope.merchantID), .text(scope.operation), .text(scope.key), .blob(record.bodyHash),
      .integer(Int64(record.status)), .blob(record.sealedBody), .time(record.expiresAt), .time(now))
    if inserted == 0 { throw StoreError.conflict(.idempotencyKey) }
  }

  func forget(expiredBefore now: Timestamp, limit: Int) throws -> Int {
    try connection.run(
      """
      DELETE FROM idempotency WHERE (merchant_id, operation, key) IN
      (SELECT merchant_id, operation, key FROM idempotency WHERE expires_at <= ? LIMIT ?)
      """,
      .time(now), .integer(Int64(limit)))
  }
}
