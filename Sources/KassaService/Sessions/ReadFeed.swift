import KassaDomain
import KassaStore

extension KassaService {
  /// The device's events after a position, oldest first, some hundred at most.
  package func feed(of device: DeviceID, after position: Int64) async throws -> [LoggedEvent] {
    try await store.read { try $0.events.feed(of: device, after: position, limit: Limits.feedEventsMax) }
  }

  /// Where a feed begins that nobody read before.
  package func feedStart(of device: DeviceID) async throws -> Int64 {
    try await store.read { try $0.events.newestPosition(of: device) }
  }
}
