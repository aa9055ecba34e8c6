import Dispatch
import KassaStore
import Synchronization

/// Connections that read, each on a serial queue of its own: a blocking call never holds a thread of the cooperative pool.
final class Readers: Sendable {
  private struct Job: Sendable {
    let run: @Sendable (PostgresSession) throws -> @Sendable () -> Void
    let fail: @Sendable (any Error) -> Void
  }

  private final class Worker: Sendable {
    let queue: DispatchQueue
    let connection = Mutex<PostgresConnection?>(nil)

    init(number: Int) {
      queue = DispatchQueue(label: "kassa.postgres.reader.\(number)", qos: .userInitiated)
    }
  }

  private let maker: ConnectionMaker
  private let workers: [Worker]
  private let queue: WorkQueue<Job>
  /// First statements of bodies that turned out to need a snapshot: these begin with one.
  private let needSnapshot = Mutex<Set<String>>([])

  init(_ maker: ConnectionMaker) {
    self.maker = maker
    workers = (0..<maker.limits.readersMax).map { Worker(number: $0) }
    queue = WorkQueue(workersMax: workers.count, limits: maker.limits)
  }

  func read<Value: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let job = Job(
        run: { session in
          let value = try body(PostgresReadTransaction(session: session))
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

  /// Refuses new bodies, and returns when the accepted ones are answered.
  func close() async {
    await queue.close()
    for worker in workers { worker.connection.withLock { $0 = nil } }
  }

  private func drain(_ number: Int) {
    let worker = workers[number]
    while true {
      let (jobs, late) = queue.take(upTo: 1, for: number)
      for job in late { job.fail(StoreError.unavailable(OperatorDetail("no connection was free in time"))) }
      if jobs.isEmpty, late.isEmpty { return }
      for job in jobs {
        var connection = worker.connection.withLock { $0 }
        run(job, on: &connection)
        worker.connection.withLock { $0 = connection }
      }
    }
  }

  private func run(_ job: Job, on connection: inout PostgresConnection?) {
    // A connection may have died while it was idle: then a fresh one tries again. Reading twice harms nobody.
    for attempt in 0...1 {
      do {
        let used = try connection ?? maker.connect(.reading)
        connection = used
        let answer = try run(job, on: used)
        answer()
        return
      } catch let failure as PostgresFailure {
        connection = nil
        if attempt == 1 { job.fail(failure.storeError) }
      } catch {
        job.fail(error)
        return
      }
    }
  }

  /// Throws `PostgresFailure` when the connection is of no more use, and else what the body throws.
  private func run(_ job: Job, on connection: PostgresConnection) throws -> @Sendable () -> Void {
    var mode = PostgresSession.Mode.singleStatement
    while true {
      let session = PostgresSession(connection, mode) { first in
        self.needSnapshot.withLock { $0.contains(first) }
      }
      do {
        let answer = try job.run(session)
        try session.settleDemands()
        try session.endReading()
        return answer
      } catch {
        if session.wantsSnapshot {
          if let first = session.firstStatement { needSnapshot.withLock { _ = $0.insert(first) } }
          mode = .snapshot
          continue
        }
        if let failure = session.failure, failure.isLost || failure.isReadOnly { throw failure }
        // What began stays open only on a connection that is thrown away.
        do { try session.endReading() } catch { throw PostgresFailure.lost("\(error)") }
        throw error
      }
    }
  }
}
