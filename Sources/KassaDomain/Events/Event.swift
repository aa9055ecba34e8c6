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
  case sessionCreated = "session.created"
  case sessionActivated = "session.activated"
  case sessionFinalized = "session.finalized"
  case sessionCancelled = "session.cancelled"
  case sessionExpired = "session.expired"
  case sessionFailed = "session.failed"
  case paymentFailed = "payment.failed"
  case paymentLate = "payment.late"
  /// What the phone shows of an attempt is another: a code, or that the buyer opened it.
  case paymentActionChanged = "payment.action_changed"
  case orderCreated = "order.created"
  case orderCancelled = "order.cancelled"
  case captureCreated = "capture.created"
  case captureFailed = "capture.failed"
  case refundCreated = "refund.created"
  case refundFailed = "refund.failed"
  case webhookCreated = "webhook.created"
  case webhookChanged = "webhook.changed"
  case webhookSecretRotated = "webhook.secret_rotated"
  case webhookDisabled = "webhook.disabled"
  case webhookDeleted = "webhook.deleted"
  case webhookTest = "webhook.test"
  case paymentMethodCreated = "payment_method.created"
  case paymentMethodChanged = "payment_method.changed"
  case paymentMethodDeleted = "payment_method.deleted"

  /// The type's name in callbacks and in the pull feed (contract, section 8); `nil` for what stays inside.
  package var callbackType: String? {
    switch self {
    case .devicePaired, .deviceDeleted, .sessionCreated, .sessionActivated, .sessionFinalized, .sessionCancelled,
      .sessionExpired, .sessionFailed, .paymentFailed, .paymentLate, .webhookTest:
      "ipp.\(rawValue)"
    case .orderCreated, .orderCancelled, .captureCreated, .captureFailed, .refundCreated, .refundFailed: rawValue
    case .merchantCreated, .apiKeyCreated, .apiKeyRevoked, .locationCreated, .locationChanged, .locationDeleted,
      .enrollmentCreated, .enrollmentConsumed, .enrollmentCancelled, .enrollmentExpired, .deviceChanged,
      .webhookCreated, .webhookChanged, .webhookSecretRotated, .webhookDisabled, .webhookDeleted,
      .paymentMethodCreated, .paymentMethodChanged, .paymentMethodDeleted, .paymentActionChanged:
      nil
    }
  }
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
  /// The device whose feed shows this event, if any.
  package let deviceID: DeviceID?
  /// The order of a finalized session, and of what happens to an order.
  package let orderID: OrderID?
  /// Why a payment or a session failed: a stable word.
  package let failureReason: String?

  package init(
    merchantID: MerchantID, subjectID: SubjectID, sequence: Int64, type: EventType, at: Timestamp, actor: Actor,
    requestID: String?, relatedID: SubjectID? = nil, deviceID: DeviceID? = nil, orderID: OrderID? = nil,
    failureReason: String? = nil
  ) {
    self.merchantID = merchantID
    self.subjectID = subjectID
    self.sequence = sequence
    self.type = type
    self.at = at
    self.actor = actor
    self.requestID = requestID
    self.relatedID = relatedID
    self.deviceID = deviceID
    self.orderID = orderID
    self.failureReason = failureReason
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
