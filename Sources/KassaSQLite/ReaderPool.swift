import GRDB
import KassaStore
import Synchronization

/// The readers of a database, each a connection with a thread of its own. What reads waits for a reader outside of the
/// threads that all tasks share: a long read holds up nobody but those that wait for a reader, and a loop of reads lets
/// others run.
final class ReaderPool: Sendable {
  /// Reads that may wait. Beyond it reading is refused at once.
  static let waitingMax = 10_000

  private typealias Job = @Sendable (Result<Database, StoreError>) -> Void

  private struct State {
    var idle: [Int]
    var waiting: [Job] = []
    /// How many of `waiting` have begun already.
    var begun = 0
    var isClosed = false

    mutating func next() -> Job? {
      guard begun < waiting.count else {
        (waiting, begun) = ([], 0)
        return nil
      }
      defer { begun += 1 }
      return waiting[begun]
    }
  }

  private let readers: [DatabaseQueue]
  private let state: Mutex<State>

  init(readers: [DatabaseQueue]) {
    self.readers = readers
    state = Mutex(State(idle: Array(readers.indices)))
  }

  /// Runs `body` on a reader's thread, and returns or throws what it does.
  func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      enqueue { database in continuation.resume(with: Result { try body(database.get()) }) }
    }
  }

  private func enqueue(_ job: @escaping Job) {
    enum Decision {
      case begin(Int)
      case wait
      case refuse(String)
    }
    let decision: Decision = state.withLock { state in
      if state.isClosed { return .refuse("the store is closed") }
      if state.waiting.count - state.begun >= Self.waitingMax {
        return .refuse("\(Self.waitingMax) reads are waiting already")
      }
      state.waiting.append(job)
      return state.idle.popLast().map { .begin($0) } ?? .wait
    }
    switch decision {
    case .begin(let index): readers[index].asyncWriteWithoutTransaction { self.work(index, $0) }
    case .wait: break
    case .refuse(let reason): job(.failure(.unavailable(OperatorDetail(reason))))
    }
  }

  /// Does what waits, until nothing does.
  private func work(_ index: Int, _ database: Database) {
    while let job = state.withLock({ state in
      let job = state.next()
      if job == nil { state.idle.append(index) }
      return job
    }) {
      job(.success(database))
    }
  }

  /// Refuses new reads, and closes the connections once those accepted are answered.
  func close() {
    state.withLock { $0.isClosed = true }
    for reader in readers { try? reader.close() }
  }
}
