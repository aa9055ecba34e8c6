import NIOCore
import ServiceLifecycle

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
/// graceful shutdown.
final class StreamTicks {
  enum Tick { case signal, heartbeat, end }

  private let owner: (any Sendable)?
  private var iterator: AsyncStream<Tick>.Iterator
  private let pump: Task<Void, Never>

  /// `owner` is kept until the ticks are let go.
  init(signals: AsyncStream<Void>, keeping owner: (any Sendable)? = nil, seconds: Int64, connection: any Channel) {
    let (merged, continuation) = AsyncStream.makeStream(of: Tick.self, bufferingPolicy: .bufferingNewest(2))
    self.owner = owner
    iterator = merged.makeAsyncIterator()
    connection.closeFuture.whenComplete { _ in continuation.finish() }
    pump = Task {
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          for await _ in signals { continuation.yield(.signal) }
        }
        group.addTask {
          while (try? await Task.sleep(for: .seconds(seconds))) != nil { continuation.yield(.heartbeat) }
        }
        group.addTask {
          guard (try? await gracefulShutdown()) != nil else { return }
          continuation.finish()
        }
      }
    }
  }

  deinit { pump.cancel() }

  func next() async -> Tick { await iterator.next() ?? .end }
}
