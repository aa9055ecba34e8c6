import KassaJSON
import KassaTestSupport
import Testing

/// The playground's start page, as a newcomer meets it.
@Suite(.timeLimit(.minutes(2))) struct StartTests {
  /// From the first look to a paid session: three clicks, and one more to see it in the portal.
  @Test func aNewcomerIsPaidAfterThreeClicks() async throws {
    try await withBrowser { browser, server in
      let start = ContinuousClock.now
      try await browser.open(server.url)
      try await browser.waitForText("Take your first payment")
      try await browser.waitForText("Use a simulated phone")
      try await browser.audit("the start page", for: .pointer)
      try await browser.click("Use a simulated phone", "button")
      try await browser.click("Ask for SEK", "button")
      try await browser.click("Tap a card", "button")
      try await browser.wait("Paid", "return document.querySelector('.paid') !== null")
      #expect(ContinuousClock.now - start < .seconds(60))
      try await browser.audit("the start page, paid", for: .pointer)
      try await browser.picture("start-paid")
      // The lines to copy have the real key and ids, and what the backend heard stands there.
      let lines = try await browser.text("#curl-step2")
      #expect(lines.contains("Authorization: Basic \(server.apiKey)") && !lines.contains("DEVICE_ID"))
      try await browser.waitForText("ipp.session.finalized")
      try await browser.click("See what happened in the portal", "button")
      try await browser.wait("the timeline", "return document.querySelectorAll('.timeline .station').length >= 3")
      #expect(try await server.get("/ipp/v1/sessions?status=FINALIZED").json["total_elements"] == 1)
    }
  }

  /// Every other button of it: declined, another session, another phone, another payment, and the lines to copy.
  @Test func everyButtonDoesWhatItSays() async throws {
    try await withBrowser { browser, server in
      try await browser.chromium(
        "Browser.grantPermissions", ["permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]])
      try await browser.open(server.url)
      try await browser.click("Use a simulated phone", "button")
      try await browser.click("Ask for SEK", "button")
      try await browser.waitForText("The phone has it in its line.")
      // What is next is in sight.
      try await browser.wait(
        "the next step",
        """
        const box = document.querySelector(".step.is-next button.primary").getBoundingClientRect();
        return box.top >= 0 && box.bottom <= innerHeight;
        """)
      try await browser.click("Tap a card that is declined", "button")
      try await browser.waitForText("Declined: the session stays open.")
      try await browser.audit("the start page, declined", for: .pointer)
      try await browser.picture("start-declined")
      // One at a time can be paid on a phone: no other is asked for meanwhile.
      #expect(try await browser.evaluate("return document.body.innerText.includes('Ask for another')") == false)
      try await browser.click("Tap a card", "button")
      try await browser.wait("Paid", "return document.querySelector('.paid') !== null")
      try await browser.click("Take another", "button")
      try await browser.wait("the next one", "return document.querySelector('.paid') === null")
      // Before a card is tapped it may be another one after all.
      try await browser.click("Ask for another", "button")
      try await eventually { try await server.get("/ipp/v1/sessions").json["total_elements"] == 3 }
      try await browser.click("Tap a card", "button")
      try await browser.wait("Paid", "return document.querySelector('.paid') !== null")
      #expect(try await server.get("/ipp/v1/sessions?status=FINALIZED").json["total_elements"] == 2)
      #expect(try await server.get("/ipp/v1/sessions").json["total_elements"] == 3)

      for step in 1...3 {
        let shown = try await browser.text("#curl-step\(step)")
        try await browser.click(selector: ".step:nth-child(\(step)) .step-code > button")
        try await browser.wait(
          "the copy",
          "return document.querySelector('.step:nth-child(\(step)) .step-code > button').innerText === 'Copied'")
        #expect(try await browser.run("return navigator.clipboard.readText()").text == shown)
      }
      // Folded, there is nothing to copy.
      try await browser.click("The same from your backend", "summary")
      try await browser.wait(
        "the end of the button",
        "return !document.querySelector('.step-code > button').checkVisibility()")
      try await browser.click("Svenska", "button")
      try await browser.waitForText("Ta emot din första betalning")
      try await browser.click("English", "button")
      try await browser.click("API reference", "nav a")
      try await browser.wait("the reference", "return document.querySelector('.lead') !== null")
      try await browser.command("POST", "/back")
      // Signed in with one click, from the top too.
      try await browser.wait("the steps", "return document.querySelectorAll('.step').length === 3")
      try await browser.click("Portal", "nav a")
      try await browser.waitForText("Key: playground")
    }
  }

  /// The phone is the POS app, in a second window.
  @Test func thePOSAppPairsInASecondWindow() async throws {
    try await withBrowser { browser, server in
      try await browser.open(server.url)
      try await browser.click("Open the POS app", "button")
      try await browser.waitForText("Waiting for the POS app to pair")
      try await browser.audit("the start page, waiting", for: .pointer)
      let windows = try await browser.windows
      try #require(windows.count == 2)
      try await browser.show(window: windows[1])
      try await browser.click("Pair", "button")
      try await browser.show(window: windows[0])
      try await browser.waitForText("is ready.")
      try await browser.click("Ask for SEK", "button")
      try await browser.waitForText("In the POS app's window, choose the payment")
      try await browser.show(window: windows[1])
      try await browser.waitForText("250.00")
      try await browser.show(window: windows[0])
      try await browser.click("Tap a card", "button")
      try await browser.wait("Paid", "return document.querySelector('.paid') !== null")
    }
  }

  @Test func theLinesToCopyWorkAsTheyStand() async throws {
    try await withBrowser { browser, server in
      try await browser.open(server.url)
      try await browser.wait("the lines", "return document.querySelectorAll('pre').length === 3")
      try await withTemporaryFolder { folder in
        func runs(_ step: Int) async throws -> ProgramResult {
          try await run("/bin/sh", ["-c", try await browser.text("#curl-step\(step)")], in: folder)
        }
        #expect(try await runs(1).output.contains("\"simulated\":\"true\""))
        // A device that was made elsewhere is taken up by itself.
        try await browser.waitForText("is ready.")
        let made = try await runs(2)
        #expect(made.output.contains("\"status\":\"CREATED\""), "\(made)")
      }
    }
  }

  /// The name in the address bar leads here, but is not this machine's: the page asks for the key instead.
  @Test func byAForeignNameTheKeyIsAskedFor() async throws {
    try await withBrowser(expects: [401, 403]) { browser, server in
      try await browser.open("http://kassa.localhost:\(server.port)/")
      try await browser.waitForText("The key is not shown here")
      #expect(
        try await browser.evaluate(
          "return document.documentElement.innerHTML.includes(arguments[0])", .string(server.apiKey)) == false)
      try await browser.fill("API key", with: "kassa_test_api_wrong")
      try await browser.click("Use this key", "button")
      try await browser.waitForText("This key does not work here.")
      try await browser.fill("API key", with: server.apiKey)
      try await browser.click("Use this key", "button")
      try await browser.click("Use a simulated phone", "button")
      try await browser.waitForText("is ready.")
    }
  }

  @Test(arguments: Look.all) func itCanBeUsedEverywhere(look: Look) async throws {
    try await withBrowser(language: look.language) { browser, server in
      try await browser.look(width: look.width, isDark: look.isDark)
      try await browser.open(server.url)
      try await browser.wait("the steps", "return document.querySelectorAll('.step').length === 3")
      try await browser.audit("the start page", for: .pointer)
      try await browser.picture("start-\(look.name)")
      for step in 1...3 { try await browser.click(selector: ".step:nth-child(\(step)) .step-body button.primary") }
      try await browser.wait("Paid", "return document.querySelector('.paid') !== null")
      try await browser.audit("the start page, paid", for: .pointer)
      try await browser.picture("start-paid-\(look.name)")
    }
  }

  @Test(arguments: [768, 1440]) func largeTextLosesNothing(width: Int) async throws {
    try await withBrowser(textPixels: 32) { browser, server in
      try await browser.look(width: width)
      try await browser.open(server.url)
      try await browser.wait("the steps", "return document.querySelectorAll('.step').length === 3")
      try await browser.audit("the start page, large text", for: .pointer)
      try await browser.picture("start-\(width)-text-32")
      try await browser.open("\(server.url)/docs#createSession")
      try await browser.wait("the reference", "return document.querySelector('[data-operation]') !== null")
      try await browser.audit("the reference, large text", for: .pointer)
      try await browser.picture("docs-\(width)-text-32")
    }
  }
}
