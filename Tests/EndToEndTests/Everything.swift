import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// A playground with one of everything, and what must be so wherever it is served from then on.
struct Everything: Sendable {
  let merchant: String
  let apiKey: String
  /// By how much the clock was moved.
  let movedSeconds: Int64
  let location: String
  let revokedKey: String
  let secondKey: String
  let webhook: String
  let webhookSecret: String
  /// A delivery that is dead.
  let deadDelivery: String
  /// Callbacks that wait for the webhook.
  let waiting: Int64
  let liveCode: String
  let usedCode: String
  let phone: Shop.Phone
  let deletedPhone: Shop.Phone
  let deviceKey: DeviceKey
  let boundToken: String
  /// Charged, and nobody knows.
  let interrupted: String
  let declined: String
  /// Paid, captured, and refunded in part.
  let order: String
  let authorizedOrder: String
  let phoneCursor: String
  let phoneFrames: [EventStream.Frame]
  let feedCursor: String
  let feedIDs: [String]
  let repeated: String

  /// Makes it. Whatever goes to `failing` waits, and the first of it is dead.
  init(_ server: ServerProcess, failing: String, steady: String) async throws {
    let shop = Shop(server: server)
    (merchant, apiKey) = (server.merchantID, server.apiKey)

    let keys = try await [
      server.post("/portal/v1/api-keys", ["name": "revoked"]), server.post("/portal/v1/api-keys", ["name": "second"]),
    ]
    revokedKey = try keys[0].text("api_key")
    secondKey = try keys[1].text("api_key")
    let revoked = try keys[0].text("id")
    #expect(try await server.delete("/portal/v1/api-keys/\(revoked)").status == 204)

    // A callback that is dead, and later ones that wait. The clock must move for it, so it comes first. A phone that goes
    // on, and one that is deleted.
    let early = try await shop.phone("Early")
    phone = try await shop.phone("Till 1")
    deletedPhone = try await shop.phone("Gone")
    #expect(try await server.delete("/ipp/v1/devices/\(deletedPhone.id)").status == 204)
    location = try await server.post("/portal/v1/locations", ["name": "Åre", "country": "SE"]).text("id")
    let hook = try await server.post("/portal/v1/webhooks", ["name": "Down", "url": .string(failing), "events": ["*"]])
    (webhook, webhookSecret) = (try hook.text("id"), try hook.text("secret"))
    _ = try await shop.session(on: early.id)
    var moved: Int64 = 0
    var dead: [JSONValue] = []
    for _ in 0..<200 where dead.isEmpty {
      try await shop.advanceClock(seconds: 50_000)
      moved += 50_000
      try await Task.sleep(for: .milliseconds(100))
      let path = "/portal/v1/webhooks/\(webhook)/deliveries?status=DEAD"
      dead = try await server.get(path).json["content"]?.elements ?? []
    }
    movedSeconds = moved
    deadDelivery = dead.first?["id"]?.text ?? ""
    try #require(deadDelivery != "")
    #expect(
      try await server.post(
        "/portal/v1/webhooks",
        ["name": "Up", "url": .string(steady), "events": ["order.created", "ipp.session.finalized"]]
      ).status == 201)

    // Codes: one that lives, a used one, one that is taken back, one that is over; and a wrong attempt.
    func code(_ body: JSONValue) async throws -> (id: String, code: String) {
      let made = try await server.post("/ipp/v1/enrollments", body)
      return (try made.text("enrollment_id"), try made.text("enrollment_code"))
    }
    let at = JSONValue.string(location)
    liveCode = try await code(["location_id": at, "metadata": ["store_id": "7", "lang": "sv"]]).code
    let used = try await code(["location_id": at, "metadata": ["store_id": "7"]])
    usedCode = used.code
    let cancelled = try await code(["location_id": at, "metadata": ["store_id": "7"]]).id
    #expect(try await server.delete("/ipp/v1/enrollments/\(cancelled)").status == 204)
    _ = try await code(["location_id": at, "metadata": ["store_id": "7"], "expires_in": 1000])
    func register(_ body: JSONValue) async throws -> HTTPAnswer {
      try await server.send(HTTPCall("POST", "/pos/v1/devices", headers: [], json: body))
    }
    #expect(try await register(registration("22222222G")).status == 404)

