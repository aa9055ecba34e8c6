import Dispatch
import KassaDomain
import KassaStore
import Synchronization

/// Connections that write, each on a serial queue of its own, with group commit: bodies that wait together run each in a
/// savepoint of its own inside one transaction, and are answered after that transaction's one commit.
///
/// No timer delays anybody: while a connection's batch commits, the next gathers. Statements that need no answer travel
/// with the next one that does; when one fails, its own body is undone, and those after it run again. A body that meets
/// another transaction's lock is undone soon, and run alone after the batch, in patience: so that two batches that want
/// each other's rows part quickly.
final class Writers: Sendable {
  /// One waiting body. `execute` returns what to do once the commit stands.
  private struct Job: Sendable {
    let execute: @Sendable (PostgresWriteTransaction) throws -> @Sendable () -> Void
    let fail: @Sendable (any Error) -> Void
  }

  private enum Outcome {
    case kept(answer: @Sendable () -> Void, effects: WriteEffects)
    case refused(any Error)
    /// It met others: to be run alone.
    case collided(PostgresFailure)
  }

  private final class Worker: Sendable {
    let queue: DispatchQueue
    let connection = Mutex<PostgresConnection?>(nil)
    /// When it looks next whether another server took over.
    let looksElsewhereAt = Mutex<Int64>(0)

    init(number: Int) {
      queue = DispatchQueue(label: "kassa.postgres.writer.\(number)", qos: .userInitiated)
    }
  }

  private let maker: ConnectionMaker
  private let workers: [Worker]
  private let queue: WorkQueue<Job>
  private let counted = Mutex(StoreActivity())
  /// Told of each commit with events: its transaction's number, and the devices concerned.
  private let committed: @Sendable (_ transaction: Int64, _ devices: Set<DeviceID>) -> Void

