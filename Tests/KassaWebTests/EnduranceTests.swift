import KassaJSON
import KassaTestSupport
import Testing

extension Web {
  /// What phones go through: reloads, sleep, dead networks, other languages, small and large screens.
  struct EnduranceTests {
    @Test func aReloadAtAnyStepShowsWhatIs() async throws {
      try await withTill { till in
        try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.browser.reload()
        try await till.wait(forScreen: "cart")
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.reload()
        try await till.wait(forScreen: "tap")
        try await till.browser.touch("[data-outcome=EXPIRED_CARD]")
        try await till.browser.wait(for: "document.querySelector('.decline')")
        try await till.browser.reload()
        try await till.browser.wait(for: "document.querySelector('.decline')")
        // From the address without a session: what is under way comes to the screen by itself.
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.open("\(till.server.url)/pos")
        try await till.wait(forScreen: "tap")
        try await till.browser.touch("[data-outcome=SUCCESS]")
        try await till.wait(forScreen: "paid")
        try await till.browser.reload()
        try await till.wait(forScreen: "paid")
        try await till.browser.wait(for: "document.querySelector('.receipt-code svg')")
        // And the browser's own way back.
        try await till.browser.touch("footer .primary")
        try await till.browser.waitForText("Ready for the next customer")
      }
    }

