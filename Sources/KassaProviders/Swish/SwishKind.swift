import KassaDomain
import KassaService

extension SwishProvider {
  /// Swish as merchants choose it.
  package static func kind(
    in environment: KassaEnvironment, client: ProviderHTTPClient, clock: @escaping @Sendable () -> Timestamp
  ) -> ProviderKind {
    ProviderKind(name: .swish, method: .swish, fields: SwishSettings.fields) { purchase, _ in
      purchase.currency.code == "SEK" && SwishAmount.range.contains(purchase.amount)
    } make: { settings, _ throws(ProviderSettingsFlaws) in
      SwishProvider(try SwishSettings(settings, in: environment), client: client, clock: clock)
    }
  }
}
