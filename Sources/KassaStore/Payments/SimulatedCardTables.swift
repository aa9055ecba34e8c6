import KassaDomain

/// The simulated card network's own book: what a card company would know, apart from what Kassa believes.
package struct SimulatedCharge: Equatable, Sendable {
  package let paymentID: PaymentID
  package let amount: Int64
  package var state: State
  /// What the card that was tapped will do.
  package var tapped: SimulatedOutcome?

  package enum State: String, Sendable {
    /// The reader waits for a card.
    case primed = "PRIMED"
    case charged = "CHARGED"
    case declined = "DECLINED"
    case voided = "VOIDED"
    case refunded = "REFUNDED"
  }

  package init(paymentID: PaymentID, amount: Int64, state: State = .primed, tapped: SimulatedOutcome? = nil) {
    self.paymentID = paymentID
    self.amount = amount
    self.state = state
    self.tapped = tapped
  }
}

/// The outcome of a tap in the playground (contract, section 9).
package enum SimulatedOutcome: Equatable, Sendable {
  case success
  case declined(PaymentFailureReason)
}

package protocol SimulatedCardReads {
  func find(_ payment: PaymentID) throws -> SimulatedCharge?
  /// Sum of what is charged and not refunded, in minor units of whatever currency.
  func netCharged() throws -> Int64
}

package protocol SimulatedCardTable: SimulatedCardReads {
  /// Inserts or replaces.
  func save(_ charge: SimulatedCharge) throws
}
