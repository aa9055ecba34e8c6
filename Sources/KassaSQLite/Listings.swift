import KassaDomain
import KassaStore

/// The lists and their exact totals, kept beside the rows they list (see `Migrations`).
///
/// An element is listed once for each combination of *its location or any* and *one of its labels or any*.
/// A page narrowed by several labels walks the rarest of their lists and probes the others.
struct Listings {
  /// What is listed. The numbers are stored.
  enum Kind: Int64 {
    /// Enrollments that are not CANCELLED.
    case enrollments = 0
    /// Enrollments that are neither CANCELLED nor CONSUMED.
    case unconsumedEnrollments = 1
    case devices = 2
    case sessions = 3
    case orders = 4
  }

  /// One element and everything a list can be narrowed by.
  struct Element {
    let merchantID: MerchantID
    let locationID: LocationID?
    /// Each a narrowing of its own: a metadata pair, a status, a reference …
    var labels: [String]
    let position: PagePosition
    let rowID: Int64
  }

  let connection: SQLiteConnection

  func add(_ element: Element, to kind: Kind) throws {
    try add(element, under: [""] + element.labels, to: kind)
  }

  func remove(_ element: Element, from kind: Kind) throws {
    try remove(element, under: [""] + element.labels, from: kind)
  }

  /// Lists the element under another label instead of `old`.
  func relabel(_ element: Element, in kind: Kind, from old: String, to new: String) throws {
    try remove(element, under: [old], from: kind)
    try add(element, under: [new], to: kind)
  }

  private func add(_ element: Element, under labels: [String], to kind: Kind) throws {
    try forEachScope(of: element, labels) { location, label in
      let scope = try connection.first(
        """
        INSERT INTO listing_scopes (merchant_id, kind, location_id, label, total) VALUES (?, ?, ?, ?, 1)
        ON CONFLICT (merchant_id, kind, location_id, label) DO UPDATE SET total = total + 1 RETURNING scope_id
        """,
        .id(element.merchantID), .integer(kind.rawValue), location, label
      ) { $0.integer(0) }
      guard let scope else { throw StoreError.unusable(OperatorDetail("listing_scopes returned no row")) }
      try connection.run(
        "INSERT INTO listings (scope_id, created_at, id, row_id) VALUES (?, ?, ?, ?)",
        .integer(scope), .time(element.position.createdAt), .id(element.position.id), .integer(element.rowID))
    }
  }

  private func remove(_ element: Element, under labels: [String], from kind: Kind) throws {
    try forEachScope(of: element, labels) { location, label in
      let scope = try connection.first(
        """
        UPDATE listing_scopes SET total = total - 1
        WHERE merchant_id = ? AND kind = ? AND location_id = ? AND label = ? RETURNING scope_id, total
        """,
        .id(element.merchantID), .integer(kind.rawValue), location, label
      ) { (id: $0.integer(0), total: $0.integer(1)) }
      guard let scope else { throw StoreError.unusable(OperatorDetail("an element was not listed where it belongs")) }
      try connection.run(
        "DELETE FROM listings WHERE scope_id = ? AND created_at = ? AND id = ?",
        .integer(scope.id), .time(element.position.createdAt), .id(element.position.id))
      if scope.total == 0 {
        try connection.run("DELETE FROM listing_scopes WHERE scope_id = ?", .integer(scope.id))
      }
    }
  }

  /// The elements of one page, in order, with its total: rows of `table`, whose `columns` are read by `read`. One row
  /// more than `page.size` tells that more follow.
  func page<Element>(
    _ kind: Kind, of merchant: MerchantID, location: LocationID?, labels: [String], _ page: PageRequest,
    columns: String, from table: String, read: (SQLRow) throws -> Element
  ) throws -> Page<Element> {
    var scopes: [(id: Int64, total: Int64)] = []
    for label in labels.isEmpty ? [""] : labels {
      let scope = try connection.first(
        "SELECT scope_id, total FROM listing_scopes WHERE merchant_id = ? AND kind = ? AND location_id = ? AND label = ?",
        .id(merchant), .integer(kind.rawValue), .blob(location?.bytes ?? []), .text(label)
      ) { (id: $0.integer(0), total: $0.integer(1)) }
      guard let scope else { return Page(content: [], totalElements: 0, hasMore: false) }
      scopes.append(scope)
    }
    scopes.sort { $0.total < $1.total }

    var sql = "FROM listings AS l WHERE scope_id = ?"
    var values: [SQLValue] = [.integer(scopes[0].id)]
    for scope in scopes.dropFirst() {
      sql += """
         AND EXISTS (SELECT 1 FROM listings AS other
         WHERE other.scope_id = ? AND other.created_at = l.created_at AND other.id = l.id)
        """
      values.append(.integer(scope.id))
    }
    let total =
      scopes.count == 1
      ? scopes[0].total : try connection.all("SELECT count(*) \(sql)", values) { $0.integer(0) }.first ?? 0

    if let after = page.after {
      sql += " AND (created_at, id) < (?, ?)"
      values += [.time(after.createdAt), .id(after.id)]
    }
    let (skipped, overflow) = page.number.multipliedReportingOverflow(by: page.size)
    if overflow || (page.after == nil && Int64(skipped) >= total) {
      return Page(content: [], totalElements: total, hasMore: false)
    }
    values += [.integer(Int64(page.size + 1)), .integer(Int64(page.after == nil ? skipped : 0))]
    // One statement for the whole page: asked for one by one, its rows cost twice as much.
    let rows = try connection.all(
      """
      SELECT \(columns) FROM \(table) WHERE row_id IN
      (SELECT row_id \(sql) ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?) ORDER BY created_at DESC, id DESC
      """,
      values, read: read)
    return Page(content: Array(rows.prefix(page.size)), totalElements: total, hasMore: rows.count > page.size)
  }

  private func forEachScope(
    of element: Element, _ labels: [String], _ body: (SQLValue, SQLValue) throws -> Void
  ) throws {
    for label in labels {
      try body(.blob([]), .text(label))
      if let location = element.locationID { try body(.id(location), .text(label)) }
    }
  }

}

extension Metadata.Pair {
  /// Unambiguous, because a key has no colon.
  var label: String { "\(key):\(value)" }
}
