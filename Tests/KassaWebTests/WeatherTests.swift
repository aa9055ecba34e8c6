import KassaJSON
import KassaTestSupport
import Testing

extension Browser {
  /// From now on every answer of the API is this refusal, until `heal`.
  fileprivate func breakServer(status: Int64 = 503) async throws {
    try await run(
      """
      window.realFetch ??= window.fetch;
      window.fetch = async () => new Response(JSON.stringify({ title: "Broken", status: arguments[0], code: "internal_error" }), {
        status: arguments[0], headers: { "content-type": "application/problem+json", "x-request-id": "request-4711" },
      });
      """.replacing("arguments[0]", with: "\(status)"))
  }

  /// From now on no answer comes, until `heal`: then all of them do.
  fileprivate func slowServer() async throws {
    try await run(
      """
      window.realFetch ??= window.fetch;
      window.asked = [];
      const released = new Promise((resolve) => (window.free = resolve));
      window.fetch = async (...given) => { asked.push(String(given[0])); await released; return realFetch(...given); };
      """)
  }

  fileprivate func heal() async throws { try await run("window.free?.(); window.fetch = window.realFetch;") }

  /// Addresses that no answer comes from.
  fileprivate func block(_ addresses: [String]) async throws {
    try await chromium("Network.enable")
    try await chromium("Network.setBlockedURLs", ["urls": .array(addresses.map(JSONValue.string))])
  }
}

extension Web {
  /// Every page while its server is slow, broken or away: what it says, what can be done, and that it comes back.
  struct WeatherTests {
    private static let screens = [
      Screen(), Screen(isDark: true, language: "sv"), Screen(width: 768, height: 1024),
      Screen(width: 1440, height: 900, isDark: true),
    ]

    @Test(arguments: Self.screens) func theTillSaysSoAndGoesOn(screen: Screen) async throws {
      try await withTill(screen) { till in
        let browser = till.browser
        let id = try await till.ask()
        try await till.wait(forScreen: "cart")
        try await browser.breakServer()
        // As a phone does that wakes up.
        try await browser.run("dispatchEvent(new Event('online'))")
        try await browser.wait(for: "document.querySelector('main .notice.warning')")
        try await browser.audit()
        try await till.picture("failing")
        // What is asked for now did not happen, and says so.
        try await browser.touch("[data-method=CARD]")
        try await browser.wait(for: "document.querySelector('.notice[role=alert]')")
        try await browser.audit()
        #expect(try await till.session(id)["status"]?.text == "CREATED")
        try await browser.heal()
        try await browser.run("dispatchEvent(new Event('online'))")
        try await browser.wait(for: "!document.querySelector('main .notice.warning:not([role=alert])')")

        // A slow answer: the button says that it is under way, and a second press asks nothing.
        try await browser.slowServer()
        try await browser.touch("[data-method=CARD]")
        try await browser.wait(for: "document.querySelector('[data-method=CARD] .spinner')")
        try await browser.run("document.querySelector('[data-method=CARD]').click()")
        try await browser.audit()
        try await till.picture("slow")
        #expect(try await browser.value("asked.filter((each) => each.endsWith('/payments')).length") == 1)
        try await browser.heal()
        try await till.wait(forScreen: "tap")
        #expect(try await till.session(id)["payment"]?["method"] == "CARD")
      }
    }

    /// Before anything was read, there is a screen already.
    @Test func theTillIsThereBeforeItsData() async throws {
      try await withTill(expects: [0]) { till in
        try await till.browser.chromium(
          "Page.addScriptToEvaluateOnNewDocument",
          [
            "source":
              "window.realFetch = window.fetch; const released = new Promise((resolve) => (window.free = resolve)); window.fetch = async (...given) => { await released; return realFetch(...given); };"
          ])
        try await till.browser.reload()
        try await till.browser.wait(for: "document.querySelector('main.line .spinner')")
        try await till.browser.audit()
        try await till.picture("reading")
        try await till.browser.run("free()")
        try await till.browser.waitForText("Ready for the next customer")
      }
    }

