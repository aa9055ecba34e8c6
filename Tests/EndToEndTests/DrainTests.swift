import Foundation
import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// SIGTERM and SIGINT: what was begun is finished, then the program ends.
  struct DrainTests {
    @Test(.timeLimit(.minutes(2)), arguments: [SIGTERM, SIGINT])
    func whatWasBegunIsFinished(signal: Int32) async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder)
        let id = try await withServer(plan) { server in
          let body: [UInt8] = (["metadata": ["sent": "in two halves"]] as JSONValue).bytes
          let (first, second) = (body.prefix(10), body.dropFirst(10))
          let call = HTTPCall(
            "POST", "/ipp/v1/enrollments",
            headers: [server.authorization(), ("content-type", "application/json")], body: body)
          let begun = try await server.connect()
          try await begun.write(call.head(host: begun.host) + first)

          let idle = try await server.connect()
          #expect(try await idle.send(HTTPCall("GET", "/health")).status == 200)
          let silent = try await server.connect()
          // The half request has reached the server when a later one on another connection is answered.
          #expect(try await server.send(HTTPCall("GET", "/ready")).status == 200)

          server.program.send(signal: signal)
          try await idle.waitUntilClosed()
          try await silent.waitUntilClosed()
          #expect(server.program.exit == nil)
          await #expect(throws: (any Error).self) { try await server.send(HTTPCall("GET", "/health")) }
          #expect(begun.isOpen)

          try await begun.write(Array(second))
          let answer = try await begun.answer()
          #expect(answer.status == 201 && answer.json["metadata"] == ["sent": "in two halves"])
          try await begun.waitUntilClosed()
          #expect(await server.program.waitForExit() == .status(0))
          return try answer.text("enrollment_id")
        }
        // What was answered is kept.
        let kept = try await withServer(plan) { try await $0.get("/ipp/v1/enrollments/\(id)") }
        #expect(kept.status == 200)
      }
    }

    /// While the front is given time to notice, everything is served, and every answer says that it is the connection's
    /// last; only `/ready` refuses. A second signal ends that time.
    @Test(.timeLimit(.minutes(2))) func theFrontIsGivenTimeToNotice() async throws {
      try await withServer("playground", ["--drain-delay-seconds", "300"]) { server in
        let phone = try await Shop(server: server).phone()
        let stream = try await phone.stream()
        #expect(try await stream.next().event == "ready")
        let idle = try await server.connect()
        let before = try await idle.send(HTTPCall("GET", "/ready"))
        #expect(before.status == 200 && before.header("connection") == nil)

        server.program.send(signal: SIGTERM)
        try await eventually("it is not ready") {
          let answer = try await server.send(HTTPCall("GET", "/ready"))
          return answer.status == 503 && answer.code == "draining" && answer.header("retry-after") != nil
        }
        let fresh = try await server.connect()
        let made = try await fresh.send(
          HTTPCall("POST", "/ipp/v1/enrollments", headers: [server.authorization()], json: [:]))
        #expect(made.status == 201 && made.header("connection") == "close")
        try await fresh.waitUntilClosed()
        #expect(try await server.send(HTTPCall("GET", "/health")).status == 200)
        // What is open stays so: the stream, and a connection that asked for nothing yet.
        let session = try await Shop(server: server).session(on: phone.id)
        #expect(try await stream.next().data.contains(session))
        #expect(idle.isOpen && server.program.exit == nil)

        server.program.send(signal: SIGTERM)
        await #expect(throws: HTTPFailure.closed) { try await stream.next() }
        try await idle.waitUntilClosed()
        #expect(await server.program.waitForExit() == .status(0))
        await stream.close()
      }
    }

    @Test(.timeLimit(.minutes(2))) func anIdleServerEndsAtOnce() async throws {
      try await withServer("playground") { server in
        #expect(await server.terminate() == .status(0))
        #expect(server.program.errorOutput.contains("stopped"))
      }
    }

    /// A client that never finishes cannot keep the server from ending: its body's deadline strikes.
    @Test(.timeLimit(.minutes(2))) func aBodyThatNeverComesEndsToo() async throws {
      try await withServer("playground", ["--body-deadline-seconds", "2"]) { server in
        let begun = try await server.connect()
        try await begun.write(
          Array(
            "POST /pos/v1/devices HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"
              .utf8))
        #expect(try await server.send(HTTPCall("GET", "/ready")).status == 200)
        server.program.send(signal: SIGTERM)
        #expect(try await begun.answer().status == 408)
        #expect(await server.program.waitForExit() == .status(0))
        await begun.close()
      }
    }
  }
}
