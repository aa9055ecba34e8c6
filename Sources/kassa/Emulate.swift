import ArgumentParser
import Foundation
import KassaEmulators
import KassaServer
import UnixSignals

struct Emulate: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Play a provider on this machine: its wire over HTTP, with buyers and faults that you command.",
    discussion: """
      Speaks the provider's own protocol, so that any program written for it can be tried against it. Prints where it \
      listens and what to enter. Under /emulator/ buyers are told what to do, faults are planned and the ledger is read: \
      see docs/providers. Everything is kept in memory and gone at the end (Ctrl-C).
      """)

  @Argument(help: "One of: \(Emulators.all.map(\.name).joined(separator: ", ")).")
  var provider: String

  @Option(help: "The port to listen on; 0 takes any free one.")
  var port: Int = 0

  @Option(help: "Once it listens, write {\"url\", \"pid\", \"provider\", \"settings\"} to this file.")
  var readyFile: String?

  func run() async throws {
    guard let (_, make) = Emulators.all.first(where: { $0.name == provider }) else {
      throw SettingsError(
        "there is no \"\(provider)\": name one of \(Emulators.all.map(\.name).joined(separator: ", "))")
    }
    guard (0...65_535).contains(port) else { throw SettingsError("--port must be a whole number from 0 to 65535") }
    let emulator = try make()
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    let server = try await Self.start(emulator, port: port)
    let settings = emulator.settings(url: server.url)
    if let readyFile { try Self.write(server, provider, settings, to: readyFile) }
    Console.say("\n\(provider) is played on \(server.url); stop with Ctrl-C\n")
    let width = settings.map(\.name.count).max() ?? 0
    for (name, value) in settings {
      Console.say("  \(name.padding(toLength: width, withPad: " ", startingAt: 0))   \(value)")
    }
    Console.say("\nWhat is to be paid: \(server.url)/emulator/payments\n")
    for await _ in signals { break }
    await server.stop()
  }

  private static func start(_ emulator: any ProviderEmulator, port: Int) async throws -> EmulatorServer {
    do {
      return try await EmulatorServer.start(emulator, port: port)
    } catch let error as EmulatorServer.CannotListen {
      throw SettingsError(error.description)
    }
  }

  /// One JSON object, put in place whole, for the owner only.
  private static func write(
    _ server: EmulatorServer, _ provider: String, _ settings: [(name: String, value: String)], to path: String
  ) throws {
    let content = json { object in
      object.member("pid", Int(ProcessInfo.processInfo.processIdentifier))
      object.member("provider", provider)
      object.member(
        "settings",
        object: { members in for (name, value) in settings { members.member(dynamicName: name, value) } })
      object.member("url", server.url)
    }
    let temporary = path + ".\(ProcessInfo.processInfo.processIdentifier)"
    guard
      FileManager.default.createFile(
        atPath: temporary, contents: Data(content + Array("\n".utf8)), attributes: [.posixPermissions: 0o600]),
      rename(temporary, path) == 0
    else { throw SettingsError("--ready-file: \(path) cannot be written") }
  }
}
