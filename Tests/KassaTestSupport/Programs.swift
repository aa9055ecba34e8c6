import Foundation
import Synchronization

/// A program that was started as a process of its own, and is ended by its pid.
package final class RunningProgram: Sendable {
  package enum Exit: Sendable, Equatable {
    case status(Int32)
    case signal(Int32)
  }

  private let process: Process
  private let ending: Ending
  package let pid: Int32
  package let outputPath: String
  package let errorPath: String

  /// Starts `executable`. What it prints goes to two files. It sees `environment` and nothing else.
  package init(
    _ executable: String, _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:],
    printsTo name: String
  ) throws {
    outputPath = folder.file("\(name).stdout")
    errorPath = folder.file("\(name).stderr")
    let process = Process()
    process.executableURL = URL(filePath: executable)
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder.path)
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    process.environment = ["PATH": path, "HOME": folder.path].merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try Self.handle(appendingTo: outputPath)
    process.standardError = try Self.handle(appendingTo: errorPath)
    self.process = process
    let ending = Ending()
    self.ending = ending
    process.terminationHandler = { process in
      let status = process.terminationStatus
      ending.note(process.terminationReason == .exit ? .status(status) : .signal(status))
    }
    try process.run()
    pid = process.processIdentifier
  }

  package var exit: Exit? { ending.exit }

  /// Waits for its end.
  package func waitForExit() async -> Exit { await ending.wait() }

  /// Sends a signal, unless it has ended already.
  package func send(signal number: Int32) {
    ending.ifRunning { _ = Foundation.kill(pid, number) }
  }

  package var output: String { (try? String(contentsOfFile: outputPath, encoding: .utf8)) ?? "" }
  package var errorOutput: String { (try? String(contentsOfFile: errorPath, encoding: .utf8)) ?? "" }

  private static func handle(appendingTo path: String) throws -> FileHandle {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CocoaError(.fileWriteUnknown) }
    return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }
}

/// How a program ended, and who waits for it.
private final class Ending: Sendable {
  private struct State {
    var exit: RunningProgram.Exit?
    var waiting: [CheckedContinuation<RunningProgram.Exit, Never>] = []
  }

  private let state = Mutex(State())

  var exit: RunningProgram.Exit? { state.withLock { $0.exit } }

  func note(_ exit: RunningProgram.Exit) {
    let waiting = state.withLock { state in
      state.exit = exit
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume(returning: exit) }
  }

  func wait() async -> RunningProgram.Exit {
    await withCheckedContinuation { continuation in
      let exit = state.withLock { state in
        if state.exit == nil { state.waiting.append(continuation) }
        return state.exit
      }
      if let exit { continuation.resume(returning: exit) }
    }
  }

  func ifRunning(_ body: () -> Void) {
    state.withLock { state in
      if state.exit == nil { body() }
    }
  }
}

/// What a program printed and how it ended.
package struct ProgramResult: Sendable {
  package let exit: RunningProgram.Exit
  package let output: String
  package let errorOutput: String

  package var isSuccess: Bool { exit == .status(0) }
}

/// Runs a program to its end. A hang guard kills it.
package func run(
  _ executable: String, _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:],
  patienceSeconds: Int = 120
) async throws -> ProgramResult {
  let program = try RunningProgram(
    executable, arguments, in: folder, environment: environment, printsTo: "run-\(UUID().uuidString)")
  let hangGuard = Task {
    try await Task.sleep(for: .seconds(patienceSeconds))
    program.send(signal: SIGKILL)
  }
  let exit = await program.waitForExit()
  hangGuard.cancel()
  defer {
    try? FileManager.default.removeItem(atPath: program.outputPath)
    try? FileManager.default.removeItem(atPath: program.errorPath)
  }
  return ProgramResult(exit: exit, output: program.output, errorOutput: program.errorOutput)
}

/// The program under test, which the package manager builds beside the tests.
package enum KassaProgram {
  package static var path: String {
    let running =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    return URL(filePath: running).deletingLastPathComponent().appending(path: "kassa").path
  }

  /// Runs one command of it to its end.
  package static func run(
    _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:]
  ) async throws -> ProgramResult {
    try await KassaTestSupport.run(path, arguments, in: folder, environment: environment)
  }
}

/// Lets this process open as many files as the system allows it: thousands of phones are thousands of sockets.
package func raiseOpenFilesLimit() {
  var limit = rlimit()
  guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
  limit.rlim_cur = limit.rlim_max
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
