import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// At most one device per code, whatever races (contract, section 3).
  struct RaceTests {
    private static let clients = 50
    private static let rounds = 1000
    private static let deletionRounds = 300

    /// What is wrong with the answers of one race for one code.
    static func flaws(ofRace answers: [HTTPAnswer]) -> [String] {
      var flaws: [String] = []
      let winners = answers.filter { $0.status == 201 }
      let losers = answers.filter { $0.status != 201 }
      if winners.count != 1 { flaws.append("\(winners.count) of \(answers.count) paired a device") }
      for loser in losers where loser.status != 404 || loser.code != "enrollment_code_invalid" {
        flaws.append("a loser got \(loser)")
      }
      if Set(losers.map(\.comparable)).count > 1 { flaws.append("losers got different bytes") }
      if Set(losers.map { $0.headers.map(\.name).sorted() }).count > 1 { flaws.append("losers got different headers") }
      return flaws
    }

    /// All clients at once, each with its code.
    private func race(_ connections: [HTTPConnection], _ codes: [String]) async throws -> [HTTPAnswer] {
      try await withThrowingTaskGroup { group in
        for (index, connection) in connections.enumerated() {
          let call = HTTPCall(
            "POST", "/pos/v1/devices", json: registration(codes[index % codes.count], hardwareID: "phone-\(index)"))
          group.addTask { try await connection.send(call) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
    }

    @Test(.timeLimit(.minutes(5))) func oneOfFiftyRedeemsACode() async throws {
      try await withServer("playground", unlimited) { server in
        var connections: [HTTPConnection] = []
        for _ in 0..<Self.clients { connections.append(try await server.connect()) }
        let backend = try await server.connect()
        func code() async throws -> String {
          let call = HTTPCall("POST", "/ipp/v1/enrollments", headers: [server.authorization()], json: [:])
          return try await backend.send(call).text("enrollment_code")
        }
        for round in 1...Self.rounds {
          let flaws = Self.flaws(ofRace: try await race(connections, [try await code()]))
          #expect(flaws == [], "round \(round)")
          if !flaws.isEmpty { break }
        }
        let devices = try await server.get("/ipp/v1/devices?page_size=1").json
        #expect(devices["total_elements"]?.integer == Int64(Self.rounds))
        let open = try await server.get("/ipp/v1/enrollments?include_consumed=false").json
        #expect(open["total_elements"] == 0)

        // The control: with two codes among them two pair, and the same check says so.
        let control = try await race(connections, [try await code(), try await code()])
        #expect(Self.flaws(ofRace: control).contains("2 of 50 paired a device"))
        for connection in connections + [backend] { await connection.close() }
      }
    }

    /// What is wrong with the answers to a redemption and a deletion that met, and the state they left.
    static func flaws(redemption: HTTPAnswer, deletion: HTTPAnswer, left: JSONValue, devices: Int64?) -> [String] {
      switch (redemption.status, deletion.status, left["status"]?.text, devices) {
      case (201, 409, "CONSUMED", 1): deletion.code == "enrollment_consumed" ? [] : ["the deletion got \(deletion)"]
      case (404, 204, "CANCELLED", 0):
        redemption.code == "enrollment_code_invalid" ? [] : ["the redemption got \(redemption)"]
      default:
        ["redeem \(redemption.status), delete \(deletion.status), \(left["status"]?.text ?? "?"), \(devices ?? -1)"]
      }
    }

    @Test(.timeLimit(.minutes(3))) func redeemingAndDeletingAgree() async throws {
      try await withServer("playground", unlimited) { server in
        let (phone, backend) = (try await server.connect(), try await server.connect())
        let key = server.authorization()
        var redeemed = 0
        for round in 0..<Self.deletionRounds {
          let made = try await backend.send(
            HTTPCall("POST", "/ipp/v1/enrollments", headers: [key], json: ["metadata": ["round": .string("\(round)")]]))
          let (id, code) = (try made.text("enrollment_id"), try made.text("enrollment_code"))
          let redeem = HTTPCall("POST", "/pos/v1/devices", json: registration(code))
          let delete = HTTPCall("DELETE", "/ipp/v1/enrollments/\(id)", headers: [key])
          let (redemption, deletion): (HTTPAnswer, HTTPAnswer)
          if round.isMultiple(of: 2) {
            async let first = phone.send(redeem)
            async let second = backend.send(delete)
            (redemption, deletion) = (try await first, try await second)
          } else {
            async let first = backend.send(delete)
            async let second = phone.send(redeem)
            (deletion, redemption) = (try await first, try await second)
          }
          let left = try await backend.send(HTTPCall("GET", "/ipp/v1/enrollments/\(id)", headers: [key])).json
          let devices = try await backend.send(
            HTTPCall("GET", "/ipp/v1/devices?metadata=round:\(round)", headers: [key])
          ).json
          let count = devices["total_elements"]?.integer
          #expect(
            Self.flaws(redemption: redemption, deletion: deletion, left: left, devices: count) == [], "round \(round)")
          if redemption.status == 201 { redeemed += 1 }
          // The control: the same answers beside another outcome.
          let opposite: JSONValue = ["status": left["status"] == "CONSUMED" ? "CANCELLED" : "CONSUMED"]
          #expect(!Self.flaws(redemption: redemption, deletion: deletion, left: opposite, devices: count).isEmpty)
          #expect(!Self.flaws(redemption: redemption, deletion: deletion, left: left, devices: 2).isEmpty)
        }
        let total = try await server.get("/ipp/v1/devices?page_size=1").json["total_elements"]?.integer
        #expect(total == Int64(redeemed))
        await phone.close()
        await backend.close()
      }
    }
  }
}
