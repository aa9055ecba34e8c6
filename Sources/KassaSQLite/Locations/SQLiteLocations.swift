import KassaDomain
import KassaStore

struct SQLiteLocations: LocationTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, name, street_address, street_address2, postal_code, city, country, created_at, updated_at, version
    """

  func insert(_ location: Location) throws {
    let details = location.details
    try connection.run(
      "INSERT INTO locations (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      .id(location.id), .id(location.merchantID), .text(details.name), .text(details.streetAddress),
      .text(details.streetAddress2), .text(details.postalCode), .text(details.city), .text(details.country),
      .time(location.createdAt), .time(location.updatedAt), .integer(location.version))
  }

  func find(_ id: LocationID, of merchant: MerchantID) throws -> Location? {
    try connection.first(
      "SELECT \(Self.columns) FROM locations WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id),
      read: Self.location)
  }

  func only(of merchant: MerchantID) throws -> Location? {
    let found = try connection.all(
      "SELECT \(Self.columns) FROM locations WHERE merchant_id = ? LIMIT 2", .id(merchant), read: Self.location)
    return found.count == 1 ? found[0] : nil
  }

  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<Location> {
    try TablePages(connection: connection)
      .page(of: merchant, page, table: "locations", columns: Self.columns, Self.location)
  }

  func update(_ location: Location) throws -> Bool {
    let details = location.details
    return try connection.run(
      """
      UPDATE locations SET name = ?, street_address = ?, street_address2 = ?, postal_code = ?, city = ?, country = ?,
      updated_at = ?, version = ? WHERE merchant_id = ? AND id = ? AND version = ?
      """,
      .text(details.name), .text(details.streetAddress), .text(details.streetAddress2), .text(details.postalCode),
      .text(details.city), .text(details.country), .time(location.updatedAt), .integer(location.version),
      .id(location.merchantID), .id(location.id), .integer(location.version - 1)) == 1
  }

  func delete(_ id: LocationID, of merchant: MerchantID) throws -> Bool {
    try connection.run("DELETE FROM locations WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id)) == 1
  }

  private static func location(_ row: SQLRow) throws -> Location {
    Location(
      id: try row.id(0), merchantID: try row.id(1),
      details: Location.Details(
        name: row.text(2), streetAddress: row.optionalText(3), streetAddress2: row.optionalText(4),
        postalCode: row.optionalText(5), city: row.optionalText(6), country: row.optionalText(7)),
      createdAt: row.time(8), updatedAt: row.time(9), version: row.integer(10))
  }
}
