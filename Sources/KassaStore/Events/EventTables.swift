import KassaDomain

/// An event and its place in the log.
package struct LoggedEvent: Equatable, Sendable {
  /// Grows along the log of one merchant; not dense.
  package let position: Int64
  package let event: Event

  package init(position: Int64, event: Event) {
    self.position = position
    self.event = event
  }
}

package protocol EventReads {
  /// The merchant's newest events first, from just below `before` (from the newest when `nil`).
  func newest(of merchant: MerchantID, before: Int64?, limit: Int) throws -> [LoggedEvent]
  /// The merchant's events of any type, oldest first, from just above the position `after`. No event that commits later
  /// ever takes a position below one that was shown here.
  func oldest(of merchant: MerchantID, after: Int64, limit: Int) throws -> [LoggedEvent]
}

package protocol EventTable: EventReads {
  /// Appends. Throws `conflict(.eventSequence)` when the subject already has this sequence number.
  func append(_ event: Event) throws
}
