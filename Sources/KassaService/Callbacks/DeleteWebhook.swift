import KassaDomain
import KassaStore

extension KassaService {
  /// Takes the destination out of use. What waited for it is not sent any more, and its log goes.
  package func deleteWebhook(_ id: WebhookID, as principal: MerchantPrincipal) async throws {
    let now = self.now
    let merchant = principal.merchantID
    try await store.write { transaction in
      guard var destination = try transaction.webhooks.find(id, of: merchant) else { throw ServiceFailure.notFound }
      let event = destination.delete()
      guard try transaction.webhooks.delete(destination, at: now) else { throw ServiceFailure.changedMeanwhile }
      try record(
        principal.origin.event(event, of: id, merchant: merchant, sequence: destination.version, at: now),
        in: transaction)
    }
  }
}
