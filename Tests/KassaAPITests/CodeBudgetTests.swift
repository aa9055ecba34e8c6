import Foundation
import KassaDomain
import KassaJSON
import KassaTestSupport
import Testing

/// Attempts at typed codes are counted per source address and per deployment (contract, sections 2 and 3).
struct CodeBudgetTests {
  private static func registration(_ member: String, _ text: String) -> JSONValue {
    .object(
      JSONObject(members: [
        .init(name: member, value: .string(text)), .init(name: "hardware_id", value: "h"),
        .init(name: "platform", value: "IOS"),
      ]))
  }

  /// A code that could be one, and is not.
  private static func guess(_ number: Int) -> String {
    EnrollmentCode(symbols: (0..<8).map { UInt8(number >> ($0 * 2) & 31) }).text
  }

  private func register(
    _ client: APIClient, _ code: String, from address: String? = nil
  ) async throws -> HTTPAnswer {
    try await client.call(
      "registerDevice", headers: address.map { [("x-forwarded-for", $0)] } ?? [],
      json: Self.registration("enrollment_code", code))
  }

  /// Attempts are counted by the minute of the clock: begins early in one, and again in the next if it ended meanwhile.
  private func withinOneMinute<Value: Sendable>(_ body: () async throws -> Value) async throws -> Value {
    func now() -> Int { Int(Date().timeIntervalSince1970) }
    for run in 0..<5 {
      let second = now() % 60
      if second > 50 || run > 0 { try await Task.sleep(for: .seconds(60 - second)) }
      let minute = now() / 60
      let value = try await body()
      if now() / 60 == minute { return value }
    }
    throw APIClient.NotMade(description: "no five attempts lay within one minute each")
  }

  @Test func aSourceHasFewAttemptsAMinute() async throws {
    try await withServer("playground", ["--code-attempts-per-source-per-minute", "3"]) { server in
      let client = try APIClient(server)
      let answers = try await withinOneMinute {
        var answers: [HTTPAnswer] = []
        for number in 0..<5 { answers.append(try await register(client, Self.guess(1 + number))) }
        return answers
      }
      #expect(answers.map(\.status) == [404, 404, 404, 429, 429])
      let refused = try #require(answers.last)
      #expect(refused.code == "code_attempts_exceeded")
      let wait = try #require(refused.header("retry-after").flatMap { Int($0) })
      #expect((1...60).contains(wait))
      #expect(refused.header("ratelimit-policy") == #""code_attempts_exceeded";q=3;w=60"#)
      // A phone that scans is not locked out by a flood of guesses.
      let enrollment = try await client.makeEnrollment()
      let scanned = try await client.call(
        "registerDevice", json: Self.registration("enrollment_token", enrollment.token))
      #expect(scanned.status == 201)
    }
  }

  @Test func rightCodesCostNothing() async throws {
    try await withServer("playground", ["--code-attempts-per-source-per-minute", "1"]) { server in
      let client = try APIClient(server)
      for _ in 0..<5 {
        #expect(try await register(client, try await client.makeEnrollment().code).status == 201)
      }
      #expect(try await client.call("getCodeSecurity").json["attempts_used_today"] == 0)
    }
  }

  /// Read as a person types it: in any case, with spaces and dashes, O for 0, I and L for 1.
  @Test func codesAreReadAsTyped() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      for spell: (String) -> String in [
        { $0.lowercased() }, { $0.prefix(3) + "-" + $0.dropFirst(3) }, { $0.map { "\($0) " }.joined() },
        { $0.replacing("0", with: "O").replacing("1", with: "I") }, { $0.replacing("1", with: "l").lowercased() },
      ] {
        let code = try await client.makeEnrollment().code
        #expect(try await register(client, spell(code)).status == 201, "\(spell(code))")
      }
      let long = try await client.makeEnrollment(["ttl": "SEVENTY_TWO_HOURS"]).code
      #expect(long.count == 36)
      #expect(try await register(client, long.uppercased()).status == 201)
    }
  }

  @Test func theDeploymentHasABudgetADay() async throws {
    let options = ["--code-attempts-per-day", "4", "--code-attempts-per-source-per-minute", "1000"]
    try await withServer("playground", options) { server in
      let client = try APIClient(server)
      let day = Int(Date().timeIntervalSince1970) / 86_400
      var statuses: [Int] = []
      for number in 1...6 { statuses.append(try await register(client, Self.guess(number)).status) }
      let refused = try await register(client, Self.guess(7))
      // Typos are caught by the check symbol and cost nothing of the day, even when nothing is left.
      let used = try await client.call("getCodeSecurity").json["attempts_used_today"]
      guard Int(Date().timeIntervalSince1970) / 86_400 == day else { return }
      #expect(statuses == [404, 404, 404, 404, 429, 429])
      #expect(used == 4)
      #expect(refused.header("ratelimit-policy") == #""code_attempts_exceeded";q=4;w=86400"#)
      #expect(refused.header("retry-after").flatMap { Int($0) }.map { (1...86_400).contains($0) } == true)
      let enrollment = try await client.makeEnrollment()
      let scanned = Self.registration("enrollment_token", enrollment.token)
      #expect(try await client.call("registerDevice", json: scanned).status == 201)
    }
  }

  @Test func typosCostTheDeploymentNothing() async throws {
    try await withServer("playground", ["--code-attempts-per-day", "2"]) { server in
      let client = try APIClient(server)
      let code = try await client.makeEnrollment().code
      let symbols = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
      for index in 0..<5 {
        var typo = Array(code)
        typo[index] = try #require(symbols.first { $0 != typo[index] })
        #expect(try await register(client, String(typo)).status == 404)
      }
      #expect(try await client.call("getCodeSecurity").json["attempts_used_today"] == 0)
      #expect(try await register(client, code).status == 201)
    }
  }

  /// Behind a trusted proxy the last address that is not a proxy counts; without one the header is anybody's invention.
  @Test func theSourceIsWhatTrustedProxiesSay() async throws {
    let limit = ["--code-attempts-per-source-per-minute", "1"]
    let trusting = limit + ["--trusted-proxies", "127.0.0.0/8, 10.1.0.0/16,fd00::/8"]
    try await withServer("playground", trusting) { server in
      let client = try APIClient(server)
      let statuses = try await withinOneMinute {
        let (a, b, net) = ("203.0.113.1", "203.0.113.2", "2001:db8:1")
        var statuses: [Int] = []
        for address in [
          a, a, "198.51.100.9, \(a)", "\(a), 10.1.2.3", "::ffff:\(a)",  // all the same source
          b, "\(a), \(b)",  // another, then the same again
          "\(net)::1", "\(net)::2", "\(net):0:ffff::9", "[\(net)::3]",  // one /64
          "\(net):1::1",  // another /64
        ] {
          statuses.append(try await register(client, "wrong", from: address).status)
        }
        return statuses
      }
      #expect(statuses == [404, 429, 429, 429, 429, 404, 429, 404, 429, 429, 429, 404])
    }
    try await withServer("playground", limit) { server in
      let client = try APIClient(server)
      let statuses = try await withinOneMinute {
        var statuses: [Int] = []
        for address in ["203.0.113.1", "203.0.113.2"] {
          statuses.append(try await register(client, "wrong", from: address).status)
        }
        return statuses
      }
      #expect(statuses == [404, 429])
    }
  }
}