    // A phone that proves its key.
    let key = DeviceKey()
    deviceKey = key
    let bound = try await register(registration(used.code).setting("public_key", to: key.jwk))
    guard let token = bound.json["credentials"]?["bearer_token"]?.text else {
      throw Missing(description: "no token: \(bound)")
    }
    boundToken = token
    #expect(try await Self.prove(key, token, at: server, movedSeconds: moved).status == 200)

    // Sessions of every state, with orders.
    let paid = try await shop.session(on: phone.id)
    _ = try await shop.tap(paid, "LOST_CARD")
    order = try await shop.tap(paid).text("order_id")
    let orderPath = "/ordermanagement/v1/orders/\(order)"
    try await eventually("captured") { try await server.get(orderPath).json["status"] == "CAPTURED" }
    #expect(try await server.post(orderPath + "/refunds", ["refunded_amount": 40000]).status == 201)
    try await eventually("refunded") { try await server.get(orderPath).json["refunded_amount"] == 40000 }
    let path = "/portal/v1/payment-methods/CARD"
    func collects(_ capture: JSONValue) -> JSONValue { ["enabled": true, "provider": "SIMULATED", "capture": capture] }
    #expect(try await server.put(path, collects("MANUAL")).status == 200)
    authorizedOrder = try await shop.tap(try await shop.session(on: phone.id)).text("order_id")
    #expect(
      try await server.post(
        "/ordermanagement/v1/orders/\(authorizedOrder)/captures", ["captured_amount": 100000]
      ).status == 201)
    let released = try await shop.tap(try await shop.session(on: phone.id)).text("order_id")
    #expect(try await server.post("/ordermanagement/v1/orders/\(released)/cancel", [:]).status == 204)
    #expect(try await server.put(path, collects("AUTOMATIC")).status == 200)
    #expect(try await shop.cancel(try await shop.session(on: phone.id)).status == 200)
    let failed = try await shop.session(on: early.id)
    for _ in 0..<10 { _ = try await shop.tap(failed, "EXPIRED_CARD") }
    #expect(try await server.get("/ipp/v1/sessions/\(failed)").json["status"] == "FAILED")
    declined = try await shop.session(on: early.id)
    _ = try await shop.tap(declined, "EXPIRED_CARD")

    repeated = try await server.post(
      "/ipp/v1/enrollments", Self.once(location), headers: [("idempotency-key", "the-one")]
    ).text("enrollment_code")

    // What phone and backend have seen; then the card is charged, and the answer is lost for good.
    let stream = try await phone.stream(after: "0")
    var frames: [EventStream.Frame] = []
    while !frames.contains(where: { $0.id != nil && $0.event == "session.withdrawn" }) {
      frames.append(try await stream.next())
    }
    while let frame = try? await stream.next(withinSeconds: 1) { frames.append(frame) }
    await stream.close()
    phoneFrames = frames
    phoneCursor = frames.last { $0.id != nil }?.id ?? ""
    let feed = try await Self.feed(after: nil, server)
    (feedCursor, feedIDs) = (feed.cursor, feed.ids)
    for fault in [["SETTLE", "LOSE_ANSWER", 1], ["QUERY", "UNREACHABLE", 900]] as [JSONValue] {
      let parts = fault.elements
      let planned: JSONValue = ["operation": parts[0], "fault": parts[1], "count": parts[2]]
      #expect(try await server.post("/ipp/v1/dev/card-faults", planned).status == 204)
    }
    interrupted = try await shop.session(on: phone.id)
    _ = try await shop.tap(interrupted)
    #expect(try await server.get("/ipp/v1/sessions/\(interrupted)").json["payment"]?["state"] == "UNKNOWN")
    let pending = try await server.get("/portal/v1/webhooks/\(webhook)/deliveries?status=PENDING")
    waiting = pending.json["total_elements"]?.integer ?? 0
    #expect(waiting > 10)
  }

  private static func once(_ location: String) -> JSONValue {
    ["location_id": .string(location), "metadata": ["once": "only"]]
  }

  private static func prove(
    _ key: DeviceKey, _ token: String, at server: ServerProcess, movedSeconds: Int64
  ) async throws -> HTTPAnswer {
    let claims = DeviceKey.claims("GET", server.url + "/pos/v1/device", token: token)
      .setting("iat", to: .integer(Int64(Date().timeIntervalSince1970) + movedSeconds))
    return try await server.send(
      HTTPCall(
        "GET", "/pos/v1/device",
        headers: [("authorization", "DPoP \(token)"), ("dpop", try key.signed(key.header(), claims))]))
  }

  /// All events after a cursor, as the feed gives them.
  private static func feed(
    after cursor: String?, _ server: ServerProcess
  ) async throws -> (ids: [String], cursor: String) {
    var (ids, next): ([String], String?) = ([], cursor)
    while true {
      let page = try await server.get("/portal/v1/events?limit=1000\(next.map { "&after=\($0)" } ?? "")")
      guard page.status == 200 else { throw Missing(description: "no feed: \(page)") }
      ids += page.json["content"]?.elements.compactMap { $0["id"]?.text } ?? []
      next = try page.text("next_cursor")
      if page.json["has_more"] != true { return (ids, next ?? "") }
    }
  }

  // MARK: Afterwards

  /// Uses all of it, at a server that came up on what was copied.
  func goesOn(at server: ServerProcess) async throws {
    let shop = Shop(server: server)
    let phone = phone.at(server)

    // The interrupted payment is asked about, and was paid.
    try await eventually("it is known that it was paid") {
      try await server.get("/ipp/v1/sessions/\(interrupted)").json["status"] == "FINALIZED"
    }

    // Keys and tokens.
    func status(_ key: String) async throws -> Int {
      try await server.send(HTTPCall("GET", "/ipp/v1/locations", headers: [server.authorization(key)])).status
    }
    #expect(try await status(secondKey) == 200)
    #expect(try await status(revokedKey) == 401)
    #expect(try await phone.call("GET", "/pos/v1/device").status == 200)
    #expect(try await deletedPhone.at(server).call("GET", "/pos/v1/device").status == 401)
    #expect(try await Self.prove(deviceKey, boundToken, at: server, movedSeconds: movedSeconds).status == 200)

    // Codes: live ones pair, used ones do not.
    func register(_ code: String) async throws -> HTTPAnswer {
      try await server.send(
        HTTPCall("POST", "/pos/v1/devices", headers: [], json: registration(code, hardwareID: "new")))
    }
    let paired = try await register(liveCode)
    #expect(paired.status == 201 && paired.json["location_id"]?.text == location, "\(paired)")
    let metadata = paired.json["metadata"]
    #expect(metadata?["store_id"] == "7" && metadata?["lang"] == "sv" && metadata?.members.count == 2, "\(paired)")
    #expect(try await register(liveCode).status == 404)
    #expect(try await register(usedCode).status == 404)

    // A repeated request gets its answer.
    let again = try await server.post(
      "/ipp/v1/enrollments", Self.once(location), headers: [("idempotency-key", "the-one")])
    #expect(try again.text("enrollment_code") == repeated && again.header("idempotent-replayed") == "true", "\(again)")

    // Money that was there still is, and no more.
    let path = "/ordermanagement/v1/orders/\(order)"
    #expect(try await server.post(path + "/refunds", ["refunded_amount": 200001]).status == 403)
    #expect(try await server.post(path + "/refunds", ["refunded_amount": 200000]).status == 201)
    try await eventually("all is refunded") { try await server.get(path).json["refunded_amount"] == 240000 }
    let held = "/ordermanagement/v1/orders/\(authorizedOrder)"
    #expect(try await server.post(held + "/captures", ["captured_amount": 140001]).status == 403)
    #expect(try await server.post(held + "/captures", ["captured_amount": 140000]).status == 201)
    try await eventually("all is captured") { try await server.get(held).json["captured_amount"] == 240000 }

    // An open session collects.
    #expect(try await shop.tap(declined).json["status"] == "FINALIZED")

    // The phone's stream goes on where it was: nothing twice, and the new session.
    let stream = try await phone.stream(after: phoneCursor)
    let session = try await shop.session(on: phone.id)
    var frames: [EventStream.Frame] = []
    while !frames.contains(where: { $0.data.contains(session) }) { frames.append(try await stream.next()) }
    await stream.close()
    #expect(frames.contains { $0.data.contains(interrupted) })
    let seen = Set(phoneFrames.compactMap(\.id))
    #expect(frames.compactMap(\.id).allSatisfy { !seen.contains($0) })

    // So does the feed: what came before and after its cursor is all there is, in its order.
    let after = try await Self.feed(after: feedCursor, server).ids
    #expect(!after.isEmpty && Set(after).isDisjoint(with: feedIDs))
    let whole = try await Self.feed(after: nil, server).ids
    #expect(Array(whole.prefix(feedIDs.count + after.count)) == feedIDs + after)
  }

  /// The receiver of `failing` works again: what waited is sent, in order and signed; what was dead can be sent again. The
  /// clock moves for that.
  func isHeard(by receiver: CallbackReceiver, from server: ServerProcess) async throws {
    #expect(
      try await server.send(
        HTTPCall("POST", "/portal/v1/webhook-deliveries/\(deadDelivery)/resend", headers: [server.authorization()])
      ).status < 300)
    try await eventually("no callback waits") {
      try await Shop(server: server).advanceClock(seconds: 3600)
      try await Task.sleep(for: .milliseconds(100))
      let pending = try await server.get("/portal/v1/webhooks/\(webhook)/deliveries?status=PENDING")
      return pending.json["total_elements"] == 0
    }
    let acknowledged = receiver.callbacks.filter { $0.status == 204 }
    #expect(acknowledged.count > Int(waiting))
    #expect(acknowledged.allSatisfy { $0.isSigned(by: webhookSecret) })
    let ofInterrupted = acknowledged.filter {
      $0.json["type"]?.text?.hasPrefix("ipp.") == true && $0.json["data"]?["session_id"]?.text == interrupted
    }
    #expect(
      ofInterrupted.map { $0.json["type"]?.text }
        == ["ipp.session.created", "ipp.session.activated", "ipp.session.finalized"])
  }
}

