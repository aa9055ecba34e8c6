import Foundation
import KassaAPI
import KassaJSON
import KassaTestSupport
import Testing

/// What `openapi.yaml` shows and says is what the server does.
struct DocumentTests {
  // MARK: Examples

  @Test func everyExampleIsValid() throws {
    let document = try APIDocument.compiledIn()
    var count = 0
    try forEachNode(document.root, "") { node, path in
      for medium in path.hasSuffix("/content") && !path.contains("/properties/") ? node.members : [] {
        let schema = try #require(medium.value["schema"], "\(path)/\(medium.name) has no schema")
        for example in medium.value["examples"]?.members ?? [] {
          let value = try #require(example.value["value"], "\(path) \(example.name) has no value")
          let flaws = try document.validator.flaws(of: value, against: schema)
          #expect(flaws == [], "\(path)/\(medium.name) example \(example.name)")
          #expect(Set(example.value.names) == ["summary", "value"], "\(path) \(example.name)")
          count += 1
        }
      }
      // Inside a schema, examples are a list and `default` is one more.
      if node["type"] != nil {
        for example in (node["examples"]?.elements ?? []) + [node["default"]].compactMap({ $0 }) {
          #expect(try document.validator.flaws(of: example, against: node) == [], "\(path)")
          count += 1
        }
      }
    }
    #expect(count > 60)
  }

  // MARK: Problems

  private static let codes = ProblemCode.allCases.map(\.rawValue).sorted()

