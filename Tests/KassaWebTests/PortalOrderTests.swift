import Foundation
import KassaJSON
import KassaTestSupport
import Testing

/// Orders and payment methods in the portal.
@Suite(.timeLimit(.minutes(2))) struct PortalOrderTests {
  @Test func aPartAndThenTheRestIsRefunded() async throws {
    try await withBrowser { browser, server in
      let order = try await server.makeOrder(on: try await server.makeDevice().id)
      try await browser.signIn(to: server, "#/orders")
      try await browser.click("KVITTO-1", "td a")
      try await browser.click("Refund", "button")
      // More than was captured does not leave the page.
      try await browser.fill("Amount", with: "250.01")
      try await browser.click("Refund", "dialog button")
      try await browser.waitForText("Must be more than nothing and at most SEK 250.00.")
      try await browser.fill("Amount", with: "50,50")
      try await browser.fill("Your reference", with: "RETUR-1")
      try await browser.click("Refund", "dialog button")
      try await browser.waitForText("RETUR-1")
      try await browser.wait(
        "its end", "return document.querySelectorAll('.movements [data-status=DONE]').length === 2")
      #expect(try await server.get("/ordermanagement/v1/orders/\(order)").json["refunded_amount"] == 5050)
      try await browser.audit("an order", for: .pointer)
      // The rest stands in the field already.
      try await browser.click("Refund", "button")
      try await browser.waitForText("At most SEK 199.50.")
      try await browser.click("Refund", "dialog button")
      try await browser.wait(
        "the rest", "return document.querySelectorAll('.movements [data-status=DONE]').length === 3")
      #expect(try await server.get("/ordermanagement/v1/orders/\(order)").json["refunded_amount"] == 25000)
      try await browser.wait(
        "no more to refund",
        "return ![...document.querySelectorAll('button')].some((each) => each.innerText === 'Refund')")
      try await browser.picture("portal-order")
    }
  }

  @Test func aMethodIsCheckedSwitchedOffAndOn() async throws {
    try await withBrowser { browser, server in
      try await browser.signIn(to: server, "#/methods")
      try await browser.click("Check: Card", "button")
      try await browser.wait("findings", "return document.querySelectorAll('.findings li').length > 0")
      try await browser.audit("payment methods", for: .pointer)
      try await browser.click("Switch off: Card", "button")
      try await browser.waitForText("Switch on")
      #expect(try await server.get("/portal/v1/payment-methods/CARD").json["enabled"] == false)
      try await browser.click("Switch on: Card", "button")
      try await browser.wait(
        "on", "return ![...document.querySelectorAll('button')].some((each) => each.innerText === 'Switch on')")
      #expect(try await server.get("/portal/v1/payment-methods/CARD").json["enabled"] == true)
      // The form has a field for each setting that the server describes.
      let described = try await server.get("/portal/v1/payment-methods/KLARNA").json["providers"]?.elements.first?[
        "fields"]
      try await browser.click("Change: Klarna", "button")
      let drawn = try await browser.wait(
        "the fields", "return document.querySelectorAll('dialog[open] [name^=\"settings.\"]').length")
      #expect(drawn.integer == Int64(described?.elements.count ?? -1))
      try await browser.picture("portal-method")
    }
  }
}
