import KassaDomain
import KassaStore

extension KassaService {
  /// Replaces name, address and subscription; switches on or off when `enabled` is given. What waited for a destination
  /// that is switched on again is sent then. Throws `ServiceFailure.invalid` for a new address that callbacks are not
  /// sent to.
  package func replaceWebhook(
    _ id: WebhookID, with details: WebhookDestination.Details, enabled: Bool?, as principal: MerchantPrincipal
  ) async throws -> WebhookDestination {
    let before = try await webhook(id, as: principal)
    if before.details.url != details.url, let flaw = await webhookGate.flaw(of: details.url) {
      throw ServiceFailure.invalid([FieldFlaw("url", flaw)])
    }
    let now = self.now
    return try await changeWebhook(id, as: principal, at: now) {
      $0.replace(details, enabled: enabled, at: now)
    }
  }

  /// Makes a new secret, which is shown this once. The one before signs too for ten minutes (contract, section 8).
  package func rotateWebhookSecret(
    _ id: WebhookID, as principal: MerchantPrincipal, once: IdempotentRequest<WebhookWithSecret>? = nil
  ) async throws -> Answered<WebhookWithSecret> {
    let now = self.now
    let secret = WebhookSecret(bytes: SecretText.randomBytes(WebhookSecret.randomBytes))
    let sealed = try secrets.sealed(secret.bytes, .webhookSecret, owner: id.bytes)
    return try await writeOnce(once, for: principal.merchantID, at: now) { transaction in
      let destination = try change(id, as: principal, in: transaction, at: now) {
        $0.rotate(to: sealed, overlapSeconds: Limits.secretOverlapSeconds, at: now)
      }
      return WebhookWithSecret(destination: destination, secret: secret)
    }
  }

  /// Queues a test event for this destination alone, whatever it subscribes to. Throws `ServiceFailure.invalid` when the
  /// destination is disabled. Returns the event's id.
  package func sendWebhookTestEvent(
    _ id: WebhookID, as principal: MerchantPrincipal, once: IdempotentRequest<CallbackEnvelope>? = nil
  ) async throws -> Answered<CallbackEnvelope> {
    let now = self.now
    return try await writeOnce(once, for: principal.merchantID, at: now) { transaction in
      let destination = try change(id, as: principal, in: transaction, at: now) { destination in
        guard destination.disabled == nil else {
          throw ServiceFailure.invalid([FieldFlaw("enabled", "must be true for a test: enable the webhook first")])
        }
        return destination.test()
      }
      let event = principal.origin.event(
        .webhookTest, of: id, merchant: principal.merchantID, sequence: destination.version, at: now)
      guard let envelope = envelope(of: event) else { preconditionFailure("a test event has a callback type") }
      return envelope
    }
  }

  private func changeWebhook(
    _ id: WebhookID, as principal: MerchantPrincipal, at now: Timestamp,
    _ body: @escaping @Sendable (inout WebhookDestination) throws -> EventType?
  ) async throws -> WebhookDestination {
    try await store.write { try change(id, as: principal, in: $0, at: now, body) }
  }

  private func change(
    _ id: WebhookID, as principal: MerchantPrincipal, in transaction: any WriteTransaction, at now: Timestamp,
    _ body: (inout WebhookDestination) throws -> EventType?
  ) throws -> WebhookDestination {
    guard var destination = try transaction.webhooks.find(id, of: principal.merchantID) else {
      throw ServiceFailure.notFound
    }
    guard let event = try body(&destination) else { return destination }
    guard try transaction.webhooks.update(destination) else { throw ServiceFailure.changedMeanwhile }
    try record(
      principal.origin.event(
        event, of: id, merchant: principal.merchantID, sequence: destination.version, at: now), in: transaction)
    return destination
  }
}
