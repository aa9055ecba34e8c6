import HTTPTypes
import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Contract, section 10. The paths and the shape of errors are those of the vendor's order management.
enum OrderOperations {
  private static let order = "/ordermanagement/v1/orders/{order_id}"

  static let all: [Operation] = [
    .merchant("getOrder", .get, order) { call in
      let view = try await call.service.orderView(try call.call.pathOrderID(), as: call.principal)
      return .json(200, jsonObject(capacityBytes: 4096) { OrderWire.write(view, &$0) })
    },
    .merchant("createCapture", .post, order + "/captures", body: .json) { call in
      let id = try call.call.pathOrderID()
      let body = try await call.body()
      let wanted = try OrderWire.movement(body.object, amount: "captured_amount")
      let moved = try await call.service.capture(
        wanted, of: id, as: call.principal, once: try call.onceOfOrder(body))
      return made(moved, of: id, path: "captures", header: .captureID, call)
    },
    .merchant("listCaptures", .get, order + "/captures") { call in
      let view = try await call.service.orderView(try call.call.pathOrderID(), as: call.principal)
      var writer = JSONWriter(capacityBytes: 512)
      writer.array { array in
        for movement in view.captures { array.elementObject { OrderWire.write(movement, &$0) } }
      }
      return .json(200, writer.bytes)
    },
    .merchant("getCapture", .get, order + "/captures/{capture_id}") { call in
      try await found("capture_id", .capture, call) { $0.captures }
    },
    .merchant("createRefund", .post, order + "/refunds", body: .json) { call in
      let id = try call.call.pathOrderID()
      let body = try await call.body()
      let wanted = try OrderWire.movement(body.object, amount: "refunded_amount")
      let moved = try await call.service.refund(
        wanted, of: id, as: call.principal, once: try call.onceOfOrder(body))
      return made(moved, of: id, path: "refunds", header: .refundID, call)
    },
    .merchant("getRefund", .get, order + "/refunds/{refund_id}") { call in
      try await found("refund_id", .refund, call) { $0.refunds }
    },
    .merchant("cancelOrder", .post, order + "/cancel") { call in
      let id = try call.call.pathOrderID()
      return try await call.answerOnce(header: try call.idempotencyHeader, status: 204) {
        try await call.service.cancelOrder(id, as: call.principal)
        return []
      }
    },
    .merchant("listOrders", .get, "/portal/v1/orders") { call in
      var query = call.query
      let filter = OrderFilter(
        sessionID: query.identifier("session_id", of: Session.self),
        status: query.choice("status", Order.Status.self), merchantReference1: query.single("merchant_reference1"))
      let page = query.page(sizeMax: APILimits.pageSizeMax)
      try query.finish()
      let found = try await call.service.orders(filter, page, as: call.principal)
      return .json(200, pageBody(found, page, position: OrderWire.position) { OrderWire.write($0, &$1) })
    },
  ]

  /// 201 with the movement's name in a header of its own, and where it can be read.
  private static func made(
    _ moved: MovedMoney, of order: OrderID, path: String, header: HTTPField.Name, _ call: MerchantCall
  ) -> Answer {
    let id = moved.movement.id.description
    var answer = Answer.json(201, jsonObject { OrderWire.writeAsked(moved.movement, &$0) })
    answer.headers = [
      (header, id),
      (.location, "\(call.service.settings.publicURL())/ordermanagement/v1/orders/\(order)/\(path)/\(id)"),
    ]
    if moved.isReplayed { answer.headers.append((.idempotentReplayed, "true")) }
    return answer
  }

  private static func found(
    _ name: String, _ kind: OrderMovement.Kind, _ call: MerchantCall, _ movements: (OrderView) -> [OrderMovement]
  ) async throws -> Answer {
    let view = try await call.service.orderView(try call.call.pathOrderID(), as: call.principal)
    let id = call.call.pathParameters[name].flatMap(OrderMovementID.init(text:))
    guard let movement = movements(view).first(where: { $0.id == id }) else {
      throw RequestFailure.noSuchMovement(kind)
    }
    return .json(200, jsonObject { OrderWire.write(movement, &$0) })
  }
}

