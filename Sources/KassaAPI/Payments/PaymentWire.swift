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
  static func attempt(_ view: CollectionView, _ service: KassaService) -> [UInt8] {
    jsonObject { object in
      write(view.payment, &object)
      object.member("session_id", view.session.id)
      object.member("session_status", view.session.state.name.rawValue)
      writeNextAction(of: view.payment, service, &object)
      if case .finalized(_, let order) = view.session.state { object.member("order_id", order) }
    }
  }

  /// For the phone that collects, and nobody else.
  static func writeNextAction(of payment: Payment, _ service: KassaService, _ object: inout JSONWriter) {
    guard payment.state == .open, let action = payment.nextAction else { return }
    object.member("next_action", object: { write(action, of: payment, service, &$0) })
  }

  private static func write(
    _ action: NextAction, of payment: Payment, _ service: KassaService, _ object: inout JSONWriter
  ) {
    switch action {
    case .tap(let clientSecret):
      object.member("type", "TAP")
      object.member("client_secret", clientSecret)
    case .showQR(let code):
      object.member("type", "SHOW_QR")
      let image = "\(service.settings.publicURL())/pos/v1/qr/\(service.codeName(of: payment))/code"
      object.member("qr_text", code.text)
      object.member("image_url", image + ".png")
      object.member("image_svg_url", image + ".svg")
      object.member("expires_at", code.expiresAt.map { min($0, payment.waitsUntil) } ?? payment.waitsUntil)
      object.member("buyer_state", code.isBuyerPaying ? "PAYING" : "WAITING")
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