/// What lists and figures said of an installation before it was copied, where nothing changes by itself.
struct Known: Sendable {
  private let lists: [String: String]
  private let counts: [String: JSONValue]

  /// Lists in which everything stays as it is, as pages; and those whose elements change, but not their number.
  private static func paths(_ everything: Everything) -> (lists: [String], counts: [String]) {
    let (location, phone) = (everything.location, everything.phone.id)
    return (
      [
        "/ipp/v1/locations?page_size=100", "/ipp/v1/sessions?status=CANCELLED", "/ipp/v1/sessions?status=FAILED",
        "/ipp/v1/sessions?status=EXPIRED", "/portal/v1/api-keys?page_size=100",
        "/portal/v1/orders?status=CANCELLED", "/ipp/v1/devices?metadata=store_id:8",
        "/portal/v1/webhooks/\(everything.webhook)",
      ],
      [
        "/ipp/v1/enrollments?metadata=once:only", "/ipp/v1/enrollments?metadata=once:only&include_consumed=false",
        "/ipp/v1/enrollments?page_size=100", "/ipp/v1/enrollments?location_id=\(location)",
        "/ipp/v1/enrollments?metadata=store_id:7", "/ipp/v1/enrollments?metadata=store_id:7&location_id=\(location)",
        "/ipp/v1/enrollments?metadata=store_id:7&metadata=lang:sv", "/ipp/v1/sessions?device_id=\(phone)",
        "/ipp/v1/sessions?merchant_reference1=ORDER-12345", "/ipp/v1/sessions?page_size=100",
        "/ipp/v1/sessions?device_id=\(phone)&merchant_reference1=ORDER-12345", "/portal/v1/webhooks",
      ]
    )
  }

