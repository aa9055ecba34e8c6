import Foundation
import KassaJSON
import KassaTestDatabases

/// Which server to start: the same plan starts it again on the same files.
package struct ServerPlan: Sendable {
  package let folder: TemporaryFolder
  /// `playground` or `serve`.
  package var command: String
  package var options: [String]
  package var environment: [String: String]
  package var database: String
  private let chosen: TestDatabase?
  /// Tells its files from those of others in the same folder.
  package var name: String

  /// On the database of this name, or on a certain one.
  package init(
    _ command: String, in folder: TemporaryFolder, options: [String] = [], environment: [String: String] = [:],
    database: String = "kassa.sqlite", name: String = "", on chosen: TestDatabase? = nil
  ) {
    self.folder = folder
    self.command = command
    self.options = options
    self.environment = environment
    self.database = database
    self.chosen = chosen
    self.name = name
  }

  /// Of the file in the folder, or of a PostgreSQL database that stands for it.
  package var databaseURL: String { get throws { try storage.url } }
  package var storage: TestDatabase { get throws { try chosen ?? TestDatabase(path: folder.file(database)) } }
  package var readyFile: String { folder.file("ready\(name).json") }
}

/// A `kassa` server that listens on a free port of 127.0.0.1.
package final class ServerProcess: Sendable {
  package struct DidNotStart: Error, CustomStringConvertible {
    package let description: String
  }

  package let plan: ServerPlan
  package let program: RunningProgram
  /// What it wrote once it listened.
  package let ready: JSONValue
  package let url: String
  package let port: Int
  /// Of the playground; empty for another server.
  package let merchantID: String
  package let apiKey: String

  private init(plan: ServerPlan, program: RunningProgram, ready: JSONValue) throws {
    self.plan = plan
    self.program = program
    self.ready = ready
    url = ready["url"]?.text ?? ""
    guard let port = url.split(separator: ":").last.flatMap({ Int($0) }) else {
      throw DidNotStart(description: "no port in the ready file: \(ready)")
    }
    self.port = port
    merchantID = ready["merchant_id"]?.text ?? ""
    apiKey = ready["api_key"]?.text ?? ""
  }

  /// Starts it and waits until it listens.
  package static func start(_ plan: ServerPlan) async throws -> ServerProcess {
    try? FileManager.default.removeItem(atPath: plan.readyFile)
    let program = try RunningProgram(
      KassaProgram.path,
      [plan.command, "--port", "0", "--ready-file", plan.readyFile, "--database-url", try plan.databaseURL]
        + plan.options,
      in: plan.folder, environment: try plan.storage.environment.merging(plan.environment) { $1 },
      printsTo: "server\(plan.name)")
    do {
      let ready = try await waitUntilReady(plan, program)
      return try ServerProcess(plan: plan, program: program, ready: ready)
    } catch {
      program.send(signal: SIGKILL)
      _ = await program.waitForExit()
      throw error
    }
  }

  private static func waitUntilReady(_ plan: ServerPlan, _ program: RunningProgram) async throws -> JSONValue {
    let end = ContinuousClock.now + .seconds(HTTPConnection.patienceSeconds)
    while ContinuousClock.now < end {
      if let data = FileManager.default.contents(atPath: plan.readyFile) { return try JSONParser.parse(Array(data)) }
      if let exit = program.exit {
        throw DidNotStart(description: "ended with \(exit): \(program.errorOutput.suffix(2000))")
      }
      try await Task.sleep(for: .milliseconds(5))
    }
    throw DidNotStart(description: "not ready in time: \(program.errorOutput.suffix(2000))")
  }

  /// SIGKILL, and waits for the end.
  package func kill() async {
    program.send(signal: SIGKILL)
    _ = await program.waitForExit()
  }

  /// SIGTERM, and waits for the end.
  @discardableResult
  package func terminate() async -> RunningProgram.Exit {
    program.send(signal: SIGTERM)
    return await program.waitForExit()
  }

  package func connect(reads: Bool = true) async throws -> HTTPConnection {
    try await HTTPConnection.open(port: port, reads: reads)
  }

  /// Makes one call on a connection of its own.
  package func send(_ call: HTTPCall) async throws -> HTTPAnswer {
    let connection = try await connect()
    do {
      let answer = try await connection.send(call)
      await connection.close()
      return answer
    } catch {
      await connection.close()
      throw error
    }
  }

  /// The header of a merchant's call.
  package func authorization(_ key: String? = nil) -> (String, String) { ("authorization", "Basic \(key ?? apiKey)") }

  /// A merchant's call, by the playground's key.
  package func get(_ path: String) async throws -> HTTPAnswer {
    try await send(HTTPCall("GET", path, headers: [authorization()]))
  }

  package func delete(_ path: String) async throws -> HTTPAnswer {
    try await send(HTTPCall("DELETE", path, headers: [authorization()]))
  }

  package func post(_ path: String, _ json: JSONValue, headers: [(String, String)] = []) async throws -> HTTPAnswer {
    try await send(HTTPCall("POST", path, headers: [authorization()] + headers, json: json))
  }

  package func put(_ path: String, _ json: JSONValue) async throws -> HTTPAnswer {
    try await send(HTTPCall("PUT", path, headers: [authorization()], json: json))
  }

  /// Runs a command of the program on this server's database, beside it.
  package func administer(_ arguments: [String]) async throws -> ProgramResult {
    try await KassaProgram.run(
      arguments + ["--database-url", try plan.databaseURL], in: plan.folder,
      environment: try plan.storage.environment.merging(plan.environment) { $1 })
  }

  /// Another merchant of the same server.
  package func makeMerchant(_ name: String = "Other") async throws -> (id: String, apiKey: String) {
    let made = try await administer(["merchants", "create", "--name", name])
    let words = made.output.split(whereSeparator: \.isWhitespace).map(String.init)
    func after(_ label: String) throws -> String {
      guard let index = words.firstIndex(of: label), index + 1 < words.count else {
        throw DidNotStart(description: "no \(label) in: \(made.output)\(made.errorOutput)")
      }
      return words[index + 1]
    }
    return (try after("merchant_id"), try after("api_key"))
  }
}

/// Starts a server in a folder of its own, runs `body`, and ends the server whatever happens.
package func withServer<Value: Sendable>(
  _ command: String = "playground", _ options: [String] = [], environment: [String: String] = [:],
  _ body: (ServerProcess) async throws -> Value
) async throws -> Value {
  try await withTemporaryFolder { folder in
    try await withServer(ServerPlan(command, in: folder, options: options, environment: environment), body)
  }
}

/// Starts a server by its plan, runs `body`, and ends the server whatever happens.
package func withServer<Value: Sendable>(
  _ plan: ServerPlan, _ body: (ServerProcess) async throws -> Value
) async throws -> Value {
  let server = try await ServerProcess.start(plan)
  do {
    let value = try await body(server)
    await server.kill()
    return value
  } catch {
    await server.kill()
    throw error
  }
}
