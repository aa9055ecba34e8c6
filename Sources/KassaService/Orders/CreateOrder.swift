import KassaDomain
import KassaStore

extension KassaService {
  /// The order of an attempt that paid, in the commit that finalizes its session. Returns the capture of all of it, asked
  /// for in the same commit, unless the merchant captures by a call.
  func createOrder(
    _ id: OrderID, paidBy payment: Payment, of session: Session, capture: OrderMovementID, at now: Timestamp,
    in transaction: any WriteTransaction
  ) throws -> OrderMovement? {
    var order = Order(id: id, paidBy: payment, of: session, createdAt: now)
    let created = order
    try transaction.orders.insert(created)
    try record(
      created.creation, of: created, related: session.id.of(EventSubject.self), origin: .system, at: now,
      in: transaction)
    let configured = try transaction.paymentMethods.find(payment.method, payment.provider, of: payment.merchantID)
    guard configured?.details.capturePolicy ?? .automatic == .automatic else { return nil }
    let asked = AskedMovement(id: capture, kind: .capture, amount: order.amount)
    return try ask(for: asked, of: &order, at: now, in: transaction)
  }

  /// Reserves the money and notes that the provider is to be asked, guarded by the version that was read. Throws a
  /// `Refusal` where the order's money does not allow it, and `notAllowed` where its provider would not do it again.
  func ask(
    for asked: AskedMovement, of order: inout Order, at now: Timestamp, in transaction: any WriteTransaction
  ) throws -> OrderMovement {
    let version = order.version
    _ = try order.apply(.ask(asked.kind, asked.amount))
    if asked.kind == .capture, order.money.captured + order.money.capturing > asked.amount,
      let payment = try transaction.payments.find(order.paymentID, of: order.merchantID),
      kind(payment.provider, for: payment.method)?.capturesOnce ?? false
    {
      throw ServiceFailure.notAllowed(
        "the provider captures a payment once, and frees what is left of it: there was a capture before, or it is under "
          + "way")
    }
    guard try transaction.orders.save(order, expecting: version) else { throw ServiceFailure.changedMeanwhile }
    let movement = OrderMovement(
      id: asked.id, merchantID: order.merchantID, orderID: order.id, kind: asked.kind, amount: asked.amount,
      reference: asked.reference, description: asked.description, createdAt: now,
      checkAt: now.adding(seconds: Limits.providerCrashSeconds))
    try transaction.orders.insert(movement)
    return movement
  }

  func record(
    _ emitted: Order.Emitted, of order: Order, related: SubjectID, reason: String? = nil, origin: ChangeOrigin,
    at now: Timestamp, in transaction: any WriteTransaction
  ) throws {
    try record(
      Event(
        merchantID: order.merchantID, subjectID: order.id.of(EventSubject.self), sequence: emitted.sequence,
        type: emitted.type, at: now, actor: origin.actor, requestID: origin.requestID, relatedID: related,
        orderID: order.id, failureReason: reason), in: transaction)
  }
}

/// What somebody wants moved.
struct AskedMovement: Sendable {
  let id: OrderMovementID
  let kind: OrderMovement.Kind
  let amount: Int64
  var reference: String?
  var description: String?
}
