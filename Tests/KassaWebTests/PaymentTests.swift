import KassaJSON
import KassaTestSupport
import Testing

extension Web {
  /// A clerk at the till.
  struct PaymentTests {
    @Test func aPaymentArrivesByItselfAndIsPaidByCard() async throws {
      try await withTill { till in
        let id = try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.browser.waitForText("447.00")
        try await till.browser.audit()
        try await till.picture("cart")
        // The backend learns that the clerk sees it.
        try await eventually { try await till.session(id)["delivery"]?["state"]?.text == "SHOWN" }

        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.audit()
        try await till.picture("tap")
        #expect(try await till.session(id)["status"]?.text == "ACTIVE")
        try await till.browser.touch("[data-outcome=SUCCESS]")
        try await till.wait(forScreen: "paid")
        try await till.browser.wait(for: "document.querySelector('.receipt-code svg')")
        try await till.browser.waitForText("ending in 4242")
        try await till.browser.audit()
        try await till.picture("paid")
        #expect(try await till.session(id)["status"]?.text == "FINALIZED")

        try await till.browser.touch("footer .primary")
        try await till.browser.waitForText("Ready for the next customer")
      }
    }

    @Test func theReceiptOpensForWhoeverHasItsAddressAndNobodyElse() async throws {
      try await withTill(expects: [404]) { till in
        try await till.ask()
        try await till.payByCard()
        try await till.browser.wait(for: "document.querySelector('.receipt-code a')")
        let address = try await till.browser.value("document.querySelector('.receipt-code a').href").text ?? ""
        try await till.browser.open(address)
        try await till.browser.waitForText("T-Shirt")
        try await till.browser.waitForText("SEK 447.00")
        try await till.browser.audit()
        try await till.picture("receipt")
        // One bit of it changed.
        let last = address.last == "A" ? "B" : "A"
        try await till.browser.open(address.dropLast() + last)
        try await till.browser.waitForText("There is no such receipt")
        try await till.browser.audit()
      }
    }

