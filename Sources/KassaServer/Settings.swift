import Foundation
import KassaAPI
import KassaDomain
import KassaPostgres
import KassaService
import Logging

/// The name of a setting: as an option `--port`, as an environment variable `KASSA_PORT`, in a file `port = 8080`.
package enum SettingName: String, CaseIterable, Sendable {
  case host
  case port
  case databaseURL = "database-url"
  case publicURL = "public-url"
  case readyFile = "ready-file"
  case environment
  case secretKey = "secret-key"
  case codeAttemptsPerDay = "code-attempts-per-day"
  case codeAttemptsPerSourcePerMinute = "code-attempts-per-source-per-minute"
  case sessionSeconds = "session-seconds"
  case requestsPerSecondPerMerchant = "requests-per-second-per-merchant"
  case trustedProxies = "trusted-proxies"
  case connectionsMax = "connections-max"
  case headDeadlineSeconds = "head-deadline-seconds"
  case bodyDeadlineSeconds = "body-deadline-seconds"
  case idleDeadlineSeconds = "idle-deadline-seconds"
  case writeDeadlineSeconds = "write-deadline-seconds"
  case drainDelaySeconds = "drain-delay-seconds"
  case logLevel = "log-level"
  case logFormat = "log-format"

  package var variable: String { "KASSA_" + rawValue.uppercased().replacing("-", with: "_") }
}

/// A setting that is not allowed, in words for the operator.
package struct SettingsError: Error, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// Finds each setting where it is given first: in the options, in the environment, in the file.
package struct SettingsSource {
  private let options: [SettingName: String]
  private let variables: [String: String]
  private let file: [SettingName: String]
  private let filePath: String

  /// Reads the file, if one is named by `file` or by `KASSA_CONFIG_FILE`. Throws `SettingsError` when it cannot be read,
  /// or names a setting that does not exist.
  package init(options: [SettingName: String], variables: [String: String], file: String?) throws {
    self.options = options
    self.variables = variables
    filePath = file ?? variables["KASSA_CONFIG_FILE"] ?? ""
    self.file = filePath.isEmpty ? [:] : try Self.read(filePath)
  }

  /// `KASSA_…` variables that are no setting: probably a slip.
  package var unknownVariables: [String] {
    let known = Set(
      SettingName.allCases.map(\.variable) + [
        "KASSA_CONFIG_FILE", "KASSA_API_KEY", "KASSA_UPDATE_GOLDEN", "KASSA_WEBHOOK_SAMPLES", "KASSA_TEST_DATABASE",
      ])
    return variables.keys.filter { $0.hasPrefix("KASSA_") && !known.contains($0) }.sorted()
  }

  package func text(_ name: SettingName) -> (value: String, origin: String)? {
    if let value = options[name] { return (value, "--\(name.rawValue)") }
    if let value = variables[name.variable] { return (value, name.variable) }
    if let value = file[name] { return (value, "\(name.rawValue) in \(filePath)") }
    return nil
  }

  /// Whether the setting is given on the command line.
  package func isOption(_ name: SettingName) -> Bool { options[name] != nil }

  package func value<Value>(
    _ name: SettingName, default value: Value, allowed: String, _ parse: (String) -> Value?
  ) throws -> Value {
    guard let (text, origin) = text(name) else { return value }
    guard let parsed = parse(text) else {
      throw SettingsError(
        "\(origin) must be \(allowed), not \"\(name == .secretKey || text.contains("@") ? "…" : text)\"")
    }
    return parsed
  }

  package func integer<Number: FixedWidthInteger>(
    _ name: SettingName, _ range: ClosedRange<Number>, default value: Number
  ) throws -> Number {
    try self.value(name, default: value, allowed: "a whole number from \(range.lowerBound) to \(range.upperBound)") {
      Number($0).flatMap { range.contains($0) ? $0 : nil }
    }
  }

  /// Lines `name = value`; empty lines and lines that start with `#` are skipped.
  private static func read(_ path: String) throws -> [SettingName: String] {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
      throw SettingsError("the config file \(path) cannot be read")
    }
    var settings: [SettingName: String] = [:]
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let line = line.trimmingCharacters(in: .whitespaces)
      if line.isEmpty || line.hasPrefix("#") { continue }
      let parts = line.split(separator: "=", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      guard parts.count == 2, let name = SettingName(rawValue: parts[0]) else {
        let names = SettingName.allCases.map(\.rawValue).joined(separator: ", ")
        throw SettingsError("\(path), line \(index + 1): must be \"name = value\" with one of the names \(names)")
      }
      settings[name] = parts[1]
    }
    return settings
  }
}

