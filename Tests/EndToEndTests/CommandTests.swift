import Foundation
import KassaJSON
import KassaTestDatabases
import KassaTestSupport
import Testing

extension EndToEnd {
  /// The command line of an operator.
  struct CommandTests {
    private func word(after label: String, in output: String) throws -> String {
      let words = output.split(whereSeparator: \.isWhitespace)
      guard let index = words.firstIndex(where: { $0 == label }), index + 1 < words.count else {
        throw Missing(description: "no \(label) in: \(output)")
      }
      return String(words[index + 1])
    }

    /// Beside the running server, which takes what was set at once.
    @Test(.timeLimit(.minutes(3))) func paymentMethodsAreSetFromTheCommandLine() async throws {
      try await withServer { server in
        let merchant = ["--merchant", server.merchantID]
        func administer(_ words: String...) async throws -> ProgramResult {
          try await server.administer(["payment-methods"] + words)
        }
        func methods() async throws -> [String?] {
          let shop = Shop(server: server)
          let phone = try await shop.phone()
          let session = try await shop.session(on: phone.id)
          let read = try await phone.call("GET", "/pos/v1/sessions/\(session)").json
          return read["available_methods"]?.elements.map(\.text) ?? []
        }
        let list = try await administer("list", merchant[0], merchant[1])
        #expect(list.isSuccess && list.output.contains("CARD  on  SIMULATED  AUTOMATIC"), "\(list)")
        #expect(list.output.contains("KLARNA username") && list.output.contains("(secret)"))
        #expect(try await methods().prefix(2) == ["CARD", "KLARNA"])

        let off = try await administer(
          "set", merchant[0], merchant[1], "--method", "card", "--provider", "simulated", "--no-enabled", "--capture",
          "MANUAL")
        #expect(off.isSuccess && off.output.contains("CARD  off  SIMULATED  MANUAL"), "\(off)")
        #expect(try await !methods().contains("CARD"))
        let on = try await administer(
          "set", merchant[0], merchant[1], "--method", "CARD", "--provider", "SIMULATED")
        #expect(on.isSuccess)
        #expect(try await methods().contains("CARD"))
        let checked = try await administer("check", merchant[0], merchant[1], "--method", "KLARNA")
        #expect(checked.isSuccess && checked.output.hasPrefix("ok "), "\(checked)")

        // A secret from a file is kept, and never said.
        try server.plan.folder.write("hush-hush", to: "secret")
        let klarna = try await administer(
          "set", merchant[0], merchant[1], "--method", "KLARNA", "--provider", "KLARNA", "--setting", "username=me",
          "--setting", "base_url=http://127.0.0.1:9", "--setting", "country=SE", "--setting-file",
          "password=\(server.plan.folder.file("secret"))")
        #expect(klarna.isSuccess && klarna.output.contains("password=…"), "\(klarna)")
        #expect(!klarna.output.contains("hush"))
        let wrong = try await administer("check", merchant[0], merchant[1], "--method", "KLARNA")
        #expect(wrong.exit == .status(1) && wrong.output.contains("WRONG"), "\(wrong)")
        #expect(try await administer("remove", merchant[0], merchant[1], "--method", "KLARNA").isSuccess)
        #expect(try await !methods().contains("KLARNA"))
        for refused in [
          ["set", merchant[0], merchant[1], "--method", "KLARNA", "--provider", "KLARNA", "--setting", "username=me"],
          ["set", merchant[0], merchant[1], "--method", "CARD", "--provider", "VIPPS"],
          ["set", merchant[0], merchant[1], "--method", "COINS", "--provider", "VIPPS"],
          ["check", merchant[0], merchant[1], "--method", "KLARNA"], ["list", "--merchant", UUID().uuidString],
        ] {
          let result = try await server.administer(["payment-methods"] + refused)
          #expect(!result.isSuccess && !result.errorOutput.isEmpty, "\(refused): \(result)")
        }
      }
    }

