import KassaDomain
import KassaStore
import KassaStoreText

struct PostgresEnrollments: EnrollmentTable {
  let session: PostgresSession
  private static let columns = """
    id, merchant_id, location_id, metadata, created_at, expires_at, status, version, device_id, typed_symbols,
    code_hash, token_hash, sealed_code
    """
  /// The same, of the table's alias in a list.
  private static let listedColumns = """
    t.id, t.merchant_id, t.location_id, t.metadata, t.created_at, t.expires_at, t.status, t.version, t.device_id,
    t.typed_symbols, t.code_hash, t.token_hash, t.sealed_code
    """

  func insert(_ enrollment: Enrollment) throws {
    guard case .pending(let code) = enrollment.state else {
      preconditionFailure("a new enrollment is PENDING")
    }
    try session.run(
      """
      INSERT INTO enrollments (\(Self.columns))
      VALUES ($1, $2, $3, $4, $5, $6, 'PENDING', $7, NULL, $8, $9, $10, $11)
      """,
      .id(enrollment.id), .id(enrollment.merchantID), .id(enrollment.locationID),
      .text(MetadataText.encoded(enrollment.metadata)), .time(enrollment.createdAt), .time(enrollment.expiresAt),
      .integer(enrollment.version), .integer(Int64(code.typedSymbols)), .bytes(code.codeHash), .bytes(code.tokenHash),
      .bytes(code.sealed))
    try MetadataListings(session: session).add(listed(enrollment), to: [.enrollments, .unconsumedEnrollments])
    countLive(Int64(code.typedSymbols), by: 1)
  }

  func find(_ id: EnrollmentID, of merchant: MerchantID) throws -> Enrollment? {
    try session.first(
      """
      SELECT \(Self.columns) FROM enrollments
      WHERE merchant_id = $1 AND id = $2\(session.locking("FOR NO KEY UPDATE"))
      """,
      .id(merchant), .id(id)
    ) { try Self.enrollment($0) }
  }

  func findPending(codeHash: [UInt8]) throws -> Enrollment? {
    try session.first(
      "SELECT \(Self.columns) FROM enrollments WHERE code_hash = $1\(session.locking("FOR NO KEY UPDATE"))",
      .bytes(codeHash)
    ) { try Self.enrollment($0) }
  }

  func findPending(tokenHash: [UInt8]) throws -> Enrollment? {
    try session.first(
      "SELECT \(Self.columns) FROM enrollments WHERE token_hash = $1\(session.locking("FOR NO KEY UPDATE"))",
      .bytes(tokenHash)
    ) { try Self.enrollment($0) }
  }

  func page(of merchant: MerchantID, _ filter: EnrollmentFilter, _ page: PageRequest) throws -> Page<Enrollment> {
    let kind: TotalKind = filter.includesConsumed ? .enrollments : .unconsumedEnrollments
    let labels = filter.metadata.map(\.label)
    let place = filter.locationID?.bytes ?? Totals.anywhere
    var query = Lists.Query(table: "enrollments", columns: Self.listedColumns, merchant: merchant)
    query.kind = kind
    query.place = place
    query.labels = labels
    if labels.isEmpty {
      query.predicate =
        filter.includesConsumed ? "t.status <> 'CANCELLED'" : "t.status IN ('PENDING', 'EXPIRED')"
      if let location = filter.locationID { query.equals = [("location_id", .id(location))] }
    }
    if labels.count <= 1 { query.total = (kind, place, labels.isEmpty ? [""] : labels) }
    return try Lists(session: session).page(query, page) { try Self.enrollment($0, from: 2) }
  }

  func liveCodes() throws -> [Int: Int64] {
    let figures = try Totals(session: session).ofDeployment(.liveCodes)
    return figures.reduce(into: [:]) { counts, figure in
      if let symbols = Int(figure.key) { counts[symbols] = figure.value }
    }
  }

  /// One that is being redeemed or swept elsewhere is waited for, and is due no more if that was done.
  func due(at now: Timestamp, limit: Int) throws -> [Enrollment] {
    try session.all(
      """
      SELECT \(Self.columns) FROM enrollments WHERE status = 'PENDING' AND expires_at <= $1
      ORDER BY expires_at LIMIT $2\(session.locking("FOR NO KEY UPDATE"))
      """,
      .time(now), .integer(Int64(limit))
    ) { try Self.enrollment($0) }
  }

  func hasPending(at location: LocationID, of merchant: MerchantID, now: Timestamp) throws -> Bool {
    try session.first(
      """
      SELECT 1 FROM enrollments WHERE merchant_id = $1 AND location_id = $2 AND status = 'PENDING' AND expires_at > $3
      LIMIT 1
      """,
      .id(merchant), .id(location), .time(now)
    ) { _ in true } ?? false
  }

  func move(_ enrollment: Enrollment, from expected: Enrollment.StateName) throws -> Bool {
    let device: DeviceID? = if case .consumed(let device) = enrollment.state { device } else { nil }
    let typedSymbols = try session.changed(
      """
      UPDATE enrollments SET status = $1, version = $2, device_id = $3, code_hash = NULL, token_hash = NULL,
      sealed_code = NULL WHERE merchant_id = $4 AND id = $5 AND status = $6 AND version = $2::bigint - 1
      RETURNING typed_symbols
      """,
      [
        .text(enrollment.state.name.rawValue), .integer(enrollment.version), .id(device), .id(enrollment.merchantID),
        .id(enrollment.id), .text(expected.rawValue),
      ]
    ) { $0.integer(0) }
    guard let typedSymbols else { return false }
    if expected == .pending { countLive(typedSymbols, by: -1) }
    let listings = MetadataListings(session: session)
    switch enrollment.state {
    case .pending, .expired: break
    case .consumed: try listings.remove(listed(enrollment), from: [.unconsumedEnrollments])
    case .cancelled: try listings.remove(listed(enrollment), from: [.enrollments, .unconsumedEnrollments])
    }
    return true
  }

  private func countLive(_ typedSymbols: Int64, by delta: Int64) {
    guard typedSymbols > 0 else { return }
    Totals(session: session).add(delta, .liveCodes, of: Totals.deployment, label: "\(typedSymbols)")
  }

  private func listed(_ enrollment: Enrollment) -> MetadataListings.Element {
    MetadataListings.Element(
      merchantID: enrollment.merchantID, locationID: enrollment.locationID, metadata: enrollment.metadata,
      createdAt: enrollment.createdAt, id: enrollment.id.bytes)
  }

  private static func enrollment(_ row: PostgresRow, from start: Int32 = 0) throws -> Enrollment {
    let state: Enrollment.State
    switch Enrollment.StateName(rawValue: row.text(start + 6)) {
    case .pending:
      state = .pending(
        SealedCode(
          codeHash: row.bytes(start + 10), tokenHash: row.bytes(start + 11), sealed: row.bytes(start + 12),
          typedSymbols: Int(row.integer(start + 9))))
    case .consumed: state = .consumed(device: try row.id(start + 8))
    case .expired: state = .expired
    case .cancelled: state = .cancelled
    case nil: throw StoreError.unusable(OperatorDetail("an enrollment has the unknown status \(row.text(start + 6))"))
    }
    return Enrollment(
      restoring: try row.id(start), merchantID: try row.id(start + 1), locationID: try row.id(start + 2),
      metadata: try MetadataText.decoded(row.bytes(start + 3)), createdAt: row.time(start + 4),
      expiresAt: row.time(start + 5), state: state, version: row.integer(start + 7))
  }
}
