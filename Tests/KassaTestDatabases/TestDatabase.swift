import Foundation
import GRDB
import KassaDomain
import KassaPostgres
import KassaSQLite
import KassaStore
import Synchronization

/// The database that a test names by a path: that file, or with `KASSA_TEST_DATABASE=postgres` a database of the test
/// run's own PostgreSQL, the same for the same path.
package struct TestDatabase: Sendable {
  private enum Place: Sendable {
    case file(String)
    case server(PostgresAddress, url: String)
  }

  package static let isPostgres = ProcessInfo.processInfo.environment["KASSA_TEST_DATABASE"] == "postgres"

  private static let known = Mutex<[String: TestDatabase]>([:])
  private let place: Place

  package init(path: String) throws {
    guard Self.isPostgres else {
      place = .file(path)
      return
    }
    let database = try Self.known.withLock { known in
      if let database = known[path] { return database }
      let cluster = try PostgresCluster.shared()
      let (address, url) = try cluster.makeNamedDatabase()
      let made = TestDatabase(place: .server(address, url: url))
      known[path] = made
      return made
    }
    self = database
  }

  private init(place: Place) { self.place = place }

  /// This file, whatever the test run's databases are.
  package static func file(_ path: String) -> TestDatabase { TestDatabase(place: .file(path)) }

  /// A new database of the test run's own PostgreSQL, with Kassa's schema and nothing in it.
  package static func postgres() throws -> TestDatabase {
    let (address, url) = try PostgresCluster.shared().makeNamedDatabase()
    return TestDatabase(place: .server(address, url: url))
  }

  /// Puts the database that this path names on a cluster of a test's own.
  package static func place(_ path: String, on cluster: PostgresCluster) throws {
    let (address, url) = try cluster.makeNamedDatabase()
    known.withLock { $0[path] = TestDatabase(place: .server(address, url: url)) }
  }

  package func open() throws -> any Store {
    switch place {
    case .file(let path): try SQLiteStore(path: path)
    case .server(let address, _): try PostgresStore(address)
    }
  }

  /// Rows of the table whose column holds this identifier, counted by a connection of its own.
  package func count(_ table: String, where column: String, is id: [UInt8]) throws -> Int {
    switch place {
    case .file(let path):
      let connection = try DatabaseQueue(path: path)
      defer { try? connection.close() }
      return try connection.read { database in
        try Int.fetchOne(
          database, sql: "SELECT count(*) FROM \(table) WHERE \(column) = ?", arguments: [Data(id)]) ?? 0
      }
    case .server(_, let url):
      let digits = hexadecimalText(id)
      let found = try PostgresClient(url).execute("SELECT count(*) FROM \(table) WHERE \(column) = '\(digits)'")
      return found.first?.first.flatMap { $0 }.flatMap { Int($0) } ?? 0
    }
  }

  /// As `--database-url` takes it.
  package var url: String {
    switch place {
    case .file(let path): "sqlite:\(path)"
    case .server(_, let url): url
    }
  }

  /// What a program needs beside the URL: a file brings its secret key along.
  package var environment: [String: String] {
    switch place {
    case .file: [:]
    case .server: ["KASSA_SECRET_KEY": Data(repeating: 7, count: 32).base64EncodedString()]
    }
  }
}
