import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Pages in a real browser, driven over WebDriver. One after the other: each starts a browser of its own.
@Suite(.serialized) enum Web {}

/// Why a page did not do what a test asked of it.
struct WebFailure: Error, CustomStringConvertible {
  let description: String
}

/// Debian's `chromedriver`, on a free port of 127.0.0.1.
final class WebDriver: Sendable {
  private let program: RunningProgram
  private let port: Int

  private init(program: RunningProgram, port: Int) {
    self.program = program
    self.port = port
  }

  private static let executable = "/usr/bin/chromedriver"

  /// Starts it and waits until it listens.
  static func start(in folder: TemporaryFolder) async throws -> WebDriver {
    guard FileManager.default.isExecutableFile(atPath: executable) else {
      throw WebFailure(description: "\(executable) is missing: apt-get install chromium chromium-driver")
    }
    // A thread of a test may block signals, and what it starts inherits that; browsers need theirs.
    let program = try RunningProgram(
      "/usr/bin/env", ["--default-signal", executable, "--port=0"], in: folder, printsTo: "chromedriver")
    let end = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < end {
      if let found = program.output.firstMatch(of: /successfully on port (\d+)/), let port = Int(found.1) {
        return WebDriver(program: program, port: port)
      }
      if let exit = program.exit { throw WebFailure(description: "chromedriver ended with \(exit)") }
      try await Task.sleep(for: .milliseconds(5))
    }
    throw WebFailure(description: "chromedriver did not start: \(program.output)\(program.errorOutput)")
  }

  func stop() async {
    program.send(signal: SIGTERM)
    _ = await program.waitForExit()
  }

  /// One command of the protocol (W3C WebDriver, section 6); answers its `value`.
  func send(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
    let connection = try await HTTPConnection.open(port: port)
    let call =
      if let body { HTTPCall(method, path, json: body) } else { HTTPCall(method, path) }
    let answer: HTTPAnswer
    do {
      answer = try await connection.send(call)
    } catch {
      await connection.close()
      throw error
    }
    await connection.close()
    guard answer.status == 200, let value = answer.json["value"] else {
      let reason = answer.json["value"]?["message"]?.text ?? answer.text
      throw WebFailure(description: "\(method) \(path): \(reason.prefix(600))")
    }
    return value
  }
}

/// How a browser is started.
struct BrowserSetting: Sendable {
  var width = 375
  var height = 812
  var isDark = false
  var language = "en"
}

/// A browser with a fresh profile, and the window in front.
final class Browser: Sendable {
  private let driver: WebDriver
  private let session: String
  let setting: BrowserSetting

  private init(driver: WebDriver, session: String, setting: BrowserSetting) {
    self.driver = driver
    self.session = session
    self.setting = setting
  }

  static func open(_ driver: WebDriver, _ setting: BrowserSetting) async throws -> Browser {
    let arguments = [
      "--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio",
      "--lang=\(setting.language)", "--accept-lang=\(setting.language)",
      "--window-size=\(setting.width),\(setting.height)",
    ]
    // Chromium's own sandbox refuses to run as root, as in a container.
    let all = getuid() == 0 ? arguments + ["--no-sandbox"] : arguments
    let made = try await driver.send(
      "POST", "/session",
      [
        "capabilities": [
          "alwaysMatch": [
            "browserName": "chrome", "goog:loggingPrefs": ["browser": "ALL"],
            "goog:chromeOptions": ["args": .array(all.map(JSONValue.string))],
          ]
        ]
      ])
    guard let session = made["sessionId"]?.text else { throw WebFailure(description: "no session: \(made)") }
    let browser = Browser(driver: driver, session: session, setting: setting)
    try await browser.resize(width: setting.width, height: setting.height)
    try await browser.setScheme(isDark: setting.isDark)
    return browser
  }

  func close() async { _ = try? await command("DELETE", "") }

  @discardableResult
  private func command(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
    try await driver.send(method, "/session/\(session)\(path)", body)
  }

  // Windows.

  func go(_ url: String) async throws { try await command("POST", "/url", ["url": .string(url)]) }
  func reload() async throws { try await command("POST", "/refresh", [:]) }
  func back() async throws { try await command("POST", "/back", [:]) }
  var address: String { get async throws { try await command("GET", "/url").text ?? "" } }
  var windows: [String] { get async throws { try await command("GET", "/window/handles").elements.compactMap(\.text) } }
  var window: String { get async throws { try await command("GET", "/window").text ?? "" } }

  func use(window: String) async throws { try await command("POST", "/window", ["handle": .string(window)]) }

  /// A call of the browser's own protocol (Chrome DevTools).
  @discardableResult
  func developer(_ name: String, _ parameters: JSONValue = [:]) async throws -> JSONValue {
    try await command("POST", "/goog/cdp/execute", ["cmd": .string(name), "params": parameters])
  }

  func resize(width: Int, height: Int) async throws {
    try await developer(
      "Emulation.setDeviceMetricsOverride",
      [
        "width": .integer(Int64(width)), "height": .integer(Int64(height)), "deviceScaleFactor": 1,
        "mobile": .bool(width < 600),
      ])
  }

  func setScheme(isDark: Bool) async throws {
    let scheme: JSONValue = ["name": "prefers-color-scheme", "value": .string(isDark ? "dark" : "light")]
    // Still pictures: what moves would be caught half-way.
    let motion: JSONValue = ["name": "prefers-reduced-motion", "value": "reduce"]
    try await developer("Emulation.setEmulatedMedia", ["features": .array([scheme, motion])])
  }