    @Test func offlineIsSaidAndComesBackByItself() async throws {
      try await withTill(expects: [0]) { till in
        try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.browser.setOffline(true)
        try await till.browser.waitForText("No connection")
        try await till.browser.audit()
        try await till.picture("offline")
        try await till.browser.touch("[data-method=CARD]")
        try await till.browser.waitForText("This screen shows what is, as soon as the connection is back")
        let second = try await till.ask([line("While offline", 5_000)])
        try await till.browser.setOffline(false)
        try await till.waitUntilLive()
        try await till.browser.wait(for: "!document.querySelector('.notice.warning strong, .connection.offline')")
        try await till.browser.wait(for: "document.querySelector('.leave .count')?.innerText === '1'")
        try await eventually { try await till.session(second)["delivery"]?["state"]?.text == "FETCHED" }
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test func theAppOpensWithoutANetworkAndSaysSo() async throws {
      try await withTill(expects: [0]) { till in
        try await till.browser.run("await navigator.serviceWorker.ready")
        try await till.browser.wait(for: "caches.keys().then(names => names.length === 1)")
        let kept = try await till.browser.run(
          """
          const [name] = await caches.keys();
          const cache = await caches.open(name);
          return (await cache.keys()).map((request) => new URL(request.url).pathname);
          """)
        let paths = kept.elements.compactMap(\.text)
        #expect(!paths.contains { $0.contains("/v1/") }, "data of the API is kept: \(paths)")
        // Everything that the page loads is among them.
        let loaded = try await till.browser.value(
          "performance.getEntriesByType('resource').map(e => new URL(e.name).pathname).filter(p => !p.includes('/v1/'))"
        )
        for path in loaded.elements.compactMap(\.text) where path != "/pos/worker.js" {
          #expect(paths.contains(path), "\(path) is not kept")
        }
        await till.server.kill()
        try await till.browser.setOffline(true)
        try await till.browser.reload()
        try await till.browser.waitForText("No connection")
        try await till.picture("offline-start")
        try await till.browser.audit()
      }
    }

    @Test func aNewVersionIsTakenWhenNothingIsOnTheScreen() async throws {
      try await withTill { till in
        // The page makes its policy once; the test registers by the same.
        try await till.browser.chromium(
          "Page.addScriptToEvaluateOnNewDocument",
          [
            "source": """
            const make = trustedTypes.createPolicy;
            trustedTypes.createPolicy = function (...given) { return (window.policy = make.apply(this, given)); };
            """
          ])
        try await till.browser.reload()
        try await till.waitUntilLive()
        try await till.browser.wait(for: "navigator.serviceWorker.controller !== null && window.policy")
        try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.browser.run(
          """
          window.isOld = true;
          await caches.open("kassa-pos of-yesterday");
          await caches.open("of somebody else");
          await navigator.serviceWorker.register(policy.createScriptURL("/pos/worker.js?next"), { scope: "/pos" });
          """)
        try await till.browser.wait(for: "navigator.serviceWorker.controller.scriptURL.endsWith('?next')")
        // What an earlier version kept is gone; what is not its own is not.
        try await till.browser.wait(for: "caches.keys().then((names) => !names.includes('kassa-pos of-yesterday'))")
        #expect(try await till.browser.run("return (await caches.keys()).includes('of somebody else')") == true)
        // The customer is not disturbed.
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
        #expect(try await till.browser.value("window.isOld") == true)
        try await till.browser.touch("footer .primary")
        try await till.browser.wait(for: "!window.isOld && document.querySelector('main.line')")
        try await till.browser.waitForText("Ready for the next customer")
      }
    }

    /// Without a stream, by asking alone, all of it can be done.
    @Test func aPhoneWhoseStreamIsRefusedStillTakesPayments() async throws {
      try await withTill(expects: [429]) { till in
        try await till.browser.run(
          """
          const real = globalThis.fetch;
          globalThis.fetch = (address, options) => String(address).startsWith("/pos/v1/events") ? Promise.reject(new TypeError("no stream")) : real(address, options);
          dispatchEvent(new Event("online"));
          """)
        try await till.browser.wait(for: "document.querySelector('.connection.polling')")
        try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test(arguments: [(375, 812), (768, 1024), (1440, 900)], [false, true])
    func longWordsManyLinesAndLargeAmountsFit(size: (Int, Int), isDark: Bool) async throws {
      let screen = Screen(width: size.0, height: size.1, isDark: isDark, language: "sv")
      try await withTill(screen) { till in
        let long = "Flaggstångsknoppsförgyllarverktygslåda med tillbehörsförvaringsväska"
        var lines = [line(long, 12_345_678_900)]
        lines += (2...40).map { line("Artikel nummer \($0)", Int64($0) * 1_000, quantity: Int64($0 % 3 + 1)) }
        try await till.ask(lines)
        try await till.wait(forScreen: "cart")
        try await till.browser.audit()
        try await till.picture("cart-long")
        try await till.browser.touch(".items > .button")
        try await till.browser.wait(for: "document.querySelectorAll('.item').length === 40")
        try await till.browser.audit()
        try await till.payByCard("CARD_VELOCITY_EXCEEDED")
        try await till.browser.wait(for: "document.querySelector('.decline')")
        try await till.browser.audit()
        try await till.picture("declined")
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.audit()
        try await till.picture("tap")
        try await till.browser.touch("[data-outcome=SUCCESS]")
        try await till.browser.wait(for: "document.querySelector('.receipt-code svg')")
        try await till.browser.audit()
        try await till.picture("paid-long")
        try await till.browser.touch("[aria-haspopup=dialog]")
        try await till.browser.wait(for: "document.querySelector('dialog[open]')")
        try await till.browser.audit()
        try await till.picture("menu")
      }
    }

    @Test func theKeyboardReachesEverythingInOrderAndTheFocusIsSeen() async throws {
      try await withTill { till in
        try await till.ask()
        try await till.wait(forScreen: "cart")
        let order = try await till.browser.focusOrder()
        #expect(order == ["Skip to the content", "All payments", "Menu", "Card", "Klarna", "Swish", "Cancel payment"])
        // The whole way to the receipt without touching the screen.
        try await till.browser.run("document.querySelector('[data-method=CARD]').focus()")
        try await till.browser.press("\u{E007}")
        try await till.wait(forScreen: "tap")
        #expect(try await till.browser.value("document.activeElement.tagName").text == "H1")
        let outcomes = try await till.browser.focusOrder()
        #expect(outcomes.count == 15, "\(outcomes)")
        try await till.browser.run("document.querySelector('[data-outcome=SUCCESS]').focus()")
        try await till.browser.press("\u{E007}")
        try await till.wait(forScreen: "paid")
        try await till.browser.wait(for: "document.getElementById('said').textContent.includes('Paid')")
        // A dialog takes the focus, Escape ends it, and the focus is where it was.
        try await till.browser.run("document.querySelector('[aria-haspopup=dialog]').focus()")
        try await till.browser.press("\u{E007}")
        try await till.browser.wait(for: "document.querySelector('dialog[open]')?.contains(document.activeElement)")
        try await till.browser.press("\u{E00C}")
        try await till.browser.wait(
          for: "!document.querySelector('dialog') && document.activeElement.ariaLabel === 'Menu'")
      }
    }

    @Test func theLanguageAndTheSchemeCanBeChosenAndAreKept() async throws {
      try await withTill { till in
        try await till.browser.touch("[aria-haspopup=dialog]")
        try await till.browser.touch("input[name=language][value=sv]")
        try await till.browser.waitForText("Den här kassan")
        try await till.browser.touch("input[name=scheme][value=dark]")
        try await till.browser.wait(for: "document.documentElement.dataset.scheme === 'dark'")
        try await till.browser.audit()
        try await till.browser.touch("dialog .sheet-head .button")
        try await till.browser.reload()
        try await till.browser.waitForText("Redo för nästa kund")
        #expect(try await till.browser.value("document.documentElement.lang").text == "sv")
        #expect(try await till.browser.value("document.documentElement.dataset.scheme").text == "dark")
      }
    }

    @Test func theAppIsSmall() async throws {
      try await withServer { server in
        let worker = try await server.send(HTTPCall("GET", "/pos/worker.js")).text
        let files =
          worker.matches(of: /"(\/(?:pos|shared)\/[a-z0-9.-]+)"/).map { String($0.1) }
          + ["/pos", "/pos/worker.js", "/pos/icon-512.png", "/pos/icon-maskable-512.png"]
        #expect(files.count > 15)
        var bytes = 0
        for file in files {
          let answer = try await server.send(HTTPCall("GET", file))
          #expect(answer.status == 200, "\(file)")
          bytes += answer.body.count
        }
        #expect(bytes < 150_000, "the app has \(bytes) bytes")
      }
    }
  }
}
