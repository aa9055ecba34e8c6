import KassaDomain
import KassaStore

struct PostgresInstallation: InstallationTable {
  let session: PostgresSession

  /// Whoever decides by a fact that is missing is alone with it until the commit.
  func value(_ name: InstallationFact) throws -> [UInt8]? {
    try session.lock(.installation, [])
    return try session.first("SELECT value FROM installation WHERE name = $1", .text(name.rawValue)) { $0.bytes(0) }
  }

  func set(_ name: InstallationFact, to value: [UInt8]) throws {
    try session.run(
      "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      .text(name.rawValue), .bytes(value))
  }
}

struct PostgresMerchants: MerchantTable {
  let session: PostgresSession

  func insert(_ merchant: Merchant) throws {
    try session.run(
      "INSERT INTO merchants (id, name, created_at) VALUES ($1, $2, $3)",
      .id(merchant.id), .text(merchant.name), .time(merchant.createdAt))
  }

  func find(_ id: MerchantID) throws -> Merchant? {
    try session.first("SELECT id, name, created_at FROM merchants WHERE id = $1", .id(id), read: Self.merchant)
  }

  func all() throws -> [Merchant] {
    try session.all("SELECT id, name, created_at FROM merchants ORDER BY created_at, id", read: Self.merchant)
  }

  private static func merchant(_ row: PostgresRow) throws -> Merchant {
    Merchant(id: try row.id(0), name: row.text(1), createdAt: row.time(2))
  }
}

struct PostgresAPIKeys: APIKeyTable {
  let session: PostgresSession
  private static let columns = "id, merchant_id, name, prefix, hash, created_at, revoked_at"

  func insert(_ key: APIKey) throws {
    try session.run(
      "INSERT INTO api_keys (\(Self.columns)) VALUES ($1, $2, $3, $4, $5, $6, $7)",
      .id(key.id), .id(key.merchantID), .text(key.name), .text(key.prefix), .bytes(key.hash), .time(key.createdAt),
      .time(key.revokedAt))
  }

  func find(hash: [UInt8]) throws -> APIKey? {
    try session.first("SELECT \(Self.columns) FROM api_keys WHERE hash = $1", .bytes(hash)) { try Self.key($0) }
  }

  func find(_ id: APIKeyID, of merchant: MerchantID) throws -> APIKey? {
    try session.first(
      "SELECT \(Self.columns) FROM api_keys WHERE merchant_id = $1 AND id = $2", .id(merchant), .id(id)
    ) { try Self.key($0) }
  }

  /// Divides by zero for a key that is not in force, so that nobody needs to wait for its answer.
  func demand(_ id: APIKeyID, of merchant: MerchantID) throws {
    try session.demand(
      "SELECT 1 / count(*) FROM api_keys WHERE merchant_id = $1 AND id = $2 AND revoked_at IS NULL",
      .id(merchant), .id(id))
  }

  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<APIKey> {
    try Lists(session: session).page(
      Lists.Query(table: "api_keys", columns: Self.columns, merchant: merchant), page
    ) { try Self.key($0, from: 2) }
  }

  func revoke(_ id: APIKeyID, of merchant: MerchantID, at now: Timestamp) throws -> Bool {
    try session.change(
      "UPDATE api_keys SET revoked_at = $1 WHERE merchant_id = $2 AND id = $3 AND revoked_at IS NULL",
      .time(now), .id(merchant), .id(id)) == 1
  }

  private static func key(_ row: PostgresRow, from start: Int32 = 0) throws -> APIKey {
    APIKey(
      id: try row.id(start), merchantID: try row.id(start + 1), name: row.text(start + 2), prefix: row.text(start + 3),
      hash: row.bytes(start + 4), createdAt: row.time(start + 5), revokedAt: row.optionalTime(start + 6))
  }
}
