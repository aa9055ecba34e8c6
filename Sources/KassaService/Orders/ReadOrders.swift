import KassaDomain
import KassaStore

/// An order with everything that became of its money.
package struct OrderView: Sendable {
  package let order: Order
  /// Oldest first.
  package let movements: [OrderMovement]
  package let session: Session
  package let payment: Payment

  package var captures: [OrderMovement] { movements.filter { $0.kind == .capture } }
  package var refunds: [OrderMovement] { movements.filter { $0.kind == .refund } }
}

extension KassaService {
  package func orderView(_ id: OrderID, as principal: MerchantPrincipal) async throws -> OrderView {
    try await store.read { transaction in
      guard let order = try transaction.orders.find(id, of: principal.merchantID) else { throw ServiceFailure.notFound }
      return try view(of: order, in: transaction)
    }
  }

  package func orders(
    _ filter: OrderFilter, _ page: PageRequest, as principal: MerchantPrincipal
  ) async throws -> Page<OrderView> {
    try await store.read { transaction in
      try transaction.orders.page(of: principal.merchantID, filter, page).map { try view(of: $0, in: transaction) }
    }
  }

  /// The order of a session that is paid. Throws `notFound` for any other.
  package func orderView(ofSession id: SessionID, as actor: CollectingActor) async throws -> OrderView {
    try await store.read { transaction in
      let session = try visibleSession(id, to: actor, in: transaction)
      guard case .finalized(_, let id) = session.state,
        let order = try transaction.orders.find(id, of: session.merchantID)
      else { throw ServiceFailure.notFound }
      return try view(of: order, in: transaction)
    }
  }

  func view(of order: Order, in transaction: any ReadTransaction) throws -> OrderView {
    guard let session = try transaction.sessions.find(order.sessionID, of: order.merchantID),
      let payment = try transaction.payments.find(order.paymentID, of: order.merchantID)
    else { throw StoreError.unusable(OperatorDetail("an order's session or attempt is missing")) }
    return OrderView(
      order: order, movements: try transaction.orders.movements(of: order.id, merchant: order.merchantID),
      session: session, payment: payment)
  }
}
