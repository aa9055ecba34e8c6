import Dispatch
import GRDB
import KassaStore
import Synchronization

/// The one writer of a database. Bodies that wait together run each in a savepoint of its own inside one transaction,
/// and are answered after that transaction's one commit: one `fsync` for all of them.
///
/// No timer delays anybody: while one batch commits, the next gathers. A body that throws is undone alone. Its error,
/// too, is passed on only after the commit, because it may rest on what an earlier body of the batch wrote.
final class GroupCommitWriter: Sendable {
  /// Bodies that may wait. Beyond it writing is refused at once, so that a stuck disk cannot eat the memory.
  static let waitingMax = 10_000
  /// Bodies in one transaction: bounds how long the first waits for the last.
  static let batchMax = 256

  /// One waiting body. `execute` returns what to do once the commit stands.
  private struct Job: Sendable {
    let execute: @Sendable (SQLiteWriteTransaction) throws -> @Sendable () -> Void
    let fail: @Sendable (any Error) -> Void
  }

  private struct State {
    var waiting: [Job] = []
    var isDraining = false
    var isClosed = false
    var whenIdle: [CheckedContinuation<Void, Never>] = []
    var activity = StoreActivity()
  }

  private let queue: DatabaseQueue
  private let thread = DispatchQueue(label: "kassa.sqlite.writer", qos: .userInitiated)
  private let state = Mutex(State())

  init(queue: DatabaseQueue) {
    self.queue = queue
  }

  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      enqueue(
        Job(
          execute: { transaction in
            let value = try body(transaction)
            return { continuation.resume(returning: value) }
          },
          fail: { continuation.resume(throwing: $0) }))
    }
  }

  /// What was committed so far. A body that threw is no write.
  var activity: StoreActivity { state.withLock { $0.activity } }

  /// Refuses new bodies and returns when the accepted ones are answered.
  func close() async {
    await withCheckedContinuation { continuation in
      let isIdle = state.withLock { state in
        state.isClosed = true
        if state.isDraining { state.whenIdle.append(continuation) }
        return !state.isDraining
      }
      if isIdle { continuation.resume() }
    }
  }

  private func enqueue(_ job: Job) {
    enum Decision {
      case startDraining, wait
      case refuse(String)
    }
    let decision: Decision = state.withLock { state in
      if state.isClosed { return .refuse("the store is closed") }
      if state.waiting.count >= Self.waitingMax { return .refuse("\(Self.waitingMax) writes are waiting already") }
      state.waiting.append(job)
      defer { state.isDraining = true }
      return state.isDraining ? .wait : .startDraining
    }
    switch decision {
    case .startDraining: thread.async { self.drain() }
    case .wait: break
    case .refuse(let reason): job.fail(StoreError.unavailable(OperatorDetail(reason)))
    }
  }

  private func drain() {
    while true {
      let (batch, idle): ([Job], [CheckedContinuation<Void, Never>]) = state.withLock { state in
        let batch = Array(state.waiting.prefix(Self.batchMax))
        state.waiting.removeFirst(batch.count)
        guard batch.isEmpty else { return (batch, []) }
        state.isDraining = false
        defer { state.whenIdle = [] }
        return ([], state.whenIdle)
      }
      if batch.isEmpty {
        for continuation in idle { continuation.resume() }
        return
      }
      commit(batch)
    }
  }

  private func commit(_ batch: [Job]) {
    let committed: (answers: [@Sendable () -> Void], writes: Int64)
    do {
      committed = try queue.inDatabase { try Self.run(batch, on: SQLiteConnection(database: $0)) }
    } catch {
      for job in batch { job.fail(SQLiteErrors.mapped(error)) }
      return
    }
    state.withLock { $0.activity.add(writes: committed.writes) }
    for answer in committed.answers { answer() }
  }

  /// Returns an answer for each job, to be given now that the commit stands, and how many bodies it keeps. Throws when
  /// nothing of the batch was kept.
  private static func run(
    _ batch: [Job], on connection: SQLiteConnection
  ) throws -> (answers: [@Sendable () -> Void], writes: Int64) {
    let transaction = SQLiteWriteTransaction(connection: connection)
    var answers: [@Sendable () -> Void] = []
    answers.reserveCapacity(batch.count)
    var writes: Int64 = 0
    try connection.run("BEGIN IMMEDIATE")
    do {
      for job in batch {
        try connection.run("SAVEPOINT body")
        do {
          answers.append(try job.execute(transaction))
          writes += 1
        } catch {
          // A full disk or an I/O error may have ended the whole transaction, and the earlier bodies with it.
          guard connection.database.isInsideTransaction else { throw error }
          try connection.run("ROLLBACK TO body")
          answers.append { job.fail(error) }
        }
        try connection.run("RELEASE body")
      }
    } catch {
      if connection.database.isInsideTransaction { _ = try? connection.run("ROLLBACK") }
      throw error
    }
    do {
      try connection.run("COMMIT")
    } catch {
      if connection.database.isInsideTransaction { _ = try? connection.run("ROLLBACK") }
      guard case .unavailable(let detail) = SQLiteErrors.mapped(error) else { throw error }
      throw StoreError.indeterminate(detail)
    }
    return (answers, writes)
  }
}
