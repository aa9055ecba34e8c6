import KassaDomain
import KassaStore

extension KassaService {
  /// Takes the device out of service. Its token is refused by every server from the commit on, and the sessions in its
  /// line are cancelled. Throws `devicePaymentInFlight` while an attempt on it is under way.
  package func deleteDevice(_ id: DeviceID, as principal: MerchantPrincipal) async throws {
    let now = self.now
    let merchant = principal.merchantID
    try await translatingRefusals {
      try await store.write { transaction in
        guard var device = try transaction.devices.find(id, of: merchant) else { throw ServiceFailure.notFound }
        // Taken out of service first: a session that is being created for it in another transaction is waited for, and
        // then seen.
        let event = device.delete()
        guard try transaction.devices.delete(device, at: now) else { throw ServiceFailure.changedMeanwhile }
        for var session in try transaction.sessions.line(of: id, merchant: merchant, limit: .max) {
          if case .active(.some) = session.state { throw ServiceFailure.devicePaymentInFlight }
          _ = try apply(.end(.cancelled), to: &session, origin: principal.origin, at: now, in: transaction)
        }
        try record(
          principal.origin.event(event, of: id, merchant: merchant, sequence: device.version, at: now, device: id),
          in: transaction)
      }
    }
    signals.wake(id)
  }
}
