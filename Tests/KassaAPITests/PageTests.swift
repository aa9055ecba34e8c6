import KassaJSON
import KassaTestSupport
import Testing

/// Pages in the browser beside the operations of the API.
struct PageTests {
  private static let types = [
    ("/pos", "text/html; charset=utf-8"), ("/pos/pair", "text/html; charset=utf-8"),
    ("/pos/app.js", "text/javascript; charset=utf-8"), ("/pos/app.css", "text/css; charset=utf-8"),
    ("/pos/icon.svg", "image/svg+xml"), ("/pos/icon-192.png", "image/png"),
    ("/pos/manifest.webmanifest", "application/manifest+json"), ("/shared/base.css", "text/css; charset=utf-8"),
  ]

  @Test func aPageHasItsTypeItsTagAndItsPolicyAndIsNotSentTwice() async throws {
    try await withServer { server in
      for (path, type) in Self.types {
        let answer = try await server.send(HTTPCall("GET", path))
        #expect(answer.status == 200, "\(path)")
        #expect(answer.header("content-type") == type, "\(path)")
        #expect(answer.header("cache-control") == "no-cache")
        #expect(answer.header("x-content-type-options") == "nosniff")
        #expect(answer.header("referrer-policy") == "no-referrer")
        let policy = answer.header("content-security-policy") ?? ""
        #expect(policy.hasPrefix("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "\(policy)")
        #expect(!policy.contains("unsafe"), "\(policy)")
        let tag = try #require(answer.header("etag"))
        #expect(tag.hasPrefix("\"") && tag.hasSuffix("\""), "strong: \(tag)")

        let again = try await server.send(HTTPCall("GET", path, headers: [("if-none-match", "\"other\", \(tag)")]))
        #expect(again.status == 304 && again.body.isEmpty)
        #expect(again.header("etag") == tag)
        let other = try await server.send(HTTPCall("GET", path, headers: [("if-none-match", "\"other\"")]))
        #expect(other.status == 200 && other.body == answer.body)
      }
    }
  }

  @Test func headHasTheSameHeadAndNoBody() async throws {
    try await withServer { server in
      let get = try await server.send(HTTPCall("GET", "/pos/app.js"))
      // Read as raw bytes: a body that came all the same would be taken for the next answer.
      let connection = try await server.connect()
      try await connection.write(
        HTTPCall("HEAD", "/pos/app.js", headers: [("connection", "close")]).head(host: connection.host))
      let answer = try? await connection.answer()
      #expect(answer == nil, "HEAD has a body")
      await connection.close()
      let known = try await server.send(
        HTTPCall("HEAD", "/pos/app.js", headers: [("if-none-match", get.header("etag") ?? "")]))
      #expect(known.status == 304)
    }
  }

  @Test func whatIsNeitherPageNorOperationAnswersAsBefore() async throws {
    try await withServer { server in
      for path in [
        "/po", "/pos/v1", "/pos/v1/other", "/pos/index.html", "/pos/pair/x", "/shared", "/shared/", "/pos//app.js",
        "/../pos",
      ] {
        let answer = try await server.send(HTTPCall("GET", path))
        #expect(answer.status == 404 && answer.code == "not_found", "\(path): \(answer)")
        #expect(answer.header("content-type") == "application/problem+json")
      }
      let post = try await server.send(HTTPCall("POST", "/pos"))
      #expect(post.status == 405)
      #expect(post.header("allow") == "GET, HEAD")
      let moved = try await server.send(HTTPCall("GET", "/pos/"))
      #expect(moved.status == 307)
      #expect(moved.header("location") == "/pos")
      // Operations come first, and have no HEAD.
      #expect(try await server.send(HTTPCall("HEAD", "/health")).status == 405)
    }
  }

  @Test func theBuyersPageIsThereInThePlaygroundOnly() async throws {
    func expectBuyersPage(_ command: String, _ status: Int) async throws {
      try await withServer(command) { server in
        for path in ["/buyer", "/buyer/buyer.js", "/buyer/\(unknownID)"] {
          let answer = try await server.send(HTTPCall("GET", path))
          #expect(answer.status == status, "\(command) \(path)")
        }
        let till = try await server.send(HTTPCall("GET", "/pos"))
        #expect(till.status == 200)
      }
    }
    try await expectBuyersPage("playground", 200)
    try await expectBuyersPage("serve", 404)
  }

  /// The worker of the POS app keeps files until its own text changes: so that text has to name what it keeps.
  @Test func theWorkerNamesTheVersionOfAllFiles() async throws {
    try await withServer { server in
      let worker = try await server.send(HTTPCall("GET", "/pos/worker.js"))
      #expect(worker.header("service-worker-allowed") == "/pos")
      #expect(!worker.text.contains("SHELL_VERSION"))
      #expect(worker.text.contains(/const SHELL = "kassa-pos [A-Za-z0-9_-]{43}"/))
    }
  }

  @Test func aReceiptsAddressCannotBeMadeUp() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let session = try await client.makeSession()
      try await client.tap(session)
      let own = try await client.call("getOwnReceipt", ["session_id": session.id], as: .bearer(session.token))
      let token = try #require(own.json["receipt_url"]?.text?.split(separator: "/").last.map(String.init))
      let read = try await client.call("getReceipt", ["receipt_token": token])
      #expect(read.body == own.body)
      // Every single symbol of it counts: those of the ids, and those of the proof.
      for (place, symbol) in token.enumerated() {
        var changed = Array(token)
        changed[place] = symbol == "A" ? "B" : "A"
        let answer = try await client.call("getReceipt", ["receipt_token": String(changed)])
        #expect(answer.status == 404, "\(place)")
      }
      for other in ["x", String(token.dropLast()), token + "A"] {
        #expect(try await client.call("getReceipt", ["receipt_token": other]).status == 404)
      }
      // One that is not paid has none, though its address could be told by who knows the key.
      let open = try await client.makeSession()
      #expect(
        try await client.call("getOwnReceipt", ["session_id": open.id], as: .bearer(open.token)).status == 404)
    }
  }
}
