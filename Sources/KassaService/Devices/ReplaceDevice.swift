import KassaDomain
import KassaStore

extension KassaService {
  /// Replaces what a backend may change. Throws `ServiceFailure.invalid` for an unknown location.
  package func replaceDevice(
    _ id: DeviceID, with replacement: Device.Replacement, as principal: MerchantPrincipal
  ) async throws -> Device {
    let now = self.now
    let merchant = principal.merchantID
    return try await store.write { transaction in
      guard var device = try transaction.devices.find(id, of: merchant) else { throw ServiceFailure.notFound }
      if let location = replacement.locationID, try transaction.locations.find(location, of: merchant) == nil {
        throw unknownLocation
      }
      guard let event = device.replace(replacement) else { return device }
      guard try transaction.devices.update(device) else { throw ServiceFailure.changedMeanwhile }
      try record(
        principal.origin.event(event, of: id, merchant: merchant, sequence: device.version, at: now, device: id),
        in: transaction)
      return device
    }
  }
}
