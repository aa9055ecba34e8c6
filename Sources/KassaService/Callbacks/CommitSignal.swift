import KassaStore
import Synchronization

/// Tells listeners in this process that something was committed, here or on another server of the same database: a hint
/// to look, never data. Hints that come while a listener is busy become one. Some may be lost, and of a database that one
/// server has for itself the commits of other processes are not noticed: listeners must also look now and then.
package final class CommitSignal: Sendable {
  private struct State {
    var next = 0
    var listeners: [Int: @Sendable () -> Void] = [:]
  }

  private let state = Mutex(State())

  package init() {}

  /// Hints from now on, until the stream is finished by its continuation or dropped. The continuation can be used to hint
  /// at something else that the listener waits for.
  package func listen() -> (hints: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation) {
    let (hints, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
    let key = add { continuation.yield() }
    continuation.onTermination = { [weak self] _ in self?.remove(key) }
    return (hints, continuation)
  }

  /// Calls `wake` after each commit, until what it returns is let go. `wake` must be quick.
  package func listen(_ wake: @escaping @Sendable () -> Void) -> SignalListener {
    let key = add(wake)
    return SignalListener { [weak self] in self?.remove(key) }
  }

  func ring() {
    for wake in state.withLock({ Array($0.listeners.values) }) { wake() }
  }

  private func add(_ wake: @escaping @Sendable () -> Void) -> Int {
    state.withLock { state in
      state.next += 1
      state.listeners[state.next] = wake
      return state.next
    }
  }

  private func remove(_ key: Int) { state.withLock { _ = $0.listeners.removeValue(forKey: key) } }
}

/// A store that rings after each commit.
struct SignallingStore: Store {
  let base: any Store
  let signal: CommitSignal

  func read<Value: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> Value) async throws -> Value {
    try await base.read(body)
  }

  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    let value = try await base.write(body)
    signal.ring()
    return value
  }

  var activity: StoreActivity { base.activity }
  func checkWritable() async throws { try await base.checkWritable() }
  func diagnose() async throws -> [StoreFinding] { try await base.diagnose() }
  func whenHinted(_ handler: @escaping @Sendable (StoreHint) -> Void) { base.whenHinted(handler) }
  func close() async { await base.close() }
}
