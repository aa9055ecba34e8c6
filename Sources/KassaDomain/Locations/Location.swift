/// A shop of a merchant (contract, section 5).
package struct Location: Equatable, Sendable {
  package let id: LocationID
  package let merchantID: MerchantID
  package private(set) var details: Details
  package let createdAt: Timestamp
  package private(set) var updatedAt: Timestamp
  /// Counts the changes, from 1; the newest event of this location carries the same number.
  package private(set) var version: Int64

  /// What a merchant says of a shop. Text members have at most 100 characters, the postal code at most 20; the country
  /// is an ISO 3166-1 alpha-2 code in upper case.
  package struct Details: Equatable, Sendable {
    package var name: String
    package var streetAddress: String?
    package var streetAddress2: String?
    package var postalCode: String?
    package var city: String?
    package var country: String?

    package init(
      name: String, streetAddress: String? = nil, streetAddress2: String? = nil, postalCode: String? = nil,
      city: String? = nil, country: String? = nil
    ) {
      self.name = name
      self.streetAddress = streetAddress
      self.streetAddress2 = streetAddress2
      self.postalCode = postalCode
      self.city = city
      self.country = country
    }
  }

  package init(
    id: LocationID, merchantID: MerchantID, details: Details, createdAt: Timestamp, updatedAt: Timestamp? = nil,
    version: Int64 = 1
  ) {
    self.id = id
    self.merchantID = merchantID
    self.details = details
    self.createdAt = createdAt
    self.updatedAt = updatedAt ?? createdAt
    self.version = version
  }

  /// Replaces all details at `now`.
  package mutating func replace(_ details: Details, at now: Timestamp) -> EventType {
    self.details = details
    updatedAt = now
    version += 1
    return .locationChanged
  }
}
