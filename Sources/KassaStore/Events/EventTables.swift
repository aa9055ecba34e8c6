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
  /// The device's events right after the position `after`, oldest first. No event appears later below a position that
  /// was returned.
  func feed(of device: DeviceID, after: Int64, limit: Int) throws -> [LoggedEvent]
  /// The position of the device's newest event; 0 when it has none.
  func newestPosition(of device: DeviceID) throws -> Int64
  /// Everything that happened to one subject, in order.
  func history(of subject: SubjectID, merchant: MerchantID) throws -> [LoggedEvent]
}

package protocol EventTable: EventReads {
  /// Appends. Throws `conflict(.eventSequence)` when the subject already has this sequence number.
  func append(_ event: Event) throws
}