    @Test(arguments: Look.all) func thePortalSaysSoAndTriesAgain(look: Look) async throws {
      try await withBrowser(language: look.language) { browser, server in
        try await browser.look(width: look.width, isDark: look.isDark)
        _ = try await server.makeOrder(on: try await server.makeDevice().id)
        try await browser.signIn(to: server)
        try await browser.waitForText("KVITTO-1")
        try await browser.breakServer(status: 500)
        for screen in ["orders", "methods", "security"] {
          try await browser.go("#/\(screen)")
          try await browser.wait("the problem", "return document.querySelector('main .notice.danger button') !== null")
          // With the id that the operator finds it by.
          try await browser.waitForText("request-4711")
          try await browser.audit("\(screen) of a broken server", for: .pointer)
        }
        try await browser.picture("portal-broken-\(look.name)")
        // What is changed is not lost: the form keeps it.
        try await browser.heal()
        try await browser.click(selector: "main .notice.danger button")
        try await browser.wait("the figure", "return document.querySelector('.security-card') !== null")
        try await browser.goAndRead("#/keys")
        try await browser.click(selector: ".head .actions .primary")
        try await browser.type("Webshop", into: "dialog [name=name]")
        try await browser.breakServer(status: 500)
        try await browser.press("\u{E007}")
        try await browser.wait("the problem", "return document.querySelector('dialog .notice.danger') !== null")
        try await browser.audit("a form of a broken server", for: .pointer)
        try await browser.view("portal-broken-form-\(look.name)")
        #expect(try await browser.evaluate("return document.querySelector('dialog [name=name]').value") == "Webshop")
        try await browser.heal()
        try await browser.click(selector: "dialog [type=submit]")
        try await browser.wait("the key", "return document.querySelector('dialog .secret') !== null")
        try await browser.press("\u{E00C}")

        try await browser.slowServer()
        try await browser.go("#/orders")
        try await browser.wait("its wait", "return document.querySelector('main [role=status] .spinner') !== null")
        try await browser.audit("a slow list", for: .pointer)
        try await browser.picture("portal-slow-\(look.name)")
        try await browser.heal()
        try await browser.waitForText("KVITTO-1")
      }
    }

    @Test(arguments: Look.all) func theOtherPagesSaySoAndTryAgain(look: Look) async throws {
      try await withBrowser(language: look.language, expects: [0, 404]) { browser, server in
        try await browser.look(width: look.width, isDark: look.isDark)
        let device = try await server.makeDevice()
        let session = try await server.makeSession(on: device.id)
        let begun = try await server.send(
          HTTPCall(
            "POST", "/pos/v1/sessions/\(session)/payments", headers: [("authorization", "Bearer \(device.token)")],
            json: ["method": "KLARNA"]))
        let payment = try #require(begun.json["payment_id"]?.text, "\(begun)")
        func fails(
          _ name: String, at address: String, without blocked: String, then shown: String, for hand: Hand = .thumb
        ) async throws {
          try await browser.block([blocked])
          try await browser.open("\(server.url)\(address)")
          try await browser.wait("its button", "return document.querySelector('main button.button') !== null")
          try await browser.audit("\(name) without its server", for: hand)
          try await browser.picture("\(name)-unreachable-\(look.name)")
          try await browser.block([])
          try await browser.click(selector: "main button.button")
          try await browser.wait(shown, "return document.querySelector(arguments[0]) !== null", .string(shown))
        }
        try await fails("buyer", at: "/buyer/\(payment)", without: "*/buyer/v1/*", then: "[data-deed=approve]")
        try await browser.audit("the buyer's page")
        try await browser.picture("buyer-\(look.name)")
        try await browser.touch("[data-deed=approve]")
        try await browser.wait(for: "document.querySelector('.result.paid')")
        try await browser.picture("buyer-paid-\(look.name)")
        var receipt: String?
        try await eventually {
          let answer = try await server.send(
            HTTPCall(
              "GET", "/pos/v1/sessions/\(session)/receipt", headers: [("authorization", "Bearer \(device.token)")]))
          receipt = answer.json["receipt_url"]?.text
          return receipt != nil
        }
        let token = try #require(receipt?.split(separator: "/").last)
        try await fails("receipt", at: "/receipt/\(token)", without: "*/receipts/v1/*", then: "main table")
        try await browser.audit("the receipt")
        try await browser.picture("receipt-\(look.name)")
        try await fails("start", at: "/", without: "*/portal/v1/playground", then: ".steps", for: .pointer)
        try await browser.open("\(server.url)/buyer/\(server.merchantID)")
        try await browser.wait("nothing to pay", "return document.querySelector('main h1') !== null")
        try await browser.audit("a buyer's page without a payment")
      }
    }
  }
}
