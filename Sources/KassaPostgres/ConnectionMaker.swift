import Glibc
import KassaStore
import Synchronization

/// Opens connections to one database, and pauses while it is away.
final class ConnectionMaker: Sendable {
  enum Purpose { case reading, writing, listening, migrating, copying }

  private struct State {
    var pauseMilliseconds: Int64 = 0
    /// Until then nobody tries.
    var notBefore: Int64 = 0
    var lastFailure: PostgresFailure?
    var nextShard = Int64.random(in: 0..<Totals.shardCount)
  }

  let address: PostgresAddress
  let limits: PostgresLimits
  private let state = Mutex(State())

  init(_ address: PostgresAddress, _ limits: PostgresLimits) {
    self.address = address
    self.limits = limits
  }

  /// Throws at once while the last failure is fresh and was not the first in a row: one failure may be that connection's
  /// own, as when the server ended it while it began, and others need not suffer from it.
  func connect(_ purpose: Purpose) throws(PostgresFailure) -> PostgresConnection {
    let refusal: PostgresFailure? = state.withLock { state in
      PostgresConnection.now() < state.notBefore ? state.lastFailure : nil
    }
    if let refusal { throw refusal }
    do {
      let connection = try open(purpose)
      state.withLock { $0.pauseMilliseconds = 0 }
      return connection
    } catch {
      state.withLock { state in
        let isFirst = state.pauseMilliseconds == 0
        state.pauseMilliseconds = min(
          limits.reconnectMillisecondsMax, max(limits.reconnectMillisecondsMin, 2 * state.pauseMilliseconds))
        if isFirst { return }
        let jitter = Int64.random(in: 0...state.pauseMilliseconds / 2)
        state.notBefore = PostgresConnection.now() + state.pauseMilliseconds + jitter
        state.lastFailure = error
      }
      throw error
    }
  }

  private func open(_ purpose: Purpose) throws(PostgresFailure) -> PostgresConnection {
    // What comes before `dbname` are defaults that the URL may change; what comes after holds in any case.
    let connection = try PostgresConnection(
      [
        ("application_name", "kassa"), ("connect_timeout", "\(limits.connectSeconds)"), ("keepalives_idle", "5"),
        ("keepalives_interval", "2"), ("keepalives_count", "3"),
        ("tcp_user_timeout", "\(limits.patienceSeconds * 1000)"), ("target_session_attrs", "read-write"),
        ("dbname", address.url), ("client_encoding", "UTF8"),
      ], patienceSeconds: limits.patienceSeconds)
    connection.shard = state.withLock { state in
      state.nextShard = (state.nextShard + 1) % Totals.shardCount
      return state.nextShard
    }
    var settings = [
      ("statement_timeout", "\(limits.statementSeconds)s"), ("idle_in_transaction_session_timeout", "10s"),
      ("lock_timeout", "\(limits.lockMillisecondsTogether)ms"), ("jit", "off"),
    ]
    switch purpose {
    // Every list has its index. The plans are made once per connection, when tables may still be empty: so they must not
    // prefer to read everything and sort it.
    case .reading:
      settings += [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("enable_sort", "off")]
    case .writing: settings += [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off")]
    // What tells others is no truth: nobody waits for its way to the disk.
    case .listening: settings += [("synchronous_commit", "off"), ("enable_seqscan", "off")]
    case .migrating: settings = [("statement_timeout", "0")]
    // Page after page in the order of a key, which must not be sorted anew for each.
    case .copying:
      settings = [
        ("statement_timeout", "0"), ("lock_timeout", "30s"), ("enable_seqscan", "off"), ("enable_sort", "off"),
        ("enable_bitmapscan", "off"), ("jit", "off"),
      ]
    }
    var sql = "SELECT " + settings.map { "set_config('\($0.0)', '\($0.1)', false)" }.joined(separator: ", ")
    // An acknowledged write is on the disk here, and on the standby where there is one, whatever the server's default is.
    if purpose != .listening {
      sql += """
        , CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
        THEN set_config('synchronous_commit', 'on', false) END
        """
    }
    _ = try connection.ask(sql)
    return connection
  }
}

/// Pauses the present thread: for threads of the adapter's own.
func pause(milliseconds: Int64) {
  usleep(UInt32(max(0, milliseconds) * 1000))
}
