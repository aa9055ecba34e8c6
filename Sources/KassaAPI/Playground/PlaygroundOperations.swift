import HTTPTypes
import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// What exists in the playground only (contract, section 9).
enum PlaygroundOperations {
  static let all: [Operation] = [
    .open("getPlayground", .get, "/portal/v1/playground") { call in
      try SameOriginProof.check(call.call)
      guard ThisMachine.isCaller(call.call) else { throw RequestFailure.demoKeyWithheld }
      let demo = try await call.service.preparePlayground()
      return .json(
        200,
        jsonObject { object in
          object.member("merchant_id", demo.merchant)
          object.member("api_key", demo.apiKey)
          object.member("public_url", call.service.settings.publicURL())
        })
    },
    .merchant("createSimulatedDevice", .post, "/ipp/v1/dev/devices", body: .json) { call in
      let body = try await call.body()
      var fields = FieldReader(body.object)
      let name = fields.requiredText("name", characters: 1...APILimits.nameCharactersMax)
      let locationID = fields.identifier("location_id", of: Location.self)
      let metadata = fields.metadata("metadata")
      try fields.finish()
      let now = call.service.now
      let render: @Sendable (RegisteredDevice) -> RenderedAnswer = { device in
        RenderedAnswer(status: 201, body: jsonObject { DeviceWire.write(device, at: now, &$0) })
      }
      let device = try await call.service.createSimulatedDevice(
        name: name ?? "", metadata: metadata, locationID: locationID, as: call.principal,
        once: try call.once(body, render: render))
      return .answered(device, render: render)
    },
    .merchant("simulateTap", .post, "/ipp/v1/dev/sessions/{session_id}/simulate-tap") { call in
      let id: SessionID = try call.call.pathID("session_id")
      var query = call.query
      let outcome = query.outcome()
      try query.finish()
      let actor = CollectingActor.merchant(call.principal)
      return try await call.answerOnce {
        _ = try await call.service.simulateTap(id, outcome, as: actor)
        let view = try await call.service.session(id, as: actor)
        return jsonObject { SessionWire.write(view, &$0) }
      }
    },
    .device("simulateOwnTap", .post, "/pos/v1/dev/sessions/{session_id}/simulate-tap") { call in
      let id: SessionID = try call.call.pathID("session_id")
      var query = call.query
      let outcome = query.outcome()
      try query.finish()
      let view = try await call.service.simulateTap(id, outcome, as: .device(call.principal))
      return .json(200, PaymentWire.attempt(view, call.service))
    },
    .merchant("simulateScan", .post, "/ipp/v1/dev/sessions/{session_id}/simulate-scan") { call in
      let id: SessionID = try call.call.pathID("session_id")
      var query = call.query
      let (method, scan) = query.scan()
      try query.finish()
      let actor = CollectingActor.merchant(call.principal)
      return try await call.answerOnce {
        _ = try await call.service.simulateScan(id, method, scan, as: actor)
        let view = try await call.service.session(id, as: actor)
        return jsonObject { SessionWire.write(view, &$0) }
      }
    },
    .device("simulateOwnScan", .post, "/pos/v1/dev/sessions/{session_id}/simulate-scan") { call in
      let id: SessionID = try call.call.pathID("session_id")
      var query = call.query
      let (method, scan) = query.scan()
      try query.finish()
      let view = try await call.service.simulateScan(id, method, scan, as: .device(call.principal))
      return .json(200, PaymentWire.attempt(view, call.service))
    },
    .open("getPaymentAsBuyer", .get, "/buyer/v1/payments/{payment_id}") { call in
      let view = try await call.service.buyerView(of: try call.call.pathID("payment_id"))
      return .json(200, BuyerWire.payment(view))
    },
    buyer("openPaymentAsBuyer", "open", .open),
    buyer("approvePaymentAsBuyer", "approve", .approve),
    buyer("refusePaymentAsBuyer", "refuse", .refuse),
    .merchant("planCardFault", .post, "/ipp/v1/dev/card-faults", body: .json) { call in
      let body = try await call.body()
      var fields = FieldReader(body.object)
      let operation = fields.requiredText("operation", characters: 1...20)
      let fault = fields.requiredText("fault", characters: 1...20)
      let count = fields.integer("count", 1...1000, unit: "calls") ?? 1
      let delay = fields.integer("delay_milliseconds", 0...600_000, unit: "milliseconds") ?? 0
      let known = try playground(call.call)
      if let operation, !known.cardOperations.contains(operation) {
        fields.refuse("operation", "must be one of \(known.cardOperations.joined(separator: ", "))")
      }
      if let fault, !known.cardFaults.contains(fault) {
        fields.refuse("fault", "must be one of \(known.cardFaults.joined(separator: ", "))")
      }
      try fields.finish()
      return try await call.answerOnce(body, status: 204) {
        guard known.planCardFault(operation ?? "", fault ?? "", Int(count), delay) else {
          throw RequestFailure.invalid([FieldFlaw("count", "must be smaller: too many faults wait already")])
        }
        return []
      }
    },
    .merchant("listCardFaults", .get, "/ipp/v1/dev/card-faults") { call in
      let planned = try playground(call.call).plannedCardFaults()
      return .json(
        200,
        jsonObject { object in
          object.member(
            "content",
            array: { array in
              for fault in planned {
                array.elementObject { element in
                  element.member("operation", fault.operation)
                  element.member("fault", fault.fault)
                  element.member("delay_milliseconds", fault.delayMilliseconds)
                }
              }
            })
        })
    },
    .merchant("clearCardFaults", .delete, "/ipp/v1/dev/card-faults") { call in
      try playground(call.call).clearCardFaults()
      return .noContent
    },
    .merchant("getClock", .get, "/ipp/v1/dev/clock") { call in try clock(call) },
    .merchant("moveClock", .post, "/ipp/v1/dev/clock", body: .json) { call in
      let body = try await call.body()
      var fields = FieldReader(body.object)
      let seconds = fields.requiredInteger("advance_seconds", 0...31_536_000, unit: "seconds")
      try fields.finish()
      return try await call.answerOnce(body) {
        try playground(call.call).advanceClock(seconds ?? 0)
        return try clock(call).body
      }
    },
  ]

