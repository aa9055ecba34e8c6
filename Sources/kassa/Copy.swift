import ArgumentParser
import Foundation
import KassaDomain
import KassaServer
import KassaService

struct Copy: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Copy an installation to another database, as from a file to PostgreSQL, and compare the two.",
    discussion: """
      All servers of both databases must be stopped. The source stays as it is; the target must be empty. A copy that was \
      broken off goes on when the same command is run again, and until it is finished no server starts on the target. In \
      the end the rows of every table are counted and compared on both sides; the status is 1 when anything differs.
      """)

  @Option(help: "The database to copy: sqlite:PATH or postgres://USER@HOST/DATABASE (its password in ~/.pgpass).")
  var from: String

  @Option(
    help:
      "Where to: postgres://USER@HOST/DATABASE or sqlite:PATH. [default: the setting database-url, by KASSA_DATABASE_URL or a file, where a password may be]"
  )
  var to: String?

  @Option(help: "A file with settings, one \"name = value\" a line.")
  var configFile: String?

  func run() async throws {
    let settings = try SettingsSource(
      options: [:], variables: ProcessInfo.processInfo.environment, file: configFile)
    let source = try address(from, "--from")
    let target: DatabaseAddress
    if let to {
      target = try address(to, "--to")
    } else if settings.text(.databaseURL) != nil {
      target = try DatabaseAddress.read(from: settings, default: "kassa.sqlite")
    } else {
      throw SettingsError("name the target with --to, or set \(SettingName.databaseURL.variable)")
    }
    umask(0o077)
    let key = try SecretKey.fromSettings(settings) ?? SecretKey.ofExisting(source)
    guard let secrets = ServerSecrets(masterKey: key) else { throw SettingsError("the secret key must have 32 bytes") }

    let copy = try InstallationCopy(from: source, to: target, secrets: secrets)
    try SecretKey.keep(key, beside: target)
    Console.say("\(copy.goesOn ? "going on with the copy of" : "copying") \(source) to \(target)")
    let display = CopyDisplay()
    let tables = try copy.run(display.show)
    display.end()
    CopyDisplay.say(tables)
    guard tables.allSatisfy(\.isEqual) else {
      Console.warn("the databases differ; no server starts on \(target): begin anew with an empty database")
      throw ExitCode.failure
    }
    Console.say(
      """
      Everything is equal. \(source) is as it was: keep it as a backup, and start no server on it again.
      Start the servers with --database-url of \(target) and the same secret key\(Self.keyWords(source, target)).
      """)
  }

  private static func keyWords(_ source: DatabaseAddress, _ target: DatabaseAddress) -> String {
    switch (source, target) {
    case (.sqlite(let path), .postgres):
      ": \(SettingName.secretKey.variable) is the line in \(SecretKey.path(ofDatabaseAt: path))"
    case (_, .sqlite(let path)): ", which is in \(SecretKey.path(ofDatabaseAt: path))"
    case (.postgres, .postgres): ""
    }
  }

  private func address(_ text: String, _ option: String) throws -> DatabaseAddress {
    guard let address = DatabaseAddress(text) else {
      throw SettingsError("\(option) must be \(DatabaseAddress.allowed)")
    }
    if case .postgres(let postgres) = address, postgres.hasPassword {
      throw SettingsError(
        "\(option) must not hold a password, because every user of this machine can read it there: put it into ~/.pgpass, "
          + "or give the target as \(SettingName.databaseURL.variable)")
    }
    return address
  }
}

/// Shows how far a copy is: as a bar on a terminal, else as a line for each table and for each while.
private final class CopyDisplay {
  private static let barWidth = 30
  private static let lineSeconds = 5.0
  private static let barSeconds = 0.1

  private let isTerminal = isatty(STDOUT_FILENO) == 1
  private var shown = Date()
  private var isBarOpen = false

  func show(_ progress: InstallationCopy.Progress) {
    let now = Date()
    let gap = isTerminal ? Self.barSeconds : Self.lineSeconds
    // Without a terminal: each table as it is copied, and what takes long.
    let isWorthIt = progress.isTableDone && (isTerminal || progress.step == .copying && progress.tableRows > 0)
    guard isWorthIt || now.timeIntervalSince(shown) >= gap else { return }
    shown = now
    if isTerminal {
      draw(progress)
    } else {
      Console.say("\(progress.step.rawValue) \(progress.table) \(progress.tableDone) of \(progress.tableRows)")
    }
  }

  private func draw(_ progress: InstallationCopy.Progress) {
    let share = progress.rows == 0 ? 1 : min(1, Double(progress.done) / Double(progress.rows))
    let full = Int(share * Double(Self.barWidth))
    let bar = String(repeating: "█", count: full) + String(repeating: "░", count: Self.barWidth - full)
    let percent = String(format: "%3.0f %%", share * 100)
    let text =
      "\(progress.step.rawValue) \(bar) \(percent)  \(progress.table) \(progress.tableDone) of \(progress.tableRows)"
    write("\r\u{1b}[K" + text)
    isBarOpen = true
    if progress.isTableDone, progress.done == progress.rows, progress.step == .copying { end() }
  }

  func end() {
    if isBarOpen { write("\n") }
    isBarOpen = false
  }

  private func write(_ text: String) {
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }

  /// The table of both sides.
  static func say(_ tables: [InstallationCopy.Table]) {
    func line(_ name: String, _ source: String, _ target: String, _ content: String) {
      func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
      }
      func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(1, width - text.count)) + text
      }
      Console.say(left(name, 20) + right(source, 14) + right(target, 14) + "  " + content)
    }
    line("table", "source", "target", "content")
    for table in tables {
      let digest = hexadecimalText(table.targetDigest.prefix(6))
      line(
        table.name, "\(table.sourceRows)", "\(table.targetRows)", table.isEqual ? "equal \(digest)" : "DIFFERS")
    }
  }
}
