import KassaDomain
import KassaStore

/// What a backend asks for when it creates a session; its arithmetic is checked.
package struct CreateSession: Sendable {
  package let deviceID: DeviceID
  /// From the query: where the device must be.
  package let locationID: LocationID?
  package let cart: Cart
  package let details: Session.Details

  package init(deviceID: DeviceID, locationID: LocationID?, cart: Cart, details: Session.Details) {
    self.deviceID = deviceID
    self.locationID = locationID
    self.cart = cart
    self.details = details
  }
}

extension KassaService {
  /// Creates a session in the device's line. Never fails because a phone is offline. Throws `notFound` for a device that
  /// is unknown, or not at the location.
  package func createSession(
    _ input: CreateSession, as principal: MerchantPrincipal, once: IdempotentRequest<SessionView>? = nil
  ) async throws -> Answered<SessionView> {
    let now = self.now
    let merchant = principal.merchantID
    var generator = SystemRandomNumberGenerator()
    let id = SessionID(using: &generator)
    let life = settings.sessionSeconds
    let answered = try await writeOnce(once, for: merchant, at: now) { transaction in
      guard let device = try transaction.devices.find(input.deviceID, of: merchant),
        input.locationID == nil || input.locationID == device.locationID
      else { throw ServiceFailure.notFound }
      let session = Session(
        id: id, merchantID: merchant, deviceID: device.id, locationID: device.locationID, cart: input.cart,
        details: input.details, createdAt: now, expiresAt: now.adding(seconds: life))
      try transaction.sessions.insert(session)
      let event = try record(
        session.creation, of: session, origin: principal.origin, at: now, in: transaction)
      return SessionView(session: session, payments: [], history: [event])
    }
    if case .fresh(let view) = answered { signals.wake(view.session.deviceID) }
    return answered
  }
}
