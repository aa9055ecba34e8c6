import KassaDomain
import KassaStore

extension KassaService {
  /// Takes the device out of service. Its token is refused by every server from the commit on.
  package func deleteDevice(_ id: DeviceID, as principal: MerchantPrincipal) async throws {
    let now = self.now
    let merchant = principal.merchantID
    try await store.write { transaction in
      guard var device = try transaction.devices.find(id, of: merchant) else { throw ServiceFailure.notFound }
      let event = device.delete()
      guard try transaction.devices.delete(device, at: now) else { throw ServiceFailure.changedMeanwhile }
      try record(
        principal.origin.event(event, of: id, merchant: merchant, sequence: device.version, at: now), in: transaction)
    }
  }
}
