import HTTPTypes
import Hummingbird
import KassaDomain
import KassaJSON
import KassaService
import KassaStore
import NIOCore
import ServiceLifecycle

/// The feed of a device as Server-Sent Events (contract, section 7), read from the event log.
///
/// `id:` is the position in the log; a phone that sends it back as `Last-Event-ID` gets what followed, without gap or
/// repeat. Without one the stream begins now, with an event `ready`; the phone then reads its line of sessions once.
enum DeviceStream {
  static func answer(_ call: DeviceCall) async throws -> Answer {
    let device = call.principal.device.id
    guard call.service.signals.count(of: device) < Limits.streamsPerDeviceMax else {
      throw ServiceFailure.tooManyStreams(of: "device", max: Limits.streamsPerDeviceMax)
    }
    let resumed = try call.call.header(.lastEventID)
    guard resumed == nil || (resumed.flatMap { Int64($0) } ?? -1) >= 0 else {
      throw RequestFailure.invalidHeader("Last-Event-ID", "must be the id of an event of this stream")
    }
    let start: Int64 =
      if let resumed = resumed.flatMap({ Int64($0) }) { resumed } else { try await call.service.feedStart(of: device) }
    let (principal, connection) = (call.principal, call.call.connection)
    let service = call.service
    let hooks = call.call.api.hooks
    return .stream { writer in
      hooks.openStreams(+1)
      defer { hooks.openStreams(-1) }
      if resumed == nil { try await writer.write(frame(id: start, event: "ready", data: "{}")) }
      let ticks = StreamTicks(seconds: APILimits.heartbeatSeconds, connection: connection) { wake in
        service.signals.listen(to: device, wake)
      }
      try await ticks.untilShutdown { try await run(principal, after: start, service, ticks, hooks, &writer) }
    }
  }

  /// Writes what the log has, then waits for a signal or a heartbeat, until the client leaves, the device is removed, or
  /// the server stops.
  private static func run(
    _ principal: DevicePrincipal, after start: Int64, _ service: KassaService, _ ticks: StreamTicks,
    _ hooks: APIHooks, _ writer: inout any ResponseBodyWriter
  ) async throws {
    var position = start
    while !Task.isCancelled {
      let events = try await service.feed(of: principal.device.id, after: position)
      // Noted once all are written: no event waits for the commit that notes the one before it.
      var pushed: [SessionID] = []
      for logged in events {
        guard let event = name(of: logged.event.type) else { continue }
        try await writer.write(frame(id: logged.position, event: event, data: data(logged.event)))
        if logged.event.type == .sessionCreated {
          hooks.sessionPushed(
            service.now.millisecondsSinceEpoch - logged.event.at.millisecondsSinceEpoch)
          pushed.append(logged.event.subjectID.of(Session.self))
        }
        if logged.event.type == .deviceDeleted { return }
      }
      if !pushed.isEmpty { try await service.notePushed(pushed, as: principal) }
      if let last = events.last { position = last.position }
      if events.count == Limits.feedEventsMax { continue }
      switch await ticks.next() {
      case .signal: continue
      case .heartbeat:
        try await service.noteAlive(principal)
        try await writer.write(StreamFrame.alive)
      case .end: return
      }
    }
  }

  /// The push carries ids only (contract, section 7).
  private static func data(_ event: Event) -> String {
    var writer = JSONWriter(capacityBytes: 96)
    writer.object { object in
      switch event.type {
      case .devicePaired, .deviceChanged, .deviceDeleted: object.member("device_id", event.subjectID)
      case .paymentActionChanged: object.member("session_id", event.relatedID)
      default: object.member("session_id", event.subjectID)
      }
    }
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func name(of type: EventType) -> String? {
    switch type {
    case .sessionCreated: "session.created"
    case .sessionActivated, .paymentFailed, .paymentLate, .paymentActionChanged: "session.changed"
    case .sessionFinalized, .sessionCancelled, .sessionExpired, .sessionFailed: "session.withdrawn"
    case .deviceChanged: "device.changed"
    case .deviceDeleted: "device.revoked"
    case .merchantCreated, .apiKeyCreated, .apiKeyRevoked, .locationCreated, .locationChanged, .locationDeleted,
      .enrollmentCreated, .enrollmentConsumed, .enrollmentCancelled, .enrollmentExpired, .devicePaired, .webhookCreated,
      .webhookChanged, .webhookSecretRotated, .webhookDisabled, .webhookDeleted, .webhookTest,
      .paymentMethodCreated, .paymentMethodChanged, .paymentMethodDeleted, .orderCreated, .orderCancelled,
      .captureCreated, .captureFailed, .refundCreated, .refundFailed:
      nil
    }
  }

  private static func frame(id: Int64, event: String, data: String) -> ByteBuffer {
    StreamFrame.event(id: "\(id)", name: event, data: data)
  }
}
