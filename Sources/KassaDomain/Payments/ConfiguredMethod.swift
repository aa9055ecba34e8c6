/// How a merchant collects by one method through one provider.
///
/// Kept when another provider takes the method over: refunds go to the one that took the money.
package struct ConfiguredMethod: Equatable, Sendable {
  package let id: ConfiguredMethodID
  package let merchantID: MerchantID
  package let method: PaymentMethod
  package let provider: ProviderName
  package private(set) var details: Details
  /// Whether it is this provider that collects by the method: one of each method of a merchant at most.
  package private(set) var isCurrent: Bool
  package let createdAt: Timestamp
  package private(set) var updatedAt: Timestamp
  /// Counts the changes, from 1; the numbers of its events.
  package private(set) var version: Int64

  package struct Details: Equatable, Sendable {
    /// Whether phones may choose it now.
    package var isOn: Bool
    package var capturePolicy: CapturePolicy
    package var settings: [String: String]
    /// Settings that are secret, each sealed by the service.
    package var sealedSecrets: [String: [UInt8]]
    /// Made by the playground, which keeps the settings right by itself.
    package var isBuiltIn: Bool

    package init(
      isOn: Bool, capturePolicy: CapturePolicy = .automatic, settings: [String: String] = [:],
      sealedSecrets: [String: [UInt8]] = [:], isBuiltIn: Bool = false
    ) {
      self.isOn = isOn
      self.capturePolicy = capturePolicy
      self.settings = settings
      self.sealedSecrets = sealedSecrets
      self.isBuiltIn = isBuiltIn
    }
  }

  package init(
    id: ConfiguredMethodID, merchantID: MerchantID, method: PaymentMethod, provider: ProviderName, details: Details,
    isCurrent: Bool = true, createdAt: Timestamp, updatedAt: Timestamp? = nil, version: Int64 = 1
  ) {
    self.id = id
    self.merchantID = merchantID
    self.method = method
    self.provider = provider
    self.details = details
    self.isCurrent = isCurrent
    self.createdAt = createdAt
    self.updatedAt = updatedAt ?? createdAt
    self.version = version
  }

  /// Takes other details, and the method over.
  package mutating func replace(_ details: Details, at now: Timestamp) -> EventType {
    self.details = details
    isCurrent = true
    return change(at: now)
  }

  /// Another provider takes the method over.
  package mutating func yield(at now: Timestamp) -> EventType {
    isCurrent = false
    return change(at: now)
  }

  private mutating func change(at now: Timestamp) -> EventType {
    version += 1
    updatedAt = now
    return .paymentMethodChanged
  }
}

package typealias ConfiguredMethodID = Identifier<ConfiguredMethod>

/// When the money of a paid order is taken for good.
package enum CapturePolicy: String, CaseIterable, Sendable {
  /// At once.
  case automatic = "AUTOMATIC"
  /// When the merchant says so.
  case manual = "MANUAL"
}
