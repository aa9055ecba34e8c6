import KassaDomain

/// Whose attempts are counted together.
package enum BudgetScope: Hashable, Sendable {
  /// The whole deployment.
  case deployment
  /// One source address (for IPv6 its /64 network), in a canonical spelling.
  case source(String)
}

package protocol BudgetReads {
  /// Attempts taken in the window that starts at `windowStart`.
  func used(_ scope: BudgetScope, windowStart: Timestamp) throws -> Int64
}

package protocol BudgetTable: BudgetReads {
  /// Takes one attempt of the window if fewer than `limit` are taken. Returns whether it was there to take. However many
  /// race, never more than `limit` are taken at once.
  func take(_ scope: BudgetScope, windowStart: Timestamp, windowEnd: Timestamp, limit: Int64) throws -> Bool
  /// Gives back one attempt taken in the same body.
  func giveBack(_ scope: BudgetScope, windowStart: Timestamp) throws
  /// Forgets windows that ended before `now`. Returns how many.
  func forget(endedBefore now: Timestamp, limit: Int) throws -> Int
}

/// The proofs of possession already seen (RFC 9449, section 11.1).
package protocol ProofTable {
  /// Notes the proof. Returns `false` when the device already showed it.
  func note(_ proofHash: [UInt8], of device: DeviceID, expiresAt: Timestamp) throws -> Bool
  func forget(expiredBefore now: Timestamp, limit: Int) throws -> Int
}
