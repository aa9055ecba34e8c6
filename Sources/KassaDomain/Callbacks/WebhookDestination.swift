/// Where a merchant wants callbacks sent (contract, section 8). A merchant may have several.
package struct WebhookDestination: Equatable, Sendable {
  package let id: WebhookID
  package let merchantID: MerchantID
  package private(set) var details: Details
  /// Sealed with the server's key. Shown once, when it is made.
  package private(set) var sealedSecret: [UInt8]
  /// The secret before the last rotation, which signs too until its time is over.
  package private(set) var previous: PreviousSecret?
  package private(set) var disabled: Disabled?
  package let createdAt: Timestamp
  /// Counts changes and test events, from 1; the newest event of this destination carries the same number.
  package private(set) var version: Int64

  package struct Details: Equatable, Sendable {
    /// 1 to 100 characters.
    package let name: String
    package let url: WebhookURL
    package let subscription: WebhookSubscription

    package init(name: String, url: WebhookURL, subscription: WebhookSubscription) {
      self.name = name
      self.url = url
      self.subscription = subscription
    }
  }

  package struct PreviousSecret: Equatable, Sendable {
    package let sealed: [UInt8]
    package let validUntil: Timestamp

    package init(sealed: [UInt8], validUntil: Timestamp) {
      self.sealed = sealed
      self.validUntil = validUntil
    }
  }

  /// While disabled, no event is queued for the destination, and what is queued waits.
  package struct Disabled: Equatable, Sendable {
    package let at: Timestamp
    package let reason: Reason

    package init(at: Timestamp, reason: Reason) {
      self.at = at
      self.reason = reason
    }
  }

  package enum Reason: String, CaseIterable, Sendable {
    /// The destination answered 410 Gone.
    case gone = "GONE"
    /// The merchant switched it off.
    case merchant = "MERCHANT"
  }

  package init(
    id: WebhookID, merchantID: MerchantID, details: Details, sealedSecret: [UInt8], previous: PreviousSecret? = nil,
    disabled: Disabled? = nil, createdAt: Timestamp, version: Int64 = 1
  ) {
    self.id = id
    self.merchantID = merchantID
    self.details = details
    self.sealedSecret = sealedSecret
    self.previous = previous
    self.disabled = disabled
    self.createdAt = createdAt
    self.version = version
  }

  /// Replaces the details, and switches on or off when told to. Returns the event, or `nil` when nothing differs.
  package mutating func replace(_ details: Details, enabled: Bool?, at now: Timestamp) -> EventType? {
    let disabled: Disabled? =
      switch enabled {
      case nil: self.disabled
      case true?: nil
      case false?: self.disabled ?? Disabled(at: now, reason: .merchant)
      }
    let isSame =
      sameBytes(details.name, self.details.name) && details.url == self.details.url
      && details.subscription == self.details.subscription && disabled == self.disabled
    guard !isSame else { return nil }
    self.details = details
    self.disabled = disabled
    version += 1
    return .webhookChanged
  }

  /// Takes a new secret. The one before signs too for `overlapSeconds`; one that was still valid from an earlier
  /// rotation ends now.
  package mutating func rotate(to sealed: [UInt8], overlapSeconds: Int64, at now: Timestamp) -> EventType {
    previous = PreviousSecret(sealed: sealedSecret, validUntil: now.adding(seconds: overlapSeconds))
    sealedSecret = sealed
    version += 1
    return .webhookSecretRotated
  }

  /// Switches off because the destination answered 410. Returns `nil` when it is off already.
  package mutating func disableAsGone(at now: Timestamp) -> EventType? {
    guard disabled == nil else { return nil }
    disabled = Disabled(at: now, reason: .gone)
    version += 1
    return .webhookDisabled
  }

  /// Numbers a test event.
  package mutating func test() -> EventType {
    version += 1
    return .webhookTest
  }

  package mutating func delete() -> EventType {
    version += 1
    return .webhookDeleted
  }

  /// The secrets that sign at `now`: the present one first.
  package func signingSecrets(at now: Timestamp) -> [[UInt8]] {
    guard let previous, now < previous.validUntil else { return [sealedSecret] }
    return [sealedSecret, previous.sealed]
  }
}

package typealias WebhookID = Identifier<WebhookDestination>

/// Which events a destination is told of.
package enum WebhookSubscription: Equatable, Sendable {
  case all
  /// Names as in callbacks, sorted, each once, at least one.
  case only([String])

  /// The names that a subscription may hold: what Kassa sends, and the account events of the contract.
  package static let knownTypes: [String] = {
    let sent = EventType.allCases.filter { $0 != .webhookTest }.compactMap(\.callbackType)
    let ofAccount = ["order.created", "capture.created", "refund.created"].filter { !sent.contains($0) }
    return sent + ofAccount
  }()

  /// Whether an event of this name is meant. A test event is sent to its own destination whatever it subscribes to.
  package func includes(_ callbackType: String) -> Bool {
    switch self {
    case .all: true
    case .only(let types): types.contains { sameBytes($0, callbackType) }
    }
  }
}
