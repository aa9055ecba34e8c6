import KassaDomain
import KassaStore

/// A provider that merchants may choose for a method, before there are any settings: how its settings are asked for, and
/// how an adapter is made of them.
package struct ProviderKind: Sendable {
  package let name: ProviderName
  package let method: PaymentMethod
  /// In the order of a form.
  package let fields: [ProviderField]
  /// Whether its adapter is a `NotifyingProvider` that tells of nothing before it was subscribed to.
  package let needsSubscription: Bool
  /// Whether it can collect this, with these settings; of the secret ones none is given.
  package let accepts: @Sendable (Purchase, _ settings: [String: String]) -> Bool
  /// Makes the adapter; calls nobody. Throws what is wrong, a required field that is missing too, and ignores fields that it
  /// does not know. The paths of flaws are names of fields.
  package let make: @Sendable (_ settings: [String: String]) throws(ProviderSettingsFlaws) -> any PaymentProvider

  package init(
    name: ProviderName, method: PaymentMethod, fields: [ProviderField], needsSubscription: Bool = false,
    accepts: @escaping @Sendable (Purchase, _ settings: [String: String]) -> Bool,
    make: @escaping @Sendable (_ settings: [String: String]) throws(ProviderSettingsFlaws) -> any PaymentProvider
  ) {
    self.name = name
    self.method = method
    self.fields = fields
    self.needsSubscription = needsSubscription
    self.accepts = accepts
    self.make = make
  }
}

/// What is to be collected.
package struct Purchase: Equatable, Sendable {
  package let amount: Int64
  package let currency: Currency
  /// Where the shop stands (ISO 3166-1 alpha-2), as far as the merchant told.
  package let country: String?

  package init(amount: Int64, currency: Currency, country: String?) {
    self.amount = amount
    self.currency = currency
    self.country = country
  }
}

/// Settings that an adapter cannot be made of: all flaws at once, each with the field's name as its path.
package struct ProviderSettingsFlaws: Error, Sendable {
  package let all: [FieldFlaw]

  package init(_ all: [FieldFlaw]) { self.all = all }
}

/// A method that a playground switches on for every merchant by itself.
package struct BuiltInMethod: Sendable {
  package let provider: ProviderName
  package let method: PaymentMethod
  package let settings: [String: String]

  package init(provider: ProviderName, method: PaymentMethod, settings: [String: String] = [:]) {
    self.provider = provider
    self.method = method
    self.settings = settings
  }
}
