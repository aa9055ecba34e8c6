import KassaDomain

/// What Stripe takes of each currency that Terminal is offered in. Its amounts are minor units, as ours are.
enum StripeAmounts {
  /// The smallest charge, in minor units.
  static let minimums: [String: Int64] = [
    "AUD": 50, "CAD": 50, "CHF": 50, "CZK": 1500, "DKK": 250, "EUR": 50, "GBP": 30, "NOK": 300, "NZD": 50, "PLN": 200,
    "SEK": 300, "SGD": 50, "USD": 50,
  ]
  /// The largest: eight digits.
  static let maximum: Int64 = 99_999_999

  static func accepts(_ amount: Int64, _ currency: Currency) -> Bool {
    guard let minimum = minimums[currency.code] else { return false }
    return (minimum...maximum).contains(amount)
  }
}
