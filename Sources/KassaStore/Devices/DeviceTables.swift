import KassaDomain

package struct DeviceFilter: Equatable, Sendable {
  package let locationID: LocationID?
  /// All of these must match. At most 5, no key twice.
  package let metadata: [Metadata.Pair]

  package init(locationID: LocationID? = nil, metadata: [Metadata.Pair] = []) {
    self.locationID = locationID
    self.metadata = metadata
  }
}

/// What lets a phone that lost the answer to its registration ask again (contract, section 3, `registration_id`).
package struct RegistrationReplay: Equatable, Sendable {
  /// Keyed hash of what the phone sent: code or token, registration id, hardware id, platform and key. Not its name.
  package let requestHash: [UInt8]
  /// The bearer token, sealed with the server's key.
  package let sealedToken: [UInt8]
  package let validUntil: Timestamp

  package init(requestHash: [UInt8], sealedToken: [UInt8], validUntil: Timestamp) {
    self.requestHash = requestHash
    self.sealedToken = sealedToken
    self.validUntil = validUntil
  }
}

/// Deleted devices are invisible to every method here.
package protocol DeviceReads {
  func find(_ id: DeviceID, of merchant: MerchantID) throws -> Device?
  /// The device, of any merchant, whose token has this SHA-256.
  func find(tokenHash: [UInt8]) throws -> Device?
  func page(of merchant: MerchantID, _ filter: DeviceFilter, _ page: PageRequest) throws -> Page<Device>
  func hasAny(at location: LocationID, of merchant: MerchantID) throws -> Bool
}

/// A device found by its id inside a write body stays as it is until that body's commit.
package protocol DeviceTable: DeviceReads {
  /// Throws `conflict(.deviceOfEnrollment)` when a device, deleted or not, was made with the same enrollment.
  func insert(_ device: Device, tokenHash: [UInt8], replay: RegistrationReplay?) throws
  /// The device and sealed token of a registration made with this request before `now` reached its end.
  func findReplay(requestHash: [UInt8], at now: Timestamp) throws -> (device: Device, sealedToken: [UInt8])?
  /// Saves `device` if the stored version is the one before. Returns whether it was.
  func update(_ device: Device) throws -> Bool
  /// Takes the device out of service and forgets its token, if the stored version is the one before.
  func delete(_ device: Device, at now: Timestamp) throws -> Bool
  /// Notes when the device was last seen. Not a change: no version, no event.
  func touch(_ id: DeviceID, of merchant: MerchantID, at now: Timestamp) throws
  /// Forgets the sealed tokens of registrations whose replay time is over. Returns how many.
  func forgetReplays(before now: Timestamp, limit: Int) throws -> Int
}
