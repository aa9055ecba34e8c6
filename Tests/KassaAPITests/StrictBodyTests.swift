import KassaJSON
import KassaTestSupport
import Testing

/// Bodies that a lenient reader would take, or choke on: each gets a clear refusal, on every operation that takes a body.
struct StrictBodyTests {
  private struct BadBody {
    let name: String
    let bytes: [UInt8]
    var contentType: String? = "application/json"
    let status: Int
    let code: String
  }

  private static func malformed(_ name: String, _ text: String) -> BadBody {
    malformed(name, Array(text.utf8))
  }

  private static func malformed(_ name: String, _ bytes: [UInt8]) -> BadBody {
    BadBody(name: name, bytes: bytes, status: 400, code: "malformed_json")
  }

  /// `bytesMax` is the operation's own limit, which is looked at before what is inside.
  private static func badBodies(good: JSONValue, bytesMax: Int) -> [BadBody] {
    let text = String(decoding: good.bytes, as: UTF8.self)
    let inside = String(text.dropFirst().dropLast())
    let comma = inside.isEmpty ? "" : ","
    func with(_ member: String) -> String { "{\(inside)\(comma)\(member)}" }
    func tooLarge(_ name: String, _ bytes: [UInt8]) -> BadBody {
      BadBody(name: name, bytes: bytes, status: 413, code: "payload_too_large")
    }
    func wrongType(_ type: String?) -> BadBody {
      BadBody(
        name: "content type \(type ?? "none")", bytes: good.bytes, contentType: type, status: 415,
        code: "unsupported_media_type")
    }
    let nested = Array(repeating: UInt8(ascii: "["), count: 100_000)
    let utf16 = text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    return [
      malformed("duplicate key", with(#""x":1,"x":1"#)),
      malformed("duplicate key by an escape", with(#""x":1,"\u0078":1"#)),
      malformed("duplicate key further down", with(#""x":{"y":[{"z":1,"z":2}]}"#)),
      malformed("byte order mark", [0xef, 0xbb, 0xbf] + good.bytes),
      malformed("UTF-16 with a mark", [0xff, 0xfe] + utf16),
      malformed("UTF-16 without a mark", utf16),
      malformed("trailing comma", "{\(inside)\(comma)\"x\":1,}"),
      malformed("trailing comma in an array", with(#""x":[1,]"#)),
      malformed("lone surrogate", with(#""x":"\ud800""#)),
      malformed("lone low surrogate in a key", with(#""\udc00":1"#)),
      malformed("U+0000", with(#""x":"\u0000""#)),
      malformed("raw control character", with("\"x\":\"\u{1}\"")),
      malformed("bytes that are no UTF-8", Array(with(#""x":"#).utf8.dropLast()) + [0x22, 0xff, 0x22, 0x7d]),
      malformed("comment", with("\"x\":1/**/")),
      malformed("NaN", with(#""x":NaN"#)),
      malformed("single quotes", with("'x':1")),
      malformed("leading zero", with(#""x":01"#)),
      malformed("33 levels", with("\"x\":" + String(repeating: "[", count: 32) + String(repeating: "]", count: 32))),
      malformed("cut off", String(text.dropLast())),
      malformed("two values", text + text),
      malformed("empty", []),
      malformed("white space", "  \n"),
      malformed("array", "[]"),
      malformed("array around", "[\(text)]"),
      malformed("string", #""text""#),
      malformed("null", "null"),
      nested.count > bytesMax ? tooLarge("100,000 nested arrays", nested) : malformed("100,000 nested arrays", nested),
      tooLarge("300 KiB", Array(with("\"x\":\"\(String(repeating: "x", count: 300 * 1024))\"").utf8)),
      tooLarge("one byte too many", good.bytes + Array(repeating: 0x20, count: bytesMax - good.bytes.count + 1)),
      wrongType(nil), wrongType("text/plain"), wrongType("application/x-www-form-urlencoded"),
      wrongType("application/json; charset=utf-16"), wrongType("application/jsonp"),
      wrongType("text/plain, application/json"),
    ]
  }

  @Test(.timeLimit(.minutes(5))) func everyBodyIsReadStrictly() async throws {
    try await withServer("playground", ["--code-attempts-per-source-per-minute", "100000"]) { server in
      let client = try APIClient(server)
      for operation in client.document.operations where operation.takesBody {
        guard let good = try await client.knownGoodCall(operation.id), let json = good.json else { continue }
        let bytesMax =
          switch operation.id {
          case "registerDevice": 64 * 1024
          case "signIn": 8 * 1024
          default: 256 * 1024
          }
        for bad in Self.badBodies(good: json, bytesMax: bytesMax) {
          let answer = try await client.call(
            operation.id, good.parameters, as: good.credential,
            headers: bad.contentType.map { [("content-type", $0)] } ?? [], body: bad.bytes)
          #expect(answer.status == bad.status && answer.code == bad.code, "\(operation.id), \(bad.name): \(answer)")
          let words = answer.json["detail"] ?? answer.json["error_messages"]?.elements.first
          #expect(words?.text?.isEmpty == false, "\(operation.id), \(bad.name)")
          #expect(answer.header("x-request-id")?.isEmpty == false)
        }
        // The same without a length said beforehand.
        let chunk = String(repeating: " ", count: 0x4000)
        let chunks = String(repeating: "4000\r\n\(chunk)\r\n", count: 20)
        let answer = try await client.call(
          operation.id, good.parameters, as: good.credential,
          headers: [("content-type", "application/json"), ("transfer-encoding", "chunked")],
          body: Array((chunks + "0\r\n\r\n").utf8))
        #expect(answer.status == 413, "\(operation.id): \(answer)")

        // After all that the good one still passes: with what nobody asked for, which is ignored and not answered.
        var rich = json.setting("unknown_member", to: ["nested": [1, "x", nil]])
        rich = rich.setting("id", to: .string(unknownID)).setting("status", to: "CONSUMED")
        let type = [("content-type", #"Application/JSON; Charset="UTF-8""#)]
        let padding = [UInt8](repeating: 0x20, count: bytesMax - rich.bytes.count)
        let taken = try await client.call(
          operation.id, good.parameters, as: good.credential, headers: type, body: rich.bytes + padding)
        #expect(taken.status == client.document.goodStatus(of: operation), "\(operation.id): \(taken)")
        #expect(!taken.text.contains("unknown_member") && !taken.text.contains(unknownID), "\(operation.id)")
      }
    }
  }

  @Test func numbersArePlainDigits() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let refused = [
        "1.0", "1e3", "1E3", "2000.0", "2e3", "-0", "999", "259200001", "-1", "0", "9223372036854775808", "\"2000\"",
        "true", "[2000]", "{}", "1000000000000000000000000000",
      ]
      for number in refused {
        let answer = try await client.call(
          "createEnrollment", headers: [("content-type", "application/json")],
          body: Array("{\"expires_in\":\(number)}".utf8))
        #expect(answer.status == 400 && answer.code == "validation_failed", "\(number): \(answer)")
        #expect(answer.failingFields == ["expires_in"], "\(number)")
      }
      for number: JSONValue in [1000, 259_200_000, nil] {
        #expect(try await client.call("createEnrollment", json: ["expires_in": number]).status == 201)
      }
    }
  }

  /// Many mistakes at once: the answer names every failing field, by the path at which it was sent.
  @Test func everyFailingFieldIsNamedAtOnce() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let device = try await client.makeDevice()
      let long = String(repeating: "x", count: 101)
      let cases: [(String, [String: String], JSONValue, [String])] = [
        (
          "createEnrollment", [:],
          [
            "expires_in": "soon", "ttl": "ONE_HOUR", "location_id": "",
            "metadata": ["a": 1, "b:c": "x", "": "x", "ok": "ok", "long": .string(String(repeating: "v", count: 501))],
          ],
          ["expires_in", "location_id", "metadata.", "metadata.a", "metadata.b:c", "metadata.long", "ttl"]
        ),
        (
          "createEnrollment", [:],
          ["metadata": ["b:c": "x", "": "x", "long": .string(String(repeating: "v", count: 501))], "location_id": 7],
          ["location_id", "metadata.", "metadata.b:c", "metadata.long"]
        ),
        ("createEnrollment", [:], ["expires_in": 5000, "ttl": "TWO_HOURS"], ["ttl"]),
        ("createEnrollment", [:], ["metadata": "text", "location_id": .string(unknownID)], ["metadata"]),
        ("createEnrollment", [:], ["location_id": .string(unknownID)], ["location_id"]),
        (
          "registerDevice", [:],
          [
            "hardware_id": "", "platform": "WINDOWS", "name": .string(long), "registration_id": "1",
            "public_key": ["kty": "RSA"],
          ],
          ["enrollment_code", "hardware_id", "name", "platform", "public_key", "registration_id"]
        ),
        (
          "registerDevice", [:], ["enrollment_code": "a", "enrollment_token": "b"],
          ["enrollment_token", "hardware_id", "platform"]
        ),
        (
          "registerDevice", [:], ["enrollment_code": 7, "hardware_id": 7, "platform": "ios", "public_key": "key"],
          ["enrollment_code", "hardware_id", "platform", "public_key"]
        ),
        (
          "updateDevice", ["id": device.id], ["name": "", "metadata": [1], "location_id": "My Store"],
          ["location_id", "metadata", "name"]
        ),
        ("updateDevice", ["id": device.id], ["location_id": .string(unknownID)], ["location_id"]),
        (
          "createLocation", [:],
          [
            "street_address": .string(long), "street_address2": 1, "postal_code": "123456789012345678901", "city": "",
            "country": "se",
          ],
          ["city", "country", "name", "postal_code", "street_address", "street_address2"]
        ),
        ("createAPIKey", [:], ["name": .string(long)], ["name"]),
        (
          "createSession", [:],
          [
            "device_id": "till", "order_amount": 0, "purchase_currency": "kronor", "order_tax_amount": "0",
            "purchase_started_at": "today", "merchant_reference1": .string(String(repeating: "r", count: 256)),
            "merchant_data": .string(String(repeating: "d", count: 6001)),
            "order_items": [
              [
                "type": "service", "name": "", "quantity": 0, "unit_price": .number("10.0"), "tax_rate": -1,
                "total_tax_amount": nil, "total_discount_amount": -1,
              ]
            ],
          ],
          [
            "device_id", "merchant_data", "merchant_reference1", "order_amount", "order_items[0].name",
            "order_items[0].quantity", "order_items[0].tax_rate", "order_items[0].total_amount",
            "order_items[0].total_discount_amount", "order_items[0].total_tax_amount", "order_items[0].type",
            "order_items[0].unit_price", "order_tax_amount", "purchase_currency", "purchase_started_at",
          ]
        ),
        (
          "createSession", [:], ["order_items": []],
          ["device_id", "order_amount", "order_items", "purchase_currency"]
        ),
        ("createSession", [:], APIClient.sessionBody(device.id).setting("order_amount", to: 10001), ["order_amount"]),
        (
          "createWebhook", [:], ["name": "", "url": "https://10.0.0.1/", "events": ["ipp.session.created", "x"]],
          ["events[1]", "name"]
        ),
        ("createWebhook", [:], APIClient.webhookBody("http://example.com/"), ["url"]),
        ("createWebhook", [:], APIClient.webhookBody("https://10.0.0.1/"), ["url"]),
        ("createWebhook", [:], APIClient.webhookBody("http://10.0.0.1/"), ["url"]),
        ("planCardFault", [:], ["operation": "PAY", "fault": "FIRE", "count": 0], ["count", "fault", "operation"]),
        ("moveClock", [:], ["advance_seconds": -1], ["advance_seconds"]),
        ("createSimulatedDevice", [:], ["name": "", "location_id": "here"], ["location_id", "name"]),
        ("createAPIKey", [:], ["name": nil], ["name"]),
      ]
      for (operation, parameters, json, fields) in cases {
        let answer = try await client.call(operation, parameters, json: json)
        #expect(answer.status == 400 && answer.code == "validation_failed", "\(operation): \(answer)")
        #expect(answer.json["title"] == "Validation Failed")
        #expect(answer.failingFields == fields, "\(operation): \(answer)")
      }
    }
  }

  /// A flaw hides no other: not one of the query those of the body, nor one of a field what does not add up.
  @Test func noFlawHidesAnother() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let good = APIClient.sessionBody(try await client.makeSimulatedDevice().id)
      let line = try #require(good["order_items"]?.elements.first)
      func lines(_ lines: JSONValue...) -> JSONValue { good.setting("order_items", to: .array(lines)) }
      let cases: [(query: String?, json: JSONValue, fields: [String])] = [
        ("location_id=here", good.setting("device_id", to: nil), ["device_id", "location_id"]),
        ("location_id=%ff", good.setting("order_amount", to: 0), ["order_amount", "query"]),
        ("location_id=here", good.setting("order_amount", to: 1), ["location_id", "order_amount"]),
        (nil, good.setting("device_id", to: nil).setting("order_amount", to: 1), ["device_id", "order_amount"]),
        (
          nil, good.setting("purchase_currency", to: "kr").setting("order_tax_amount", to: 1),
          ["order_tax_amount", "purchase_currency"]
        ),
        // A line that cannot be read hides neither its own figures nor those of others.
        (
          nil,
          lines(
            line.setting("name", to: nil).setting("total_amount", to: 9999), line.setting("total_tax_amount", to: 1)),
          ["order_amount", "order_items[0].name", "order_items[0].total_amount", "order_items[1].total_tax_amount"]
        ),
        (
          nil, lines(line.setting("unit_price", to: "x"), line.setting("quantity", to: 3), 7),
          ["order_items[0].unit_price", "order_items[1].total_amount", "order_items[2]"]
        ),
        // What is wrong with a figure is said once, and what hangs on it is left.
        (nil, lines(line.setting("quantity", to: 0)), ["order_items[0].quantity"]),
        (nil, lines(line.setting("total_discount_amount", to: -1)), ["order_items[0].total_discount_amount"]),
        (nil, lines(line.setting("total_amount", to: "1")), ["order_items[0].total_amount"]),
        (
          nil, lines(line.setting("type", to: "gift").setting("unit_price", to: -5000)),
          ["order_items[0].total_amount", "order_items[0].type"]
        ),
      ]
      for (query, json, fields) in cases {
        let answer = try await client.call("createSession", query: query, json: json)
        #expect(answer.status == 400 && answer.failingFields == fields, "\(query ?? "") \(fields): \(answer)")
      }
      #expect(try await client.call("createSession", json: good).status == 200)
    }
  }

  /// A code or token that cannot be one is answered as one that is not there (contract, section 3).
  @Test func anyTextIsReadAsACode() async throws {
    try await withServer("playground", ["--code-attempts-per-source-per-minute", "1000"]) { server in
      let client = try APIClient(server)
      let strange = ["", " ", "-", "x", "ÅÄÖ", "123456789", unknownID, String(repeating: "7", count: 60_000)]
      var answers: Set<[UInt8]> = []
      for member in ["enrollment_code", "enrollment_token"] {
        for text in strange {
          let json: JSONValue = .object(
            JSONObject(members: [
              .init(name: member, value: .string(text)), .init(name: "hardware_id", value: "h"),
              .init(name: "platform", value: "IOS"),
            ]))
          let answer = try await client.call("registerDevice", headers: [("x-request-id", "same")], json: json)
          #expect(
            answer.status == 404 && answer.code == "enrollment_code_invalid", "\(member) \(text.prefix(40)): \(answer)")
          answers.insert(answer.body)
        }
      }
      #expect(answers.count == 1)
    }
  }

  /// A device's name is like every other: 1 to 100 characters, or left out.
  @Test func deviceNamesHaveOneToAHundredCharacters() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      func register(_ name: JSONValue?) async throws -> HTTPAnswer {
        let code = try await client.makeEnrollment().code
        let json: JSONValue = [
          "enrollment_code": .string(code), "hardware_id": .string(String(repeating: "h", count: 255)),
          "platform": "TERMINAL",
        ]
        return try await client.call("registerDevice", json: json.setting("name", to: name))
      }
      for name in ["å", String(repeating: "å", count: 100)] {
        let answer = try await register(.string(name))
        #expect(answer.status == 201 && answer.json["name"]?.text == name, "\(answer)")
      }
      for leftOut in [nil, JSONValue.null] {
        let answer = try await register(leftOut)
        #expect(answer.status == 201 && answer.json["name"] == nil, "\(answer)")
      }
      for name in ["", String(repeating: "å", count: 101)] {
        let answer = try await register(.string(name))
        #expect(answer.status == 400 && answer.failingFields == ["name"], "\(answer)")
      }
    }
  }
}
