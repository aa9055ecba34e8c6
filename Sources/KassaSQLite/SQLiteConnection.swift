import GRDB
import GRDBSQLite
import KassaDomain
import KassaStore

/// One value bound to a statement.
enum SQLValue {
  case null
  case integer(Int64)
  case text(String)
  case blob([UInt8])

  static func flag(_ flag: Bool) -> SQLValue { .integer(flag ? 1 : 0) }
  static func time(_ timestamp: Timestamp) -> SQLValue { .integer(timestamp.millisecondsSinceEpoch) }
  static func time(_ timestamp: Timestamp?) -> SQLValue { timestamp.map { time($0) } ?? .null }
  static func id<Entity>(_ id: Identifier<Entity>) -> SQLValue { .blob(id.bytes) }
  static func id<Entity>(_ id: Identifier<Entity>?) -> SQLValue { id.map { .blob($0.bytes) } ?? .null }
  static func text(_ text: String?) -> SQLValue { text.map { .text($0) } ?? .null }
  static func blob(_ bytes: [UInt8]?) -> SQLValue { bytes.map { .blob($0) } ?? .null }
}

/// Runs prepared statements on one GRDB connection by SQLite's own calls: GRDB's row and record layers cost several
/// times the statement itself on the hot paths. GRDB keeps the statement cache, the configuration and the migrations.
struct SQLiteConnection {
  let database: Database

  /// Runs a statement that returns no rows. Returns how many rows it changed.
  @discardableResult
  func run(_ sql: String, _ values: SQLValue...) throws -> Int {
    try run(sql, values)
  }

  @discardableResult
  func run(_ sql: String, _ values: [SQLValue]) throws -> Int {
    try execute(sql, values) { _ in }
    return Int(sqlite3_changes(database.sqliteConnection))
  }

  /// The first row, if any.
  func first<Value>(_ sql: String, _ values: SQLValue..., read: (SQLRow) throws -> Value) throws -> Value? {
    var found: Value?
    try execute(sql, values) { row in
      if found == nil { found = try read(row) }
    }
    return found
  }

  func all<Value>(_ sql: String, _ values: SQLValue..., read: (SQLRow) throws -> Value) throws -> [Value] {
    try all(sql, values, read: read)
  }

  func all<Value>(_ sql: String, _ values: [SQLValue], read: (SQLRow) throws -> Value) throws -> [Value] {
    var found: [Value] = []
    try execute(sql, values) { found.append(try read($0)) }
    return found
  }

  private func execute(_ sql: String, _ values: [SQLValue], row: (SQLRow) throws -> Void) throws {
    let statement: OpaquePointer
    do {
      statement = try database.cachedStatement(sql: sql).sqliteStatement
    } catch {
      throw SQLiteErrors.mapped(error)
    }
    defer {
      sqlite3_reset(statement)
      sqlite3_clear_bindings(statement)
    }
    for (index, value) in values.enumerated() {
      try bind(value, at: Int32(index + 1), in: statement)
    }
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: try row(SQLRow(statement: statement))
      case SQLITE_DONE: return
      default: throw SQLiteErrors.last(of: database)
      }
    }
  }

  private func bind(_ value: SQLValue, at index: Int32, in statement: OpaquePointer) throws {
    let code =
      switch value {
      case .null: sqlite3_bind_null(statement, index)
      case .integer(let integer): sqlite3_bind_int64(statement, index, integer)
      case .text(var text):
        text.withUTF8 { bytes in
          bytes.baseAddress.map {
            sqlite3_bind_text(
              statement, index, UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self), Int32(bytes.count), copied)
          } ?? sqlite3_bind_text(statement, index, "", 0, copied)
        }
      case .blob(let bytes):
        bytes.isEmpty
          ? sqlite3_bind_zeroblob(statement, index, 0)
          : sqlite3_bind_blob(statement, index, bytes, Int32(bytes.count), copied)
      }
    guard code == SQLITE_OK else { throw SQLiteErrors.last(of: database) }
  }
}

/// `SQLITE_TRANSIENT`, which the importer cannot express: SQLite copies what is bound.
private var copied: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

/// The current row of a running statement. Valid only inside the closure it is given to.
struct SQLRow {
  fileprivate let statement: OpaquePointer

  func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }
  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
  func time(_ column: Int32) -> Timestamp { Timestamp(millisecondsSinceEpoch: integer(column)) }
  func optionalTime(_ column: Int32) -> Timestamp? { isNull(column) ? nil : time(column) }

  func text(_ column: Int32) -> String {
    guard let start = sqlite3_column_text(statement, column) else { return "" }
    let count = Int(sqlite3_column_bytes(statement, column))
    return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  }

  /// A text as UTF-8, for what parses bytes.
  func textBytes(_ column: Int32) -> [UInt8] { blob(column) }

  func optionalText(_ column: Int32) -> String? { isNull(column) ? nil : text(column) }

  func blob(_ column: Int32) -> [UInt8] {
    guard let start = sqlite3_column_blob(statement, column) else { return [] }
    return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
  }

  /// Whatever the column holds.
  func copied(_ column: Int32) -> CopyValue {
    switch sqlite3_column_type(statement, column) {
    case SQLITE_INTEGER: .integer(integer(column))
    case SQLITE_TEXT: .text(textBytes(column))
    case SQLITE_BLOB: .bytes(blob(column))
    default: .null
    }
  }

  func optionalBlob(_ column: Int32) -> [UInt8]? { isNull(column) ? nil : blob(column) }

  func id<Entity>(_ column: Int32, of: Identifier<Entity>.Type = Identifier<Entity>.self) throws -> Identifier<Entity> {
    let bytes = UnsafeRawBufferPointer(
      start: sqlite3_column_blob(statement, column), count: Int(sqlite3_column_bytes(statement, column)))
    guard let id = Identifier<Entity>(bytes: bytes) else {
      throw StoreError.unusable(OperatorDetail("column \(column) does not hold a 16-byte identifier"))
    }
    return id
  }

  func optionalID<Entity>(
    _ column: Int32, of: Identifier<Entity>.Type = Identifier<Entity>.self
  ) throws -> Identifier<Entity>? {
    isNull(column) ? nil : try id(column)
  }
}
