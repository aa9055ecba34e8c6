import KassaDomain
import KassaJSON
import KassaStore

/// What a session asks for, as the JSON object that one column holds. Nothing in it is searched for.
package enum SessionContentText {
  package struct Content {
    package var lines: [Cart.Line] = []
    package var orderTaxAmount: Int64?
    package var purchaseStartedAt: Timestamp?
    package var purchaseCompletedAt: Timestamp?
    package var merchantReference2: String?
    package var merchantData: String?
  }

  package static func encoded(_ session: Session) -> String {
    var writer = JSONWriter(capacityBytes: 256 + 256 * session.cart.lines.count)
    writer.object { object in
      object.member("order_tax_amount", session.cart.orderTaxAmount)
      object.member("purchase_started_at", session.details.purchaseStartedAt?.millisecondsSinceEpoch)
      object.member("purchase_completed_at", session.details.purchaseCompletedAt?.millisecondsSinceEpoch)
      object.member("merchant_reference2", session.details.merchantReference2)
      object.member("merchant_data", session.details.merchantData)
      object.member(
        "lines",
        array: { array in
          for line in session.cart.lines { array.elementObject { write(line, &$0) } }
        })
    }
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func write(_ line: Cart.Line, _ object: inout JSONWriter) {
    object.member("type", line.type?.rawValue)
    object.member("reference", line.reference)
    object.member("name", line.name)
    object.member("quantity", line.quantity)
    object.member("unit_price", line.unitPrice)
    object.member("total_amount", line.totalAmount)
    object.member("total_discount_amount", line.totalDiscountAmount)
    object.member("tax_rate", line.taxRate)
    object.member("total_tax_amount", line.totalTaxAmount)
  }

  package static func decoded(_ text: String) throws -> Content {
    guard case .object(let object) = try JSONParser.parse(Array(text.utf8)), case .array(let lines) = object["lines"]
    else { throw damaged }
    var content = Content()
    content.orderTaxAmount = integer(object, "order_tax_amount")
    content.purchaseStartedAt = integer(object, "purchase_started_at").map(Timestamp.init)
    content.purchaseCompletedAt = integer(object, "purchase_completed_at").map(Timestamp.init)
    content.merchantReference2 = self.text(object, "merchant_reference2")
    content.merchantData = self.text(object, "merchant_data")
    content.lines = try lines.map { value in
      guard case .object(let line) = value, let name = self.text(line, "name"),
        let quantity = integer(line, "quantity"), let unitPrice = integer(line, "unit_price"),
        let totalAmount = integer(line, "total_amount"),
        let totalDiscountAmount = integer(line, "total_discount_amount"), let taxRate = integer(line, "tax_rate"),
        let totalTaxAmount = integer(line, "total_tax_amount")
      else { throw damaged }
      return Cart.Line(
        type: self.text(line, "type").flatMap(Cart.Kind.init), reference: self.text(line, "reference"), name: name,
        quantity: quantity, unitPrice: unitPrice, totalAmount: totalAmount, totalDiscountAmount: totalDiscountAmount,
        taxRate: taxRate, totalTaxAmount: totalTaxAmount)
    }
    return content
  }

  private static func integer(_ object: JSONObject, _ name: String) -> Int64? {
    if case .integer(let value) = object[name] { value } else { nil }
  }

  private static func text(_ object: JSONObject, _ name: String) -> String? {
    if case .string(let value) = object[name] { value } else { nil }
  }

  private static var damaged: StoreError { .unusable(OperatorDetail("a session's content cannot be read")) }
}
