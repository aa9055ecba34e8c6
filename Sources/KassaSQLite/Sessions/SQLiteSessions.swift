import KassaDomain
import KassaStore
import KassaStoreText

struct SQLiteSessions: SessionTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, device_id, location_id, order_amount, currency, content, merchant_reference1, created_at,
    expires_at, status, payment_id, phase, ending, order_id, failure_reason, version, sequence, failed_attempts,
    pushed_at, fetched_at, shown_at
    """

  func insert(_ session: Session) throws {
    let rowID = try connection.first(
      """
      INSERT INTO sessions (id, merchant_id, device_id, location_id, order_amount, currency, content,
      merchant_reference1, created_at, expires_at, status, version, sequence, failed_attempts)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row_id
      """,
      .id(session.id), .id(session.merchantID), .id(session.deviceID), .id(session.locationID),
      .integer(session.cart.orderAmount), .text(session.cart.currency.code),
      .text(SessionContentText.encoded(session)), .text(session.details.merchantReference1),
      .time(session.createdAt), .time(session.expiresAt), .text(session.state.name.rawValue),
      .integer(session.version), .integer(session.sequence), .integer(Int64(session.failedAttempts))
    ) { $0.integer(0) }
    try Listings(connection: connection).add(listed(session, rowID: rowID ?? 0), to: .sessions)
  }

  /// Enters a row that was copied into the lists.
  func list(rowID: Int64) throws {
    let copied = try connection.first(
      "SELECT \(Self.columns) FROM sessions WHERE row_id = ?", .integer(rowID), read: Self.session)
    if let copied { try Listings(connection: connection).add(listed(copied, rowID: rowID), to: .sessions) }
  }

  func find(_ id: SessionID, of merchant: MerchantID) throws -> Session? {
    try connection.first(
      "SELECT \(Self.columns) FROM sessions WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id),
      read: Self.session)
  }

  func page(of merchant: MerchantID, _ filter: SessionFilter, _ page: PageRequest) throws -> Page<Session> {
    let labels = [
      filter.deviceID.map(Self.label), filter.status.map(Self.label), filter.merchantReference1.map(Self.label),
    ].compactMap { $0 }
    return try Listings(connection: connection).page(
      .sessions, of: merchant, location: filter.locationID, labels: labels, page,
      columns: Self.columns, from: "sessions", read: Self.session)
  }

  func line(of device: DeviceID, merchant: MerchantID, limit: Int) throws -> [Session] {
    try connection.all(
      """
      SELECT \(Self.columns) FROM sessions
      WHERE device_id = ? AND merchant_id = ? AND status IN ('CREATED', 'ACTIVE') ORDER BY created_at, id LIMIT ?
      """,
      .id(device), .id(merchant), .integer(Int64(limit)), read: Self.session)
  }

  func due(at now: Timestamp, limit: Int) throws -> [Session] {
    try connection.all(
      """
      SELECT \(Self.columns) FROM sessions WHERE status IN ('CREATED', 'ACTIVE') AND expires_at <= ?
      AND (ending IS NULL OR ending NOT IN (?, ?)) ORDER BY expires_at LIMIT ?
      """,
      .time(now), .text(Session.Ending.expired.rawValue), .text(Session.Ending.cancelled.rawValue),
      .integer(Int64(limit)), read: Self.session)
  }

  func save(_ session: Session, expecting version: Int64) throws -> Bool {
    let columns = StateColumns(session.state)
    let before = try connection.first(
      "SELECT row_id, status FROM sessions WHERE merchant_id = ? AND id = ? AND version = ?",
      .id(session.merchantID), .id(session.id), .integer(version)
    ) { (rowID: $0.integer(0), status: $0.text(1)) }
    guard let before else { return false }
    try connection.run(
      """
      UPDATE sessions SET status = ?, payment_id = ?, phase = ?, ending = ?, order_id = ?, failure_reason = ?,
      version = ?, sequence = ?, failed_attempts = ? WHERE row_id = ? AND version = ?
      """,
      .text(session.state.name.rawValue), .id(columns.payment), .text(columns.phase), .text(columns.ending),
      .id(columns.order), .text(columns.failureReason), .integer(session.version), .integer(session.sequence),
      .integer(Int64(session.failedAttempts)), .integer(before.rowID), .integer(version))
    if let status = Session.StateName(rawValue: before.status), status != session.state.name {
      try Listings(connection: connection).relabel(
        listed(session, rowID: before.rowID), in: .sessions, from: Self.label(status),
        to: Self.label(session.state.name))
    }
    return true
  }

  func note(_ step: DeliveryStep, of id: SessionID, merchant: MerchantID, at now: Timestamp) throws -> Bool {
    try connection.run(
      """
      UPDATE sessions SET \(step.rawValue)_at = ?
      WHERE merchant_id = ? AND id = ? AND \(step.rawValue)_at IS NULL
      """,
      .time(now), .id(merchant), .id(id)) == 1
  }

  private func listed(_ session: Session, rowID: Int64) -> Listings.Element {
    Listings.Element(
      merchantID: session.merchantID, locationID: session.locationID,
      labels: [Self.label(session.deviceID), Self.label(session.state.name)]
        + (session.details.merchantReference1.map { [Self.label($0)] } ?? []),
      position: PagePosition(createdAt: session.createdAt, id: session.id.of(EventSubject.self)), rowID: rowID)
  }

  private static func label(_ device: DeviceID) -> String { "device:\(device)" }
  private static func label(_ status: Session.StateName) -> String { "status:\(status.rawValue)" }
  private static func label(_ reference: String) -> String { "reference:\(reference)" }

  private static func session(_ row: SQLRow) throws -> Session {
    let content = try SessionContentText.decoded(row.text(6))
    guard let currency = Currency(code: row.text(5)) else {
      throw StoreError.unusable(OperatorDetail("a session has the unknown currency \(row.text(5))"))
    }
    return Session(
      restoring: try row.id(0), merchantID: try row.id(1), deviceID: try row.id(2),
      locationID: try row.optionalID(3),
      cart: Cart(
        restoring: row.integer(4), currency: currency, lines: content.lines, orderTaxAmount: content.orderTaxAmount),
      details: Session.Details(
        purchaseStartedAt: content.purchaseStartedAt, purchaseCompletedAt: content.purchaseCompletedAt,
        merchantReference1: row.optionalText(7), merchantReference2: content.merchantReference2,
        merchantData: content.merchantData),
      createdAt: row.time(8), expiresAt: row.time(9), state: try StateColumns.state(row),
      version: row.integer(16), sequence: row.integer(17), failedAttempts: Int(row.integer(18)),
      delivery: Session.Delivery(
        pushedAt: row.optionalTime(19), fetchedAt: row.optionalTime(20), shownAt: row.optionalTime(21)))
  }
}

/// A session's state as columns.
private struct StateColumns {
  var payment: PaymentID?
  var phase: String?
  var ending: String?
  var order: OrderID?
  var failureReason: String?

  init(_ state: Session.State) {
    switch state {
    case .created, .active(nil), .cancelled, .expired: break
    case .active(.some(let attempt)):
      payment = attempt.payment
      ending = attempt.phase.wantedEnding?.rawValue
      switch attempt.phase {
      case .starting: phase = "starting"
      case .awaiting: phase = "awaiting"
      case .settling: phase = "settling"
      case .unresolved: phase = "unresolved"
      case .cancelling: phase = "cancelling"
      }
    case .finalized(let payment, let order):
      self.payment = payment
      self.order = order
    case .failed(let reason): failureReason = reason.rawValue
    }
  }

  static func state(_ row: SQLRow) throws -> Session.State {
    switch Session.StateName(rawValue: row.text(10)) {
    case .created: return .created
    case .active:
      guard let phase = row.optionalText(12) else { return .active(nil) }
      return .active(Session.Attempt(payment: try row.id(11), phase: try self.phase(phase, row.optionalText(13))))
    case .finalized: return .finalized(payment: try row.id(11), order: try row.id(14))
    case .cancelled: return .cancelled
    case .expired: return .expired
    case .failed: return .failed(Session.FailureReason(rawValue: row.text(15)) ?? .outcomeUnknown)
    case nil: throw StoreError.unusable(OperatorDetail("a session has the unknown status \(row.text(10))"))
    }
  }

  private static func phase(_ phase: String, _ ending: String?) throws -> Session.Phase {
    let ending = ending.flatMap(Session.Ending.init)
    switch (phase, ending) {
    case ("starting", _): return .starting
    case ("awaiting", _): return .awaiting
    case ("settling", _): return .settling
    case ("unresolved", let ending): return .unresolved(ending)
    case ("cancelling", .some(let ending)): return .cancelling(ending)
    default: throw StoreError.unusable(OperatorDetail("a session has the unknown phase \(phase)"))
    }
  }
}
