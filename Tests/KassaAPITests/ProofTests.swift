import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Proofs of possession over HTTP (contract, section 3; RFC 9449, section 4.3).
struct ProofTests {
  private struct Phone {
    let client: APIClient
    let key: DeviceKey
    let token: String
    var url: String { client.server.url + "/pos/v1/device" }

    init(_ client: APIClient) async throws {
      self.client = client
      key = DeviceKey()
      token = try await client.makeDevice(publicKey: key.jwk).token
    }

    var claims: JSONValue { DeviceKey.claims("GET", url, token: token) }

    func call(_ proof: String, authorization: String? = nil, query: String? = nil) async throws -> HTTPAnswer {
      try await client.call(
        "getOwnDevice", query: query, as: .raw(authorization ?? "DPoP \(token)"), headers: [("DPoP", proof)])
    }

    /// A proof signed by the phone's key with some claims or header members changed.
    func call(claims changes: [(String, JSONValue?)] = [], header: [(String, JSONValue?)] = []) async throws
      -> HTTPAnswer
    {
      try await call(
        try key.signed(
          header.reduce(key.header()) { $0.setting($1.0, to: $1.1) },
          changes.reduce(claims) { $0.setting($1.0, to: $1.1) }))
    }
  }

  @Test func rightProofsPass() async throws {
    try await withServer { server in
      let phone = try await Phone(try APIClient(server))
      let now = Int64(Date().timeIntervalSince1970)
      let port = server.port
      let right: [[(String, JSONValue?)]] = [
        [], [("htu", .string(phone.url + "?a=b"))], [("htu", .string(phone.url + "#part"))],
        [("htu", .string("HTTP://127.0.0.1:\(port)/pos/v1/device"))],
        [("htu", .string("https://127.0.0.1:\(port)/pos/v1/device"))],
        [("iat", .integer(now - 45))], [("iat", .integer(now + 45))], [("more", "ignored")],
        [("jti", .string(String(repeating: "j", count: 256)))],
      ]
      for claims in right {
        let answer = try await phone.call(claims: claims)
        #expect(answer.status == 200, "\(claims): \(answer)")
      }
      #expect(try await phone.call(header: [("typ", "DPoP+JWT"), ("kid", "1")]).status == 200)
      let proof = try phone.key.signed(phone.key.header(), phone.claims)
      #expect(try await phone.call(proof, query: "since=1").status == 200)
      let again = try phone.key.signed(phone.key.header(), phone.claims)
      #expect(try await phone.call(again, authorization: "dpop  \(phone.token)").status == 200)

      // The name under which the caller reached the server counts, in any case and with or without the default port.
      for (host, htu) in [
        ("Kassa.Example", "http://kassa.EXAMPLE:80/pos/v1/device"),
        ("kassa.example:443", "https://kassa.example/pos/v1/device"),
      ] {
        let proof = try phone.key.signed(
          phone.key.header(), phone.claims.setting("htu", to: .string(htu)))
        let answer = try await phone.client.call(
          "getOwnDevice", as: .raw("DPoP \(phone.token)"), headers: [("host", host), ("dpop", proof)])
        #expect(answer.status == 200, "\(host): \(answer)")
      }
    }
  }

  @Test func wrongProofsAreRefused() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let phone = try await Phone(client)
      let now = Int64(Date().timeIntervalSince1970)
      let claims: [[(String, JSONValue?)]] = [
        [("htm", "POST")], [("htm", "get")], [("htm", nil)],
        [("htu", .string(server.url + "/pos/v1/devices"))], [("htu", .string(server.url + "/pos/v1/Device"))],
        [("htu", .string(server.url))], [("htu", "http://127.0.0.1/pos/v1/device")],
        [("htu", "http://evil.example/pos/v1/device")], [("htu", "/pos/v1/device")], [("htu", nil)],
        [("htu", .string("ftp://127.0.0.1:\(server.port)/pos/v1/device"))],
        [("iat", .integer(now - 120))], [("iat", .integer(now + 120))], [("iat", .integer(.max))],
        [("iat", .integer(.min))], [("iat", .number("\(now).5"))], [("iat", .string("\(now)"))], [("iat", nil)],
        [("ath", .string(DeviceKey.base64URL(Data(repeating: 1, count: 32))))], [("ath", nil)],
        [("ath", .string(phone.token))], [("jti", "")], [("jti", nil)], [("jti", 7)],
        [("jti", .string(String(repeating: "j", count: 257)))],
      ]
      for change in claims {
        let answer = try await phone.call(claims: change)
        #expect(answer.status == 401 && answer.code == "dpop_proof_invalid", "\(change): \(answer)")
        #expect(answer.header("www-authenticate")?.contains("invalid_dpop_proof") == true)
        #expect(answer.json["server_time"]?.text != nil)
      }
      let other = DeviceKey()
      let headers: [[(String, JSONValue?)]] = [
        [("alg", "none")], [("alg", "HS256")], [("alg", "RS256")], [("alg", nil)], [("typ", "JWT")], [("typ", nil)],
        [("jwk", nil)], [("jwk", other.jwk)], [("jwk", phone.key.jwk.setting("d", to: phone.key.privatePart))],
        [("jwk", phone.key.jwk.setting("crv", to: "P-384"))], [("jwk", phone.key.jwk.setting("kty", to: "oct"))],
        [("jwk", phone.key.jwk.setting("x", to: "AAAA"))], [("jwk", "key")],
        // Not a point of the curve.
        [("jwk", phone.key.jwk.setting("y", to: phone.key.jwk["x"]))],
      ]
      for change in headers {
        let answer = try await phone.call(header: change)
        #expect(answer.status == 401 && answer.code == "dpop_proof_invalid", "\(change): \(answer)")
      }

