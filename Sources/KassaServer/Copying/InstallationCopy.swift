import Crypto
import KassaPostgres
import KassaSQLite
import KassaService
import KassaStore

/// Copies a whole installation from one database to another, goes on with a copy that was broken off, and compares what
/// both hold in the end. Nobody may use either meanwhile.
package struct InstallationCopy {
  /// What one table came to.
  package struct Table: Sendable {
    package let name: String
    package let sourceRows: Int64
    package let targetRows: Int64
    /// SHA-256 of all its rows in the order of their key.
    package let sourceDigest: [UInt8]
    package let targetDigest: [UInt8]

    package var isEqual: Bool { sourceRows == targetRows && sourceDigest == targetDigest }
  }

  package enum Step: String, Sendable { case copying, comparing }

  /// How far it is: of all rows, and of those of one table.
  package struct Progress: Sendable {
    package let step: Step
    package let table: String
    package let tableDone: Int64
    package let tableRows: Int64
    package let done: Int64
    package let rows: Int64

    package var isTableDone: Bool { tableDone == tableRows }
  }

  /// Bytes of rows in memory at once, beyond which pages get shorter: rows of sessions have up to some hundred kilobytes.
  private static let pageBytesMax = 4 << 20
  private static let pageRows = 16...4096

  private let source: any CopyEnd
  private let target: any CopyEnd
  private let destination: DatabaseAddress
  private let columns: [CopiedTable: [String]]
  private let rows: [CopiedTable: Int64]
  private let isResumed: Bool

  private var rowsTotal: Int64 { rows.values.reduce(0, +) }

  /// Whether it goes on with a copy that was broken off.
  package var goesOn: Bool { isResumed }

  /// Opens both databases, and begins the copy or finds where it was broken off. Blocks. Throws `SettingsError`, in words
  /// for the operator, when it cannot be: then neither database was changed, but for the schema of an empty target.
  package init(from: DatabaseAddress, to: DatabaseAddress, secrets: ServerSecrets) throws {
    guard from != to else { throw SettingsError("a database cannot be copied to itself") }
    destination = to
    do {
      let source = try Self.open(from, asSource: true)
      do {
        let target = try Self.open(to, asSource: false)
        do {
          columns = try Self.columns(source, target)
          rows = try Dictionary(uniqueKeysWithValues: CopiedTable.allCases.map { ($0, try source.count($0)) })
          isResumed = try Self.begin(source, from, target, to, rows, columns, secrets.check)
          (self.source, self.target) = (source, target)
        } catch {
          target.close()
          throw error
        }
      } catch {
        source.close()
        throw error
      }
    } catch let error as StoreError {
      throw KassaServer.worded(error, to)
    }
  }

  private static func open(_ database: DatabaseAddress, asSource: Bool) throws -> any CopyEnd {
    switch database {
    case .sqlite(let path): try asSource ? SQLiteCopyEnd.source(path: path) : SQLiteCopyEnd.target(path: path)
    case .postgres(let address): try asSource ? PostgresCopyEnd.source(address) : PostgresCopyEnd.target(address)
    }
  }

  private static func columns(_ source: any CopyEnd, _ target: any CopyEnd) throws -> [CopiedTable: [String]] {
    try Dictionary(
      uniqueKeysWithValues: CopiedTable.allCases.map { table in
        let columns = try source.columns(of: table)
        guard try target.columns(of: table) == columns, !columns.isEmpty else {
          throw SettingsError("the two databases differ in the columns of \(table.rawValue)")
        }
        return (table, columns)
      })
  }

  /// Returns whether there was a copy to go on with.
  private static func begin(
    _ source: any CopyEnd, _ from: DatabaseAddress, _ target: any CopyEnd, _ to: DatabaseAddress,
    _ rows: [CopiedTable: Int64], _ columns: [CopiedTable: [String]], _ secretKeyCheck: [UInt8]
  ) throws -> Bool {
    let facts = try facts(source, columns)
    guard let check = facts[.secretKeyCheck] else { throw SettingsError("there is no installation in \(from)") }
    guard check == .bytes(secretKeyCheck) else {
      throw SettingsError("the secret key is not that of \(from): \(SecretKey.place(of: from)) to the right one")
    }
    var notes = Dictionary(uniqueKeysWithValues: rows.map { ($0.key.rawValue, $0.value) })
    notes["source"] = try fingerprint(source, columns)
    if let unfinished = try target.unfinishedCopy() {
      guard unfinished == notes else {
        throw SettingsError(
          "\(to) holds a part of a copy of another database, or \(from) has changed since that began: "
            + "begin anew with an empty database")
      }
      return true
    }
    for table in CopiedTable.allCases where table != .installation {
      guard try target.count(table) == 0 else {
        throw SettingsError("\(to) is not empty (\(table.rawValue)): name another with --to")
      }
    }
    let claimed = try Self.facts(target, columns)
    for (fact, value) in claimed where facts[fact] != value {
      throw SettingsError("\(to) belongs to another installation (\(fact.rawValue)): name another with --to")
    }
    try target.beginCopy(notes)
    return false
  }

  private static func facts(
    _ end: any CopyEnd, _ columns: [CopiedTable: [String]]
  ) throws -> [InstallationFact: CopyValue] {
    var facts: [InstallationFact: CopyValue] = [:]
    for row in try end.rows(of: .installation, ["name", "value"], after: nil, limit: pageRows.upperBound) {
      guard case .text(let name) = row[0], let fact = InstallationFact(rawValue: String(decoding: name, as: UTF8.self))
      else { continue }
      facts[fact] = row[1]
    }
    return facts
  }

  /// Tells one source from another.
  private static func fingerprint(_ source: any CopyEnd, _ columns: [CopiedTable: [String]]) throws -> Int64 {
    var digest = RowDigest()
    for table in [CopiedTable.installation, .merchants] {
      try forEachPage(of: table, columns[table] ?? [], in: source, after: nil) { digest.add($0) }
    }
    return digest.bytes().prefix(8).reduce(0) { $0 << 8 | Int64($1) }
  }

  /// Copies, compares, and if all is equal, makes the target ready for a server. Blocks. Throws `SettingsError`. Whatever
  /// happens, the same copy may be begun again, and goes on.
  package func run(_ progress: (Progress) -> Void) throws -> [Table] {
    defer {
      source.close()
      target.close()
    }
    do {
      try copy(progress)
      let tables = try compare(progress)
      if tables.allSatisfy(\.isEqual) { try target.finishCopy() }
      return tables
    } catch let error as StoreError {
      throw KassaServer.worded(error, destination)
    }
  }

  private func copy(_ progress: (Progress) -> Void) throws {
    var before: Int64 = 0
    for table in CopiedTable.allCases {
      let columns = columns[table] ?? []
      let wanted = rows[table] ?? 0
      var done = try target.count(table)
      func tell() {
        progress(
          Progress(
            step: .copying, table: table.rawValue, tableDone: done, tableRows: wanted, done: before + done,
            rows: rowsTotal))
      }
      try Self.forEachPage(of: table, columns, in: source, after: try target.lastKey(of: table)) { page in
        if done < wanted { tell() }
        try target.insert(page, into: table, columns)
        done += Int64(page.count)
      }
      tell()
      before += wanted
    }
  }

  private func compare(_ progress: (Progress) -> Void) throws -> [Table] {
    var before: Int64 = 0
    return try CopiedTable.allCases.map { table in
      let columns = columns[table] ?? []
      let wanted = rows[table] ?? 0
      var (sourceRows, targetRows): (Int64, Int64) = (0, 0)
      var (sourceDigest, targetDigest) = (RowDigest(), RowDigest())
      func tell() {
        let done = (sourceRows + targetRows) / 2
        progress(
          Progress(
            step: .comparing, table: table.rawValue, tableDone: done, tableRows: wanted, done: before + done,
            rows: rowsTotal))
      }
      try Self.forEachPage(of: table, columns, in: source, after: nil) { page in
        sourceDigest.add(page)
        sourceRows += Int64(page.count)
        if sourceRows < wanted { tell() }
      }
      try Self.forEachPage(of: table, columns, in: target, after: nil) { page in
        targetDigest.add(page)
        targetRows += Int64(page.count)
        if targetRows < wanted { tell() }
      }
      tell()
      before += wanted
      return Table(
        name: table.rawValue, sourceRows: sourceRows, targetRows: targetRows, sourceDigest: sourceDigest.bytes(),
        targetDigest: targetDigest.bytes())
    }
  }

  /// Calls `body` with all rows that follow a key, page by page, of a length that keeps their bytes within bounds.
  private static func forEachPage(
    of table: CopiedTable, _ columns: [String], in end: any CopyEnd, after key: [CopyValue]?,
    _ body: ([[CopyValue]]) throws -> Void
  ) throws {
    let keyIndices = table.key.compactMap { columns.firstIndex(of: $0) }
    var after = key
    var limit = pageRows.lowerBound
    while true {
      let page = try end.rows(of: table, columns, after: after, limit: limit)
      if !page.isEmpty { try body(page) }
      guard page.count == limit, let last = page.last else { return }
      after = keyIndices.map { last[$0] }
      let bytes = page.reduce(0) { $0 + $1.reduce(0) { $0 + $1.byteCount } }
      if bytes > pageBytesMax { limit = max(pageRows.lowerBound, limit / 2) }
      if bytes < pageBytesMax / 4 { limit = min(pageRows.upperBound, limit * 2) }
    }
  }
}

/// SHA-256 of rows, each value with its kind and length before it.
private struct RowDigest {
  private var hash = SHA256()

  mutating func add(_ rows: [[CopyValue]]) {
    var bytes: [UInt8] = []
    func append(_ kind: UInt8, _ content: some Collection<UInt8>) {
      bytes.append(kind)
      withUnsafeBytes(of: Int64(content.count).bigEndian) { bytes.append(contentsOf: $0) }
      bytes.append(contentsOf: content)
    }
    for row in rows {
      for value in row {
        switch value {
        case .null: bytes.append(0)
        case .integer(let integer): withUnsafeBytes(of: integer.bigEndian) { append(1, $0) }
        case .text(let content): append(2, content)
        case .bytes(let content): append(3, content)
        }
      }
    }
    hash.update(data: bytes)
  }

  func bytes() -> [UInt8] { Array(hash.finalize()) }
}

extension CopyValue {
  /// Its size in memory, about.
  fileprivate var byteCount: Int {
    switch self {
    case .null, .integer: 16
    case .text(let bytes), .bytes(let bytes): 48 + bytes.count
    }
  }
}
