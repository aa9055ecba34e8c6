import KassaDomain
import KassaStore

/// Knows which provider collects a merchant's money by each method.
package protocol ProviderDirectory: Sendable {
  /// The adapter for a method of a merchant, with the merchant's settings; `nil` where there are none. One that was
  /// switched off is found too: attempts and orders of before are still its own.
  func provider(for method: PaymentMethod, of merchant: MerchantID) async throws -> (any PaymentProvider)?

  /// The methods of the session's merchant that are switched on and can collect its amount, as one snapshot has it.
  func methods(for session: Session, in transaction: any ReadTransaction) throws -> [PaymentMethod]
}

/// The same providers for every merchant, always on.
package struct FixedProviders: ProviderDirectory {
  private let providers: [PaymentMethod: any PaymentProvider]

  package init(_ providers: [PaymentMethod: any PaymentProvider] = [:]) { self.providers = providers }

  package func provider(for method: PaymentMethod, of merchant: MerchantID) async throws -> (any PaymentProvider)? {
    providers[method]
  }

  package func methods(for session: Session, in transaction: any ReadTransaction) throws -> [PaymentMethod] {
    PaymentMethod.allCases.filter { providers[$0] != nil }
  }
}
