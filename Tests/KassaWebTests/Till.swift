import KassaJSON
import KassaTestSupport
import Testing

/// A playground with a browser that is a till of it.
struct Till: Sendable {
  let server: ServerProcess
  let browser: Browser
  let deviceID: String
  let screen: Screen

  /// A picture of the screen, for people to look at.
  func picture(_ name: String) async throws { try await browser.view(name, on: screen) }

  /// Asks for a payment on this till; answers the session's id.
  @discardableResult
  func ask(
    _ items: [JSONValue] = [line("T-Shirt", 19_900, quantity: 2), line("Socks", 4_900)], currency: String = "SEK"
  )
    async throws -> String
  {
    let total = items.reduce(0) { $0 + ($1["total_amount"]?.integer ?? 0) }
    let made = try await server.post(
      "/ipp/v1/sessions",
      [
        "device_id": .string(deviceID), "order_amount": .integer(total), "purchase_currency": .string(currency),
        "merchant_reference1": "ORDER-12345", "order_items": .array(items),
      ])
    return try #require(made.json["session_id"]?.text, "\(made)")
  }

  func session(_ id: String) async throws -> JSONValue { try await server.get("/ipp/v1/sessions/\(id)").json }

  /// Plans what the next calls of one operation of the card network do.
  func plan(_ operation: String, _ fault: String, count: Int64 = 1) async throws {
    let planned = try await server.post(
      "/ipp/v1/dev/card-faults",
      ["operation": .string(operation), "fault": .string(fault), "count": .integer(count)])
    try #require(planned.status == 204, "\(planned)")
  }

  /// Waits for the screen of that name.
  func wait(forScreen name: String) async throws {
    try await browser.wait(for: "document.querySelector('main.screen.\(name)')")
  }

  func waitUntilLive() async throws {
    try await browser.wait(for: "document.querySelector('.connection.live')")
  }

  /// Chooses the card, and lets it do what `outcome` says.
  func payByCard(_ outcome: String = "SUCCESS") async throws {
    try await browser.touch("[data-method=CARD]")
    try await browser.touch("[data-outcome=\(outcome)]")
  }
}

/// One line of a cart, a quarter of it tax on top.
func line(_ name: String, _ price: Int64, quantity: Int64 = 1) -> JSONValue {
  let total = price * quantity
  return [
    "name": .string(name), "quantity": .integer(quantity), "unit_price": .integer(price),
    "total_amount": .integer(total), "tax_rate": 2500, "total_tax_amount": .integer(total / 5),
  ]
}

extension ServerProcess {
  /// An enrollment's code and the token of its deep link.
  func makeEnrollment() async throws -> (code: String, link: String) {
    let made = try await post("/ipp/v1/enrollments", [:])
    let code = try #require(made.json["enrollment_code"]?.text, "\(made)")
    let link = try #require(made.json["enrollment_url"]?.text, "\(made)")
    return (code, link)
  }
}

/// The screen of a till, and how its person reads.
struct Screen: Sendable {
  var width = 375
  var height = 812
  var isDark = false
  var language = "en"
  var textPixels = 16

  var name: String {
    "\(width)\(isDark ? "-dark" : "")\(language == "en" ? "" : "-\(language)")\(textPixels == 16 ? "" : "-text-\(textPixels)")"
  }
}

extension Browser {
  /// A picture of what this screen shows; with `takesAllPictures` one in each size and scheme, each held against the
  /// rules.
  func view(_ name: String, on screen: Screen) async throws {
    try await view("pos-\(name)-\(screen.name)")
    guard takesAllPictures, screen.textPixels == 16 else { return }
    for (width, height) in [(375, 812), (768, 1024), (1440, 900)] {
      for isDark in [false, true] {
        var other = screen
        (other.width, other.height, other.isDark) = (width, height, isDark)
        guard other.name != screen.name else { continue }
        try await look(width: width, height: height, isDark: isDark)
        try await audit("\(name)-\(other.name)")
        try await view("pos-\(name)-\(other.name)")
      }
    }
    try await look(width: screen.width, height: screen.height, isDark: screen.isDark)
  }
}

/// Starts a playground and a browser, and pairs the browser by its deep link.
func withTill(
  _ screen: Screen = Screen(), expects statuses: [Int] = [], at location: SourceLocation = #_sourceLocation,
  _ body: (Till) async throws -> Void
) async throws {
  try await withPhone(screen, expects: statuses, at: location) { browser, server in
    let enrollment = try await server.makeEnrollment()
    try await browser.open(enrollment.link)
    try await browser.type("Till 1", into: "#till-name")
    try await browser.touch("button[type=submit]")
    try await browser.wait(for: "document.querySelector('main.screen.line')")
    let listed = try await server.get("/ipp/v1/devices")
    let device = try #require(listed.json["content"]?.elements.first?["id"]?.text, "\(listed)")
    let till = Till(server: server, browser: browser, deviceID: device, screen: screen)
    try await till.waitUntilLive()
    try await body(till)
  }
}

/// A browser that has the screen of a phone.
func withPhone(
  _ screen: Screen = Screen(), expects statuses: [Int] = [], at location: SourceLocation = #_sourceLocation,
  _ body: (Browser, ServerProcess) async throws -> Void
) async throws {
  try await withBrowser(
    language: screen.language, textPixels: screen.textPixels, expects: statuses, at: location
  ) { browser, server in
    try await browser.look(width: screen.width, height: screen.height, isDark: screen.isDark)
    try await body(browser, server)
  }
}
