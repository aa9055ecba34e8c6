import KassaDomain
import KassaService

extension VippsProvider {
  /// Vipps MobilePay's own addresses.
  package static let productionURL = "https://api.vipps.no"
  package static let testURL = "https://apitest.vipps.no"

  /// Vipps MobilePay, for merchants to choose.
  package static func kind(
    http: ProviderHTTPClient, isPlayground: Bool, clock: @escaping @Sendable () -> Timestamp
  ) -> ProviderKind {
    let addresses = ProviderAddresses(production: productionURL, test: testURL, isPlayground: isPlayground)
    return ProviderKind(
      name: .vipps, method: .vipps, fields: VippsSettings.fields + addresses.fields, needsSubscription: true,
      accepts: { purchase, _ in
        currencies.contains(purchase.currency.code) && amounts.contains(purchase.amount)
      },
      make: { settings throws(ProviderSettingsFlaws) in
        VippsProvider(
          settings: try VippsSettings(settings), address: try addresses.address(settings), http: http, clock: clock)
      })
  }
}