extension Call {
  /// The order in the path. Throws `RequestFailure.invalidOrderID` for what is no identifier at all.
  fileprivate func pathOrderID() throws -> OrderID {
    guard let id = pathParameters["order_id"].flatMap(OrderID.init(text:)) else { throw RequestFailure.invalidOrderID }
    return id
  }
}

extension MerchantCall {
  /// The vendor's, or the usual one.
  fileprivate var idempotencyHeader: HTTPField.Name {
    get throws { try call.header(.vendorIdempotencyKey) == nil ? .idempotencyKey : .vendorIdempotencyKey }
  }

  /// What the idempotency key asks for.
  fileprivate func onceOfOrder(_ body: RequestBodyContent) throws -> IdempotentRequest<OrderMovement>? {
    try once(body, header: try idempotencyHeader) { RenderedAnswer(status: 201, body: $0.id.textBytes) }
  }
}

extension HTTPField.Name {
  fileprivate static let captureID = constant("capture-id")
  fileprivate static let refundID = constant("refund-id")
  fileprivate static let vendorIdempotencyKey = constant("klarna-idempotency-key")
}

/// Orders as JSON.
enum OrderWire {
  static func movement(_ object: JSONObject, amount: String) throws -> MoveMoney {
    var fields = FieldReader(object)
    let value = fields.requiredInteger(amount, 1...Cart.amountMax, unit: "minor units")
    let wanted = MoveMoney(
      amount: value ?? 0, reference: fields.text("reference", characters: 0...255),
      description: fields.text("description", characters: 0...255))
    try fields.finish()
    return wanted
  }

  static func write(_ view: OrderView, _ object: inout JSONWriter) {
    let (order, session) = (view.order, view.session)
    object.member("order_id", order.id)
    object.member("status", order.status.rawValue)
    object.member("session_id", order.sessionID)
    object.member("location_id", order.locationID)
    object.member("order_amount", order.amount)
    object.member("original_order_amount", order.amount)
    object.member("order_tax_amount", session.cart.taxTotal)
    object.member("captured_amount", order.money.captured)
    object.member("refunded_amount", order.money.refunded)
    object.member("remaining_authorized_amount", order.capturable)
    object.member("refundable_amount", order.refundable)
    object.member("purchase_currency", order.currency.code)
    object.member("merchant_reference1", session.details.merchantReference1)
    object.member("merchant_reference2", session.details.merchantReference2)
    object.member("merchant_data", session.details.merchantData)
    object.member("created_at", order.createdAt)
    object.member("payment", object: { PaymentWire.write(view.payment, &$0) })
    object.member(
      "captures",
      array: { array in
        for movement in view.captures { array.elementObject { write(movement, &$0) } }
      })
    object.member("refunds", array: { writeRefunds(view, &$0) })
    object.member(
      "order_lines",
      array: { array in
        for line in session.cart.lines { array.elementObject { SessionWire.write(line, &$0) } }
      })
  }

  static func writeRefunds(_ view: OrderView, _ array: inout JSONWriter) {
    for movement in view.refunds { array.elementObject { write(movement, &$0) } }
  }

  static func write(_ movement: OrderMovement, _ object: inout JSONWriter) {
    writeAsked(movement, &object)
    object.member("state", movement.state.name.rawValue)
    switch movement.state {
    case .requested: break
    case .done(let at): movement.kind == .refund ? object.member("refunded_at", at) : object.member("captured_at", at)
    case .refused(let words, _): object.member("failure_message", words)
    }
  }

  /// What was asked for: the same in every answer to the same idempotency key, however it stands by then.
  static func writeAsked(_ movement: OrderMovement, _ object: inout JSONWriter) {
    switch movement.kind {
    case .capture, .release:
      object.member("capture_id", movement.id)
      object.member("captured_amount", movement.amount)
    case .refund:
      object.member("refund_id", movement.id)
      object.member("refunded_amount", movement.amount)
    }
    object.member("reference", movement.reference)
    object.member("description", movement.description)
    object.member("created_at", movement.createdAt)
  }

  static func position(_ view: OrderView) -> PagePosition {
    PagePosition(createdAt: view.order.createdAt, id: view.order.id.of(EventSubject.self))
  }
}
