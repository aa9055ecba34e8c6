import KassaDomain
import KassaStore

struct PostgresBudgets: BudgetTable {
  let session: PostgresSession

  func used(_ scope: BudgetScope, windowStart: Timestamp) throws -> Int64 {
    try session.first(
      "SELECT used FROM budgets WHERE scope = $1 AND window_start = $2", Self.name(scope), .time(windowStart)
    ) { $0.integer(0) } ?? 0
  }

  func take(_ scope: BudgetScope, windowStart: Timestamp, windowEnd: Timestamp, limit: Int64) throws -> Bool {
    guard limit > 0 else { return false }
    return try session.change(
      """
      INSERT INTO budgets (scope, window_start, window_end, used) VALUES ($1, $2, $3, 1)
      ON CONFLICT (scope, window_start) DO UPDATE SET used = budgets.used + 1 WHERE budgets.used < $4
      """,
      Self.name(scope), .time(windowStart), .time(windowEnd), .integer(limit)) == 1
  }

  func giveBack(_ scope: BudgetScope, windowStart: Timestamp) throws {
    try session.run(
      "UPDATE budgets SET used = used - 1 WHERE scope = $1 AND window_start = $2", Self.name(scope), .time(windowStart))
  }

  func forget(endedBefore now: Timestamp, limit: Int) throws -> Int {
    try session.change(
      """
      DELETE FROM budgets WHERE (scope, window_start) IN
      (SELECT scope, window_start FROM budgets WHERE window_end <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
      """,
      .time(now), .integer(Int64(limit)))
  }

  private static func name(_ scope: BudgetScope) -> PostgresValue {
    switch scope {
    case .deployment: .text("deployment")
    case .source(let address): .text("source:\(address)")
    }
  }
}

struct PostgresProofs: ProofTable {
  let session: PostgresSession

  func note(_ proofHash: [UInt8], of device: DeviceID, expiresAt: Timestamp) throws -> Bool {
    try session.change(
      "INSERT INTO proofs (device_id, proof_hash, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
      .id(device), .bytes(proofHash), .time(expiresAt)) == 1
  }

  func forget(expiredBefore now: Timestamp, limit: Int) throws -> Int {
    try session.change(
      """
      DELETE FROM proofs WHERE (device_id, proof_hash) IN
      (SELECT device_id, proof_hash FROM proofs WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
      """,
      .time(now), .integer(Int64(limit)))
  }
}
