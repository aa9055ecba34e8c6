/// What happened. The raw value is the name in the event log and the audit.
package enum EventType: String, CaseIterable, Sendable {
  case merchantCreated = "merchant.created"
  case apiKeyCreated = "api_key.created"
  case apiKeyRevoked = "api_key.revoked"
  case locationCreated = "location.created"
  case locationChanged = "location.changed"
  case locationDeleted = "location.deleted"
  case enrollmentCreated = "enrollment.created"
  case enrollmentConsumed = "enrollment.consumed"
  case enrollmentCancelled = "enrollment.cancelled"
  case enrollmentExpired = "enrollment.expired"
  case devicePaired = "device.paired"
  case deviceChanged = "device.changed"
  case deviceDeleted = "device.deleted"
}

/// Stands for the kind of whatever an event is about.
package enum EventSubject {}
package typealias SubjectID = Identifier<EventSubject>

/// One line of the event log, which is also the audit: what changed, when, and who did it.
///
/// Appended in the same commit as the change. `sequence` counts 1, 2, 3 … per subject without a gap.
package struct Event: Equatable, Sendable {
  package let merchantID: MerchantID
  package let subjectID: SubjectID
  package let sequence: Int64
  package let type: EventType
  package let at: Timestamp
  package let actor: Actor
  package let requestID: String?
  /// The other entity of the change: the device of a consumed enrollment, the enrollment of a paired device.
  package let relatedID: SubjectID?

  package init(
    merchantID: MerchantID, subjectID: SubjectID, sequence: Int64, type: EventType, at: Timestamp, actor: Actor,
    requestID: String?, relatedID: SubjectID? = nil
  ) {
    self.merchantID = merchantID
    self.subjectID = subjectID
    self.sequence = sequence
    self.type = type
    self.at = at
    self.actor = actor
    self.requestID = requestID
    self.relatedID = relatedID
  }
}

/// Who made a change.
package enum Actor: Hashable, Sendable {
  /// A merchant's backend, by one of its keys.
  case apiKey(APIKeyID)
  /// A paired device.
  case device(DeviceID)
  /// Whoever held an enrollment's code or deep link.
  case enrollmentCode(EnrollmentID)
  /// Somebody with the command line on the server's machine.
  case operatorAtConsole
  /// Kassa itself: the sweeper.
  case system
}
