import KassaDomain
import KassaStore

struct SQLiteInstallation: InstallationTable {
  let connection: SQLiteConnection

  func value(_ name: InstallationFact) throws -> [UInt8]? {
    try connection.first("SELECT value FROM installation WHERE name = ?", .text(name.rawValue)) { $0.blob(0) }
  }

  func set(_ name: InstallationFact, to value: [UInt8]) throws {
    try connection.run(
      "INSERT INTO installation (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      .text(name.rawValue), .blob(value))
  }
}

struct SQLiteMerchants: MerchantTable {
  let connection: SQLiteConnection

  func insert(_ merchant: Merchant) throws {
    try connection.run(
      "INSERT INTO merchants (id, name, created_at) VALUES (?, ?, ?)",
      .id(merchant.id), .text(merchant.name), .time(merchant.createdAt))
  }

  func find(_ id: MerchantID) throws -> Merchant? {
    try connection.first("SELECT id, name, created_at FROM merchants WHERE id = ?", .id(id), read: Self.merchant)
  }

  func all() throws -> [Merchant] {
    try connection.all("SELECT id, name, created_at FROM merchants ORDER BY created_at, id", read: Self.merchant)
  }

  private static func merchant(_ row: SQLRow) throws -> Merchant {
    Merchant(id: try row.id(0), name: row.text(1), createdAt: row.time(2))
  }
}

struct SQLiteAPIKeys: APIKeyTable {
  let connection: SQLiteConnection
  private static let columns = "id, merchant_id, name, prefix, hash, created_at, revoked_at"

  func insert(_ key: APIKey) throws {
    try connection.run(
      "INSERT INTO api_keys (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?)",
      .id(key.id), .id(key.merchantID), .text(key.name), .text(key.prefix), .blob(key.hash), .time(key.createdAt),
      .time(key.revokedAt))
  }

  func find(hash: [UInt8]) throws -> APIKey? {
    try connection.first("SELECT \(Self.columns) FROM api_keys WHERE hash = ?", .blob(hash), read: Self.key)
  }

  func find(_ id: APIKeyID, of merchant: MerchantID) throws -> APIKey? {
    try connection.first(
      "SELECT \(Self.columns) FROM api_keys WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id), read: Self.key)
  }

  func demand(_ id: APIKeyID, of merchant: MerchantID) throws {
    let found = try connection.first(
      "SELECT 1 FROM api_keys WHERE merchant_id = ? AND id = ? AND revoked_at IS NULL", .id(merchant), .id(id)
    ) { _ in true }
    guard found != nil else { throw StoreError.conflict(.apiKeyInForce) }
  }

  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<APIKey> {
    try TablePages(connection: connection).page(of: merchant, page, table: "api_keys", columns: Self.columns, Self.key)
  }

  func revoke(_ id: APIKeyID, of merchant: MerchantID, at now: Timestamp) throws -> Bool {
    try connection.run(
      "UPDATE api_keys SET revoked_at = ? WHERE merchant_id = ? AND id = ? AND revoked_at IS NULL",
      .time(now), .id(merchant), .id(id)) == 1
  }

  private static func key(_ row: SQLRow) throws -> APIKey {
    APIKey(
      id: try row.id(0), merchantID: try row.id(1), name: row.text(2), prefix: row.text(3), hash: row.blob(4),
      createdAt: row.time(5), revokedAt: row.optionalTime(6))
  }
}

/// Pages over a whole table of a merchant's, for tables that a merchant fills by hand: their totals are counted.
struct TablePages {
  let connection: SQLiteConnection

  func page<Element: Sendable>(
    of merchant: MerchantID, _ page: PageRequest, table: String, columns: String,
    _ read: (SQLRow) throws -> Element
  ) throws -> Page<Element> {
    let total =
      try connection.first("SELECT count(*) FROM \(table) WHERE merchant_id = ?", .id(merchant)) { $0.integer(0) } ?? 0
    let (skipped, overflow) = page.number.multipliedReportingOverflow(by: page.size)
    guard !overflow else { return Page(content: [], totalElements: total, hasMore: false) }
    var sql = "SELECT \(columns) FROM \(table) WHERE merchant_id = ?"
    var values: [SQLValue] = [.id(merchant)]
    if let after = page.after {
      sql += " AND (created_at, id) < (?, ?)"
      values += [.time(after.createdAt), .id(after.id)]
    }
    values += [.integer(Int64(page.size + 1)), .integer(Int64(page.after == nil ? skipped : 0))]
    let rows = try connection.all(sql + " ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?", values, read: read)
    return Page(content: Array(rows.prefix(page.size)), totalElements: total, hasMore: rows.count > page.size)
  }
}
