/// A tenant: everything else belongs to one.
package struct Merchant: Equatable, Sendable {
  package let id: MerchantID
  package let name: String
  package let createdAt: Timestamp

  package init(id: MerchantID, name: String, createdAt: Timestamp) {
    self.id = id
    self.name = name
    self.createdAt = createdAt
  }

  /// The location every new merchant starts with (contract, section 5).
  package static let firstLocationName = "My Store"
}

/// One key of a merchant's backend. The key itself is shown once and kept only as its SHA-256.
package struct APIKey: Equatable, Sendable {
  package let id: APIKeyID
  package let merchantID: MerchantID
  package let name: String
  /// The key's first characters, to tell keys apart in a list.
  package let prefix: String
  /// SHA-256 of the whole key.
  package let hash: [UInt8]
  package let createdAt: Timestamp
  package let revokedAt: Timestamp?

  package init(
    id: APIKeyID, merchantID: MerchantID, name: String, prefix: String, hash: [UInt8], createdAt: Timestamp,
    revokedAt: Timestamp? = nil
  ) {
    self.id = id
    self.merchantID = merchantID
    self.name = name
    self.prefix = prefix
    self.hash = hash
    self.createdAt = createdAt
    self.revokedAt = revokedAt
  }
}

/// Which of the two worlds a database and its keys belong to. A key of one is refused in the other (contract, section 1).
package enum KassaEnvironment: String, CaseIterable, Sendable {
  case production
  case playground

  /// What every API key of this environment starts with.
  package var apiKeyPrefix: String {
    switch self {
    case .production: "kassa_live_api_"
    case .playground: "kassa_test_api_"
    }
  }

  /// What every device token of this environment starts with.
  package var deviceTokenPrefix: String {
    switch self {
    case .production: "kassa_live_device_"
    case .playground: "kassa_test_device_"
    }
  }
}

package typealias MerchantID = Identifier<Merchant>
package typealias APIKeyID = Identifier<APIKey>
package typealias LocationID = Identifier<Location>
package typealias EnrollmentID = Identifier<Enrollment>
package typealias DeviceID = Identifier<Device>
