import KassaDomain
import KassaJSON
import KassaTestSupport
import Testing

extension Web {
  /// From a code or a link to a paired phone.
  struct PairingTests {
    @Test func aTypedCodePairsAndASlipIsCaughtBeforeItIsSent() async throws {
      try await withPhone { browser, server in
        let code = Array(try await server.makeEnrollment().code)
        try await browser.open("\(server.url)/pos")
        try await browser.waitForText("Pair this phone")
        try await browser.view("pair", on: Screen())
        try await browser.audit()
        // Two neighbours that differ, swapped.
        var slip = code
        let place = try #require(code.indices.dropLast().first { code[$0] != code[$0 + 1] })
        slip.swapAt(place, place + 1)
        try await browser.type(String(slip).lowercased(), into: "#code")
        try await browser.waitForText("There is a slip in this code")
        try await browser.touch("button[type=submit]")
        try await browser.wait(for: "document.activeElement.id === 'code'")
        try await browser.audit()
        try await browser.view("pair-slip", on: Screen())
        let metrics = try await server.send(HTTPCall("GET", "/metrics"))
        #expect(!metrics.text.contains(#"operation="registerDevice""#), "a slip was sent")

        try await browser.run("document.querySelector('#code').select()")
        // In any case, with I for 1 and O for 0.
        let loose = String(code).lowercased().replacing("1", with: "i").replacing("0", with: "o")
        try await browser.type(loose, into: "#code")
        try await browser.type("Kassa vid fönstret", into: "#till-name")
        try await browser.touch("button[type=submit]")
        try await browser.waitForText("Ready for the next customer")
        try await browser.audit()
        try await browser.view("line-empty", on: Screen())
        let devices = try await server.get("/ipp/v1/devices").json["content"]?.elements
        #expect(devices?.count == 1)
        #expect(devices?.first?["name"]?.text == "Kassa vid fönstret")
        try await browser.wait(for: "document.querySelector('.connection.live')")
        #expect(try await browser.address == "\(server.url)/pos")
      }
    }

    @Test func aCodeOfFourGroupsMayBePastedWithSpacesAndDashes() async throws {
      try await withPhone { browser, server in
        let code = try await server.makeEnrollment().code
        try await browser.open("\(server.url)/pos")
        try await browser.wait(for: "document.querySelector('#code')")
        let pasted = " \(code.prefix(3))-\(code.dropFirst(3).prefix(3)) \(code.dropFirst(6)) "
        try await browser.run(
          """
          const input = document.querySelector("#code");
          input.focus();
          document.execCommand("insertText", false, arguments[0]);
          """, [.string(pasted)])
        try await browser.touch("button[type=submit]")
        try await browser.waitForText("Ready for the next customer")
      }
    }

    @Test func theDeepLinkPairsAndItsTokenLeavesTheAddress() async throws {
      try await withPhone(expects: [404]) { browser, server in
        let link = try await server.makeEnrollment().link
        try await browser.open(link)
        try await browser.waitForText("Pair this phone?")
        try await browser.audit()
        try await browser.view("pair-link", on: Screen())
        #expect(try await browser.address == "\(server.url)/pos/pair")
        // A reload in between loses nothing.
        try await browser.reload()
        try await browser.waitForText("Pair this phone?")
        try await browser.touch("button[type=submit]")
        try await browser.waitForText("Ready for the next customer")
        // Opened again it is used up, and this phone stays what it is.
        try await browser.open("about:blank")
        try await browser.open(link)
        try await browser.waitForText("This phone is paired already")
        try await browser.touch("button[type=submit]")
        try await browser.waitForText("This link is used, expired or unknown")
        try await browser.audit()
        try await browser.touch("form button[type=button]")
        try await browser.waitForText("Ready for the next customer")
        #expect(try await server.get("/ipp/v1/devices").json["content"]?.elements.count == 1)
      }
    }

    @Test func theKeyCannotBeReadOutAndTheTokenAloneIsWorthNothing() async throws {
      try await withTill { till in
        let found = try await till.browser.run(
          """
          const database = await new Promise((resolve) => { const r = indexedDB.open("kassa-pos"); r.onsuccess = () => resolve(r.result); });
          const phone = await new Promise((resolve) => { const r = database.transaction("device").objectStore("device").get("phone"); r.onsuccess = () => resolve(r.result); });
          const exported = await Promise.any(["pkcs8", "jwk"].map((form) => crypto.subtle.exportKey(form, phone.keys.privateKey))).then(() => true, () => false);
          return { token: phone.token, exported, extractable: phone.keys.privateKey.extractable };
          """)
        #expect(found["exported"]?.bool == false)
        #expect(found["extractable"]?.bool == false)
        let token = try #require(found["token"]?.text)
        let answer = try await till.server.send(
          HTTPCall("GET", "/pos/v1/device", headers: [("authorization", "Bearer \(token)")]))
        #expect(answer.status == 401)
        #expect(answer.code == "dpop_proof_invalid")
      }
    }

