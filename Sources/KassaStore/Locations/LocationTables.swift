import KassaDomain

package protocol LocationReads {
  func find(_ id: LocationID, of merchant: MerchantID) throws -> Location?
  /// The merchant's only location; `nil` when it has none or several.
  func only(of merchant: MerchantID) throws -> Location?
  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<Location>
}

/// A location found inside a write body stays as it is until that body's commit.
package protocol LocationTable: LocationReads {
  func insert(_ location: Location) throws
  /// Saves `location` if the stored version is the one before. Returns whether it was.
  func update(_ location: Location) throws -> Bool
  /// Removes it. Returns `false` when it is unknown.
  func delete(_ id: LocationID, of merchant: MerchantID) throws -> Bool
}
