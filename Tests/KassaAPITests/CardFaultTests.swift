import KassaJSON
import KassaTestSupport
import Testing

/// Faults of the simulated card network can be planned, seen and forgotten.
struct CardFaultTests {
  private func waiting(_ client: APIClient) async throws -> [String] {
    let answer = try await client.call("listCardFaults")
    #expect(answer.status == 200, "\(answer)")
    return (answer.json["content"]?.elements ?? []).map { fault in
      let (operation, kind) = (fault["operation"]?.text ?? "", fault["fault"]?.text ?? "")
      return "\(operation) \(kind) \(fault["delay_milliseconds"]?.integer ?? -1)"
    }
  }

  @Test func faultsThatWaitCanBeSeenAndForgotten() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      #expect(try await waiting(client) == [])
      let late: JSONValue = ["operation": "CANCEL", "fault": "ANSWER_LATE", "count": 2, "delay_milliseconds": 250]
      let lost: JSONValue = ["operation": "START", "fault": "LOSE_ANSWER"]
      for fault in [late, lost] { #expect(try await client.call("planCardFault", json: fault).status == 204) }
      #expect(
        try await waiting(client) == ["CANCEL ANSWER_LATE 250", "CANCEL ANSWER_LATE 250", "START LOSE_ANSWER 0"])

      // A call uses up its own.
      let session = try await client.makeSession()
      #expect(try await client.call("simulateTap", ["session_id": session.id]).json["status"] == "ACTIVE")
      #expect(try await waiting(client) == ["CANCEL ANSWER_LATE 250", "CANCEL ANSWER_LATE 250"])

      #expect(try await client.call("clearCardFaults").status == 204)
      #expect(try await waiting(client) == [])
      #expect(try await client.call("clearCardFaults").status == 204)
    }
  }
}