      // Another key's proof, right in itself.
      let stolen = try await phone.call(try other.signed(other.header(), phone.claims))
      #expect(stolen.code == "dpop_proof_invalid")
      // No signature, a tampered one, tampered claims, and what is no token at all.
      let proof = try phone.key.signed(phone.key.header(), phone.claims)
      let parts = proof.split(separator: ".").map(String.init)
      let unsigned = DeviceKey.base64URL(Data(phone.key.header().setting("alg", to: "none").bytes))
      var signature = parts[2]
      signature.replaceSubrange(...signature.startIndex, with: signature.hasPrefix("A") ? "B" : "A")
      let lateClaims = DeviceKey.base64URL(Data(phone.claims.setting("jti", to: "other").bytes))
      let broken = [
        "\(parts[0]).\(parts[1]).", "\(unsigned).\(parts[1]).", "\(unsigned).\(parts[1]).\(parts[2])",
        "\(parts[0]).\(parts[1]).\(signature)", "\(parts[0]).\(lateClaims).\(parts[2])", "\(parts[0]).\(parts[1])",
        "\(proof).x", "\(proof)=", "", "x", "..", String(repeating: "a", count: 5000), "{}.{}.{}",
        "\(parts[0]).\(DeviceKey.base64URL(Data("[]".utf8))).\(parts[2])",
      ]
      for text in broken {
        let answer = try await phone.call(text)
        #expect(answer.status == 401 && answer.code == "dpop_proof_invalid", "\(text.prefix(60)): \(answer)")
      }
      // None of these used the proof up.
      #expect(try await phone.call(proof).status == 200)
      let replayed = try await phone.call(proof)
      #expect(replayed.status == 401 && replayed.code == "dpop_proof_invalid")
    }
  }

  @Test func tokensAndProofsBelongTogether() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let (phone, second) = (try await Phone(client), try await Phone(client))
      let plain = try await client.makeDevice(hardwareID: "without a key")
      #expect(try await client.call("getOwnDevice", as: .bearer(plain.token)).json["id"]?.text == plain.id)

      // Bound to a key: the token alone is worth nothing.
      let bearer = try await client.call("getOwnDevice", as: .bearer(phone.token))
      #expect(bearer.status == 401, "\(bearer)")
      let right = try phone.key.signed(phone.key.header(), phone.claims)
      #expect(try await phone.call(right, authorization: "Bearer \(phone.token)").status == 401)
      #expect(try await client.call("getOwnDevice", as: .raw("DPoP \(phone.token)")).status == 401)
      let twice = try await client.call(
        "getOwnDevice", as: .raw("DPoP \(phone.token)"), headers: [("dpop", right), ("dpop", right)])
      #expect(twice.status == 401 && twice.code == "dpop_proof_invalid")
      #expect(try await phone.call(right).status == 200)

      // Not bound: a proof has nothing to prove.
      let key = DeviceKey()
      let proof = try key.proof("GET", phone.url, token: plain.token)
      let unbound = try await client.call(
        "getOwnDevice", as: .raw("DPoP \(plain.token)"), headers: [("dpop", proof)])
      #expect(unbound.status == 401 && unbound.code == "dpop_proof_invalid")
      // One phone's token with another's key.
      let crossed = try second.key.proof("GET", phone.url, token: phone.token)
      #expect(try await phone.call(crossed).code == "dpop_proof_invalid")

      for credential in [
        "Bearer", "Bearer ", "Bearer x", "Token \(plain.token)", plain.token, "Basic \(plain.token)",
        "Bearer \(plain.token)x", "Bearer \(plain.token.uppercased())", "DPoP x",
      ] {
        #expect(try await client.call("getOwnDevice", as: .raw(credential)).status == 401, "\(credential)")
      }
      // A proof of an unknown token is refused as the unknown token it is.
      let unknownToken = plain.token.dropLast() + (plain.token.hasSuffix("a") ? "b" : "a")
      #expect(try await client.call("getOwnDevice", as: .bearer(String(unknownToken))).code == "unauthorized")
    }
  }

  /// Two at once with one proof: one passes. With two proofs both do, so the harness could have seen it.
  @Test func aProofPassesOnceWhateverRaces() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let phone = try await Phone(client)
      func passed(_ proofs: [String]) async throws -> Int {
        try await withThrowingTaskGroup { group in
          for proof in proofs { group.addTask { try await phone.call(proof).status } }
          return try await group.reduce(0) { $0 + ($1 == 200 ? 1 : 0) }
        }
      }
      for _ in 0..<10 {
        let proof = try phone.key.signed(phone.key.header(), phone.claims)
        #expect(try await passed(Array(repeating: proof, count: 10)) == 1)
      }
      let proofs = try (0..<10).map { _ in try phone.key.signed(phone.key.header(), phone.claims) }
      #expect(try await passed(proofs) == 10)
    }
  }

  @Test func badKeysDoNotRegister() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let key = DeviceKey()
      for jwk in [
        key.jwk.setting("d", to: key.privatePart), key.jwk.setting("crv", to: "P-521"), key.jwk.setting("x", to: nil),
        key.jwk.setting("y", to: key.jwk["x"]), key.jwk.setting("x", to: ""), [:],
      ] {
        let code = try await client.makeEnrollment().code
        let answer = try await client.call(
          "registerDevice",
          json: [
            "enrollment_code": .string(code), "hardware_id": "h", "platform": "IOS", "public_key": jwk,
          ])
        #expect(answer.status == 400 && answer.failingFields == ["public_key"], "\(jwk): \(answer)")
      }
    }
  }
}
