import KassaDomain
import KassaStore

/// A destination and its secret, which is shown this once.
package struct WebhookWithSecret: Sendable {
  package let destination: WebhookDestination
  package let secret: WebhookSecret
}

extension KassaService {
  /// Switched off, it is made all the same: nothing is queued for it before it is switched on.
  ///
  /// Throws `ServiceFailure.invalid` for an address that callbacks are not sent to, and beyond
  /// `Limits.webhooksPerMerchantMax`.
  package func createWebhook(
    _ details: WebhookDestination.Details, enabled: Bool = true, as principal: MerchantPrincipal,
    once: IdempotentRequest<WebhookWithSecret>? = nil
  ) async throws -> Answered<WebhookWithSecret> {
    let flaw = await webhookGate.flaw(of: details.url)
    let now = self.now
    let merchant = principal.merchantID
    var generator = SystemRandomNumberGenerator()
    let id = WebhookID(using: &generator)
    let secret = WebhookSecret(bytes: SecretText.randomBytes(WebhookSecret.randomBytes))
    let destination = WebhookDestination(
      id: id, merchantID: merchant, details: details,
      sealedSecret: try secrets.sealed(secret.bytes, .webhookSecret, owner: id.bytes),
      disabled: enabled ? nil : WebhookDestination.Disabled(at: now, reason: .merchant), createdAt: now)
    return try await writeOnce(once, for: merchant, at: now) { transaction in
      if let flaw { throw ServiceFailure.invalid([FieldFlaw("url", flaw)]) }
      guard try transaction.webhooks.count(of: merchant) < Limits.webhooksPerMerchantMax else {
        throw ServiceFailure.invalid([
          FieldFlaw("webhooks", "must be at most \(Limits.webhooksPerMerchantMax) for a merchant: delete one first")
        ])
      }
      try transaction.webhooks.insert(destination)
      try record(
        principal.origin.event(
          .webhookCreated, of: id, merchant: merchant, sequence: destination.version, at: now), in: transaction)
      return WebhookWithSecret(destination: destination, secret: secret)
    }
  }
}
