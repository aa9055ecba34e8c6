import ArgumentParser
import Foundation
import KassaDomain
import KassaServer
import KassaService
import KassaStore

/// An opened installation, for commands that look at it or change it beside a running server.
struct AdministrationOptions: ParsableArguments {
  @OptionGroup var database: DatabaseOptions

  @Option(help: "production or playground. [default: that of the database, or production for a new one]")
  var environment: String?

  /// Opens the database, runs `body`, and closes it. A database that is missing is made only if `makesDatabase`: a slip in
  /// its path must not look like an empty installation.
  func withService<Value>(
    makesDatabase: Bool = false, _ body: (KassaService, any Store) async throws -> Value
  ) async throws
    -> Value
  {
    let source = try SettingsSource(
      options: database.given, variables: ProcessInfo.processInfo.environment, file: database.configFile)
    let asked = try environmentSetting(environment, source)
    var settings = try ServerSettings(source, environment: asked ?? .production, databasePath: "kassa.sqlite")
    if !makesDatabase, case .sqlite(let path) = settings.database, !FileManager.default.fileExists(atPath: path) {
      throw SettingsError(
        "there is no database at \(path): name it with --database-url, or make one with kassa merchants create")
    }
    let secrets = try KassaServer.loadSecrets(settings)
    let store = try KassaServer.openStore(settings.database, makesDatabase: makesDatabase)
    let http = KassaServer.makeHTTPClient()
    func end() async {
      await http.shutdown()
      await store.close()
    }
    do {
      if asked == nil, let stored = try await KassaService.environment(of: store) { settings.environment = stored }
      let service = KassaServer.makeService(
        settings, store: store, secrets: secrets, http: http, listeningURL: { "http://127.0.0.1:8080" })
      try await KassaServer.claim(service, database: settings.database)
      let value = try await body(service, store)
      await end()
      return value
    } catch ServiceFailure.notFound {
      await end()
      throw SettingsError("there is nothing with this id in \(settings.database)")
    } catch let error as StoreError {
      await end()
      throw KassaServer.worded(error, settings.database)
    } catch {
      await end()
      throw error
    }
  }
}

struct Merchants: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make and list merchants.", subcommands: [Create.self, List.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Make a merchant with its first location, \"My Store\", and its first API key, which is shown this once.")

    @OptionGroup var administration: AdministrationOptions
    @Option(help: "What the merchant is called: 1 to 100 characters.")
    var name: String

    func run() async throws {
      let name = try checkedName(name)
      try await administration.withService(makesDatabase: true) { service, _ in
        let (merchant, key) = try await service.createMerchant(name: name)
        Console.say("merchant_id  \(merchant.id)\nname         \(merchant.name)\napi_key      \(key.text)")
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "List the merchants: id, when it was made, name.")

    @OptionGroup var administration: AdministrationOptions

    func run() async throws {
      try await administration.withService { service, _ in
        for merchant in try await service.merchants() {
          Console.say("\(merchant.id)  \(merchant.createdAt)  \(merchant.name)")
        }
      }
    }
  }
}

struct Keys: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make, list and revoke API keys.", subcommands: [Create.self, List.self, Revoke.self])

  struct Create: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Make an API key. It is shown this once.")

    @OptionGroup var administration: AdministrationOptions
    @Option(help: "The merchant's id.")
    var merchant: String
    @Option(help: "What the key is for: 1 to 100 characters.")
    var name: String

    func run() async throws {
      let (merchant, name) = (try identifier(merchant, "--merchant", of: Merchant.self), try checkedName(name))
      try await administration.withService { service, _ in
        let created = try await service.createAPIKeyAtConsole(name: name, merchant: merchant)
        Console.say("key_id   \(created.key.id)\napi_key  \(created.text)")
      }
    }
  }

  struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List a merchant's API keys: id, first characters, when it was made, whether it is revoked, name.")

    @OptionGroup var administration: AdministrationOptions
    @Option(help: "The merchant's id.")
    var merchant: String

    func run() async throws {
      let merchant = try identifier(merchant, "--merchant", of: Merchant.self)
      try await administration.withService { service, _ in
        for key in try await service.apiKeysAtConsole(of: merchant) {
          let state = key.revokedAt.map { "revoked \($0)" } ?? "in force"
          Console.say("\(key.id)  \(key.prefix)…  \(key.createdAt)  \(state)  \(key.name)")
        }
      }
    }
  }

  struct Revoke: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "End an API key, at once and on every server. Done again it changes nothing.")

    @OptionGroup var administration: AdministrationOptions
    @Option(help: "The merchant's id.")
    var merchant: String
    @Option(help: "The key's id, as `kassa keys list` shows it.")
    var key: String

    func run() async throws {
      let merchant = try identifier(merchant, "--merchant", of: Merchant.self)
      let key = try identifier(key, "--key", of: APIKey.self)
      try await administration.withService { service, _ in
        try await service.revokeAPIKeyAtConsole(key, of: merchant)
        Console.say("\(key) is revoked")
      }
    }
  }
}

