import Glibc
import KassaStore

/// What an operator wants to know about the database server, as `kassa doctor` prints it.
struct Diagnosis {
  let session: PostgresSession

  func findings(database: String) throws -> [StoreFinding] {
    // Of a connection that writes, whose settings are those that commits have.
    func setting(_ name: String) throws -> String {
      try session.first("SELECT current_setting($1)", .text(name)) { $0.text(0) } ?? ""
    }
    let synchronousCommit = try setting("synchronous_commit")
    let fsync = try setting("fsync")
    let fullPageWrites = try setting("full_page_writes")
    let isolation = try setting("transaction_isolation")
    let version = try setting("server_version")
    let bytes = try session.first("SELECT pg_database_size(current_database())") { $0.integer(0) } ?? 0
    let newest = try session.first("SELECT number, name FROM kassa_migrations ORDER BY number DESC LIMIT 1") {
      "\($0.integer(0)) \($0.text(1))"
    }
    let connections = try session.first("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()") {
      $0.integer(0)
    }
    return [
      StoreFinding(name: "engine", value: "PostgreSQL \(version)"),
      StoreFinding(name: "database", value: "\(database) (\(bytes) bytes)"),
      StoreFinding(name: "schema", value: newest ?? "none"),
      StoreFinding(
        name: "synchronous_commit", value: synchronousCommit,
        isSound: ["on", "remote_write", "remote_apply"].contains(synchronousCommit)),
      StoreFinding(name: "fsync", value: fsync, isSound: fsync == "on"),
      StoreFinding(name: "full_page_writes", value: fullPageWrites, isSound: fullPageWrites == "on"),
      StoreFinding(name: "isolation", value: isolation, isSound: isolation == "read committed"),
      StoreFinding(name: "connections", value: "\(connections ?? 0) of \(try setting("max_connections"))"),
      try clock(),
      try replication(try setting("synchronous_standby_names")),
      StoreFinding(name: "oldest transaction", value: try oldestTransaction()),
    ]
  }

  /// Leases of several servers, and proofs of phones, are judged by clocks that must agree.
  private func clock() throws -> StoreFinding {
    let before = Self.now()
    let server = try session.first("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint") { $0.integer(0) }
    let after = Self.now()
    let ahead = (server ?? before) - (before + after) / 2
    let doubt = (after - before + 1) / 2
    return StoreFinding(
      name: "clock", value: "the database is \(abs(ahead)) ms \(ahead < 0 ? "behind" : "ahead"), to within \(doubt) ms",
      isSound: abs(ahead) <= Self.clockMillisecondsMax + doubt)
  }

  private static let clockMillisecondsMax: Int64 = 1000

  private static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Standbys that are connected, as far as this role may see them. Where commits wait and no standby answers them, nothing
  /// can be written.
  private func replication(_ synchronousNames: String) throws -> StoreFinding {
    let standbys = try session.all(
      """
      SELECT coalesce(application_name, ''), coalesce(state, 'hidden'), coalesce(sync_state, 'hidden')
      FROM pg_stat_replication ORDER BY application_name
      """
    ) { (name: $0.text(0), state: $0.text(1), synchrony: $0.text(2)) }
    let wanted = synchronousNames.isEmpty ? "commits wait for no standby" : "commits wait for \(synchronousNames)"
    let found = standbys.map { "\($0.name) \($0.state) \($0.synchrony)" }
    return StoreFinding(
      name: "replication",
      value: found.isEmpty ? "\(wanted); none is connected" : "\(wanted); \(found.joined(separator: ", "))",
      isSound: synchronousNames.isEmpty || standbys.contains { ["sync", "quorum", "hidden"].contains($0.synchrony) })
  }

  /// Events are shown once every transaction that began to write before theirs is over: one that stays open, or is
  /// prepared and never ended, holds them up.
  private func oldestTransaction() throws -> String {
    let open = try session.first(
      """
      SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::bigint,
      count(*) FILTER (WHERE xact_start IS NULL) FROM pg_stat_activity
      WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
      """
    ) { (seconds: $0.integer(0), hidden: $0.integer(1)) }
    let prepared = try session.first(
      """
      SELECT count(*), coalesce(max(extract(epoch FROM clock_timestamp() - prepared)), 0)::bigint FROM pg_prepared_xacts
      """
    ) { (count: $0.integer(0), seconds: $0.integer(1)) }
    var parts = ["\(open?.seconds ?? 0) s old"]
    if let hidden = open?.hidden, hidden > 0 {
      parts.append("\(hidden) of other roles, of unknown age (GRANT pg_monitor shows it)")
    }
    if let prepared, prepared.count > 0 {
      parts.append("\(prepared.count) prepared, the oldest \(prepared.seconds) s ago")
    }
    return parts.joined(separator: "; ")
  }
}
