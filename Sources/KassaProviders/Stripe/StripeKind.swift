import KassaDomain
import KassaService

extension StripeTerminalProvider {
  /// Stripe Terminal as merchants choose it. Which of these currencies an account may charge in person, its country says;
  /// Stripe refuses the others.
  package static func kind(
    in environment: KassaEnvironment, client: ProviderHTTPClient, clock: @escaping @Sendable () -> Timestamp
  ) -> ProviderKind {
    ProviderKind(name: .stripeTerminal, method: .card, fields: StripeSettings.fields) { purchase, _ in
      StripeAmounts.accepts(purchase.amount, purchase.currency)
    } make: { settings, capturePolicy throws(ProviderSettingsFlaws) in
      StripeTerminalProvider(
        try StripeSettings(settings, capturePolicy, in: environment), client: client, clock: clock)
    }
  }
}
