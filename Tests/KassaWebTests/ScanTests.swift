import KassaJSON
import KassaTestSupport
import Testing

extension Web {
  /// Paying by a code, with the buyer's page in a second window.
  struct ScanTests {
    /// Begins a payment by `method`, opens the buyer's page in a second window, and answers both windows.
    private func begin(
      _ method: String, on till: Till, currency: String = "SEK"
    ) async throws -> (till: String, buyer: String, session: String) {
      let session = try await till.ask(currency: currency)
      try await till.browser.touch("[data-method=\(method)]")
      try await till.wait(forScreen: "scan")
      try await till.browser.wait(for: "document.querySelector('img.qr')?.naturalWidth > 0")
      try await till.browser.audit()
      try await till.picture("scan-\(method.lowercased())")
      // A reload keeps the code.
      try await till.browser.reload()
      try await till.browser.wait(for: "document.querySelector('img.qr')?.naturalWidth > 0")
      try await till.browser.touch(".open-buyer")
      let windows = try await till.browser.windows
      try #require(windows.count == 2)
      try await till.browser.show(window: windows[1])
      try await till.browser.look(width: 375, height: 812)
      return (windows[0], windows[1], session)
    }

    @Test func theBuyerApprovesAndTheTillSeesEachStep() async throws {
      try await withTill { till in
        let windows = try await begin("KLARNA", on: till)
        try await till.browser.wait(for: "document.querySelector('[data-deed=approve]')")
        try await till.browser.waitForText("447.00")
        try await till.browser.audit()
        try await till.picture("buyer")
        try await till.browser.show(window: windows.till)
        try await till.browser.waitForText("The customer is paying")
        try await till.browser.audit()
        try await till.picture("scan-paying")
        try await till.browser.show(window: windows.buyer)
        try await till.browser.touch("[data-deed=approve]")
        try await till.browser.wait(for: "document.querySelector('.result.paid')")
        try await till.browser.audit()
        try await till.picture("buyer-paid")
        try await till.browser.show(window: windows.till)
        try await till.wait(forScreen: "paid")
        #expect(try await till.session(windows.session)["status"]?.text == "FINALIZED")
      }
    }

    @Test(arguments: [("SWISH", "SEK"), ("VIPPS", "NOK")])
    func theOthersArePaidInTheirOwnCurrency(method: String, currency: String) async throws {
      try await withTill { till in
        let windows = try await begin(method, on: till, currency: currency)
        try await till.browser.touch("[data-deed=approve]")
        try await till.browser.wait(for: "document.querySelector('.result.paid')")
        try await till.browser.show(window: windows.till)
        try await till.wait(forScreen: "paid")
        #expect(try await till.session(windows.session)["status"]?.text == "FINALIZED")
      }
    }

    @Test func theBuyerRefusesAndTheClerkMayChooseAgain() async throws {
      try await withTill { till in
        let windows = try await begin("KLARNA", on: till)
        try await till.browser.touch("[data-deed=refuse]")
        try await till.browser.waitForText("No money was taken")
        try await till.browser.show(window: windows.till)
        try await till.browser.waitForText("The customer did not go through with it")
        try await till.browser.audit()
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test func theClerkTakesTheCodeBackAndTheBuyerSeesIt() async throws {
      try await withTill { till in
        let windows = try await begin("KLARNA", on: till)
        try await till.browser.wait(for: "document.querySelector('[data-deed=approve]')")
        try await till.browser.show(window: windows.till)
        try await till.browser.touch("footer .button:not(.cancel)")
        try await till.wait(forScreen: "cart")
        try await till.browser.show(window: windows.buyer)
        try await till.browser.waitForText("No money was taken")
        #expect(try await till.session(windows.session)["payment"]?["state"]?.text == "CANCELLED")
      }
    }
  }
}