  private static func buyer(_ id: String, _ verb: String, _ act: BuyerAct) -> Operation {
    .open(id, .post, "/buyer/v1/payments/{payment_id}/\(verb)") { call in
      let view = try await call.service.act(act, of: try call.call.pathID("payment_id"))
      return .json(200, BuyerWire.payment(view))
    }
  }

  private static func playground(_ call: Call) throws -> PlaygroundControls {
    guard let playground = call.api.hooks.playground else { throw RequestFailure.unknownRoute }
    return playground
  }

  private static func clock(_ call: MerchantCall) throws -> Answer {
    let offset = try playground(call.call).clockOffsetSeconds()
    let now = call.service.now
    return .json(
      200,
      jsonObject { object in
        object.member("now", now)
        object.member("offset_seconds", offset)
      })
  }
}

/// Whether a request comes from a browser on the machine that the server runs on (ADR 33).
enum ThisMachine {
  /// The connection is from the machine itself, no proxy passes somebody else's request on, and the name in the address bar
  /// is one of the machine's own: a foreign name that was made to lead here (DNS rebinding) is not.
  static func isCaller(_ call: Call) -> Bool {
    guard let peer = call.connection.remoteAddress?.ipAddress.flatMap(SourceAddress.addressBytes),
      loopback.contains(where: { $0.contains(peer) }),
      forwarding.allSatisfy({ call.request.headers[$0] == nil }),
      let authority = call.request.head.authority
    else { return false }
    return isLoopbackName(authority)
  }

  /// `127.0.0.1`, `[::1]` or `localhost`, with any port.
  static func isLoopbackName(_ authority: String) -> Bool {
    let lowercased = authority.lowercased()
    return ["127.0.0.1", "[::1]", "localhost"].contains { name in
      guard lowercased.utf8.starts(with: name.utf8) else { return false }
      let rest = lowercased.utf8.dropFirst(name.utf8.count)
      return rest.isEmpty || (rest.first == UInt8(ascii: ":") && rest.dropFirst().allSatisfy { 0x30...0x39 ~= $0 })
    }
  }

