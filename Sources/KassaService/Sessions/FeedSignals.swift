import KassaDomain
import Synchronization

/// Wakes the streams of a device after a commit. A hint, never data: whoever is woken reads the event log, and reads it
/// from time to time without being woken too.
package final class FeedSignals: Sendable {
  private struct State {
    var waiters: [DeviceID: [UInt64: @Sendable () -> Void]] = [:]
    var next: UInt64 = 0
  }

  private let state = Mutex(State())

  package init() {}

  /// Calls `wake` after each commit that concerns the device, until what it returns is let go. `wake` must be quick.
  package func listen(to device: DeviceID, _ wake: @escaping @Sendable () -> Void) -> SignalListener {
    let number = state.withLock { state in
      state.next += 1
      state.waiters[device, default: [:]][state.next] = wake
      return state.next
    }
    return SignalListener { [weak self] in self?.forget(number, of: device) }
  }

  private func forget(_ number: UInt64, of device: DeviceID) {
    state.withLock { state in
      state.waiters[device]?[number] = nil
      if state.waiters[device]?.isEmpty == true { state.waiters[device] = nil }
    }
  }

  package func wake(_ device: DeviceID) {
    let waiting = state.withLock { $0.waiters[device].map { Array($0.values) } ?? [] }
    for wake in waiting { wake() }
  }

  package func wakeAll() {
    let waiting = state.withLock { $0.waiters.values.flatMap { Array($0.values) } }
    for wake in waiting { wake() }
  }

  /// Streams that listen now.
  package var count: Int { state.withLock { $0.waiters.values.reduce(0) { $0 + $1.count } } }

  /// How many streams the device has open.
  package func count(of device: DeviceID) -> Int { state.withLock { $0.waiters[device]?.count ?? 0 } }
}

/// Somebody who listens to signals, until it is let go.
package final class SignalListener: Sendable {
  private let stop: @Sendable () -> Void

  init(stop: @escaping @Sendable () -> Void) { self.stop = stop }

  deinit { stop() }
}
