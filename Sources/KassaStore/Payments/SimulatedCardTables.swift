import KassaDomain

/// The simulated card network's own book: what a card company would know, apart from what Kassa believes.
package struct SimulatedCharge: Equatable, Sendable {
  package let paymentID: PaymentID
  package let amount: Int64
  package var state: State
  /// What the card that was tapped will do.
  package var tapped: SimulatedOutcome?
  /// Of the amount, in its minor units: what was taken for good, and what was given back.
  package var captured: Int64
  package var refunded: Int64
  /// What was not captured never will be: the customer has it again.
  package var isReleased: Bool

  package enum State: String, Sendable {
    /// The reader waits for a card.
    case primed = "PRIMED"
    case charged = "CHARGED"
    case declined = "DECLINED"
    case voided = "VOIDED"
    case refunded = "REFUNDED"
  }

  package init(
    paymentID: PaymentID, amount: Int64, state: State = .primed, tapped: SimulatedOutcome? = nil, captured: Int64 = 0,
    refunded: Int64 = 0, isReleased: Bool = false
  ) {
    self.paymentID = paymentID
    self.amount = amount
    self.state = state
    self.tapped = tapped
    self.captured = captured
    self.refunded = refunded
    self.isReleased = isReleased
  }
}

/// A capture or a refund that the simulated card network has made.
package struct SimulatedMovement: Equatable, Sendable {
  package let paymentID: PaymentID
  package let id: SubjectID
  package let amount: Int64

  package init(paymentID: PaymentID, id: SubjectID, amount: Int64) {
    self.paymentID = paymentID
    self.id = id
    self.amount = amount
  }
}

/// The outcome of a tap in the playground (contract, section 9).
package enum SimulatedOutcome: Equatable, Sendable {
  case success
  case declined(PaymentFailureReason)
}

package protocol SimulatedCardReads {
  func find(_ payment: PaymentID) throws -> SimulatedCharge?
  /// Sum of what customers are out of, in minor units of whatever currency: what is charged, without what was refunded
  /// and without what was released.
  func netCharged() throws -> Int64
  /// Whether this movement was made.
  func isNoted(_ payment: PaymentID, _ movement: SubjectID) throws -> Bool
}

package protocol SimulatedCardTable: SimulatedCardReads {
  /// Inserts or replaces.
  func save(_ charge: SimulatedCharge) throws
  /// Notes a movement, once. Returns whether it was the first time.
  func note(_ movement: SimulatedMovement) throws -> Bool
}
