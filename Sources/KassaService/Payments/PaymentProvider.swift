import KassaDomain
import KassaStore

/// What a provider is asked about: one attempt. Its identifier is our idempotency key, so that asking again is safe.
package struct Charge: Sendable {
  package let paymentID: PaymentID
  package let merchantID: MerchantID
  package let amount: Int64
  package let currency: Currency

  package init(_ payment: Payment) {
    paymentID = payment.id
    merchantID = payment.merchantID
    amount = payment.amount
    currency = payment.currency
  }
}

package enum RefundAnswer: Equatable, Sendable {
  /// The whole amount goes back, or had gone back before.
  case refunded
  case refused(String)
  case unknown(String)
}

/// A way to collect money. Every method may be called again with the same charge, and then has no second effect.
/// A method never throws: what went wrong is `unknown`.
package protocol PaymentProvider: Sendable {
  /// Begins. `pending`: the customer may pay now.
  func start(_ charge: Charge) async -> ProviderAnswer
  /// Settles what the customer did. `pending`: nothing yet.
  func settle(_ charge: Charge) async -> ProviderAnswer
  /// Ends it. `notPaid`: no money moves any more. `paid`: it had moved already.
  func cancel(_ charge: Charge) async -> ProviderAnswer
  /// Asks, and changes nothing.
  func query(_ charge: Charge) async -> ProviderAnswer
  /// Gives the whole amount back.
  func refund(_ charge: Charge) async -> RefundAnswer
}
