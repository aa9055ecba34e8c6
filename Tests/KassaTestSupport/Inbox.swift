import NIOCore
import Synchronization

/// What arrived on one connection, and who waits for it.
final class Inbox<Item: Sendable>: Sendable {
  private struct State {
    var items: [Item] = []
    var waiting: [(id: Int, continuation: CheckedContinuation<Item, any Error>, hangGuard: Scheduled<Void>)] = []
    var end: HTTPFailure?
    var lastID = 0
  }

  private let state = Mutex(State())

  var isEmpty: Bool { state.withLock { $0.items.isEmpty } }

  func put(_ item: Item) {
    let first = state.withLock { state in
      if state.waiting.isEmpty {
        state.items.append(item)
        return nil as (CheckedContinuation<Item, any Error>, Scheduled<Void>)?
      }
      let first = state.waiting.removeFirst()
      return (first.continuation, first.hangGuard)
    }
    first?.1.cancel()
    first?.0.resume(returning: item)
  }

  func end(_ failure: HTTPFailure) {
    let waiting = state.withLock { state in
      if state.end == nil { state.end = failure }
      defer { state.waiting = [] }
      return state.waiting.map { ($0.continuation, $0.hangGuard) }
    }
    for (continuation, hangGuard) in waiting {
      hangGuard.cancel()
      continuation.resume(throwing: failure)
    }
  }

  func next(withinSeconds seconds: Int64, on eventLoop: any EventLoop) async throws -> Item {
    try await withCheckedThrowingContinuation { continuation in
      let ready: Result<Item, any Error>? = state.withLock { state in
        if !state.items.isEmpty { return .success(state.items.removeFirst()) }
        if let end = state.end { return .failure(end) }
        state.lastID += 1
        let id = state.lastID
        let hangGuard = eventLoop.scheduleTask(in: .seconds(seconds)) { self.giveUp(id) }
        state.waiting.append((id, continuation, hangGuard))
        return nil
      }
      if let ready { continuation.resume(with: ready) }
    }
  }

  private func giveUp(_ id: Int) {
    let continuation = state.withLock { state in
      let index = state.waiting.firstIndex { $0.id == id }
      return index.map { state.waiting.remove(at: $0).continuation }
    }
    continuation?.resume(throwing: HTTPFailure.timedOut)
  }
}
