import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Sessions as JSON.
enum SessionWire {
  private static let referenceCharactersMax = 255
  private static let dataCharactersMax = 6000

  /// Throws every flaw at once: those of the query that are given, those of single fields, and what does not add up as far
  /// as the figures can be read.
  static func command(
    _ object: JSONObject, locationID: LocationID?, besides queryFlaws: [FieldFlaw]
  ) throws -> CreateSession {
    var fields = FieldReader(object, besides: queryFlaws)
    let deviceID = fields.requiredIdentifier("device_id", of: Device.self)
    let amount = fields.requiredInteger("order_amount", 1...Cart.amountMax, unit: "minor units")
    let currencyCode = fields.requiredText("purchase_currency", characters: 1...16)
    let currency = currencyCode.flatMap(Currency.init)
    if currencyCode != nil, currency == nil {
      fields.refuse("purchase_currency", "must be an ISO 4217 code in upper case, like SEK")
    }
    let tax = fields.integer("order_tax_amount", Int64.min...Int64.max, unit: "minor units")
    let details = Session.Details(
      purchaseStartedAt: fields.time("purchase_started_at"), purchaseCompletedAt: fields.time("purchase_completed_at"),
      merchantReference1: fields.text("merchant_reference1", characters: 0...referenceCharactersMax),
      merchantReference2: fields.text("merchant_reference2", characters: 0...referenceCharactersMax),
      merchantData: fields.text("merchant_data", characters: 0...dataCharactersMax))
    let read = fields.objects("order_items", count: 1...Cart.linesMax, line)
    if fields.flaws.isEmpty, let deviceID, let amount, let currency, let lines = read?.compactMap({ $0?.line }) {
      switch Cart.make(orderAmount: amount, currency: currency, lines: lines, orderTaxAmount: tax) {
      case .success(let cart):
        return CreateSession(deviceID: deviceID, locationID: locationID, cart: cart, details: details)
      case .failure(let failure):
        for flaw in failure.all { fields.refuse(flaw.path, flaw.message) }
      }
    } else if let read {
      let figures = read.map { $0?.figures ?? Cart.Figures() }
      for flaw in Cart.flaws(orderAmount: amount, lines: figures, orderTaxAmount: tax) {
        fields.refuse(flaw.path, flaw.message)
      }
    }
    try fields.finish()
    preconditionFailure("a required field was left out without a flaw")
  }

  /// A line as it was read: whole, if it has no flaw of its own, and its numbers in any case.
  private struct ReadLine {
    let line: Cart.Line?
    let figures: Cart.Figures
  }

  private static func line(_ fields: inout FieldReader) -> ReadLine {
    let any = Int64.min...Int64.max
    var figures = Cart.Figures()
    let type = fields.choice("type", Cart.Kind.self)
    figures.isDiscount = fields.has("type") ? type.map { $0 == .discount } : false
    let name = fields.requiredText("name", characters: 1...referenceCharactersMax)
    let reference = fields.text("reference", characters: 0...64)
    figures.quantity =
      fields.has("quantity") ? fields.integer("quantity", 1...1_000_000_000, unit: "pieces") : 1
    figures.unitPrice = fields.requiredInteger("unit_price", any, unit: "minor units")
    figures.totalAmount = fields.requiredInteger("total_amount", any, unit: "minor units")
    figures.totalDiscountAmount =
      fields.has("total_discount_amount")
      ? fields.integer("total_discount_amount", 0...Int64.max, unit: "minor units") : 0
    figures.taxRate = fields.requiredInteger("tax_rate", 0...Cart.taxRateMax, unit: "basis points")
    figures.totalTaxAmount = fields.requiredInteger("total_tax_amount", any, unit: "minor units")
    guard fields.flaws.isEmpty, let name, let quantity = figures.quantity, let unitPrice = figures.unitPrice,
      let totalAmount = figures.totalAmount, let discount = figures.totalDiscountAmount,
      let taxRate = figures.taxRate, let tax = figures.totalTaxAmount
    else { return ReadLine(line: nil, figures: figures) }
    let line = Cart.Line(
      type: type, reference: reference, name: name, quantity: quantity, unitPrice: unitPrice, totalAmount: totalAmount,
      totalDiscountAmount: discount, taxRate: taxRate, totalTaxAmount: tax)
    return ReadLine(line: line, figures: figures)
  }

