import Foundation
import KassaAPI
import KassaJSON
import KassaTestSupport
import Testing

/// A repeated POST does what it does once (contract, section 1, "Idempotency").
struct IdempotencyTests {
  private func key(_ key: String) -> [(String, String)] { [("Idempotency-Key", key)] }

  @Test func aRepetitionAnswersTheSameBytes() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      for operation in client.document.operations
      where try operation.takesBody && client.document.takesIdempotencyKey(operation) {
        let (id, good) = (operation.id, client.document.goodStatus(of: operation))
        guard let call = try await client.knownGoodCall(id), let json = call.json else { continue }
        let parameters = call.parameters
        let first = try await client.call(id, parameters, headers: key("k"), json: json)
        #expect(first.status == good && first.header("idempotent-replayed") == nil)
        for _ in 0..<3 {
          let again = try await client.call(id, parameters, headers: key("k"), json: json)
          #expect(again.status == good && again.body == first.body && again.header("idempotent-replayed") == "true")
        }
        for headers in [key("K"), []] where good != 204 {
          #expect(try await client.call(id, parameters, headers: headers, json: json).body != first.body)
        }
        // The body counts byte for byte.
        let other = try await client.call(
          id, parameters, headers: key("k") + [("content-type", "application/json")], body: json.bytes + [0x20])
        #expect(other.status == 422 && other.code == "idempotency_key_reused")
        #expect(try await client.call(id, parameters, headers: key("k"), json: json).body == first.body)
      }
      // The effect is there once, and the replay tells of the beginning, whatever happened since.
      let json: JSONValue = [
        "metadata": ["n": "1"], "location_id": .string(try await client.firstLocation()),
      ]
      let enrollment = try await client.call("createEnrollment", headers: key("once"), json: json)
      let created = try #require(enrollment.json["enrollment_id"]?.text)
      #expect(try await client.call("deleteEnrollments", ["enrollment_id": created]).status == 204)
      let replay = try await client.call("createEnrollment", headers: key("once"), json: json)
      #expect(replay.body == enrollment.body && replay.json["status"] == "PENDING")
      #expect(try await client.call("listEnrollments", query: "metadata=n:1").json["total_elements"] == 0)
    }
  }

  /// What happens outside of the store happens once too.
  @Test func theClockMovesOnceAndAFaultIsPlannedOnce() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let hour: JSONValue = ["advance_seconds": 3600]
      let first = try await client.call("moveClock", headers: key("hour"), json: hour)
      let again = try await client.call("moveClock", headers: key("hour"), json: hour)
      #expect(first.status == 200 && again.body == first.body && again.header("idempotent-replayed") == "true")
      #expect(try await client.call("getClock").json["offset_seconds"] == first.json["offset_seconds"])
      _ = try await client.call("moveClock", headers: key("another"), json: hour)
      #expect(try await client.call("getClock").json["offset_seconds"] != first.json["offset_seconds"])

      let fault: JSONValue = ["operation": "START", "fault": "UNREACHABLE"]
      for _ in 0..<3 {
        #expect(try await client.call("planCardFault", headers: key("fault"), json: fault).status == 204)
      }
      #expect(try await client.call("listCardFaults").json["content"]?.elements.count == 1)
    }
  }

  /// A tap whose answer was lost is told of once more, instead of being too late.
  @Test func aTapIsToldOfAgain() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let good = try #require(try await client.knownGoodCall("simulateTap"))
      let first = try await client.call("simulateTap", good.parameters, headers: key("tap"))
      #expect(first.status == 200 && first.json["status"] == "FINALIZED")
      let again = try await client.call("simulateTap", good.parameters, headers: key("tap"))
      #expect(again.body == first.body && again.header("idempotent-replayed") == "true")
      #expect(try await client.call("simulateTap", good.parameters).code == "session_finalized")
    }
  }

  /// A simulated device is an enrollment and a registration: each happens once.
  @Test func aSimulatedDeviceIsMadeOnce() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let json: JSONValue = ["name": "Till 1"]
      let first = try await client.call("createSimulatedDevice", headers: key("till"), json: json)
      let again = try await client.call("createSimulatedDevice", headers: key("till"), json: json)
      #expect(first.status == 201 && again.body == first.body && again.header("idempotent-replayed") == "true")
      for list in ["listDevices", "listEnrollments"] {
        #expect(try await client.call(list).json["total_elements"] == 1, "\(list)")
      }
      // Its token works, however often it was told.
      let token = try #require(again.json["credentials"]?["bearer_token"]?.text)
      #expect(try await client.call("getOwnDevice", as: .bearer(token)).status == 200)
      let other = try await client.call("createSimulatedDevice", headers: key("other"), json: json)
      #expect(other.status == 201 && other.json["id"] != first.json["id"])
      #expect(try await client.call("createSimulatedDevice", headers: key("till"), json: ["name": "2"]).status == 422)
    }
  }

  @Test func theScopeIsMerchantMethodAndPath() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let other = try await server.makeMerchant()
      let name: JSONValue = ["name": "x"]
      let location = try await client.call("createLocation", headers: key("scope"), json: name)
      let apiKey = try await client.call("createAPIKey", headers: key("scope"), json: name)
      let foreign = try await client.call("createLocation", as: .key(other.apiKey), headers: key("scope"), json: name)
      #expect([location, apiKey, foreign].allSatisfy { $0.status == 201 && $0.header("idempotent-replayed") == nil })
      #expect(location.json["id"] != foreign.json["id"])
      #expect(foreign.json["merchant_id"]?.text == other.id)
      // Another key of the same merchant is the same merchant.
      let second = try await client.makeKey()
      let replay = try await client.call("createLocation", as: .key(second.key), headers: key("scope"), json: name)
      #expect(replay.body == location.body && replay.header("idempotent-replayed") == "true")
    }
  }

  /// The ids of a path in another spelling name the same: a refund that is repeated so is not another.
  @Test func thePathsIDsAreReadInAnyCase() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let order = try await client.makeOrder()
      let json: JSONValue = ["refunded_amount": 100]
      let first = try await client.call("createRefund", ["order_id": order], headers: key("back"), json: json)
      #expect(first.status == 201 && first.header("idempotent-replayed") == nil)
      let again = try await client.call(
        "createRefund", ["order_id": order.uppercased()], headers: key("back"), json: json)
      #expect(again.status == 201 && again.header("idempotent-replayed") == "true", "\(again)")
      #expect(again.header("refund-id") == first.header("refund-id"))
      #expect(try await client.call("getOrder", ["order_id": order]).json["refunded_amount"] == 100)
      // Of another order it is another request.
      let other = try await client.makeOrder()
      let fresh = try await client.call("createRefund", ["order_id": other], headers: key("back"), json: json)
      #expect(fresh.status == 201 && fresh.header("idempotent-replayed") == nil)

      let webhook = try await client.makeWebhook()
      let rotated = try await client.call("rotateWebhookSecret", ["id": webhook], headers: key("turn"))
      let repeated = try await client.call("rotateWebhookSecret", ["id": webhook.uppercased()], headers: key("turn"))
      #expect(repeated.body == rotated.body && repeated.header("idempotent-replayed") == "true")
    }
  }

  /// The query says what is asked for as the body does.
  @Test func theQueryBelongsToTheRequest() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let device = try await client.makeSimulatedDevice().id
      let (here, body) = (try await client.firstLocation(), APIClient.sessionBody(device))
      let first = try await client.call("createSession", query: "location_id=\(here)", headers: key("q"), json: body)
      #expect(first.status == 200)
      let again = try await client.call("createSession", query: "location_id=\(here)", headers: key("q"), json: body)
      #expect(again.body == first.body && again.header("idempotent-replayed") == "true")
      for other in ["location_id=\(unknownID)", "location_id=\(here)&x=1", nil] {
        let refused = try await client.call("createSession", query: other, headers: key("q"), json: body)
        #expect(refused.status == 422 && refused.code == "idempotency_key_reused", "\(other ?? ""): \(refused)")
      }
      // An empty one is none.
      let plain = try await client.call("createSession", headers: key("plain"), json: body)
      let empty = try await client.call("createSession", query: "", headers: key("plain"), json: body)
      #expect(empty.body == plain.body && empty.header("idempotent-replayed") == "true")
    }
  }

  /// What a database holds of earlier requests is found again: without a query the hash is that of the body alone, of which
  /// these are from elsewhere.
  @Test func withoutAQueryTheHashIsTheBodys() {
    let (object, nothing) = (Array("{}".utf8), [UInt8]())
    func text(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
    for query in [nil, ""] {
      #expect(
        text(RequestContent.hash(object, query: query))
          == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
      #expect(
        text(RequestContent.hash(nothing, query: query))
          == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }
    let all = [nil, "a", "b", "a=1"].flatMap { query in
      [object, nothing].map { RequestContent.hash($0, query: query) }
    }
    #expect(Set(all).count == all.count)
  }

  @Test func keysAreVisibleASCII() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      for bad in ["", "a b", "ålder", "tab\tbetween", String(repeating: "k", count: 256)] {
        let answer = try await client.call("createEnrollment", headers: key(bad), json: [:])
        #expect(answer.status == 400 && answer.code == "invalid_header", "\(bad): \(answer)")
      }
      let twice = try await client.call("createEnrollment", headers: key("a") + key("a"), json: [:])
      #expect(twice.code == "invalid_header")
      for good in ["!", "~", #"a"b\c,d;e=f"#, String(repeating: "k", count: 255)] {
        #expect(try await client.call("createEnrollment", headers: key(good), json: [:]).status == 201, "\(good)")
      }
      #expect(try await client.call("listEnrollments").json["total_elements"] == 4)
    }
  }

  @Test func refusalsAreNotStored() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let second = try await client.makeLocation("Second")
      // 400 because of the data of the moment; the same request is right later.
      let refused = try await client.call("createEnrollment", headers: key("later"), json: [:])
      #expect(refused.status == 400 && refused.failingFields == ["location_id"])
      #expect(try await client.call("createEnrollment", as: .none, headers: key("later"), json: [:]).status == 401)
      #expect(try await client.call("deleteLocation", ["id": second]).status == 204)
      let accepted = try await client.call("createEnrollment", headers: key("later"), json: [:])
      #expect(accepted.status == 201 && accepted.header("idempotent-replayed") == nil)
      // After a 400 the key may even come with another body.
      let type = [("content-type", "application/json")]
      #expect(try await client.call("createEnrollment", headers: key("x") + type, body: [0x7b]).status == 400)
      #expect(try await client.call("createEnrollment", headers: key("x"), json: ["ttl": "TWO_HOURS"]).status == 201)
    }
  }

  /// Fifty at once with one key: one effect, one answer. Without the key the same harness sees fifty.
  @Test func aRaceOfRepetitionsHasOneEffect() async throws {
    try await withServer("playground", ["--requests-per-second-per-merchant", "0"]) { server in
      let client = try APIClient(server)
      func race(_ headers: [(String, String)]) async throws -> (bodies: Set<[UInt8]>, fresh: Int) {
        try await withThrowingTaskGroup { group in
          for _ in 0..<50 {
            group.addTask { try await client.call("createEnrollment", headers: headers, json: ["metadata": [:]]) }
          }
          var (bodies, fresh): (Set<[UInt8]>, Int) = ([], 0)
          for try await answer in group {
            #expect(answer.status == 201)
            bodies.insert(answer.body)
            if answer.header("idempotent-replayed") == nil { fresh += 1 }
          }
          return (bodies, fresh)
        }
      }
      let once = try await race(key("race"))
      #expect(once.bodies.count == 1 && once.fresh == 1)
      #expect(try await client.call("listEnrollments").json["total_elements"] == 1)
      let control = try await race([])
      #expect(control.bodies.count == 50 && control.fresh == 50)
      #expect(try await client.call("listEnrollments").json["total_elements"] == 51)
    }
  }

  /// A phone repeats a registration whose answer it lost, by its `registration_id` (contract, section 3).
  @Test func aPhoneMayRepeatItsRegistration() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let enrollment = try await client.makeEnrollment()
      let body: JSONValue = [
        "enrollment_code": .string(enrollment.code), "hardware_id": "phone", "platform": "ANDROID",
        "registration_id": .string(UUID().uuidString),
      ]
      let first = try await client.call("registerDevice", json: body)
      let again = try await client.call("registerDevice", json: body)
      #expect(first.status == 201 && again.status == 201)
      #expect(first.json["credentials"]?["bearer_token"] == again.json["credentials"]?["bearer_token"])
      #expect(first.json["id"] == again.json["id"])
      for changed in [
        body.setting("registration_id", to: .string(UUID().uuidString)), body.setting("registration_id", to: nil),
        body.setting("hardware_id", to: "other"), body.setting("platform", to: "IOS"),
        body.setting("enrollment_code", to: nil).setting("enrollment_token", to: .string(enrollment.token)),
        body.setting("public_key", to: DeviceKey().jwk),
      ] {
        #expect(try await client.call("registerDevice", json: changed).code == "enrollment_code_invalid", "\(changed)")
      }
      #expect(try await client.call("listDevices").json["total_elements"] == 1)
    }
  }
}
