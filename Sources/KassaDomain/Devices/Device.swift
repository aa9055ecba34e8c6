/// A paired phone or terminal (contract, section 4).
package struct Device: Equatable, Sendable {
  package let id: DeviceID
  package let merchantID: MerchantID
  package let enrollmentID: EnrollmentID
  package let hardwareID: String
  package let platform: Platform
  package private(set) var name: String?
  package private(set) var metadata: Metadata
  /// `nil` when detached.
  package private(set) var locationID: LocationID?
  package let createdAt: Timestamp
  /// When the device last spoke to the server, to within `Limits.lastSeenGranularitySeconds`.
  package let lastSeenAt: Timestamp?
  /// JWK thumbprint (RFC 7638) of the key the device proves with every call, if it registered one.
  package let keyThumbprint: [UInt8]?
  /// Counts the changes, from 1; the newest event of this device carries the same number.
  package private(set) var version: Int64

  package enum Platform: String, CaseIterable, Sendable {
    case ios = "IOS"
    case android = "ANDROID"
    case terminal = "TERMINAL"
  }

  package init(
    id: DeviceID, merchantID: MerchantID, enrollmentID: EnrollmentID, hardwareID: String, platform: Platform,
    name: String?, metadata: Metadata, locationID: LocationID?, createdAt: Timestamp, lastSeenAt: Timestamp? = nil,
    keyThumbprint: [UInt8]?, version: Int64 = 1
  ) {
    self.id = id
    self.merchantID = merchantID
    self.enrollmentID = enrollmentID
    self.hardwareID = hardwareID
    self.platform = platform
    self.name = name
    self.metadata = metadata
    self.locationID = locationID
    self.createdAt = createdAt
    self.lastSeenAt = lastSeenAt
    self.keyThumbprint = keyThumbprint
    self.version = version
  }

  /// What a backend may change. It replaces: what is left out is emptied or detached, but for the name, which stays
  /// (contract, section 4).
  package struct Replacement: Equatable, Sendable {
    package let name: String?
    package let metadata: Metadata
    package let locationID: LocationID?

    package init(name: String?, metadata: Metadata, locationID: LocationID?) {
      self.name = name
      self.metadata = metadata
      self.locationID = locationID
    }
  }

  /// Takes the replacement. Returns the event, or `nil` when nothing differs.
  package mutating func replace(_ replacement: Replacement) -> EventType? {
    let newName = replacement.name ?? name
    guard
      newName.map({ Array($0.utf8) }) != name.map({ Array($0.utf8) }) || replacement.metadata != metadata
        || replacement.locationID != locationID
    else { return nil }
    name = newName
    metadata = replacement.metadata
    locationID = replacement.locationID
    version += 1
    return .deviceChanged
  }

  /// Takes the device out of service. Its token ends with the commit that saves this.
  package mutating func delete() -> EventType {
    version += 1
    return .deviceDeleted
  }
}
