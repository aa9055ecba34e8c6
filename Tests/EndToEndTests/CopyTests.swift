import Foundation
import KassaJSON
import KassaTestDatabases
import KassaTestSupport
import Synchronization
import Testing

extension EndToEnd {
  /// `kassa copy`: an installation in a file moves to PostgreSQL, and everything goes on there.
  struct CopyTests {
    /// An installation in a file and a database that it moves to.
    private struct Move {
      let folder: TemporaryFolder
      let file: TestDatabase
      let database: TestDatabase

      init(_ folder: TemporaryFolder) throws {
        self.folder = folder
        file = .file(folder.file("kassa.sqlite"))
        database = try .postgres()
      }

      var before: ServerPlan { ServerPlan("playground", in: folder, options: unlimited, on: file) }
      /// With the key that the file brought along.
      var after: ServerPlan {
        ServerPlan("playground", in: folder, options: unlimited, environment: key, on: database)
      }
      var key: [String: String] {
        let text = folder.text(of: "kassa.sqlite.key") ?? ""
        return ["KASSA_SECRET_KEY": text.trimmingCharacters(in: .whitespacesAndNewlines)]
      }
      var arguments: [String] { ["copy", "--from", file.url, "--to", database.url] }

      func copy() async throws -> ProgramResult { try await KassaProgram.run(arguments, in: folder) }

      func doctor() async throws -> ProgramResult {
        try await KassaProgram.run(["doctor", "--database-url", database.url], in: folder, environment: key)
      }

      /// Rows of a table of the target.
      func count(_ table: String) throws -> Int {
        let found = try PostgresClient(database.url).execute("SELECT count(*) FROM \(table)")
        return found.first?.first.flatMap { $0 }.flatMap { Int($0) } ?? 0
      }
    }

    // MARK: One of everything

    @Test(.timeLimit(.minutes(5))) func everythingGoesOn() async throws {
      let isDown = Atomic<Bool>(true)
      let receiver = try await CallbackReceiver { _ in isDown.load(ordering: .relaxed) ? .fail : .acknowledge }
      let steady = try await CallbackReceiver()
      try await withTemporaryFolder { folder in
        let move = try Move(folder)
        // Killed in the midst of it: a payment's outcome is unknown, callbacks wait, the newest commits are in the log.
        let (everything, known) = try await withServer(move.before) { server in
          let everything = try await Everything(server, failing: receiver.url, steady: steady.url)
          return (everything, try await Known(server, everything))
        }

        let copied = try await move.copy()
        #expect(copied.isSuccess && copied.output.contains("Everything is equal"), "\(copied)")
        for table in ["proofs", "simulated_movements", "order_movements", "callback_chains", "idempotency", "budgets"] {
          #expect(
            copied.output.contains(try Regex("\n\(table) +[1-9][0-9]* +[1-9][0-9]*  equal")),
            "\(table): \(copied.output)")
        }
        isDown.store(false, ordering: .relaxed)
        try await withServer(move.after) { server in
          #expect(server.merchantID == everything.merchant && server.apiKey == everything.apiKey)
          try await Shop(server: server).advanceClock(seconds: everything.movedSeconds)
          try await everything.goesOn(at: server)
          try await known.isTold(by: server, everything)
          try await everything.isHeard(by: receiver, from: server)
        }
        let doctor = try await move.doctor()
        #expect(doctor.isSuccess, "\(doctor)")
      }
      await receiver.close()
      await steady.close()
    }

    // MARK: Broken off

