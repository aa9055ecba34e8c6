import KassaDomain
import KassaService

/// What a merchant enters for Klarna in store.
struct KlarnaSettings: Sendable {
  static let fields: [ProviderField] = [
    ProviderField("username", "The API user's name (UID): Klarna's merchant portal, Settings, Klarna API keys."),
    ProviderField("password", "The API user's password, which the portal shows once.", isSecret: true),
    ProviderField(
      "country",
      "Where the shops sell, like SE. Left out, the country of the session's location counts.",
      isRequired: false),
    ProviderField(
      "locale", "In which language customers are spoken to, like sv-SE. Left out, the country's own.", isRequired: false
    ),
  ]

  let username: String
  let password: String
  let country: String?
  let locale: String?

  /// Throws all flaws at once, by the fields' names.
  init(_ settings: [String: String]) throws(ProviderSettingsFlaws) {
    var flaws: [FieldFlaw] = []
    username = settings["username"] ?? ""
    password = settings["password"] ?? ""
    country = settings["country"]
    locale = settings["locale"]
    // They are joined by a colon.
    if username.isEmpty || username.utf8.count > 255 || username.contains(":") || !Self.isPlain(username) {
      flaws.append(FieldFlaw("username", "must be 1 to 255 visible ASCII characters without a colon"))
    }
    if password.isEmpty || password.utf8.count > 255 || !Self.isPlain(password) {
      flaws.append(FieldFlaw("password", "must be 1 to 255 visible ASCII characters"))
    }
    if let country, KlarnaMarket.of(country: country) == nil {
      flaws.append(FieldFlaw("country", "must be one of \(KlarnaMarket.all.map(\.country).joined(separator: ", "))"))
    }
    if let locale {
      let letters = locale.split(separator: "-", omittingEmptySubsequences: false)
      if letters.count != 2 || letters.contains(where: { $0.utf8.count != 2 }) || !Self.isPlain(locale) {
        flaws.append(FieldFlaw("locale", "must be a language and a country, like sv-SE"))
      }
    }
    guard flaws.isEmpty else { throw ProviderSettingsFlaws(flaws) }
  }

  private static func isPlain(_ text: String) -> Bool { text.utf8.allSatisfy { 0x21...0x7e ~= $0 } }
}

/// Where Klarna may be used, in which currency, and in which language it is by itself.
///
/// The United States and Canada are left out: there the tax is a line of its own, and our lines have it inside.
struct KlarnaMarket: Sendable {
  let country: String
  let currency: String
  let locale: String

  static let all: [KlarnaMarket] = """
    AT EUR de-AT, AU AUD en-AU, BE EUR nl-BE, CH CHF de-CH, CZ CZK cs-CZ, DE EUR de-DE, DK DKK da-DK, ES EUR es-ES, \
    FI EUR fi-FI, FR EUR fr-FR, GB GBP en-GB, GR EUR el-GR, HU HUF hu-HU, IE EUR en-IE, IT EUR it-IT, MX MXN es-MX, \
    NL EUR nl-NL, NO NOK nb-NO, NZ NZD en-NZ, PL PLN pl-PL, PT EUR pt-PT, RO RON ro-RO, SE SEK sv-SE, SK EUR sk-SK
    """.split(separator: ",").compactMap { line in
      let words = line.split(separator: " ").map(String.init)
      return words.count == 3 ? KlarnaMarket(country: words[0], currency: words[1], locale: words[2]) : nil
    }

  static func of(country: String) -> KlarnaMarket? { all.first { sameBytes($0.country, country) } }
}
