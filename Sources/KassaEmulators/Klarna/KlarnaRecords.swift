import KassaDomain
import KassaJSON

/// The body that makes an in-store session, by the members that are documented.
struct KlarnaCreate {
  let reference: String
  let amount: Int64
  let currency: String
  let callbackURL: String?

  static func read(_ fields: inout EmulatorFields) -> KlarnaCreate? {
    _ = fields.choice("acquiring_channel", required: true, of: ["in_store"])
    let country = fields.text("purchase_country", required: true, characters: 2...2)
    let currency = fields.text("purchase_currency", required: true, characters: 3...3)
    let locale = fields.text("locale", required: true, characters: 5...5)
    if let country, let locale, !locale.uppercased().hasSuffix(country.uppercased()) {
      fields.refuse("locale", "must be one of the purchase_country")
    }
    let amount = fields.integer("order_amount", required: true, in: 1...Int64.max)
    let tax = fields.integer("order_tax_amount", in: 0...Int64.max)
    let first = fields.text("merchant_reference1", characters: 0...255)
    let second = fields.text("merchant_reference2", characters: 0...255)
    let lines = fields.elements("order_lines", required: true) { line(&$0) }
    if let lines, let amount, lines.reduce(0, { $0 + $1.total }) != amount {
      fields.refuse("order_amount", "must be the sum of the order lines")
    }
    if let lines, let tax, lines.reduce(0, { $0 + $1.tax }) != tax {
      fields.refuse("order_tax_amount", "must be the sum of the order lines' taxes")
    }
    _ = fields.fields("attachment") { attachment in
      _ = attachment.choice(
        "content_type", required: true, of: ["application/vnd.klarna.internal.emd-v2+json"])
      _ = attachment.text(
        "body", required: true, where: { (try? JSONParser.parse(Array($0.utf8))) != nil }, "must be JSON as text")
    }
    let callback = fields.fields("distribution", required: true) { distribution in
      _ = distribution.choice("method", required: true, of: ["one_qr", "qr", "payment_link"])
      _ = distribution.text("short_code", characters: 2...20)
      return distribution.fields("callback_urls") { urls in
        urls.text(
          "status_update", where: { $0.hasPrefix("https://") || $0.hasPrefix("http://") },
          "must be an https address (or one of http, here)")
      }
    }
    for name in [
      "billing_address", "shipping_address", "customer", "merchant_data", "merchant_urls", "options", "intent",
    ] { _ = fields.has(name) }
    guard let amount, let currency else { return nil }
    return KlarnaCreate(
      reference: second ?? first ?? "", amount: amount, currency: currency.uppercased(),
      callbackURL: callback.flatMap { $0 }.flatMap { $0 })
  }

  private static func line(_ line: inout EmulatorFields) -> (total: Int64, tax: Int64) {
    _ = line.choice(
      "type",
      of: [
        "physical", "discount", "shipping_fee", "sales_tax", "digital", "gift_card", "store_credit", "surcharge",
      ])
    _ = line.text("reference", characters: 0...255)
    _ = line.text("name", required: true, characters: 1...255)
    let quantity = line.integer("quantity", required: true, in: 1...Int64.max) ?? 0
    let price = line.integer("unit_price", required: true) ?? 0
    let total = line.integer("total_amount", required: true) ?? 0
    let discount = line.integer("total_discount_amount", in: 0...Int64.max) ?? 0
    let rate = line.integer("tax_rate", in: 0...100_000) ?? 0
    let tax = line.integer("total_tax_amount") ?? 0
    for name in ["image_url", "product_url", "product_identifiers", "merchant_data", "quantity_unit"] {
      _ = line.has(name)
    }
    if price.multipliedReportingOverflow(by: quantity).partialValue - discount != total {
      line.refuse("total_amount", "must be quantity × unit_price − total_discount_amount")
    }
    if abs(Double(tax) - Double(total) * Double(rate) / Double(10_000 + rate)) > 1 {
      line.refuse("total_tax_amount", "must go with the tax_rate")
    }
    return (total, tax)
  }
}

struct KlarnaSessionRecord {
  enum Status: String {
    case waiting = "WAITING"
    case distributed = "DISTRIBUTED"
    case accessed = "ACCESSED"
    case completed = "COMPLETED"
    case cancelled = "CANCELED"
    case failed = "FAILED"
  }

  let id: String
  let reference: String
  let amount: Int64
  let currency: String
  let callbackURL: String?
  let link: String
  let createdAt: Timestamp
  var status = Status.waiting
  var waitingReads = 0
  var errorCode: String?
  var orderID: String?

  init(
    id: String, reference: String, amount: Int64, currency: String, callbackURL: String?, link: String,
    createdAt: Timestamp
  ) {
    self.id = id
    self.reference = reference
    self.amount = amount
    self.currency = currency
    self.callbackURL = callbackURL
    self.link = link
    self.createdAt = createdAt
  }

  var isOpen: Bool {
    switch status {
    case .waiting, .distributed, .accessed: true
    case .completed, .cancelled, .failed: false
    }
  }

  func writeResult(to object: inout JSONWriter) {
    object.member("status", status.rawValue)
    if status != .waiting && status != .failed {
      object.member("qr", link + "/qr")
      object.member("payment_link", link)
    }
    object.member("order_id", orderID)
    if let errorCode { object.member("error", object: { $0.member("code", errorCode) }) }
  }
}

struct KlarnaOrderRecord {
  enum Status: String {
    case authorized = "AUTHORIZED"
    case partCaptured = "PART_CAPTURED"
    case captured = "CAPTURED"
    case cancelled = "CANCELLED"
  }

  /// A capture or a refund.
  struct Movement {
    let id: String
    let amount: Int64
    let reference: String?
    let description: String?
    let at: Timestamp
  }

  let id: String
  let sessionID: String
  let amount: Int64
  let currency: String
  var reserved: Int64
  var captures: [Movement] = []
  var refunds: [Movement] = []
  var isCancelled = false

  init(id: String, session: KlarnaSessionRecord) {
    self.id = id
    sessionID = session.id
    amount = session.amount
    currency = session.currency
    reserved = session.amount
  }

  var captured: Int64 { captures.reduce(0) { $0 + $1.amount } }
  var refunded: Int64 { refunds.reduce(0) { $0 + $1.amount } }

  var status: Status {
    if isCancelled { return .cancelled }
    if captures.isEmpty { return .authorized }
    return reserved > 0 ? .partCaptured : .captured
  }

  /// `misstated` is told in the place of the amount and the currency.
  func write(to object: inout JSONWriter, misstated: (amount: Int64, currency: String)?) {
    let told = misstated ?? (amount, currency)
    object.member("order_id", id)
    object.member("status", status.rawValue)
    object.member("order_amount", told.amount)
    object.member("original_order_amount", told.amount)
    object.member("captured_amount", captured)
    object.member("refunded_amount", refunded)
    object.member("remaining_authorized_amount", reserved)
    object.member("purchase_currency", told.currency)
    object.member("captures", array: { Self.write(captures, "capture_id", "captured_amount", "captured_at", to: &$0) })
    object.member("refunds", array: { Self.write(refunds, "refund_id", "refunded_amount", "refunded_at", to: &$0) })
  }

  private static func write(
    _ movements: [Movement], _ id: StaticString, _ amount: StaticString, _ time: StaticString, to list: inout JSONWriter
  ) {
    for movement in movements {
      list.elementObject {
        $0.member(id, movement.id)
        $0.member(amount, movement.amount)
        $0.member(time, movement.at.description)
        $0.member("reference", movement.reference)
        $0.member("description", movement.description)
      }
    }
  }
}
