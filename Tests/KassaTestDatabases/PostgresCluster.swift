import Foundation
import KassaPostgres
import Synchronization

/// A PostgreSQL server of the test run's own, from Debian's package: on a Unix socket in a temporary folder, with `fsync`
/// on. It is started by the first test that asks, and ends with the process, however that ends.
package final class PostgresCluster: Sendable {
  package struct DidNotStart: Error, CustomStringConvertible {
    package let description: String
  }

  package static func shared() throws -> PostgresCluster { try sharedResult.get() }

  private static let sharedResult = Result { try PostgresCluster() }

  private let folder: String
  /// Its standard input is open as long as this process lives; then the server is ended.
  private let guardian: Process
  private let lifeline = Pipe()
  private let databases = Atomic<Int>(0)
  private static let template = "kassa_template"
  private static let startSeconds = 30.0

  /// Also for a cluster beside the shared one, which a test may stop and start.
  package init(settings: [String: String] = [:]) throws {
    let version = try Self.newestVersion()
    let programs = "/usr/lib/postgresql/\(version)/bin"
    folder = "/tmp/kassa-postgres-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    // PostgreSQL does not run as root.
    let user = geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --init-groups" : ""
    if geteuid() == 0 { try Self.run("/bin/sh", ["-c", "chown postgres \(folder)"]) }
    try Self.run(
      "/bin/sh",
      [
        "-c",
        "\(user) \(programs)/initdb --pgdata=\(folder)/data --username=kassa --auth=trust --no-sync --no-instructions "
          + "--encoding=UTF8 --locale=C >\(folder)/initdb.log 2>&1 || { cat \(folder)/initdb.log >&2; exit 1; }",
      ])
    // Without autovacuum, so that no transaction but the tests' own holds events back.
    var all = [
      "unix_socket_directories": folder, "listen_addresses": "", "max_connections": "400", "autovacuum": "off",
      "shared_buffers": "64MB", "max_wal_size": "2GB", "fsync": "on", "logging_collector": "off",
    ]
    all.merge(settings) { $1 }
    let options = all.sorted { $0.key < $1.key }.map { "-c \($0.key)='\($0.value)'" }.joined(separator: " ")
    guardian = Process()
    guardian.executableURL = URL(fileURLWithPath: "/bin/sh")
    guardian.arguments = [
      "-c",
      """
      begin() { \(user) \(programs)/postgres -D \(folder)/data \(options) >>\(folder)/log 2>&1 </dev/null & server=$!; }
      crash() { kill -QUIT $server; while kill -0 $server 2>/dev/null; do sleep 0.05; done; }
      begin
      while read -r command; do $command; done
      crash
      rm -rf \(folder)
      """,
    ]
    guardian.standardInput = lifeline
    try guardian.run()
    try waitUntilItListens()
    try execute("CREATE DATABASE \(Self.template)")
    try PostgresStore.migrate(address(of: Self.template))
  }

  /// Ends the server as `pg_ctl stop -m immediate` does: without a checkpoint, and without a word to anybody.
  package func crash() throws {
    try lifeline.fileHandleForWriting.write(contentsOf: Data("crash\n".utf8))
    let end = Date().addingTimeInterval(Self.startSeconds)
    while (try? PostgresClient(url(of: "postgres"))) != nil {
      guard Date() < end else { throw DidNotStart(description: "it did not end") }
      usleep(5_000)
    }
  }

  /// Starts the server again, and waits until it has recovered.
  package func start() throws {
    try lifeline.fileHandleForWriting.write(contentsOf: Data("begin\n".utf8))
    try waitUntilItListens()
  }

  package func address(of database: String) throws -> PostgresAddress {
    guard let address = PostgresAddress(url(of: database)) else {
      throw DidNotStart(description: "no address")
    }
    return address
  }

  /// A new database with Kassa's schema and nothing in it.
  package func makeDatabase() throws -> PostgresAddress { try makeNamedDatabase().address }

  /// The same, with its URL in words.
  package func makeNamedDatabase() throws -> (address: PostgresAddress, url: String) {
    let name = "test_\(databases.add(1, ordering: .relaxed).newValue)"
    try execute("CREATE DATABASE \(name) TEMPLATE \(Self.template)")
    return (try address(of: name), url(of: name))
  }

  /// A new database without anything in it.
  package func makeEmptyDatabase(_ options: String = "") throws -> (address: PostgresAddress, url: String) {
    let name = "empty_\(databases.add(1, ordering: .relaxed).newValue)"
    try execute("CREATE DATABASE \(name) \(options)")
    return (try address(of: name), url(of: name))
  }

  private func execute(_ sql: String) throws {
    try PostgresClient(url(of: "postgres")).execute(sql)
  }

  package func url(of database: String) -> String { "postgres://kassa@/\(database)?host=\(folder)" }

  private func waitUntilItListens() throws {
    let end = Date().addingTimeInterval(Self.startSeconds)
    while true {
      do {
        _ = try PostgresClient(url(of: "postgres"))
        return
      } catch {
        let log = (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? ""
        guard Date() < end, guardian.isRunning else { throw DidNotStart(description: "\(error)\n\(log.suffix(2000))") }
        usleep(20_000)
      }
    }
  }

  private static func newestVersion() throws -> Int {
    let installed = try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")
    guard let version = installed?.compactMap({ Int($0) }).max() else {
      throw DidNotStart(description: "PostgreSQL is not installed: apt-get install postgresql")
    }
    return version
  }

  private static func run(_ program: String, _ arguments: [String]) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    let errors = Pipe()
    process.standardError = errors
    process.standardInput = FileHandle.nullDevice
    try process.run()
    let text = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw DidNotStart(description: "\(arguments): \(String(decoding: text, as: UTF8.self))")
    }
  }
}