/// Where the data is. Its description never shows a password.
package enum DatabaseAddress: Sendable, Equatable, CustomStringConvertible {
  /// The file of an embedded database.
  case sqlite(path: String)
  /// A database that several servers may share.
  case postgres(PostgresAddress)

  package init?(_ text: String) {
    if let address = PostgresAddress(text) {
      self = .postgres(address)
      return
    }
    guard text.hasPrefix("sqlite:") else { return nil }
    let path = String(text.dropFirst("sqlite:".count))
    guard !path.isEmpty, path != ":memory:", !path.utf8.contains(0) else { return nil }
    self = .sqlite(path: path)
  }

  package var description: String {
    switch self {
    case .sqlite(let path): path
    case .postgres(let address): address.description
    }
  }

  package static let allowed =
    "sqlite:PATH, like sqlite:/var/lib/kassa/kassa.sqlite, or postgres://USER@HOST/DATABASE"

  /// Throws `SettingsError` for a password on the command line, where everybody on the machine can read it.
  package static func read(from source: SettingsSource, default path: String) throws -> DatabaseAddress {
    guard let standard = DatabaseAddress("sqlite:\(path)") else { throw SettingsError("no database path") }
    let address = try source.value(.databaseURL, default: standard, allowed: allowed, DatabaseAddress.init)
    if case .postgres(let postgres) = address, postgres.hasPassword, source.isOption(.databaseURL) {
      throw SettingsError(
        "--\(SettingName.databaseURL.rawValue) must not hold a password, because every user of this machine can read it "
          + "there: set \(SettingName.databaseURL.variable), or name a config file, or put it into ~/.pgpass")
    }
    return address
  }
}

/// Everything a running server is told.
package struct ServerSettings: Sendable {
  package var host: String
  /// 0: any free one.
  package var port: Int
  package var database: DatabaseAddress
  package var environment: KassaEnvironment
  /// `nil`: the address it listens on.
  package var publicURL: String?
  package var readyFile: String?
  package var secretKey: [UInt8]?
  package var codeAttemptsPerDay: Int64
  package var codeAttemptsPerSourcePerMinute: Int64
  package var sessionSeconds: Int64
  package var connectionsMax: Int
  package var drainDelaySeconds: Int64
  package var api: APISettings
  package var logging: LogSettings

  /// Throws `SettingsError` with the setting's name and what is allowed.
  package init(_ source: SettingsSource, environment: KassaEnvironment, databasePath: String) throws {
    self.environment = environment
    host = try source.value(.host, default: "127.0.0.1", allowed: "a host name or an address") {
      $0.isEmpty || $0.contains(" ") ? nil : $0
    }
    port = try source.integer(.port, 0...65535, default: 8080)
    database = try DatabaseAddress.read(from: source, default: databasePath)
    publicURL = try source.value(.publicURL, default: nil, allowed: "an http or https URL without a path") {
      Self.publicURL($0)
    }
    readyFile = source.text(.readyFile)?.value
    secretKey = try SecretKey.fromSettings(source)
    codeAttemptsPerDay = try source.integer(.codeAttemptsPerDay, 1...1_000_000_000, default: Limits.codeAttemptsPerDay)
    codeAttemptsPerSourcePerMinute = try source.integer(
      .codeAttemptsPerSourcePerMinute, 1...1_000_000_000, default: Limits.codeAttemptsPerSourcePerMinute)
    sessionSeconds = try source.integer(.sessionSeconds, 10...86_400, default: Limits.sessionSeconds)
    connectionsMax = try source.integer(.connectionsMax, 1...1_000_000, default: APILimits.connectionsMax)
    drainDelaySeconds = try source.integer(.drainDelaySeconds, 0...300, default: APILimits.drainDelaySeconds)
    let seconds: ClosedRange<Int64> = 1...3600
    api = APISettings(
      requestsPerSecondPerMerchant: try source.integer(
        .requestsPerSecondPerMerchant, 0...1_000_000, default: APILimits.requestsPerSecondPerMerchant),
      trustedProxies: try source.value(
        .trustedProxies, default: [], allowed: "addresses or blocks with commas between, like 10.0.0.0/8,::1"
      ) { text in
        let blocks = text.split(separator: ",").map { AddressBlock($0.trimmingCharacters(in: .whitespaces)) }
        return blocks.contains(nil) ? nil : blocks.compactMap { $0 }
      },
      deadlines: DeadlineSeconds(
        head: try source.integer(.headDeadlineSeconds, seconds, default: APILimits.headSeconds),
        body: try source.integer(.bodyDeadlineSeconds, seconds, default: APILimits.bodySeconds),
        idle: try source.integer(.idleDeadlineSeconds, seconds, default: APILimits.idleSeconds),
        write: try source.integer(.writeDeadlineSeconds, seconds, default: APILimits.writeSeconds)))
    logging = try LogSettings(source)
  }

  private static func publicURL(_ text: String) -> String? {
    guard let url = URL(string: text), url.scheme == "http" || url.scheme == "https", let host = url.host(),
      !host.isEmpty, url.path().isEmpty || url.path() == "/", url.query() == nil, url.fragment() == nil
    else { return nil }
    return text.hasSuffix("/") ? String(text.dropLast()) : text
  }
}