  /// Takes the network away, and gives it back.
  func setOffline(_ isOffline: Bool) async throws {
    try await developer("Network.enable")
    try await developer(
      "Network.emulateNetworkConditions",
      ["offline": .bool(isOffline), "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1])
  }

  // What a person does.

  private func element(_ selector: String) async throws -> String {
    let found = try await command(
      "POST", "/element", ["using": "css selector", "value": .string(selector)])
    guard let id = found.members.first?.value.text else { throw WebFailure(description: "no \(selector)") }
    return id
  }

  /// Waits for the element to be there and able to be pressed, brings it into the middle, and presses it.
  func click(_ selector: String) async throws {
    let quoted = quotedForScript(selector)
    try await wait(for: "(e => e && !e.disabled && e.ariaDisabled !== 'true')(document.querySelector(\(quoted)))")
    try await run("document.querySelector(\(quoted)).scrollIntoView({ block: 'center' })")
    try await command("POST", "/element/\(try await element(selector))/click", [:])
  }

  func type(_ text: String, into selector: String) async throws {
    try await wait(for: "document.querySelector(\(quotedForScript(selector)))")
    try await command("POST", "/element/\(try await element(selector))/value", ["text": .string(text)])
  }

  /// Presses and lets go one key, wherever the focus is.
  func press(_ key: String) async throws {
    let actions: JSONValue = [
      ["type": "keyDown", "value": .string(key)], ["type": "keyUp", "value": .string(key)],
    ]
    try await command("POST", "/actions", ["actions": [["type": "key", "id": "keyboard", "actions": actions]]])
  }

  // What a person sees.

  /// Runs a script's body and answers what it returns; a promise is waited for.
  @discardableResult
  func run(_ script: String, _ arguments: [JSONValue] = []) async throws -> JSONValue {
    let whole = "return (async () => { \(script)\n})();"
    return try await command("POST", "/execute/sync", ["script": .string(whole), "args": .array(arguments)])
  }

  func value(_ expression: String) async throws -> JSONValue { try await run("return \(expression)") }

  /// Waits until the expression is true in the page.
  func wait(for expression: String, seconds: Double = 20, at location: SourceLocation = #_sourceLocation) async throws {
    let script = """
      const end = performance.now() + \(seconds * 1000);
      const check = () => { try { return Boolean(\(expression)); } catch { return false; } };
      return new Promise((resolve) => {
        const look = () => check() ? resolve(true) : performance.now() > end ? resolve(false) : setTimeout(look, 20);
        look();
      });
      """
    guard try await run(script).bool == true else {
      let text = try await value("document.body.innerText").text ?? ""
      let noise = try await logs().joined(separator: "\n")
      throw WebFailure(description: "never in \(seconds) s (\(location)): \(expression)\nThe page:\n\(text)\n\(noise)")
    }
  }

  /// Waits until the text is somewhere on the page.
  func wait(forText text: String, at location: SourceLocation = #_sourceLocation) async throws {
    try await wait(for: "document.body.innerText.includes(\(quotedForScript(text)))", at: location)
  }

  func text(_ selector: String) async throws -> String {
    try await value("document.querySelector(\(quotedForScript(selector)))?.innerText ?? ''").text ?? ""
  }

  func has(_ selector: String) async throws -> Bool {
    try await value("document.querySelector(\(quotedForScript(selector))) !== null").bool == true
  }

  /// What the browser itself complained of since it was asked last: errors of scripts, of the network, and of the
  /// policy that a page is under.
  func logs() async throws -> [String] {
    try await command("POST", "/se/log", ["type": "browser"]).elements.compactMap { entry in
      guard entry["level"]?.text == "SEVERE" else { return nil }
      return entry["message"]?.text
    }
  }

  /// A picture of the window in `.build/screenshots`, for people to look at.
  func picture(_ name: String) async throws {
    let data = try await command("GET", "/screenshot").text ?? ""
    let folder = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../.build/screenshots").standardizedFileURL
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let file = "\(name)-\(setting.width)\(setting.isDark ? "-dark" : "")\(setting.language == "en" ? "" : "-sv").png"
    guard let bytes = Data(base64Encoded: data) else { throw WebFailure(description: "no picture of \(name)") }
    try bytes.write(to: folder.appending(path: file))
  }
}

/// A text as a literal of JavaScript.
func quotedForScript(_ text: String) -> String { String(decoding: JSONValue.string(text).bytes, as: UTF8.self) }

/// Starts a browser, runs `body`, and ends the browser whatever happens. What the browser complained of is an issue,
/// unless it is an answer with a status that the test `expects`, or that the network was gone and it expects 0.
func withBrowser<Value: Sendable>(
  _ setting: BrowserSetting = BrowserSetting(), expects statuses: [Int] = [],
  at location: SourceLocation = #_sourceLocation, _ body: (Browser) async throws -> Value
) async throws -> Value {
  try await withTemporaryFolder { folder in
    let driver = try await WebDriver.start(in: folder)
    do {
      let browser = try await Browser.open(driver, setting)
      do {
        let value = try await body(browser)
        for complaint in try await browser.logs() where !isExpected(complaint, statuses) {
          Issue.record("the browser complains: \(complaint)", sourceLocation: location)
        }
        await browser.close()
        await driver.stop()
        return value
      } catch {
        try? await browser.picture("failure-\(location.fileID.split(separator: "/").last ?? "")-\(location.line)")
        await browser.close()
        throw error
      }
    } catch {
      await driver.stop()
      throw error
    }
  }
}

private func isExpected(_ complaint: String, _ statuses: [Int]) -> Bool {
  guard complaint.contains("Failed to load resource") else { return false }
  return statuses.contains { $0 == 0 ? complaint.contains("net::ERR_") : complaint.contains("status of \($0) ") }
}
