import KassaDomain
import KassaService
import KassaStore

extension StripeTerminalProvider: CardSimulator {
  /// Holds a test card to a simulated reader. Returns `false` when the key is a live one, when the attempt is with a
  /// phone's own reader, or when the reader does not ask for a card.
  package func tap(_ charge: Charge, _ outcome: SimulatedOutcome) async -> Bool {
    guard settings.isTest, let reader = charge.references[Reference.reader], StripeIdentifier.isOne(reader) else {
      return false
    }
    let result = await api.post(
      "test_helpers/terminal/readers/\(reader)/present_payment_method",
      [("type", "card_present"), ("card_present[number]", StripeDeclines.cardNumber(for: outcome))],
      key: freshKey("tap", charge), within: http.budget())
    if case .object = result { return true }
    return false
  }
}
