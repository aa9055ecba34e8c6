import NIOCore
import ServiceLifecycle
import Synchronization

/// Frames of Server-Sent Events (WHATWG HTML, section 9.2).
enum StreamFrame {
  /// `data` has no line breaks: it is compact JSON.
  static func event(id: String, name: String, data: String) -> ByteBuffer {
    ByteBuffer(string: "id: \(id)\nevent: \(name)\ndata: \(data)\n\n")
  }

  /// A sign of life.
  static let alive = ByteBuffer(string: ": alive\n\n")
}

/// Waits for whichever comes first: a signal, the time for a heartbeat, or an end: of the connection, or of the server by
/// graceful shutdown. Needs no task of its own, because thousands of streams wait at once. One task waits at a time.
final class StreamTicks: Sendable {
  enum Tick { case signal, heartbeat, end }

  private struct State {
    var isSignalled = false
    var isHeartbeatDue = false
    var isOver = false
    var waiter: CheckedContinuation<Void, Never>?
    /// What signals, for as long as these ticks are wanted.
    var source: (any Sendable)?
    var heartbeat: RepeatedTask?

    var isIdle: Bool { !isSignalled && !isHeartbeatDue && !isOver }
  }

  private let state = Mutex(State())

  /// Listens to what `listen` connects to its closure: what it returns is kept until the ticks are let go.
  init(seconds: Int64, connection: any Channel, listen: (@escaping @Sendable () -> Void) -> any Sendable) {
    connection.closeFuture.whenComplete { [weak self] _ in self?.note { $0.isOver = true } }
    let heartbeat = connection.eventLoop.scheduleRepeatedTask(
      initialDelay: .seconds(seconds), delay: .seconds(seconds)
    ) { [weak self] _ in self?.note { $0.isHeartbeatDue = true } }
    let source = listen { [weak self] in self?.note { $0.isSignalled = true } }
    state.withLock { ($0.source, $0.heartbeat) = (source, heartbeat) }
  }

  deinit { state.withLock { $0.heartbeat }?.cancel() }

  /// Runs `body`, for which an end of the server is a tick too.
  func untilShutdown(_ body: () async throws -> Void) async rethrows {
    try await withGracefulShutdownHandler(operation: body) { [weak self] in self?.note { $0.isOver = true } }
  }

  func next() async -> Tick {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let waits = state.withLock { state in
          if state.isIdle { state.waiter = continuation }
          return state.isIdle
        }
        if !waits { continuation.resume() }
      }
    } onCancel: {
      note { $0.isOver = true }
    }
    return state.withLock { state in
      if state.isOver { return .end }
      if state.isHeartbeatDue {
        state.isHeartbeatDue = false
        return .heartbeat
      }
      state.isSignalled = false
      return .signal
    }
  }

  private func note(_ change: (inout State) -> Void) {
    let waiter = state.withLock { state in
      change(&state)
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }
}
