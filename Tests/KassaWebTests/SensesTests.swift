import KassaJSON
import KassaTestSupport
import Testing

extension Web {
  /// What reaches a clerk beside what is looked at: sound, vibration, what is read aloud, keys, and a screen that stays on.
  struct SensesTests {
    /// Notes what the page asks of the phone, from the next page on.
    private static let notes = """
      window.felt = []; window.heard = []; window.kept = [];
      Object.defineProperty(navigator, "vibrate", { value: (pattern) => felt.push(pattern) > 0 });
      const start = OscillatorNode.prototype.start;
      OscillatorNode.prototype.start = function (...given) { heard.push(Math.round(this.frequency.value)); return start.apply(this, given); };
      Object.defineProperty(navigator, "wakeLock", { value: { request: async (kind) => { const lock = { kind, released: false }; kept.push(lock); return lock; } } });
      """

    private func takeNotes(_ till: Till) async throws {
      try await till.browser.chromium("Page.addScriptToEvaluateOnNewDocument", ["source": .string(Self.notes)])
      try await till.browser.reload()
      try await till.waitUntilLive()
    }

    @Test func anArrivalIsHeardFeltAndReadAloud() async throws {
      try await withTill { till in
        try await takeNotes(till)
        // Browsers are silent until somebody touched the page.
        try await till.browser.touch("[aria-haspopup=dialog]")
        try await till.browser.touch("dialog .sheet-head .button")
        try await till.ask()
        try await till.browser.wait(for: "heard.length === 2 && felt.length === 1")
        #expect(try await till.browser.value("JSON.stringify([heard, felt])").text == "[[659,988],[[70,60,110]]]")
        // To whoever does not see it.
        try await till.browser.wait(for: "document.getElementById('said').textContent.includes('New payment')")
        #expect(
          try await till.browser.value("document.getElementById('said').getAttribute('aria-live')").text == "polite")
        // Switched off, the next one comes without either, and is read aloud all the same.
        try await till.browser.touch("[aria-haspopup=dialog]")
        try await till.browser.touch("dialog [role=switch]")
        try await till.browser.touch("dialog .sheet-head .button")
        try await till.ask([line("Second", 99_900)])
        try await till.browser.wait(for: "document.getElementById('said').textContent.includes('999')")
        #expect(try await till.browser.value("heard.length + felt.length") == 3)
        // What it becomes is read aloud, too.
        try await till.payByCard("STOLEN_CARD")
        try await till.browser.wait(for: "document.getElementById('said').textContent.startsWith('Not paid')")
        try await till.payByCard()
        try await till.browser.wait(for: "document.getElementById('said').textContent.startsWith('Paid')")
      }
    }

    @Test func theScreenStaysOnWhileTheTillIsInFront() async throws {
      try await withTill { till in
        try await takeNotes(till)
        try await till.browser.wait(for: "kept.length === 1 && kept[0].kind === 'screen'")
        // A phone that went dark lets go of it, and asks again when it is back.
        try await till.browser.run(
          """
          const look = (state) => { Object.defineProperty(document, "visibilityState", { value: state, configurable: true }); document.dispatchEvent(new Event("visibilitychange")); };
          look("hidden");
          kept[0].released = true;
          await new Promise((done) => setTimeout(done));
          window.keptInTheDark = kept.length;
          look("visible");
          """)
        try await till.browser.wait(for: "kept.length === 2 && window.keptInTheDark === 1")
      }
    }

