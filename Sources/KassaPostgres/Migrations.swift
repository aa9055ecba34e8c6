import KassaStore

/// Brings a database's schema up to date.
enum Migrations {
  /// Applies what is missing, alone among all programs that open the database. Throws `StoreError.unusable` for a
  /// database that is newer than this program, or another program's, or, unless `isCopying`, one into which a copy has not
  /// finished; and `StoreError.unavailable` when others held what it needs for `limits.migrationSeconds`.
  ///
  /// A step waits for a table only shortly, because everybody else waits behind it meanwhile: then it lets them pass, and
  /// tries again. So it may run beside servers under load, and beside a long transaction.
  static func run(
    on connection: PostgresConnection, database: String, makesSchema: Bool, steps: [SchemaStep], limits: PostgresLimits,
    isCopying: Bool = false
  ) throws {
    let end = PostgresConnection.now() + limits.migrationSeconds * 1000
    do {
      if connection.parameter("server_encoding") != "UTF8" {
        throw StoreError.unusable(
          OperatorDetail(
            "\(database) has the encoding \(connection.parameter("server_encoding")): make one with createdb "
              + "--encoding UTF8 --template template0"))
      }
      if connection.serverVersion < versionMin {
        throw StoreError.unusable(OperatorDetail("\(database) is served by a PostgreSQL older than 14"))
      }
      let lock = [PostgresValue.integer(AdvisoryLock.migrations.key([]))]
      while try !connection.ask("SELECT pg_try_advisory_lock($1)", lock)[0].bool(0) {
        try wait(limits, until: end, for: "another program is at the schema of \(database)")
      }
      // The connection is used for this alone, and its end gives the lock back whatever happens.
      let applied = try appliedSteps(
        on: connection, database: database, makesSchema: makesSchema, isCopying: isCopying)
      if let newest = applied.max(), newest > steps.count {
        throw StoreError.unusable(
          OperatorDetail("\(database) was made by a newer Kassa; run that version, or restore a backup made before"))
      }
      for step in steps where !applied.contains(step.number) {
        while try !apply(step, on: connection, limits) {
          try wait(
            limits, until: end, for: "other transactions hold tables of \(database) that step \(step.name) changes")
        }
      }
      try alignEventClock(on: connection)
    } catch let error as PostgresFailure {
      throw error.storeError
    }
  }

  /// Throws `StoreError.unusable` unless the database has this program's schema, and no copy into it that has not finished.
  static func requireCurrent(on connection: PostgresConnection, database: String) throws {
    let applied = try appliedSteps(on: connection, database: database, makesSchema: false, isCopying: false)
    if applied.count != Schema.steps.count {
      throw StoreError.unusable(
        OperatorDetail(
          "\(database) was made by \(applied.count < Schema.steps.count ? "an older" : "a newer") Kassa: bring both to the "
            + "same version with kassa migrate first"))
    }
  }

  /// Returns `false` when others held what it needs. Then nothing was done.
  private static func apply(
    _ step: SchemaStep, on connection: PostgresConnection, _ limits: PostgresLimits
  ) throws(PostgresFailure) -> Bool {
    do {
      try connection.runScript(
        """
        BEGIN;
        SET LOCAL lock_timeout = \(limits.migrationLockMilliseconds);
        \(step.sql)
        INSERT INTO kassa_migrations (number, name) VALUES (\(step.number), '\(step.name)');
        COMMIT
        """)
      return true
    } catch {
      guard error.isCollision else { throw error }
      try connection.runScript("ROLLBACK")
      return false
    }
  }

  /// Lets others pass. Throws when there is no time left.
  private static func wait(_ limits: PostgresLimits, until end: Int64, for what: String) throws {
    guard PostgresConnection.now() < end else {
      throw StoreError.unavailable(OperatorDetail("\(what), for \(limits.migrationSeconds) seconds: try again later"))
    }
    pause(milliseconds: limits.migrationPauseMilliseconds)
  }

  private static let versionMin = 140_000

  /// The numbers of the steps that were applied. Makes their table in an empty database.
  private static func appliedSteps(
    on connection: PostgresConnection, database: String, makesSchema: Bool, isCopying: Bool
  ) throws -> [Int64] {
    // Those of an extension are nobody's.
    let tables = try connection.ask(
      """
      SELECT t.relname::text FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace
      WHERE n.nspname = current_schema() AND t.relkind IN ('r', 'p') AND NOT EXISTS
      (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e')
      """)
    let names = (0..<tables.rowCount).map { tables[$0].text(0) }
    if !names.isEmpty, !names.contains("kassa_migrations") {
      throw StoreError.unusable(OperatorDetail("\(database) is a database of another program"))
    }
    if names.contains(CopiedTable.unfinishedMark), !isCopying { throw CopiedTable.isUnfinished(database) }
    if names.isEmpty, !makesSchema {
      throw StoreError.unusable(
        OperatorDetail("\(database) is empty: name another with --database-url, or make it Kassa's with kassa migrate"))
    }
    if names.isEmpty {
      try connection.runScript(
        """
        CREATE TABLE kassa_migrations (
          number BIGINT NOT NULL PRIMARY KEY,
          name TEXT NOT NULL,
          applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
        )
        """)
    }
    let numbers = try connection.ask("SELECT number FROM kassa_migrations ORDER BY number")
    return (0..<numbers.rowCount).map { numbers[$0].integer(0) }
  }

  /// Makes new positions follow all old ones. In the cluster that the events were written in they do by themselves; a
  /// database that was moved, by dump and restore or by a copy, came with positions from elsewhere.
  static func alignEventClock(on connection: PostgresConnection) throws {
    let identity = try connection.ask("SELECT system_identifier::text FROM pg_control_system()")
    let cluster = Array((identity.rowCount == 1 ? identity[0].text(0) : "").utf8)
    let stored = try connection.ask("SELECT value FROM installation WHERE name = 'cluster'")
    if stored.rowCount == 1, stored[0].bytes(0) == cluster { return }
    try connection.send("BEGIN")
    try connection.send(clockAlignment)
    try connection.send(
      """
      INSERT INTO installation (name, value) VALUES ('cluster', $1)
      ON CONFLICT (name) DO UPDATE SET value = excluded.value
      """,
      [.bytes(cluster)])
    _ = try connection.ask("COMMIT")
  }

  /// Makes positions of now on follow all that there are.
  static let clockAlignment = """
    UPDATE event_clock SET xid_offset = greatest(xid_offset, 1
    + ((SELECT coalesce(max(position), 0) FROM events) >> \(EventClock.transactionShift))
    - pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
    """
}