    @Test func aPhoneWithAWrongClockLearnsTheServersTime() async throws {
      try await withTill(expects: [401]) { till in
        let moved = try await till.server.post("/ipp/v1/dev/clock", ["advance_seconds": 7200])
        #expect(moved.status == 200)
        try await till.browser.reload()
        try await till.browser.waitForText("Ready for the next customer")
        try await till.waitUntilLive()
        try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test func aRemovedPhoneSaysSoAndPairsAgain() async throws {
      try await withTill(expects: [401]) { till in
        try await till.ask()
        try await till.wait(forScreen: "cart")
        #expect(try await till.server.delete("/ipp/v1/devices/\(till.deviceID)").status == 204)
        try await till.browser.waitForText("This phone is no longer paired")
        try await till.browser.audit()
        try await till.picture("revoked")
        try await till.browser.touch("main button")
        try await till.browser.type(try await till.server.makeEnrollment().code, into: "#code")
        try await till.browser.touch("button[type=submit]")
        try await till.browser.waitForText("Ready for the next customer")
        try await till.waitUntilLive()
      }
    }
  }

  /// The code's check in the browser is the server's, to the last symbol.
  struct CodeVectorTests {
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")

    /// What the browser makes of each text: the code as it would send it, or null.
    private func read(_ texts: [String], in browser: Browser) async throws -> [JSONValue] {
      try await browser.run(
        """
        const { readCode } = await import("/pos/code.js");
        return arguments[0].map((text) => { const { state, text: code } = readCode(text); return state === "complete" ? code : null; });
        """, [.array(texts.map(JSONValue.string))]
      ).elements
    }

    private func compare(_ texts: [String], in browser: Browser) async throws {
      for start in stride(from: 0, to: texts.count, by: 5000) {
        let part = Array(texts[start..<min(start + 5000, texts.count)])
        let found = try await read(part, in: browser)
        try #require(found.count == part.count)
        for (text, mine) in zip(part, found) {
          let theirs = EnrollmentCode(typed: text)?.text
          if mine.text != theirs {
            Issue.record("\(text): the browser reads \(mine), the server \(theirs ?? "nothing")")
          }
        }
      }
    }

    @Test func theBrowserReadsCodesAsTheServerDoes() async throws {
      var generator = SystemRandomNumberGenerator()
      func random(_ count: Int) -> EnrollmentCode {
        EnrollmentCode(symbols: (0..<count).map { _ in UInt8.random(in: 0..<32, using: &generator) })
      }
      var texts: [String] = []
      for length in 8...24 { texts += (0..<20).map { _ in random(length).text } }
      // Of some codes every single wrong symbol, and every swap of neighbours.
      for length in [8, 9, 12, 24] {
        let code = Array(random(length).text)
        for place in code.indices {
          for symbol in Self.alphabet + Array("OILUoilu*! -é") {
            var changed = code
            changed[place] = symbol
            texts.append(String(changed))
          }
          if place + 1 < code.count {
            var swapped = code
            swapped.swapAt(place, place + 1)
            texts.append(String(swapped))
          }
        }
      }
      // Other spellings, other lengths, and what is none.
      let code = random(8).text
      texts += [code.lowercased(), code.replacing("0", with: "o"), "\(code.prefix(4))-\(code.dropFirst(4))"]
      texts += [
        String(code.dropLast()), code + "0", "", "         ", "K\u{212A}", "ſ".padding(9), "\u{0130}".padding(9),
      ]
      texts += [Identifier<EnrollmentCode>(using: &generator).description]
      texts += [Identifier<EnrollmentCode>(using: &generator).description.uppercased()]
      let symbols = Self.alphabet + Array("ilo")
      texts += (0..<20_000).map { _ in
        String((0..<Int.random(in: 7...27)).map { _ in symbols.randomElement(using: &generator) ?? "0" })
      }
      let all = texts
      try await withPhone { browser, server in
        try await browser.open("\(server.url)/pos")
        try await browser.wait(for: "document.querySelector('#code')")
        try await compare(all, in: browser)
      }
      #expect(all.contains { EnrollmentCode(typed: $0) == nil } && all.contains { EnrollmentCode(typed: $0) != nil })
    }
  }
}

extension String {
  /// Filled up with zeros.
  fileprivate func padding(_ count: Int) -> String { self + String(repeating: "0", count: max(0, count - self.count)) }
}
