import KassaJSON
import KassaTestSupport
import Testing

/// A method that cannot collect a session is not offered for it, and refused when it is asked for all the same.
struct UnavailableMethodTests {
  private func offered(_ session: APIClient.MadeSession, _ client: APIClient) async throws -> [String] {
    let answer = try await client.call("getOwnSession", ["session_id": session.id], as: .bearer(session.token))
    return (answer.json["available_methods"]?.elements ?? []).compactMap(\.text)
  }

  private func expectRefusal(_ method: String, of session: APIClient.MadeSession, _ client: APIClient) async throws {
    let answer = try await client.call(
      "startPayment", ["session_id": session.id], as: .bearer(session.token), json: ["method": .string(method)])
    #expect(answer.status == 409 && answer.code == "method_unavailable", "\(method): \(answer)")
    // Nothing was begun.
    let after = try await client.call("getSession", ["session_id": session.id]).json
    #expect(after["status"] == "CREATED" && after["payment"] == nil, "\(after)")
  }

  @Test func theCurrencyDecides() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let session = try await client.makeSession()
      #expect(try await offered(session, client) == ["CARD", "KLARNA", "SWISH"])
      try await expectRefusal("VIPPS", of: session, client)
      let body = APIClient.sessionBody(session.device).setting("purchase_currency", to: "NOK")
      let made = try await client.call("createSession", json: body)
      let norwegian = APIClient.MadeSession(
        id: try #require(made.json["session_id"]?.text), device: session.device, token: session.token)
      let methods = try await offered(norwegian, client)
      #expect(methods.contains("VIPPS") && !methods.contains("SWISH"), "\(methods)")
      try await expectRefusal("SWISH", of: norwegian, client)
    }
  }

  @Test func whatIsSwitchedOffOrRemovedCollectsNothing() async throws {
    try await withServer { server in
      let client = try APIClient(server)
      let session = try await client.makeSession()
      let off: JSONValue = ["provider": "SIMULATED", "enabled": false]
      #expect(try await client.call("updatePaymentMethod", ["method": "CARD"], json: off).status == 200)
      #expect(try await client.call("deletePaymentMethod", ["method": "KLARNA"]).status == 204)
      #expect(try await offered(session, client) == ["SWISH"])
      for method in ["CARD", "KLARNA"] { try await expectRefusal(method, of: session, client) }
    }
  }
}
