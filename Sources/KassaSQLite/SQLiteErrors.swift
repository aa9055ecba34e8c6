import GRDB
import GRDBSQLite
import KassaStore

/// SQLite's failures as the port's closed cases, in one place.
enum SQLiteErrors {
  static func last(of database: Database) -> StoreError {
    let connection = database.sqliteConnection
    return mapped(
      code: sqlite3_extended_errcode(connection), message: sqlite3_errmsg(connection).map { String(cString: $0) } ?? "")
  }

  /// Leaves a `StoreError` as it is.
  static func mapped(_ error: any Error) -> StoreError {
    switch error {
    case let error as StoreError: error
    case let error as DatabaseError:
      mapped(code: error.extendedResultCode.rawValue, message: error.message ?? "")
    default: .unavailable(OperatorDetail("SQLite: \(error)"))
    }
  }

  private static func mapped(code: Int32, message: String) -> StoreError {
    switch ResultCode(rawValue: code) {
    case .SQLITE_CONSTRAINT_UNIQUE, .SQLITE_CONSTRAINT_PRIMARYKEY, .SQLITE_CONSTRAINT_ROWID:
      return .conflict(constraint(message))
    default: break
    }
    let detail = OperatorDetail("SQLite error \(code): \(message)")
    switch code & 0xff {
    case SQLITE_CORRUPT, SQLITE_NOTADB, SQLITE_MISMATCH, SQLITE_CONSTRAINT: return .unusable(detail)
    default: return .unavailable(detail)
    }
  }

  /// SQLite names the columns of the violated index: `UNIQUE constraint failed: table.column, …`.
  private static func constraint(_ message: String) -> StoreConstraint {
    let constraints: [(columns: String, constraint: StoreConstraint)] = [
      ("api_keys.hash", .apiKeyHash),
      ("enrollments.code_hash", .enrollmentCode),
      ("enrollments.token_hash", .enrollmentToken),
      ("devices.enrollment_id", .deviceOfEnrollment),
      ("devices.token_hash", .deviceToken),
      ("idempotency.", .idempotencyKey),
      ("events.", .eventSequence),
      ("sessions.device_id", .activeSessionOfDevice),
      ("payment_methods.provider", .identifier),
      ("payment_methods.method", .currentPaymentMethod),
    ]
    return constraints.first { message.contains($0.columns) }?.constraint ?? .identifier
  }
}
