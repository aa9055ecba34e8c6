import KassaJSON
import KassaTestSupport
import Testing

extension Web {
  /// The API reference at `/docs`, as a developer uses it.
  struct ReferenceTests {
    @Test func everyOperationIsThereWithItsSampleInEveryLanguage() async throws {
      try await withReference { reference in
        let document = try await reference.server.get("/openapi.json").json
        var operations: [JSONValue] = []
        for path in document["paths"]?.members ?? [] {
          for method in path.value.members {
            operations.append([
              "id": method.value["operationId"] ?? .null, "method": .string(method.name.uppercased()),
              "path": .string(path.name), "summary": method.value["summary"] ?? .null,
              "hasBody": .bool(method.value["requestBody"] != nil),
              "hasSample": .bool(method.value["x-called-by"] == nil),
            ])
          }
        }
        #expect(operations.count > 50)
        let flaws = try await reference.browser.run(everyOperationScript, [.array(operations)])
        #expect(flaws.elements.compactMap(\.text) == [])
      }
    }

    @Test func whatIsTriedIsSentAndItsAnswerShown() async throws {
      try await withReference(expects: [401]) { reference in
        let browser = reference.browser
        try await reference.open("createEnrollment")
        try await browser.touch("#trial > summary")
        try await browser.touch(".trial [type=submit]")
        try await browser.waitForText("The operation needs a credential")

        try await browser.type("kassa_test_api_wrong", into: "#credential")
        try await browser.touch(".trial [type=submit]")
        try await browser.waitForText("401 Unauthorized")
        try await browser.wait(for: "document.querySelector('#answer-body').innerText.includes('\"unauthorized\"')")

        try await reference.fill("#credential", reference.server.apiKey)
        try await reference.fill("#body", #"{"metadata": {"till": "7"}"#)
        try await browser.waitForText("This is not JSON")
        try await reference.fill("#body", #"{"metadata": {"till": "7"}}"#)
        try await browser.touch(".trial [type=submit]")
        try await browser.waitForText("201 Created")
        let answer = try JSONParser.parse(Array(try await browser.text("#answer-body").utf8))
        let id = try #require(answer["enrollment_id"]?.text)
        let made = try await reference.server.get("/ipp/v1/enrollments/\(id)").json
        #expect(made["metadata"] == ["till": "7"])

        // The next operation on the same thing has its id already, in the form and in the sample.
        try await reference.open("getEnrollment")
        #expect(try await browser.value("document.querySelector('#parameter-path-enrollment_id').value").text == id)
        #expect(try await browser.text("#sample-code").contains("/ipp/v1/enrollments/\(id)"))
        try await browser.touch("#trial > summary")
        try await browser.touch(".trial [type=submit]")
        try await browser.waitForText("200 OK")
      }
    }

    @Test func aPaymentIsTakenWithoutLeavingThePage() async throws {
      try await withReference { reference in
        let browser = reference.browser
        try await reference.useKey()
        for id in ["createSimulatedDevice", "createSession", "simulateTap", "getSession"] {
          try await reference.open(id)
          try await browser.touch("#trial > summary")
          try await browser.touch(".trial [type=submit]")
          try await browser.wait(for: "document.querySelector('#answer-body')")
        }
        let session = try JSONParser.parse(Array(try await browser.text("#answer-body").utf8))
        #expect(session["status"]?.text == "FINALIZED")
      }
    }

    @Test func aStreamIsShownAsItComesUntilItIsStopped() async throws {
      try await withReference { reference in
        let browser = reference.browser
        try await reference.useKey()
        try await reference.open("streamOwnEvents")
        try await browser.touch("#trial > summary")
        try await browser.run("[...document.querySelectorAll('.trial button')].at(0).click()")
        try await browser.wait(for: "document.querySelector('#credential').value !== ''")
        try await browser.touch(".trial [type=submit]")
        try await browser.wait(for: "document.querySelector('#answer-body')?.innerText.includes('event: ready')")

        let device = try #require(
          try await reference.server.get("/ipp/v1/devices").json["content"]?.elements.first?["id"]?.text)
        let session = try await reference.server.post(
          "/ipp/v1/sessions",
          [
            "device_id": .string(device), "order_amount": 100, "purchase_currency": "SEK",
            "order_items": [
              ["name": "Bag", "unit_price": 100, "total_amount": 100, "tax_rate": 0, "total_tax_amount": 0]
            ],
          ])
        try #require(session.status == 200, "\(session)")
        try await browser.wait(for: "document.querySelector('#answer-body').innerText.includes('session.created')")
        try await browser.touch(".trial .actions .button")
        try await browser.waitForText("The stream has ended")
      }
    }

    @Test func samplesAndPayloadAreCopied() async throws {
      try await withReference { reference in
        let browser = reference.browser
        try await browser.chromium(
          "Browser.grantPermissions", ["permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]])
        try await reference.open("createSession")
        for name in ["sample", "payload"] {
          try await browser.touch("[data-copy=\(name)]")
          try await browser.wait(for: "document.querySelector('[data-copy=\(name)]').innerText.includes('Copied')")
          #expect(try await browser.value("document.querySelector('#said').textContent").text == "Copied")
          let copied = try await browser.value("navigator.clipboard.readText()").text
          let shown = try await browser.value(
            "document.querySelector('[data-copy=\(name)]').closest('section').querySelector('pre').textContent"
          ).text
          #expect(copied == shown)
          #expect(copied?.contains("order_amount") == true)
        }
      }
    }

    @Test func choicesAreRememberedAndKeysOnlyWhenAsked() async throws {
      try await withReference { reference in
        let browser = reference.browser
        try await reference.open("listDevices")
        try await browser.touch("#tab-go")
        try await browser.run(
          "const s = document.querySelector('#server'); s.value = 'production'; s.dispatchEvent(new Event('change'));")
        try await reference.fill("#address", "https://pay.shop.example/")
        #expect(try await browser.text("#sample-code").contains("\"https://pay.shop.example/ipp/v1/devices"))
        try await browser.touch("#trial > summary")
        try await reference.fill("#credential", reference.server.apiKey)
        #expect(try await browser.value("JSON.stringify(localStorage).includes('kassa_test_api_')").bool == false)

        try await browser.reload()
        try await browser.wait(for: "document.querySelector('[data-operation=listDevices]')")
        #expect(try await browser.text("#tab-go[aria-selected=true]") == "Go")
        #expect(try await browser.text("#sample-code").contains("\"https://pay.shop.example/ipp/v1/devices"))
        try await browser.touch("#trial > summary")
        #expect(try await browser.value("document.querySelector('#credential').value").text == reference.server.apiKey)
        try await browser.touch(".check input")
        #expect(try await browser.value("JSON.stringify(localStorage).includes('kassa_test_api_')").bool == true)
        try await browser.touch(".check input")
        #expect(try await browser.value("JSON.stringify(localStorage).includes('kassa_test_api_')").bool == false)
      }
    }

    @Test func itIsUsedByTheKeyboardAlone() async throws {
      try await withReference { reference in
        let browser = reference.browser
        let (enter, right, down) = ("\u{E007}", "\u{E014}", "\u{E015}")
        try await browser.press("/")
        try await browser.wait(for: "document.activeElement.id === 'search'")
        try await browser.type("rotate-secret", into: "#search")
        try await browser.wait(for: "document.querySelectorAll('.menu-link').length === 1")
        #expect(try await browser.value("document.querySelector('#said').textContent").text == "1 operation found")
        try await browser.press(down)
        try await browser.press(enter)
        try await browser.wait(for: "document.querySelector('[data-operation=rotateWebhookSecret]')")
        #expect(try await browser.value("document.activeElement.id").text == "heading")

        try await browser.run("document.querySelector('#tab-curl').focus()")
        try await browser.press(right)
        try await browser.wait(for: "document.activeElement.id === 'tab-javascript'")
        #expect(try await browser.text("#sample-code").contains("await fetch("))

        try await browser.reload()
        try await browser.wait(for: "document.querySelector('[data-operation=rotateWebhookSecret]')")
        #expect(try await browser.focusOrder(stepsMax: 60).count > 20)
      }
    }

    @Test func everyOtherControlDoesWhatItSays() async throws {
      try await withReference { reference in
        let browser = reference.browser
        // Both forms of the document are there to be downloaded, and named so.
        for form in ["yaml", "json"] {
          let link = try await browser.run(
            "const a = document.querySelector('.top-links a[href$=\(form)]'); return { name: a.download, status: (await fetch(a.href)).status };"
          )
          #expect(link["name"]?.text == "kassa-openapi.\(form)" && link["status"] == 200)
        }
        // From one operation to the next and back, with the focus at its heading.
        try await reference.open("createEnrollment")
        let first = try await browser.text("h1")
        try await browser.touch(".neighbours [rel=next]")
        try await browser.wait(for: "document.querySelector('h1').innerText !== \(quotedForScript(first))")
        try await browser.wait(for: "document.activeElement.id === 'heading'")
        try await browser.touch(".neighbours [rel=prev]")
        try await browser.wait(for: "document.querySelector('h1').innerText === \(quotedForScript(first))")
        try await browser.touch(".menu-link[href='#']")
        try await browser.wait(for: "document.querySelector('#credentials')")

        func choose(_ label: String, _ value: String) async throws {
          try await browser.run(
            """
            const select = document.querySelector(`.top select[aria-label="${arguments[0]}"]`);
            select.value = arguments[1];
            select.dispatchEvent(new Event("change", { bubbles: true }));
            """, [.string(label), .string(value)])
        }
        try await choose("Colours", "dark")
        try await browser.wait(for: "document.documentElement.dataset.scheme === 'dark'")
        try await choose("Language", "sv")
        try await browser.waitForText("Översikt")
        try await browser.reload()
        try await browser.waitForText("Översikt")
        #expect(try await browser.value("document.documentElement.dataset.scheme").text == "dark")
        try await choose("Språk", "en")
        try await browser.waitForText("Overview")

        // The playground's key and a device of its own are one press away; the answer can be copied, with its headers.
        try await reference.open("listDevices")
        try await browser.touch("#trial > summary")
        try await browser.click("Use the playground’s key", "button")
        try await browser.wait(for: "document.querySelector('#credential').value.startsWith('kassa_test_api_')")
        try await browser.touch(".trial [type=submit]")
        try await browser.waitForText("200 OK")
        try await browser.click("Headers", ".trial summary")
        try await browser.waitForText("x-request-id")
        try await reference.open("getOwnDevice")
        try await browser.touch("#trial > summary")
        try await browser.click("Make a simulated device", "button")
        try await browser.wait(for: "document.querySelector('#credential').value !== ''")
        try await browser.touch(".trial [type=submit]")
        try await browser.waitForText("200 OK")
        #expect(try await reference.server.get("/ipp/v1/devices").json["total_elements"] == 1)
      }
    }

    @Test func withoutADescriptionItSaysSoAndTriesAgain() async throws {
      try await withReference(expects: [0]) { reference in
        let browser = reference.browser
        try await browser.chromium("Network.enable")
        try await browser.chromium("Network.setBlockedURLs", ["urls": ["*/openapi.json"]])
        try await browser.reload()
        try await browser.waitForText("The description of the API could not be read")
        try await browser.chromium("Network.setBlockedURLs", ["urls": []])
        try await browser.touch(".failure .button")
        try await browser.wait(for: "document.querySelector('.lead')")
      }
    }

    @Test(arguments: [375, 768, 1440], [false, true])
    func itFitsEveryWindow(width: Int, isDark: Bool) async throws {
      let look = "\(width)\(isDark ? "-dark" : "")"
      try await withReference(language: isDark ? "sv" : "en", width: width, isDark: isDark) { reference in
        let browser = reference.browser
        try await reference.audit()
        try await browser.view("docs-overview-\(look)")
        try await reference.useKey()
        for id in ["createSession", "registerDevice", "listDevices"] {
          try await reference.open(id)
          try await browser.run("document.querySelectorAll('.nested').forEach((one) => (one.open = true))")
          try await browser.view("docs-\(id)-\(look)")
          try await browser.touch("#trial > summary")
          if id == "listDevices" {
            try await browser.touch(".trial [type=submit]")
            try await browser.wait(for: "document.querySelector('#answer-body')")
          }
          try await reference.audit()
          try await browser.view("docs-\(id)-trial-\(look)")
        }
        if width < 800 {
          try await browser.touch(".menu-button")
          try await browser.wait(for: "document.activeElement.id === 'search'")
          try await reference.audit()
          try await browser.view("docs-menu-\(look)")
        }
      }
    }
  }
}

/// A playground, and a browser that shows its reference.
private struct Reference {
  let server: ServerProcess
  let browser: Browser

  func open(_ operation: String) async throws {
    try await browser.run("location.hash = arguments[0]", [.string(operation)])
    try await browser.wait(for: "document.querySelector('[data-operation=\(operation)]')")
  }

  /// Puts a text in place of what is in a field.
  func fill(_ selector: String, _ text: String) async throws {
    try await browser.run(
      """
      const field = document.querySelector(arguments[0]);
      field.value = arguments[1];
      field.dispatchEvent(new Event("input", { bubbles: true }));
      """, [.string(selector), .string(text)])
  }

  /// For a pointer, at a desk: smaller than what is made for thumbs.
  func audit(at location: SourceLocation = #_sourceLocation) async throws {
    // What changed its colour has it by then.
    try await browser.run(
      "await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))")
    try await browser.audit(for: .pointer, at: location)
  }

  /// As if the key had been typed before, in this tab.
  func useKey() async throws {
    try await browser.run("sessionStorage.setItem('kassa-docs-api-key', arguments[0])", [.string(server.apiKey)])
  }
}

private func withReference(
  language: String = "en", width: Int = 1440, isDark: Bool = false, expects statuses: [Int] = [],
  at location: SourceLocation = #_sourceLocation,
  _ body: (Reference) async throws -> Void
) async throws {
  try await withBrowser(language: language, expects: statuses, at: location) { browser, server in
    try await browser.look(width: width, isDark: isDark)
    try await browser.open("\(server.url)/docs")
    try await browser.wait(for: "document.querySelector('.lead')")
    try await body(Reference(server: server, browser: browser))
  }
}

/// Goes to every operation, by its link, and looks at what the page shows of it in each language.
private let everyOperationScript = """
  const flaws = [];
  for (const operation of arguments[0]) {
    const link = document.querySelector(`.menu-link[href="#${operation.id}"]`);
    if (!link) { flaws.push(`${operation.id} has no link`); continue; }
    link.click();
    for (let tries = 0; tries < 200 && !document.querySelector(`[data-operation="${operation.id}"]`); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const page = document.querySelector(`[data-operation="${operation.id}"]`);
    if (!page) { flaws.push(`${operation.id} does not open`); continue; }
    const route = page.querySelector(".route").textContent;
    if (route !== operation.method + operation.path) flaws.push(`${operation.id} is shown as ${route}`);
    if (page.querySelector("h1").textContent !== operation.summary) flaws.push(`${operation.id} has another heading`);
    if (!page.querySelector("#answers")) flaws.push(`${operation.id} has no answers`);
    if (!operation.hasSample) {
      if (document.querySelector("[role=tab], #trial")) flaws.push(`${operation.id} has a sample`);
      continue;
    }
    const tabs = [...document.querySelectorAll("[role=tab]")];
    if (tabs.length !== 10) flaws.push(`${operation.id} has ${tabs.length} languages`);
    const seen = new Set();
    for (const tab of tabs) {
      document.getElementById(tab.id).click();
      const code = document.querySelector("#sample-code").textContent;
      if (!code.includes(location.origin)) flaws.push(`${operation.id} in ${tab.textContent} asks another server`);
      if (/undefined|\\[object|NaN/.test(code)) flaws.push(`${operation.id} in ${tab.textContent}: ${code}`);
      seen.add(code);
    }
    if (seen.size !== 10) flaws.push(`${operation.id} has ${seen.size} different samples`);
    if (operation.hasBody !== Boolean(document.querySelector("[data-copy=payload]"))) flaws.push(`${operation.id}: payload`);
    if (!document.querySelector("#trial")) flaws.push(`${operation.id} cannot be tried`);
  }
  return flaws;
  """
