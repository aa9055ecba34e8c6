import KassaDomain
import KassaStore

/// What a backend wants captured or refunded.
package struct MoveMoney: Sendable {
  package let amount: Int64
  package let reference: String?
  package let description: String?

  package init(amount: Int64, reference: String?, description: String?) {
    self.amount = amount
    self.reference = reference
    self.description = description
  }
}

/// A movement, and whether an earlier request of the same idempotency key made it.
package struct MovedMoney: Sendable {
  package let movement: OrderMovement
  package let isReplayed: Bool
}

extension KassaService {
  /// Captures a part of an order, or all. The movement is DONE when this returns, or REQUESTED when the provider has not
  /// decided or is not known to have: it is asked again until it has. Throws `notAllowed` for more than is left, and when
  /// the provider refuses.
  package func capture(
    _ wanted: MoveMoney, of order: OrderID, as principal: MerchantPrincipal,
    once: IdempotentRequest<OrderMovement>? = nil
  ) async throws -> MovedMoney {
    try await move(.capture, wanted, of: order, as: principal, once: once)
  }

  /// Refunds a part of what was captured, or all; otherwise as `capture`.
  package func refund(
    _ wanted: MoveMoney, of order: OrderID, as principal: MerchantPrincipal,
    once: IdempotentRequest<OrderMovement>? = nil
  ) async throws -> MovedMoney {
    try await move(.refund, wanted, of: order, as: principal, once: once)
  }

  /// Gives up the authorization of an order of which nothing was captured. Done again it changes nothing. Throws
  /// `notAllowed` when money was captured, and when the provider refuses, and `paymentOutcomeUnknown` when the provider
  /// does not know yet; it is asked again until it does.
  package func cancelOrder(_ id: OrderID, as principal: MerchantPrincipal) async throws {
    let found = try await orderView(id, as: principal)
    switch found.order.money.release {
    case .done: return
    case .requested: throw ServiceFailure.paymentOutcomeUnknown
    case .none: break
    }
    let wanted = MoveMoney(amount: found.order.amount, reference: nil, description: nil)
    let moved = try await move(.release, wanted, of: id, as: principal, once: nil)
    guard moved.movement.state.name == .done else { throw ServiceFailure.paymentOutcomeUnknown }
  }

  /// Reserve and commit, ask, commit the answer. Once per idempotency key: the record and the reservation are one commit,
  /// and a repetition is answered by what became of it.
  private func move(
    _ kind: OrderMovement.Kind, _ wanted: MoveMoney, of id: OrderID, as principal: MerchantPrincipal,
    once: IdempotentRequest<OrderMovement>?
  ) async throws -> MovedMoney {
    let now = self.now
    let merchant = principal.merchantID
    var generator = SystemRandomNumberGenerator()
    let asked = AskedMovement(
      id: OrderMovementID(using: &generator), kind: kind, amount: wanted.amount, reference: wanted.reference,
      description: wanted.description)
    let payment = try await orderView(id, as: principal).payment
    let answered = try await translatingRefusals {
      try await writeOnce(once.map(Self.remembered), for: merchant, at: now) { transaction in
        guard var order = try transaction.orders.find(id, of: merchant) else { throw ServiceFailure.notFound }
        let role = try providers.role(of: payment.provider, for: payment.method, of: merchant, in: transaction)
        guard role != .none else {
          throw ServiceFailure.notAllowed(
            "the settings of \(payment.method.rawValue) were removed: enter those of \(payment.provider.rawValue) again first"
          )
        }
        return try ask(for: asked, of: &order, at: now, in: transaction)
      }
    }
    let movement: OrderMovement
    let isReplayed: Bool
    switch answered {
    case .fresh(let made): (movement, isReplayed) = (try await carryOut(made, isAskedAgain: false), false)
    case .replayed(let answer):
      let made = OrderMovementID(text: String(decoding: answer.body, as: UTF8.self))
      let found = try await made.flatMapAwaiting { id in
        try await store.read { try $0.orders.movement(id, of: merchant) }
      }
      guard let found else { throw ServiceFailure.notFound }
      (movement, isReplayed) = (found, true)
    }
    if case .refused(let words, _) = movement.state { throw ServiceFailure.notAllowed(words) }
    return MovedMoney(movement: movement, isReplayed: isReplayed)
  }

  /// What is kept for a repetition is which movement was made: how it stands is asked then.
  private static func remembered(
    _ request: IdempotentRequest<OrderMovement>
  ) -> IdempotentRequest<OrderMovement> {
    IdempotentRequest(operation: request.operation, key: request.key, bodyHash: request.bodyHash) { movement in
      RenderedAnswer(status: 201, body: Array(movement.id.description.utf8))
    }
  }
}

extension Optional {
  /// `flatMap` that may wait.
  func flatMapAwaiting<Value>(_ transform: (Wrapped) async throws -> Value?) async rethrows -> Value? {
    guard let self else { return nil }
    return try await transform(self)
  }
}
