import KassaDomain
import KassaStore
import KassaStoreText

struct SQLiteEnrollments: EnrollmentTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, location_id, metadata, created_at, expires_at, status, version, device_id, typed_symbols,
    code_hash, token_hash, sealed_code
    """

  func insert(_ enrollment: Enrollment) throws {
    guard case .pending(let code) = enrollment.state else {
      preconditionFailure("a new enrollment is PENDING")
    }
    let rowID = try connection.first(
      """
      INSERT INTO enrollments (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, 'PENDING', ?, NULL, ?, ?, ?, ?)
      RETURNING row_id
      """,
      .id(enrollment.id), .id(enrollment.merchantID), .id(enrollment.locationID),
      .text(MetadataText.encoded(enrollment.metadata)), .time(enrollment.createdAt), .time(enrollment.expiresAt),
      .integer(enrollment.version), .integer(Int64(code.typedSymbols)), .blob(code.codeHash), .blob(code.tokenHash),
      .blob(code.sealed)
    ) { $0.integer(0) }
    try list(enrollment, rowID: rowID ?? 0)
  }

  /// Enters a row that was copied into the lists and figures.
  func list(rowID: Int64) throws {
    let copied = try connection.first(
      "SELECT \(Self.columns) FROM enrollments WHERE row_id = ?", .integer(rowID), read: Self.enrollment)
    if let copied { try list(copied, rowID: rowID) }
  }

  private func list(_ enrollment: Enrollment, rowID: Int64) throws {
    let element = listed(enrollment, rowID: rowID)
    let listings = Listings(connection: connection)
    switch enrollment.state {
    case .pending, .expired:
      try listings.add(element, to: .enrollments)
      try listings.add(element, to: .unconsumedEnrollments)
    case .consumed: try listings.add(element, to: .enrollments)
    case .cancelled: break
    }
    if case .pending(let code) = enrollment.state, code.typedSymbols > 0 {
      try connection.run(
        "INSERT INTO live_codes (typed_symbols, live) VALUES (?, 1) ON CONFLICT DO UPDATE SET live = live + 1",
        .integer(Int64(code.typedSymbols)))
    }
  }

  func find(_ id: EnrollmentID, of merchant: MerchantID) throws -> Enrollment? {
    try connection.first(
      "SELECT \(Self.columns) FROM enrollments WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id),
      read: Self.enrollment)
  }

  func findPending(codeHash: [UInt8]) throws -> Enrollment? {
    try connection.first(
      "SELECT \(Self.columns) FROM enrollments WHERE code_hash = ?", .blob(codeHash), read: Self.enrollment)
  }

  func findPending(tokenHash: [UInt8]) throws -> Enrollment? {
    try connection.first(
      "SELECT \(Self.columns) FROM enrollments WHERE token_hash = ?", .blob(tokenHash), read: Self.enrollment)
  }

  func page(of merchant: MerchantID, _ filter: EnrollmentFilter, _ page: PageRequest) throws -> Page<Enrollment> {
    try Listings(connection: connection).page(
      filter.includesConsumed ? .enrollments : .unconsumedEnrollments, of: merchant, location: filter.locationID,
      labels: filter.metadata.map(\.label), page,
      columns: Self.columns, from: "enrollments", read: Self.enrollment)
  }

  func liveCodes() throws -> [Int: Int64] {
    let counted = try connection.all("SELECT typed_symbols, live FROM live_codes WHERE live > 0") {
      (Int($0.integer(0)), $0.integer(1))
    }
    return Dictionary(uniqueKeysWithValues: counted)
  }

  func due(at now: Timestamp, limit: Int) throws -> [Enrollment] {
    try connection.all(
      """
      SELECT \(Self.columns) FROM enrollments WHERE status = 'PENDING' AND expires_at <= ?
      ORDER BY expires_at LIMIT ?
      """,
      .time(now), .integer(Int64(limit)), read: Self.enrollment)
  }

  func hasPending(at location: LocationID, of merchant: MerchantID, now: Timestamp) throws -> Bool {
    try connection.first(
      """
      SELECT 1 FROM enrollments WHERE merchant_id = ? AND location_id = ? AND status = 'PENDING' AND expires_at > ?
      LIMIT 1
      """,
      .id(merchant), .id(location), .time(now)
    ) { _ in true } ?? false
  }

  func move(_ enrollment: Enrollment, from expected: Enrollment.StateName) throws -> Bool {
    let device: DeviceID? = if case .consumed(let device) = enrollment.state { device } else { nil }
    let moved = try connection.first(
      """
      UPDATE enrollments SET status = ?, version = ?, device_id = ?, code_hash = NULL, token_hash = NULL,
      sealed_code = NULL WHERE merchant_id = ? AND id = ? AND status = ? AND version = ?
      RETURNING row_id, typed_symbols
      """,
      .text(enrollment.state.name.rawValue), .integer(enrollment.version), .id(device), .id(enrollment.merchantID),
      .id(enrollment.id), .text(expected.rawValue), .integer(enrollment.version - 1)
    ) { (rowID: $0.integer(0), typedSymbols: $0.integer(1)) }
    guard let moved else { return false }
    if expected == .pending, moved.typedSymbols > 0 {
      try connection.run(
        "UPDATE live_codes SET live = live - 1 WHERE typed_symbols = ?", .integer(moved.typedSymbols))
    }
    let element = listed(enrollment, rowID: moved.rowID)
    let listings = Listings(connection: connection)
    switch enrollment.state {
    case .pending, .expired: break
    case .consumed: try listings.remove(element, from: .unconsumedEnrollments)
    case .cancelled:
      try listings.remove(element, from: .unconsumedEnrollments)
      try listings.remove(element, from: .enrollments)
    }
    return true
  }

  private func listed(_ enrollment: Enrollment, rowID: Int64) -> Listings.Element {
    Listings.Element(
      merchantID: enrollment.merchantID, locationID: enrollment.locationID,
      labels: enrollment.metadata.pairs.map(\.label),
      position: PagePosition(createdAt: enrollment.createdAt, id: enrollment.id.of(EventSubject.self)), rowID: rowID)
  }

  private static func enrollment(_ row: SQLRow) throws -> Enrollment {
    let state: Enrollment.State
    switch Enrollment.StateName(rawValue: row.text(6)) {
    case .pending:
      state = .pending(
        SealedCode(
          codeHash: row.blob(10), tokenHash: row.blob(11), sealed: row.blob(12), typedSymbols: Int(row.integer(9))))
    case .consumed: state = .consumed(device: try row.id(8))
    case .expired: state = .expired
    case .cancelled: state = .cancelled
    case nil: throw StoreError.unusable(OperatorDetail("an enrollment has the unknown status \(row.text(6))"))
    }
    return Enrollment(
      restoring: try row.id(0), merchantID: try row.id(1), locationID: try row.id(2),
      metadata: try MetadataText.decoded(row.textBytes(3)), createdAt: row.time(4), expiresAt: row.time(5),
      state: state, version: row.integer(7))
  }
}
