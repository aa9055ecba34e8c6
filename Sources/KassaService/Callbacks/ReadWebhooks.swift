import KassaDomain
import KassaStore

/// A delivery as its merchant may see it.
package struct ReadableDelivery: Sendable {
  package let logged: LoggedDelivery
  package let envelope: CallbackEnvelope
}

extension KassaService {
  package func webhook(_ id: WebhookID, as principal: MerchantPrincipal) async throws -> WebhookDestination {
    let found = try await store.read { try $0.webhooks.find(id, of: principal.merchantID) }
    guard let found else { throw ServiceFailure.notFound }
    return found
  }

  package func webhooks(_ page: PageRequest, as principal: MerchantPrincipal) async throws -> Page<WebhookDestination> {
    try await store.read { try $0.webhooks.page(of: principal.merchantID, page) }
  }

  package func deliveries(
    to id: WebhookID, state: CallbackDelivery.StateName?, _ page: PageRequest, as principal: MerchantPrincipal
  ) async throws -> Page<ReadableDelivery> {
    let found = try await store.read { transaction in
      guard try transaction.webhooks.find(id, of: principal.merchantID) != nil else { throw ServiceFailure.notFound }
      return try transaction.deliveries.page(of: principal.merchantID, to: id, state: state, page)
    }
    return try found.map(readable)
  }

  /// Deliveries of the whole deployment that wait.
  package func pendingCallbacks() async throws -> Int64 { try await store.read { try $0.deliveries.pendingTotal() } }

  func readable(_ logged: LoggedDelivery) throws -> ReadableDelivery {
    guard let envelope = envelope(of: logged.event) else {
      throw StoreError.unusable(OperatorDetail("a delivery is of an event that stays inside"))
    }
    return ReadableDelivery(logged: logged, envelope: envelope)
  }
}
