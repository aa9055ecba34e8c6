import Foundation
import KassaTestDatabases
import KassaTestSupport
import Synchronization

/// Several servers on one database, any of which may be dead at any moment.
final class Fleet: Sendable {
  private let plans: [ServerPlan]
  private let servers: Mutex<[ServerProcess?]>
  private let refusals = Mutex<[HTTPAnswer]>([])

  /// Starts one server for each plan.
  init(_ plans: [ServerPlan]) async throws {
    self.plans = plans
    servers = Mutex(plans.map { _ in nil })
    for number in plans.indices { try await start(number) }
  }

  /// Plans of servers that differ in their names only.
  static func plans(
    _ count: Int, _ command: String = "playground", in folder: TemporaryFolder, options: [String]
  ) -> [ServerPlan] {
    (0..<count).map { ServerPlan(command, in: folder, options: options, name: "-\($0)") }
  }

  var count: Int { plans.count }

  /// Those that serve now.
  var living: [ServerProcess] { servers.withLock { $0.compactMap { $0 } } }

  /// One that serves now, whichever; waits until there is one.
  func anyone() async throws -> ServerProcess {
    while true {
      if let server = living.randomElement() { return server }
      try Task.checkCancellation()
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Answers that the database, or somebody who was quicker, stood in the way.
  var unavailable: [HTTPAnswer] { refusals.withLock { $0 } }

  func start(_ number: Int) async throws {
    let server = try await ServerProcess.start(plans[number])
    servers.withLock { $0[number] = server }
  }

  /// Ends a server by this signal and waits until it is gone. Nobody is sent to it any more.
  @discardableResult
  func end(_ number: Int, by signal: Int32) async -> RunningProgram.Exit? {
    let server = servers.withLock { servers in
      defer { servers[number] = nil }
      return servers[number]
    }
    guard let server else { return nil }
    server.program.send(signal: signal)
    return await server.program.waitForExit()
  }

  func endAll() async {
    for number in plans.indices { await end(number, by: SIGKILL) }
  }

  /// One try at a server: `nil` when nobody knows what came of it, because there was no answer, or one that asks to come
  /// again.
  func ask(_ call: HTTPCall, at server: ServerProcess) async -> HTTPAnswer? {
    guard let answer = try? await server.send(call) else { return nil }
    if answer.status == 503 { refusals.withLock { $0.append(answer) } }
    return answer.status == 503 || answer.code == "idempotency_in_progress" ? nil : answer
  }

  /// One try at whichever server.
  func ask(_ call: HTTPCall) async throws -> HTTPAnswer? { await ask(call, at: try await anyone()) }

  /// The same call to one server after another, until one answers: for what may be repeated.
  func insist(_ call: HTTPCall) async throws -> HTTPAnswer {
    let end = ContinuousClock.now + .seconds(HTTPConnection.patienceSeconds)
    while ContinuousClock.now < end {
      if let answer = try await ask(call) { return answer }
      try await Task.sleep(for: .milliseconds(20))
    }
    throw Missing(description: "no server answers \(call.method) \(call.path)")
  }

  /// Moves the clocks of all; each has its own.
  func advanceClocks(seconds: Int64) async throws {
    for server in living { try await Shop(server: server).advanceClock(seconds: seconds) }
  }
}

/// Starts servers, runs `body`, and ends them whatever happens.
func withFleet<Value: Sendable>(_ plans: [ServerPlan], _ body: (Fleet) async throws -> Value) async throws -> Value {
  let fleet = try await Fleet(plans)
  do {
    let value = try await body(fleet)
    await fleet.endAll()
    return value
  } catch {
    await fleet.endAll()
    throw error
  }
}