    @Test(arguments: [
      ("INSUFFICIENT_FUNDS", "not enough money"), ("EXPIRED_CARD", "has expired"), ("DECLINED_GENERIC", "was declined"),
    ])
    func aDeclineSaysWhyAndIsFollowedByAPayment(outcome: String, reason: String) async throws {
      try await withTill { till in
        let id = try await till.ask()
        try await till.payByCard(outcome)
        try await till.browser.wait(for: "document.querySelector('.decline')")
        try await till.browser.waitForText(reason)
        try await till.browser.waitForText("No money was taken")
        try await till.browser.audit()
        try await till.picture("declined")
        #expect(try await till.session(id)["payment"]?["failure_reason"]?.text == outcome)
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test func everyDeclineHasWordsOfItsOwnInBothLanguages() async throws {
      try await withPhone { browser, server in
        try await browser.open("\(server.url)/pos")
        let missing = try await browser.run(
          """
          const { say } = await import("/pos/texts.js");
          const { chooseLanguage } = await import("/shared/language.js");
          const keys = arguments[0].map((reason) => "reason." + reason);
          const spoken = (language) => { chooseLanguage(language); return keys.map((key) => say(key)); };
          const [english, swedish] = [spoken("en"), spoken("sv")];
          return keys.filter((key, index) => english[index] === key || swedish[index] === english[index]);
          """,
          [
            [
              "DECLINED_GENERIC", "INSUFFICIENT_FUNDS", "LOST_CARD", "STOLEN_CARD", "EXPIRED_CARD", "INCORRECT_CVC",
              "PROCESSING_ERROR", "INCORRECT_NUMBER", "CARD_VELOCITY_EXCEEDED", "TIMED_OUT", "NOT_STARTED",
              "CANCELLED",
            ]
          ])
        #expect(missing == [])
      }
    }

    @Test func cancelEndsItAndTheBackendSeesIt() async throws {
      try await withTill { till in
        let id = try await till.ask()
        try await till.browser.touch("footer .cancel")
        try await till.browser.wait(for: "document.querySelector('dialog[open]')")
        try await till.browser.audit()
        try await till.picture("cancel")
        // Kept at first.
        try await till.browser.touch("dialog .button:not(.danger)")
        try await till.browser.wait(for: "!document.querySelector('dialog')")
        #expect(try await till.session(id)["status"]?.text == "CREATED")
        try await till.browser.touch("footer .cancel")
        try await till.browser.touch("dialog .danger")
        try await till.wait(forScreen: "over")
        try await till.browser.waitForText("No money was taken")
        try await till.browser.audit()
        try await till.picture("cancelled")
        #expect(try await till.session(id)["status"]?.text == "CANCELLED")
      }
    }

    @Test func backLeadsToTheChoiceOfMethod() async throws {
      try await withTill { till in
        let id = try await till.ask()
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.touch("footer .button:not(.cancel)")
        try await till.wait(forScreen: "cart")
        #expect(try await till.session(id)["payment"]?["state"]?.text == "CANCELLED")
        #expect(try await !till.browser.has(".decline"))
      }
    }

    @Test func whatIsPaidAlreadyCannotBeCancelledAndSaysSo() async throws {
      try await withTill(expects: [409]) { till in
        // Charged, and the answer is lost; nobody learns of it by asking, but by cancelling.
        try await till.plan("SETTLE", "LOSE_ANSWER")
        try await till.plan("QUERY", "UNREACHABLE", count: 500)
        let id = try await till.ask()
        try await till.payByCard()
        try await till.wait(forScreen: "unknown")
        try await till.browser.audit()
        try await till.picture("unknown")
        try await till.browser.touch("footer .cancel")
        try await till.browser.touch("dialog .danger")
        try await till.wait(forScreen: "paid")
        try await till.browser.waitForText("It was paid already")
        try await till.browser.audit()
        try await till.picture("paid-before")
        #expect(try await till.session(id)["status"]?.text == "FINALIZED")
      }
    }

    @Test func aCancelThatNobodyConfirmsYetIsHonestAndEndsByItself() async throws {
      try await withTill(expects: [409]) { till in
        try await till.plan("CANCEL", "LOSE_ANSWER")
        let id = try await till.ask()
        try await till.browser.touch("[data-method=CARD]")
        try await till.wait(forScreen: "tap")
        try await till.browser.touch("footer .cancel")
        try await till.browser.touch("dialog .danger")
        try await till.wait(forScreen: "unknown")
        try await till.browser.waitForText("You asked to cancel")
        try await till.picture("unknown-cancel")
        try await till.wait(forScreen: "over")
        try await till.browser.waitForText("No money was taken")
        #expect(try await till.session(id)["status"]?.text == "CANCELLED")
      }
    }

    @Test func anUnknownOutcomeSettlesByItself() async throws {
      try await withTill { till in
        try await till.plan("SETTLE", "LOSE_ANSWER")
        try await till.ask()
        try await till.payByCard()
        try await till.wait(forScreen: "unknown")
        try await till.browser.waitForText("Do not take the money another way")
        try await till.browser.reload()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test func aMethodThatWasSwitchedOffMeanwhileSaysSoAndTheOthersRemain() async throws {
      try await withTill(expects: [409]) { till in
        let id = try await till.ask()
        try await till.browser.wait(for: "document.querySelector('[data-method=SWISH]')")
        #expect(try await till.server.delete("/portal/v1/payment-methods/SWISH").status == 204)
        try await till.browser.touch("[data-method=SWISH]")
        try await till.browser.wait(for: "document.querySelector('.notice[role=alert]')")
        try await till.browser.wait(for: "!document.querySelector('[data-method=SWISH]')")
        try await till.browser.audit()
        try await till.picture("method-gone")
        #expect(try await till.session(id)["status"]?.text == "CREATED")
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
      }
    }

    @Test func anotherPaymentUnderWayIsShownAndLedTo() async throws {
      try await withTill { till in
        try await till.ask()
        try await till.wait(forScreen: "cart")
        try await till.payByCard("LOST_CARD")
        try await till.browser.wait(for: "document.querySelector('.decline')")
        let second = try await till.ask([line("Second", 99_900)])
        try await till.browser.wait(for: "document.querySelector('.leave .count')?.innerText === '1'")
        try await till.browser.touch(".leave")
        try await till.browser.wait(for: "document.querySelectorAll('.line-item').length === 2")
        try await till.browser.audit()
        try await till.picture("line")
        try await till.browser.run(
          "[...document.querySelectorAll('.line-item')].find(e => e.innerText.includes('999.00')).click()")
        try await till.browser.waitForText("Another payment is under way")
        try await till.browser.audit()
        try await till.picture("busy")
        try await till.browser.touch("footer .primary")
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
        // The next one is one touch away.
        try await till.browser.touch("footer .primary")
        try await till.wait(forScreen: "cart")
        try await till.payByCard()
        try await till.wait(forScreen: "paid")
        #expect(try await till.session(second)["status"]?.text == "FINALIZED")
      }
    }

    @Test func whatTheShopEndsLeavesTheScreen() async throws {
      try await withTill { till in
        let id = try await till.ask()
        try await till.wait(forScreen: "cart")
        let cancelled = try await till.server.put("/ipp/v1/sessions/\(id)/cancel", [:])
        #expect(cancelled.status == 200, "\(cancelled)")
        try await till.wait(forScreen: "over")
        try await till.browser.touch("footer .primary")
        try await till.browser.waitForText("Ready for the next customer")
        // One that was not on the screen is told of above the line.
        let other = try await till.ask([line("Other", 1_000)])
        try await till.wait(forScreen: "cart")
        try await till.browser.touch(".leave")
        try await till.browser.wait(for: "document.querySelector('.line-item')")
        #expect(try await till.server.put("/ipp/v1/sessions/\(other)/cancel", [:]).status == 200)
        try await till.browser.waitForText("was cancelled by the shop")
        try await till.browser.waitForText("Ready for the next customer")
        try await till.browser.audit()
      }
    }
  }
}

/// Waits for something to become true that the page does not show.
func eventually(at location: SourceLocation = #_sourceLocation, _ isTrue: () async throws -> Bool) async throws {
  let end = ContinuousClock.now + .seconds(20)
  while ContinuousClock.now < end {
    if try await isTrue() { return }
    try await Task.sleep(for: .milliseconds(20))
  }
  Issue.record("it never became true", sourceLocation: location)
}
