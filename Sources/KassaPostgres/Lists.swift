import KassaDomain
import KassaStore

/// Pages of a list in one statement: rows and exact total of one snapshot.
struct Lists {
  /// What is listed, and by what it is narrowed.
  struct Query {
    let table: String
    let columns: String
    let merchant: MerchantID
    /// What every listed row fulfils, in words that an index has as its predicate.
    var predicate = ""
    /// Columns and the values that they must have.
    var equals: [(column: String, value: PostgresValue)] = []
    /// Metadata pairs that the element must have all.
    var labels: [String] = []
    /// The list of `metadata_listings` that has the pairs.
    var place: [UInt8] = Totals.anywhere
    var kind: TotalKind?
    /// The kept figures that add up to the total; `nil` to count rows.
    var total: (kind: TotalKind, place: [UInt8], labels: [String])?
  }

  let session: PostgresSession

  func page<Element: Sendable>(
    _ query: Query, _ page: PageRequest, read: (PostgresRow) throws -> Element
  ) throws -> Page<Element> {
    var values: [PostgresValue] = [.id(query.merchant)]
    func parameter(_ value: PostgresValue) -> String {
      values.append(value)
      return "$\(values.count)"
    }

    var conditions = "t.merchant_id = $1\(query.predicate.isEmpty ? "" : " AND \(query.predicate)")"
    for (column, value) in query.equals { conditions += " AND t.\(column) = \(parameter(value))" }
    var source = "\(query.table) AS t"
    var order = "t"
    let labels = query.labels.count > 1 ? try rarestFirst(query) : query.labels
    for (index, label) in labels.enumerated() {
      guard let kind = query.kind else { preconditionFailure("a list narrowed by labels has a kind") }
      let alias = "l\(index)"
      let narrowed = """
        \(alias).merchant_id = $1 AND \(alias).kind = \(kind.rawValue) AND \(alias).place_id = \(parameter(.bytes(query.place)))
        AND \(alias).label = \(parameter(.text(label)))
        """
      if index == 0 {
        source = "metadata_listings AS l0 JOIN \(query.table) AS t ON t.merchant_id = $1 AND t.id = l0.id"
        order = "l0"
        conditions += " AND \(narrowed)"
      } else {
        conditions += """
           AND EXISTS (SELECT 1 FROM metadata_listings AS \(alias) WHERE \(narrowed)
          AND \(alias).created_at = l0.created_at AND \(alias).id = l0.id)
          """
      }
    }

    var unwritten: Int64 = 0
    let total: String
    if let kept = query.total {
      unwritten = Totals(session: session).unwritten(
        kept.kind, of: query.merchant.bytes, at: kept.place, labels: kept.labels)
      total = """
        SELECT coalesce(sum(total), 0)::bigint AS n FROM listing_totals WHERE merchant_id = $1
        AND kind = \(kept.kind.rawValue) AND place_id = \(parameter(.bytes(kept.place)))
        AND label = ANY (\(parameter(.texts(kept.labels)))::text[])
        """
    } else {
      total = "SELECT count(*) AS n FROM \(source) WHERE \(conditions)"
    }

    let newestFirst = "ORDER BY \(order).created_at DESC, \(order).id DESC"
    let limit = "LIMIT \(parameter(.integer(Int64(page.size + 1))))"
    let sql: String
    if page.number == 0, page.after == nil {
      // Without a row the total is 0: so it can stand beside each row, which is the quickest.
      sql = """
        SELECT (\(total)), \(order).created_at, \(query.columns) FROM \(source) WHERE \(conditions)
        \(newestFirst) \(limit)
        """
    } else {
      let (time, id) =
        page.after.map { (PostgresValue.time($0.createdAt), PostgresValue.id($0.id)) }
        ?? (.integer(.max), .bytes([UInt8](repeating: 0xff, count: 16)))
      let (skipped, overflow) = page.number.multipliedReportingOverflow(by: page.size)
      let offset = PostgresValue.integer(page.after != nil ? 0 : overflow ? Int64.max : Int64(skipped))
      sql = """
        WITH total AS (\(total))
        SELECT total.n, r.* FROM total LEFT JOIN (
        SELECT \(order).created_at AS at, \(query.columns) FROM \(source) WHERE \(conditions)
        AND (\(order).created_at, \(order).id) < (\(parameter(time)), \(parameter(id)))
        AND \(parameter(offset)) <= (SELECT n FROM total) + \(parameter(.integer(unwritten)))
        \(newestFirst) \(limit) OFFSET \(parameter(offset))
        ) AS r ON true ORDER BY r.at DESC, r.id DESC
        """
    }
    var count: Int64 = 0
    let rows: [Element?] = try session.all(sql, values) { row in
      count = row.integer(0)
      return row.isNull(1) ? nil : try read(row)
    }
    let content = rows.compactMap { $0 }
    return Page(
      content: Array(content.prefix(page.size)), totalElements: rows.isEmpty ? 0 : count + unwritten,
      hasMore: content.count > page.size)
  }

