import ArgumentParser
import Foundation
import KassaDomain
import KassaServer
import KassaService
import KassaStore

@main
struct Kassa: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "kassa",
    abstract: "An in-person payments server that anyone can run.",
    discussion: """
      Start with `kassa playground`: it makes a database in this folder, a demo merchant and an API key, and prints what \
      to type next.

      Every setting can be given as an option (--port 8080), as an environment variable (KASSA_PORT=8080) or in a file \
      (port = 8080) named by --config-file or KASSA_CONFIG_FILE. The first of these that names it counts.
      """,
    version: "1.0.0",
    subcommands: [
      Playground.self, Serve.self, Merchants.self, Keys.self, PaymentMethods.self, Migrate.self, Copy.self,
      Doctor.self,
      DeviceCommand.self, Listen.self, Rehearse.self, Emulate.self,
    ])
}

/// Which database, and what opens it.
struct DatabaseOptions: ParsableArguments {
  @Option(
    help:
      "Where the data is: sqlite:PATH, or postgres://USER@HOST/DATABASE (a password only by KASSA_DATABASE_URL, a file or ~/.pgpass). [default: sqlite:kassa.sqlite, in the playground sqlite:kassa-playground.sqlite]"
  )
  var databaseURL: String?

  @Option(help: "A file with settings, one \"name = value\" a line.")
  var configFile: String?

  var given: [SettingName: String] { [.databaseURL: databaseURL].compactMapValues { $0 } }
}

/// How to listen, and the limits.
struct ServerOptions: ParsableArguments {
  @OptionGroup var database: DatabaseOptions

  @Option(help: "The address to listen on. [default: 127.0.0.1]")
  var host: String?

  @Option(help: "The port to listen on; 0 takes any free one. [default: 8080]")
  var port: String?

  @Option(
    help:
      "The address under which phones and backends reach this server, like https://pay.example.com. [default: where it listens]"
  )
  var publicURL: String?

  @Option(
    help:
      "Once the server listens, write {\"url\", and in the playground \"merchant_id\", \"api_key\", \"pid\"} to this file."
  )
  var readyFile: String?

  @Option(
    help:
      "Failed attempts at typed codes that the whole deployment evaluates per UTC day. [default: \(Limits.codeAttemptsPerDay)]"
  )
  var codeAttemptsPerDay: String?

  @Option(
    help: "Attempts at typed codes per source address and minute. [default: \(Limits.codeAttemptsPerSourcePerMinute)]")
  var codeAttemptsPerSourcePerMinute: String?

  @Option(help: "Seconds that a payment request lives. [default: \(Limits.sessionSeconds)]")
  var sessionSeconds: String?

  @Option(help: "Requests per second and merchant, twice as many at once; 0 sets no limit. [default: 1000]")
  var requestsPerSecondPerMerchant: String?

  @Option(help: "Proxies whose X-Forwarded-For is believed, with commas between, like 10.0.0.0/8,::1. [default: none]")
  var trustedProxies: String?

  @Option(help: "Open connections; more wait. [default: 10000]")
  var connectionsMax: String?

  @Option(help: "Seconds for a request's head to arrive. [default: 10]")
  var headDeadlineSeconds: String?

  @Option(help: "Seconds for a request's body to arrive. [default: 20]")
  var bodyDeadlineSeconds: String?

  @Option(help: "Seconds until the next request on an open connection. [default: 60]")
  var idleDeadlineSeconds: String?

  @Option(help: "Seconds for a client to take what was written. [default: 20]")
  var writeDeadlineSeconds: String?

  @Option(
    help:
      "Seconds that a server told to stop still takes requests, so that the proxy in front can notice. [default: 0]")
  var drainDelaySeconds: String?

  @Option(help: "trace, debug, info, notice, warning, error or critical. [default: info]")
  var logLevel: String?

  @Option(help: "auto (text on a terminal, else JSON), json or text. [default: auto]")
  var logFormat: String?

  func source() throws -> SettingsSource {
    let given: [SettingName: String?] = [
      .host: host, .port: port, .publicURL: publicURL, .readyFile: readyFile, .codeAttemptsPerDay: codeAttemptsPerDay,
      .codeAttemptsPerSourcePerMinute: codeAttemptsPerSourcePerMinute,
      .sessionSeconds: sessionSeconds, .requestsPerSecondPerMerchant: requestsPerSecondPerMerchant,
      .trustedProxies: trustedProxies,
      .connectionsMax: connectionsMax, .headDeadlineSeconds: headDeadlineSeconds,
      .bodyDeadlineSeconds: bodyDeadlineSeconds, .idleDeadlineSeconds: idleDeadlineSeconds,
      .writeDeadlineSeconds: writeDeadlineSeconds, .drainDelaySeconds: drainDelaySeconds, .logLevel: logLevel,
      .logFormat: logFormat,
    ]
    let source = try SettingsSource(
      options: given.compactMapValues { $0 }.merging(database.given) { $1 },
      variables: ProcessInfo.processInfo.environment, file: database.configFile)
    for name in source.unknownVariables { Console.warn("\(name) is set, but there is no such setting") }
    return source
  }
}

/// What the command line says to people.
enum Console {
  static func say(_ text: String) {
    // A reader that left, as in `kassa rehearse | head`, must not end what is under way.
    try? FileHandle.standardOutput.write(contentsOf: Data("\(text)\n".utf8))
  }

  static func warn(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data("kassa: \(text)\n".utf8))
  }
}