    @Test(.timeLimit(.minutes(5))) func aCopyThatIsKilledGoesOn() async throws {
      try await withTemporaryFolder { folder in
        let move = try Move(folder)
        let rows = 3000
        let first = try await withServer(move.before) { server in
          _ = try await Shop(server: server).forEach(Array(0..<rows)) { number, connection in
            let body: JSONValue = ["metadata": ["n": .string("\(number)"), "tens": .string("\(number / 10)")]]
            let made = try await connection.send(
              HTTPCall("POST", "/ipp/v1/enrollments", headers: [server.authorization()], json: body))
            guard made.status == 201 else { throw Missing(description: "\(made)") }
          }
          return try await server.get("/ipp/v1/enrollments?page_size=100").wherever(server)
        }
        // So slow that a kill at any of these moments comes before the end.
        let client = try PostgresClient(move.database.url)
        try client.execute(
          """
          CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END';
          CREATE TRIGGER slow BEFORE INSERT ON enrollments FOR EACH ROW EXECUTE FUNCTION slow();
          CREATE TRIGGER slow BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION slow()
          """)
        func copied() throws -> Int { try move.count("enrollments") + move.count("events") }
        for round in 0..<4 {
          let enough = Int.random(in: rows * 2 * round / 6..<rows * 2 * (round + 1) / 6)
          let program = try RunningProgram(KassaProgram.path, move.arguments, in: folder, printsTo: "copy")
          try await eventually("\(enough) rows are copied") {
            try program.exit != nil
              || move.count("pg_tables WHERE tablename = 'kassa_copy'") == 1 && copied() >= enough
          }
          program.send(signal: SIGKILL)
          #expect(await program.waitForExit() == .signal(SIGKILL), "\(program.errorOutput)")
          let refused = try await move.doctor()
          #expect(!refused.isSuccess && refused.errorOutput.contains("has not finished"), "\(refused)")
        }
        #expect(try copied() < 2 * rows)
        // The last one that was killed may still be at a statement, which holds these tables.
        try client.execute(
          "DROP TRIGGER slow ON enrollments; DROP TRIGGER slow ON events; DROP FUNCTION slow")
        let last = try await move.copy()
        #expect(last.isSuccess && last.output.contains("going on with the copy"), "\(last)")
        #expect(try move.count("enrollments") == rows)
        try await withServer(move.after) { server in
          #expect(try await server.get("/ipp/v1/enrollments?page_size=100").wherever(server) == first)
          let tens = try await server.get("/ipp/v1/enrollments?metadata=tens:7").json
          #expect(tens["total_elements"] == 10 && tens["content"]?.elements.count == 10)
        }
      }
    }

    /// The controls: each of these must be noticed by the comparison, or refused.
    @Test(.timeLimit(.minutes(3))) func aDifferenceIsNoticed() async throws {
      try await withTemporaryFolder { folder in
        let first = try Move(folder)
        try await withServer(first.before) { server in _ = try await Shop(server: server).phone() }
        for (change, table) in [
          ("UPDATE devices SET created_at = created_at + 1", "devices"),
          ("UPDATE locations SET name = 'my Store'", "locations"),
          (
            "DELETE FROM payment_methods WHERE id = (SELECT id FROM payment_methods ORDER BY id LIMIT 1)",
            "payment_methods"
          ),
          ("INSERT INTO budgets (scope, window_start, window_end, used) VALUES ('z', 1, 2, 3)", "budgets"),
          ("UPDATE webhooks SET deleted_at = 1", nil),
        ] {
          let move = try Move(folder)
          try await breakOff(move)
          try PostgresClient(move.database.url).execute(change)
          let again = try await move.copy()
          guard let table else {
            // The control of the controls: what changes no row is no difference.
            #expect(again.isSuccess, "\(again)")
            continue
          }
          #expect(again.exit == .status(1), "\(change): \(again)")
          let differing = again.output.split(separator: "\n").filter { $0.hasSuffix("DIFFERS") }
          #expect(differing.count == 1 && differing.first?.hasPrefix(table) == true, "\(again.output)")
          let refused = try await move.doctor()
          #expect(!refused.isSuccess && refused.errorOutput.contains("has not finished"), "\(refused)")
        }
        // A source that was used again after the copy began.
        let move = try Move(folder)
        try await breakOff(move)
        try await withServer(move.before) { server in _ = try await Shop(server: server).phone() }
        let changed = try await move.copy()
        #expect(!changed.isSuccess && changed.errorOutput.contains("has changed since"), "\(changed)")
      }
    }

