import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// A headless Chromium, driven over WebDriver (W3C) by `chromedriver`. Used by one task at a time.
final class Browser: Sendable {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  /// An element of the page, as WebDriver names it.
  struct Element: Sendable {
    let reference: JSONValue
    var id: String { reference.members.first?.value.text ?? "" }
  }

  /// A hang guard: what is waited for comes much earlier, or never.
  static let patienceSeconds = 30

  private let driver: RunningProgram
  private let port: Int
  private let session: String

  private init(driver: RunningProgram, port: Int, session: String) {
    self.driver = driver
    self.port = port
    self.session = session
  }

  /// What `find` still finds once the page has come to rest: a colour on its way to another is no flaw.
  func lasting(_ find: () async throws -> [String]) async throws -> [String] {
    for _ in 0..<20 {
      if try await find().isEmpty { return [] }
      try await Task.sleep(for: .milliseconds(100))
    }
    return try await find()
  }

  /// The driver takes a free port for IPv6, which another program may have for IPv4: then it is started again.
  /// `textPixels`: how large its person set text to be.
  static func start(language: String, textPixels: Int = 16, in folder: TemporaryFolder) async throws -> Browser {
    for _ in 0..<4 {
      do {
        return try await startOnce(language: language, textPixels: textPixels, in: folder)
      } catch let failure as Failure where failure.description.contains("Address already in use") {
        continue
      }
    }
    return try await startOnce(language: language, textPixels: textPixels, in: folder)
  }

