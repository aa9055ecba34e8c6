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
      StoreFinding(name: "replication", value: try replication(try setting("synchronous_standby_names"))),
      StoreFinding(name: "oldest transaction", value: try oldestTransaction()),
    ]
  }

  /// Standbys that are connected, as far as this user may see them.
  private func replication(_ synchronousNames: String) throws -> String {
    let standbys = try session.all(
      """
      SELECT application_name, coalesce(state, 'hidden'), coalesce(sync_state, 'hidden') FROM pg_stat_replication
      ORDER BY application_name
      """
    ) { "\($0.text(0)) \($0.text(1)) \($0.text(2))" }
    let wanted = synchronousNames.isEmpty ? "commits wait for no standby" : "commits wait for \(synchronousNames)"
    return standbys.isEmpty ? "\(wanted); none is connected" : "\(wanted); \(standbys.joined(separator: ", "))"
  }

  /// Events are shown once every transaction that began to write before theirs is over: one that stays open holds them up.
  private func oldestTransaction() throws -> String {
    let seconds = try session.first(
      """
      SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::bigint FROM pg_stat_activity
      WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
      """
    ) { $0.integer(0) }
    return "\(seconds ?? 0) s old"
  }
}
