import KassaDomain
import KassaStore

/// Knows which provider collects a merchant's money by each method.
package protocol ProviderDirectory: Sendable {
  /// The adapter with the settings that the merchant has for this provider; `nil` where there are none. One that was
  /// switched off, or that another took the method over from, is found too: attempts and orders of before are its own.
  func provider(
    _ name: ProviderName, for method: PaymentMethod, of merchant: MerchantID
  ) async throws -> (any PaymentProvider)?

  /// The methods that the merchant has switched on, as one snapshot has it.
  func offers(of merchant: MerchantID, in transaction: any ReadTransaction) throws -> [MethodOffer]

  /// What the provider does for the merchant, and goes on doing until the commit of `transaction` at least.
  func role(
    of name: ProviderName, for method: PaymentMethod, of merchant: MerchantID, in transaction: any WriteTransaction
  ) throws -> ProviderRole
}

/// What a provider does for a merchant by one method.
package enum ProviderRole: Sendable {
  /// It begins attempts.
  case collects
  /// It settles what it began, and moves that money: it was switched off, or another took the method over.
  case settles
  /// It has no settings, so it cannot be asked.
  case none
}

/// A method that is switched on.
package struct MethodOffer: Sendable {
  package let method: PaymentMethod
  package let provider: ProviderName
  package let accepts: @Sendable (Purchase) -> Bool

  package init(method: PaymentMethod, provider: ProviderName, accepts: @escaping @Sendable (Purchase) -> Bool) {
    self.method = method
    self.provider = provider
    self.accepts = accepts
  }
}

/// The same providers for every merchant, always on: for tests of what is above them.
package struct FixedProviders: ProviderDirectory {
  private let providers: [PaymentMethod: any PaymentProvider]

  package init(_ providers: [PaymentMethod: any PaymentProvider] = [:]) { self.providers = providers }

  package func provider(
    _ name: ProviderName, for method: PaymentMethod, of merchant: MerchantID
  ) async throws -> (any PaymentProvider)? {
    providers[method]
  }

  package func offers(of merchant: MerchantID, in transaction: any ReadTransaction) throws -> [MethodOffer] {
    PaymentMethod.allCases.filter { providers[$0] != nil }.map { method in
      MethodOffer(method: method, provider: Self.name(for: method)) { _ in true }
    }
  }

  package func role(
    of name: ProviderName, for method: PaymentMethod, of merchant: MerchantID, in transaction: any WriteTransaction
  ) throws -> ProviderRole {
    providers[method] == nil ? .none : .collects
  }

  private static func name(for method: PaymentMethod) -> ProviderName {
    switch method {
    case .card: .simulated
    case .klarna: .klarna
    case .swish: .swish
    case .vipps: .vipps
    }
  }
}
