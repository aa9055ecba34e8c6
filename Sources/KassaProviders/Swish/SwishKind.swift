import KassaDomain
import KassaService

extension SwishProvider {
  /// Swish, for merchants to choose.
  package static func kind(
    http: ProviderHTTPClient, isPlayground: Bool, clock: @escaping @Sendable () -> Timestamp
  ) -> ProviderKind {
    let addresses = ProviderAddresses(
      production: SwishSettings.productionURL, test: SwishSettings.testURL, isPlayground: isPlayground)
    return ProviderKind(
      name: .swish, method: .swish, fields: SwishSettings.fields + addresses.fields,
      accepts: { purchase, _ in purchase.currency.code == "SEK" && SwishAmount.range.contains(purchase.amount) },
      make: { settings throws(ProviderSettingsFlaws) in
        SwishProvider(try SwishSettings(settings, at: addresses), http: http, clock: clock)
      })
  }
}