  private static let loopback = ["127.0.0.0/8", "::1"].compactMap { AddressBlock($0) }
  private static let forwarding: [HTTPField.Name] = [.forwardedFor, .forwarded, .via]
}

extension HTTPField.Name {
  fileprivate static let forwarded = constant("forwarded")
}

/// What the playground lets a backend move: the card network and the clock.
package struct PlaygroundControls: Sendable {
  let cardOperations: [String]
  let cardFaults: [String]
  let planCardFault: @Sendable (_ operation: String, _ fault: String, _ count: Int, _ delay: Int64) -> Bool
  let plannedCardFaults: @Sendable () -> [PlannedCardFault]
  let clearCardFaults: @Sendable () -> Void
  let advanceClock: @Sendable (_ seconds: Int64) -> Void
  let clockOffsetSeconds: @Sendable () -> Int64

  package init(
    cardOperations: [String], cardFaults: [String],
    planCardFault: @escaping @Sendable (String, String, Int, Int64) -> Bool,
    plannedCardFaults: @escaping @Sendable () -> [PlannedCardFault], clearCardFaults: @escaping @Sendable () -> Void,
    advanceClock: @escaping @Sendable (Int64) -> Void, clockOffsetSeconds: @escaping @Sendable () -> Int64
  ) {
    self.cardOperations = cardOperations
    self.cardFaults = cardFaults
    self.planCardFault = planCardFault
    self.plannedCardFaults = plannedCardFaults
    self.clearCardFaults = clearCardFaults
    self.advanceClock = advanceClock
    self.clockOffsetSeconds = clockOffsetSeconds
  }
}

/// An attempt as JSON, for its buyer.
enum BuyerWire {
  static func payment(_ view: BuyerView) -> [UInt8] {
    jsonObject { object in
      object.member("payment_id", view.payment.id)
      object.member("merchant_name", view.merchantName)
      object.member("location_name", view.locationName)
      object.member("amount", view.payment.amount)
      object.member("currency", view.payment.currency.code)
      object.member("method", view.payment.method.rawValue)
      object.member("state", view.payment.state.rawValue)
      object.member("failure_reason", view.payment.failureReason?.rawValue)
      if view.payment.state == .open, case .showQR(let code) = view.payment.nextAction {
        object.member("buyer_state", code.isBuyerPaying ? "PAYING" : "WAITING")
        object.member("expires_at", view.payment.waitsUntil)
      }
    }
  }
}

/// A fault that waits for its call, as words.
package struct PlannedCardFault: Sendable {
  let operation: String
  let fault: String
  let delayMilliseconds: Int64

  package init(operation: String, fault: String, delayMilliseconds: Int64) {
    self.operation = operation
    self.fault = fault
    self.delayMilliseconds = delayMilliseconds
  }
}

extension QueryReader {
  /// The method and the outcome of a simulated scan; left out the outcome is `SUCCESS`.
  fileprivate mutating func scan() -> (PaymentMethod?, SimulatedScan) {
    let method = choice("method", PaymentMethod.self)
    if method == .card { refuse("method", "must be one of KLARNA, SWISH, VIPPS: a card is tapped") }
    return (method, choice("outcome", SimulatedScan.self) ?? .success)
  }

  /// The outcome of a simulated payment; left out it is `SUCCESS`.
  fileprivate mutating func outcome() -> SimulatedOutcome {
    guard let text = single("outcome") else { return .success }
    let declines = PaymentFailureReason.outcomesOfTap
    if sameBytes(text, "SUCCESS") { return .success }
    if let reason = declines.first(where: { sameBytes($0.rawValue, text) }) { return .declined(reason) }
    refuse("outcome", "must be one of SUCCESS, \(declines.map(\.rawValue).joined(separator: ", "))")
    return .success
  }
}

extension PaymentFailureReason {
  /// Those that a tapped card can have (contract, section 9).
  static var outcomesOfTap: [PaymentFailureReason] {
    allCases.filter { ![.timedOut, .notStarted, .cancelled].contains($0) }
  }
}