  /// The rows of a table in Markdown whose first two columns are a code and its status.
  private func rows(_ text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      guard cells.count > 2, cells[0].hasPrefix("`"), Int(cells[1]) != nil else { return nil }
      return "\(cells[0].filter { $0 != "`" }) \(cells[1])"
    }.sorted()
  }

  /// The document's list and table of codes, and the page about errors, name exactly those that the source has.
  @Test func everyCodeIsDescribed() throws {
    let document = try APIDocument.compiledIn()
    let schema = try #require(document.root["components"]?["schemas"]?["ProblemCode"])
    let expected = ProblemCode.allCases.map { "\($0.rawValue) \($0.status)" }.sorted()
    #expect((schema["enum"]?.elements.compactMap(\.text) ?? []).sorted() == Self.codes)
    #expect(rows(schema["description"]?.text ?? "") == expected)
    let page = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/errors.md")
    #expect(rows(try String(contentsOf: page.standardizedFileURL, encoding: .utf8)) == expected)
  }

  /// An example of a problem has the title and the status that its code has on the wire, and stands under that status.
  @Test func examplesOfProblemsAreAsTheyAreAnswered() throws {
    let document = try APIDocument.compiledIn()
    var shown: Set<String> = []
    for operation in document.operations {
      for response in operation.node["responses"]?.members ?? [] {
        for medium in try document.validator.resolved(response.value)["content"]?.members ?? [] {
          for example in medium.value["examples"]?.members ?? [] {
            guard let value = example.value["value"], let code = value["code"]?.text,
              value["request_id"] != nil || value["correlation_id"] != nil
            else { continue }
            let place = "\(operation.id) \(response.name) \(example.name)"
            let known = try #require(ProblemCode(rawValue: code), "\(place): \(code)")
            #expect(response.name == "\(known.status)", "\(place)")
            if value["request_id"] != nil {
              #expect(value["title"]?.text == known.title, "\(place)")
              #expect(value["status"]?.integer == Int64(known.status), "\(place)")
            }
            shown.insert(code)
          }
        }
      }
    }
    // Every code that some operation answers has an example. A path that none has, and bytes that are no request, have no
    // operation.
    #expect(Set(Self.codes).subtracting(shown) == ["malformed_request", "method_not_allowed"])
  }

  /// Headers that go with a status, whatever the shape of its body.
  @Test func problemsDescribeTheirHeaders() throws {
    let document = try APIDocument.compiledIn()
    let always = [
      "401": ["WWW-Authenticate"], "429": ["Retry-After", "RateLimit", "RateLimit-Policy"], "503": ["Retry-After"],
    ]
    for operation in document.operations {
      for response in operation.node["responses"]?.members ?? [] {
        let headers = try document.validator.resolved(response.value)["headers"]
        for name in always[response.name] ?? [] {
          let header = try headers?[name].map(document.validator.resolved)
          #expect(header?["required"]?.bool == true, "\(operation.id) \(response.name) \(name)")
        }
      }
    }
  }

  @Test func everyOperationHasExamplesAndSummary() throws {
    let document = try APIDocument.compiledIn()
    for operation in document.operations {
      #expect(operation.node["summary"]?.text != nil, "\(operation.id)")
      for response in operation.node["responses"]?.members ?? [] {
        let resolved = try document.validator.resolved(response.value)
        #expect(resolved["headers"]?["x-request-id"] != nil, "\(operation.id) \(response.name)")
        for medium in resolved["content"]?.members ?? [] {
          let examples = medium.value["examples"]?.members.count ?? 0
          #expect(examples > 0, "\(operation.id) \(response.name)")
        }
      }
    }
  }

  private func forEachNode(
    _ node: JSONValue, _ path: String, _ body: (JSONValue, String) throws -> Void
  ) throws {
    try body(node, path)
    for member in node.members { try forEachNode(member.value, "\(path)/\(member.name)", body) }
    for (index, element) in node.elements.enumerated() { try forEachNode(element, "\(path)/\(index)", body) }
  }

  // MARK: Answers

  /// Documented, but not to be had of a healthy server within a test; or shown by tests of their own (408, 429).
  private static let unreachable: Set<Int> = [408, 429, 500, 503]

  /// Goes through every operation and every documented answer of it, in the order of a shop's life. Every answer is held
  /// against the document by the client.
  @Test(.timeLimit(.minutes(5))) func everyAnswerIsAsDescribed() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      for operation in client.document.operations {
        try await provoke(operation, client)
        try await provokeQueryRefusals(operation, client)
        try await provokeBodyRefusals(operation, client)
        try await provokeReplay(operation, client)
      }
      try await provokeConflicts(client)
      try await provokeSessionConflicts(client)
      try await provokeSignInRefusals(client)
      try await provokeOrderConflicts(client)
      for operation in client.document.operations {
        var expected = Set(client.document.statuses(of: operation)).subtracting(Self.unreachable)
        // One writer: a request that still runs holds up its repetition instead of being seen by it.
        if try client.document.takesIdempotencyKey(operation) { expected.remove(409) }
        // Comes of races only: a cancel, or another settling, in the moment between.
        if operation.id == "finalizePayment" { expected.remove(409) }
        // The playground's card network refuses nothing.
        if operation.id == "subscribePaymentMethod" { expected.remove(409) }
        #expect(client.seen.statuses(of: operation.id).isSuperset(of: expected), "\(operation.id)")
      }
    }
  }

  /// A good answer, and what credentials and ids are refused for.
  private func provoke(_ operation: APIDocument.Described, _ client: APIClient) async throws {
    guard let good = try await client.knownGoodCall(operation.id) else { return }
    let answer = try await client.call(operation.id, good.parameters, as: good.credential, json: good.json)
    #expect(answer.status == client.document.goodStatus(of: operation), "\(operation.id): \(answer)")

    if operation.credential != .none {
      #expect(try await client.call(operation.id, good.parameters, as: .none, json: good.json).status == 401)
    }
    if operation.credential == .apiKey {
      let answer = try await client.call(
        operation.id, good.parameters, headers: [("x-merchant-id", unknownID)], json: good.json)
      #expect(answer.status == 403 && answer.code == "merchant_mismatch")
    }
    if !operation.pathParameters.isEmpty {
      let unknown = good.parameters.mapValues { _ in unknownID }
      let answer = try await client.call(operation.id, unknown, as: good.credential, json: good.json)
      #expect(answer.status == 404 && answer.code == "not_found", "\(operation.id)")
    }
  }

  private func provokeQueryRefusals(_ operation: APIDocument.Described, _ client: APIClient) async throws {
    guard !operation.takesBody, client.document.statuses(of: operation).contains(400) else { return }
    if operation.isOrderManagement {
      let nonsense = Dictionary(uniqueKeysWithValues: operation.pathParameters.map { ($0, "nonsense") })
      let answer = try await client.call(operation.id, nonsense)
      #expect(answer.status == 400 && answer.json["error_code"] == "INVALID_ORDER_ID", "\(operation.id): \(answer)")
      return
    }
    guard let good = try await client.knownGoodCall(operation.id) else { return }
    func refusal(_ query: String, headers: [(String, String)] = []) async throws -> HTTPAnswer {
      try await client.call(operation.id, good.parameters, query: query, as: good.credential, headers: headers)
    }
    if operation.isStream {
      for id in ["x", "-1", "1.0", ""] {
        let answer = try await refusal("", headers: [("last-event-id", id)])
        #expect(answer.status == 400 && answer.code == "invalid_header", "\(id): \(answer)")
      }
    } else if try client.document.takesIdempotencyKey(operation) {
      #expect(try await refusal("", headers: [("idempotency-key", "a b")]).code == "invalid_header")
    } else {
      let (query, fields) =
        switch operation.id {
        case "listEvents": ("limit=0&after=%20", ["after", "limit"])
        case "simulateTap", "simulateOwnTap": ("outcome=LOST", ["outcome"])
        case "simulateScan", "simulateOwnScan": ("outcome=LOST&method=CARD", ["method", "outcome"])
        default: ("page_size=0&cursor=%20", ["cursor", "page_size"])
        }
      let answer = try await refusal(query)
      #expect(answer.status == 400 && answer.failingFields == fields, "\(operation.id): \(answer)")
    }
  }

  private func provokeBodyRefusals(_ operation: APIDocument.Described, _ client: APIClient) async throws {
    guard operation.takesBody, let good = try await client.knownGoodCall(operation.id), let json = good.json else {
      return
    }
    func refusal(_ headers: [(String, String)], _ body: [UInt8]) async throws -> Int {
      try await client.call(operation.id, good.parameters, as: good.credential, headers: headers, body: body).status
    }
    let type = [("content-type", "application/json")]
    #expect(try await refusal(type, [UInt8](repeating: UInt8(ascii: " "), count: 300 * 1024)) == 413)
    #expect(try await refusal(type, []) == 400)
    #expect(try await refusal([], json.bytes) == 415)
  }

  /// Once per `Idempotency-Key`, where there is one.
  private func provokeReplay(_ operation: APIDocument.Described, _ client: APIClient) async throws {
    guard try client.document.takesIdempotencyKey(operation),
      let good = try await client.knownGoodCall(operation.id)
    else { return }
    let status = client.document.goodStatus(of: operation)
    let key = [("idempotency-key", "walk-\(operation.id)")]
    let first = try await client.call(operation.id, good.parameters, headers: key, json: good.json)
    #expect(first.status == status && first.header("idempotent-replayed") == nil, "\(operation.id): \(first)")
    let again = try await client.call(operation.id, good.parameters, headers: key, json: good.json)
    #expect(again.status == status && again.header("idempotent-replayed") == "true", "\(operation.id): \(again)")
    #expect(again.body == first.body, "\(operation.id)")
    if let json = good.json {
      let other = json.setting("more", to: true)
      let refused = try await client.call(operation.id, good.parameters, headers: key, json: other)
      #expect(refused.status == 422 && refused.code == "idempotency_key_reused", "\(operation.id): \(refused)")
    }
  }

  private func provokeSignInRefusals(_ client: APIClient) async throws {
    #expect(try await client.call("signIn", json: ["api_key": "kassa_test_api_wrong"]).code == "unauthorized")
    let elsewhere = [("sec-fetch-site", "cross-site")]
    for (operation, json) in [("signIn", ["api_key": "k"] as JSONValue?), ("signOut", nil), ("getPlayground", nil)] {
      let answer = try await client.call(operation, headers: elsewhere, json: json)
      #expect(answer.status == 403 && answer.code == "cross_site_refused", "\(operation): \(answer)")
    }
  }

  private func provokeConflicts(_ client: APIClient) async throws {
    let location = try await client.makeLocation("Pop-up")
    let enrollment = try await client.makeEnrollment(["location_id": .string(location)])
    #expect(try await client.call("deleteLocation", ["id": location]).code == "location_in_use")
    let body: JSONValue = ["enrollment_code": .string(enrollment.code), "hardware_id": "h", "platform": "TERMINAL"]
    #expect(try await client.call("registerDevice", json: body).status == 201)
    #expect(try await client.call("registerDevice", json: body).code == "enrollment_code_invalid")
    let deletion = try await client.call("deleteEnrollments", ["enrollment_id": enrollment.id])
    #expect(deletion.code == "enrollment_consumed")
    #expect(try await client.call("deleteLocation", ["id": location]).code == "location_in_use")
    #expect(try await client.call("getEnrollment", ["enrollment_id": enrollment.id]).json["status"] == "CONSUMED")
    #expect(try await client.call("createSession", json: APIClient.sessionBody(unknownID)).code == "not_found")
    // Every kind of entry that there is by now, on one page.
    let audit = try await client.call("listAuditEntries", query: "page_size=1000")
    let types = Set(audit.json["content"]?.elements.compactMap { $0["type"]?.text } ?? [])
    #expect(types.isSuperset(of: ["merchant.created", "enrollment.consumed", "device.paired", "api_key.revoked"]))
  }

  /// What providers and orders refuse.
  private func provokeOrderConflicts(_ client: APIClient) async throws {
    for (operation, extra) in [
      ("notifyOfMethod", [:]), ("notifyOfPayment", ["payment_id": try await client.startScan().payment]),
    ] {
      let parameters = ["method": "klarna", "merchant_id": client.server.merchantID].merging(extra) { $1 }
      #expect(try await client.call(operation, parameters, body: Array("forged".utf8)).status == 401, "\(operation)")
      let large = [UInt8](repeating: 0x20, count: 70_000)
      #expect(try await client.call(operation, parameters, body: large).status == 413, "\(operation)")
    }
    let scan = try await client.startScan()
    #expect(try await client.call("approvePaymentAsBuyer", ["payment_id": scan.payment]).json["state"] == "SUCCEEDED")
    for act in ["openPaymentAsBuyer", "approvePaymentAsBuyer", "refusePaymentAsBuyer"] {
      #expect(try await client.call(act, ["payment_id": scan.payment]).code == "no_payment", "\(act)")
    }
    #expect(try await client.call("getCodePNG", ["name": scan.codeName]).status == 404)

    let order = try await client.makeOrder()
    let tooMuch = try await client.call("createRefund", ["order_id": order], json: ["refunded_amount": 10_001])
    #expect(tooMuch.status == 403 && tooMuch.json["error_code"] == "NOT_ALLOWED", "\(tooMuch)")
    #expect(tooMuch.json["correlation_id"]?.text == tooMuch.header("x-request-id"))
    let flawed = try await client.call("createRefund", ["order_id": order], json: ["refunded_amount": 0])
    #expect(flawed.status == 400 && flawed.json["error_code"] == "BAD_VALUE", "\(flawed)")
    #expect(try await client.call("getOrder", ["order_id": unknownID]).json["error_code"] == "NO_SUCH_ORDER")
    for (operation, name, word) in [
      ("getCapture", "capture_id", "NO_SUCH_CAPTURE"), ("getRefund", "refund_id", "NO_SUCH_REFUND"),
    ] {
      for id in [unknownID, order, "nonsense"] {
        let missing = try await client.call(operation, ["order_id": order, name: id])
        #expect(missing.json["error_code"]?.text == word && missing.code == "not_found", "\(id): \(missing)")
      }
      // The order comes first.
      let foreign = try await client.call(operation, ["order_id": unknownID, name: unknownID])
      #expect(foreign.status == 404 && foreign.json["error_code"] == "NO_SUCH_ORDER")
    }
    let nowhere = try await client.server.get("/ordermanagement/v1/orders/\(order)/shipments")
    #expect(nowhere.status == 404 && nowhere.json["error_code"] == "NOT_FOUND", "\(nowhere)")
    #expect(try await client.call("cancelOrder", ["order_id": order]).json["error_code"] == "NOT_ALLOWED")
    let authorized = try await client.makeOrder(captured: "MANUAL")
    let fault: JSONValue = ["operation": "RELEASE", "fault": "UNREACHABLE"]
    #expect(try await client.call("planCardFault", json: fault).status == 204)
    #expect(
      try await client.call("cancelOrder", ["order_id": authorized]).json["error_code"] == "PAYMENT_OUTCOME_UNKNOWN")
  }

  private func provokeSessionConflicts(_ client: APIClient) async throws {
    func code(
      _ operation: String, _ session: APIClient.MadeSession, payment: String? = nil, json: JSONValue? = nil
    ) async throws -> String? {
      let isDevices = try client.document.operation(operation).credential == .device
      var parameters = ["session_id": session.id]
      parameters["payment_id"] = payment
      return try await client.call(
        operation, parameters, as: isDevices ? .bearer(session.token) : .standard, json: json
      ).code
    }
    let card: JSONValue = ["method": "CARD"]
    let till = try await client.makeSession()
    for isOn in [false, true] {
      let settings: JSONValue = ["provider": "SIMULATED", "enabled": .bool(isOn)]
      #expect(try await client.call("updatePaymentMethod", ["method": "CARD"], json: settings).status == 200)
      let answer = try await client.call("createConnectionToken", as: .bearer(till.token))
      #expect(answer.code == (isOn ? nil : "method_unavailable"))
    }
    let paid = try await client.makeSession()
    try await client.tap(paid)
    for operation in [
      "cancelSession", "cancelOwnSession", "simulateTap", "simulateOwnTap", "simulateScan", "simulateOwnScan",
    ] {
      #expect(try await code(operation, paid) == "session_finalized", "\(operation)")
    }
    #expect(try await code("startPayment", paid, json: card) == "session_finalized")

    let cancelled = try await client.makeSession()
    #expect(try await code("getOwnReceipt", cancelled) == "not_found")
    #expect(try await code("cancelSession", cancelled) == nil)
    #expect(try await code("cancelSession", cancelled) == nil)
    #expect(try await code("simulateTap", cancelled) == "session_over")
    #expect(try await code("startPayment", cancelled, json: card) == "session_over")

    let begun = try await client.makeSession()
    #expect(try await code("startPayment", begun, json: ["method": "VIPPS"]) == "method_unavailable")
    let payment = try await client.startPayment(begun)
    #expect(try await code("startPayment", begun, json: card) == "payment_in_progress")
    let second = try await client.call("createSession", json: APIClient.sessionBody(begun.device))
    let waiting = APIClient.MadeSession(
      id: try #require(second.json["session_id"]?.text), device: begun.device, token: begun.token)
    #expect(try await code("startPayment", waiting, json: card) == "device_busy")
    #expect(try await client.call("deleteDevice", ["id": begun.device]).code == "device_payment_in_flight")
    #expect(try await client.call("deletePaymentMethod", ["method": "CARD"]).code == "payment_method_in_use")
    let fault: JSONValue = ["operation": "CANCEL", "fault": "UNREACHABLE"]
    #expect(try await client.call("planCardFault", json: fault).status == 204)
    #expect(try await code("cancelPayment", begun, payment: payment) == "payment_outcome_unknown")
    let declined = try await client.makeSession()
    try await client.tap(declined, "STOLEN_CARD")
    #expect(try await code("getSession", declined) == nil)
  }
}
