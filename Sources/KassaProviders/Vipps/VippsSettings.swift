import KassaService

/// What a merchant enters for Vipps MobilePay, and what `subscribe` adds.
struct VippsSettings: Sendable {
  static let fields: [ProviderField] = [
    ProviderField(
      "client_id", "The client_id of the sales unit's API keys: portal.vippsmobilepay.com, For developers, API keys."),
    ProviderField("client_secret", "The client_secret beside it.", isSecret: true),
    ProviderField(
      "subscription_key", "The Ocp-Apim-Subscription-Key beside it; the primary or the secondary one.", isSecret: true),
    ProviderField("merchant_serial_number", "The sales unit's number (MSN): four to six or more digits."),
    ProviderField(
      "webhook_id", "Set by Kassa when notifications are set up: the registration's id.", isRequired: false),
    ProviderField(
      "webhook_url", "Set by Kassa when notifications are set up: where they go.", isRequired: false),
    ProviderField(
      "webhook_secret", "Set by Kassa when notifications are set up: what they are signed with.", isRequired: false,
      isSecret: true),
  ]

  let clientID: String
  let clientSecret: String
  let subscriptionKey: String
  let merchantSerialNumber: String
  let webhookID: String?
  let webhookURL: String?
  let webhookSecret: String?

  /// Throws all flaws at once, by the fields' names.
  init(_ settings: [String: String]) throws(ProviderSettingsFlaws) {
    clientID = settings["client_id"] ?? ""
    clientSecret = settings["client_secret"] ?? ""
    subscriptionKey = settings["subscription_key"] ?? ""
    merchantSerialNumber = settings["merchant_serial_number"] ?? ""
    webhookID = settings["webhook_id"]
    webhookURL = settings["webhook_url"]
    webhookSecret = settings["webhook_secret"]
    var flaws: [FieldFlaw] = []
    // They go into headers.
    for (name, text) in [
      ("client_id", clientID), ("client_secret", clientSecret), ("subscription_key", subscriptionKey),
    ] where text.isEmpty || text.utf8.count > 500 || !text.utf8.allSatisfy({ 0x21...0x7e ~= $0 }) {
      flaws.append(FieldFlaw(name, "must be 1 to 500 visible ASCII characters"))
    }
    if !(4...10).contains(merchantSerialNumber.utf8.count)
      || !merchantSerialNumber.utf8.allSatisfy({ 0x30...0x39 ~= $0 })
    {
      flaws.append(FieldFlaw("merchant_serial_number", "must be 4 to 10 digits"))
    }
    guard flaws.isEmpty else { throw ProviderSettingsFlaws(flaws) }
  }
}
