import KassaDomain
import KassaService
import NIOSSL

/// A provider's addresses, and the settings by which one of them is chosen.
///
/// Merchants choose between the provider's own environments only: an address of their choice would have this server call
/// whatever they like. In a playground it may be any, so that emulators are reached.
package struct ProviderAddresses: Sendable {
  private let production: String
  private let test: String
  private let isPlayground: Bool

  package init(production: String, test: String, isPlayground: Bool) {
    self.production = production
    self.test = test
    self.isPlayground = isPlayground
  }

  package var fields: [ProviderField] {
    let environment = ProviderField(
      "environment", "Which of the provider's environments the keys are of: production or test. Left out: \(usual).",
      isRequired: false)
    let address = ProviderField(
      "base_url", "Where the provider is played, like http://127.0.0.1:9000. In a playground only.", isRequired: false)
    return isPlayground ? [environment, address] : [environment]
  }

  private var usual: String { isPlayground ? "test" : "production" }

  package func address(
    _ settings: [String: String], tls: TLSConfiguration? = nil
  ) throws(ProviderSettingsFlaws) -> ProviderAddress {
    if isPlayground, let url = settings["base_url"] {
      guard url.hasPrefix("http://") || url.hasPrefix("https://"), url.utf8.count <= 200,
        url.utf8.allSatisfy({ 0x21...0x7e ~= $0 })
      else { throw ProviderSettingsFlaws([FieldFlaw("base_url", "must be an address of http or https")]) }
      return ProviderAddress(url, tls: tls)
    }
    switch settings["environment"] ?? usual {
    case "production": return ProviderAddress(production, tls: tls)
    case "test": return ProviderAddress(test, tls: tls)
    default: throw ProviderSettingsFlaws([FieldFlaw("environment", "must be production or test")])
    }
  }
}
