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
        try await provokeBodyRefusals(operation, client)
      }
      try await provokeConflicts(client)
      for operation in client.document.operations {
        var expected = Set(client.document.statuses(of: operation)).subtracting(Self.unreachable)
        // One writer: a request that still runs holds up its repetition instead of being seen by it.
        if operation.method == "POST", operation.credential == .apiKey { expected.remove(409) }
        #expect(client.seen.statuses(of: operation.id).isSuperset(of: expected), "\(operation.id)")
      }
    }
  }

  /// A good answer, and what credentials, ids and queries are refused for.
  private func provoke(_ operation: APIDocument.Described, _ client: APIClient) async throws {
    guard let good = try await client.knownGoodCall(operation.id) else { return }
    let credential: APIClient.Credential = good.deviceToken.map { .bearer($0) } ?? .standard
    let answer = try await client.call(operation.id, good.parameters, as: credential, json: good.json)
    #expect((200...299).contains(answer.status), "\(operation.id): \(answer)")

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
      let answer = try await client.call(operation.id, unknown, as: credential, json: good.json)
      #expect(answer.status == 404 && answer.code == "not_found", "\(operation.id)")
    }
    if operation.method == "GET", client.document.statuses(of: operation).contains(400) {
      let answer = try await client.call(operation.id, query: "page_size=0&cursor=%20", as: credential)
      #expect(answer.status == 400 && answer.failingFields == ["cursor", "page_size"], "\(operation.id): \(answer)")
    }
  }

  private func provokeBodyRefusals(_ operation: APIDocument.Described, _ client: APIClient) async throws {
    guard operation.takesBody, let good = try await client.knownGoodCall(operation.id), let json = good.json else {
      return
    }
    let type = [("content-type", "application/json")]
    let tooLarge = [UInt8](repeating: UInt8(ascii: " "), count: 300 * 1024)
    #expect(try await client.call(operation.id, good.parameters, headers: type, body: tooLarge).status == 413)
    #expect(try await client.call(operation.id, good.parameters, headers: type, body: []).status == 400)
    #expect(try await client.call(operation.id, good.parameters, body: json.bytes).status == 415)
    guard operation.method == "POST", operation.credential == .apiKey else { return }
    let key = [("idempotency-key", "walk-\(operation.id)")]
    let other = json.setting("more", to: true)
    #expect(try await client.call(operation.id, headers: key, json: json).status == 201)
    #expect(try await client.call(operation.id, headers: key, json: json).header("idempotent-replayed") == "true")
    #expect(try await client.call(operation.id, headers: key, json: other).status == 422)
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
    // Every kind of entry that there is by now, on one page.
    let audit = try await client.call("listAuditEntries", query: "page_size=1000")
    let types = Set(audit.json["content"]?.elements.compactMap { $0["type"]?.text } ?? [])
    #expect(types.isSuperset(of: ["merchant.created", "enrollment.consumed", "device.paired", "api_key.revoked"]))
  }
}
