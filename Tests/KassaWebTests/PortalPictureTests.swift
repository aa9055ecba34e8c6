import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// A window, its scheme and its language.
struct Look: Sendable, CustomTestStringConvertible {
  let language: String
  let width: Int
  var isDark = false

  var name: String { "\(width)-\(language)\(isDark ? "-dark" : "")" }
  var testDescription: String { name }

  /// Phone, tablet and desk; light and dark; in both languages. 320 is a desk of 1280 at 400 % (WCAG, 1.4.10).
  static let all = takesAllPictures ? crossed : usual

  private static let crossed = ["en", "sv"].flatMap { language in
    [320, 375, 768, 1440].flatMap { width in
      [false, true].map { Look(language: language, width: width, isDark: $0) }
    }
  }

  private static let usual = [
    Look(language: "en", width: 320), Look(language: "en", width: 375), Look(language: "sv", width: 375, isDark: true),
    Look(language: "sv", width: 768), Look(language: "en", width: 768, isDark: true), Look(language: "en", width: 1440),
    Look(language: "sv", width: 1440, isDark: true),
  ]
}

/// Every screen and dialog of the portal as a picture, and held against the rules: empty, and full of long words, many
/// lines and large amounts.
@Suite(.timeLimit(.minutes(4))) struct PortalPictureTests {
  private static let lists = [
    "sessions", "orders", "devices", "codes", "locations", "methods", "security", "webhooks", "keys", "audit",
  ]

  @Test(arguments: Look.all) func everyListCanBeUsedWhileItIsEmpty(look: Look) async throws {
    try await withBrowser(language: look.language) { browser, server in
      try await browser.look(width: look.width, isDark: look.isDark)
      try await browser.open("\(server.url)/portal")
      try await browser.wait("the form", "return document.querySelector('input[type=password]') !== null")
      try await browser.audit("signing in", for: .pointer)
      try await browser.picture("portal-sign-in-\(look.name)")
      try await browser.signIn(to: server)
      for screen in Self.lists { try await show("#/\(screen)", as: "\(screen)-empty", browser, look) }
    }
  }

  @Test(arguments: Look.all) func everyScreenAndDialogCanBeUsedWhenThereIsMuch(look: Look) async throws {
    try await withBrowser(language: look.language) { browser, server in
      try await browser.look(width: look.width, isDark: look.isDark)
      let made = try await fill(server)
      try await browser.signIn(to: server)
      for screen in Self.lists { try await show("#/\(screen)", as: "\(screen)-full", browser, look) }
      for (address, name) in made { try await show(address, as: name, browser, look) }
      // What opens at a press, by the first button of each screen.
      for screen in ["sessions", "devices", "locations", "webhooks", "keys"] {
        try await browser.goAndRead("#/\(screen)")
        try await open(".head .actions .primary", as: "\(screen)-dialog", browser, look)
      }
      for (address, name) in made where ["order", "device", "session-open"].contains(name) {
        try await browser.goAndRead(address)
        try await open(".head .actions .button:last-child", as: "\(name)-dialog", browser, look)
      }
      try await browser.goAndRead("#/methods")
      try await open(".method:nth-child(3) > .actions .button", as: "method-dialog", browser, look)
      // A secret, shown this once.
      try await browser.goAndRead("#/keys")
      try await browser.click(selector: ".head .actions .primary")
      try await browser.type("Utomhusserveringens bokföringssystem", into: "dialog [name=name]")
      try await browser.press("\u{E007}")
      try await browser.wait("the key", "return document.querySelector('dialog .secret') !== null")
      try await browser.audit("a secret", for: .pointer)
      try await browser.view("portal-secret-\(look.name)")
      // A delivery unfolded.
      try await browser.goAndRead(made.first { $0.name == "webhook" }?.address ?? "")
      try await browser.wait("a delivery", "return document.querySelector('.delivery-open') !== null")
      try await browser.click(selector: ".delivery-open")
      try await browser.wait("its payload", "return document.querySelector('.payload') !== null")
      try await browser.audit("a delivery", for: .pointer)
      try await browser.picture("portal-delivery-\(look.name)")
    }
  }

  /// Text of twice the size loses nothing (WCAG, 1.4.4).
  @Test(arguments: [768, 1440]) func largeTextLosesNothing(width: Int) async throws {
    try await withBrowser(language: "sv", textPixels: 32) { browser, server in
      try await browser.look(width: width)
      let made = try await fill(server)
      try await browser.signIn(to: server)
      let look = Look(language: "sv-text-32", width: width)
      for screen in Self.lists { try await show("#/\(screen)", as: "\(screen)-full", browser, look) }
      for (address, name) in made { try await show(address, as: name, browser, look) }
      try await browser.goAndRead("#/devices")
      try await open(".head .actions .primary", as: "devices-dialog", browser, look)
    }
  }

  private func show(_ address: String, as name: String, _ browser: Browser, _ look: Look) async throws {
    try await browser.goAndRead(address)
    try await browser.audit(name, for: .pointer)
    try await browser.picture("portal-\(name)-\(look.name)")
  }

  /// Presses what opens a dialog, looks at it, and leaves it by Escape.
  private func open(_ selector: String, as name: String, _ browser: Browser, _ look: Look) async throws {
    try await browser.click(selector: selector)
    try await browser.wait("a dialog", "return document.querySelector('dialog[open]') !== null")
    #expect(
      try await browser.evaluate("return document.querySelector('dialog').contains(document.activeElement)") == true,
      "\(name) does not take the focus")
    try await browser.audit(name, for: .pointer)
    try await browser.view("portal-\(name)-\(look.name)")
    try await browser.press("\u{E00C}")
    try await browser.wait("its end", "return document.querySelector('dialog') === null")
    #expect(
      try await browser.evaluate("return document.activeElement?.matches(arguments[0])", .string(selector)) == true,
      "\(name) does not give the focus back")
  }

  /// Makes one of everything, and much of some; answers the addresses of single things with their names.
  private func fill(_ server: ServerProcess) async throws -> [(address: String, name: String)] {
    let device = try await server.makeDevice("Utomhuskassan vid Järnvägsrestaurangens uteservering").id
    // Where there are two places, a device needs one of them.
    let (second, third) = (try await server.makeDevice("Kassa 2").id, try await server.makeDevice("Kassa 3").id)
    for number in 0..<21 { _ = try await server.makeSession(on: device, reference: "KVITTO-\(number)") }
    let place =
      try await server.post(
        "/portal/v1/locations",
        [
          "name": "Västerås Centralstation, restaurangvagnsförrådsföreståndarens kontor", "city": "Västerås",
          "country": "SE",
        ]
      ).json["id"] ?? .null
    var codes: [String] = []
    for life in ["TWO_HOURS", "TWENTY_FOUR_HOURS", "TWO_HOURS"] {
      let made = try await server.post(
        "/ipp/v1/enrollments",
        [
          "ttl": .string(life), "location_id": place,
          "metadata": ["avdelning": "uteserveringens blomsterarrangemang", "till": "7"],
        ])
      codes.append(try #require(made.json["enrollment_id"]?.text, "\(made)"))
    }
    let hook = try await server.post(
      "/portal/v1/webhooks",
      [
        "name": "Bokföringssystemet", "url": "http://127.0.0.1:9/a/rather/long/path/that/does/not/end/soon",
        "events": ["*"],
      ])
    let webhook = try #require(hook.json["id"]?.text, "\(hook)")
    // Nine digits, and forty lines.
    var lines = [line("Flaggstångsknoppsförgyllarverktygslåda med tillbehörsförvaringsväska", 12_345_678_900)]
    lines += (2...40).map { line("Artikel nummer \($0)", Int64($0) * 1_000, quantity: Int64($0 % 3 + 1)) }
    func session(_ device: String) async throws -> String {
      let total = lines.reduce(0) { $0 + ($1["total_amount"]?.integer ?? 0) }
      let made = try await server.post(
        "/ipp/v1/sessions",
        [
          "device_id": .string(device), "order_amount": .integer(total), "purchase_currency": "SEK",
          "merchant_reference1": "BOKFÖRINGSUNDERLAG-2026-11-25-UTESERVERINGEN", "order_items": .array(lines),
        ])
      return try #require(made.json["session_id"]?.text, "\(made)")
    }
    let paid = try await session(second)
    _ = try await server.post("/ipp/v1/dev/sessions/\(paid)/simulate-tap?outcome=CARD_VELOCITY_EXCEEDED", [:])
    let tapped = try await server.post("/ipp/v1/dev/sessions/\(paid)/simulate-tap", [:])
    let order = try #require(tapped.json["order_id"]?.text, "\(tapped)")
    let refund = try await server.post(
      "/ordermanagement/v1/orders/\(order)/refunds",
      ["refunded_amount": 98_765_432, "reference": "RETUR-1", "description": "Förgyllningen hade släppt"])
    #expect(refund.status == 201, "\(refund)")
    let open = try await session(third)
    return [
      ("#/sessions/\(open)", "session-open"), ("#/sessions/\(paid)", "session-paid"), ("#/orders/\(order)", "order"),
      ("#/devices/\(device)", "device"), ("#/codes/\(codes[0])", "code"), ("#/codes/\(codes[1])", "code-long"),
      ("#/sheet/\(codes.joined(separator: ","))", "sheet"), ("#/webhooks/\(webhook)", "webhook"),
    ]
  }
}
