import Foundation
import GRDB
import GRDBSQLite
import KassaStore

/// A database file as one end of a copy.
package final class SQLiteCopyEnd: CopyEnd {
  /// Columns that this engine keeps to find rows.
  static let ownColumns: Set<String> = ["row_id"]
  /// Tables that this engine keeps to find and to count rows.
  static let ownTables: Set<String> = [
    "grdb_migrations", "listing_scopes", "listings", "live_codes", "callback_queues", "callback_totals",
  ]

  private let path: String
  private let queue: DatabaseQueue

  /// Opens the file to copy from it. Throws `StoreError.unusable` unless it has this program's schema, and nobody else has
  /// it open. Until `close` nobody can write to it.
  package static func source(path: String) throws -> SQLiteCopyEnd {
    guard FileManager.default.fileExists(atPath: path) else {
      throw StoreError.unusable(OperatorDetail("there is no database at \(path)"))
    }
    let end = try SQLiteCopyEnd(path: path, migrating: false)
    try end.run { connection in
      if try end.isMarked(connection) { throw CopiedTable.isUnfinished(path) }
      try connection.run("BEGIN IMMEDIATE")
    }
    return end
  }

  /// Opens the file to copy into it, and makes it if it is missing. Throws `StoreError.unusable` when somebody else has it
  /// open, or it is newer than this program or not Kassa's.
  package static func target(path: String) throws -> SQLiteCopyEnd {
    try SQLiteCopyEnd(path: path, migrating: true)
  }

  private init(path: String, migrating: Bool) throws {
    self.path = path
    if FileManager.default.fileExists(atPath: path) { try Self.refuseIfOpen(path) }
    queue = try SQLiteStore.openWriter(path: path, migrating: migrating, isCopying: true)
  }

  package func close() { try? queue.close() }

  /// Everybody who uses a database in write-ahead mode holds a shared lock on its file, so that one that wants the file
  /// for itself is refused.
  private static func refuseIfOpen(_ path: String) throws {
    var handle: OpaquePointer?
    defer { sqlite3_close_v2(handle) }
    guard sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK else {
      throw StoreError.unusable(OperatorDetail("\(path) cannot be opened"))
    }
    sqlite3_exec(handle, "PRAGMA locking_mode = EXCLUSIVE", nil, nil, nil)
    switch sqlite3_exec(handle, "BEGIN IMMEDIATE", nil, nil, nil) {
    case SQLITE_OK: sqlite3_exec(handle, "COMMIT", nil, nil, nil)
    case SQLITE_BUSY, SQLITE_LOCKED:
      throw StoreError.unusable(
        OperatorDetail("\(path) is in use: stop the server, and whatever else has it open, before you copy"))
    default:
      let message = sqlite3_errmsg(handle).map { String(cString: $0) } ?? ""
      throw StoreError.unusable(OperatorDetail("\(path): \(message)"))
    }
  }

  private func run<Value>(_ body: (SQLiteConnection) throws -> Value) throws -> Value {
    do {
      return try queue.inDatabase { try body(SQLiteConnection(database: $0)) }
    } catch {
      throw SQLiteErrors.mapped(error)
    }
  }

  private func isMarked(_ connection: SQLiteConnection) throws -> Bool {
    try connection.first(
      "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", .text(CopiedTable.unfinishedMark)
    ) { _ in true } ?? false
  }

  // MARK: Reading

  package func columns(of table: CopiedTable) throws -> [String] {
    try run { connection in
      try connection.all("SELECT name FROM pragma_table_info(?)", .text(table.rawValue)) { $0.text(0) }
        .filter { !Self.ownColumns.contains($0) }.sorted()
    }
  }

  package func count(_ table: CopiedTable) throws -> Int64 {
    try run { connection in
      try connection.first("SELECT count(*) FROM \(table.rawValue) WHERE \(table.condition)") { $0.integer(0) } ?? 0
    }
  }

  package func rows(
    of table: CopiedTable, _ columns: [String], after: [CopyValue]?, limit: Int
  ) throws -> [[CopyValue]] {
    let key = table.key.joined(separator: ", ")
    let places = table.key.map { _ in "?" }.joined(separator: ", ")
    let from = after == nil ? "" : " AND (\(key)) > (\(places))"
    return try run { connection in
      try connection.all(
        """
        SELECT \(columns.joined(separator: ", ")) FROM \(table.rawValue) WHERE \(table.condition)\(from)
        ORDER BY \(key) LIMIT ?
        """,
        (after ?? []).map(SQLValue.init) + [.integer(Int64(limit))]
      ) { row in (0..<Int32(columns.count)).map { row.copied($0) } }
    }
  }

  package func lastKey(of table: CopiedTable) throws -> [CopyValue]? {
    try run { connection in
      try connection.first(
        """
        SELECT \(table.key.joined(separator: ", ")) FROM \(table.rawValue) WHERE \(table.condition)
        ORDER BY \(table.key.map { "\($0) DESC" }.joined(separator: ", ")) LIMIT 1
        """
      ) { row in (0..<Int32(table.key.count)).map { row.copied($0) } }
    }
  }

  // MARK: Writing

  package func unfinishedCopy() throws -> [String: Int64]? {
    try run { connection in
      guard try isMarked(connection) else { return nil }
      let noted = try connection.all("SELECT name, row_count FROM \(CopiedTable.unfinishedMark)") {
        ($0.text(0), $0.integer(1))
      }
      return Dictionary(noted) { first, _ in first }
    }
  }

  package func beginCopy(_ rows: [String: Int64]) throws {
    try inTransaction { connection in
      try connection.run("DELETE FROM installation WHERE \(CopiedTable.installation.condition)")
      try connection.run(
        """
        CREATE TABLE \(CopiedTable.unfinishedMark) (name TEXT NOT NULL PRIMARY KEY, row_count INTEGER NOT NULL)
        STRICT, WITHOUT ROWID
        """)
      for (name, count) in rows {
        try connection.run(
          "INSERT INTO \(CopiedTable.unfinishedMark) (name, row_count) VALUES (?, ?)", .text(name), .integer(count))
      }
    }
  }

  package func insert(_ rows: [[CopyValue]], into table: CopiedTable, _ columns: [String]) throws {
    let places = columns.map { _ in "?" }.joined(separator: ", ")
    let sql = "INSERT INTO \(table.rawValue) (\(columns.joined(separator: ", "))) VALUES (\(places))"
    let listing = sql + " RETURNING rowid"
    try inTransaction { connection in
      guard table.isListed else {
        for row in rows { try connection.run(sql, row.map(SQLValue.init)) }
        return
      }
      for row in rows {
        let added = try connection.all(listing, row.map(SQLValue.init)) { $0.integer(0) }
        try list(added.first ?? 0, of: table, connection)
      }
    }
  }

  /// Enters a row that was copied into the lists and figures where it belongs.
  private func list(_ rowID: Int64, of table: CopiedTable, _ connection: SQLiteConnection) throws {
    switch table {
    case .enrollments: try SQLiteEnrollments(connection: connection).list(rowID: rowID)
    case .devices: try SQLiteDevices(connection: connection).list(rowID: rowID)
    case .sessions: try SQLiteSessions(connection: connection).list(rowID: rowID)
    case .orders: try SQLiteOrders(connection: connection).list(rowID: rowID)
    default: break
    }
  }

  package func finishCopy() throws {
    try inTransaction { connection in
      try connection.run("DELETE FROM callback_queues")
      try connection.run(
        """
        INSERT INTO callback_queues (merchant_id, webhook_id, due_at)
        SELECT merchant_id, webhook_id, min(due_at) FROM callback_chains GROUP BY merchant_id, webhook_id
        """)
      try connection.run("DROP TABLE \(CopiedTable.unfinishedMark)")
    }
  }

  private func inTransaction(_ body: (SQLiteConnection) throws -> Void) throws {
    try run { connection in
      try connection.run("BEGIN IMMEDIATE")
      do {
        try body(connection)
        try connection.run("COMMIT")
      } catch {
        _ = try? connection.run("ROLLBACK")
        throw error
      }
    }
  }
}

extension CopiedTable {
  /// Whether `listings` has entries of its rows.
  fileprivate var isListed: Bool { [.enrollments, .devices, .sessions, .orders].contains(self) }
}

extension SQLValue {
  fileprivate init(_ value: CopyValue) {
    switch value {
    case .null: self = .null
    case .integer(let integer): self = .integer(integer)
    case .text(let bytes): self = .text(String(decoding: bytes, as: UTF8.self))
    case .bytes(let bytes): self = .blob(bytes)
    }
  }
}
