import KassaDomain
import KassaStore

extension KassaService {
  package func location(_ id: LocationID, as principal: MerchantPrincipal) async throws -> Location {
    let found = try await store.read { try $0.locations.find(id, of: principal.merchantID) }
    guard let found else { throw ServiceFailure.notFound }
    return found
  }

  package func locations(_ page: PageRequest, as principal: MerchantPrincipal) async throws -> Page<Location> {
    try await store.read { try $0.locations.page(of: principal.merchantID, page) }
  }

  package func createLocation(
    _ details: Location.Details, as principal: MerchantPrincipal, once: IdempotentRequest<Location>? = nil
  ) async throws -> Answered<Location> {
    let now = self.now
    var generator = SystemRandomNumberGenerator()
    let location = Location(
      id: LocationID(using: &generator), merchantID: principal.merchantID, details: details, createdAt: now)
    return try await writeOnce(once, for: principal.merchantID, at: now) { transaction in
      try transaction.locations.insert(location)
      try record(
        principal.origin.event(
          .locationCreated, of: location.id, merchant: principal.merchantID, sequence: location.version, at: now),
        in: transaction)
      return location
    }
  }

  /// Replaces all details.
  package func replaceLocation(
    _ id: LocationID, with details: Location.Details, as principal: MerchantPrincipal
  ) async throws -> Location {
    let now = self.now
    let merchant = principal.merchantID
    return try await store.write { transaction in
      guard var location = try transaction.locations.find(id, of: merchant) else { throw ServiceFailure.notFound }
      let event = location.replace(details, at: now)
      guard try transaction.locations.update(location) else { throw ServiceFailure.changedMeanwhile }
      try record(
        principal.origin.event(event, of: id, merchant: merchant, sequence: location.version, at: now), in: transaction)
      return location
    }
  }

  /// Removes it. Throws `ServiceFailure.locationInUse` while a device stands there or a live enrollment names it.
  package func deleteLocation(_ id: LocationID, as principal: MerchantPrincipal) async throws {
    let now = self.now
    let merchant = principal.merchantID
    try await store.write { transaction in
      guard let location = try transaction.locations.find(id, of: merchant) else { throw ServiceFailure.notFound }
      // Removed first: whoever is about to use it in another transaction is waited for, and then seen. An enrollment
      // that becomes a device meanwhile is one or the other, in this order of looking.
      guard try transaction.locations.delete(id, of: merchant) else { throw ServiceFailure.changedMeanwhile }
      guard try !transaction.enrollments.hasPending(at: id, of: merchant, now: now),
        try !transaction.devices.hasAny(at: id, of: merchant)
      else { throw ServiceFailure.locationInUse }
      try record(
        principal.origin.event(
          .locationDeleted, of: id, merchant: merchant, sequence: location.version + 1, at: now), in: transaction)
    }
  }
}
