import Foundation
import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// The guide's way to test an integration, line by line: a simulated device, a session, a tap, a callback.
  struct PaymentWalkTests {
    private struct World {
      let shop: Shop
      let receiver: CallbackReceiver
      let secret: String

      /// The session's callbacks once there are so many of them, by their types.
      func callbacks(_ session: String, _ types: [String]) async throws -> [JSONValue] {
        let found = try await receiver.callbacks { all in
          all.filter { Self.isOf(session, $0.json) }.count >= types.count
        }
        let own = found.filter { Self.isOf(session, $0.json) }
        for callback in own {
          #expect(callback.isSigned(by: secret))
          #expect(!callback.isSigned(by: "whsec_" + Data(repeating: 7, count: 24).base64EncodedString()))
          #expect(callback.header("webhook-id") == callback.json["id"]?.text)
          #expect(callback.header("content-type") == "application/json")
          #expect(callback.json["merchant_id"]?.text == shop.server.merchantID)
          #expect(callback.json["timestamp"]?.text?.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z/) != nil)
        }
        // In order, numbered from 1 without a gap.
        #expect(own.map { $0.json["type"]?.text } == types)
        #expect(own.map { $0.json["data"]?["sequence"]?.integer } == Array(1...Int64(types.count)))
        return own.map { $0.json["data"] ?? .null }
      }

      /// An event of the session itself: its order's are another chain.
      static func isOf(_ session: String, _ event: JSONValue) -> Bool {
        event["type"]?.text?.hasPrefix("ipp.") == true && event["data"]?["session_id"]?.text == session
      }

      /// The order's callbacks once there are so many of them, by their types, numbered from 1 without a gap.
      func callbacks(ofOrder order: String, _ types: [String]) async throws -> [JSONValue] {
        func isOf(_ event: JSONValue) -> Bool {
          event["type"]?.text?.hasPrefix("ipp.") == false && event["data"]?["order_id"]?.text == order
        }
        let found = try await receiver.callbacks { all in all.filter { isOf($0.json) }.count >= types.count }
        let own = found.filter { isOf($0.json) }
        for callback in own { #expect(callback.isSigned(by: secret)) }
        #expect(own.map { $0.json["type"]?.text } == types)
        #expect(own.map { $0.json["data"]?["sequence"]?.integer } == Array(1...Int64(types.count)))
        return own.map { $0.json["data"] ?? .null }
      }

      func status(_ session: String) async throws -> String? {
        try await shop.server.get("/ipp/v1/sessions/\(session)").json["status"]?.text
      }
    }

    private func withWorld(_ body: (World) async throws -> Void) async throws {
      let receiver = try await CallbackReceiver()
      let result: Result<Void, any Error>
      do {
        result = .success(
          try await withServer("playground", unlimited) { server in
            let webhook = try await server.post(
              "/portal/v1/webhooks", ["name": "Backend", "url": .string(receiver.url), "events": ["*"]])
            #expect(webhook.status == 201, "\(webhook)")
            try await body(
              World(shop: Shop(server: server), receiver: receiver, secret: try webhook.text("secret")))
          })
      } catch {
        result = .failure(error)
      }
      await receiver.close()
      try result.get()
    }

    @Test(.timeLimit(.minutes(2))) func aTapIsAnOrder() async throws {
      try await withWorld { world in
        let server = world.shop.server
        let device = try await server.post(
          "/ipp/v1/dev/devices", ["name": "Test device", "metadata": ["store_id": "123"]])
        #expect(device.status == 201)
        #expect(device.json["metadata"] == ["simulated": "true", "store_id": "123"])
        #expect(device.json["name"] == "Test device" && device.json["id"] == device.json["device_id"])
        let id = try device.text("id")

        let made = try await server.post("/ipp/v1/sessions", try Shop.sample(id))
        #expect(made.status == 200 && made.json["status"] == "CREATED", "\(made)")
        #expect(made.json["order_id"] == nil && made.json["order_amount"] == 240000)
        // What was sent comes back as it was sent.
        let sample = try Shop.sample(id)
        for member in sample.members where member.name != "order_items" {
          #expect(made.json[member.name] == member.value, "\(member.name)")
        }
        for (line, sent) in zip(made.json["order_items"]?.elements ?? [], sample["order_items"]?.elements ?? []) {
          for member in sent.members { #expect(line[member.name] == member.value, "\(member.name)") }
        }
        let session = try made.text("session_id")

        let tapped = try await world.shop.tap(session)
        #expect(tapped.status == 200 && tapped.json["status"] == "FINALIZED", "\(tapped)")
        let order = try tapped.text("order_id")
        let data = try await world.callbacks(
          session, ["ipp.session.created", "ipp.session.activated", "ipp.session.finalized"])
        #expect(data.map { $0["order_id"] } == [.null, .null, .string(order)])
        #expect(data.map { $0["failure_reason"] } == [.null, .null, .null])

        let read = try await server.get("/ipp/v1/sessions/\(session)").json
        #expect(read["status"] == "FINALIZED" && read["order_id"]?.text == order)
        #expect(read["payment"]?["state"] == "SUCCEEDED" && read["payment"]?["method"] == "CARD")
        // Over is over.
        let again = try await world.shop.tap(session)
        #expect(again.status == 409 && again.code == "session_finalized")
        // The same in the pull feed, under the same ids, each once.
        let feed = try await server.get("/portal/v1/events?limit=1000").json["content"]?.elements ?? []
        let pulled = feed.filter { World.isOf(session, $0) }
        #expect(pulled == world.receiver.callbacks.map(\.json).filter { World.isOf(session, $0) })
      }
    }

    /// By a scanned code, through the provider's own wire: shown, opened and paid by a buyer, and refunded in part.
    @Test(.timeLimit(.minutes(2))) func aScanIsAnOrderThatIsRefunded() async throws {
      try await withWorld { world in
        let server = world.shop.server
        let phone = try await world.shop.phone()
        let session = try await world.shop.session(on: phone.id)
        let line = try await phone.call("GET", "/pos/v1/sessions/\(session)")
        #expect(line.json["available_methods"]?.elements.contains("KLARNA") == true, "\(line)")
        #expect(line.json["available_methods"]?.elements.contains("VIPPS") == false)
        let stream = try await phone.stream()
        let begun = try await phone.call("POST", "/pos/v1/sessions/\(session)/payments", ["method": "KLARNA"])
        #expect(begun.status == 201 && begun.json["next_action"]?["type"] == "SHOW_QR", "\(begun)")
        #expect(begun.json["next_action"]?["buyer_state"] == "WAITING")
        let payment = try begun.text("payment_id")
        // The picture needs no credential, and is what it says.
        let url = try #require(begun.json["next_action"]?["image_url"]?.text)
        let image = String(url.dropFirst(server.url.count))
        let png = try await server.send(HTTPCall("GET", image))
        #expect(png.status == 200 && png.header("content-type") == "image/png")
        #expect(png.body.starts(with: [0x89, 0x50, 0x4e, 0x47]))
        let svg = try await server.send(HTTPCall("GET", image.replacing("code.png", with: "code.svg")))
        #expect(svg.header("content-type") == "image/svg+xml" && svg.text.hasPrefix("<svg "))
        // A phone that was restarted shows it again.
        let again = try await phone.call("GET", "/pos/v1/sessions/\(session)")
        #expect(again.json["next_action"] == begun.json["next_action"])

        func buyer(_ act: String) async throws -> HTTPAnswer {
          try await server.send(HTTPCall("POST", "/buyer/v1/payments/\(payment)/\(act)"))
        }
        let opened = try await buyer("open")
        #expect(opened.json["buyer_state"] == "PAYING" && opened.json["amount"] == 240000, "\(opened)")
        let paying = try await phone.call("GET", "/pos/v1/sessions/\(session)")
        #expect(paying.json["next_action"]?["buyer_state"] == "PAYING")
        #expect(try await buyer("approve").json["state"] == "SUCCEEDED")
        // The phone heard of the code, of the buyer and of the end; without asking.
        var told: [String] = []
        while !told.contains("session.withdrawn") { told.append(try await stream.next().event) }
        #expect(told.count { $0 == "session.changed" } >= 3, "\(told)")
        await stream.close()
        #expect(try await server.send(HTTPCall("GET", image)).status == 404)

        let order = try (try await server.get("/ipp/v1/sessions/\(session)")).text("order_id")
        let path = "/ordermanagement/v1/orders/\(order)"
        try await eventually("captured") { try await server.get(path).json["status"] == "CAPTURED" }
        let refunded = try await server.post(path + "/refunds", ["refunded_amount": 40000, "reference": "RETURN-1"])
        #expect(refunded.status == 201, "\(refunded)")
        let id = try #require(refunded.header("refund-id"))
        #expect(refunded.header("location") == "\(server.url)\(path)/refunds/\(id)")
        #expect(try await server.get("\(path)/refunds/\(id)").json["state"] == "DONE")
        let tooMuch = try await server.post(path + "/refunds", ["refunded_amount": 200001])
        #expect(tooMuch.status == 403 && tooMuch.json["error_code"] == "NOT_ALLOWED")
        let read = try await server.get(path)
        #expect(read.json["refunded_amount"] == 40000 && read.json["refundable_amount"] == 200000)
        #expect(read.json["order_lines"]?.elements.count == 2)
        #expect(try await server.get("/portal/v1/orders?session_id=\(session)").json["total_elements"] == 1)
        let receipt = try await phone.call("GET", "/pos/v1/sessions/\(session)/receipt")
        #expect(receipt.json["refunded_amount"] == 40000 && receipt.json["payment"]?["method"] == "KLARNA")

        _ = try await world.callbacks(
          session, ["ipp.session.created", "ipp.session.activated", "ipp.session.finalized"])
        let data = try await world.callbacks(ofOrder: order, ["order.created", "capture.created", "refund.created"])
        #expect(data[0]["session_id"]?.text == session && data[2]["refund_id"]?.text == id)
      }
    }

    @Test(.timeLimit(.minutes(2))) func declinesMayBeTriedAgain() async throws {
      try await withWorld { world in
        let phone = try await world.shop.phone()
        for outcome in [
          "DECLINED_GENERIC", "INSUFFICIENT_FUNDS", "LOST_CARD", "STOLEN_CARD", "EXPIRED_CARD", "INCORRECT_CVC",
          "PROCESSING_ERROR", "INCORRECT_NUMBER", "CARD_VELOCITY_EXCEEDED",
        ] {
          let session = try await world.shop.session(on: phone.id)
          let declined = try await world.shop.tap(session, outcome)
          #expect(declined.status == 200 && declined.json["status"] == "ACTIVE", "\(declined)")
          #expect(declined.json["payment"]?["state"] == "FAILED")
          #expect(declined.json["payment"]?["failure_reason"]?.text == outcome)
          let tapped = try await world.shop.tap(session, "SUCCESS")
          #expect(tapped.json["status"] == "FINALIZED", "\(tapped)")
          let data = try await world.callbacks(
            session,
            ["ipp.session.created", "ipp.session.activated", "ipp.payment.failed", "ipp.session.finalized"])
          #expect(data[2]["failure_reason"]?.text == outcome)
          #expect(data[3]["failure_reason"] == .null && data[3]["order_id"] == tapped.json["order_id"])
        }
        let session = try await world.shop.session(on: phone.id)
        let wrong = try await world.shop.tap(session, "success")
        #expect(wrong.status == 400 && wrong.failingFields == ["outcome"])
      }
    }

    @Test(.timeLimit(.minutes(2))) func cancelBeforeAndAfterPayment() async throws {
      try await withWorld { world in
        let shop = world.shop
        let phone = try await shop.phone()
        // Before anything.
        let untouched = try await shop.session(on: phone.id)
        for _ in 0..<2 {
          let cancelled = try await shop.cancel(untouched)
          #expect(cancelled.status == 200 && cancelled.json["status"] == "CANCELLED", "\(cancelled)")
        }
        _ = try await world.callbacks(untouched, ["ipp.session.created", "ipp.session.cancelled"])
        let tooLate = try await shop.tap(untouched)
        #expect(tooLate.status == 409 && tooLate.code == "session_over")
        // With an attempt under way, which the provider confirms to be void.
        let begun = try await shop.session(on: phone.id)
        #expect(
          try await phone.call("POST", "/pos/v1/sessions/\(begun)/payments", ["method": "CARD"]).status == 201)
        let cancelled = try await shop.cancel(begun)
        #expect(cancelled.status == 200 && cancelled.json["status"] == "CANCELLED", "\(cancelled)")
        _ = try await world.callbacks(
          begun, ["ipp.session.created", "ipp.session.activated", "ipp.session.cancelled"])
        // After the money moved.
        let paid = try await shop.session(on: phone.id)
        #expect(try await shop.tap(paid).status == 200)
        let refused = try await shop.cancel(paid)
        #expect(refused.status == 409 && refused.code == "session_finalized")
        #expect(try await world.status(paid) == "FINALIZED")
        _ = try await world.callbacks(
          paid, ["ipp.session.created", "ipp.session.activated", "ipp.session.finalized"])
        // Nobody knows; some seconds later it is known.
        let unsure = try await shop.session(on: phone.id)
        #expect(
          try await phone.call("POST", "/pos/v1/sessions/\(unsure)/payments", ["method": "CARD"]).status == 201)
        let fault: JSONValue = ["operation": "CANCEL", "fault": "LOSE_ANSWER"]
        #expect(try await shop.server.post("/ipp/v1/dev/card-faults", fault).status == 204)
        let unknown = try await shop.cancel(unsure)
        #expect(unknown.status == 409 && unknown.code == "payment_outcome_unknown", "\(unknown)")
        #expect(unknown.header("retry-after") != nil)
        try await eventually("it is cancelled") { try await world.status(unsure) == "CANCELLED" }
        _ = try await world.callbacks(
          unsure, ["ipp.session.created", "ipp.session.activated", "ipp.session.cancelled"])
      }
    }

    @Test(.timeLimit(.minutes(2))) func timeEndsASession() async throws {
      try await withWorld { world in
        let shop = world.shop
        let (phone, other) = (try await shop.phone(), try await shop.phone("Till 2"))
        let untouched = try await shop.session(on: phone.id)
        let declined = try await shop.session(on: other.id)
        #expect(try await shop.tap(declined, "EXPIRED_CARD").status == 200)
        try await shop.advanceClock(seconds: 890)
        #expect(try await world.status(untouched) == "CREATED")
        try await shop.advanceClock(seconds: 11)
        for session in [untouched, declined] {
          try await eventually("it expires") { try await world.status(session) == "EXPIRED" }
          #expect(try await shop.tap(session).code == "session_over")
          #expect(try await shop.cancel(session).code == "session_over")
        }
        _ = try await world.callbacks(untouched, ["ipp.session.created", "ipp.session.expired"])
        _ = try await world.callbacks(
          declined,
          ["ipp.session.created", "ipp.session.activated", "ipp.payment.failed", "ipp.session.expired"])
        #expect(try await phone.call("GET", "/pos/v1/sessions").json["content"] == [])
      }
    }

    /// Many at once: every session's callbacks arrive in their order.
    @Test(.timeLimit(.minutes(2))) func manySessionsKeepTheirOrder() async throws {
      try await withWorld { world in
        let shop = world.shop
        let sessions = try await withThrowingTaskGroup(of: (String, [String]).self) { group in
          for number in 0..<20 {
            group.addTask {
              let phone = try await shop.phone("Till \(number)")
              let session = try await shop.session(on: phone.id)
              var types = ["ipp.session.created"]
              if !number.isMultiple(of: 4) {
                types.append("ipp.session.activated")
                for _ in 0..<(number % 4 - 1) {
                  _ = try await shop.tap(session, "LOST_CARD")
                  types.append("ipp.payment.failed")
                }
                _ = try await shop.tap(session)
                types.append("ipp.session.finalized")
              } else {
                _ = try await shop.cancel(session)
                types.append("ipp.session.cancelled")
              }
              return (session, types)
            }
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        for (session, types) in sessions { _ = try await world.callbacks(session, types) }
      }
    }
  }
}
