import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// The common rules of the contract, section 1: credentials, headers, routes.
struct RequestRulesTests {
  // MARK: Basic

  @Test func everyFormOfBasicIsTaken() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let (key, merchant) = (server.apiKey, server.merchantID)
      func encoded(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
      let taken = [
        "Basic \(key)", "basic \(key)", "BASIC \(key)", "bAsIc   \(key)",
        "Basic \(encoded(":\(key)"))", "Basic \(encoded(key))", "basic \(encoded("\(merchant):\(key)"))",
        "Basic \(encoded("\(merchant.uppercased()):\(key)"))", "Basic \(encoded("\(merchant)-till:\(key)"))",
        "Basic \(encoded("\(merchant)-K12345_abc:\(key)"))",
        "Basic " + encoded(":\(key)").replacing("=", with: ""),
      ]
      for header in taken {
        #expect(try await client.call("listLocations", as: .raw(header)).status == 200, "\(header)")
      }
      let refused = [
        "Basic", "Basic ", key, "Bearer \(key)", "Digest \(key)", "Basic \(key)x", "Basic \(key.dropLast())",
        "Basic \(key.uppercased())", "Basic \(merchant):\(key)", "Basic :\(key)",
        "Basic \(encoded("\(unknownID):\(key)"))", "Basic \(encoded("\(merchant)x:\(key)"))",
        "Basic \(encoded("\(merchant)-:\(key)"))", "Basic \(encoded("\(merchant.dropLast()):\(key)"))",
        "Basic \(encoded("x-\(merchant):\(key)"))", "Basic \(encoded("admin:\(key)"))",
        "Basic \(encoded(":\(key):"))", "Basic \(encoded("\(merchant):"))", "Basic \(encoded("\(merchant):\(key) "))",
        "Basic \(Data([0xff, 0xfe]).base64EncodedString())", "Basic %%%", "Basic \(encoded(key))!",
        "Basic \(String(repeating: "A", count: 9000))", "Basic \(encoded(key)) \(encoded(key))",
      ]
      for header in refused {
        let answer = try await client.call("listLocations", as: .raw(header))
        #expect(answer.status == 401 && answer.code == "unauthorized", "\(header): \(answer)")
        #expect(answer.header("www-authenticate")?.hasPrefix("Basic") == true)
      }
      // Twice is none: which one would count is anybody's guess.
      let twice = try await client.call("listLocations", headers: [server.authorization()])
      #expect(twice.status == 401)
    }
  }

  // MARK: Headers

  @Test func merchantIDMustBeTheKeysOwn() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let other = try await server.makeMerchant()
      for right in [server.merchantID, server.merchantID.uppercased()] {
        #expect(try await client.call("listDevices", headers: [("x-merchant-id", right)]).status == 200)
      }
      for wrong in [other.id, unknownID, "", "me", "\(server.merchantID)x", "\(server.merchantID)-1"] {
        let answer = try await client.call("listDevices", headers: [("x-merchant-id", wrong)])
        #expect(answer.status == 403 && answer.code == "merchant_mismatch", "\(wrong): \(answer)")
        #expect(!answer.text.contains(server.merchantID) && !answer.text.contains(other.id))
      }
      // More than once it must be right each time. Of an operation that documents no 400, too.
      let twice = [("x-merchant-id", server.merchantID), ("x-merchant-id", server.merchantID.uppercased())]
      for operation in ["listDevices", "getAccount"] {
        #expect(try await client.call(operation, headers: twice).status == 200)
        for more in [other.id, ""] {
          for headers in [twice + [("x-merchant-id", more)], [("x-merchant-id", more)] + twice] {
            #expect(try await client.call(operation, headers: headers).code == "merchant_mismatch", "\(headers)")
          }
        }
      }
      // It never selects a tenant, and a wrong key is wrong first.
      let foreign = try await client.call("listDevices", as: .key("kassa_test_api_x"), headers: [twice[0]])
      #expect(foreign.status == 401)
    }
  }

  @Test func requestIDsAreKeptOrMade() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let kept = ["a", "order 7/b", String(repeating: "r", count: 128), "~!@#$%^&*()"]
      for id in kept {
        #expect(try await client.call("getHealth", headers: [("x-request-id", id)]).header("x-request-id") == id)
        let problem = try await client.call("listDevices", as: .none, headers: [("X-Request-ID", id)])
        #expect(problem.header("x-request-id") == id && problem.json["request_id"]?.text == id)
      }
      var made: Set<String> = []
      for id in ["", String(repeating: "r", count: 129), "ålder", "tab\tbetween"] {
        let answer = try await client.call("getHealth", headers: [("x-request-id", id)])
        let fresh = try #require(answer.header("x-request-id"))
        #expect(fresh != id && !fresh.isEmpty)
        made.insert(fresh)
      }
      #expect(made.count == 4)
      // It is found again in the audit log.
      let key = try await client.call(
        "createAPIKey", headers: [("x-request-id", "make the key")], json: ["name": "audited"])
      let entry = try await client.call("listAuditEntries", query: "page_size=1").json["content"]?.elements.first
      #expect(entry?["request_id"] == "make the key" && entry?["subject_id"] == key.json["id"])
      #expect(entry?["actor_kind"] == "api_key")
    }
  }

  // MARK: Routes

  @Test func unknownRoutesAre404AndWrongMethods405() async throws {
    try await withServer { server in
      let paths = [
        "/ipp", "/ipp/v1", "/ipp/v1/", "/ipp/v1/enrollments/", "//ipp/v1/enrollments", "/ipp/v1/enrollments/a/b",
        "/IPP/v1/enrollments", "/ipp/v1/Enrollments", "/ipp/v2/enrollments", "/portal/v1/merchants",
        "/ipp/v1/%65nrollments", "/ipp/v1/dev", "/ipp/v1/dev/nothing", "/pos/v1", "/pos/v1/events/",
        "/pos/v1/sessions/a/receipt/b", "/portal/v1/webhooks/a/nothing", "/ipp/v1/sessions/a/nothing", "/favicon.ico",
        "/ipp/v1/enrollments%2f", "/health/",
      ]
      for path in paths {
        for method in ["GET", "POST", "DELETE", "OPTIONS"] {
          let answer = try await server.send(HTTPCall(method, path, headers: [server.authorization()]))
          #expect(answer.status == 404 && answer.code == "not_found", "\(method) \(path): \(answer)")
          #expect(answer.header("content-type") == "application/problem+json")
          #expect(answer.json["request_id"]?.text == answer.header("x-request-id"))
        }
      }
      // The start page, which only takes what a page takes.
      for (method, status) in [("GET", 200), ("HEAD", 200), ("POST", 405), ("DELETE", 405), ("OPTIONS", 405)] {
        #expect(try await server.send(HTTPCall(method, "/")).status == status, "\(method) /")
      }
      let document = try APIDocument.compiledIn()
      for (path, operations) in Dictionary(grouping: document.operations, by: \.path) {
        let concrete = path.split(separator: "/").map { $0.hasPrefix("{") ? "/\(unknownID)" : "/\($0)" }.joined()
        var allowed = Set(operations.map(\.method))
        if allowed.contains("GET") { allowed.insert("HEAD") }
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]
        where !allowed.contains(method) {
          let answer = try await server.send(HTTPCall(method, concrete))
          #expect(answer.status == 405 && answer.code == "method_not_allowed", "\(method) \(path): \(answer)")
          let allow = try #require(answer.header("allow")).split(separator: ",").map {
            $0.trimmingCharacters(in: .whitespaces)
          }
          #expect(Set(allow) == allowed && allow.count == allowed.count, "\(method) \(path)")
        }
      }
    }
  }

  /// RFC 9110, section 9.3.2: what GET answers, without the body.
  @Test func headIsGetWithoutTheBody() async throws {
    try await withServer { server in
      for path in ["/health", "/ipp/v1/locations", "/ipp/v1/enrollments/\(unknownID)", "/openapi.yaml", "/nothing"] {
        let connection = try await server.connect()
        let got = try await connection.send(HTTPCall("GET", path, headers: [server.authorization()]))
        let head = try await connection.send(HTTPCall("HEAD", path, headers: [server.authorization()]))
        #expect(head.status == got.status && head.body == [], "\(path)")
        #expect(head.header("content-length") == "\(got.body.count)", "\(path)")
        #expect(head.header("content-type") == got.header("content-type"), "\(path)")
        // Nothing of a body came: the next answer on this connection is whole.
        let next = try await connection.send(HTTPCall("GET", path, headers: [server.authorization()]))
        #expect(next.status == got.status && next.body.count == got.body.count, "\(path)")
        await connection.close()
      }
      // A stream has no length that a head could tell; what only POST answers has no HEAD.
      for (path, allowed) in [("/portal/v1/events", "GET"), ("/pos/v1/devices", "POST")] {
        let head = try await server.send(
          HTTPCall("HEAD", path, headers: [server.authorization(), ("accept", "text/event-stream")]))
        #expect(head.status == 405 && head.header("allow") == allowed, "\(path): \(head)")
      }
    }
  }

  /// In production the playground's paths are unknown ones, byte for byte, whoever asks and by whatever method.
  @Test(.timeLimit(.minutes(2))) func productionKnowsNoPlayground() async throws {
    let document = try APIDocument.compiledIn()
    let playground = document.operations.filter(\.isPlaygroundOnly)
    #expect(playground.count >= 6)
    func paths() -> Set<String> {
      Set(
        playground.map { operation in
          operation.path.split(separator: "/").map { $0.hasPrefix("{") ? "/\(unknownID)" : "/\($0)" }.joined()
        })
    }
    func answers(_ server: ServerProcess, _ path: String, _ key: String) async throws -> Set<[String]> {
      var seen: Set<[String]> = []
      for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"] {
        for authorization in [nil, "Basic \(key)", "Basic wrong", "Bearer kassa_live_device_x"] {
          for body in [nil, Array("{\"name\":\"Till\"}".utf8), Array("{".utf8)] as [[UInt8]?] {
            var call = HTTPCall(method, path, headers: [("x-request-id", "the same")], body: body)
            if let authorization { call.headers.append((name: "authorization", value: authorization)) }
            call.headers.append((name: "content-type", value: "application/json"))
            let answer = try await server.send(call)
            seen.insert(
              ["\(answer.status)", answer.text]
                + answer.headers.filter { $0.name != "date" }.map { "\($0.name): \($0.value)" })
          }
        }
      }
      return seen
    }
    try await withServer("serve", ["--environment", "production"]) { server in
      let key = try await server.makeMerchant().apiKey
      let unknown = try await answers(server, "/ipp/v1/nothing", key)
      #expect(unknown.count == 1 && unknown.first?.first == "404")
      for path in paths() {
        #expect(try await answers(server, path, key) == unknown, "\(path)")
      }
    }
    // The control: in the playground they are there.
    try await withServer { server in
      let unknown = try await answers(server, "/ipp/v1/nothing", server.apiKey)
      for path in paths() { #expect(try await answers(server, path, server.apiKey) != unknown, "\(path)") }
    }
  }

  /// What no HTTP client sends: answered or hung up on, and the server lives on.
  @Test func malformedRequestsDoNoHarm() async throws {
    try await withServer("playground", ["--head-deadline-seconds", "2"]) { server in
      let host = "host: 127.0.0.1\r\n"
      let requests = [
        "GARBAGE\r\n\r\n", "\r\n\r\n", "GET\r\n\r\n", "GET /health\r\n\r\n", "GET /health HTTP/9.9\r\n\(host)\r\n",
        "BREW /health HTTP/1.1\r\n\(host)\r\n", "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /health HTTP/1.1\r\n\(host)bad name: x\r\n\r\n", "GET /health HTTP/1.1\r\n\(host)x: a\u{0}b\r\n\r\n",
        "POST /pos/v1/devices HTTP/1.1\r\n\(host)content-length: -1\r\n\r\n{}",
        "POST /pos/v1/devices HTTP/1.1\r\n\(host)content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        "POST /pos/v1/devices HTTP/1.1\r\n\(host)content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        "POST /pos/v1/devices HTTP/1.1\r\n\(host)transfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n",
        "POST /pos/v1/devices HTTP/1.1\r\n\(host)content-length: 99999999999999999999\r\n\r\n{}",
        "GET /health HTTP/1.1\r\n\(host)x: \(String(repeating: "y", count: 100_000))\r\n\r\n",
        "GET /\(String(repeating: "p", count: 100_000)) HTTP/1.1\r\n\(host)\r\n",
        "GET /health HTTP/1.1\r\n\(host)\(String(repeating: "x: y\r\n", count: 5000))\r\n",
        String(decoding: [0x16, 0x03, 0x01, 0x02, 0x00, 0x01], as: UTF8.self),
      ]
      for request in requests {
        let connection = try await server.connect()
        try? await connection.write(Array(request.utf8))
        do {
          let answer = try await connection.answer(withinSeconds: 30)
          #expect((400...499).contains(answer.status), "\(request.prefix(80)): \(answer)")
          #expect(answer.header("content-type") == "application/problem+json", "\(request.prefix(80)): \(answer)")
          #expect(answer.json["request_id"]?.text == answer.header("x-request-id"), "\(request.prefix(80)): \(answer)")
        } catch {
          #expect(error as? HTTPFailure == .closed, "\(request.prefix(80)): \(error)")
        }
        await connection.close()
      }
      #expect(try await server.send(HTTPCall("GET", "/health")).status == 200)
      #expect(server.program.exit == nil)
    }
  }

  /// An answer that says `Connection: close` means it.
  @Test func aRefusedBodyEndsTheConnection() async throws {
    try await withServer { server in
      let connection = try await server.connect()
      let answer = try await connection.send(
        HTTPCall(
          "POST", "/pos/v1/devices", headers: [("content-type", "application/json")],
          body: Array(repeating: 0x20, count: 65 * 1024)))
      #expect(answer.status == 413 && answer.header("connection") == "close")
      try await connection.waitUntilClosed(withinSeconds: 30)

      let other = try await server.connect()
      let last = try await other.send(HTTPCall("GET", "/health", headers: [("connection", "close")]))
      #expect(last.status == 200)
      try await other.waitUntilClosed(withinSeconds: 30)
    }
  }

  /// A notification that is not the provider's: the route takes no key, and does not ask for one.
  @Test func aForgedNotificationIsNotAskedForAKey() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let parameters = ["method": "klarna", "merchant_id": server.merchantID]
      let answer = try await client.call("notifyOfMethod", parameters, body: Array("forged".utf8))
      #expect(answer.status == 401 && answer.header("www-authenticate") == #"Notification realm="kassa""#)
      #expect(answer.json["detail"]?.text?.contains("key") == false, "\(answer)")
    }
  }

  // MARK: Limits

  @Test(.timeLimit(.minutes(2))) func notificationsAreCountedByAddress() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      // Of no merchant, so that nothing is looked up.
      let parameters = ["method": "card", "merchant_id": "nobody"]
      var refused: HTTPAnswer?
      while refused == nil {
        let answers = try await withThrowingTaskGroup { group in
          for _ in 0..<100 { group.addTask { try await client.call("notifyOfMethod", parameters, body: []) } }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(answers.allSatisfy { $0.status == 404 || $0.status == 429 })
        refused = answers.first { $0.status == 429 }
      }
      let answer = try #require(refused)
      #expect(answer.code == "rate_limited")
      #expect(answer.json["detail"] == "at most 100 notifications from one address a second")
      #expect(answer.header("ratelimit-policy") == #""rate_limited";q=100;w=1"#)
      #expect(answer.header("retry-after") == "1")
    }
  }

  @Test func tooManyRequestsAreRefusedWithAWait() async throws {
    try await withServer("playground", ["--requests-per-second-per-merchant", "5"]) { server in
      let client = try APIClient(server)
      let other = try await server.makeMerchant()
      let connection = try await server.connect()
      var refused: HTTPAnswer?
      for _ in 0..<500 where refused == nil {
        let answer = try await client.call("listLocations", on: connection)
        if answer.status == 429 { refused = answer } else { #expect(answer.status == 200) }
      }
      let answer = try #require(refused)
      #expect(answer.code == "rate_limited" && answer.json["detail"] == "at most 5 requests of one merchant a second")
      let wait = try #require(answer.header("retry-after").flatMap { Int($0) })
      #expect((1...2).contains(wait))
      #expect(answer.header("ratelimit-policy") == #""rate_limited";q=5;w=1"#)
      #expect(answer.header("ratelimit") == "\"rate_limited\";r=0;t=\(wait)")
      // Another merchant is not held up, nor is what needs no key, nor is a wrong key called anything but wrong.
      #expect(try await client.call("listLocations", as: .key(other.apiKey)).status == 200)
      #expect(try await client.call("getHealth").status == 200)
      #expect(try await client.call("listLocations", as: .key("kassa_test_api_wrong")).status == 401)
      try await Task.sleep(for: .seconds(wait))
      #expect(try await client.call("listLocations", on: connection).status == 200)
      await connection.close()
    }
  }

  /// A phone that asks without a pause is told to wait, and its merchant's others are not.
  @Test func aPhoneThatAsksTooOftenIsToldToWait() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let (device, other) = (try await client.makeSimulatedDevice(), try await client.makeSimulatedDevice())
      let call = HTTPCall("GET", "/pos/v1/device", headers: [("authorization", "Bearer \(device.token)")])
      let answers = try await pipelined(call, count: 400, server)
      let refused = try #require(answers.first { $0.status != 200 })
      #expect(refused.status == 429 && refused.code == "rate_limited" && refused.header("retry-after") != nil)
      #expect(refused.json["detail"] == "at most 50 requests of one device a second")
      // A burst is none of it.
      #expect(answers.prefix(100).allSatisfy { $0.status == 200 })
      #expect(try await client.call("getOwnDevice", as: .bearer(other.token)).status == 200)
      #expect(try await client.call("listLocations").status == 200)
    }
  }

  /// Who tries tokens without end is told to wait before the database is asked; who pairs is not counted.
  @Test func registrationsThatPairNothingAreLimited() async throws {
    try await withServer { server in
      let body: JSONValue = [
        "enrollment_token": .string(String(repeating: "x", count: 43)), "hardware_id": "h", "platform": "ANDROID",
      ]
      let call = HTTPCall("POST", "/pos/v1/devices", json: body)
      let answers = try await withThrowingTaskGroup(of: [HTTPAnswer].self) { group in
        for _ in 0..<4 { group.addTask { try await pipelined(call, count: 300, server) } }
        return try await group.reduce(into: []) { $0 += $1 }
      }
      let refused = answers.filter { $0.status == 429 }
      #expect(refused.count > 0 && answers.count - refused.count >= 600)
      #expect(refused.allSatisfy { $0.code == "rate_limited" && $0.header("retry-after") != nil })
      let words: JSONValue = "at most 600 registrations that pair nothing from one address a minute"
      #expect(refused.first?.json["detail"] == words)
      #expect(refused.first?.header("ratelimit-policy") == #""rate_limited";q=600;w=60"#)
      #expect(answers.allSatisfy { $0.status == 429 || $0.code == "enrollment_code_invalid" })
    }
  }

  @Test(.timeLimit(.minutes(2))) func aMerchantMayHaveSixteenStreamsOfEvents() async throws {
    try await withServer { server in
      let call = HTTPCall(
        "GET", "/portal/v1/events", headers: [server.authorization(), ("accept", "text/event-stream")])
      var streams: [EventStream] = []
      for number in 0..<16 {
        let stream = try await EventStream.open(port: server.port, call)
        try #require(stream.isStream, "stream \(number)")
        streams.append(stream)
      }
      while try await !server.send(HTTPCall("GET", "/metrics")).text.contains("kassa_open_streams 16\n") {
        try await Task.sleep(for: .milliseconds(20))
      }
      let refused = try await server.send(call)
      #expect(refused.status == 429 && refused.code == "too_many_streams" && refused.header("retry-after") != nil)
      let other = try await server.makeMerchant()
      let others = try await EventStream.open(
        port: server.port,
        HTTPCall(
          "GET", "/portal/v1/events",
          headers: [("authorization", "Basic \(other.apiKey)"), ("accept", "text/event-stream")]))
      #expect(others.isStream)
      for stream in streams + [others] { await stream.close() }
    }
  }

  /// Sends all at once on one connection.
  private func pipelined(_ call: HTTPCall, count: Int, _ server: ServerProcess) async throws -> [HTTPAnswer] {
    let connection = try await server.connect()
    let bytes = call.head(host: "x") + (call.body ?? [])
    try await connection.write(Array(repeatElement(bytes, count: count).joined()))
    var answers: [HTTPAnswer] = []
    for _ in 0..<count { answers.append(try await connection.answer()) }
    await connection.close()
    return answers
  }
}