    @Test func chromiumTakesItAsAnAppAndTheMenuInstallsIt() async throws {
      try await withTill { till in
        let manifest = try await till.browser.chromium("Page.getAppManifest")
        #expect(
          manifest["errors"]?.elements.isEmpty == true && manifest["url"]?.text?.hasSuffix(".webmanifest") == true)
        try await till.browser.run("await navigator.serviceWorker.ready")
        let flaws = try await till.browser.chromium("Page.getInstallabilityErrors")["installabilityErrors"]
        #expect(flaws?.elements.isEmpty == true, "\(flaws ?? .null)")
        // The browser offers it.
        try await till.browser.run(
          """
          const offer = new Event("beforeinstallprompt", { cancelable: true });
          offer.prompt = async () => { window.wasAsked = true };
          dispatchEvent(offer);
          window.isHeld = offer.defaultPrevented;
          """)
        try await till.browser.touch("[aria-haspopup=dialog]")
        try await till.browser.audit()
        try await till.browser.click("Install as an app", "dialog button")
        try await till.browser.wait(for: "window.wasAsked && window.isHeld")
        // Once: an offer is good for one answer.
        try await till.browser.wait(for: "!document.querySelector('dialog').innerText.includes('Install as an app')")
        // And another pairing can be begun and left again.
        try await till.browser.click("Pair anew", "dialog button")
        try await till.browser.waitForText("This phone is paired already")
        try await till.browser.audit()
        try await till.browser.click("Keep the pairing", "button")
        try await till.browser.waitForText("Ready for the next customer")
      }
    }

    @Test func nothingMovesForWhoAskedForStillness() async throws {
      try await withTill { till in
        let moving = """
          document.getAnimations().filter((each) => each.playState === "running" && each.effect.getComputedTiming().duration > 10
            && !each.effect.target.matches(".spinner")).length
          """
        try await till.ask()
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.wait(for: "(\(moving)) === 0")
        // The control: for everybody else the waves of the reader move.
        try await till.browser.chromium(
          "Emulation.setEmulatedMedia",
          ["features": [["name": "prefers-reduced-motion", "value": "no-preference"]]])
        try await till.browser.wait(for: "(\(moving)) > 0")
      }
    }

    /// From the code to the receipt, by keys alone, as they come.
    @Test func aPaymentIsTakenByTheKeyboardAlone() async throws {
      try await withPhone { browser, server in
        let (tab, enter) = ("\u{E004}", "\u{E007}")
        func go(to selector: String) async throws {
          try await browser.wait(for: "document.querySelector('\(selector)')")
          for _ in 0..<40 {
            if try await browser.value("document.activeElement.matches('\(selector)')") == true { return }
            try await browser.press(tab)
          }
          Issue.record("the focus does not come to \(selector)")
        }
        try await browser.open("\(server.url)/pos")
        try await go(to: "#code")
        try await browser.press(try await server.makeEnrollment().code + enter)
        try await browser.waitForText("Ready for the next customer")
        let device = try #require(
          try await server.get("/ipp/v1/devices").json["content"]?.elements.first?["id"]?.text)
        _ = try await server.makeSession(on: device)
        try await go(to: "[data-method=CARD]")
        try await browser.press(enter)
        try await go(to: "[data-outcome=EXPIRED_CARD]")
        try await browser.press(enter)
        try await browser.waitForText("has expired")
        try await go(to: "[data-method=CARD]")
        try await browser.press(enter)
        try await go(to: "[data-outcome=SUCCESS]")
        try await browser.press(enter)
        try await browser.wait(for: "document.querySelector('main.paid')")
        try await go(to: "footer .primary")
        try await browser.press(enter)
        try await browser.waitForText("Ready for the next customer")
      }
    }

    /// Text of twice the size, and a desk of 1280 pixels at 400 %, lose nothing (WCAG, 1.4.4 and 1.4.10).
    @Test(arguments: [(320, 16), (375, 32), (768, 32)])
    func largeTextAndNarrowScreensLoseNothing(width: Int, textPixels: Int) async throws {
      let screen = Screen(width: width, height: 800, language: "sv", textPixels: textPixels)
      try await withTill(screen, expects: [401]) { till in
        func look(_ name: String) async throws {
          try await till.browser.audit("\(name) at \(width), text of \(textPixels)")
          try await till.browser.picture("pos-\(name)-\(screen.name)")
        }
        try await look("line-empty")
        try await till.ask([line("Flaggstångsknoppsförgyllarverktygslåda", 12_345_678_900), line("Strumpor", 4_900)])
        try await till.wait(forScreen: "cart")
        try await look("cart")
        try await till.payByCard("CARD_VELOCITY_EXCEEDED")
        try await till.browser.wait(for: "document.querySelector('.decline')")
        try await look("declined")
        try await till.browser.touch("[data-method=KLARNA]")
        try await till.wait(forScreen: "scan")
        try await till.browser.wait(for: "document.querySelector('img.qr')?.naturalWidth > 0")
        try await look("scan")
        try await till.browser.touch("footer .button:not(.cancel)")
        try await till.wait(forScreen: "cart")
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await look("tap")
        try await till.browser.touch("footer .cancel")
        try await till.browser.wait(for: "document.querySelector('dialog[open]')")
        try await look("cancel")
        try await till.browser.touch("dialog .button:not(.danger)")
        try await till.browser.touch("[data-outcome=SUCCESS]")
        try await till.browser.wait(for: "document.querySelector('.receipt-code svg')")
        try await look("paid")
        try await till.browser.touch("[aria-haspopup=dialog]")
        try await till.browser.wait(for: "document.querySelector('dialog[open]')")
        try await look("menu")
        try await till.browser.touch("dialog .sheet-head .button")
        #expect(try await till.server.delete("/ipp/v1/devices/\(till.deviceID)").status == 204)
        try await till.wait(forScreen: "plight")
        try await look("revoked")
        try await till.browser.touch("main button")
        try await till.wait(forScreen: "pairing")
        try await look("pair")
      }
    }
  }
}
