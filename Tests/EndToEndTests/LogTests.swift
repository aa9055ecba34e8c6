import Foundation
import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// The log is for machines, and holds no secret.
  struct LogTests {
    private static let requestFields: Set = ["request_id", "route", "method", "status", "duration_ms"]

    @Test(.timeLimit(.minutes(2)), arguments: ["info", "trace"])
    func linesAreJSONWithoutSecrets(level: String) async throws {
      try await withServer("playground", ["--log-level", level]) { server in
        var secrets = [server.apiKey, String(server.apiKey.dropFirst("kassa_test_api_".count))]
        let key = DeviceKey()
        let made = try await server.post(
          "/ipp/v1/enrollments", [:], headers: [("x-request-id", "the-first"), ("idempotency-key", "k")])
        let code = try made.text("enrollment_code")
        let link = try #require(try made.text("enrollment_url").split(separator: "#").last)
        secrets += [code, String(link)]
        let device = try await server.post(
          "/pos/v1/devices", registration(code).setting("public_key", to: key.jwk), headers: [("x-request-id", "pair")])
        let token = try #require(device.json["credentials"]?["bearer_token"]?.text)
        let created = try await server.post("/portal/v1/api-keys", ["name": "second"])
        secrets += [token, try created.text("api_key")]
        let proof = try key.proof("GET", server.url + "/pos/v1/device", token: token)
        let dpop = [("authorization", "DPoP \(token)"), ("dpop", proof)]
        for _ in 0..<2 { _ = try await server.send(HTTPCall("GET", "/pos/v1/device", headers: dpop)) }
        secrets.append(proof)
        let other = try await server.post("/ipp/v1/enrollments", ["ttl": "TWENTY_FOUR_HOURS"])
        let long = try other.text("enrollment_code")
        secrets.append(long)
        if let key = try server.plan.storage.environment["KASSA_SECRET_KEY"] {
          secrets.append(key)
        } else {
          let serverKey = try #require(server.plan.folder.text(of: "kassa.sqlite.key"))
          secrets.append(serverKey.trimmingCharacters(in: .whitespacesAndNewlines))
        }
        let malformedToken = "kassa_test_device_" + String(repeating: "z", count: 43)
        secrets.append(malformedToken)

        // Secrets where they do not belong.
        for path in [
          "/\(server.apiKey)", "/ipp/v1/enrollments/\(long)", "/ipp/v1/devices?metadata=key:\(token)",
          "/ipp/v1/enrollments?cursor=\(server.apiKey)&location_id=\(token)", "/pos/v1/devices?code=\(code)",
          "/ipp/v1/locations/\(token)", "/health?key=\(server.apiKey)",
        ] {
          _ = try await server.get(path)
          _ = try await server.send(HTTPCall("PUT", path, headers: [("authorization", "Bearer \(server.apiKey)")]))
        }
        for authorization in [
          "Bearer \(malformedToken)", "Basic \(token)", "\(server.apiKey)", "Bearer \(server.apiKey)",
          "Basic " + Data("nobody:\(server.apiKey)".utf8).base64EncodedString(),
        ] {
          _ = try await server.send(HTTPCall("GET", "/ipp/v1/devices", headers: [("authorization", authorization)]))
          _ = try await server.send(HTTPCall("GET", "/pos/v1/device", headers: [("authorization", authorization)]))
        }
        let bodies: [JSONValue] = [
          registration(code), registration(token), ["enrollment_code": [.string(code)], "hardware_id": .string(token)],
          ["enrollment_token": .string(String(link)), "hardware_id": "h", "platform": .string(long)],
          ["public_key": key.jwk.setting("d", to: key.privatePart)],
        ]
        for body in bodies { _ = try await server.post("/pos/v1/devices", body) }
        if let part = key.privatePart.text { secrets.append(part) }
        _ = try await server.send(
          HTTPCall(
            "POST", "/pos/v1/devices", headers: [("content-type", "application/json")],
            body: Array("{\"enrollment_code\":\"\(long)\",\"enrollment_code\":\"\(token)\"".utf8)))
        let raw = try await server.connect()
        try await raw.write(Array("GET /\(server.apiKey) HTTP/9 \(token)\r\n\r\n".utf8))
        _ = try? await raw.answer()
        await raw.close()

        await server.terminate()
        try check(server, secrets)
      }
    }

    private func check(_ server: ServerProcess, _ secrets: [String]) throws {
      let errors = server.program.errorOutput
      let output = server.program.output
      let afterWelcome = output.components(separatedBy: "Stop with Ctrl-C.").dropFirst().joined()
      #expect(output.contains("Stop with Ctrl-C."))
      for secret in secrets {
        #expect(secret.count > 8)
        #expect(!errors.contains(secret), "\(secret)")
        #expect(!afterWelcome.contains(secret), "\(secret)")
        if !server.apiKey.contains(secret) { #expect(!output.contains(secret), "\(secret)") }
      }
      // The control: what should be there is found the same way.
      #expect(errors.contains("the-first") && output.contains(server.apiKey))

      let routes = Set(
        ["/ipp/v1/enrollments", "/ipp/v1/enrollments/{enrollment_id}", "/ipp/v1/devices", "/ipp/v1/locations/{id}"]
          + ["/pos/v1/devices", "/pos/v1/device", "/portal/v1/api-keys", "unmatched", "/health"])
      var requests: [JSONValue] = []
      for text in errors.split(separator: "\n") {
        let line = try JSONParser.parse(Array(text.utf8))
        #expect(Set(line.names).isSuperset(of: ["time", "level", "logger", "message"]), "\(text)")
        if line["message"] == "request" { requests.append(line) }
      }
      #expect(requests.count > 30)
      for request in requests {
        #expect(Set(request.names).isSuperset(of: Self.requestFields), "\(request)")
        #expect(routes.contains(request["route"]?.text ?? ""), "\(request)")
        #expect(request["status"]?.text.flatMap { Int($0) }.map { (200...599).contains($0) } == true)
        #expect(request["duration_ms"]?.text.flatMap { Double($0) }.map { $0 >= 0 } == true)
      }
      let first = requests.filter { $0["request_id"] == "the-first" }
      #expect(first.count == 1 && first[0]["merchant_id"]?.text == server.merchantID && first[0]["status"] == "201")
      #expect(first[0]["route"] == "/ipp/v1/enrollments" && first[0]["method"] == "POST")
      // Whoever proved a key or a token is named, whether or not the request went well; nobody else is.
      for request in requests where ["/ipp/v1/enrollments", "/pos/v1/device"].contains(request["route"]?.text) {
        let isKnown = request["status"] != "401" && request["status"] != "405"
        #expect((request["merchant_id"]?.text == server.merchantID) == isKnown, "\(request)")
        #expect((request["problem"] != nil) == (request["status"]?.text?.hasPrefix("2") == false), "\(request)")
      }
    }

    /// Whoever runs the server hears of an outcome that is not known, with the provider's words, and of its end.
    @Test(.timeLimit(.minutes(2))) func anUnknownOutcomeIsToldOf() async throws {
      try await withServer("playground", unlimited + ["--log-level", "notice"]) { server in
        let shop = Shop(server: server)
        let phone = try await shop.phone()
        let session = try await shop.session(on: phone.id)
        func plan(_ operation: JSONValue, _ fault: JSONValue) async throws {
          let planned = try await server.post(
            "/ipp/v1/dev/card-faults", ["operation": operation, "fault": fault])
          #expect(planned.status == 204, "\(planned)")
        }
        try await plan("SETTLE", "LOSE_ANSWER")
        try await plan("QUERY", "UNREACHABLE")
        let tapped = try await phone.call("POST", "/pos/v1/dev/sessions/\(session)/simulate-tap")
        #expect(tapped.json["state"] == "UNKNOWN", "\(tapped)")
        let payment = try tapped.text("payment_id")
        let waiting = try await server.administer(["doctor"])
        #expect(waiting.isSuccess && waiting.output.contains("outcomes not known      1, the oldest since"))
        try await shop.advanceClock(seconds: 5)
        try await eventually("it was asked about once more") {
          server.program.errorOutput.contains("cannot be reached")
        }
        try await shop.advanceClock(seconds: 60)
        try await eventually("it is paid") {
          try await server.get("/ipp/v1/sessions/\(session)").json["status"] == "FINALIZED"
        }
        let metrics = try await server.send(HTTPCall("GET", "/metrics")).text
        for line in [
          "kassa_payment_notices_total{method=\"CARD\",what=\"settled\"} 1",
          "kassa_payment_notices_total{method=\"CARD\",what=\"unknown\"} 2", "kassa_payments_unknown 0",
          "kassa_payments_reversing 0", "kassa_payments_total{method=\"CARD\",outcome=\"UNKNOWN\"} 1",
        ] {
          #expect(metrics.contains("\n\(line)\n"), "\(line)")
        }
        let settled = try await server.administer(["doctor"])
        #expect(settled.isSuccess && settled.output.contains("outcomes not known      0\n"))
        await server.terminate()
        let lines = try server.program.errorOutput.split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
          .filter { $0["payment_id"] != nil }
        let told = lines.map { line in
          ["level", "state", "asked", "detail"].map { line[$0]?.text ?? "-" }.joined(separator: " ")
        }
        #expect(
          told == [
            "warning UNKNOWN 1 the answer was lost",
            "warning UNKNOWN 2 the simulated card network cannot be reached", "notice SUCCEEDED 3 -",
          ])
        for line in lines {
          #expect(line["payment_id"]?.text == payment && line["session_id"]?.text == session)
          #expect(line["merchant_id"]?.text == server.merchantID && line["method"] == "CARD")
        }
      }
    }

    /// What a caller sends cannot forge a line, in either format.
    @Test(.timeLimit(.minutes(2)), arguments: ["json", "text"]) func noLineIsForged(format: String) async throws {
      try await withServer("playground", ["--log-format", format]) { server in
        let forged = #"x","level":"critical","message":"forged"#
        #expect(try await server.send(HTTPCall("GET", "/nothing", headers: [("x-request-id", forged)])).status == 404)
        await server.terminate()
        let lines = server.program.errorOutput.split(separator: "\n").filter { $0.contains("forged") }
        #expect(lines.count == 1)
        if format == "json" {
          let line = try JSONParser.parse(Array(try #require(lines.first).utf8))
          #expect(line["level"] == "info" && line["request_id"]?.text == forged && line["message"] == "request")
        } else {
          #expect(lines.first?.contains(" INFO request ") == true)
          #expect((try? JSONParser.parse(Array(try #require(lines.first).utf8))) == nil)
        }
      }
    }
  }
}
