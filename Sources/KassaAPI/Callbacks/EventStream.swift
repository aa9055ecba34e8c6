import Hummingbird
import KassaDomain
import KassaService
import NIOCore

/// The pull feed as Server-Sent Events (contract, section 8): the same envelopes, as they happen. `id:` is the cursor after
/// the event; as `Last-Event-ID` or `after` it resumes without gap or repeat. It ends when its key is revoked, or a
/// browser's sign-in is over.
enum EventStream {
  /// Whether the caller asks for a stream instead of a page.
  static func isWanted(_ call: MerchantCall) throws -> Bool {
    try call.call.header(.accept)?.lowercased().contains("text/event-stream") ?? false
  }

  static func answer(_ call: MerchantCall, after given: EventCursor) throws -> Answer {
    var start = given
    if let resumed = try call.call.header(.lastEventID) {
      guard let cursor = EventCursor(text: resumed) else {
        throw RequestFailure.invalidHeader("Last-Event-ID", "must be the id of an event of this stream")
      }
      start = cursor
    }
    let (service, principal, connection) = (call.service, call.principal, call.call.connection)
    let (hooks, streams, first) = (call.call.api.hooks, call.call.api.eventStreams, start)
    guard streams.count(of: principal.merchantID) < APILimits.eventStreamsPerMerchantMax else {
      throw ServiceFailure.tooManyStreams(of: "merchant", max: APILimits.eventStreamsPerMerchantMax)
    }
    return .stream { writer in
      hooks.openStreams(+1)
      streams.change(principal.merchantID, by: +1)
      defer {
        hooks.openStreams(-1)
        streams.change(principal.merchantID, by: -1)
      }
      let ticks = StreamTicks(seconds: APILimits.heartbeatSeconds, connection: connection) { wake in
        service.commits.listen(wake)
      }
      try await ticks.untilShutdown { try await run(service, principal, after: first, ticks, &writer) }
    }
  }

  private static func run(
    _ service: KassaService, _ principal: MerchantPrincipal, after start: EventCursor, _ ticks: StreamTicks,
    _ writer: inout any ResponseBodyWriter
  ) async throws {
    var cursor = start
    while !Task.isCancelled {
      // One at a time, so that each frame carries the cursor right after its own event.
      let page = try await service.events(after: cursor, limit: 1, of: principal.merchantID)
      for envelope in page.envelopes {
        let data = String(decoding: envelope.jsonBytes, as: UTF8.self)
        try await writer.write(StreamFrame.event(id: page.next.text, name: envelope.type, data: data))
      }
      cursor = page.next
      if page.hasMore || !page.envelopes.isEmpty { continue }
      switch await ticks.next() {
      case .signal: break
      case .heartbeat: try await writer.write(StreamFrame.alive)
      case .end: return
      }
      guard try await service.isInForce(principal) else { return }
    }
  }
}
