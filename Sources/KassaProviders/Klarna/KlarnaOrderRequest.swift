import KassaDomain
import KassaJSON
import KassaService

/// The body that makes an in-store session.
enum KlarnaOrderRequest {
  /// `nil` where Klarna does not serve the country in the charge's currency.
  static func body(of charge: Charge, _ settings: KlarnaSettings) -> [UInt8]? {
    guard let market = market(of: charge.currency, settings, country: charge.location?.details.country),
      let tax = charge.cart.taxTotal
    else { return nil }
    return json { object in
      object.member("acquiring_channel", "in_store")
      object.member("purchase_country", market.country)
      object.member("purchase_currency", market.currency)
      object.member("locale", settings.locale ?? market.locale)
      object.member("order_amount", charge.amount)
      object.member("order_tax_amount", tax)
      object.member("merchant_reference1", charge.merchantReference ?? charge.paymentID.description)
      object.member("merchant_reference2", charge.paymentID.description)
      object.member(
        "order_lines",
        array: { lines in for line in charge.cart.lines { lines.elementObject { write(line, to: &$0) } } })
      if let attachment = attachment(of: charge) {
        object.member(
          "attachment",
          object: {
            $0.member("content_type", "application/vnd.klarna.internal.emd-v2+json")
            $0.member("body", attachment)
          })
      }
      object.member(
        "distribution",
        object: { distribution in
          distribution.member("method", "one_qr")
          distribution.member(
            "callback_urls",
            object: { $0.member("status_update", "\(charge.notificationURL)?token=\(charge.notificationSecret)") })
        })
    }
  }

  static func market(of currency: Currency, _ settings: KlarnaSettings, country: String?) -> KlarnaMarket? {
    guard let market = (settings.country ?? country).flatMap(KlarnaMarket.of(country:)),
      sameBytes(market.currency, currency.code)
    else { return nil }
    return market
  }

  /// The shape is that of our own lines.
  private static func write(_ line: Cart.Line, to object: inout JSONWriter) {
    object.member("type", line.type?.rawValue)
    object.member("reference", line.reference)
    object.member("name", line.name)
    object.member("quantity", line.quantity)
    object.member("unit_price", line.unitPrice)
    object.member("tax_rate", line.taxRate)
    object.member("total_amount", line.totalAmount)
    if line.totalDiscountAmount != 0 { object.member("total_discount_amount", line.totalDiscountAmount) }
    object.member("total_tax_amount", line.totalTaxAmount)
  }

  /// Which shop and till it is, as text that is itself JSON. How `store_info` is nested is told by one page only, and is
  /// written here and nowhere else.
  private static func attachment(of charge: Charge) -> String? {
    guard let location = charge.location else { return nil }
    let address = [
      location.details.streetAddress, location.details.postalCode, location.details.city, location.details.country,
    ].compactMap { $0 }.joined(separator: ", ")
    let bytes = json { body in
      body.member(
        "in_store_payment",
        array: { list in
          list.elementObject { entry in
            entry.member(
              "store_info",
              object: { store in
                store.member("merchant_store_id", location.id.description)
                store.member("store_terminal_id", charge.device?.id.description)
                store.member("store_address", address.isEmpty ? location.details.name : address)
              })
          }
        })
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
