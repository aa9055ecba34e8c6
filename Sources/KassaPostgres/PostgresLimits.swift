/// Every bound of the adapter, once, with its reason.
package struct PostgresLimits: Sendable {
  /// Connections that write. Each runs the bodies that wait for it in one transaction, so a few are enough; more let
  /// more transactions wait for the disk, or for a standby, at once.
  package var writersMax = 4
  /// Bodies in one transaction: bounds how long the first waits for the last, and stays below the 64 subtransactions
  /// that PostgreSQL keeps in memory for each connection.
  package var bodiesPerTransactionMax = 48
  /// Connections that read.
  package var readersMax = 6
  /// Bodies that may wait for a connection. Beyond it they are refused at once.
  package var waitingMax = 10_000
  /// The longest that a body waits for a connection before it is refused.
  package var waitingSecondsMax: Int64 = 10
  /// How long the server works at one statement. A commit that waits for a standby it lets wait.
  package var statementSeconds: Int64 = 10
  /// Beyond the server's own limit the connection is given up. Of a commit only the callers are: they are told that nobody
  /// knows, and the connection is kept until its answer comes.
  package var patienceSeconds: Int64 = 15
  /// How long bodies wait for a connection that is owed the answer of a commit, before they are refused.
  package var owedMilliseconds: Int64 = 500
  /// How often a connection that is owed an answer looks whether another server took over.
  package var lookElsewhereMilliseconds: Int64 = 5000
  /// A transaction with other bodies in it waits so long for a lock: then the body that wants it is undone, and run alone.
  package var lockMillisecondsTogether: Int64 = 40
  /// So long a body waits that runs alone.
  package var lockMillisecondsAlone: Int64 = 2000
  /// How often a body that met others is run again.
  package var triesMax = 6
  /// How long connecting may take; libpq counts at least two.
  package var connectSeconds: Int64 = 3
  /// Pause after a connection was refused, at first and at most.
  package var reconnectMillisecondsMin: Int64 = 50
  package var reconnectMillisecondsMax: Int64 = 2000
  /// How long a program that starts waits for a server that is away.
  package var openingSeconds: Int64 = 5

  /// How long a step of a migration waits for a table before it lets those pass who wait behind it: servers' own bodies
  /// wait longer than that.
  package var migrationLockMilliseconds: Int64 = 500
  /// Between two tries of a migration that met others.
  package var migrationPauseMilliseconds: Int64 = 500
  /// How long a migration tries before it gives up.
  package var migrationSeconds: Int64 = 120

  package init() {}
}
