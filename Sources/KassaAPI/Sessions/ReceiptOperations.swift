import KassaDomain
import KassaJSON
import KassaService

/// What a customer may read who was given the address of a receipt, and nobody else's knowledge is needed for.
enum ReceiptOperations {
  static let all: [Operation] = [
    .open("getReceipt", .get, "/receipts/v1/{receipt_token}") { call in
      let token = call.call.pathParameters["receipt_token"].map(String.init) ?? ""
      return .json(200, ReceiptWire.body(try await call.service.receipt(token: token)))
    }
  ]
}

/// Receipts as JSON.
enum ReceiptWire {
  static func body(_ receipt: ReceiptView) -> [UInt8] {
    let (view, session) = (receipt.view, receipt.view.session)
    let finalizedAt = view.history.last { $0.type == .sessionFinalized }?.at
    return jsonObject { object in
      object.member("session_id", session.id)
      object.member("order_id", receipt.order.order.id)
      object.member("merchant_id", session.merchantID)
      object.member("merchant_name", receipt.merchant.name)
      object.member("location_id", session.locationID)
      if let location = receipt.location {
        object.member("location", object: { LocationWire.writeDetails(location.details, &$0) })
      }
      object.member("paid_at", finalizedAt)
      object.member("order_amount", session.cart.orderAmount)
      object.member("order_tax_amount", session.cart.taxTotal)
      object.member("purchase_currency", session.cart.currency.code)
      object.member("merchant_reference1", session.details.merchantReference1)
      object.member(
        "order_items",
        array: { array in
          for line in session.cart.lines { array.elementObject { SessionWire.write(line, &$0) } }
        })
      if let payment = view.payments.first(where: { $0.id == receipt.paid }) {
        object.member("payment", object: { PaymentWire.write(payment, &$0) })
      }
      object.member("refunded_amount", receipt.order.order.money.refunded)
      object.member("refunds", array: { OrderWire.writeRefunds(receipt.order, &$0) })
      object.member("receipt_url", receipt.url)
    }
  }
}
