import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Pages of tills, buyers and receipts. One after the other: each starts a browser of its own.
@Suite(.serialized, .timeLimit(.minutes(2))) enum Web {}

extension Browser {
  /// Waits until the expression is true in the page.
  func wait(for expression: String) async throws {
    try await wait(expression, "try { return Boolean(await (\(expression))) } catch { return false }")
  }

  /// Runs a script's body, in which `await` may be used, and answers what it returns.
  @discardableResult
  func run(_ script: String, _ arguments: [JSONValue] = []) async throws -> JSONValue {
    let whole = "return (async () => { \(script)\n})();"
    return try await command("POST", "/execute/sync", ["script": .string(whole), "args": .array(arguments)])
  }

  func value(_ expression: String) async throws -> JSONValue { try await evaluate("return \(expression)") }
  func has(_ selector: String) async throws -> Bool {
    try await value("document.querySelector(\(quotedForScript(selector))) !== null") == true
  }

  func reload() async throws { try await command("POST", "/refresh") }
  var address: String { get async throws { try await command("GET", "/url").text ?? "" } }

  /// Presses what the selector finds, once it is there and can be pressed.
  func touch(_ selector: String) async throws {
    let quoted = quotedForScript(selector)
    try await wait(for: "(e => e && !e.disabled && e.ariaDisabled !== 'true')(document.querySelector(\(quoted)))")
    try await run("document.querySelector(\(quoted)).scrollIntoView({ block: 'center' })")
    try await click(selector: selector)
  }

  /// Takes the network away, and gives it back.
  func setOffline(_ isOffline: Bool) async throws {
    try await chromium("Network.enable")
    try await chromium(
      "Network.emulateNetworkConditions",
      ["offline": .bool(isOffline), "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1])
  }

  /// A picture of what is on the screen, for people to look at: `.build/screenshots/NAME.png`.
  func view(_ name: String) async throws {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../.build/screenshots")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    guard let data = try await command("GET", "/screenshot").text.flatMap({ Data(base64Encoded: $0) }) else {
      throw Failure(description: "no picture of \(name)")
    }
    try data.write(to: folder.appending(path: "\(name).png"))
  }
}

/// A text as a literal of JavaScript.
func quotedForScript(_ text: String) -> String { String(decoding: JSONValue.string(text).bytes, as: UTF8.self) }
