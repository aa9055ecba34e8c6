import KassaDomain
import KassaJSON
import KassaService

/// Attempts as JSON.
enum PaymentWire {
  static func write(_ payment: Payment, _ object: inout JSONWriter) {
    object.member("payment_id", payment.id)
    object.member("method", payment.method.rawValue)
    object.member("state", payment.state.rawValue)
    object.member("failure_reason", payment.failureReason?.rawValue)
    if let card = payment.card {
      object.member(
        "card",
        object: { object in
          object.member("brand", card.brand)
          object.member("last_four", card.lastFour)
        })
    }
  }

  /// What the phone does next, beside the attempt itself.
  static func attempt(_ view: CollectionView) -> [UInt8] {
    jsonObject { object in
      write(view.payment, &object)
      object.member("session_id", view.session.id)
      object.member("session_status", view.session.state.name.rawValue)
      if view.payment.state == .open, view.payment.method == .card {
        object.member("next_action", object: { $0.member("type", "TAP") })
      }
      if case .finalized(_, let order) = view.session.state { object.member("order_id", order) }
    }
  }

  static func method(_ object: JSONObject) throws -> PaymentMethod {
    var fields = FieldReader(object)
    let method = fields.requiredChoice("method", PaymentMethod.self)
    try fields.finish()
    guard let method else { preconditionFailure("a required field was left out without a flaw") }
    return method
  }
}
