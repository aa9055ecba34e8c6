import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Every control of the portal that no other test presses.
@Suite(.timeLimit(.minutes(4))) struct PortalControlTests {
  // MARK: Tables

  /// What tells each row from the others, in the order of the screen: its first cell, or all of it in the audit log.
  private func rows(_ browser: Browser) async throws -> [String] {
    try await browser.evaluate(
      """
      const isLog = location.hash.startsWith("#/audit");
      return [...document.querySelectorAll("tbody tr")].map((row) => (isLog ? row : row.cells[0]).innerText);
      """
    ).elements.compactMap(\.text)
  }

  /// Waits until the table has settled, and answers its rows.
  private func settledRows(_ browser: Browser, count: Int64) async throws -> [String] {
    try await browser.wait(
      "\(count) rows",
      """
      return document.querySelectorAll("tbody tr").length === arguments[0] && !document.querySelector("main [aria-busy=true]");
      """, .integer(count))
    return try await rows(browser)
  }

  /// Presses the head of each column that sorts three times: up, down, and as it was.
  private func sortEachColumn(_ browser: Browser, _ screen: String) async throws {
    let columns = try await browser.evaluate(
      "return [...document.querySelectorAll('th .sort')].map((each) => each.firstChild.data)"
    ).elements.compactMap(\.text)
    #expect(!columns.isEmpty, "\(screen)")
    let before = try await rows(browser)
    for column in columns {
      func press(_ order: String) async throws -> [String] {
        try await browser.click(column, "th .sort")
        try await browser.wait(
          "\(screen) by \(column), \(order)",
          """
          const head = [...document.querySelectorAll("th")].find((each) => each.querySelector(".sort")?.firstChild.data === arguments[0]);
          return head?.getAttribute("aria-sort") === arguments[1];
          """, .string(column), .string(order))
        return try await rows(browser)
      }
      let up = try await press("ascending")
      let down = try await press("descending")
      #expect(up == down.reversed() && up.count == before.count, "\(screen) by \(column)")
      #expect(try await press("none") == before, "\(screen) by \(column)")
    }
  }

  /// Goes to the older page and back.
  private func turnPages(_ browser: Browser, _ screen: String, size: Int64, rest: Int64) async throws {
    let newest = try await settledRows(browser, count: size)
    try await browser.click("Older", "button")
    let oldest = try await settledRows(browser, count: rest)
    #expect(Set(newest).isDisjoint(with: oldest), "\(screen)")
    try await browser.waitForText("\(size + 1) to \(size + rest) of \(size + rest)")
    try await browser.click("Newer", "button")
    #expect(try await settledRows(browser, count: size) == newest, "\(screen)")
    #expect(
      try await browser.evaluate(
        "return [...document.querySelectorAll('.pages button')].map((each) => each.disabled)") == [true, false])
  }

  @Test func everyTableSortsAndTurnsItsPages() async throws {
    try await withBrowser { browser, server in
      let (first, second) = (try await server.makeDevice("Anna"), try await server.makeDevice("Bertil"))
      for number in 1...21 {
        let device = number % 2 == 0 ? first.id : second.id
        _ = try await server.makeOrder(on: device, reference: "KVITTO-\(number)", amount: Int64(number) * 1000)
      }
      let store = try await server.get("/ipp/v1/locations").json["content"]?.elements.first?["id"] ?? .null
      for number in 1...21 {
        let made = try await server.post(
          "/ipp/v1/enrollments", ["location_id": store, "metadata": ["till": .string("\(number)")]])
        #expect(made.status == 201)
        #expect(try await server.post("/portal/v1/locations", ["name": .string("Place \(number)")]).status == 201)
        let key = try await server.post("/portal/v1/api-keys", ["name": .string("Key \(number)")])
        #expect(key.status == 201, "\(key)")
      }
      for name in ["One", "Two"] {
        let hook: JSONValue = [
          "name": .string(name), "url": .string("http://127.0.0.1:9/\(name)"), "events": ["order.created"],
        ]
        #expect(try await server.post("/portal/v1/webhooks", hook).status == 201)
      }
      try await browser.signIn(to: server)
      // Two codes were used by the devices; the first location, the first key and their kind were there before.
      let screens: [(name: String, size: Int64, rest: Int64)] = [
        ("sessions", 20, 1), ("orders", 20, 1), ("codes", 20, 3), ("locations", 20, 2), ("keys", 20, 2),
        ("devices", 2, 0), ("webhooks", 2, 0),
      ]
      for (screen, size, rest) in screens {
        try await browser.goAndRead("#/\(screen)")
        _ = try await settledRows(browser, count: size)
        // Names of locations and devices come by calls of their own.
        try await browser.wait(
          "names",
          "return location.hash !== '#/devices' || document.querySelector('tbody').innerText.includes('My Store')")
        if screen == "codes" { try await browser.waitForText("My Store") }
        if screen == "sessions" { try await browser.waitForText("Bertil") }
        if ["codes", "locations", "keys"].contains(screen) {
          // Rows of the same moment have no order that could be turned round: their times come by the second.
          try await browser.click(screen == "codes" ? "Status" : "Name", "th .sort")
          try await browser.wait("sorted", "return document.querySelector('th[aria-sort=ascending]') !== null")
          try await browser.click(screen == "codes" ? "Status" : "Name", "th .sort")
          try await browser.click(screen == "codes" ? "Status" : "Name", "th .sort")
          try await browser.wait("unsorted", "return document.querySelector('th[aria-sort=ascending]') === null")
        } else {
          try await sortEachColumn(browser, screen)
        }
        if rest > 0 { try await turnPages(browser, screen, size: size, rest: rest) }
      }
      // By amount as numbers: as texts, 1,000 would come before 20.
      try await browser.goAndRead("#/orders")
      try await browser.click("Amount", "th .sort")
      try await browser.wait(
        "the smallest first", "return document.querySelector('tbody tr').innerText.includes('SEK\\u00a020.00')")
      try await browser.goAndRead("#/audit")
      let entries = try await settledRows(browser, count: 50)
      try await browser.click("Older", "button")
      // Both pages have as many rows, and the log has no total: the way back is open once the next one is there.
      try await browser.wait("the next page", "return document.querySelector('.pages button').disabled === false")
      let older = try await settledRows(browser, count: 50)
      #expect(Set(entries).isDisjoint(with: older))
      try await browser.click("When", "th .sort")
      try await browser.wait("the order", "return document.querySelector('th[aria-sort=ascending]') !== null")
      #expect(try await rows(browser) == older.reversed())
      try await browser.click("Newer", "button")
      try await browser.wait(
        "the first page", "return document.querySelector('.pages button').disabled === true")
    }
  }

  @Test func everyFilterFindsWhatItNamesAndIsTakenAwayAgain() async throws {
    try await withBrowser { browser, server in
      let (first, second) = (try await server.makeDevice("Anna"), try await server.makeDevice("Bertil"))
      let place = try await server.post("/portal/v1/locations", ["name": "Market stall"]).json["id"] ?? .null
      #expect(
        try await server.put("/ipp/v1/devices/\(second.id)", ["name": "Bertil", "location_id": place]).status == 200)
      _ = try await server.makeOrder(on: first.id, reference: "PAID-1")
      let order = try await server.makeOrder(on: second.id, reference: "PAID-2")
      _ = try await server.makeSession(on: first.id, reference: "OPEN-1")
      _ = try await server.post("/ipp/v1/enrollments", ["location_id": place])
      try await browser.signIn(to: server)

      func finds(_ found: String, not missing: String) async throws {
        try await browser.wait(
          "\(found) without \(missing)",
          """
          const [found, missing] = arguments;
          const text = document.querySelector("tbody")?.innerText ?? "";
          return text.includes(found) && !text.includes(missing);
          """, .string(found), .string(missing))
      }
      func showAll(_ screen: String) async throws {
        try await browser.click("Show all", "main a")
        try await browser.wait("all", "return location.hash === arguments[0]", .string("#/\(screen)"))
        try await browser.waitUntilDrawn()
      }
      func search(_ reference: String) async throws {
        try await browser.fill("Reference", with: reference)
        try await browser.press("\u{E007}")
      }

      try await browser.goAndRead("#/sessions")
      try await browser.choose("Status", "Waiting in line")
      try await finds("OPEN-1", not: "PAID")
      try await browser.choose("Status", "Cancelled")
      try await browser.waitForText("Nothing fits")
      try await browser.audit("a filter that finds nothing", for: .pointer)
      try await showAll("sessions")
      try await browser.choose("Device", "Bertil")
      try await finds("PAID-2", not: "PAID-1")
      try await showAll("sessions")
      try await browser.choose("Location", "Market stall")
      try await finds("PAID-2", not: "PAID-1")
      try await showAll("sessions")
      try await finds("PAID-1", not: "Nothing")
      try await search("PAID-1")
      try await finds("PAID-1", not: "PAID-2")
      // By two at once.
      try await browser.choose("Device", "Bertil")
      try await browser.waitForText("Nothing fits")

      try await browser.goAndRead("#/orders")
      try await finds("PAID-1", not: "OPEN-1")
      try await search("PAID-2")
      try await finds("PAID-2", not: "PAID-1")
      try await showAll("orders")
      try await finds("PAID-1", not: "OPEN-1")
      try await browser.choose("Status", "Authorised")
      try await browser.waitForText("Nothing fits")
      try await showAll("orders")
      try await browser.choose("Status", "Captured")
      try await finds("PAID-2", not: "OPEN-1")
      try await browser.click("PAID-2", "td a")
      try await browser.wait("the order", "return location.hash.includes(arguments[0])", .string(order))

      try await browser.goAndRead("#/devices")
      try await browser.choose("Location", "Market stall")
      try await finds("Bertil", not: "Anna")
      try await browser.choose("Location", "All")
      try await finds("Anna", not: "Nothing")
      // From the place itself.
      try await browser.goAndRead("#/locations")
      try await browser.evaluate(
        "[...document.querySelectorAll('tbody tr')].find((row) => row.innerText.includes('Market')).querySelector('a').click()"
      )
      try await finds("Bertil", not: "Anna")

      try await browser.goAndRead("#/codes")
      try await finds("Used", not: "Nothing")
      try await browser.choose("Status", "Not used")
      try await finds("Waiting", not: "Used")
      try await browser.choose("Location", "My Store")
      try await browser.waitForText("Nothing fits")
      try await showAll("codes")
      try await finds("Used", not: "Nothing")
    }
  }

  // MARK: Money

  @Test func moneyIsCapturedByHandInPartsAndAnOrderIsCancelled() async throws {
    try await withBrowser { browser, server in
      let device = try await server.makeDevice()
      try await browser.signIn(to: server, "#/methods")
      try await browser.click("Change: Card", "button")
      try await browser.choose("Money is captured", "by hand")
      try await browser.click("Save", "dialog button")
      try await browser.waitForText("Saved.")
      #expect(try await server.get("/portal/v1/payment-methods/CARD").json["capture"] == "MANUAL")
      let order = try await server.makeOrder(on: device.id, reference: "HAND-1")
      let other = try await server.makeOrder(on: device.id, reference: "HAND-2")

      try await browser.goAndRead("#/orders")
      try await browser.click("HAND-1", "td a")
      try await browser.waitForText("Authorised")
      try await browser.click("Capture", "button")
      try await browser.fill("Amount", with: "0")
      try await browser.click("Capture", "dialog button")
      try await browser.waitForText("Must be more than nothing and at most SEK 250.00.")
      try await browser.audit("an amount that cannot be", for: .pointer)
      try await browser.fill("Amount", with: "100")
      try await browser.fill("Description", with: "The first parcel")
      try await browser.click("Capture", "dialog button")
      try await browser.waitForText("The first parcel")
      try await browser.waitForText("Partly captured")
      #expect(try await server.get("/ordermanagement/v1/orders/\(order)").json["captured_amount"] == 10000)
      // What is captured in part cannot be cancelled any more, but refunded.
      #expect(
        try await browser.evaluate(
          "return [...document.querySelectorAll('.head button')].map((each) => each.innerText)") == [
            "Refund", "Capture",
          ])
      try await browser.click("Capture", "button")
      try await browser.waitForText("At most SEK 150.00.")
      try await browser.click("Capture", "dialog button")
      try await browser.wait(
        "the rest", "return document.querySelectorAll('.movements [data-status=DONE]').length === 2")
      #expect(try await server.get("/ordermanagement/v1/orders/\(order)").json["captured_amount"] == 25000)

      try await browser.goAndRead("#/orders/\(other)")
      try await browser.click("Cancel the order", "button")
      try await browser.audit("cancelling an order", for: .pointer)
      // Not yet.
      try await browser.click("Cancel", "dialog button")
      #expect(try await server.get("/ordermanagement/v1/orders/\(other)").json["status"] == "AUTHORIZED")
      try await browser.click("Cancel the order", "button")
      try await browser.click("Cancel the order", "dialog button")
      try await browser.wait("its end", "return document.querySelector('main [data-status=CANCELLED]') !== null")
      #expect(try await server.get("/ordermanagement/v1/orders/\(other)").json["status"] == "CANCELLED")
      try await browser.wait("nothing to do", "return document.querySelectorAll('.head button').length === 0")
      try await browser.audit("a cancelled order", for: .pointer)
    }
  }

  @Test func aTestPaymentIsMadeTappedAndLeadsToItsOrder() async throws {
    try await withBrowser(expects: [400]) { browser, server in
      try await browser.signIn(to: server)
      try await browser.waitForText("First, pair a phone")
      try await browser.click("Test payment", "button")
      try await browser.fill("Amount", with: "nothing")
      try await browser.click("Ask for the payment", "dialog button")
      try await browser.wait("the flaw", "return document.querySelector('dialog .flaw') !== null")
      try await browser.fill("Amount", with: "1 234,50")
      try await browser.choose("Currency", "NOK")
      try await browser.fill("Reference", with: "TEST-1")
      try await browser.click("Ask for the payment", "dialog button")
      try await browser.waitForText("NOK 1,234.50")
      try await browser.click("Tap", "button")
      try await browser.click("To the order", "a")
      try await browser.waitForText("Captures and refunds")
      try await browser.waitForText("NOK 1,234.50")
      // From the device that it made, with that one chosen.
      try await browser.goAndRead("#/devices")
      try await browser.click("Simulated phone", "td a")
      try await browser.click("Test payment", "button")
      try await browser.click("Ask for the payment", "dialog button")
      try await browser.waitForText("SEK 100.00")
      #expect(try await server.get("/ipp/v1/devices").json["total_elements"] == 1)
      #expect(try await server.get("/ipp/v1/sessions").json["total_elements"] == 2)
    }
  }

  // MARK: Ways to pay

  @Test func aMethodIsSubscribedRemovedAndSetUpAgain() async throws {
    try await withBrowser(expects: [400]) { browser, server in
      try await browser.signIn(to: server, "#/methods")
      try await browser.click("Subscribe to notifications: Vipps", "button")
      try await browser.waitForText("The provider will notify this server.")
      let path = "/portal/v1/payment-methods"
      let kept = try await server.get("\(path)/VIPPS").json["secrets_kept"]?.elements ?? []
      #expect(kept.contains("webhook_secret"))
      // Where there is no such button, the server would refuse it; where there is one, it would not.
      for method in ["KLARNA", "SWISH"] {
        #expect(try await server.post("\(path)/\(method)/subscribe", [:]).status == 409)
      }
      #expect(try await browser.count("[aria-label^='Subscribe']") == 1)
      // A certificate is folded, and can be read.
      try await browser.click("Show ", "details summary")
      try await browser.waitForText("-----BEGIN CERTIFICATE-----")
      try await browser.audit("payment methods", for: .pointer)

      try await browser.click("Remove: Klarna", "button")
      try await browser.waitForText("Its settings and secrets are erased.")
      try await browser.click("Remove", "dialog button")
      try await browser.click("Set up: Klarna", "button")
      #expect(try await server.get("\(path)/KLARNA").json["provider"] == nil)
      try await browser.click("Save", "dialog button")
      // What is missing stands at its fields.
      try await browser.wait("flaws", "return document.querySelectorAll('dialog [aria-invalid=true]').length === 2")
      try await browser.audit("a method that lacks something", for: .pointer)
      try await browser.fill("Username", with: "K123")
      try await browser.fill("Password", with: "secret")
      try await browser.click("Offered to customers", "dialog label")
      try await browser.click("Save", "dialog button")
      try await browser.waitForText("Saved.")
      let made = try await server.get("\(path)/KLARNA").json
      #expect(made["provider"] == "KLARNA" && made["enabled"] == false && made["settings"]?["username"] == "K123")
      // The secret was not sent back, and is kept when the form is saved without it.
      try await browser.click("Change: Klarna", "button")
      try await browser.waitForText("Kept: leave it empty to keep it.")
      try await browser.fill("Country", with: "SE")
      try await browser.click("Save", "dialog button")
      try await browser.wait("the change", "return document.querySelector('dialog') === null")
      let changed = try await server.get("\(path)/KLARNA").json
      #expect(changed["settings"]?["country"] == "SE" && changed["secrets_kept"] == ["password"])
    }
  }

  /// Of every provider, in Swedish: its settings' names and what they are for.
  @Test func settingsAreExplainedInSwedish() async throws {
    try await withBrowser(language: "sv") { browser, server in
      try await browser.open("\(server.url)/portal")
      try await browser.fill("API-nyckel", with: server.apiKey)
      try await browser.click("Logga in", "button")
      try await browser.wait("the menu", "return document.querySelector('.menu') !== null")
      let methods = try await server.get("/portal/v1/payment-methods").json["content"]?.elements ?? []
      let providers = methods.flatMap { $0["providers"]?.elements ?? [] }
      #expect(providers.count == 5)
      let untranslated = try await browser.command(
        "POST", "/execute/async",
        [
          "script": """
          const [providers, done] = arguments;
          import("/portal/texts.js").then(({ texts }) => done(providers.flatMap(({ provider, fields }) => fields.flatMap(({ name }) =>
            [[`setting.${name}`], [`explain.${provider}.${name}`, `explain.${name}`]].filter((keys) => !keys.some((key) => texts.sv[key])).flat()))));
          """,
          "args": [.array(providers)],
        ])
      #expect(untranslated == [])
      try await browser.goAndRead("#/methods")
      try await browser.click("Ändra: Swish", "button")
      try await browser.waitForText("tio siffror som börjar med 123")
      try await browser.audit("settings in Swedish", for: .pointer)
      try await browser.picture("portal-method-1440-sv")
    }
  }

  // MARK: Webhooks

  @Test func aWebhookChoosesItsEventsIsSwitchedOffFilteredAndRemoved() async throws {
    // Event 1 of them is refused for good; the others arrive.
    let receiver = try await CallbackReceiver()
    try await withBrowser(expects: [400]) { browser, server in
      try await browser.chromium(
        "Browser.grantPermissions", ["permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]])
      try await browser.signIn(to: server, "#/webhooks")
      try await browser.waitForText("kassa listen")
      try await browser.click("New webhook", "button")
      try await browser.fill("Name", with: "Bookkeeping")
      try await browser.fill("Address", with: receiver.url)
      try await browser.click("All events", "dialog label")
      // None is chosen yet: that is no webhook.
      try await browser.click("Save", "dialog button")
      try await browser.wait("the flaw", "return document.querySelector('dialog .choices .flaw') !== null")
      try await browser.click("Order created", "dialog label")
      try await browser.click("Refunded", "dialog label")
      try await browser.click("Save", "dialog button")
      let secret = try await browser.text("dialog .secret code")
      try await browser.click("Copy", "dialog button")
      try await browser.waitForText("Copied.")
      #expect(try await browser.run("return navigator.clipboard.readText()").text == secret)
      // By its corner, too.
      try await browser.click("Close", "dialog button")
      let list = try await server.get("/portal/v1/webhooks").json["content"]?.elements ?? []
      #expect(list.first?["events"] == ["order.created", "refund.created"])
      let id = try #require(list.first?["id"]?.text)

      for _ in 0..<21 { #expect(try await server.post("/portal/v1/webhooks/\(id)/test", [:]).status == 202) }
      _ = try await receiver.callbacks { $0.count == 21 }
      try await browser.wait(
        "the first page", "return document.querySelectorAll('.deliveries [data-status=DELIVERED]').length === 20")
      try await browser.click("Older", "button")
      try await browser.wait("the last one", "return document.querySelectorAll('.delivery').length === 1")
      try await browser.click("Newer", "button")
      try await browser.wait("the first page", "return document.querySelectorAll('.delivery').length === 20")
      try await browser.click("ipp.webhook.test", ".delivery-open")
      try await browser.click("Copy", ".delivery button")
      try await eventually {
        try await browser.run("return navigator.clipboard.readText()").text?.contains("webhook_id") == true
      }
      try await browser.choose("Status", "Given up")
      try await browser.waitForText("Nothing fits")
      try await browser.click("Show all", "main a")
      try await browser.wait("all", "return document.querySelectorAll('.delivery').length === 20")

      try await browser.click("Change", "button")
      try await browser.click("Switched on", "dialog label")
      try await browser.click("Save", "dialog button")
      try await browser.waitForText("Switched off: nothing is sent.")
      #expect(try await server.get("/portal/v1/webhooks/\(id)").json["enabled"] == false)
      try await browser.audit("a webhook that is off", for: .pointer)
      try await browser.click("Remove the webhook", "button")
      try await browser.click("Remove the webhook", "dialog button")
      try await browser.waitForText("No webhook yet")
      #expect(try await server.get("/portal/v1/webhooks/\(id)").status == 404)
    }
    await receiver.close()
  }

  @Test func aDeliveryThatFailsTellsWhyAndWhenItComesAgain() async throws {
    try await withBrowser { browser, server in
      let hook: JSONValue = ["name": "Nobody there", "url": "http://127.0.0.1:9/", "events": ["*"]]
      let id = try #require(try await server.post("/portal/v1/webhooks", hook).json["id"]?.text)
      try await browser.signIn(to: server, "#/webhooks/\(id)")
      try await browser.waitForText("Nothing was sent yet")
      try await browser.click("Send a test event", ".empty button")
      try await browser.click("ipp.webhook.test", ".delivery-open")
      try await browser.waitForText("no connection")
      try await browser.waitForText("Next try")
      // What is under way cannot be sent a second time.
      #expect(
        try await browser.evaluate(
          "return [...document.querySelectorAll('.delivery button')].find((each) => each.innerText === 'Send again').disabled"
        )
          == true)
      try await browser.audit("a delivery that failed", for: .pointer)
      try await browser.picture("portal-webhook-failing")
    }
  }

  // MARK: Codes, devices and places

  @Test func codesAreCopiedPrintedAndOpened() async throws {
    try await withBrowser { browser, server in
      try await browser.chromium(
        "Browser.grantPermissions", ["permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]])
      try await browser.signIn(to: server, "#/devices")
      try await browser.click("Pair a device", ".empty button")
      try await browser.choose("Lives for", "24 hours")
      try await browser.waitForText("better scanned than typed")
      try await browser.choose("Lives for", "2 hours")
      try await browser.fill("How many", with: "2")
      try await browser.click("New pairing code", "dialog button")
      try await browser.waitForText("2 to print, 0 used already")
      try await browser.evaluate("window.print = () => { window.printed = (window.printed ?? 0) + 1 }")
      try await browser.click("Print", "button")
      #expect(try await browser.evaluate("return window.printed") == 1)
      try await browser.goAndRead("#/codes")
      try await browser.click("Print those that wait", "a")
      try await browser.waitForText("2 to print")

      let list = try await server.get("/ipp/v1/enrollments").json["content"]?.elements ?? []
      let enrollment = try #require(list.first)
      let (id, code) = (enrollment["enrollment_id"]?.text ?? "", enrollment["enrollment_code"]?.text ?? "")
      try await browser.goAndRead("#/codes/\(id)")
      try await browser.click("Copy code", "button")
      try await browser.waitForText("Copied.")
      #expect(try await browser.run("return navigator.clipboard.readText()").text == code)
      try await browser.click("Copy link", "button")
      try await eventually {
        try await browser.run("return navigator.clipboard.readText()").text == enrollment["enrollment_url"]?.text
      }
      try await browser.click("Print", "button")
      #expect(try await browser.evaluate("return window.printed") == 2)
      try await browser.click("Open here", "a")
      try await eventually { try await browser.windows.count == 2 }
      let windows = try await browser.windows
      try await browser.show(window: windows[1])
      try await browser.waitForText("Pair this phone?")
      try await browser.click("Pair", "button")
      try await browser.waitForText("Ready for the next customer")
      try await browser.show(window: windows[0])
      try await browser.waitForText("A phone was paired with it.")
      // On the sheet the other one waits.
      try await browser.goAndRead("#/sheet/\(list.compactMap { $0["enrollment_id"]?.text }.joined(separator: ","))")
      try await browser.waitForText("1 to print, 1 used already")
      #expect(try await browser.count(".sheet .qr") == 1)
    }
  }

  /// The drawing on paper is what the phone's camera sees: read from its squares, and opened as a link.
  @Test func aPhoneIsPairedByTheDrawingOnTheSheet() async throws {
    try await withBrowser { browser, server in
      for _ in 0..<2 { #expect(try await server.post("/ipp/v1/enrollments", [:]).status == 201) }
      let list = try await server.get("/ipp/v1/enrollments").json["content"]?.elements ?? []
      try await browser.signIn(to: server)
      try await browser.goAndRead("#/sheet/\(list.compactMap { $0["enrollment_id"]?.text }.joined(separator: ","))")
      try await browser.wait("two drawings", "return document.querySelectorAll('.sheet .qr').length === 2")
      let drawings = try await browser.evaluate(
        """
        return [...document.querySelectorAll(".sheet .qr")].map((drawing) =>
          [drawing.getAttribute("viewBox"), drawing.querySelector("path").getAttribute("d")]);
        """)
      var links: Set<String> = []
      for drawing in drawings.elements {
        let squares = try #require(
          DrawnSquares(viewBox: drawing.elements[0].text ?? "", path: drawing.elements[1].text ?? ""), "\(drawing)")
        links.insert(try squares.text())
      }
      #expect(links == Set(list.compactMap { $0["enrollment_url"]?.text }))
      try await browser.open(try #require(links.first))
      try await browser.click("Pair", "button")
      try await browser.waitForText("Ready for the next customer")
      #expect(try await server.get("/ipp/v1/devices").json["total_elements"] == 1)
    }
  }

  @Test func placesAreMadeChangedAndRemovedUnlessSomethingStandsThere() async throws {
    try await withBrowser(expects: [400, 409]) { browser, server in
      let device = try await server.makeDevice()
      try await browser.signIn(to: server, "#/locations")
      try await browser.click("New location", "button")
      try await browser.fill("Name", with: "Torget")
      try await browser.fill("Street", with: "Torggatan 1")
      try await browser.fill("Second line", with: "Uppgång B")
      try await browser.fill("Postal code", with: "111 22")
      try await browser.fill("City", with: "Gävle")
      try await browser.fill("Country", with: "1")
      try await browser.click("Save", "dialog button")
      try await browser.wait("the flaw", "return document.querySelector('[name=country][aria-invalid=true]') !== null")
      try await browser.fill("Country", with: "se")
      try await browser.click("Save", "dialog button")
      try await browser.waitForText("Torggatan 1, Uppgång B, 111 22 Gävle, SE")
      try await browser.click("Change: Torget", "button")
      try await browser.fill("Name", with: "Stortorget")
      try await browser.click("Save", "dialog button")
      try await browser.waitForText("Stortorget")
      // A device stands at the other one.
      try await browser.click("Remove: My Store", "button")
      try await browser.click("Remove the location", "dialog button")
      try await browser.waitForText("A device stands here")
      try await browser.audit("a refusal in a dialog", for: .pointer)
      try await browser.click("Close", "dialog button")
      try await browser.click("Remove: Stortorget", "button")
      try await browser.click("Remove the location", "dialog button")
      try await browser.waitForText("1 to 1 of 1")
      // Detached, the device keeps nobody.
      try await browser.goAndRead("#/devices/\(device.id)")
      try await browser.click("Move", "button")
      try await browser.choose("Location", "No location")
      try await browser.click("Move", "dialog button")
      try await browser.wait("the move", "return document.querySelector('.facts').innerText.includes('No location')")
      #expect(try await server.get("/ipp/v1/devices/\(device.id)").json["location_id"] == nil)
      try await browser.goAndRead("#/locations")
      try await browser.click("Remove: My Store", "button")
      try await browser.click("Remove the location", "dialog button")
      try await browser.waitForText("Devices stand at locations: make the first one.")
      // Without a place a code leads there first.
      try await browser.goAndRead("#/codes")
      try await browser.click("New pairing code", "button")
      try await browser.wait("the places", "return location.hash === '#/locations'")
    }
  }

  // MARK: The frame

  @Test func onThePlaygroundsOwnMachineItsKeySignsIn() async throws {
    try await withBrowser(expects: [403]) { browser, server in
      try await browser.open("\(server.url)/portal")
      try await browser.wait("the focus", "return document.activeElement.name === 'api_key'")
      try await browser.click("No key at hand?", "summary")
      try await browser.waitForText("kassa keys create")
      try await browser.audit("signing in without a key", for: .pointer)
      try await browser.click("Use the playground’s key", "button")
      try await browser.waitForText("Key: playground")
      #expect(try await browser.command("GET", "/cookie").elements.count == 1)
      // By another name of this machine the server would not give it: it is not offered.
      try await browser.open("http://kassa.localhost:\(server.port)/portal")
      try await browser.wait("the form", "return document.querySelector('input[type=password]') !== null")
      #expect(try await browser.evaluate("return document.body.innerText.includes('playground’s key')") == false)
    }
  }

  @Test func theMenuOnAPhoneTheLanguageAndTheWayBackWork() async throws {
    try await withBrowser { browser, server in
      try await browser.look(width: 375)
      try await browser.signIn(to: server, "#/devices")
      try await browser.click("Menu", "button")
      try await browser.audit("the menu on a phone", for: .pointer)
      try await browser.picture("portal-menu-375-en")
      try await browser.click("Svenska", "button")
      try await browser.waitForText("Parkopplingskoder")
      #expect(try await browser.evaluate("return document.documentElement.lang") == "sv")
      try await browser.click("API-nycklar", "nav a")
      try await browser.wait("the screen", "return document.querySelector('h1')?.innerText === 'API-nycklar'")
      // It has closed, and the reading begins at the heading.
      #expect(try await browser.count(".menu.is-open") == 0)
      try await browser.wait("the focus", "return document.activeElement.tagName === 'H1'")
      try await browser.command("POST", "/refresh")
      try await browser.wait("Swedish again", "return document.querySelector('h1')?.innerText === 'API-nycklar'")
      try await browser.command("POST", "/back")
      try await browser.wait("the devices", "return document.querySelector('h1')?.innerText === 'Enheter'")
    }
  }
}
