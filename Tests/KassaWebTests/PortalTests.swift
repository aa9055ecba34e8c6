import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// The portal as a merchant uses it, in a real browser against the real program.
@Suite(.timeLimit(.minutes(4))) struct PortalTests {
  @Test func aKeySignsInAndIsNotKeptInThePage() async throws {
    try await withBrowser(expects: [401]) { browser, server in
      try await browser.open("\(server.url)/portal#/devices")
      // Nobody is signed in, and nobody was asked: a first look leaves no error in the console.
      #expect(try await browser.consoleErrors() == [])
      try await browser.fill("API key", with: "kassa_test_api_wrong")
      try await browser.click("Sign in", "button")
      try await browser.waitForText("This key does not open anything here")
      try await browser.fill("API key", with: server.apiKey)
      try await browser.click("Sign in", "button")
      // Where one wanted to go.
      try await browser.waitForText("No device is paired")

      let kept = try await browser.evaluate(
        "return JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, document.body.innerHTML])")
      #expect(kept.text?.contains(server.apiKey) == false && kept.text?.contains("kassa-portal-") == false, "\(kept)")
      let cookies = try await browser.command("GET", "/cookie").elements
      let cookie = try #require(cookies.first { $0["name"]?.text == "kassa-portal-\(server.port)" }, "\(cookies)")
      #expect(cookie["httpOnly"] == true && cookie["sameSite"] == "Strict")

      try await browser.command("POST", "/refresh")
      try await browser.waitForText("No device is paired")
      try await browser.click("Sign out", "button")
      try await browser.waitForText("The portal opens with an API key")
      #expect(try await browser.command("GET", "/cookie").elements.isEmpty)
      // Loading anew does not bring it back.
      try await browser.open("\(server.url)/portal#/devices")
      try await browser.command("POST", "/refresh")
      try await browser.waitForText("The portal opens with an API key")
    }
  }

  @Test func aCodeTurnsToUsedWhileItIsWatched() async throws {
    try await withBrowser { browser, server in
      try await browser.signIn(to: server, "#/codes")
      try await browser.click("New pairing code", "button")
      try await browser.fill("Metadata", with: "till: 7\nfloor: ground")
      try await browser.click("New pairing code", "dialog button")
      let code = try await browser.text(".code-large")
      try await browser.audit("a code", for: .pointer)
      // The QR code holds the deep link: it is drawn, with its own name.
      #expect(
        try await browser.evaluate("return document.querySelector('.qr[role=img] path').getAttribute('d').length > 500")
          == true)
      let answer = try await server.send(
        HTTPCall(
          "POST", "/pos/v1/devices",
          json: ["enrollment_code": .string(code), "hardware_id": "phone-1", "platform": "IOS", "name": "Till 7"]))
      #expect(answer.status == 201, "\(answer)")
      #expect(answer.json["metadata"] == ["floor": "ground", "till": "7"] || answer.json["metadata"]?["till"] == "7")
      // Without a reload.
      try await browser.waitForText("A phone was paired with it.")
      #expect(try await browser.evaluate("return document.querySelector('.code-large')") == .null)
      try await browser.click("See the device", "a")
      try await browser.wait("its name", "return document.querySelector('h1')?.innerText === 'Till 7'")
      try await browser.command("POST", "/back")
      try await browser.waitForText("A phone was paired with it.")
    }
  }

  @Test func manyCodesMakeASheetAndOneCanBeCancelled() async throws {
    try await withBrowser { browser, server in
      try await browser.signIn(to: server, "#/codes")
      try await browser.click("New pairing code", "button")
      try await browser.fill("How many", with: "3")
      try await browser.click("New pairing code", "dialog button")
      try await browser.waitForText("3 to print")
      #expect(try await browser.evaluate("return document.querySelectorAll('.sheet .qr').length") == 3)
      try await browser.picture("portal-sheet")
      let list = try await server.get("/ipp/v1/enrollments").json["content"]?.elements ?? []
      #expect(list.count == 3)
      let id = try #require(list.first?["enrollment_id"]?.text)
      try await browser.go("#/codes/\(id)")
      try await browser.click("Cancel the code", "button")
      try await browser.click("Cancel the code", "dialog button")
      try await browser.waitForText("1 to 2 of 2")
      #expect(try await server.get("/ipp/v1/enrollments/\(id)").json["status"] == "CANCELLED")
    }
  }

  @Test func aDeviceIsRenamedMovedAndRemoved() async throws {
    try await withBrowser { browser, server in
      let device = try await server.makeDevice()
      _ = try await server.post("/portal/v1/locations", ["name": "Market stall"])
      try await browser.signIn(to: server, "#/devices")
      try await browser.click("Till 1", "td a")
      try await browser.click("Rename", "button")
      try await browser.fill("Name", with: "Kassa vid entrén")
      try await browser.click("Save", "button")
      try await browser.wait("the new name", "return document.querySelector('h1').innerText === 'Kassa vid entrén'")
      try await browser.click("Move", "button")
      try await browser.choose("Location", "Market stall")
      try await browser.click("Move", "dialog button")
      try await browser.wait(
        "the move",
        "return !document.querySelector('dialog') && document.querySelector('.facts').innerText.includes('Market stall')"
      )
      let changed = try await server.get("/ipp/v1/devices/\(device.id)").json
      #expect(changed["name"] == "Kassa vid entrén" && changed["metadata"]?["simulated"] == "true")
      try await browser.click("Remove the device", "button")
      try await browser.waitForText("is signed out at once")
      try await browser.click("Remove the device", "dialog button")
      try await browser.waitForText("No device is paired")
      #expect(try await server.get("/ipp/v1/devices/\(device.id)").status == 404)
    }
  }

  @Test func sessionsComeByThemselvesAndShowTheirSteps() async throws {
    try await withBrowser { browser, server in
      let device = try await server.makeDevice()
      try await browser.signIn(to: server, "#/sessions")
      try await browser.waitForText("No payment was asked for yet")
      // Made elsewhere, and there without a reload.
      let id = try await server.makeSession(on: device.id, reference: "KVITTO-1")
      try await browser.click("KVITTO-1", "td a")
      try await browser.waitForText("Waiting in line")
      try await browser.choose("How it ends", "Expired card")
      try await browser.click("Tap", "button")
      try await browser.waitForText("Attempt failed")
      try await browser.choose("How it ends", "Goes well")
      try await browser.click("Tap", "button")
      try await browser.waitForText("Paid")
      try await browser.audit("a session", for: .pointer)
      // The picture has a station for each step that the server tells of.
      let steps = try await server.get("/ipp/v1/sessions/\(id)").json["timeline"]?.elements ?? []
      #expect(steps.count >= 4)
      let drawn = try await browser.wait(
        "every step",
        "const n = document.querySelectorAll('.timeline .station').length; return n === arguments[0] && n",
        .integer(Int64(steps.count)))
      #expect(drawn.integer == Int64(steps.count))
      // Over: nothing is left to cancel or tap.
      try await browser.wait("the end", "return !document.body.innerText.includes('Cancel the session')")
      try await browser.picture("portal-session")

      try await browser.command("POST", "/back")
      try await browser.choose("Status", "Cancelled")
      try await browser.waitForText("Nothing fits")
      #expect(try await browser.evaluate("return location.hash") == "#/sessions?status=CANCELLED")
      try await browser.command("POST", "/back")
      try await browser.waitForText("KVITTO-1")
    }
  }

  @Test func cancellingTellsWhatIsCertain() async throws {
    try await withBrowser(expects: [409]) { browser, server in
      let device = try await server.makeDevice()
      try await browser.signIn(to: server)
      // Nothing was begun: cancelled at once.
      let first = try await server.makeSession(on: device.id)
      try await browser.go("#/sessions/\(first)")
      try await browser.click("Cancel the session", "button")
      try await browser.click("Cancel the session", "dialog button")
      try await browser.waitForText("Cancelled. No money moved, and none will.")

      // An attempt is under way, and the card network is silent once: not known, then known, without another click.
      let second = try await server.makeSession(on: device.id)
      let begun = try await server.send(
        HTTPCall(
          "POST", "/pos/v1/sessions/\(second)/payments", headers: [("authorization", "Bearer \(device.token)")],
          json: ["method": "CARD"]))
      #expect(begun.status == 201 || begun.status == 200, "\(begun)")
      let fault = try await server.post("/ipp/v1/dev/card-faults", ["operation": "CANCEL", "fault": "UNREACHABLE"])
      #expect(fault.status == 204)
      try await browser.go("#/sessions/\(second)")
      try await browser.waitForText("Being paid")
      try await browser.click("Cancel the session", "button")
      try await browser.click("Cancel the session", "dialog button")
      try await browser.waitForText("Not known yet whether money moved")
      try await browser.wait("the outcome", "return document.querySelector('[data-status=CANCELLED]') !== null")
      try await browser.waitForNoText("Not known yet whether money moved")
      #expect(try await server.get("/ipp/v1/sessions/\(second)").json["status"] == "CANCELLED")

      // Paid in the moment between looking and cancelling: the dialog is open already.
      let third = try await server.makeSession(on: device.id)
      try await browser.go("#/sessions/\(third)")
      try await browser.click("Cancel the session", "button")
      #expect(try await server.post("/ipp/v1/dev/sessions/\(third)/simulate-tap", [:]).status == 200)
      try await browser.click("Cancel the session", "dialog button")
      try await browser.waitForText("It was paid already")
      #expect(try await server.get("/ipp/v1/sessions/\(third)").json["status"] == "FINALIZED")
    }
  }

  @Test func aWebhookIsMadeTestedReadAndResent() async throws {
    let receiver = try await CallbackReceiver()
    try await withBrowser(expects: [400]) { browser, server in
      try await browser.signIn(to: server, "#/webhooks")
      try await browser.waitForText("No webhook yet")
      try await browser.click("New webhook", "button")
      try await browser.fill("Name", with: "Webshop")
      try await browser.fill("Address", with: "not an address")
      try await browser.click("Save", "button")
      // What the server refuses stands at its field.
      try await browser.wait("the flaw", "return document.querySelector('input[type=url][aria-invalid=true]') !== null")
      try await browser.fill("Address", with: receiver.url)
      try await browser.click("Save", "button")
      let secret = try await browser.text("dialog .secret code")
      try await browser.click("I have kept it", "button")
      try await browser.click("Send a test event", "button")
      let sent = try await receiver.callbacks { $0.count == 1 }
      #expect(sent[0].isSigned(by: secret))
      try await browser.wait(
        "the delivery", "return document.querySelector('.delivery [data-status=DELIVERED]') !== null")
      try await browser.click("ipp.webhook.test", ".delivery-open")
      try await browser.wait(
        "the payload", "return document.querySelector('.payload')?.innerText.includes('webhook_id')")
      try await browser.audit("a delivery", for: .pointer)
      try await browser.picture("portal-webhook")
      try await browser.click("Send again", "button")
      let again = try await receiver.callbacks { $0.count == 2 }
      #expect(again[1].header("webhook-id") == again[0].header("webhook-id") && again[1].body == again[0].body)
      try await browser.wait("two tries", "return document.querySelectorAll('.tries li').length === 2")

      try await browser.click("Rotate the secret", "button")
      try await browser.click("Rotate the secret", "dialog button")
      let rotated = try await browser.text("dialog .secret code")
      #expect(rotated != secret)
      try await browser.click("I have kept it", "button")
      try await browser.click("Send a test event", "button")
      let both = try await receiver.callbacks { $0.count == 3 }
      #expect(both[2].isSigned(by: secret) && both[2].isSigned(by: rotated))
      // The secret is nowhere in the page any more.
      #expect(try await browser.evaluate("return document.documentElement.innerHTML.includes('whsec_')") == false)
    }
    await receiver.close()
  }

  @Test func keysAreShownOnceAndRevokingOnesOwnSignsOut() async throws {
    try await withBrowser(expects: [401]) { browser, server in
      try await browser.signIn(to: server, "#/keys")
      try await browser.click("New API key", "button")
      try await browser.fill("Name", with: "Portal of Ada")
      try await browser.click("New API key", "dialog button")
      let key = try await browser.text("dialog .secret code")
      #expect(
        try await server.send(HTTPCall("GET", "/portal/v1/me", headers: [server.authorization(key)])).status == 200)
      try await browser.click("I have kept it", "button")
      #expect(
        try await browser.evaluate("return document.documentElement.innerHTML.includes(arguments[0])", .string(key))
          == false)
      try await browser.click("Sign out", "button")
      try await browser.fill("API key", with: key)
      try await browser.click("Sign in", "button")
      try await browser.click("Revoke: Portal of Ada", "button")
      try await browser.waitForText("signs you out at once")
      try await browser.click("Revoke", "dialog button")
      try await browser.waitForText("You were signed out")
      #expect(
        try await server.send(HTTPCall("GET", "/portal/v1/me", headers: [server.authorization(key)])).status == 401)
    }
  }

  /// A page of another site, in the browser that is signed in.
  @Test func anotherSitesPageCanDoNothing() async throws {
    try await withBrowser(allowsConsoleErrors: true) { browser, server in
      let device = try await server.makeDevice()
      try await browser.signIn(to: server)
      try await browser.open("data:text/html,<title>Elsewhere</title><p>Elsewhere</p>")
      let outcomes = try await browser.command(
        "POST", "/execute/async",
        [
          "script": """
          const [url, device, done] = arguments;
          const tries = [
            ["DELETE", `/ipp/v1/devices/${device}`, {}],
            ["POST", "/portal/v1/locations", { body: '{"name":"Elsewhere"}', headers: { "Content-Type": "text/plain" }, mode: "no-cors" }],
            ["POST", "/portal/v1/locations", { body: '{"name":"Elsewhere"}', headers: { "Content-Type": "application/json", "Kassa-Portal": "1" } }],
            ["POST", "/portal/v1/sign-out", { mode: "no-cors" }],
            ["GET", "/ipp/v1/devices", {}],
            ["GET", "/portal/v1/playground", { headers: { "Kassa-Portal": "1" } }],
          ];
          Promise.all(tries.map(([method, path, more]) => fetch(url + path, { method, credentials: "include", ...more })
            .then(async (answer) => `${answer.type} ${await answer.text()}`, () => "failed"))).then(done);
          """,
          "args": [.string(server.url), .string(device.id)],
        ])
      // Nothing can be read; what was let through to the server did nothing.
      for outcome in outcomes.elements { #expect(["failed", "opaque "].contains(outcome.text), "\(outcomes)") }
      #expect(outcomes.elements.count == 6)
      #expect(try await server.get("/ipp/v1/devices/\(device.id)").status == 200)
      #expect(try await server.get("/ipp/v1/locations").json["total_elements"] == 1)

      // A form, which needs nobody's leave.
      try await browser.evaluate(
        """
        document.body.innerHTML = `<form method="post" action="${arguments[0]}/portal/v1/sign-out"><button>Win</button></form>`;
        """, .string(server.url))
      try await browser.click("Win", "button")
      try await browser.waitForText("cross_site_refused")
      try await browser.open("\(server.url)/portal#/devices")
      try await browser.waitForText("Till 1")
    }
  }

  /// The control of the test above: the page's own requests, made the same way, do what they say.
  @Test func thePortalsOwnPageCan() async throws {
    try await withBrowser { browser, server in
      let device = try await server.makeDevice()
      try await browser.signIn(to: server)
      let status = try await browser.command(
        "POST", "/execute/async",
        [
          "script": """
          const [path, done] = arguments;
          fetch(path, { method: "DELETE", headers: { "Kassa-Portal": "1" } }).then((answer) => done(answer.status), () => done("failed"));
          """,
          "args": [.string("/ipp/v1/devices/\(device.id)")],
        ])
      #expect(status == 204)
      #expect(try await server.get("/ipp/v1/devices/\(device.id)").status == 404)
    }
  }

  @Test func withoutTheServerThePageSaysWhatToDo() async throws {
    try await withBrowser(expects: [0]) { browser, server in
      try await browser.signIn(to: server, "#/devices")
      try await browser.waitForText("Live")
      await server.kill()
      try await browser.waitForText("Connecting …")
      try await browser.go("#/keys")
      try await browser.waitForText("The server did not answer. Check the network and try again.")
      try await browser.waitForText("Try again")
      try await browser.picture("portal-without-server")
    }
  }

  @Test func theKeyboardAloneIsEnough() async throws {
    try await withBrowser { browser, server in
      let (tab, enter, escape) = ("\u{e004}", "\u{e007}", "\u{e00c}")
      try await browser.signIn(to: server, "#/keys")
      try await browser.wait("the list", "return document.querySelector('td') !== null")
      // The first stop leads past the menu.
      try await browser.reload()
      try await browser.wait("the list", "return document.querySelector('td') !== null")
      try await browser.press(tab)
      #expect(try await browser.evaluate("return document.activeElement.className.includes('skip')") == true)
      try await browser.press(enter)
      try await browser.wait("the content's focus", "return document.activeElement.tagName === 'H1'")
      try await browser.press(tab)
      try await browser.press(enter)
      try await browser.wait("the dialog", "return document.querySelector('dialog[open]') !== null")
      #expect(
        try await browser.evaluate("return document.querySelector('dialog').contains(document.activeElement)") == true)
      try await browser.press(escape)
      try await browser.wait("the dialog's end", "return document.querySelector('dialog') === null")
      // Back where one was.
      try await browser.wait("the focus", "return document.activeElement.innerText === 'New API key'")
    }
  }
}