    /// Begins a copy that fails before the first event.
    private func breakOff(_ move: Move) async throws {
      let client = try PostgresClient(move.database.url)
      try client.execute(
        """
        CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''stopped''; END';
        CREATE TRIGGER stop BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION stop()
        """)
      let failed = try await move.copy()
      #expect(!failed.isSuccess && failed.errorOutput.contains("stopped"), "\(failed)")
      try client.execute("DROP TRIGGER stop ON events; DROP FUNCTION stop")
      #expect(try move.count("devices") == 1 && move.count("events") == 0)
    }

    // MARK: Refused

    @Test(.timeLimit(.minutes(3))) func whatMustNotBeCopiedIsRefused() async throws {
      try await withTemporaryFolder { folder in
        let move = try Move(folder)
        func refuses(
          _ words: String, _ arguments: [String]? = nil, environment: [String: String] = [:],
          sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
          let result = try await KassaProgram.run(
            arguments ?? move.arguments, in: folder, environment: environment)
          #expect(
            result.exit == .status(1) && result.errorOutput.contains(words), "\(result)", sourceLocation: sourceLocation
          )
        }
        try await refuses("there is no database")
        try await withServer(move.before) { _ in try await refuses("is in use") }
        // Whoever is served by the target.
        try await withServer("playground") { _ in }
        let used = try Move(folder)
        try await withServer(ServerPlan("playground", in: folder, environment: move.key, on: used.database)) { _ in
          try await refuses("is in use", used.arguments)
        }
        try await refuses("is not empty", used.arguments)
        let other = Data(repeating: 9, count: 32).base64EncodedString()
        try await refuses("secret key is not that", environment: ["KASSA_SECRET_KEY": other])
        try await refuses("must not hold a password", ["copy", "--from", move.file.url, "--to", "postgres://a:b@c/d"])
        try await refuses("to itself", ["copy", "--from", move.file.url, "--to", move.file.url])
        try await refuses("name the target", ["copy", "--from", move.file.url])
        try await refuses("--from must be", ["copy", "--from", "kassa.sqlite", "--to", move.database.url])
        try PostgresClient(move.database.url)
          .execute("INSERT INTO kassa_migrations (number, name) VALUES (9999, 'future')")
        try await refuses("newer Kassa")
        try PostgresClient(move.database.url).execute("DELETE FROM kassa_migrations WHERE number = 9999")
        // None of that left anything.
        #expect(try move.count("merchants") == 0)
        #expect(try await move.copy().isSuccess)
        try await refuses("is not empty")
      }
    }

    // MARK: And back

    @Test(.timeLimit(.minutes(3))) func theWayBackIsTheSame() async throws {
      try await withTemporaryFolder { folder in
        let move = try Move(folder)
        let receiver = try await CallbackReceiver()
        let (everything, known) = try await withServer(move.before) { server in
          let everything = try await Everything(server, failing: "http://127.0.0.1:9/", steady: receiver.url)
          return (everything, try await Known(server, everything))
        }
        #expect(try await move.copy().isSuccess)
        let back = TestDatabase.file(folder.file("back.sqlite"))
        let result = try await KassaProgram.run(
          ["copy", "--from", move.database.url, "--to", back.url], in: folder, environment: move.key)
        #expect(result.isSuccess, "\(result)")
        #expect(folder.text(of: "back.sqlite.key") == folder.text(of: "kassa.sqlite.key"))
        #expect(try folder.mode(of: "back.sqlite.key") == 0o600)
        try await withServer(ServerPlan("playground", in: folder, options: unlimited, on: back)) { server in
          try await Shop(server: server).advanceClock(seconds: everything.movedSeconds)
          try await everything.goesOn(at: server)
          try await known.isTold(by: server, everything)
        }
        let doctor = try await KassaProgram.run(["doctor", "--database-url", back.url], in: folder)
        #expect(doctor.isSuccess, "\(doctor)")
        await receiver.close()
      }
    }
  }
}
