import KassaDomain
import KassaStore

/// What the reader inside a phone connects with.
package struct ReaderConnection: Sendable {
  /// Whose reader it must be.
  package let provider: ProviderName
  /// For one connection; not kept.
  package let secret: String
}

extension KassaService {
  /// A token for the reader inside the calling phone. Throws `methodUnavailable` when cards are switched off or collected
  /// by a provider whose readers are not in phones, and `providerRefused` when it gives none.
  package func connectReader(as principal: DevicePrincipal) async throws -> ReaderConnection {
    let merchant = principal.device.merchantID
    let offers = try await store.read { try providers.offers(of: merchant, in: $0) }
    guard let offer = offers.first(where: { $0.method == .card }),
      let provider = try await providers.provider(offer.provider, for: .card, of: merchant)
        as? any PhoneReaderProvider
    else { throw ServiceFailure.methodUnavailable }
    let device = principal.device
    let secret = await bounded {
      _ in
      String?.none
    } _: {
      await provider.connectionToken(for: device)
    }
    guard let secret else {
      throw ServiceFailure.providerRefused("the card provider gives no token now: try again, and check its settings")
    }
    return ReaderConnection(provider: offer.provider, secret: secret)
  }
}
