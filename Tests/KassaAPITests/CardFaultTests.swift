import KassaJSON
import KassaTestSupport
import Testing

/// Faults of the simulated card network can be planned, seen and forgotten.
struct CardFaultTests {
  private static let path = "/ipp/v1/dev/card-faults"

  private func waiting(_ server: ServerProcess) async throws -> [String] {
    let answer = try await server.get(Self.path)
    #expect(answer.status == 200, "\(answer)")
    return (answer.json["content"]?.elements ?? []).map { fault in
      let (operation, kind) = (fault["operation"]?.text ?? "", fault["fault"]?.text ?? "")
      return "\(operation) \(kind) \(fault["delay_milliseconds"]?.integer ?? -1)"
    }
  }

  @Test func faultsThatWaitCanBeSeenAndForgotten() async throws {
    try await withServer { server in
      #expect(try await waiting(server) == [])
      let late: JSONValue = ["operation": "CANCEL", "fault": "ANSWER_LATE", "count": 2, "delay_milliseconds": 250]
      let lost: JSONValue = ["operation": "START", "fault": "LOSE_ANSWER"]
      for fault in [late, lost] { #expect(try await server.post(Self.path, fault).status == 204) }
      #expect(
        try await waiting(server) == ["CANCEL ANSWER_LATE 250", "CANCEL ANSWER_LATE 250", "START LOSE_ANSWER 0"])

      // A call uses up its own.
      let device = try await server.post("/ipp/v1/dev/devices", ["name": "Till"])
      let session = try await server.post(
        "/ipp/v1/sessions", APIClient.sessionBody(try #require(device.json["id"]?.text)))
      let id = try #require(session.json["session_id"]?.text)
      let tap = HTTPCall(
        "POST", "/ipp/v1/dev/sessions/\(id)/simulate-tap", headers: [server.authorization()])
      #expect(try await server.send(tap).json["status"] == "ACTIVE")
      #expect(try await waiting(server) == ["CANCEL ANSWER_LATE 250", "CANCEL ANSWER_LATE 250"])

      #expect(try await server.delete(Self.path).status == 204)
      #expect(try await waiting(server) == [])
      #expect(try await server.delete(Self.path).status == 204)
    }
  }
}
