import KassaDomain
import KassaService

extension KlarnaProvider {
  /// Klarna's own addresses, for Europe.
  package static let productionURL = "https://api.klarna.com"
  package static let testURL = "https://api.playground.klarna.com"

  /// Klarna in store, for merchants to choose.
  package static func kind(
    http: ProviderHTTPClient, isPlayground: Bool, clock: @escaping @Sendable () -> Timestamp
  ) -> ProviderKind {
    let addresses = ProviderAddresses(production: productionURL, test: testURL, isPlayground: isPlayground)
    return ProviderKind(
      name: .klarna, method: .klarna, fields: KlarnaSettings.fields + addresses.fields,
      accepts: { purchase, settings in
        (settings["country"] ?? purchase.country).flatMap(KlarnaMarket.of(country:)).map {
          sameBytes($0.currency, purchase.currency.code)
        } ?? false
      },
      make: { settings throws(ProviderSettingsFlaws) in
        KlarnaProvider(
          settings: try KlarnaSettings(settings), address: try addresses.address(settings), http: http, clock: clock)
      })
  }
}
