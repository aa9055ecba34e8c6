import Foundation
import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// From nothing to a paired device, with what the program itself says.
  struct NewcomerTests {
    /// The shell lines that the welcome tells to paste.
    private func shellLines(_ welcome: String) -> [String] {
      welcome.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        .filter { $0.hasPrefix("curl ") || $0.hasPrefix("CODE=") }
    }

    @Test(.timeLimit(.minutes(2))) func threeLinesPairAPhone() async throws {
      try await withTemporaryFolder { folder in
        // No option but a free port: what a newcomer types, in an empty folder.
        let ready = folder.file("ready.json")
        let program = try RunningProgram(
          KassaProgram.path, ["playground", "--port", "0", "--ready-file", ready], in: folder, printsTo: "server")
        let result: Result<Void, any Error>
        do {
          result = .success(try await pair(program, folder))
        } catch {
          result = .failure(error)
        }
        program.send(signal: SIGTERM)
        #expect(await program.waitForExit() == .status(0))
        try result.get()
        #expect(folder.exists("kassa-playground.sqlite"))
        #expect(try folder.mode(of: "kassa-playground.sqlite.key") == 0o600)
      }
    }

    private func pair(_ program: RunningProgram, _ folder: TemporaryFolder) async throws {
      while !folder.exists("ready.json") || !program.output.contains("Ctrl-C") {
        #expect(program.exit == nil, "\(program.errorOutput)")
        if program.exit != nil { return }
        try await Task.sleep(for: .milliseconds(10))
      }
      let lines = shellLines(program.output)
      #expect(lines.count == 3)
      let script = "set -eu\n" + lines.map { $0 + "\necho" }.joined(separator: "\n") + "\n"
      let result = try await run("/bin/bash", ["-c", script], in: folder)
      #expect(result.isSuccess, "\(result.errorOutput)")
      let printed = result.output.split(separator: "\n").filter { $0.hasPrefix("{") }
      #expect(printed.count == 2, "\(result.output)")
      let device = try JSONParser.parse(Array(try #require(printed.first).utf8))
      let list = try JSONParser.parse(Array(try #require(printed.last).utf8))
      #expect(device["hardware_id"] == "my-phone" && device["metadata"] == ["store_id": "123"])
      #expect(device["credentials"]?["bearer_token"]?.text?.isEmpty == false)
      #expect(list["content"]?.elements.map { $0["id"] } == [device["id"]])
      #expect(list["total_elements"] == 1)
    }

    @Test(.timeLimit(.minutes(2))) func aRestartFindsEverythingAgain() async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder)
        let (merchant, key, device, token, pending) = try await withServer(plan) { server in
          #expect(server.ready.names.sorted() == ["api_key", "merchant_id", "pid", "url"])
          #expect(server.ready["pid"]?.integer == Int64(server.program.pid))
          #expect(try folder.mode(of: "ready.json") == 0o600)
          #expect(server.program.output.contains(server.url) && server.program.output.contains(server.apiKey))
          let code = try await server.post("/ipp/v1/enrollments", [:]).text("enrollment_code")
          let device = try await server.post("/pos/v1/devices", registration(code))
          let pending = try await server.post("/ipp/v1/enrollments", [:])
          #expect(await server.terminate() == .status(0))
          return (
            server.merchantID, server.apiKey, try device.text("id"),
            try #require(device.json["credentials"]?["bearer_token"]?.text), pending.json
          )
        }
        try await withServer(plan) { server in
          #expect(server.merchantID == merchant && server.apiKey == key)
          let devices = try await server.get("/ipp/v1/devices").json
          #expect(devices["content"]?.elements.map { $0["id"]?.text } == [device])
          let own = try await server.send(
            HTTPCall("GET", "/pos/v1/device", headers: [("authorization", "Bearer \(token)")]))
          #expect(own.status == 200 && own.json["id"]?.text == device)
          // The code is sealed at rest, and can be read and redeemed after the restart.
          let id = try #require(pending["enrollment_id"]?.text)
          let read = try await server.get("/ipp/v1/enrollments/\(id)").json
          #expect(read["enrollment_code"] == pending["enrollment_code"])
          let code = try #require(read["enrollment_code"]?.text)
          #expect(try await server.post("/pos/v1/devices", registration(code)).status == 201)
        }
      }
    }
  }
}
