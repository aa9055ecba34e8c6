import GRDB
import KassaDomain
import KassaStore

/// The embedded store: one file, one writer with group commit, a few readers.
///
/// Every commit is on disk when it is acknowledged: write-ahead log with `synchronous = FULL`.
package final class SQLiteStore: Store {
  private let writer: GroupCommitWriter
  private let writerQueue: DatabaseQueue
  private let readers: ReaderPool
  package let path: String

  /// How long a statement waits for another process that writes the same file.
  private static let busyTimeoutSeconds = 5.0

  /// Opens the database at `path`, making the file if it is missing and bringing its schema up to date.
  /// Throws `StoreError.unusable` when it is newer than this program or not a database of Kassa's.
  package init(path: String, readersMax: Int = 6) throws {
    self.path = path
    writerQueue = try Self.openWriter(path: path)
    readers = ReaderPool(
      readers: try Self.opening(path) {
        try (0..<readersMax).map { _ in
          try DatabaseQueue(path: path, configuration: Self.configuration(readonly: true))
        }
      })
    writer = GroupCommitWriter(queue: writerQueue)
  }

  /// A connection that writes. Brings the schema up to date, or, unless `migrating`, refuses one that is not. A copy may
  /// open a database into which one has not finished, and leave a transaction open between two calls.
  static func openWriter(path: String, migrating: Bool = true, isCopying: Bool = false) throws -> DatabaseQueue {
    try opening(path) {
      var configuration = configuration(readonly: false)
      configuration.allowsUnsafeTransactions = isCopying
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      let tables = try queue.inDatabase { database in
        try String.fetchSet(database, sql: "SELECT name FROM sqlite_master WHERE type = 'table'")
      }
      // Migrations leave a table of their own.
      if !tables.isEmpty, !tables.contains("grdb_migrations") {
        throw StoreError.unusable(OperatorDetail("\(path) is a database of another program"))
      }
      if tables.contains(CopiedTable.unfinishedMark), !isCopying { throw CopiedTable.isUnfinished(path) }
      try queue.inDatabase(makeDurable)
      let migrator = Migrations.migrator
      if try queue.read(migrator.hasBeenSuperseded) {
        throw StoreError.unusable(
          OperatorDetail("\(path) was made by a newer Kassa; run that version, or restore a backup made before"))
      }
      if migrating {
        try migrator.migrate(queue)
      } else if try !queue.read(migrator.hasCompletedMigrations) {
        throw StoreError.unusable(
          OperatorDetail("\(path) was made by an older Kassa: bring it up to date with kassa migrate first"))
      }
      return queue
    }
  }

  private static func opening<Value>(_ path: String, _ body: () throws -> Value) throws -> Value {
    do {
      return try body()
    } catch let error as StoreError {
      throw error
    } catch let error as DatabaseError where error.resultCode == .SQLITE_CANTOPEN {
      throw StoreError.unusable(OperatorDetail("\(path) cannot be opened: is its folder there and writable?"))
    } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
      throw StoreError.unusable(OperatorDetail("\(path) is not an SQLite database"))
    } catch {
      throw StoreError.unusable(OperatorDetail("\(path): \(error)"))
    }
  }

  private static func configuration(readonly: Bool) -> Configuration {
    var configuration = Configuration()
    configuration.readonly = readonly
    configuration.busyMode = .timeout(busyTimeoutSeconds)
    configuration.label = readonly ? "kassa.sqlite.reader" : "kassa.sqlite.writer"
    configuration.maximumReaderCount = 1
    return configuration
  }

  /// Write-ahead log, a real `fsync` per commit, and erased content overwritten with zeros (codes must not linger).
  private static func makeDurable(_ database: Database) throws {
    _ = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
    try database.execute(sql: "PRAGMA synchronous = FULL")
    _ = try String.fetchOne(database, sql: "PRAGMA secure_delete = ON")
    try database.execute(sql: "PRAGMA cache_size = -65536")
  }

  package func read<Value: Sendable>(
    _ body: @escaping @Sendable (any ReadTransaction) throws -> Value
  ) async throws -> Value {
    try await readers.read { database in
      let connection = SQLiteConnection(database: database)
      try connection.run("BEGIN DEFERRED")
      defer { _ = try? connection.run("COMMIT") }
      return try body(SQLiteReadTransaction(connection: connection))
    }
  }

  package func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    try await writer.write(body)
  }

  package func checkWritable() async throws {
    // Never the value before: SQLite skips a page that would not change, and then commits nothing.
    let probe = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
    try await write { try $0.installation.set(.writeProbe, to: probe) }
  }

  package func diagnose() async throws -> [StoreFinding] {
    try writerQueue.inDatabase { database in
      let connection = SQLiteConnection(database: database)
      func pragma(_ name: String) throws -> String {
        try connection.first("PRAGMA \(name)") { $0.text(0) } ?? ""
      }
      let journalMode = try pragma("journal_mode")
      let synchronous = try pragma("synchronous")
      let secureDelete = try pragma("secure_delete")
      let check = try pragma("quick_check(1)")
      let applied = try Migrations.migrator.appliedMigrations(database).last ?? "none"
      let bytes = (Int64(try pragma("page_count")) ?? 0) * (Int64(try pragma("page_size")) ?? 0)
      let version = try connection.first("SELECT sqlite_version()") { $0.text(0) } ?? ""
      return [
        StoreFinding(name: "engine", value: "SQLite \(version)"),
        StoreFinding(name: "database", value: "\(path) (\(bytes) bytes)"),
        StoreFinding(name: "schema", value: applied),
        StoreFinding(name: "journal mode", value: journalMode, isSound: journalMode == "wal"),
        StoreFinding(
          name: "synchronous", value: synchronous == "2" ? "FULL" : synchronous, isSound: synchronous == "2"),
        StoreFinding(
          name: "erased content", value: secureDelete == "1" ? "overwritten" : "left", isSound: secureDelete == "1"),
        StoreFinding(name: "integrity", value: check, isSound: check == "ok"),
      ]
    }
  }

  package var activity: StoreActivity { writer.activity }

  package func close() async {
    await writer.close()
    readers.close()
    try? writerQueue.close()
  }
}