    @Test(.timeLimit(.minutes(3)), .disabled(if: TestDatabase.isPostgres, "looks at the key file beside the database"))
    func productionIsRunFromTheCommandLine() async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("serve", in: folder, options: ["--environment", "production"])
        try await withServer(plan) { server in
          #expect(server.ready.names == ["url"])
          #expect(server.program.output.contains("production") && server.program.output.contains(server.url))
          #expect(!server.program.output.contains("kassa_live_api_"))
          #expect(try folder.mode(of: "kassa.sqlite.key") == 0o600)

          let made = try await server.administer(["merchants", "create", "--name", "Blomsterboden Åkersberga"])
          #expect(made.isSuccess, "\(made.errorOutput)")
          let merchant = try word(after: "merchant_id", in: made.output)
          let first = try word(after: "api_key", in: made.output)
          #expect(first.hasPrefix("kassa_live_api_"))
          let merchants = try await server.administer(["merchants", "list"])
          #expect(merchants.output.contains(merchant) && merchants.output.contains("Blomsterboden Åkersberga"))

          let created = try await server.administer(["keys", "create", "--merchant", merchant, "--name", "second"])
          let (keyID, key) = (
            try word(after: "key_id", in: created.output), try word(after: "api_key", in: created.output)
          )
          func status(_ key: String) async throws -> Int {
            try await server.send(HTTPCall("GET", "/ipp/v1/locations", headers: [server.authorization(key)])).status
          }
          #expect(try await status(first) == 200)
          #expect(try await status(key) == 200)
          for _ in 1...2 {
            let revoked = try await server.administer(["keys", "revoke", "--merchant", merchant, "--key", keyID])
            #expect(revoked.isSuccess, "\(revoked.errorOutput)")
            #expect(try await status(key) == 401)
          }
          let keys = try await server.administer(["keys", "list", "--merchant", merchant])
          #expect(keys.output.split(separator: "\n").count == 2)
          #expect(keys.output.contains("revoked") && keys.output.contains("in force") && keys.output.contains(keyID))
          #expect(!keys.output.contains(first) && !keys.output.contains(key))

          for wrong in [
            ["keys", "list", "--merchant", "nobody"], ["keys", "list", "--merchant", UUID().uuidString],
            ["keys", "revoke", "--merchant", merchant, "--key", UUID().uuidString],
            ["keys", "create", "--merchant", UUID().uuidString, "--name", "x"], ["merchants", "create", "--name", ""],
            ["merchants", "create"], ["merchants", "create", "--name", "x", "--environment", "playground"],
            ["doctor", "--environment", "test"],
          ] {
            let result = try await server.administer(wrong)
            #expect(!result.isSuccess && !result.errorOutput.isEmpty, "\(wrong): \(result)")
          }

          // Both beside the running server.
          let doctor = try await server.administer(["doctor"])
          #expect(doctor.exit == .status(0), "\(doctor)")
          for finding in ["synchronous", "FULL", "wal", "commit latency", "chance of a hit", "integrity", "production"]
          {
            #expect(doctor.output.contains(finding), "\(doctor.output)")
          }
          #expect(!doctor.output.contains("WRONG"))
          let migrate = try await server.administer(["migrate"])
          #expect(migrate.isSuccess && migrate.output.contains("schema"), "\(migrate)")
        }
      }
    }

    @Test(.timeLimit(.minutes(2)), .disabled(if: TestDatabase.isPostgres, "names database files"))
    func environmentsDoNotMix() async throws {
      try await withTemporaryFolder { folder in
        let playground = ServerPlan("playground", in: folder, database: "playground.sqlite")
        let production = ServerPlan("serve", in: folder, database: "production.sqlite")
        try await withServer(playground) { #expect($0.apiKey.hasPrefix("kassa_test_api_")) }
        try await withServer(production) { _ in }
        for (command, database) in [("serve", "playground.sqlite"), ("playground", "production.sqlite")] {
          let result = try await KassaProgram.run(
            [command, "--port", "0", "--database-url", "sqlite:\(folder.file(database))"], in: folder)
          #expect(!result.isSuccess, "\(command): \(result)")
          #expect(result.errorOutput.contains(database) && result.errorOutput.contains("--database-url"), "\(result)")
        }
        // What only looks takes the database's own environment.
        for (database, environment) in [("playground.sqlite", "playground"), ("production.sqlite", "production")] {
          let doctor = try await KassaProgram.run(
            ["doctor", "--database-url", "sqlite:\(folder.file(database))"], in: folder)
          #expect(doctor.isSuccess && doctor.output.contains(environment), "\(doctor)")
        }
        // Serve can be told to be a playground's server.
        var served = playground
        (served.command, served.options) = ("serve", ["--environment", "playground"])
        try await withServer(served) { _ in }
      }
    }

    @Test(.timeLimit(.minutes(2)), .disabled(if: TestDatabase.isPostgres, "there is no key file"))
    func theKeyFileIsNeeded() async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder)
        try await withServer(plan) { _ = $0 }
        let files = FileManager.default
        let key = folder.file("kassa.sqlite.key")
        let text = try #require(folder.text(of: "kassa.sqlite.key"))
        func failure(_ environment: [String: String] = [:]) async throws -> String {
          let result = try await KassaProgram.run(
            ["playground", "--port", "0", "--database-url", try plan.databaseURL], in: folder, environment: environment)
          #expect(!result.isSuccess)
          return result.errorOutput
        }
        try files.moveItem(atPath: key, toPath: key + ".away")
        #expect(try await failure().contains("kassa.sqlite.key is missing"))
        #expect(!folder.exists("kassa.sqlite.key"))
        // Another key opens nothing.
        let other = Data((0..<32).map { UInt8($0) }).base64EncodedString()
        #expect(try await failure(["KASSA_SECRET_KEY": other]).contains("secret key"))
        let bad = try await failure(["KASSA_SECRET_KEY": "short-and-secret"])
        #expect(bad.contains("KASSA_SECRET_KEY") && !bad.contains("short-and-secret"))
        try files.moveItem(atPath: key + ".away", toPath: key)
        try files.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        #expect(try await failure().contains("chmod 600"))
        try files.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        try await withServer(plan) { _ in }
        // The right key may come from the environment instead.
        try files.removeItem(atPath: key)
        var byVariable = plan
        byVariable.environment = ["KASSA_SECRET_KEY": text.trimmingCharacters(in: .whitespacesAndNewlines)]
        try await withServer(byVariable) { _ in }
      }
    }

    @Test(.timeLimit(.minutes(3))) func wrongSettingsEndTheProgramAtOnce() async throws {
      try await withTemporaryFolder { folder in
        let wrong: [(String, [String])] = [
          ("port", ["x", "-1", "65536", "80.0"]),
          ("database-url", ["mysql://x", "postgres://x:secret@y/z", "sqlite:", "sqlite::memory:", ""]),
          ("public-url", ["ftp://x", "x", "http://x/path", "https://", "http://x?y"]),
          ("code-attempts-per-day", ["0", "many"]), ("code-attempts-per-source-per-minute", ["0", "-5"]),
          ("session-seconds", ["9", "86401", "1h"]),
          ("requests-per-second-per-merchant", ["-1", "1.5"]),
          ("trusted-proxies", ["localhost", "10.0.0.0/33", "::1/x"]),
          ("connections-max", ["0"]), ("head-deadline-seconds", ["0", "3601"]), ("body-deadline-seconds", [""]),
          ("idle-deadline-seconds", ["1h"]), ("write-deadline-seconds", ["-1"]), ("log-level", ["loud"]),
          ("log-format", ["xml"]), ("environment", ["test"]), ("host", [""]),
        ]
        for (name, values) in wrong {
          for (index, value) in values.enumerated() {
            let variable = "KASSA_" + name.uppercased().replacing("-", with: "_")
            let byOption = try await KassaProgram.run(["serve", "--port", "0", "--\(name)=\(value)"], in: folder)
            #expect(!byOption.isSuccess && byOption.errorOutput.contains("--\(name)"), "\(name) \(value): \(byOption)")
            guard index == 0 else { continue }
            let byVariable = try await KassaProgram.run(["serve"], in: folder, environment: [variable: value])
            #expect(!byVariable.isSuccess && byVariable.errorOutput.contains(variable), "\(variable): \(byVariable)")
            try folder.write("# settings\n\(name) = \(value)\n", to: "kassa.conf")
            let byFile = try await KassaProgram.run(["serve", "--config-file", "kassa.conf"], in: folder)
            #expect(!byFile.isSuccess && byFile.errorOutput.contains("kassa.conf"), "\(name): \(byFile)")
            #expect(byFile.errorOutput.contains(name), "\(name): \(byFile)")
          }
        }
        let missing = try await KassaProgram.run(["serve", "--config-file", "none.conf"], in: folder)
        #expect(!missing.isSuccess && missing.errorOutput.contains("none.conf"))
        try folder.write("prot = 1\n", to: "kassa.conf")
        let slip = try await KassaProgram.run(
          ["serve"], in: folder, environment: ["KASSA_CONFIG_FILE": folder.file("kassa.conf")])
        #expect(!slip.isSuccess && slip.errorOutput.contains("line 1"), "\(slip)")
        let nowhere = try await KassaProgram.run(
          ["serve", "--port", "0", "--database-url", "sqlite:\(folder.path)/no/folder/k.sqlite"], in: folder)
        #expect(!nowhere.isSuccess && nowhere.errorOutput.contains("no/folder"), "\(nowhere)")
        // Nothing of all that left a database behind.
        #expect(try folder.names().filter { $0.contains("sqlite") } == [])
      }
    }

    @Test(.timeLimit(.minutes(2))) func optionsGoBeforeVariablesBeforeTheFile() async throws {
      try await withTemporaryFolder { folder in
        try folder.write(
          "public-url = https://file.example\ncode-attempts-per-day = 33\n\n  log-format = json # no comment\n",
          to: "bad.conf")
        let bad = try await KassaProgram.run(["serve", "--config-file", "bad.conf"], in: folder)
        #expect(!bad.isSuccess)
        try folder.write(
          "# settings\npublic-url = https://file.example/\ncode-attempts-per-day=33\n"
            + "code-attempts-per-source-per-minute =  5\n", to: "kassa.conf")
        let variables = [
          "KASSA_PUBLIC_URL": "https://variable.example", "KASSA_CODE_ATTEMPTS_PER_DAY": "44",
          "KASSA_CONFIG_FILE": folder.file("kassa.conf"), "KASSA_PROT": "1",
        ]
        let option = ["--public-url", "https://option.example"]
        func read(_ plan: ServerPlan) async throws -> (url: String, perDay: Int64?, perMinute: Int64?) {
          try await withServer(plan) { server in
            let enrollment = try await server.post("/ipp/v1/enrollments", [:]).text("enrollment_url")
            let security = try await server.get("/portal/v1/code-security").json
            if !plan.environment.isEmpty { #expect(server.program.errorOutput.contains("KASSA_PROT")) }
            return (
              String(enrollment.prefix { $0 != "#" }), security["attempts_per_day"]?.integer,
              security["attempts_per_source_per_minute"]?.integer
            )
          }
        }
        let all = try await read(ServerPlan("playground", in: folder, options: option, environment: variables))
        #expect(all == ("https://option.example/pos/pair", 44, 5))
        let two = try await read(ServerPlan("playground", in: folder, environment: variables))
        #expect(two == ("https://variable.example/pos/pair", 44, 5))
        let file = ["--config-file", folder.file("kassa.conf")]
        let one = try await read(ServerPlan("playground", in: folder, options: file))
        #expect(one == ("https://file.example/pos/pair", 33, 5))
      }
    }

    @Test(.timeLimit(.minutes(2))) func helpNamesEveryOption() async throws {
      let database = ["--database-url", "--config-file"]
      let server =
        database + [
          "--host", "--port", "--public-url", "--ready-file", "--code-attempts-per-day",
          "--code-attempts-per-source-per-minute", "--session-seconds", "--requests-per-second-per-merchant",
          "--trusted-proxies",
          "--connections-max", "--head-deadline-seconds", "--body-deadline-seconds", "--idle-deadline-seconds",
          "--write-deadline-seconds", "--log-level", "--log-format",
        ]
      let administration = database + ["--environment"]
      let commands: [([String], [String])] = [
        ([], ["playground", "serve", "device", "merchants", "keys", "migrate", "doctor", "--version", "KASSA_PORT"]),
        (["playground"], server), (["serve"], server + ["--environment"]),
        (["merchants"], ["create", "list"]), (["merchants", "create"], administration + ["--name"]),
        (["merchants", "list"], administration), (["keys"], ["create", "list", "revoke"]),
        (["keys", "create"], administration + ["--merchant", "--name"]),
        (["keys", "list"], administration + ["--merchant"]),
        (["keys", "revoke"], administration + ["--merchant", "--key"]), (["migrate"], administration),
        (["doctor"], administration),
        (["device"], ["--url", "--code", "--link", "--name", "--state-file", "--script", "--wait-seconds"]),
      ]
      try await withTemporaryFolder { folder in
        for (command, options) in commands {
          let help = try await KassaProgram.run(command + ["--help"], in: folder)
          #expect(help.isSuccess)
          for option in options { #expect(help.output.contains(option), "\(command) --help lacks \(option)") }
        }
        let unknown = try await KassaProgram.run(["serve", "--prot", "1"], in: folder)
        #expect(!unknown.isSuccess && unknown.errorOutput.contains("--prot"))
        #expect(try folder.names() == [])
      }
    }
  }
}
