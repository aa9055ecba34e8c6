/// What a paid session leaves behind: how much of its money was captured and refunded (contract, section 10).
///
/// Money is reserved here before a provider is asked to move it. So of two who want the last of it one is refused, and
/// the provider is never asked for more than there is.
package struct Order: Equatable, Sendable {
  package let id: OrderID
  package let merchantID: MerchantID
  package let sessionID: SessionID
  package let locationID: LocationID?
  /// The attempt that paid: captures and refunds go to its provider.
  package let paymentID: PaymentID
  package let method: PaymentMethod
  package let amount: Int64
  package let currency: Currency
  package let merchantReference1: String?
  package let createdAt: Timestamp
  package private(set) var money: Money
  /// Counts the changes, from 1.
  package private(set) var version: Int64
  /// Number of the newest event: 1, 2, 3 … without a gap.
  package private(set) var sequence: Int64

  /// In minor units of the order's currency. `capturing` and `refunding` are reserved: their provider was asked, and has
  /// not decided or is not known to have.
  package struct Money: Equatable, Sendable {
    package var captured: Int64
    package var capturing: Int64
    package var refunded: Int64
    package var refunding: Int64
    package var release: Release

    package init(
      captured: Int64 = 0, capturing: Int64 = 0, refunded: Int64 = 0, refunding: Int64 = 0, release: Release = .none
    ) {
      self.captured = captured
      self.capturing = capturing
      self.refunded = refunded
      self.refunding = refunding
      self.release = release
    }
  }

  /// Whether the authorization is given up.
  package enum Release: String, CaseIterable, Sendable {
    case none = "NONE"
    case requested = "REQUESTED"
    case done = "DONE"
  }

  package enum Status: String, CaseIterable, Sendable {
    case authorized = "AUTHORIZED"
    case partCaptured = "PART_CAPTURED"
    case captured = "CAPTURED"
    case cancelled = "CANCELLED"
  }

  package enum Command: Equatable, Sendable {
    /// Somebody wants money moved: it is reserved. Of a release the amount counts for nothing.
    case ask(OrderMovement.Kind, Int64)
    /// The provider is certain that what was asked for is done.
    case done(OrderMovement.Kind, Int64)
    /// The provider is certain that it was not done and never will be.
    case refused(OrderMovement.Kind, Int64)
    /// The customer's bank sent back what was refunded: it may be refunded again.
    case refundCameBack(Int64)
  }

  /// An event of an edge.
  package struct Emitted: Equatable, Sendable {
    package let type: EventType
    package let sequence: Int64
  }

  /// A new order of an attempt that paid, version 1. Its event, number 1, is `order.created`.
  package init(id: OrderID, paidBy payment: Payment, of session: Session, createdAt: Timestamp) {
    self.init(
      restoring: id, merchantID: session.merchantID, sessionID: session.id, locationID: session.locationID,
      paymentID: payment.id, method: payment.method, amount: payment.amount, currency: payment.currency,
      merchantReference1: session.details.merchantReference1, createdAt: createdAt, money: Money(), version: 1,
      sequence: 1)
  }

  /// What a store saved, as it was.
  package init(
    restoring id: OrderID, merchantID: MerchantID, sessionID: SessionID, locationID: LocationID?,
    paymentID: PaymentID, method: PaymentMethod, amount: Int64, currency: Currency, merchantReference1: String?,
    createdAt: Timestamp, money: Money, version: Int64, sequence: Int64
  ) {
    self.id = id
    self.merchantID = merchantID
    self.sessionID = sessionID
    self.locationID = locationID
    self.paymentID = paymentID
    self.method = method
    self.amount = amount
    self.currency = currency
    self.merchantReference1 = merchantReference1
    self.createdAt = createdAt
    self.money = money
    self.version = version
    self.sequence = sequence
  }

  /// The event of a new order.
  package var creation: Emitted { Emitted(type: .orderCreated, sequence: 1) }

  package var status: Status { Self.status(of: money, amount: amount) }

  package static func status(of money: Money, amount: Int64) -> Status {
    if money.release == .done { return .cancelled }
    if money.captured == 0 { return .authorized }
    return money.captured < amount ? .partCaptured : .captured
  }

  /// What may still be captured.
  package var capturable: Int64 { money.release == .none ? amount - money.captured - money.capturing : 0 }
  /// What may still be refunded.
  package var refundable: Int64 { money.captured - money.refunded - money.refunding }

  /// Applies `command`. Throws, and changes nothing, where there is no such edge. Returns the edge's event, if it has one.
  package mutating func apply(_ command: Command) throws(Refusal) -> Emitted? {
    switch command {
    case .ask(let kind, let amount): try ask(kind, amount)
    case .done(let kind, let amount): try settle(kind, amount, isDone: true)
    case .refused(let kind, let amount): try settle(kind, amount, isDone: false)
    case .refundCameBack(let amount): try takeBack(amount)
    }
  }

  private mutating func ask(_ kind: OrderMovement.Kind, _ amount: Int64) throws(Refusal) -> Emitted? {
    switch kind {
    case .capture:
      guard money.release == .none else { throw .orderCancelled }
      guard amount > 0, amount <= capturable else { throw .moreThanCapturable(capturable) }
      money.capturing += amount
    case .refund:
      guard amount > 0, amount <= refundable else { throw .moreThanRefundable(refundable) }
      money.refunding += amount
    case .release:
      guard money.release == .none else { throw .orderCancelled }
      guard money.captured == 0, money.capturing == 0 else { throw .orderCaptured }
      money.release = .requested
    }
    version += 1
    return nil
  }

  private mutating func settle(
    _ kind: OrderMovement.Kind, _ amount: Int64, isDone: Bool
  ) throws(Refusal) -> Emitted? {
    switch kind {
    case .capture:
      guard amount > 0, amount <= money.capturing else { throw .nothingAskedFor }
      money.capturing -= amount
      if isDone { money.captured += amount }
      return emitted(isDone ? .captureCreated : .captureFailed)
    case .refund:
      guard amount > 0, amount <= money.refunding else { throw .nothingAskedFor }
      money.refunding -= amount
      if isDone { money.refunded += amount }
      return emitted(isDone ? .refundCreated : .refundFailed)
    case .release:
      guard money.release == .requested else { throw .nothingAskedFor }
      money.release = isDone ? .done : .none
      if isDone { return emitted(.orderCancelled) }
      // Whoever asked for it is answered; for everybody else nothing changed.
      version += 1
      return nil
    }
  }

  private mutating func takeBack(_ amount: Int64) throws(Refusal) -> Emitted {
    guard amount > 0, amount <= money.refunded else { throw .nothingAskedFor }
    money.refunded -= amount
    return emitted(.refundFailed)
  }

  private mutating func emitted(_ type: EventType) -> Emitted {
    version += 1
    sequence += 1
    return Emitted(type: type, sequence: sequence)
  }
}

package typealias OrderID = Identifier<Order>