  init(_ maker: ConnectionMaker, committed: @escaping @Sendable (Int64, Set<DeviceID>) -> Void) {
    self.maker = maker
    self.committed = committed
    workers = (0..<maker.limits.writersMax).map { Worker(number: $0) }
    queue = WorkQueue(workersMax: workers.count, limits: maker.limits)
  }

  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let job = Job(
        execute: { transaction in
          let value = try body(transaction)
          return { continuation.resume(returning: value) }
        },
        fail: { continuation.resume(throwing: $0) })
      switch queue.add(job) {
      case .start(let number): workers[number].queue.async { self.drain(number) }
      case .wait: break
      case .refuse(let reason): job.fail(StoreError.unavailable(OperatorDetail(reason)))
      }
    }
  }

  /// What was committed so far. A body that threw is no write.
  var activity: StoreActivity { counted.withLock { $0 } }

  /// Refuses new bodies and returns when the accepted ones are answered.
  func close() async {
    await queue.close()
    for worker in workers { worker.connection.withLock { $0 = nil } }
  }

  private func drain(_ number: Int) {
    let worker = workers[number]
    while true {
      let (jobs, late) = queue.take(upTo: maker.limits.bodiesPerTransactionMax, for: number)
      for job in late { job.fail(StoreError.unavailable(OperatorDetail("no connection was free in time"))) }
      if jobs.isEmpty, late.isEmpty { return }
      if jobs.isEmpty { continue }
      var connection = worker.connection.withLock { $0 }
      if isOwedAnswer(&connection, of: worker) {
        let reason = OperatorDetail("a commit has waited for \(maker.limits.patienceSeconds) s: is a standby away?")
        for job in jobs { job.fail(StoreError.unavailable(reason)) }
      } else {
        runTogether(jobs, on: &connection)
      }
      worker.connection.withLock { $0 = connection }
    }
  }

  /// Whether the connection cannot be used because a commit is not answered yet. One of which another server has taken
  /// over is replaced: the server that it waits for may be frozen for good.
  private func isOwedAnswer(_ connection: inout PostgresConnection?, of worker: Worker) -> Bool {
    guard let owed = connection, owed.isOwedAnswer else { return false }
    do {
      if try owed.catchUp(waitingMilliseconds: maker.limits.owedMilliseconds) { return false }
    } catch {
      connection = nil
      return false
    }
    let now = PostgresConnection.now()
    let isTime = worker.looksElsewhereAt.withLock { next in
      defer { if next <= now { next = now + maker.limits.lookElsewhereMilliseconds } }
      return next <= now
    }
    guard isTime, let found = try? maker.connect(.writing), !found.isConnected(likewise: owed) else { return true }
    connection = found
    return false
  }

  // MARK: Tries

  private func runTogether(_ jobs: [Job], on connection: inout PostgresConnection?) {
    var alone: [Job] = []
    do {
      alone = try attempt(jobs, isPatient: false, on: &connection)
    } catch {
      // Nothing of the batch was kept. The connection may have died while it was idle, so once more; alone, because one
      // of them may be what the others suffer from.
      guard !error.isIndeterminate else {
        for job in jobs { job.fail(error.storeError) }
        return
      }
      alone = jobs
    }
    for job in alone { runAlone(job, on: &connection) }
  }

  private func runAlone(_ job: Job, on connection: inout PostgresConnection?) {
    for number in 1...maker.limits.triesMax {
      do {
        if try attempt([job], isPatient: number > 1, on: &connection).isEmpty { return }
        if number == maker.limits.triesMax {
          job.fail(StoreError.unavailable(OperatorDetail("others changed the same rows again and again")))
          return
        }
        pause(milliseconds: Int64.random(in: 0...(2 << min(number, 6))))
      } catch {
        let isWorthATry =
          error.failure.isCollision
          ? number < maker.limits.triesMax
          : number == 1 && (error.failure.isLost || error.failure.isReadOnly)
        guard isWorthATry, !error.isIndeterminate else {
          job.fail(error.storeError)
          return
        }
      }
    }
  }

  /// Why nothing was answered.
  private struct BatchFailure: Error {
    let failure: PostgresFailure
    let isIndeterminate: Bool

    var storeError: StoreError {
      guard isIndeterminate else { return failure.storeError }
      return .indeterminate(OperatorDetail("PostgreSQL \(failure.sqlState): \(failure.message)"))
    }
  }

  /// Runs bodies in one transaction, answers those that are done with, and returns those that met others.
  private func attempt(
    _ jobs: [Job], isPatient: Bool, on connection: inout PostgresConnection?
  ) throws(BatchFailure) -> [Job] {
    let used: PostgresConnection
    if let connection {
      used = connection
    } else {
      do {
        used = try maker.connect(.writing)
      } catch {
        throw BatchFailure(failure: error, isIndeterminate: false)
      }
      connection = used
    }
    do {
      return try transact(jobs, isPatient: isPatient, on: used)
    } catch {
      if used.isOwedAnswer { throw error }
      if error.failure.isLost || error.failure.isReadOnly || error.isIndeterminate || !used.isUsable {
        connection = nil
      } else {
        do { _ = try used.ask("ROLLBACK") } catch { connection = nil }
      }
      throw error
    }
  }

  // MARK: One transaction

  private func transact(
    _ jobs: [Job], isPatient: Bool, on connection: PostgresConnection
  ) throws(BatchFailure) -> [Job] {
    let session = PostgresSession(writing: connection, isPatient: isPatient)
    let transaction = PostgresWriteTransaction(session: session)
    let hasSavepoints = jobs.count > 1
    var outcomes: [Outcome] = []
    connection.body = nil
    try definite { () throws(PostgresFailure) in
      try connection.send("BEGIN")
      if isPatient { try connection.send("SET LOCAL lock_timeout = \(maker.limits.lockMillisecondsAlone)") }
    }
    while true {
      while outcomes.count < jobs.count {
        session.beginBody()
        connection.body = outcomes.count
        if hasSavepoints { try definite { () throws(PostgresFailure) in try connection.send("SAVEPOINT body") } }
        do {
          let answer = try jobs[outcomes.count].execute(transaction)
          if session.failure == nil {
            if hasSavepoints {
              try definite { () throws(PostgresFailure) in try connection.send("RELEASE SAVEPOINT body") }
            }
            outcomes.append(.kept(answer: answer, effects: session.effects))
            session.earlierEffects.merge(session.effects)
            continue
          }
        } catch let error as BatchFailure {
          throw error
        } catch {
          if session.failure == nil {
            try undo(session, on: connection, hasSavepoints: hasSavepoints)
            outcomes.append(.refused(error))
            continue
          }
          if let failure = session.failure, failure.body == outcomes.count, !failure.isCollision || isFinal(error) {
            outcomes.append(.refused(error))
          }
        }
        guard let failure = session.failure else { preconditionFailure("a body failed without a failure") }
        try recover(from: failure, &outcomes, on: connection, hasSavepoints: hasSavepoints)
        session.earlierEffects = Self.merged(outcomes)
        session.forgetShared()
      }
      do {
        return try commit(outcomes, session.earlierEffects, jobs, on: connection)
      } catch {
        switch error {
        case .batch(let failure): throw failure
        case .later(let failure):
          try recover(from: failure, &outcomes, on: connection, hasSavepoints: hasSavepoints)
          session.earlierEffects = Self.merged(outcomes)
          session.forgetShared()
        }
      }
    }
  }

  /// An error that stands although the body met a lock: the port's word for it.
  private func isFinal(_ error: any Error) -> Bool {
    if case StoreError.conflict = error { true } else { false }
  }

  /// A statement of a body failed, perhaps one that was sent along only after the body had ended. That body is undone;
  /// those after it, whose statements were not run, are run again.
  private func recover(
    from failure: PostgresFailure, _ outcomes: inout [Outcome], on connection: PostgresConnection, hasSavepoints: Bool
  ) throws(BatchFailure) {
    guard !failure.isLost, !failure.isReadOnly, let body = failure.body, body <= outcomes.count else {
      throw BatchFailure(failure: failure, isIndeterminate: false)
    }
    var known: Outcome?
    if body < outcomes.count, case .refused = outcomes[body] { known = outcomes[body] }
    outcomes.removeLast(outcomes.count - body)
    outcomes.append(known ?? (failure.isCollision ? .collided(failure) : .refused(failure.storeError)))
    connection.body = nil
    try definite { () throws(PostgresFailure) in
      if hasSavepoints {
        try connection.send("ROLLBACK TO SAVEPOINT body")
        try connection.send("RELEASE SAVEPOINT body")
      } else {
        try connection.send("ROLLBACK")
        try connection.send("BEGIN")
      }
    }
  }

  private func undo(
    _ session: PostgresSession, on connection: PostgresConnection, hasSavepoints: Bool
  ) throws(BatchFailure) {
    session.forgetShared()
    try definite { () throws(PostgresFailure) in
      if hasSavepoints {
        if session.isTouched { try connection.send("ROLLBACK TO SAVEPOINT body") }
        try connection.send("RELEASE SAVEPOINT body")
      } else if session.isTouched {
        try connection.send("ROLLBACK")
        try connection.send("BEGIN")
      }
    }
  }

  private enum CommitFailure: Error {
    /// A statement that was still on its way failed: its body is undone, and the rest goes on.
    case later(PostgresFailure)
    case batch(BatchFailure)
  }

  /// Writes what the bodies left, commits, and answers. Returns those that met others.
  private func commit(
    _ outcomes: [Outcome], _ effects: WriteEffects, _ jobs: [Job], on connection: PostgresConnection
  ) throws(CommitFailure) -> [Job] {
    connection.body = nil
    let results: [PostgresResult]
    do {
      // First what may still fail in a body, so that after it only the commit itself is in doubt.
      try Totals.write(effects.totals, shard: connection.shard, to: connection)
      try WriteEffects.write(effects.queueCalls, shard: connection.shard, to: connection)
      if effects.hasEvents { try connection.enqueueAsking("SELECT pg_current_xact_id()::text::bigint") }
      _ = connection.takeWarnings()
      try connection.enqueueAsking("COMMIT")
      results = try connection.settleCommit()
    } catch {
      if error.isLost { throw .batch(BatchFailure(failure: error, isIndeterminate: error.mayHaveRunLast)) }
      if error.body != nil { throw .later(error) }
      throw .batch(BatchFailure(failure: error, isIndeterminate: false))
    }
    guard let commit = results.last, commit.command == "COMMIT" else {
      throw .batch(
        BatchFailure(failure: .lost("the commit was answered \(results.last?.command ?? "")"), isIndeterminate: false))
    }
    // A commit that did not wait for its standby to the end says so by a warning only.
    if let warning = connection.takeWarnings().first {
      throw .batch(BatchFailure(failure: .lost(warning), isIndeterminate: true))
    }
    if effects.hasEvents, results.count > 1 { committed(results[0][0].integer(0), effects.devices) }
    counted.withLock { activity in
      activity.add(writes: Int64(outcomes.count { if case .kept = $0 { true } else { false } }))
    }
    var collided: [Job] = []
    for (job, outcome) in zip(jobs, outcomes) {
      switch outcome {
      case .kept(let answer, _): answer()
      case .refused(let error): job.fail(error)
      case .collided: collided.append(job)
      }
    }
    return collided
  }

  private static func merged(_ outcomes: [Outcome]) -> WriteEffects {
    outcomes.reduce(into: WriteEffects()) { effects, outcome in
      if case .kept(_, let left) = outcome { effects.merge(left) }
    }
  }

  /// A failure before the commit: nothing was kept.
  private func definite(_ body: () throws(PostgresFailure) -> Void) throws(BatchFailure) {
    do {
      try body()
    } catch {
      throw BatchFailure(failure: error, isIndeterminate: false)
    }
  }
}
