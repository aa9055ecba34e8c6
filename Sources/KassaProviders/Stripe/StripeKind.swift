import KassaDomain
import KassaService

extension StripeTerminalProvider {
  /// Stripe Terminal, for merchants to choose. Which of these currencies an account may charge in person, its country
  /// says; Stripe refuses the others.
  package static func kind(
    http: ProviderHTTPClient, isPlayground: Bool, clock: @escaping @Sendable () -> Timestamp
  ) -> ProviderKind {
    // One address for both: the key says which mode it is.
    let addresses = ProviderAddresses(
      production: StripeSettings.productionURL, test: StripeSettings.productionURL, isPlayground: isPlayground)
    return ProviderKind(
      name: .stripeTerminal, method: .card,
      fields: StripeSettings.fields + addresses.fields.filter { $0.name == "base_url" }, needsSubscription: true,
      capturesOnce: true,
      accepts: { purchase, _ in StripeAmounts.accepts(purchase.amount, purchase.currency) },
      make: { settings throws(ProviderSettingsFlaws) in
        let address = try addresses.address(settings)
        return StripeTerminalProvider(
          try StripeSettings(settings, at: address, isPlayground: isPlayground), http: http, clock: clock)
      })
  }
}
