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
      try await browser.expectNoFlaws("the start page")
      try await browser.click("Use a simulated phone", "button")
      try await browser.click("Ask for SEK", "button")
      try await browser.click("Tap a card", "button")
      try await browser.wait("Paid", "return document.querySelector('.paid') !== null")
      #expect(ContinuousClock.now - start < .seconds(60))
      try await browser.expectNoFlaws("the start page, paid")
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

  /// The phone is the POS app, in a second window.
  @Test func thePOSAppPairsInASecondWindow() async throws {
    try await withBrowser { browser, server in
      try await browser.open(server.url)
      try await browser.click("Open the POS app", "button")
      try await browser.waitForText("Waiting for the POS app to pair")
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

  @Test(arguments: [("en", 1440, false), ("sv", 375, true), ("sv", 768, false)])
  func itCanBeUsedEverywhere(language: String, width: Int, isDark: Bool) async throws {
    try await withBrowser(language: language) { browser, server in
      try await browser.look(width: width, isDark: isDark)
      try await browser.open(server.url)
      try await browser.wait("the steps", "return document.querySelectorAll('.step').length === 3")
      try await browser.expectNoFlaws("the start page")
      try await browser.picture("start-\(width)-\(language)\(isDark ? "-dark" : "")")
    }
  }
}