  init(_ server: ServerProcess, _ everything: Everything) async throws {
    var (lists, counts): ([String: String], [String: JSONValue]) = ([:], [:])
    for path in Self.paths(everything).lists { lists[path] = try await server.get(path).wherever(server) }
    for path in Self.paths(everything).counts { counts[path] = try await server.get(path).json["total_elements"] }
    (self.lists, self.counts) = (lists, counts)
    #expect(lists["/ipp/v1/sessions?status=FAILED"]?.contains("\"total_elements\":1,") == true)
    #expect(counts["/ipp/v1/enrollments?metadata=store_id:7"] == 3)
  }

  /// After `Everything.goesOn`, which made one session more, and before the clock moves.
  func isTold(by server: ServerProcess, _ everything: Everything) async throws {
    for path in Self.paths(everything).lists {
      #expect(try await server.get(path).wherever(server) == lists[path], "\(path)")
    }
    for path in Self.paths(everything).counts {
      let more: Int64 = path.hasPrefix("/ipp/v1/sessions") ? 1 : 0
      let before = counts[path]?.integer.map { JSONValue.integer($0 + more) }
      #expect(try await server.get(path).json["total_elements"] == before, "\(path)")
    }
  }
}

extension HTTPAnswer {
  /// The body without the address of the server, which is another after each start.
  func wherever(_ server: ServerProcess) -> String { text.replacing(server.url, with: "") }
}
