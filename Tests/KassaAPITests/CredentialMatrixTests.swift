import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Every operation with every kind of credential; what must come of it is read from the served document.
struct CredentialMatrixTests {
  /// The credentials, and what each is worth to an operation that wants a certain one.
  private enum Kind: CaseIterable {
    case none, garbage, revokedKey, otherMerchantsKey, otherEnvironmentsKey, apiKey
    case deviceToken, otherDevicesToken, otherMerchantsDevicesToken, deletedDevicesToken
  }

  private struct World {
    let client: APIClient
    let credentials: [Kind: APIClient.Credential]
    let otherKey: String
    let otherDevice: (id: String, token: String)
  }

  private func withWorld(_ body: (World) async throws -> Void) async throws {
    try await withServer("playground", ["--requests-per-second-per-merchant", "0"]) { server in
      let client = try APIClient(server)
      let other = try await server.makeMerchant()
      let revoked = try await client.makeKey("revoked")
      #expect(try await client.call("revokeAPIKey", ["id": revoked.id]).status == 204)
      let deleted = try await client.makeDevice()
      #expect(try await client.call("deleteDevice", ["id": deleted.id]).status == 204)
      let device = try await client.makeDevice()
      let foreign = try await client.call(
        "createSimulatedDevice", as: .key(other.apiKey), json: ["name": "Foreign till"])
      let foreignToken = try #require(foreign.json["credentials"]?["bearer_token"]?.text)
      // A right key of a production installation.
      let live = try await withTemporaryFolder { folder in
        try await KassaProgram.run(["merchants", "create", "--name", "Live"], in: folder)
      }
      let liveKey = try #require(live.output.split(whereSeparator: \.isWhitespace).last)
      #expect(liveKey.hasPrefix("kassa_live_api_"), "\(live)")
      try await body(
        World(
          client: client,
          credentials: [
            .none: .none, .garbage: .raw("garbage"), .revokedKey: .key(revoked.key),
            .otherMerchantsKey: .key(other.apiKey), .otherEnvironmentsKey: .key(String(liveKey)), .apiKey: .standard,
            .deviceToken: .bearer(device.token), .otherDevicesToken: .bearer(device.token),
            .otherMerchantsDevicesToken: .bearer(foreignToken), .deletedDevicesToken: .bearer(deleted.token),
          ],
          otherKey: other.apiKey, otherDevice: (try #require(foreign.json["id"]?.text), foreignToken)))
    }
  }

  /// What an operation answers: its own good status, or a refusal.
  private func expected(_ kind: Kind, _ operation: APIDocument.Described) -> Int? {
    switch (operation.credential, kind) {
    case (.none, _), (.apiKey, .apiKey), (.device, .deviceToken): nil
    // The body names a device.
    case (.apiKey, .otherMerchantsKey) where operation.id == "createSession": 404
    // Every merchant has methods of these names.
    case (.apiKey, .otherMerchantsKey) where operation.pathParameters == ["method"]: nil
    case (.apiKey, .otherMerchantsKey), (.device, .otherDevicesToken), (.device, .otherMerchantsDevicesToken):
      operation.pathParameters.isEmpty ? nil : 404
    case (.apiKey, _), (.device, _): 401
    }
  }

  @Test(.timeLimit(.minutes(5))) func everyOperationAsksForItsCredential() async throws {
    try await withWorld { world in
      let client = world.client
      let served = try await client.server.send(HTTPCall("GET", "/openapi.json"))
      let document = try APIDocument(root: served.json)
      #expect(document.operations.count > 50)
      for operation in document.operations {
        for kind in Kind.allCases {
          guard let good = try await client.knownGoodCall(operation.id) else { break }
          let credential: APIClient.Credential
          switch (kind, operation.credential) {
          case (.apiKey, .device): credential = .key(client.server.apiKey)
          case (.deviceToken, .device): credential = good.credential
          default: credential = try #require(world.credentials[kind])
          }
          var json = good.json
          if kind == .otherMerchantsKey, json?["location_id"] != nil {
            // Another merchant has another location.
            let theirs = try await client.call("listLocations", as: credential).json["content"]?.elements.last?["id"]
            json = json?.setting("location_id", to: theirs)
          }
          let answer = try await client.call(operation.id, good.parameters, as: credential, json: json)
          if let status = expected(kind, operation) {
            #expect(answer.status == status, "\(operation.id) with \(kind): \(answer)")
          } else {
            #expect(
              answer.status == document.goodStatus(of: operation), "\(operation.id) with \(kind): \(answer)")
          }
        }
      }
    }
  }

  /// A server that knows the key from before asks for it again with what it asks for, and says nothing else of it: not
  /// that the question was wrong, and not that another merchant was named.
  @Test(.timeLimit(.minutes(2))) func aKeyThatWasUsedEndsAtOnce() async throws {
    try await withServer("playground", ["--requests-per-second-per-merchant", "0"]) { server in
      let client = try APIClient(server)
      let stranger = try await server.makeMerchant()
      for operation in client.document.operations where operation.credential == .apiKey {
        guard let good = try await client.knownGoodCall(operation.id) else { continue }
        let (id, key) = try await client.makeKey()
        for _ in 0..<2 { #expect(try await client.call("listEnrollments", as: .key(key)).status == 200) }
        let foreign = ("x-merchant-id", stranger.id)
        #expect(try await client.call("listEnrollments", as: .key(key), headers: [foreign]).status == 403)
        #expect(try await client.call("listEnrollments", query: "page_size=x", as: .key(key)).status == 400)
        #expect(try await client.call("revokeAPIKey", ["id": id]).status == 204)
        let answer =
          switch operation.id {
          case "listEnrollments": try await client.call("listEnrollments", query: "page_size=x", as: .key(key))
          case "listDevices": try await client.call("listDevices", as: .key(key), headers: [foreign])
          default: try await client.call(operation.id, good.parameters, as: .key(key), json: good.json)
          }
        #expect(answer.status == 401, "\(operation.id): \(answer)")
      }
    }
  }

  /// All of an answer but its date.
  private func bytes(_ answer: HTTPAnswer) -> [String] {
    ["\(answer.status)", answer.text]
      + answer.headers.filter { $0.name != "date" }.map { "\($0.name): \($0.value)" }
  }

  /// An id of another merchant answers byte for byte like one that nothing has, and nothing happens to what it names.
  @Test(.timeLimit(.minutes(5))) func foreignIDsAreUnknownIDs() async throws {
    try await withWorld { world in
      let client = world.client
      let headers = [("x-request-id", "the same")]
      for operation in client.document.operations where operation.credential == .apiKey {
        guard let good = try await client.knownGoodCall(operation.id) else { continue }
        guard !operation.pathParameters.isEmpty, operation.pathParameters != ["method"] else { continue }
        var seen: Set<[String]> = []
        let ids = [good.parameters, good.parameters.mapValues { $0.uppercased() }]
        // To order management what is no id at all is another mistake than an id of nothing.
        let nonsense =
          operation.isOrderManagement ? [] : ["nonsense", "%20", "..", String(repeating: "7", count: 500)]
        let unknown = ([UUID().uuidString, unknownID] + nonsense)
          .map { id in good.parameters.mapValues { _ in id } }
        for parameters in ids + unknown {
          let answer = try await client.call(
            operation.id, parameters, as: .key(world.otherKey), headers: headers, json: good.json)
          #expect(answer.status == 404, "\(operation.id) \(parameters): \(answer)")
          seen.insert(bytes(answer))
        }
        #expect(seen.count == 1, "\(operation.id): \(seen)")
        // The owner still has it.
        let own = try await client.call(operation.id, good.parameters, json: good.json)
        #expect(own.status == client.document.goodStatus(of: operation), "\(operation.id): \(own)")
      }
      // Ids in bodies and queries are no better.
      let location = try await client.firstLocation()
      let code = try await client.call("createEnrollment", as: .key(world.otherKey), json: [:])
      let device = try await client.call(
        "registerDevice",
        json: [
          "enrollment_code": try #require(code.json["enrollment_code"]), "hardware_id": "h", "platform": "IOS",
        ])
      let deviceID = try #require(device.json["id"]?.text)
      for (operation, parameters) in [("createEnrollment", [:]), ("updateDevice", ["id": deviceID])] {
        var seen: Set<[String]> = []
        for id in [location, unknownID] {
          let answer = try await client.call(
            operation, parameters, as: .key(world.otherKey), headers: headers, json: ["location_id": .string(id)])
          #expect(answer.status == 400 && answer.failingFields == ["location_id"])
          seen.insert(bytes(answer))
        }
        #expect(seen.count == 1)
      }
      // A session may be asked for on a device of one's own only, and at that device's location.
      let mine = try await client.makeSimulatedDevice().id
      for (key, query, ids) in [
        (APIClient.Credential.key(world.otherKey), nil as String?, [mine, unknownID]),
        (.standard, nil, [world.otherDevice.id, unknownID]),
        (.standard, "location_id=\(unknownID)", [mine, unknownID, world.otherDevice.id]),
      ] {
        var seen: Set<[String]> = []
        for id in ids {
          let answer = try await client.call(
            "createSession", query: query, as: key, headers: headers, json: APIClient.sessionBody(id))
          #expect(answer.status == 404, "\(answer)")
          seen.insert(bytes(answer))
        }
        #expect(seen.count == 1)
      }
      for operation in ["listEnrollments", "listDevices", "listSessions"] {
        let pages = try await [location, unknownID].asyncMap {
          bytes(
            try await client.call(operation, query: "location_id=\($0)", as: .key(world.otherKey), headers: headers))
        }
        #expect(Set(pages).count == 1)
      }
      let ofDevice = try await [mine, unknownID].asyncMap {
        bytes(
          try await client.call(
            "listSessions", query: "device_id=\($0)", as: .key(world.otherKey), headers: headers))
      }
      #expect(Set(ofDevice).count == 1)
      // No list of one merchant shows anything of another.
      for operation in client.document.operations where operation.id.hasPrefix("list") {
        guard operation.credential == .apiKey, operation.pathParameters.isEmpty else { continue }
        let theirs = try await client.call(operation.id, as: .key(world.otherKey))
        #expect(theirs.status == 200, "\(operation.id)")
        #expect(!theirs.text.contains(client.server.merchantID) && !theirs.text.contains(location), "\(operation.id)")
      }
    }
  }

  /// To a device the sessions of other devices are unknown ids, be they of its own merchant or of another.
  @Test(.timeLimit(.minutes(5))) func otherDevicesSessionsAreUnknown() async throws {
    try await withWorld { world in
      let client = world.client
      let headers = [("x-request-id", "the same")]
      for operation in client.document.operations where operation.credential == .device {
        guard !operation.pathParameters.isEmpty, let good = try await client.knownGoodCall(operation.id) else {
          continue
        }
        var seen: Set<[String]> = []
        func mustBeUnknown(_ parameters: [String: String], _ credential: APIClient.Credential) async throws {
          let answer = try await client.call(
            operation.id, parameters, as: credential, headers: headers, json: good.json)
          #expect(answer.status == 404, "\(operation.id) \(parameters): \(answer)")
          seen.insert(bytes(answer))
        }
        let unknown = [UUID().uuidString, unknownID, "nonsense", "%20", "..", String(repeating: "7", count: 500)]
        for kind in [Kind.otherDevicesToken, .otherMerchantsDevicesToken] {
          let credential = try #require(world.credentials[kind])
          try await mustBeUnknown(good.parameters, credential)
          try await mustBeUnknown(good.parameters.mapValues { $0.uppercased() }, credential)
          for id in unknown { try await mustBeUnknown(good.parameters.mapValues { _ in id }, credential) }
        }
        // With the right token one id of two may be wrong: unknown, or of something else.
        let other = try await client.makeSession()
        let ids = unknown + [other.id, other.device, try await client.startPayment(other)]
        for name in good.parameters.keys {
          for id in ids {
            var parameters = good.parameters
            parameters[name] = id
            try await mustBeUnknown(parameters, good.credential)
          }
        }
        #expect(seen.count == 1, "\(operation.id): \(seen)")
        // Nothing of all that did anything: the owner's call is still a good one.
        let answer = try await client.call(operation.id, good.parameters, as: good.credential, json: good.json)
        #expect(answer.status == client.document.goodStatus(of: operation), "\(operation.id): \(answer)")
      }
    }
  }
}

extension Sequence {
  fileprivate func asyncMap<Value>(_ transform: (Element) async throws -> Value) async rethrows -> [Value] {
    var values: [Value] = []
    for element in self { values.append(try await transform(element)) }
    return values
  }
}