  /// A page narrowed by several labels walks the rarest of their lists and probes the others.
  private func rarestFirst(_ query: Query) throws -> [String] {
    guard let kind = query.kind else { preconditionFailure("a list narrowed by labels has a kind") }
    let figures = try session.all(
      """
      SELECT label, sum(total)::bigint FROM listing_totals
      WHERE merchant_id = $1 AND kind = $2 AND place_id = $3 AND label = ANY ($4::text[]) GROUP BY label
      """,
      .id(query.merchant), .integer(kind.rawValue), .bytes(query.place), .texts(query.labels)
    ) { (Array($0.text(0).utf8), $0.integer(1)) }
    let counts = Dictionary(figures) { first, _ in first }
    return query.labels.sorted { (counts[Array($0.utf8)] ?? 0) < (counts[Array($1.utf8)] ?? 0) }
  }
}

/// The lists narrowed by a metadata pair: a row for each pair of an element, at its location and anywhere.
struct MetadataListings {
  let session: PostgresSession

  struct Element {
    let merchantID: MerchantID
    let locationID: LocationID?
    let metadata: Metadata
    let createdAt: Timestamp
    let id: [UInt8]

    var places: [[UInt8]] { [Totals.anywhere] + (locationID.map { [$0.bytes] } ?? []) }
    var labels: [String] { metadata.pairs.map(\.label) }
  }

  func add(_ element: Element, to kinds: [TotalKind]) throws {
    count(element, kinds, by: 1)
    if element.metadata.pairs.isEmpty { return }
    try session.run(
      """
      INSERT INTO metadata_listings (merchant_id, kind, place_id, label, created_at, id)
      SELECT $1::uuid, kind, place_id, label, $5::bigint, $6::uuid
      FROM unnest($2::bigint[]) AS kind, unnest($3::uuid[]) AS place_id, unnest($4::text[]) AS label
      """,
      .id(element.merchantID), .integers(kinds.map(\.rawValue)), .ids(element.places), .texts(element.labels),
      .time(element.createdAt), .bytes(element.id))
  }

  func remove(_ element: Element, from kinds: [TotalKind]) throws {
    count(element, kinds, by: -1)
    if element.metadata.pairs.isEmpty { return }
    // Each by its whole key. One statement for all of them is planned once a connection, perhaps while the table is
    // small; then it walks the merchant's whole part of the index, for ever.
    for kind in kinds {
      for place in element.places {
        for label in element.labels {
          try session.run(
            """
            DELETE FROM metadata_listings
            WHERE merchant_id = $1 AND kind = $2 AND place_id = $3 AND label = $4 AND created_at = $5 AND id = $6
            """,
            .id(element.merchantID), .integer(kind.rawValue), .bytes(place), .text(label), .time(element.createdAt),
            .bytes(element.id))
        }
      }
    }
  }

  private func count(_ element: Element, _ kinds: [TotalKind], by delta: Int64) {
    let totals = Totals(session: session)
    for kind in kinds {
      for place in element.places {
        for label in [""] + element.labels {
          totals.add(delta, kind, of: element.merchantID.bytes, at: place, label: label)
        }
      }
    }
  }
}

extension Metadata.Pair {
  /// Unambiguous, because a key has no colon.
  var label: String { "\(key):\(value)" }
}