  private static func startOnce(
    language: String, textPixels: Int, in folder: TemporaryFolder
  ) async throws -> Browser {
    // A thread of a test may block signals, and what it starts inherits that; browsers need theirs.
    let driver = try RunningProgram(
      "/usr/bin/env", ["--default-signal", "chromedriver", "--port=0"], in: folder, printsTo: "driver")
    do {
      let port = try await port(of: driver)
      // As root there is no sandbox to have; the pages under test are our own.
      let arguments: [JSONValue] = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--force-color-profile=srgb", .string("--lang=\(language)"),
      ]
      let made = try await command(
        port, "POST", "/session",
        [
          "capabilities": [
            "alwaysMatch": [
              "goog:loggingPrefs": ["browser": "ALL"],
              "goog:chromeOptions": [
                "args": .array(arguments),
                "prefs": [
                  "intl.accept_languages": .string(language),
                  "webkit.webprefs.default_font_size": .integer(Int64(textPixels)),
                ],
              ],
            ]
          ]
        ])
      guard let session = made["sessionId"]?.text else { throw Failure(description: "no session: \(made)") }
      return Browser(driver: driver, port: port, session: session)
    } catch {
      driver.send(signal: SIGTERM)
      _ = await driver.waitForExit()
      throw error
    }
  }

  private static func port(of driver: RunningProgram) async throws -> Int {
    let end = ContinuousClock.now + .seconds(patienceSeconds)
    while ContinuousClock.now < end {
      if let match = driver.output.firstMatch(of: /started successfully on port (\d+)/), let port = Int(match.1) {
        return port
      }
      if let exit = driver.exit {
        throw Failure(description: "chromedriver ended with \(exit): \(driver.output)\(driver.errorOutput)")
      }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw Failure(description: "chromedriver did not start: \(driver.output)\(driver.errorOutput)")
  }

  func close() async {
    _ = try? await command("DELETE", "")
    driver.send(signal: SIGTERM)
    _ = await driver.waitForExit()
  }

  private static func command(_ port: Int, _ method: String, _ path: String, _ json: JSONValue?) async throws
    -> JSONValue
  {
    let connection = try await HTTPConnection.open(port: port)
    let call = json.map { HTTPCall(method, path, json: $0) } ?? HTTPCall(method, path)
    let answer: HTTPAnswer
    do {
      answer = try await connection.send(call)
    } catch {
      await connection.close()
      throw error
    }
    await connection.close()
    let value = answer.json["value"] ?? .null
    if let error = value["error"]?.text {
      throw Failure(description: "\(method) \(path): \(error): \(value["message"]?.text?.prefix(400) ?? "")")
    }
    return value
  }

  @discardableResult
  func command(_ method: String, _ path: String, _ json: JSONValue? = nil) async throws -> JSONValue {
    try await Self.command(
      port, method, "/session/\(session)\(path)", json ?? (method == "POST" ? [:] : JSONValue?.none))
  }

  /// A command of Chromium's own protocol.
  @discardableResult
  func chromium(_ command: String, _ parameters: JSONValue = [:]) async throws -> JSONValue {
    try await self.command("POST", "/goog/cdp/execute", ["cmd": .string(command), "params": parameters])
  }

  // MARK: Looking

  func open(_ url: String) async throws { try await command("POST", "/url", ["url": .string(url)]) }

  /// Runs a function's body in the page; `arguments` are its arguments.
  @discardableResult
  func evaluate(_ script: String, _ arguments: JSONValue...) async throws -> JSONValue {
    try await command("POST", "/execute/sync", ["script": .string(script), "args": .array(arguments)])
  }

  /// Waits until `script` gives something that is not null, false, 0 or empty. Throws with what the page shows instead.
  @discardableResult
  func wait(
    _ what: String, _ script: String, _ arguments: JSONValue...
  ) async throws -> JSONValue {
    let end = ContinuousClock.now + .seconds(Self.patienceSeconds)
    while ContinuousClock.now < end {
      let value = try await command(
        "POST", "/execute/sync", ["script": .string(script), "args": .array(arguments)])
      switch value {
      case .null, .bool(false), .integer(0), .string(""): break
      default: return value
      }
      try await Task.sleep(for: .milliseconds(20))
    }
    let shown = (try? await evaluate("return document.body.innerText"))?.text ?? ""
    throw Failure(description: "\(what) did not come; the page shows:\n\(shown.prefix(2000))")
  }

  /// What the page shows, with usual spaces where amounts have some that do not break.
  private static let shown = #"document.body.innerText.replaceAll(/[\u00a0\u202f]/g, " ")"#

  /// Waits until the page shows `text`.
  func waitForText(_ text: String) async throws {
    try await wait("“\(text)”", "return \(Self.shown).includes(arguments[0])", .string(text))
  }

  func waitForNoText(_ text: String) async throws {
    try await wait("an end of “\(text)”", "return !\(Self.shown).includes(arguments[0])", .string(text))
  }

  func text(_ selector: String) async throws -> String {
    try await wait(selector, "return document.querySelector(arguments[0])?.innerText", .string(selector)).text ?? ""
  }

  // MARK: Acting

  /// The element with this accessible text that can be used now: in the open dialog, if there is one.
  private static let findByText = """
    const [selector, text] = arguments;
    const dialog = document.querySelector("dialog[open]");
    const all = [...document.querySelectorAll(selector)].filter((element) =>
      (!dialog || dialog.contains(element)) && !element.disabled && element.checkVisibility({ visibilityProperty: true }));
    const words = (element) => [element.getAttribute("aria-label") ?? "", element.innerText.trim()];
    return all.find((element) => words(element).includes(text))
      ?? all.find((element) => words(element).some((each) => each.startsWith(text))) ?? null;
    """

  /// Acts on an element, once it can be: what was found may be drawn anew or moved before it is reached. Then it is looked
  /// for again.
  private func act(_ find: () async throws -> Element, _ work: (Element) async throws -> Void) async throws {
    let passing = ["stale element reference", "element click intercepted", "element not interactable"]
    let end = ContinuousClock.now + .seconds(Self.patienceSeconds)
    while true {
      do {
        return try await work(try await find())
      } catch let failure as Failure where passing.contains(where: failure.description.contains) {
        if ContinuousClock.now > end { throw failure }
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  /// Clicks what is named so, once it is there and can be clicked.
  func click(_ text: String, _ selector: String = "button, a, summary, label") async throws {
    try await act {
      Element(reference: try await wait("“\(text)” to click", Self.findByText, .string(selector), .string(text)))
    } _: { element in
      try await command("POST", "/element/\(element.id)/click")
    }
  }

  func click(selector: String) async throws {
    try await act {
      try await element(selector)
    } _: {
      try await command("POST", "/element/\($0.id)/click")
    }
  }

  /// Types into what the selector finds, after what stands there.
  func type(_ text: String, into selector: String) async throws {
    try await act {
      try await element(selector)
    } _: {
      try await command("POST", "/element/\($0.id)/value", ["text": .string(text)])
    }
  }

  func element(_ selector: String) async throws -> Element {
    Element(
      reference: try await wait(selector, "return document.querySelector(arguments[0])", .string(selector)))
  }

  /// The field with this label, in the open dialog if there is one.
  private func field(_ label: String) async throws -> Element {
    let script = """
      const dialog = document.querySelector("dialog[open]") ?? document;
      const label = [...dialog.querySelectorAll("label")].find((each) => each.innerText.trim().startsWith(arguments[0]));
      return label ? (label.htmlFor ? document.getElementById(label.htmlFor) : label.querySelector("input")) : null;
      """
    return Element(reference: try await wait("the field “\(label)”", script, .string(label)))
  }

  /// Puts `text` in place of what stands in the field.
  func fill(_ label: String, with text: String) async throws {
    try await act {
      try await field(label)
    } _: { element in
      try await command("POST", "/element/\(element.id)/clear")
      try await command("POST", "/element/\(element.id)/value", ["text": .string(text)])
    }
  }

  /// Chooses the option with this text, once it is there.
  func choose(_ label: String, _ option: String) async throws {
    try await act {
      try await field(label)
    } _: { select in
      try await wait(
        "the option “\(option)”",
        """
        const [select, text] = arguments;
        const option = [...select.options].find((option) => option.text.startsWith(text));
        if (!option) return false;
        select.value = option.value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
        return true;
        """, select.reference, .string(option))
    }
  }

  /// Presses keys wherever the focus is, like `\u{e004}` for Tab.
  func press(_ keys: String) async throws {
    let actions = keys.flatMap { key -> [JSONValue] in
      [["type": "keyDown", "value": .string(String(key))], ["type": "keyUp", "value": .string(String(key))]]
    }
    try await command(
      "POST", "/actions", ["actions": [["type": "key", "id": "keyboard", "actions": .array(actions)]]])
  }

  // MARK: Windows

  var windows: [String] {
    get async throws { try await command("GET", "/window/handles").elements.compactMap(\.text) }
  }

  func show(window: String) async throws { try await command("POST", "/window", ["handle": .string(window)]) }

  /// A screen of this size, in this scheme.
  func look(width: Int, height: Int = 900, isDark: Bool = false) async throws {
    try await chromium(
      "Emulation.setDeviceMetricsOverride",
      [
        "width": .integer(Int64(width)), "height": .integer(Int64(height)), "deviceScaleFactor": 1,
        "mobile": .bool(width < 600),
      ])
    try await chromium(
      "Emulation.setEmulatedMedia",
      [
        "features": [
          ["name": "prefers-color-scheme", "value": isDark ? "dark" : "light"],
          // What moves would be caught half-way.
          ["name": "prefers-reduced-motion", "value": "reduce"],
        ]
      ])
  }

  /// Saves the whole page as a picture, for people to look at: `.build/screenshots/NAME.png`.
  func picture(_ name: String) async throws {
    let size = try await chromium("Page.getLayoutMetrics")["cssContentSize"]
    let clip: JSONValue = [
      "x": 0, "y": 0, "width": size?["width"] ?? 1440, "height": size?["height"] ?? 900, "scale": 1,
    ]
    let taken = try await chromium(
      "Page.captureScreenshot", ["format": "png", "captureBeyondViewport": true, "clip": clip])
    guard let data = taken["data"]?.text.flatMap({ Data(base64Encoded: $0) }) else {
      throw Failure(description: "no picture")
    }
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../.build/screenshots")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try data.write(to: folder.appending(path: "\(name).png"))
  }

  /// What the console was told since the last look, errors and broken security policies alike.
  func consoleErrors() async throws -> [String] {
    try await command("POST", "/se/log", ["type": "browser"]).elements
      .filter { $0["level"]?.text == "SEVERE" || $0["message"]?.text?.contains("Content Security Policy") == true }
      .compactMap { $0["message"]?.text }
  }
}

/// Whether every screen is looked at in every size and scheme, which takes some minutes more: `KASSA_TEST_PICTURES=all`.
let takesAllPictures = ProcessInfo.processInfo.environment["KASSA_TEST_PICTURES"] == "all"

/// Starts a server and a browser, runs `body`, and ends both whatever happens. A console error is an issue, unless
/// `allowsConsoleErrors`, or it is of an answer with a status that the test `expects` (0: none came, for the network was
/// gone): browsers write every refused request there.
func withBrowser(
  _ options: [String] = [], language: String = "en", textPixels: Int = 16, allowsConsoleErrors: Bool = false,
  expects statuses: [Int] = [],
  at location: SourceLocation = #_sourceLocation, _ body: (Browser, ServerProcess) async throws -> Void
) async throws {
  try await withTemporaryFolder { folder in
    try await withServer(ServerPlan("playground", in: folder, options: options)) { server in
      let browser = try await Browser.start(language: language, textPixels: textPixels, in: folder)
      do {
        try await browser.look(width: 1440)
        try await body(browser, server)
        let errors = try await browser.consoleErrors().filter { error in
          !statuses.contains { error.contains($0 == 0 ? "net::ERR_" : "status of \($0) ") }
        }
        if !allowsConsoleErrors { #expect(errors == [], sourceLocation: location) }
      } catch {
        try? await browser.picture("failed-\(location.line)")
        await browser.close()
        throw error
      }
      await browser.close()
    }
  }
}
