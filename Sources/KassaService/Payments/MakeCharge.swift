import KassaDomain
import KassaStore

extension KassaService {
  /// Everything a provider may need to know of an attempt, as it stands now: the one place where charges are made.
  package func charge(of payment: Payment) async throws -> Charge {
    try await store.read { transaction in
      guard let session = try transaction.sessions.find(payment.sessionID, of: payment.merchantID) else {
        throw ServiceFailure.notFound
      }
      // What another answer brought meanwhile is newer than what the caller read.
      let references =
        try transaction.payments.find(payment.id, of: payment.merchantID)?.references ?? payment.references
      return Charge(
        paymentID: payment.id, sessionID: session.id, merchantID: payment.merchantID, amount: payment.amount,
        currency: payment.currency, createdAt: payment.createdAt, waitsUntil: payment.waitsUntil,
        references: references, cart: session.cart, merchantReference: session.details.merchantReference1,
        device: try transaction.devices.find(session.deviceID, of: payment.merchantID),
        location: try session.locationID.flatMap { try transaction.locations.find($0, of: payment.merchantID) },
        notificationURL: notificationURL(for: payment.method, of: payment.merchantID) + "/\(payment.id)",
        notificationSecret: notificationSecret(of: payment.id))
    }
  }

  /// Who collects an attempt; `nil` when its merchant has no settings for that provider any more.
  func provider(of payment: Payment) async throws -> (any PaymentProvider)? {
    try await providers.provider(payment.provider, for: payment.method, of: payment.merchantID)
  }

  /// Where a provider tells of what happened to a merchant's attempts by this method.
  package func notificationURL(for method: PaymentMethod, of merchant: MerchantID) -> String {
    "\(settings.publicURL())/providers/v1/\(method.rawValue.lowercased())/\(merchant)"
  }

  private func notificationSecret(of payment: PaymentID) -> String {
    hexadecimalText(secrets.lookUpHash(payment.description, .providerNotification))
  }
}
