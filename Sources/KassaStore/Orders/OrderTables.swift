import KassaDomain

/// What a list of orders is narrowed to. All that are given must match.
package struct OrderFilter: Equatable, Sendable {
  package let sessionID: SessionID?
  package let status: Order.Status?
  package let merchantReference1: String?

  package init(sessionID: SessionID? = nil, status: Order.Status? = nil, merchantReference1: String? = nil) {
    self.sessionID = sessionID
    self.status = status
    self.merchantReference1 = merchantReference1
  }
}

package protocol OrderReads {
  func find(_ id: OrderID, of merchant: MerchantID) throws -> Order?
  /// At the same cost however large the table is, but for several filters at once: those cost as much as the rarest has
  /// matches.
  func page(of merchant: MerchantID, _ filter: OrderFilter, _ page: PageRequest) throws -> Page<Order>
  func movement(_ id: OrderMovementID, of merchant: MerchantID) throws -> OrderMovement?
  /// The order's movements, oldest first.
  func movements(of order: OrderID, merchant: MerchantID) throws -> [OrderMovement]
  /// Whether an order by this method has a movement that is not settled.
  func hasOpenMovement(by method: PaymentMethod, of merchant: MerchantID) throws -> Bool
  /// Movements by this method that want asking about at `now`, longest waiting first.
  func dueMovements(at now: Timestamp, by method: PaymentMethod, limit: Int) throws -> [OrderMovement]
}

package protocol OrderTable: OrderReads {
  /// Throws `conflict(.identifier)` when the session has an order.
  func insert(_ order: Order) throws
  /// Saves the money that `order` was moved to, if the stored version is `version`. Returns whether it was.
  func save(_ order: Order, expecting version: Int64) throws -> Bool
  func insert(_ movement: OrderMovement) throws
  /// Saves state, references, and when to ask again.
  func save(_ movement: OrderMovement) throws
  /// Takes the look that is due: sets the next one to `next`, if the stored time is still `checkAt` of `movement`.
  /// Returns whether it was, so that one of several servers asks.
  func takeCheck(_ movement: OrderMovement, next: Timestamp) throws -> Bool
}
