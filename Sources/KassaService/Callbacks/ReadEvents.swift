import KassaDomain
import KassaStore

/// A place in a merchant's event log. Opaque to callers.
package struct EventCursor: Equatable, Sendable {
  let position: Int64

  /// Before the first event.
  package static let start = EventCursor(position: 0)

  init(position: Int64) { self.position = position }

  /// `nil` for what was not written by `text`.
  package init?(text: String) {
    guard text.utf8.count == 12, let bytes = bytes(base64URL: text), bytes.first == Self.mark else { return nil }
    let value = bytes.dropFirst().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    guard let position = Int64(exactly: value) else { return nil }
    self.position = position
  }

  package var text: String {
    let word = UInt64(bitPattern: position)
    let places = stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
    return base64URL([Self.mark] + places)
  }

  /// Tells cursors of this feed from others, and this form of them from later ones.
  private static let mark: UInt8 = 0xe1
}

/// A part of the pull feed.
package struct EventFeedPage: Sendable {
  /// Oldest first.
  package let envelopes: [CallbackEnvelope]
  /// Right after the last event here; the same as asked for when there was none.
  package let next: EventCursor
  /// Whether more is in the log now.
  package let hasMore: Bool
}

extension KassaService {
  /// Right after what is in the log now: for a reader who wants to hear of changes, not of history.
  package func latestEvent(of merchant: MerchantID) async throws -> EventCursor {
    let newest = try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 1) }
    return newest.first.map { EventCursor(position: $0.position) } ?? .start
  }

  /// The merchant's events from right after `cursor`, at most `limit`. Walking by `next` never skips an event and never
  /// repeats one. May give fewer than `limit`, or none, while `hasMore`.
  ///
  /// Serves the pull feed and streams alike: a stream reads until there is no more, and then waits for `commits`.
  package func events(
    after cursor: EventCursor, limit: Int, of merchant: MerchantID
  ) async throws -> EventFeedPage {
    var envelopes: [CallbackEnvelope] = []
    var position = cursor.position
    var scanned = 0
    while true {
      let rows = min(limit, Limits.feedRowsScannedMax - scanned)
      let from = position
      let found = try await store.read { try $0.events.oldest(of: merchant, after: from, limit: rows + 1) }
      for logged in found.prefix(rows) {
        guard envelopes.count < limit else {
          return EventFeedPage(envelopes: envelopes, next: EventCursor(position: position), hasMore: true)
        }
        if let envelope = envelope(of: logged.event) { envelopes.append(envelope) }
        position = logged.position
      }
      scanned += rows
      let hasMore = found.count > rows
      if !hasMore || envelopes.count >= limit || scanned >= Limits.feedRowsScannedMax {
        return EventFeedPage(envelopes: envelopes, next: EventCursor(position: position), hasMore: hasMore)
      }
    }
  }
}
