import KassaDomain
import KassaStore

/// A PostgreSQL database as one end of a copy, over a connection of its own.
package final class PostgresCopyEnd: CopyEnd {
  /// Columns that this engine keeps to find rows.
  static let ownColumns: [CopiedTable: Set<String>] = [.orders: ["status"]]
  /// Tables that this engine keeps to find and to count rows.
  static let ownTables: Set<String> = [
    "kassa_migrations", "metadata_listings", "listing_totals", "event_clock", "callback_queues",
  ]

  /// How long others that are about to leave are waited for: one that was killed a moment ago may still be connected.
  private static let leavingSeconds: Int64 = 10
  /// Making anew what is kept beside the rows of a large database takes minutes.
  private static let patienceSeconds: Int64 = 86_400

  private let connection: PostgresConnection
  private let database: String
  private var types: [CopiedTable: [String: String]] = [:]

  /// Opens the database to copy from it. Throws `StoreError.unusable` unless it has this program's schema and no server
  /// uses it, and `StoreError.unavailable` when it cannot be reached. Until `close` nobody can write to it.
  package static func source(_ address: PostgresAddress) throws -> PostgresCopyEnd {
    let end = try PostgresCopyEnd(address, migrating: false)
    try end.guarded {
      try end.connection.send("BEGIN")
      let tables = CopiedTable.allCases.map(\.rawValue).joined(separator: ", ")
      _ = try end.connection.ask("LOCK TABLE \(tables) IN SHARE MODE")
    }
    return end
  }

  /// Opens the database to copy into it, and makes the schema in an empty one. Throws `StoreError.unusable` when a server
  /// uses it, or it is newer than this program or not Kassa's, and `StoreError.unavailable` when it cannot be reached.
  package static func target(_ address: PostgresAddress) throws -> PostgresCopyEnd {
    try PostgresCopyEnd(address, migrating: true)
  }

  private init(_ address: PostgresAddress, migrating: Bool) throws {
    var limits = PostgresLimits()
    limits.patienceSeconds = Self.patienceSeconds
    let maker = ConnectionMaker(address, limits)
    database = address.description
    do {
      let migrator = try maker.connect(.migrating)
      if migrating {
        try Migrations.run(
          on: migrator, database: database, makesSchema: true, steps: Schema.steps, limits: limits, isCopying: true)
      } else {
        try Migrations.requireCurrent(on: migrator, database: database)
      }
      connection = try maker.connect(.copying)
    } catch let failure as PostgresFailure {
      throw failure.storeError
    }
    try guarded { try waitUntilAlone() }
  }

  package func close() {}

  private func guarded<Value>(_ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let failure as PostgresFailure {
      throw failure.storeError
    }
  }

  /// Servers hold connections all the time; their role is this one's, or cannot be seen. The lock keeps another copy away.
  private func waitUntilAlone() throws {
    let end = PostgresConnection.now() + Self.leavingSeconds * 1000
    let lock = PostgresValue.integer(AdvisoryLock.copying.key([]))
    var isLocked = false
    while true {
      if !isLocked { isLocked = try connection.ask("SELECT pg_try_advisory_lock($1)", [lock])[0].bool(0) }
      let others = try connection.ask(
        """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'kassa' AND pid <> pg_backend_pid()
        """)[0].integer(0)
      if isLocked, others == 0 { return }
      guard PostgresConnection.now() < end else {
        throw StoreError.unusable(
          OperatorDetail(
            "\(database) is in use (\(others) connections of Kassa): stop all servers, and whatever else of Kassa uses it, "
              + "before you copy"))
      }
      pause(milliseconds: 100)
    }
  }

  private func isMarked() throws -> Bool {
    try connection.ask("SELECT to_regclass('\(CopiedTable.unfinishedMark)') IS NOT NULL")[0].bool(0)
  }

  // MARK: Reading

  package func columns(of table: CopiedTable) throws -> [String] {
    try guarded { try types(of: table).keys.filter { Self.ownColumns[table]?.contains($0) != true }.sorted() }
  }

  /// The type of each column.
  private func types(of table: CopiedTable) throws -> [String: String] {
    if let known = types[table] { return known }
    let found = try connection.ask(
      """
      SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
      WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
      """,
      [.text(table.rawValue)])
    let read = Dictionary(
      uniqueKeysWithValues: (0..<found.rowCount).map { (found[$0].text(0), found[$0].text(1)) })
    types[table] = read
    return read
  }

  package func count(_ table: CopiedTable) throws -> Int64 {
    try guarded {
      try connection.ask("SELECT count(*) FROM \(table.rawValue) WHERE \(table.condition)")[0].integer(0)
    }
  }

  package func rows(
    of table: CopiedTable, _ columns: [String], after: [CopyValue]?, limit: Int
  ) throws -> [[CopyValue]] {
    let key = table.key.joined(separator: ", ")
    let places = table.key.indices.map { "$\($0 + 2)" }.joined(separator: ", ")
    let from = after == nil ? "" : " AND (\(key)) > (\(places))"
    return try guarded {
      let found = try connection.ask(
        """
        SELECT \(columns.joined(separator: ", ")) FROM \(table.rawValue) WHERE \(table.condition)\(from)
        ORDER BY \(key) LIMIT $1
        """,
        [.integer(Int64(limit))] + (after ?? []).map(PostgresValue.init))
      let types = try types(of: table)
      return try (0..<found.rowCount).map { try copied(found[$0], columns, types) }
    }
  }

  package func lastKey(of table: CopiedTable) throws -> [CopyValue]? {
    try guarded {
      let found = try connection.ask(
        """
        SELECT \(table.key.joined(separator: ", ")) FROM \(table.rawValue) WHERE \(table.condition)
        ORDER BY \(table.key.map { "\($0) DESC" }.joined(separator: ", ")) LIMIT 1
        """)
      return found.rowCount == 0 ? nil : try copied(found[0], table.key, try types(of: table))
    }
  }

  private func copied(_ row: PostgresRow, _ columns: [String], _ types: [String: String]) throws -> [CopyValue] {
    try columns.enumerated().map { index, name in
      let column = Int32(index)
      if row.isNull(column) { return .null }
      switch types[name] {
      case "bigint": return .integer(row.integer(column))
      case "boolean": return .integer(row.bool(column) ? 1 : 0)
      case "text": return .text(row.bytes(column))
      case "uuid", "bytea": return .bytes(row.bytes(column))
      default: throw StoreError.unusable(OperatorDetail("the column \(name) has a type that cannot be copied"))
      }
    }
  }

  // MARK: Writing

  package func unfinishedCopy() throws -> [String: Int64]? {
    try guarded {
      guard try isMarked() else { return nil }
      let noted = try connection.ask("SELECT name, row_count FROM \(CopiedTable.unfinishedMark)")
      return Dictionary((0..<noted.rowCount).map { (noted[$0].text(0), noted[$0].integer(1)) }) { first, _ in first }
    }
  }

  package func beginCopy(_ rows: [String: Int64]) throws {
    try inTransaction {
      try connection.send("DELETE FROM installation WHERE \(CopiedTable.installation.condition)")
      try connection.send(
        """
        CREATE TABLE \(CopiedTable.unfinishedMark)
        (name TEXT COLLATE "C" NOT NULL PRIMARY KEY, row_count BIGINT NOT NULL)
        """)
      try connection.settle()
      try connection.send(
        """
        INSERT INTO \(CopiedTable.unfinishedMark) (name, row_count)
        SELECT name, row_count FROM unnest($1::text[], $2::bigint[]) AS noted (name, row_count)
        """,
        [.texts(Array(rows.keys)), .integers(Array(rows.values))])
    }
  }

  package func insert(_ rows: [[CopyValue]], into table: CopiedTable, _ columns: [String]) throws {
    try guarded {
      let types = try types(of: table)
      var stream = CopyStream(columnCount: columns.count + (table == .orders ? 1 : 0))
      for row in rows {
        stream.beginRow()
        for (name, value) in zip(columns, row) { stream.append(value, isFlag: types[name] == "boolean") }
        if table == .orders { stream.append(try status(of: row, columns), isFlag: false) }
      }
      let names = columns + (table == .orders ? ["status"] : [])
      try connection.runCopy(
        "COPY \(table.rawValue) (\(names.joined(separator: ", "))) FROM STDIN (FORMAT binary)", stream.ended())
    }
  }

  /// An order's status, which lists are narrowed by and which follows from its money.
  private func status(of order: [CopyValue], _ columns: [String]) throws -> CopyValue {
    func value(_ name: String) -> CopyValue { columns.firstIndex(of: name).map { order[$0] } ?? .null }
    func integer(_ name: String) -> Int64 { if case .integer(let integer) = value(name) { integer } else { 0 } }
    guard case .text(let text) = value("release"),
      let release = Order.Release(rawValue: String(decoding: text, as: UTF8.self))
    else { throw StoreError.unusable(OperatorDetail("an order's row cannot be read")) }
    let money = Order.Money(
      captured: integer("captured"), capturing: integer("capturing"), refunded: integer("refunded"),
      refunding: integer("refunding"), release: release)
    return .text(Array(Order.status(of: money, amount: integer("amount")).rawValue.utf8))
  }

  package func finishCopy() throws {
    try guarded {
      try connection.runScript(
        """
        SET enable_seqscan = on; SET enable_sort = on; SET enable_bitmapscan = on;
        BEGIN;
        \(Self.derived)
        \(Migrations.clockAlignment);
        DROP TABLE \(CopiedTable.unfinishedMark);
        SELECT brin_summarize_new_values('events_recent');
        COMMIT
        """)
      // For the first plans and the first look at the newest events; what is missed here autovacuum does later.
      _ = try? connection.runScript("VACUUM ANALYZE")
    }
  }

  private func inTransaction(_ body: () throws -> Void) throws {
    try guarded {
      do {
        try connection.send("BEGIN")
        try body()
        _ = try connection.ask("COMMIT")
      } catch {
        _ = try? connection.ask("ROLLBACK")
        throw error
      }
    }
  }

  /// What is kept beside the rows: each statement makes one of `TotalKind`, or a table of its own, from nothing.
  private static let derived = """
    TRUNCATE metadata_listings, listing_totals, callback_queues;

    INSERT INTO callback_queues (merchant_id, webhook_id, shard, due_at)
    SELECT merchant_id, webhook_id, 0, min(due_at) FROM callback_chains GROUP BY merchant_id, webhook_id;

    CREATE TEMPORARY TABLE listed ON COMMIT DROP AS
    SELECT merchant_id, \(TotalKind.enrollments.rawValue)::bigint AS kind, location_id, metadata, created_at, id
    FROM enrollments WHERE status <> 'CANCELLED'
    UNION ALL SELECT merchant_id, \(TotalKind.unconsumedEnrollments.rawValue), location_id, metadata, created_at, id
    FROM enrollments WHERE status IN ('PENDING', 'EXPIRED')
    UNION ALL SELECT merchant_id, \(TotalKind.devices.rawValue), location_id, metadata, created_at, id
    FROM devices WHERE deleted_at IS NULL;

    INSERT INTO metadata_listings (merchant_id, kind, place_id, label, created_at, id)
    SELECT l.merchant_id, l.kind, place.id, pair.key || ':' || pair.value, l.created_at, l.id
    FROM listed AS l CROSS JOIN LATERAL json_each_text(l.metadata::json) AS pair
    CROSS JOIN LATERAL (VALUES (\(anywhere)), (l.location_id)) AS place (id)
    WHERE l.metadata <> '{}' AND place.id IS NOT NULL;

    INSERT INTO listing_totals (merchant_id, kind, place_id, label, shard, total)
    SELECT merchant_id, kind, place_id, label, \(Totals.foldedShard), sum(n) FROM (
    SELECT l.merchant_id, l.kind, place.id AS place_id, '' AS label, count(*) AS n
    FROM listed AS l CROSS JOIN LATERAL (VALUES (\(anywhere)), (l.location_id)) AS place (id)
    WHERE place.id IS NOT NULL GROUP BY 1, 2, 3
    UNION ALL SELECT merchant_id, kind, place_id, label, count(*) FROM metadata_listings GROUP BY 1, 2, 3, 4
    UNION ALL SELECT merchant_id, \(TotalKind.sessions.rawValue), \(anywhere), l.label, count(*)
    FROM sessions CROSS JOIN LATERAL unnest(
    ARRAY['', 'device:' || device_id, 'status:' || status, 'reference:' || merchant_reference1]) AS l (label)
    WHERE l.label IS NOT NULL GROUP BY 1, 4
    UNION ALL SELECT merchant_id, \(TotalKind.sessions.rawValue), location_id, '', count(*)
    FROM sessions WHERE location_id IS NOT NULL GROUP BY 1, 3
    UNION ALL SELECT merchant_id, \(TotalKind.orders.rawValue), \(anywhere), l.label, count(*)
    FROM orders CROSS JOIN LATERAL unnest(
    ARRAY['', 'status:' || status, 'reference:' || merchant_reference1]) AS l (label)
    WHERE l.label IS NOT NULL GROUP BY 1, 4
    UNION ALL SELECT merchant_id, \(TotalKind.deliveries.rawValue), webhook_id, status, count(*)
    FROM callback_deliveries GROUP BY 1, 3, 4
    UNION ALL SELECT \(anywhere), \(TotalKind.pendingDeliveries.rawValue), \(anywhere), '', count(*)
    FROM callback_deliveries WHERE status = 'PENDING' HAVING count(*) > 0
    UNION ALL SELECT \(anywhere), \(TotalKind.liveCodes.rawValue), \(anywhere), typed_symbols::text, count(*)
    FROM enrollments WHERE status = 'PENDING' AND typed_symbols > 0 GROUP BY 4
    ) AS figures (merchant_id, kind, place_id, label, n) GROUP BY 1, 2, 3, 4;
    """

  /// `Totals.anywhere`, which is also the deployment's place.
  private static let anywhere = "'00000000-0000-0000-0000-000000000000'::uuid"
}

/// Rows in the binary form of `COPY … FROM STDIN`.
struct CopyStream {
  private var bytes: [UInt8] = Array("PGCOPY\n".utf8) + [0xff, 0x0d, 0x0a, 0] + [UInt8](repeating: 0, count: 8)
  private let columnCount: Int16

  init(columnCount: Int) { self.columnCount = Int16(columnCount) }

  mutating func beginRow() { append(columnCount) }

  mutating func append(_ value: CopyValue, isFlag: Bool) {
    switch value {
    case .null: append(Int32(-1))
    case .integer(let integer) where isFlag:
      append(Int32(1))
      bytes.append(integer == 0 ? 0 : 1)
    case .integer(let integer):
      append(Int32(8))
      append(integer)
    case .text(let content), .bytes(let content):
      append(Int32(content.count))
      bytes.append(contentsOf: content)
    }
  }

  func ended() -> [UInt8] { bytes + [0xff, 0xff] }

  private mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}

extension PostgresValue {
  fileprivate init(_ value: CopyValue) {
    switch value {
    case .null: self = .null
    case .integer(let integer): self = .integer(integer)
    case .text(let bytes), .bytes(let bytes): self = .bytes(bytes)
    }
  }
}
