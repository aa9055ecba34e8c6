import KassaDomain
import KassaStore

struct PostgresLocations: LocationTable {
  let session: PostgresSession
  private static let columns = """
    id, merchant_id, name, street_address, street_address2, postal_code, city, country, created_at, updated_at, version
    """

  func insert(_ location: Location) throws {
    let details = location.details
    try session.run(
      "INSERT INTO locations (\(Self.columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
      .id(location.id), .id(location.merchantID), .text(details.name), .text(details.streetAddress),
      .text(details.streetAddress2), .text(details.postalCode), .text(details.city), .text(details.country),
      .time(location.createdAt), .time(location.updatedAt), .integer(location.version))
  }

  func find(_ id: LocationID, of merchant: MerchantID) throws -> Location? {
    try session.first(
      "SELECT \(Self.columns) FROM locations WHERE merchant_id = $1 AND id = $2\(session.locking("FOR SHARE"))",
      .id(merchant), .id(id)
    ) { try Self.location($0) }
  }

  func only(of merchant: MerchantID) throws -> Location? {
    let found = try session.all(
      "SELECT \(Self.columns) FROM locations WHERE merchant_id = $1 LIMIT 2\(session.locking("FOR SHARE"))",
      .id(merchant)
    ) { try Self.location($0) }
    return found.count == 1 ? found[0] : nil
  }

  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<Location> {
    try Lists(session: session).page(
      Lists.Query(table: "locations", columns: Self.columns, merchant: merchant), page
    ) { try Self.location($0, from: 2) }
  }

  func update(_ location: Location) throws -> Bool {
    let details = location.details
    return try session.change(
      """
      UPDATE locations SET name = $1, street_address = $2, street_address2 = $3, postal_code = $4, city = $5,
      country = $6, updated_at = $7, version = $8 WHERE merchant_id = $9 AND id = $10 AND version = $8::bigint - 1
      """,
      .text(details.name), .text(details.streetAddress), .text(details.streetAddress2), .text(details.postalCode),
      .text(details.city), .text(details.country), .time(location.updatedAt), .integer(location.version),
      .id(location.merchantID), .id(location.id)) == 1
  }

  func delete(_ id: LocationID, of merchant: MerchantID) throws -> Bool {
    try session.change("DELETE FROM locations WHERE merchant_id = $1 AND id = $2", .id(merchant), .id(id)) == 1
  }

  private static func location(_ row: PostgresRow, from start: Int32 = 0) throws -> Location {
    Location(
      id: try row.id(start), merchantID: try row.id(start + 1),
      details: Location.Details(
        name: row.text(start + 2), streetAddress: row.optionalText(start + 3),
        streetAddress2: row.optionalText(start + 4), postalCode: row.optionalText(start + 5),
        city: row.optionalText(start + 6), country: row.optionalText(start + 7)),
      createdAt: row.time(start + 8), updatedAt: row.time(start + 9), version: row.integer(start + 10))
  }
}
