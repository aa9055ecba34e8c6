import KassaJSON
import KassaTestSupport
import Testing

/// A browser that signs in: what its cookie is, where it counts, and what it takes beside the cookie.
@Suite(.timeLimit(.minutes(3))) struct SignInTests {
  private static let proof = ("kassa-portal", "1")

  /// `name=value` of the cookie that a sign-in with `key` sets.
  private func cookie(_ client: APIClient, _ key: String) async throws -> (pair: String, header: String) {
    let answer = try await client.call("signIn", json: ["api_key": .string(key)])
    let header = try #require(answer.header("set-cookie"), "\(answer)")
    return (String(header.prefix { $0 != ";" }), header)
  }

  private func me(_ client: APIClient, _ headers: [(String, String)]) async throws -> HTTPAnswer {
    try await client.call("getAccount", as: .none, headers: headers)
  }

  @Test func aCookieIsForThisBrowserOnlyAndSignsOut() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let signedIn = try await client.call("signIn", json: ["api_key": .string(server.apiKey)])
      #expect(signedIn.json["merchant_id"]?.text == server.merchantID)
      #expect(signedIn.json["merchant_name"] == "Playground Merchant" && signedIn.json["environment"] == "playground")
      #expect(!signedIn.text.contains(server.apiKey))
      let (pair, header) = try await cookie(client, server.apiKey)
      #expect(header.hasPrefix("kassa-portal-\(server.port)="))
      #expect(header.hasSuffix("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict"))
      #expect(!header.contains(server.apiKey))

      let account = try await me(client, [("cookie", pair), Self.proof])
      #expect(account.status == 200 && account.json["signed_in_until"] != nil)
      // A backend is told the same of itself, without an end.
      let backend = try await client.call("getAccount")
      #expect(backend.json["api_key"] == account.json["api_key"] && backend.json["signed_in_until"] == nil)

      let out = try await client.call("signOut", headers: [("cookie", pair)])
      #expect(out.header("set-cookie")?.contains("=; Path=/; Max-Age=0; HttpOnly") == true)
    }
  }

  @Test func behindHTTPSTheCookieIsSecureAndOfThisHostAlone() async throws {
    try await withServer("playground", ["--public-url", "https://pay.example.com"]) { server in
      let client = try APIClient(server)
      let (pair, header) = try await cookie(client, server.apiKey)
      #expect(header.hasPrefix("__Host-kassa-portal="))
      #expect(header.hasSuffix("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"))
      // The proxy may have replaced `Host`: the public address counts as well.
      let origin = ("origin", "https://pay.example.com")
      #expect(try await me(client, [("cookie", pair), Self.proof, origin]).status == 200)
      let plain = pair.replacing("__Host-kassa-portal", with: "kassa-portal-\(server.port)")
      #expect(try await me(client, [("cookie", plain), Self.proof]).status == 401)
    }
  }

  /// Every operation that takes an API key takes the cookie with its proof instead, and no other operation does.
  @Test func theCookieCountsWhereAKeyDoes() async throws {
    try await withServer("playground", ["--requests-per-second-per-merchant", "0"]) { server in
      let client = try APIClient(server)
      let key = try await client.makeKey("portal")
      let pair = try await cookie(client, key.key).pair
      var proved: Set<String> = []
      for operation in client.document.operations where operation.credential != .none {
        guard let good = try await client.knownGoodCall(operation.id) else { continue }
        func status(_ headers: [(String, String)]) async throws -> Int {
          try await client.call(operation.id, good.parameters, as: .none, headers: headers, json: good.json).status
        }
        guard operation.credential == .apiKey else {
          #expect(try await status([("cookie", pair), Self.proof]) == 401, "\(operation.id)")
          continue
        }
        // First every call that must do nothing, then the good one.
        #expect(try await status([("cookie", pair)]) == 403, "\(operation.id)")
        #expect(try await status([Self.proof]) == 401, "\(operation.id)")
        for site in ["cross-site", "same-site", "none"] {
          #expect(
            try await status([("cookie", pair), Self.proof, ("sec-fetch-site", site)]) == 403, "\(operation.id) \(site)"
          )
        }
        let headers = [("cookie", pair), Self.proof, ("sec-fetch-site", "same-origin")]
        #expect(try await status(headers) == client.document.goodStatus(of: operation), "\(operation.id)")
        proved.insert(operation.id)
      }
      #expect(proved.isSuperset(of: ["getAccount", "createSession", "deleteDevice", "createAPIKey", "simulateTap"]))
    }
  }

  @Test func theBrowsersWordOnWhereARequestComesFromCounts() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let pair = try await cookie(client, server.apiKey).pair
      let cookie = ("cookie", pair)
      let own = "http://127.0.0.1:\(server.port)"
      for (headers, status) in [
        ([Self.proof, ("origin", own)], 200),
        ([Self.proof, ("origin", "http://127.0.0.1:1")], 403),
        ([Self.proof, ("origin", "http://127.0.0.1.evil.example")], 403),
        ([Self.proof, ("origin", "null")], 403),
        ([Self.proof, ("origin", "")], 403),
        // What the browser says of the fetch is surer than the origin.
        ([Self.proof, ("origin", own), ("sec-fetch-site", "cross-site")], 403),
        ([("kassa-portal", "0")], 403),
        ([("kassa-portal", "")], 403),
        // Each is said once.
        ([Self.proof, Self.proof], 403),
        ([Self.proof, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")], 403),
        ([Self.proof, ("origin", own), ("origin", own)], 403),
      ] {
        #expect(try await me(client, [cookie] + headers).status == status, "\(headers)")
      }
      // A header that names a key is what counts, also beside a good cookie.
      let wrong = try await me(client, [cookie, ("authorization", "Basic nonsense")])
      #expect(wrong.status == 401 && wrong.header("www-authenticate") == #"Basic realm="kassa""#)
      // A browser must not be made to ask for a password by itself.
      for headers in [[Self.proof], [cookie, Self.proof, ("authorization", "Basic nonsense")]] {
        let refused = try await me(client, headers)
        #expect(refused.status == 401 && refused.header("www-authenticate") == #"Portal realm="kassa""#, "\(headers)")
      }
      let other = try await server.makeMerchant()
      let mismatch = try await me(client, [cookie, Self.proof, ("x-merchant-id", other.id)])
      #expect(mismatch.status == 403 && mismatch.code == "merchant_mismatch")
    }
  }

  @Test func forgedAndPlantedCookiesDoNotCount() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let pair = try await cookie(client, server.apiKey).pair
      let name = String(pair.prefix { $0 != "=" })
      let value = pair.dropFirst(name.count + 1)
      func status(_ cookies: String...) async throws -> Int {
        try await me(client, cookies.map { ("cookie", $0) } + [Self.proof]).status
      }
      #expect(try await status("theme=dark; \(pair); lang=sv") == 200)
      #expect(try await status("theme=dark", pair) == 200)
      #expect(try await status("\(pair); \(pair)") == 401)
      #expect(try await status("\(name)=planted; \(pair)") == 401)
      // Every single changed character breaks the seal.
      for index in value.indices {
        var changed = value
        changed.replaceSubrange(index...index, with: value[index] == "A" ? "B" : "A")
        #expect(try await status("\(name)=\(changed)") == 401, "\(changed)")
      }
      for text in ["", "A", String(value.dropLast()), "\(value)AA", String(repeating: "A", count: 8000)] {
        #expect(try await status("\(name)=\(text)") == 401)
      }
      // Sealed by another server's key.
      try await withServer { other in
        let foreign = try await cookie(try APIClient(other), other.apiKey).pair
        #expect(try await status("\(name)=\(foreign.drop { $0 != "=" }.dropFirst())") == 401)
      }
    }
  }

  @Test func revokingTheKeyOrTwelveHoursEndTheCookieAtOnce() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let key = try await client.makeKey("portal")
      let pair = try await cookie(client, key.key).pair
      #expect(try await me(client, [("cookie", pair), Self.proof]).status == 200)
      #expect(try await client.call("revokeAPIKey", ["id": key.id]).status == 204)
      #expect(try await me(client, [("cookie", pair), Self.proof]).status == 401)
      #expect(try await client.call("signIn", json: ["api_key": .string(key.key)]).status == 401)

      let second = try await cookie(client, server.apiKey).pair
      try await client.call("moveClock", json: ["advance_seconds": 43_190])
      #expect(try await me(client, [("cookie", second), Self.proof]).status == 200)
      try await client.call("moveClock", json: ["advance_seconds": 20])
      #expect(try await me(client, [("cookie", second), Self.proof]).status == 401)
    }
  }

  /// A stream that is open already ends too, without waiting for a sign of life.
  @Test func revokingTheKeyEndsItsStreams() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let key = try await client.makeKey("portal")
      let pair = try await cookie(client, key.key).pair
      // What happened before is not told after `latest`.
      _ = try await client.makeDevice()
      let stream = try await EventStream.open(
        port: server.port,
        HTTPCall(
          "GET", "/portal/v1/events?after=latest",
          headers: [("cookie", pair), Self.proof, ("accept", "text/event-stream")]))
      let device = try await client.makeDevice()
      let event = try await stream.next()
      #expect(event.text.contains("ipp.device.paired") && event.text.contains(device.id), "\(event)")
      try await client.call("revokeAPIKey", ["id": key.id])
      await #expect(throws: HTTPFailure.closed) { try await stream.next() }
      await stream.close()
    }
  }

  @Test func keysThatDoNotSignInAreLimitedByAddress() async throws {
    try await withServer("playground", ["--trusted-proxies", "127.0.0.1"]) { server in
      let client = try APIClient(server)
      func signIn(_ key: String, from address: String) async throws -> HTTPAnswer {
        try await client.call("signIn", headers: [("x-forwarded-for", address)], json: ["api_key": .string(key)])
      }
      // Good ones do not count.
      for _ in 0..<30 { #expect(try await signIn(server.apiKey, from: "192.0.2.1").status == 200) }
      for _ in 0..<20 { #expect(try await signIn("kassa_test_api_wrong", from: "192.0.2.1").status == 401) }
      let refused = try await signIn("kassa_test_api_wrong", from: "192.0.2.1")
      #expect(refused.status == 429 && refused.code == "too_many_sign_ins" && refused.header("retry-after") != nil)
      #expect(try await signIn(server.apiKey, from: "192.0.2.2").status == 200)
    }
  }

  // MARK: The playground's key

  @Test func thePlaygroundGivesItsKeyToItsOwnMachineOnly() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      func answer(_ headers: [(String, String)]) async throws -> HTTPAnswer {
        try await client.call("getPlayground", headers: headers)
      }
      for host in ["127.0.0.1:\(server.port)", "localhost:\(server.port)", "LOCALHOST", "[::1]:80"] {
        #expect(try await answer([("host", host)]).json["api_key"]?.text == server.apiKey, "\(host)")
      }
      // A foreign name that leads here, a proxy's request, and names that only look right.
      for headers in [
        [("host", "evil.example:\(server.port)")], [("host", "127.0.0.1.evil.example")], [("host", "localhost.")],
        [("host", "127.0.0.1:80@evil.example")], [("host", "192.0.2.1:\(server.port)")],
        [("x-forwarded-for", "127.0.0.1")], [("forwarded", "for=127.0.0.1")], [("via", "1.1 proxy")],
      ] {
        let refused = try await answer(headers)
        #expect(refused.status == 403 && !refused.text.contains(server.apiKey), "\(headers): \(refused)")
      }
      // Another site's page.
      #expect(try await answer([("origin", "https://evil.example")]).code == "cross_site_refused")
      #expect(try await answer([("kassa-portal", "")]).code == "cross_site_refused")
    }
    try await withServer("serve") { server in
      let answer = try await server.send(HTTPCall("GET", "/portal/v1/playground", headers: [Self.proof]))
      #expect(answer.status == 404)
    }
  }
}
