import KassaDomain
import KassaService

/// What a merchant enters to take cards through Stripe Terminal.
package struct StripeSettings: Sendable {
  package static let productionURL = "https://api.stripe.com"

  package static let fields = [
    ProviderField(
      "secret_key", "A secret or restricted key of your Stripe account: sk_live_…; in a playground sk_test_….",
      isSecret: true),
    ProviderField(
      "webhook_secret", "The signing secret of the webhook endpoint, whsec_…; entered by itself when you subscribe.",
      isRequired: false, isSecret: true),
    ProviderField(
      "reader_id",
      "The reader of devices without stripe_reader_id in their metadata, tmr_…. Left out: the phone's own.",
      isRequired: false),
    ProviderField(
      "location_id", "The Terminal location that phones connect at, tml_….", isRequired: false),
  ]

  let secretKey: String
  /// A key of Stripe's test mode: no money moves with it, and cards can be simulated.
  let isTest: Bool
  let webhookSecret: String?
  let readerID: String?
  let locationID: String?
  let address: ProviderAddress

  /// Calls nobody. A playground takes keys of the test mode only, and others live ones only: a sale that nobody paid for
  /// is no way to try.
  package init(
    _ values: [String: String], at address: ProviderAddress, isPlayground: Bool
  ) throws(ProviderSettingsFlaws) {
    func value(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }
    var flaws: [FieldFlaw] = []
    func identifier(_ name: String, _ prefix: String) -> String? {
      guard let value = value(name) else { return nil }
      if !value.hasPrefix(prefix) || value.utf8.count == prefix.utf8.count || !StripeIdentifier.isOne(value) {
        flaws.append(FieldFlaw(name, "must begin with \(prefix), as Stripe shows it"))
      }
      return value
    }
    secretKey = value("secret_key") ?? ""
    isTest = Self.testPrefixes.contains(where: secretKey.hasPrefix)
    if !(Self.testPrefixes + Self.livePrefixes).contains(where: secretKey.hasPrefix)
      || !StripeIdentifier.isOne(secretKey)
    {
      flaws.append(
        FieldFlaw("secret_key", "must be a secret key of Stripe: sk_test_…, sk_live_…, rk_test_… or rk_live_…"))
    } else if isPlayground, !isTest {
      flaws.append(FieldFlaw("secret_key", "must be one of the test mode, sk_test_…: this is a playground"))
    } else if !isPlayground, isTest {
      flaws.append(FieldFlaw("secret_key", "must be a live one, sk_live_…: with a test key nobody pays"))
    }
    webhookSecret = identifier("webhook_secret", "whsec_")
    readerID = identifier("reader_id", "tmr_")
    locationID = identifier("location_id", "tml_")
    guard flaws.isEmpty else { throw ProviderSettingsFlaws(flaws) }
    self.address = address
  }

  private static let testPrefixes = ["sk_test_", "rk_test_"]
  private static let livePrefixes = ["sk_live_", "rk_live_"]
}
