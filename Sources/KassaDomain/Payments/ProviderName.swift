/// Who moves a merchant's money: the names on the wire.
package enum ProviderName: String, CaseIterable, Sendable {
  /// The playground's own card network.
  case simulated = "SIMULATED"
  case stripeTerminal = "STRIPE_TERMINAL"
  case swish = "SWISH"
  case vipps = "VIPPS"
  case klarna = "KLARNA"
}
