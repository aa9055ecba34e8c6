import KassaDomain
import KassaStore

struct SQLiteBudgets: BudgetTable {
  let connection: SQLiteConnection

  func used(_ scope: BudgetScope, windowStart: Timestamp) throws -> Int64 {
    try connection.first(
      "SELECT used FROM budgets WHERE scope = ? AND window_start = ?", Self.name(scope), .time(windowStart)
    ) { $0.integer(0) } ?? 0
  }

  func take(_ scope: BudgetScope, windowStart: Timestamp, windowEnd: Timestamp, limit: Int64) throws -> Bool {
    guard limit > 0 else { return false }
    return try connection.run(
      """
      INSERT INTO budgets (scope, window_start, window_end, used) VALUES (?, ?, ?, 1)
      ON CONFLICT (scope, window_start) DO UPDATE SET used = used + 1 WHERE used < ?
      """,
      Self.name(scope), .time(windowStart), .time(windowEnd), .integer(limit)) == 1
  }

  func giveBack(_ scope: BudgetScope, windowStart: Timestamp) throws {
    try connection.run(
      "UPDATE budgets SET used = used - 1 WHERE scope = ? AND window_start = ?", Self.name(scope), .time(windowStart))
  }

  func forget(endedBefore now: Timestamp, limit: Int) throws -> Int {
    try connection.run(
      """
      DELETE FROM budgets WHERE (scope, window_start) IN
      (SELECT scope, window_start FROM budgets WHERE window_end <= ? LIMIT ?)
      """,
      .time(now), .integer(Int64(limit)))
  }

  private static func name(_ scope: BudgetScope) -> SQLValue {
    switch scope {
    case .deployment: .text("deployment")
    case .source(let address): .text("source:\(address)")
    }
  }
}

struct SQLiteProofs: ProofTable {
  let connection: SQLiteConnection

  func note(_ proofHash: [UInt8], of device: DeviceID, expiresAt: Timestamp) throws -> Bool {
    try connection.run(
      "INSERT INTO proofs (device_id, proof_hash, expires_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
      .id(device), .blob(proofHash), .time(expiresAt)) == 1
  }

  func forget(expiredBefore now: Timestamp, limit: Int) throws -> Int {
    try connection.run(
      """
      DELETE FROM proofs WHERE (device_id, proof_hash) IN
      (SELECT device_id, proof_hash FROM proofs WHERE expires_at <= ? LIMIT ?)
      """,
      .time(now), .integer(Int64(limit)))
  }
}
