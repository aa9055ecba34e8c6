import KassaStore

/// A statement that failed, or a connection that was lost.
struct PostgresFailure: Error {
  /// Five characters of the SQL standard; empty when the connection was lost without a word from the server.
  let sqlState: String
  let message: String
  let constraint: String?
  /// The number of the body whose statement it was; `nil` for a statement of the writer's own.
  let body: Int?
  /// Whether the last statement on its way may have been run. It was not where the server said so in place of an answer
  /// before.
  var mayHaveRunLast = true

  /// The connection cannot be used any more.
  var isLost: Bool { sqlState.isEmpty || sqlState.hasPrefix("08") || sqlState.hasPrefix("57P") }
  /// The server serves reads only: it became a standby.
  var isReadOnly: Bool { sqlState == "25006" }
  var isLockTimeout: Bool { sqlState == "55P03" }
  /// Nothing is wrong with the body: it met others, and may be run again.
  var isCollision: Bool { ["40001", "40P01", "55P03"].contains(sqlState) || isOfPosition }
  /// An older transaction found no place behind a subject's event of a younger one: a new transaction has places of its own.
  private var isOfPosition: Bool { sqlState == "23505" && constraint == "events_position" }

  /// A statement that this connection has prepared is not there, or one that it has not prepared is.
  var isOfSharedSession: Bool { ["42P05", "26000"].contains(sqlState) }

  static func lost(_ message: String) -> PostgresFailure {
    PostgresFailure(sqlState: "", message: message, constraint: nil, body: nil)
  }

  /// The failure as one of the port's closed cases: the one place where SQLSTATE is mapped.
  var storeError: StoreError {
    if sqlState == "23505", !isOfPosition {
      return .conflict(Self.constraints.first { $0.name == constraint }?.constraint ?? .identifier)
    }
    // Nothing else is divided by.
    if sqlState == "22012" { return .conflict(.apiKeyInForce) }
    let detail = OperatorDetail("PostgreSQL \(sqlState.isEmpty ? "connection" : sqlState): \(message)")
    if isLost || isReadOnly || isCollision { return .unavailable(detail) }
    if isOfSharedSession {
      return .unusable(
        OperatorDetail(
          "a pooler gives the sessions of this connection to others: it must keep a session to its client "
            + "(PgBouncer: pool_mode = session); PostgreSQL \(sqlState): \(message)"))
    }
    switch sqlState.prefix(2) {
    // Authorization and databases that are not there: an operator may mend them while we wait. Then lack of resources,
    // a statement that was ended from outside, and the server's own states.
    case "28", "3D", "53", "57", "58", "55": return .unavailable(detail)
    default: return .unusable(detail)
    }
  }

  private static let constraints: [(name: String, constraint: StoreConstraint)] = [
    ("api_keys_hash", .apiKeyHash),
    ("enrollments_code", .enrollmentCode),
    ("enrollments_token", .enrollmentToken),
    ("devices_enrollment", .deviceOfEnrollment),
    ("devices_token", .deviceToken),
    ("idempotency_key", .idempotencyKey),
    ("events_sequence", .eventSequence),
    ("sessions_active_of_device", .activeSessionOfDevice),
    ("payment_methods_current", .currentPaymentMethod),
  ]
}
