import KassaDomain
import KassaStore
import KassaStoreText

struct PostgresSessions: SessionTable {
  let session: PostgresSession
  private static let columnNames = [
    "id", "merchant_id", "device_id", "location_id", "order_amount", "currency", "content", "merchant_reference1",
    "created_at", "expires_at", "status", "payment_id", "phase", "ending", "order_id", "failure_reason", "version",
    "sequence", "failed_attempts", "pushed_at", "fetched_at", "shown_at",
  ]
  private static let columns = columnNames.joined(separator: ", ")
  private static let listedColumns = columnNames.map { "t.\($0)" }.joined(separator: ", ")

  func insert(_ session: Session) throws {
    try self.session.run(
      """
      INSERT INTO sessions (id, merchant_id, device_id, location_id, order_amount, currency, content,
      merchant_reference1, created_at, expires_at, status, version, sequence, failed_attempts)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
      """,
      .id(session.id), .id(session.merchantID), .id(session.deviceID), .id(session.locationID),
      .integer(session.cart.orderAmount), .text(session.cart.currency.code),
      .text(SessionContentText.encoded(session)), .text(session.details.merchantReference1),
      .time(session.createdAt), .time(session.expiresAt), .text(session.state.name.rawValue),
      .integer(session.version), .integer(session.sequence), .integer(Int64(session.failedAttempts)))
    let totals = Totals(session: self.session)
    for label in ["", Self.label(session.deviceID), Self.label(session.state.name)]
      + (session.details.merchantReference1.map { [Self.label($0)] } ?? [])
    {
      totals.add(1, .sessions, of: session.merchantID.bytes, label: label)
    }
    if let location = session.locationID {
      totals.add(1, .sessions, of: session.merchantID.bytes, at: location.bytes)
    }
  }

  func find(_ id: SessionID, of merchant: MerchantID) throws -> Session? {
    try session.first(
      """
      SELECT \(Self.columns) FROM sessions
      WHERE merchant_id = $1 AND id = $2\(session.locking("FOR NO KEY UPDATE"))
      """,
      .id(merchant), .id(id)
    ) { try Self.session($0) }
  }

  func page(of merchant: MerchantID, _ filter: SessionFilter, _ page: PageRequest) throws -> Page<Session> {
    var query = Lists.Query(table: "sessions", columns: Self.listedColumns, merchant: merchant)
    query.total = (.sessions, Totals.anywhere, [""])
    if let location = filter.locationID {
      query.equals.append(("location_id", .id(location)))
      query.total = (.sessions, location.bytes, [""])
    }
    if let device = filter.deviceID {
      query.equals.append(("device_id", .id(device)))
      query.total = (.sessions, Totals.anywhere, [Self.label(device)])
    }
    if let status = filter.status {
      query.equals.append(("status", .text(status.rawValue)))
      query.total = (.sessions, Totals.anywhere, [Self.label(status)])
    }
    if let reference = filter.merchantReference1 {
      query.equals.append(("merchant_reference1", .text(reference)))
      query.total = (.sessions, Totals.anywhere, [Self.label(reference)])
    }
    if query.equals.count > 1 { query.total = nil }
    return try Lists(session: session).page(query, page) { try Self.session($0, from: 2) }
  }

  func line(of device: DeviceID, merchant: MerchantID, limit: Int) throws -> [Session] {
    try session.all(
      """
      SELECT \(Self.columns) FROM sessions
      WHERE device_id = $1 AND merchant_id = $2 AND status IN ('CREATED', 'ACTIVE') ORDER BY created_at, id
      LIMIT $3\(session.locking("FOR NO KEY UPDATE"))
      """,
      .id(device), .id(merchant), .integer(Int64(limit))
    ) { try Self.session($0) }
  }

  func due(at now: Timestamp, limit: Int) throws -> [Session] {
    try session.all(
      """
      SELECT \(Self.columns) FROM sessions WHERE status IN ('CREATED', 'ACTIVE') AND expires_at <= $1
      AND (ending IS NULL OR ending NOT IN ($2, $3)) ORDER BY expires_at
      LIMIT $4\(session.locking("FOR NO KEY UPDATE SKIP LOCKED"))
      """,
      .time(now), .text(Session.Ending.expired.rawValue), .text(Session.Ending.cancelled.rawValue),
      .integer(Int64(limit))
    ) { try Self.session($0) }
  }