struct SQLiteReadTransaction: ReadTransaction {
  let connection: SQLiteConnection

  var installation: any InstallationReads { SQLiteInstallation(connection: connection) }
  var merchants: any MerchantReads { SQLiteMerchants(connection: connection) }
  var apiKeys: any APIKeyReads { SQLiteAPIKeys(connection: connection) }
  var locations: any LocationReads { SQLiteLocations(connection: connection) }
  var enrollments: any EnrollmentReads { SQLiteEnrollments(connection: connection) }
  var devices: any DeviceReads { SQLiteDevices(connection: connection) }
  var events: any EventReads { SQLiteEvents(connection: connection) }
  var budgets: any BudgetReads { SQLiteBudgets(connection: connection) }
  var sessions: any SessionReads { SQLiteSessions(connection: connection) }
  var payments: any PaymentReads { SQLitePayments(connection: connection) }
  var orders: any OrderReads { SQLiteOrders(connection: connection) }
  var paymentMethods: any PaymentMethodReads { SQLitePaymentMethods(connection: connection) }
  var simulatedCards: any SimulatedCardReads { SQLiteSimulatedCards(connection: connection) }
  var webhooks: any WebhookReads { SQLiteWebhooks(connection: connection) }
  var deliveries: any DeliveryReads { SQLiteDeliveries(connection: connection) }
}

struct SQLiteWriteTransaction: WriteTransaction {
  let connection: SQLiteConnection

  var installation: any InstallationTable { SQLiteInstallation(connection: connection) }
  var merchants: any MerchantTable { SQLiteMerchants(connection: connection) }
  var apiKeys: any APIKeyTable { SQLiteAPIKeys(connection: connection) }
  var locations: any LocationTable { SQLiteLocations(connection: connection) }
  var enrollments: any EnrollmentTable { SQLiteEnrollments(connection: connection) }
  var devices: any DeviceTable { SQLiteDevices(connection: connection) }
  var events: any EventTable { SQLiteEvents(connection: connection) }
  var budgets: any BudgetTable { SQLiteBudgets(connection: connection) }
  var idempotency: any IdempotencyTable { SQLiteIdempotency(connection: connection) }
  var proofs: any ProofTable { SQLiteProofs(connection: connection) }
  var sessions: any SessionTable { SQLiteSessions(connection: connection) }
  var payments: any PaymentTable { SQLitePayments(connection: connection) }
  var orders: any OrderTable { SQLiteOrders(connection: connection) }
  var paymentMethods: any PaymentMethodTable { SQLitePaymentMethods(connection: connection) }
  var simulatedCards: any SimulatedCardTable { SQLiteSimulatedCards(connection: connection) }
  var webhooks: any WebhookTable { SQLiteWebhooks(connection: connection) }
  var deliveries: any DeliveryTable { SQLiteDeliveries(connection: connection) }
}
