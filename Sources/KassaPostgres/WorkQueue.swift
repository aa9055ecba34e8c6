import KassaStore
import Synchronization

/// Jobs that wait for one of a few workers. Bounded: beyond the limit a job is refused at once, and one that waited too
/// long is refused when its turn comes.
final class WorkQueue<Job: Sendable>: Sendable {
  private struct State {
    var waiting: [(job: Job, since: Int64)] = []
    var idle: [Int]
    var isClosed = false
    var whenIdle: [CheckedContinuation<Void, Never>] = []
  }

  enum Decision {
    case start(worker: Int)
    case wait
    case refuse(String)
  }

  private let state: Mutex<State>
  private let workersMax: Int
  private let waitingMax: Int
  private let waitingMilliseconds: Int64

  init(workersMax: Int, limits: PostgresLimits) {
    self.workersMax = workersMax
    waitingMax = limits.waitingMax
    waitingMilliseconds = limits.waitingSecondsMax * 1000
    state = Mutex(State(idle: Array((0..<workersMax).reversed())))
  }

  /// Takes the job. With `start` that worker must be set going.
  func add(_ job: Job) -> Decision {
    state.withLock { state in
      if state.isClosed { return .refuse("the store is closed") }
      if state.waiting.count >= waitingMax { return .refuse("\(waitingMax) wait already") }
      state.waiting.append((job, PostgresConnection.now()))
      return state.idle.popLast().map { .start(worker: $0) } ?? .wait
    }
  }

  /// The next jobs for a worker, at most `limit` and no more than its share, and those that waited too long. With none
  /// of either the worker is idle from now on.
  func take(upTo limit: Int, for worker: Int) -> (jobs: [Job], late: [Job]) {
    let (jobs, late, continuations) = state.withLock { state -> ([Job], [Job], [CheckedContinuation<Void, Never>]) in
      let oldest = PostgresConnection.now() - waitingMilliseconds
      let lateCount = state.waiting.prefix { $0.since < oldest }.count
      let late = state.waiting.prefix(lateCount).map(\.job)
      state.waiting.removeFirst(lateCount)
      let share = (state.waiting.count + state.idle.count) / (state.idle.count + 1)
      let jobs = state.waiting.prefix(min(limit, max(share, 1))).map(\.job)
      state.waiting.removeFirst(jobs.count)
      guard jobs.isEmpty, late.isEmpty else { return (jobs, late, []) }
      state.idle.append(worker)
      guard state.idle.count == workersMax else { return ([], [], []) }
      defer { state.whenIdle = [] }
      return ([], [], state.whenIdle)
    }
    for continuation in continuations { continuation.resume() }
    return (jobs, late)
  }

  /// Refuses new jobs, and returns when the accepted ones are done.
  func close() async {
    await withCheckedContinuation { continuation in
      let isIdle = state.withLock { state in
        state.isClosed = true
        if state.idle.count == workersMax { return true }
        state.whenIdle.append(continuation)
        return false
      }
      if isIdle { continuation.resume() }
    }
  }
}