  /// The reference answers 200 to a creation (contract, section 6).
  @Sendable static func created(_ view: SessionView) -> RenderedAnswer {
    RenderedAnswer(status: 200, body: jsonObject { write(view, &$0) })
  }

  static func write(_ view: SessionView, _ object: inout JSONWriter) {
    let session = view.session
    object.member("session_id", session.id)
    object.member("status", session.state.name.rawValue)
    object.member("device_id", session.deviceID)
    object.member("location_id", session.locationID)
    if case .finalized(_, let order) = session.state { object.member("order_id", order) }
    object.member("order_amount", session.cart.orderAmount)
    object.member("purchase_currency", session.cart.currency.code)
    object.member("purchase_started_at", session.details.purchaseStartedAt)
    object.member("purchase_completed_at", session.details.purchaseCompletedAt)
    object.member(
      "order_items",
      array: { array in
        for line in session.cart.lines { array.elementObject { write(line, &$0) } }
      })
    object.member("order_tax_amount", session.cart.orderTaxAmount)
    object.member("merchant_reference1", session.details.merchantReference1)
    object.member("merchant_reference2", session.details.merchantReference2)
    object.member("merchant_data", session.details.merchantData)
    object.member("created_at", session.createdAt)
    object.member("expires_at", session.expiresAt)
    object.member("version", session.version)
    if case .failed(let reason) = session.state { object.member("failure_reason", reason.rawValue) }
    object.member("delivery", object: { writeDelivery(session, &$0) })
    if let payment = view.payments.last {
      object.member("payment", object: { PaymentWire.write(payment, &$0) })
    }
    if !view.history.isEmpty {
      object.member("timeline", array: { writeTimeline(view, &$0) })
    }
  }

  static func write(_ line: Cart.Line, _ object: inout JSONWriter) {
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

  private static func writeDelivery(_ session: Session, _ object: inout JSONWriter) {
    let delivery = session.delivery
    let state =
      delivery.shownAt != nil
      ? "SHOWN" : delivery.fetchedAt != nil ? "FETCHED" : delivery.pushedAt != nil ? "PUSHED" : "QUEUED"
    object.member("state", state)
    object.member("queued_at", session.createdAt)
    object.member("pushed_at", delivery.pushedAt)
    object.member("fetched_at", delivery.fetchedAt)
    object.member("shown_at", delivery.shownAt)
  }

  /// Events and delivery steps in the order of their time.
  private static func writeTimeline(_ view: SessionView, _ array: inout JSONWriter) {
    struct Entry {
      let at: Timestamp
      let what: String
      let sequence: Int64?
      let reason: String?
    }
    var entries = view.history.map {
      Entry(at: $0.at, what: $0.type.rawValue, sequence: $0.sequence, reason: $0.failureReason)
    }
    let delivery = view.session.delivery
    for (at, what) in [
      (delivery.pushedAt, "delivery.pushed"), (delivery.fetchedAt, "delivery.fetched"),
      (delivery.shownAt, "delivery.shown"),
    ] {
      guard let at else { continue }
      let index = entries.firstIndex { at < $0.at } ?? entries.endIndex
      entries.insert(Entry(at: at, what: what, sequence: nil, reason: nil), at: index)
    }
    for entry in entries {
      array.elementObject { object in
        object.member("at", entry.at.millisecondText)
        object.member("what", entry.what)
        object.member("sequence", entry.sequence)
        object.member("failure_reason", entry.reason)
      }
    }
  }

  static func position(_ view: SessionView) -> PagePosition {
    PagePosition(createdAt: view.session.createdAt, id: view.session.id.of(EventSubject.self))
  }
}

extension Timestamp {
  /// RFC 3339 in UTC with three fractional digits, for a timeline whose steps are milliseconds apart.
  var millisecondText: String {
    let fraction = String(millisecondsSinceEpoch - secondsSinceEpoch * 1000)
    let seconds = String(decoding: textBytes.dropLast(), as: UTF8.self)
    return "\(seconds).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)Z"
  }
}
