import HTTPTypes
import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Contract, section 7.
enum POSOperations {
  static let all: [Operation] = [
    .device("streamOwnEvents", .get, "/pos/v1/events") { call in try await DeviceStream.answer(call) },
    .device("listOwnSessions", .get, "/pos/v1/sessions") { call in
      let line = try await call.service.line(of: call.principal)
      return .json(
        200,
        jsonObject { object in
          object.member(
            "content",
            array: { array in
              for view in line { array.elementObject { write(view, call.service, &$0) } }
            })
        })
    },
    .device("getOwnSession", .get, "/pos/v1/sessions/{session_id}") { call in
      let id: SessionID = try call.call.pathID("session_id")
      try await call.service.note(.fetched, of: id, as: call.principal)
      let view = try await call.service.session(id, as: .device(call.principal))
      return .json(200, jsonObject { write(view, call.service, &$0) })
    },
    .device("createConnectionToken", .post, "/pos/v1/connection-tokens") { call in
      let connection = try await call.service.connectReader(as: call.principal)
      return .json(
        201,
        jsonObject { object in
          object.member("provider", connection.provider.rawValue)
          object.member("secret", connection.secret)
        })
    },
    .device("markOwnSessionShown", .post, "/pos/v1/sessions/{session_id}/shown") { call in
      try await call.service.note(.shown, of: try call.call.pathID("session_id"), as: call.principal)
      return .noContent
    },
    .device("startPayment", .post, "/pos/v1/sessions/{session_id}/payments", body: .json) { call in
      let id: SessionID = try call.call.pathID("session_id")
      let method = try PaymentWire.method(try await call.body().object)
      let view = try await call.service.startPayment(method, of: id, as: .device(call.principal))
      return .json(201, PaymentWire.attempt(view, call.service))
    },
    .device("finalizePayment", .post, "/pos/v1/sessions/{session_id}/payments/{payment_id}/finalize") { call in
      let view = try await call.service.settlePayment(
        try call.call.pathID("payment_id"), of: try call.call.pathID("session_id"), as: .device(call.principal))
      return .json(200, PaymentWire.attempt(view, call.service))
    },
    .device("cancelPayment", .post, "/pos/v1/sessions/{session_id}/payments/{payment_id}/cancel") { call in
      let view = try await call.service.cancelPayment(
        try call.call.pathID("payment_id"), of: try call.call.pathID("session_id"), as: .device(call.principal))
      return .json(200, PaymentWire.attempt(view, call.service))
    },
    .device("cancelOwnSession", .post, "/pos/v1/sessions/{session_id}/cancel") { call in
      let view = try await call.service.cancelSession(
        try call.call.pathID("session_id"), as: .device(call.principal))
      return .json(200, jsonObject { write(view, call.service, &$0) })
    },
    .device("getOwnReceipt", .get, "/pos/v1/sessions/{session_id}/receipt") { call in
      let receipt = try await call.service.receipt(
        of: try call.call.pathID("session_id"), as: .device(call.principal))
      return .json(200, ReceiptWire.body(receipt))
    },
  ]

  /// A session as its phone sees it: with the methods that can work, and what it shows.
  private static func write(_ view: SessionView, _ service: KassaService, _ object: inout JSONWriter) {
    SessionWire.write(view, &object)
    if let payment = view.payments.last { PaymentWire.writeNextAction(of: payment, service, &object) }
    object.member(
      "available_methods",
      array: { array in
        for method in view.methods { array.element(method.rawValue) }
      })
  }
}