  func save(_ session: Session, expecting version: Int64) throws -> Bool {
    let columns = StateColumns(session.state)
    let before = try self.session.changed(
      """
      UPDATE sessions AS t SET status = $1, payment_id = $2, phase = $3, ending = $4, order_id = $5,
      failure_reason = $6, version = $7, sequence = $8, failed_attempts = $9
      FROM (SELECT merchant_id, id, status FROM sessions WHERE merchant_id = $10 AND id = $11 AND version = $12
      FOR NO KEY UPDATE) AS before
      WHERE t.merchant_id = before.merchant_id AND t.id = before.id RETURNING before.status
      """,
      [
        .text(session.state.name.rawValue), .id(columns.payment), .text(columns.phase), .text(columns.ending),
        .id(columns.order), .text(columns.failureReason), .integer(session.version), .integer(session.sequence),
        .integer(Int64(session.failedAttempts)), .id(session.merchantID), .id(session.id), .integer(version),
      ]
    ) { $0.text(0) }
    guard let before else { return false }
    if let status = Session.StateName(rawValue: before), status != session.state.name {
      let totals = Totals(session: self.session)
      totals.add(-1, .sessions, of: session.merchantID.bytes, label: Self.label(status))
      totals.add(1, .sessions, of: session.merchantID.bytes, label: Self.label(session.state.name))
    }
    return true
  }

  func note(_ step: DeliveryStep, of id: SessionID, merchant: MerchantID, at now: Timestamp) throws -> Bool {
    try session.change(
      """
      UPDATE sessions SET \(step.rawValue)_at = $1
      WHERE merchant_id = $2 AND id = $3 AND \(step.rawValue)_at IS NULL
      """,
      .time(now), .id(merchant), .id(id)) == 1
  }

  private static func label(_ device: DeviceID) -> String { "device:\(device)" }
  private static func label(_ status: Session.StateName) -> String { "status:\(status.rawValue)" }
  private static func label(_ reference: String) -> String { "reference:\(reference)" }

  private static func session(_ row: PostgresRow, from start: Int32 = 0) throws -> Session {
    let content = try SessionContentText.decoded(row.text(start + 6))
    guard let currency = Currency(code: row.text(start + 5)) else {
      throw StoreError.unusable(OperatorDetail("a session has the unknown currency \(row.text(start + 5))"))
    }
    return Session(
      restoring: try row.id(start), merchantID: try row.id(start + 1), deviceID: try row.id(start + 2),
      locationID: try row.optionalID(start + 3),
      cart: Cart(
        restoring: row.integer(start + 4), currency: currency, lines: content.lines,
        orderTaxAmount: content.orderTaxAmount),
      details: Session.Details(
        purchaseStartedAt: content.purchaseStartedAt, purchaseCompletedAt: content.purchaseCompletedAt,
        merchantReference1: row.optionalText(start + 7), merchantReference2: content.merchantReference2,
        merchantData: content.merchantData),
      createdAt: row.time(start + 8), expiresAt: row.time(start + 9),
      state: try StateColumns.state(row, from: start), version: row.integer(start + 16),
      sequence: row.integer(start + 17), failedAttempts: Int(row.integer(start + 18)),
      delivery: Session.Delivery(
        pushedAt: row.optionalTime(start + 19), fetchedAt: row.optionalTime(start + 20),
        shownAt: row.optionalTime(start + 21)))
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

  static func state(_ row: PostgresRow, from start: Int32) throws -> Session.State {
    switch Session.StateName(rawValue: row.text(start + 10)) {
    case .created: return .created
    case .active:
      guard let phase = row.optionalText(start + 12) else { return .active(nil) }
      return .active(
        Session.Attempt(
          payment: try row.id(start + 11), phase: try self.phase(phase, row.optionalText(start + 13))))
    case .finalized: return .finalized(payment: try row.id(start + 11), order: try row.id(start + 14))
    case .cancelled: return .cancelled
    case .expired: return .expired
    case .failed: return .failed(Session.FailureReason(rawValue: row.text(start + 15)) ?? .outcomeUnknown)
    case nil: throw StoreError.unusable(OperatorDetail("a session has the unknown status \(row.text(start + 10))"))
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
