/// A table whose rows are facts, by its name in every engine, in the order in which tables are copied: what others refer
/// to comes first. What an engine keeps beside them to find or to count them, it makes anew.
package enum CopiedTable: String, CaseIterable, Sendable {
  case installation
  case merchants
  case apiKeys = "api_keys"
  case locations
  case paymentMethods = "payment_methods"
  case webhooks
  case enrollments
  case devices
  case proofs
  case sessions
  case payments
  case simulatedCharges = "simulated_charges"
  case simulatedMovements = "simulated_movements"
  case orders
  case orderMovements = "order_movements"
  case events
  case callbackDeliveries = "callback_deliveries"
  case callbackChains = "callback_chains"
  case callbackAttempts = "callback_attempts"
  case idempotency
  case budgets

  /// By what its rows are ordered: unique, never NULL, and an index in every engine.
  package var key: [String] {
    switch self {
    case .installation: ["name"]
    case .merchants: ["id"]
    case .events: ["merchant_id", "position"]
    case .apiKeys, .locations, .paymentMethods, .webhooks, .enrollments, .devices, .sessions, .payments, .orders,
      .orderMovements, .callbackDeliveries:
      ["merchant_id", "id"]
    case .proofs: ["device_id", "proof_hash"]
    case .simulatedCharges: ["payment_id"]
    case .simulatedMovements: ["payment_id", "id"]
    case .callbackChains: ["merchant_id", "webhook_id", "subject_id"]
    case .callbackAttempts: ["merchant_id", "delivery_id", "number"]
    case .idempotency: ["merchant_id", "operation", "key"]
    case .budgets: ["scope", "window_start"]
    }
  }

  /// Which rows are facts of the installation, in words of every engine. What an engine notes of itself is not.
  package var condition: String {
    switch self {
    case .installation: "name NOT IN ('\(InstallationFact.writeProbe.rawValue)', 'cluster')"
    default: "true"
    }
  }

  /// The table in which a database notes that a copy into it has not finished. As long as it is there, no store opens the
  /// database.
  package static let unfinishedMark = "kassa_copy"

  /// Why a store does not open such a database.
  package static func isUnfinished(_ database: String) -> StoreError {
    .unusable(
      OperatorDetail(
        "a copy into \(database) has not finished: run the same kassa copy again, or begin anew with an empty database")
    )
  }
}

/// One value of a row, in a form that is the same in every engine.
package enum CopyValue: Equatable, Sendable {
  case null
  /// Also a truth value: 1 or 0.
  case integer(Int64)
  /// UTF-8, as it is stored.
  case text([UInt8])
  /// Also an identifier, with its 16 bytes.
  case bytes([UInt8])
}

/// One of the two databases of a copy, opened for it alone: nobody else writes to it meanwhile. Every call blocks.
/// For one thread at a time. Each call throws `StoreError`.
package protocol CopyEnd {
  /// The names of a table's columns that are facts, in alphabetical order.
  func columns(of table: CopiedTable) throws -> [String]

  func count(_ table: CopiedTable) throws -> Int64

  /// Up to `limit` rows that follow the one with the key `after`, in the order of the key, which is that of bytes.
  func rows(
    of table: CopiedTable, _ columns: [String], after: [CopyValue]?, limit: Int
  ) throws -> [[CopyValue]]

  /// The key of the last row.
  func lastKey(of table: CopiedTable) throws -> [CopyValue]?

  /// How many rows of each table the source of a copy into this database had that has not finished; `nil` when there is
  /// none.
  func unfinishedCopy() throws -> [String: Int64]?

  /// Marks this database as one into which a copy is under way, and takes the facts from it that opening it left.
  func beginCopy(_ rows: [String: Int64]) throws

  /// Writes rows in one commit: all or none.
  func insert(_ rows: [[CopyValue]], into table: CopiedTable, _ columns: [String]) throws

  /// Makes what is kept beside the facts, and takes the mark away, in one commit.
  func finishCopy() throws

  func close()
}
