import KassaDomain
import Synchronization

/// Wakes the streams of a device after a commit. A hint, never data: whoever is woken reads the event log, and reads it
/// from time to time without being woken too.
package final class FeedSignals: Sendable {
  private struct State {
    var waiters: [DeviceID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
    var next: UInt64 = 0
  }

  private let state = Mutex(State())

  package init() {}

  /// A stream that listens, until it is let go.
  package final class Listener: Sendable {
    /// Yields once for one or more wake-ups since it was last asked.
    package let stream: AsyncStream<Void>
    private let stop: @Sendable () -> Void

    fileprivate init(stream: AsyncStream<Void>, stop: @escaping @Sendable () -> Void) {
      self.stream = stream
      self.stop = stop
    }

    deinit { stop() }
  }

  package func listen(to device: DeviceID) -> Listener {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let number = state.withLock { state in
      state.next += 1
      state.waiters[device, default: [:]][state.next] = continuation
      return state.next
    }
    return Listener(stream: stream) { [weak self] in
      continuation.finish()
      self?.forget(number, of: device)
    }
  }

  private func forget(_ number: UInt64, of device: DeviceID) {
    state.withLock { state in
      state.waiters[device]?[number] = nil
      if state.waiters[device]?.isEmpty == true { state.waiters[device] = nil }
    }
  }

  package func wake(_ device: DeviceID) {
    let waiting = state.withLock { $0.waiters[device].map { Array($0.values) } ?? [] }
    for continuation in waiting { continuation.yield() }
  }

  package func wakeAll() {
    let waiting = state.withLock { $0.waiters.values.flatMap { Array($0.values) } }
    for continuation in waiting { continuation.yield() }
  }

  /// Streams that listen now.
  package var count: Int { state.withLock { $0.waiters.values.reduce(0) { $0 + $1.count } } }

  /// How many streams the device has open.
  package func count(of device: DeviceID) -> Int { state.withLock { $0.waiters[device]?.count ?? 0 } }
}
