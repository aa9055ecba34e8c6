import Foundation
import KassaJSON
import KassaTestSupport
import Testing

extension EndToEnd {
  /// Clients that send or take too slowly cost the others nothing, and lose their connection in the end.
  struct SlowClientTests {
    private enum Slowness {
      case head, body, reading
    }

    private static let slowClients = 500
    private static let normalClients = 20
    /// Answers that a client asks for and does not take: more than fits in the sockets' buffers.
    private static let pipelined = 100

    private static func openConnections(_ server: ServerProcess) async throws -> Int {
      let text = try await server.send(HTTPCall("GET", "/metrics")).text
      guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("kassa_open_connections ") }),
        let count = line.split(separator: " ").last.flatMap({ Int($0) })
      else { throw Missing(description: "no kassa_open_connections") }
      return count
    }

    private func openSlowly(_ server: ServerProcess, _ slowness: Slowness) async throws -> HTTPConnection {
      let connection = try await server.connect(reads: slowness != .reading)
      switch slowness {
      case .head: try await connection.write(Array("GET /health HTTP/1.1\r\nhost: x\r\nx-slow: ".utf8))
      case .body:
        try await connection.write(
          Array(
            "POST /pos/v1/devices HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n{"
              .utf8))
      case .reading:
        let call = HTTPCall("GET", "/openapi.json").head(host: "x")
        try await connection.write(Array(repeatElement(call, count: Self.pipelined).joined()))
      }
      return connection
    }

    @Test(.timeLimit(.minutes(3))) func slowClientsHoldUpNobody() async throws {
      let seconds = "8"
      let options =
        unlimited + [
          "--head-deadline-seconds", seconds, "--body-deadline-seconds", seconds, "--idle-deadline-seconds", seconds,
          "--write-deadline-seconds", seconds,
        ]
      try await withServer("playground", options) { server in
        var slow: [(Slowness, HTTPConnection)] = []
        for number in 0..<Self.slowClients {
          // Few of those that do not read: what they ask for is real work, and this is about waiting.
          let slowness: Slowness = number % 10 == 0 ? .reading : number.isMultiple(of: 2) ? .head : .body
          slow.append((slowness, try await openSlowly(server, slowness)))
        }
        #expect(try await Self.openConnections(server) > Self.slowClients)

        // A byte now and then must not extend any deadline.
        let trickling = Task { [slow] in
          while !Task.isCancelled {
            for (slowness, connection) in slow where slowness != .reading && connection.isOpen {
              try? await connection.write([UInt8(ascii: " ")])
            }
            try await Task.sleep(for: .milliseconds(200))
          }
        }
        defer { trickling.cancel() }

        try await withThrowingTaskGroup { group in
          for number in 0..<Self.normalClients {
            group.addTask { try await Self.pairAndLook(server, "normal-\(number)") }
          }
          try await group.waitForAll()
        }
        let devices = try await server.get("/ipp/v1/devices?page_size=1").json
        #expect(devices["total_elements"]?.integer == Int64(Self.normalClients * 3))

        // In the end all of them are gone; what is open is the connection that asks.
        var open = Self.slowClients
        while open > 1 {
          try await Task.sleep(for: .milliseconds(200))
          open = try await Self.openConnections(server)
        }
        for (slowness, connection) in slow {
          switch slowness {
          case .head:
            try await connection.waitUntilClosed()
          case .body:
            let answer = try await connection.answer()
            #expect(answer.status == 408 && answer.code == "request_timeout", "\(answer)")
            #expect(answer.header("connection") == "close")
            try await connection.waitUntilClosed()
          case .reading:
            // What the sockets held can still be read, then the connection is over.
            var answers = 0
            try await connection.startReading()
            while (try? await connection.answer()) != nil { answers += 1 }
            #expect(answers < Self.pipelined)
          }
          await connection.close()
        }
        #expect(try await server.get("/ipp/v1/locations").status == 200)
      }
    }

    /// The control: the same requests, sent and read promptly, are all answered.
    @Test(.timeLimit(.minutes(2))) func promptClientsAreServed() async throws {
      try await withServer("playground", unlimited) { server in
        let connection = try await server.connect()
        let call = HTTPCall("GET", "/openapi.json").head(host: "x")
        try await connection.write(Array(repeatElement(call, count: Self.pipelined).joined()))
        for _ in 0..<Self.pipelined { #expect(try await connection.answer().status == 200) }
        // A head and a body in several pieces, in time.
        for piece in ["POST /pos/v1/dev", "ices HTTP/1.1\r\nhost: x\r\ncontent-type: application", "/json\r\n"] {
          try await connection.write(Array(piece.utf8))
          try await Task.sleep(for: .milliseconds(20))
        }
        for piece in ["content-length: 2\r\n\r\n", "{", "}"] {
          try await connection.write(Array(piece.utf8))
          try await Task.sleep(for: .milliseconds(20))
        }
        #expect(try await connection.answer().code == "validation_failed")
        await connection.close()
      }
    }

    /// A connection that is used lives longer than each of its deadlines, and goes once it is idle.
    @Test(.timeLimit(.minutes(1))) func deadlinesBeginAnewWithEachRequest() async throws {
      let names = ["head", "body", "idle", "write"]
      try await withServer("playground", names.flatMap { ["--\($0)-deadline-seconds", "2"] }) { server in
        let connection = try await server.connect()
        for _ in 0..<8 {
          #expect(try await connection.send(HTTPCall("GET", "/health")).status == 200)
          try await Task.sleep(for: .milliseconds(500))
        }
        #expect(connection.isOpen)
        try await connection.waitUntilClosed()
      }
    }

    private static func pairAndLook(_ server: ServerProcess, _ name: String) async throws {
      let connection = try await server.connect()
      let key = server.authorization()
      for _ in 0..<3 {
        let made = try await connection.send(
          HTTPCall("POST", "/ipp/v1/enrollments", headers: [key], json: ["metadata": ["name": .string(name)]]))
        #expect(made.status == 201)
        let paired = try await connection.send(
          HTTPCall(
            "POST", "/pos/v1/devices", json: registration(try made.text("enrollment_code"), hardwareID: name)))
        #expect(paired.status == 201 && paired.json["metadata"] == ["name": .string(name)])
        let id = try paired.text("id")
        let read = try await connection.send(HTTPCall("GET", "/ipp/v1/devices/\(id)", headers: [key]))
        #expect(read.status == 200 && read.json["hardware_id"]?.text == name)
      }
      await connection.close()
    }

    @Test(.timeLimit(.minutes(2))) func connectionsHaveAMaximum() async throws {
      let limit = 10
      let options = ["--connections-max", "\(limit)"]
      try await withServer("playground", options) { server in
        let health = HTTPCall("GET", "/health")
        var connections: [HTTPConnection] = []
        for _ in 0..<limit {
          let connection = try await server.connect()
          #expect(try await connection.send(health).status == 200)
          connections.append(connection)
        }
        // More wait: their requests are answered once others have gone.
        var waiting: [HTTPConnection] = []
        for _ in 0..<5 {
          let connection = try await server.connect()
          try await connection.write(health.head(host: "x"))
          waiting.append(connection)
        }
        for connection in waiting {
          await #expect(throws: HTTPFailure.timedOut) { try await connection.answer(withinSeconds: 1) }
        }
        let metrics = try await connections[0].send(HTTPCall("GET", "/metrics")).text
        #expect(metrics.contains("kassa_open_connections \(limit)\n"))
        for connection in connections { #expect(try await connection.send(health).status == 200) }
        for connection in connections { await connection.close() }
        for connection in waiting { #expect(try await connection.answer().status == 200) }
        for connection in waiting { await connection.close() }
      }
    }
  }
}
