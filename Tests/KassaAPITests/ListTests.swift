import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Lists: the envelope, pages, cursors and filters (contract, sections 1 and 2).
struct ListTests {
  private func ids(_ answer: HTTPAnswer, _ name: String = "enrollment_id") -> [String] {
    (answer.json["content"]?.elements ?? []).compactMap { $0[name]?.text }
  }

  @Test func theEnvelopeIsExact() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let empty = try await client.call("listEnrollments")
      let expectedEmpty: JSONValue = [
        "content": [], "total_elements": 0, "total_pages": 0, "page_number": 0, "page_size": 20, "first": true,
        "last": true,
      ]
      #expect(empty.json == expectedEmpty)

      var made: [String] = []
      for _ in 0..<7 { made.insert(try await client.makeEnrollment().id, at: 0) }
      // Of those made in the same millisecond the id decides: only the set of them is known here.
      for (number, count, first, last) in [(0, 3, true, false), (1, 3, false, false), (2, 1, false, true)] {
        let page = try await client.call("listEnrollments", query: "page_size=3&page_number=\(number)").json
        #expect(page["content"]?.elements.count == count)
        #expect(page["total_elements"] == 7 && page["total_pages"] == 3, "\(page)")
        #expect(page["page_number"]?.integer == Int64(number) && page["page_size"] == 3)
        #expect(page["first"]?.bool == first && page["last"]?.bool == last)
        #expect((page["next_cursor"] == nil) == last)
      }
      let beyond = try await client.call("listEnrollments", query: "page_size=3&page_number=2147483647").json
      #expect(beyond["content"] == [] && beyond["total_elements"] == 7 && beyond["last"] == true)
      #expect(beyond["page_number"] == 2_147_483_647 && beyond["first"] == false)
      let whole = try await client.call("listEnrollments", query: "page_size=100")
      #expect(Set(ids(whole)) == Set(made) && whole.json["total_pages"] == 1)
      #expect(try await client.call("listDevices", query: "page_size=1000").json["page_size"] == 1000)
      #expect(try await client.call("listEnrollments", query: "page_size=7").json["last"] == true)
    }
  }

  @Test func newestComesFirst() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      var made: [String] = []
      for _ in 0..<4 {
        made.insert(try await client.makeEnrollment().id, at: 0)
        try await Task.sleep(for: .milliseconds(3))
      }
      #expect(ids(try await client.call("listEnrollments")) == made)
    }
  }

  @Test func badQueriesNameEveryParameter() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let cases: [(String, [String])] = [
        ("page_size=0", ["page_size"]), ("page_size=101", ["page_size"]), ("page_size=-1", ["page_size"]),
        ("page_size=", ["page_size"]), ("page_size=1.0", ["page_size"]), ("page_size=+5", ["page_size"]),
        ("page_size=5&page_size=5", ["page_size"]), ("page_number=-1", ["page_number"]),
        ("page_number=2147483648", ["page_number"]), ("page_number=99999999999999999999", ["page_number"]),
        ("cursor=x", ["cursor"]), ("cursor=", ["cursor"]), ("cursor=\(unknownID)", ["cursor"]),
        ("location_id=here", ["location_id"]), ("location_id=", ["location_id"]),
        ("include_consumed=yes", ["include_consumed"]), ("include_consumed=", ["include_consumed"]),
        ("metadata=a", ["metadata"]), ("metadata=:b", ["metadata"]), ("metadata=", ["metadata"]),
        ("metadata=a:1&metadata=a:2", ["metadata"]), ("metadata=a:1&metadata=a:1", ["metadata"]),
        ("metadata=\(String(repeating: "k", count: 41)):v", ["metadata"]),
        ("metadata=a:1&metadata=b:1&metadata=c:1&metadata=d:1&metadata=e:1&metadata=f:1", ["metadata"]),
        ("metadata=a%00:b", ["query"]), ("metadata=%ff:b", ["query"]), ("page_size=%zz", ["query"]),
        ("x=%2", ["query"]),
        (
          "page_size=0&page_number=x&location_id=y&metadata=z&include_consumed=1&cursor=",
          ["cursor", "include_consumed", "location_id", "metadata", "page_number", "page_size"]
        ),
      ]
      for (query, fields) in cases {
        let answer = try await client.call("listEnrollments", query: query)
        #expect(answer.status == 400 && answer.failingFields == fields, "\(query): \(answer)")
      }
      for query in ["", "unknown=1", "&&", "page_size=5&", "metadata=a:", "metadata=a:b:c", "metadata=%C3%A5:%3A"] {
        #expect(try await client.call("listEnrollments", query: query).status == 200, "\(query)")
      }
    }
  }

  /// While others add and remove, a walk by cursor repeats nothing and skips nothing that was there all the time.
  @Test func aWalkByCursorHoldsStill() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      var made: [String] = []
      for _ in 0..<23 { made.append(try await client.makeEnrollment().id) }
      var walked: [String] = []
      var cursor: String?
      var (removed, pages) = ([String](), 0)
      repeat {
        let answer = try await client.call(
          "listEnrollments", query: "page_size=4" + (cursor.map { "&cursor=\($0)" } ?? ""))
        walked += ids(answer)
        #expect(answer.json["first"]?.bool == (pages == 0))
        #expect(answer.json["page_number"] == 0)
        cursor = answer.json["next_cursor"]?.text
        #expect((cursor == nil) == (answer.json["last"]?.bool == true))
        _ = try await client.makeEnrollment()
        if let next = made.first(where: { !walked.contains($0) && !removed.contains($0) }) {
          #expect(try await client.call("deleteEnrollments", ["enrollment_id": next]).status == 204)
          removed.append(next)
        }
        pages += 1
      } while cursor != nil && pages < 50
      #expect(Set(walked).count == walked.count)
      #expect(Set(made).subtracting(removed).subtracting(walked) == [])
      #expect(Set(walked).subtracting(made) == [])
      // A cursor is a place, not a promise of rows; beside a page number it is a contradiction.
      let first = try await client.call("listEnrollments", query: "page_size=1").json
      let place = try #require(first["next_cursor"]?.text)
      #expect(try await client.call("listEnrollments", query: "cursor=\(place)&page_number=0").status == 200)
      let both = try await client.call("listEnrollments", query: "cursor=\(place)&page_number=1")
      #expect(both.status == 400 && both.failingFields == ["page_number"])
    }
  }

  @Test func consumedAndCancelledAreLeftOut() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let pending = try await client.makeEnrollment().id
      let consumed = try await client.makeEnrollment()
      let cancelled = try await client.makeEnrollment().id
      let expired = try await client.makeEnrollment(["expires_in": 1000]).id
      let body: JSONValue = ["enrollment_code": .string(consumed.code), "hardware_id": "h", "platform": "IOS"]
      #expect(try await client.call("registerDevice", json: body).status == 201)
      #expect(try await client.call("deleteEnrollments", ["enrollment_id": cancelled]).status == 204)
      #expect(try await client.call("deleteEnrollments", ["enrollment_id": cancelled]).status == 204)
      var status: String?
      for _ in 0..<200 where status != "EXPIRED" {
        status = try await client.call("getEnrollment", ["enrollment_id": expired]).json["status"]?.text
        try await Task.sleep(for: .milliseconds(50))
      }
      #expect(status == "EXPIRED")

      for query in [nil, "include_consumed=true"] {
        let all = try await client.call("listEnrollments", query: query)
        #expect(Set(ids(all)) == [pending, consumed.id, expired] && all.json["total_elements"] == 3)
      }
      let open = try await client.call("listEnrollments", query: "include_consumed=false")
      #expect(Set(ids(open)) == [pending, expired] && open.json["total_elements"] == 2)
      // The code is there only while it can be used.
      for entry in try await client.call("listEnrollments").json["content"]?.elements ?? [] {
        let isPending = entry["status"] == "PENDING"
        #expect((entry["enrollment_code"] != nil) == isPending && (entry["enrollment_url"] != nil) == isPending)
      }
      #expect(try await client.call("getEnrollment", ["enrollment_id": cancelled]).json["status"] == "CANCELLED")
      #expect(try await client.call("deleteEnrollments", ["enrollment_id": expired]).status == 204)
    }
  }

  @Test func metadataAndLocationNarrow() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let (first, second) = (try await client.firstLocation(), try await client.makeLocation())
      func make(_ location: String, _ metadata: JSONValue) async throws -> String {
        try await client.makeDevice(enrollment: ["location_id": .string(location), "metadata": metadata]).id
      }
      let a = try await make(first, ["store": "1", "kind": "till", "note": "a:b c&d=å"])
      let b = try await make(first, ["store": "1", "kind": "phone", "e\u{301}": "1"])
      let c = try await make(second, ["store": "2", "kind": "till", "\u{e9}": "1"])
      let cases: [(String, [String])] = [
        ("", [a, b, c]), ("metadata=store:1", [a, b]), ("metadata=store:1&metadata=kind:till", [a]),
        ("metadata=store:2&metadata=kind:phone", []), ("metadata=store:", []), ("metadata=Store:1", []),
        ("metadata=note:a%3Ab+c%26d%3D%C3%A5", [a]), ("metadata=note:a:b%20c%26d=%C3%A5", [a]),
        ("location_id=\(first)", [a, b]), ("location_id=\(second.uppercased())&metadata=kind:till", [c]),
        ("location_id=\(unknownID)", []), ("metadata=%C3%A9:1", [c]), ("metadata=e%CC%81:1", [b]),
        ("metadata=store:1&metadata=kind:till&metadata=note:a:b%20c%26d=%C3%A5&metadata=x:1&metadata=y:1", []),
      ]
      for (query, expected) in cases {
        let answer = try await client.call("listDevices", query: query)
        #expect(Set(ids(answer, "id")) == Set(expected), "\(query)")
        #expect(answer.json["total_elements"]?.integer == Int64(expected.count), "\(query)")
      }
      // A value that would make one character with the colon before it: a combining mark, a joiner, a variation selector.
      for value in ["\u{301}a", "\u{200d}b", "\u{fe0f}c", "\u{20e3}"] {
        let metadata: JSONValue = ["mark": .string(value)]
        let device = try await make(second, metadata)
        let enrollment = try await client.makeEnrollment(["location_id": .string(second), "metadata": metadata]).id
        let encoded = value.utf8.map { "%\($0 < 16 ? "0" : "")\(String($0, radix: 16))" }.joined()
        let query = "metadata=mark:\(encoded)"
        #expect(ids(try await client.call("listDevices", query: query), "id") == [device], "\(query)")
        let enrollments = try await client.call("listEnrollments", query: "\(query)&include_consumed=false")
        #expect(ids(enrollments, "enrollment_id") == [enrollment], "\(query)")
        #expect(try await client.call("deleteDevice", ["id": device]).status == 204)
      }
      // A change moves it from one list to the other, and PUT replaces.
      let moved = try await client.call("updateDevice", ["id": a], json: ["metadata": ["store": "9"]])
      #expect(moved.json["location_id"] == nil && moved.json["metadata"] == ["store": "9"])
      #expect(ids(try await client.call("listDevices", query: "metadata=store:1"), "id") == [b])
      #expect(ids(try await client.call("listDevices", query: "metadata=store:9"), "id") == [a])
      #expect(ids(try await client.call("listDevices", query: "location_id=\(first)"), "id") == [b])
      let emptied = try await client.call("updateDevice", ["id": a], json: ["name": "Renamed"])
      #expect(emptied.json["metadata"] == [:] && emptied.json["name"] == "Renamed")
      #expect(try await client.call("updateDevice", ["id": a], json: [:]).json["name"] == "Renamed")
      #expect(try await client.call("deleteDevice", ["id": b]).status == 204)
      #expect(try await client.call("listDevices").json["total_elements"] == 2)
    }
  }

  /// The audit log's pages follow each other by cursor alone.
  @Test func theAuditLogIsWalkedWhole() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      for _ in 0..<5 { _ = try await client.makeDevice() }
      let whole = try await client.call("listAuditEntries", query: "page_size=1000").json
      #expect(whole["next_cursor"] == nil)
      var (walked, cursor): ([JSONValue], String?) = ([], nil)
      repeat {
        let page = try await client.call(
          "listAuditEntries", query: "page_size=4" + (cursor.map { "&cursor=\($0)" } ?? "")
        ).json
        walked += page["content"]?.elements ?? []
        cursor = page["next_cursor"]?.text
      } while cursor != nil && walked.count < 1000
      #expect(walked == whole["content"]?.elements)
      let methods = walked.count { $0["type"] == "payment_method.created" }
      #expect(methods >= 3)
      // merchant, location, key, and the built-in methods; then created, consumed and paired of each.
      #expect(walked.count == 3 + methods + 5 * 3)
      for query in ["cursor=0", "cursor=x", "cursor=-1", "page_size=1001"] {
        #expect(try await client.call("listAuditEntries", query: query).status == 400, "\(query)")
      }
    }
  }
}