struct Migrate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Bring the database's schema up to date, and say which it has.",
    discussion: "Starting a server does the same. A database that is newer than this program is refused.")

  @OptionGroup var administration: AdministrationOptions

  func run() async throws {
    try await administration.withService(makesDatabase: true) { service, store in
      for finding in try await store.diagnose() where ["database", "schema"].contains(finding.name) {
        Console.say(Doctor.line(finding.name, finding.value))
      }
      Console.say(Doctor.line("environment", service.environment.rawValue))
    }
  }
}

struct Doctor: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check an installation, also beside a running server: the database, its durability, the codes' safety.",
    discussion: "Ends with status 1 when something is not as it must be.")

  /// Commits whose time is measured.
  private static let probes = 20

  @OptionGroup var administration: AdministrationOptions

  func run() async throws {
    let isSound = try await administration.withService { service, store in
      var isSound = true
      func say(_ finding: StoreFinding) {
        isSound = isSound && finding.isSound
        Console.say((finding.isSound ? "ok    " : "WRONG ") + Self.line(finding.name, finding.value))
      }
      say(StoreFinding(name: "environment", value: service.environment.rawValue))
      for finding in try await store.diagnose() { say(finding) }
      say(StoreFinding(name: "commit latency", value: try await Self.commitLatency(store)))
      say(StoreFinding(name: "secret key", value: "opens this database"))
      for finding in Self.findings(try await service.codeSecurity()) { say(finding) }
      for finding in Self.findings(try await service.unsettledPayments(), at: service.now) { say(finding) }
      say(Self.finding(try await service.firstEndingCredentials(), at: service.now))
      return isSound
    }
    if !isSound { throw ExitCode.failure }
  }

  static func line(_ name: String, _ value: String) -> String {
    name + String(repeating: " ", count: max(1, 24 - name.count)) + value
  }

  private static func commitLatency(_ store: any Store) async throws -> String {
    var milliseconds: [Double] = []
    for _ in 0..<probes {
      let duration = try await ContinuousClock().measure { try await store.checkWritable() }
      milliseconds.append(Double(duration.components.attoseconds) / 1e15 + Double(duration.components.seconds) * 1000)
    }
    let sorted = milliseconds.sorted()
    return String(format: "%.2f ms (median of %d durable commits)", sorted[probes / 2], probes)
  }

  /// Attempts that somebody should look at: a day without an outcome, or money that does not go back.
  private static func findings(_ report: UnsettledReport, at now: Timestamp) -> [StoreFinding] {
    func value(_ payments: UnsettledPayments) -> String {
      guard let oldest = payments.oldestCreatedAt else { return "0" }
      return "\(payments.count), the oldest since \(oldest), asked about up to \(payments.checksMax) times"
    }
    let isYoung = report.unknown.oldestCreatedAt.map {
      now < $0.adding(seconds: Limits.outcomeUnknownSecondsMax)
    }
    return [
      StoreFinding(name: "outcomes not known", value: value(report.unknown), isSound: isYoung ?? true),
      StoreFinding(
        name: "money to give back", value: value(report.reversing),
        isSound: report.reversing.checksMax < Limits.reversalChecksSound),
    ]
  }

  /// Certificates of merchants end, and then nobody can pay them by that method.
  private static func finding(_ first: EndingCredentials?, at now: Timestamp) -> StoreFinding {
    guard let first else { return StoreFinding(name: "credentials that end", value: "none") }
    return StoreFinding(
      name: "credentials that end",
      value: "first \(first.method.rawValue) of merchant \(first.merchantID), at \(first.endAt)",
      isSound: now.adding(seconds: Limits.credentialsEndSoonSeconds) < first.endAt)
  }

  private static func findings(_ report: CodeSecurityReport) -> [StoreFinding] {
    let chance = report.chanceOfHitPerDay
    let bound = String(format: "%.3g", CodeSecurity.bound)
    return [
      StoreFinding(name: "live codes", value: "\(report.security.liveTotal)"),
      StoreFinding(
        name: "code attempts", value: "\(report.attemptsUsedToday) of \(report.attemptsPerDay) used today (UTC)"),
      StoreFinding(
        name: "code length",
        value: "\(report.security.symbolsForNextCode ?? EnrollmentCode.symbolsMax) random symbols and a check symbol"),
      StoreFinding(
        name: "chance of a hit per day", value: String(format: "%.3g", chance) + " (bound: 2^-20 = \(bound))",
        isSound: report.boundHolds),
    ]
  }
}

func identifier<Entity>(_ text: String, _ option: String, of: Entity.Type) throws -> Identifier<Entity> {
  guard let id = Identifier<Entity>(text: text) else {
    throw SettingsError("\(option) must be a UUID, not \"\(text)\"")
  }
  return id
}

private func checkedName(_ name: String) throws -> String {
  guard (1...100).contains(name.unicodeScalars.count) else {
    throw SettingsError("--name must have 1 to 100 characters")
  }
  return name
}
