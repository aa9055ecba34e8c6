import ArgumentParser
import KassaDomain
import KassaServer

struct Playground: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Start a server to try things with: a demo merchant, a location and an API key are there at once.",
    discussion: """
      The data is kept in kassa-playground.sqlite in this folder (with kassa-playground.sqlite.key, its secret key), so a \
      restart finds the same merchant, key and devices. Delete the files to start afresh.

      For a test suite: kassa playground --port 0 --database-url sqlite:/tmp/test.sqlite --ready-file /tmp/ready.json, \
      wait for the file, and send SIGTERM in the end.
      """)

  @OptionGroup var options: ServerOptions

  func run() async throws {
    let settings = try ServerSettings(
      try options.source(), environment: .playground, databasePath: "kassa-playground.sqlite")
    try await KassaServer.run(settings, emulators: BuiltInEmulators()) { ready in
      if let playground = ready.playground {
        Console.say(Self.welcome(ready.url, playground.merchant, playground.apiKey, settings.database.description))
      }
    }
  }

  private static func welcome(_ url: String, _ merchant: MerchantID, _ key: String, _ database: String) -> String {
    """

    Kassa's playground listens on \(url)

      merchant id   \(merchant)
      API key       \(key)
      database      \(database)

    Open \(url) in a browser: three clicks to a first payment.

    Or pair a phone in three steps; paste one after the other into another terminal.

    1. Your backend asks for an enrollment code:

      CODE=$(curl -s \(url)/ipp/v1/enrollments -H 'Authorization: Basic \(key)' -H 'Content-Type: application/json' -d '{"metadata":{"store_id":"123"}}' | tee /dev/stderr | sed -E 's/.*"enrollment_code":"([^"]+)".*/\\1/'); echo

    2. The phone registers with it:

      curl -s \(url)/pos/v1/devices -H 'Content-Type: application/json' -d "{\\"enrollment_code\\":\\"$CODE\\",\\"hardware_id\\":\\"my-phone\\",\\"platform\\":\\"ANDROID\\"}"; echo

    3. Your backend sees the device:

      curl -s \(url)/ipp/v1/devices -H 'Authorization: Basic \(key)'; echo

    See a whole day at the till in a few seconds: kassa rehearse. Be the phone: kassa device. Hear the callbacks:
    kassa listen. Everything the API can do: \(url)/openapi.yaml. Stop with Ctrl-C.

    """
  }
}

struct Serve: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Serve merchants.",
    discussion: """
      Make a merchant first: kassa merchants create --name "My Shop". A database belongs to one environment for ever; \
      keys of one environment are refused in the other.
      """)

  @OptionGroup var options: ServerOptions

  @Option(help: "production or playground. [default: production]")
  var environment: String?

  func run() async throws {
    let source = try options.source()
    let environment = try environmentSetting(environment, source) ?? .production
    let settings = try ServerSettings(source, environment: environment, databasePath: "kassa.sqlite")
    try await KassaServer.run(settings, emulators: BuiltInEmulators()) { ready in
      Console.say("Kassa (\(environment.rawValue)) listens on \(ready.url)")
    }
  }
}

/// The environment named by the option or by another source, if any.
func environmentSetting(_ option: String?, _ source: SettingsSource) throws -> KassaEnvironment? {
  func parsed(_ text: String, _ origin: String) throws -> KassaEnvironment {
    guard let environment = KassaEnvironment(rawValue: text) else {
      throw SettingsError("\(origin) must be production or playground, not \"\(text)\"")
    }
    return environment
  }
  if let option { return try parsed(option, "--environment") }
  return try source.text(.environment).map { try parsed($0.value, $0.origin) }
}
