import KassaDomain
import KassaService
import Testing

/// Values for tests. Identifiers are numbered, so that a failure names the same ones in every run.
enum Make {
  static let epoch = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)

  static func id<Entity>(_ number: UInt8) throws -> Identifier<Entity> {
    try #require(Identifier(bytes: [0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, number]))
  }

  static func sek() throws -> Currency { try #require(Currency(code: "SEK")) }

  static func line(
    type: Cart.Kind? = .physical, reference: String? = nil, name: String = "T-Shirt", quantity: Int64 = 1,
    unitPrice: Int64, totalAmount: Int64? = nil, discount: Int64 = 0, taxRate: Int64 = 0, tax: Int64 = 0
  ) -> Cart.Line {
    Cart.Line(
      type: type, reference: reference, name: name, quantity: quantity, unitPrice: unitPrice,
      totalAmount: totalAmount ?? (unitPrice &* quantity &- discount), totalDiscountAmount: discount, taxRate: taxRate,
      totalTaxAmount: tax)
  }

  static func cart(_ amount: Int64 = 100) throws -> Cart {
    try Cart.make(orderAmount: amount, currency: sek(), lines: [line(unitPrice: amount)], orderTaxAmount: nil).get()
  }

  /// A session in any state, with the version and sequence of a new one.
  static func session(
    in state: Session.State = .created, failedAttempts: Int = 0, sequence: Int64 = 1, cart: Cart? = nil
  ) throws -> Session {
    Session(
      restoring: try id(1), merchantID: try id(2), deviceID: try id(3), locationID: nil, cart: try cart ?? self.cart(),
      details: Session.Details(), createdAt: epoch, expiresAt: epoch.adding(seconds: 900), state: state, version: 1,
      sequence: sequence, failedAttempts: failedAttempts, delivery: Session.Delivery())
  }

  static let waitingEnd = epoch.adding(seconds: 180)

  static func payment(_ id: PaymentID, of session: Session, state: Payment.State = .open) -> Payment {
    Payment(
      id: id, sessionID: session.id, merchantID: session.merchantID, method: .card, provider: .simulated,
      amount: session.cart.orderAmount,
      currency: session.cart.currency, createdAt: epoch, state: state, checkAt: epoch,
      waitsUntil: waitingEnd)
  }

  /// What a provider is asked about that attempt, with nothing in it that a card network looks at but its name.
  static func charge(_ payment: Payment, of session: Session) -> Charge {
    Charge(
      paymentID: payment.id, sessionID: session.id, merchantID: payment.merchantID, amount: payment.amount,
      currency: payment.currency, createdAt: payment.createdAt, waitsUntil: payment.waitsUntil,
      references: payment.references, cart: session.cart, merchantReference: nil, device: nil, location: nil,
      notificationURL: "", notificationSecret: "")
  }
}
