import KassaJSON
import KassaTestSupport
import Testing

extension Browser {
  /// Opens the portal at `address`, and signs in with the playground's key; in any language.
  func signIn(to server: ServerProcess, _ address: String = "") async throws {
    try await open("\(server.url)/portal\(address)")
    try await type(server.apiKey, into: "[name=api_key]")
    try await press("\u{E007}")
    try await wait("the menu", "return document.querySelector('.menu') !== null")
  }

  /// Another screen of the portal, drawn: what is looked for next is not found on the one before.
  func go(_ address: String) async throws {
    try await run("location.hash = arguments[0]; \(Self.untilDrawn)", [.string(address)])
  }

  /// A change of the address is told in a task of its own, and drawn in the frame after it.
  private static let untilDrawn =
    "await new Promise((drawn) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(drawn))));"

  /// Waits until what was asked for before is drawn.
  func waitUntilDrawn() async throws { try await run(Self.untilDrawn) }

  /// Goes to a screen of the portal, and waits until it has what it shows.
  func goAndRead(_ address: String) async throws {
    try await go(address)
    try await wait(
      "the screen \(address)",
      """
      return location.hash === arguments[0] && document.querySelector("main h1") && !document.querySelector("main .loading")
        && !document.querySelector("main [aria-busy=true]");
      """, .string(address))
  }

  /// How many elements the selector finds.
  func count(_ selector: String) async throws -> Int64 {
    try await evaluate("return document.querySelectorAll(arguments[0]).length", .string(selector)).integer ?? -1
  }
}

extension ServerProcess {
  /// A simulated phone, with its token.
  func makeDevice(_ name: String = "Till 1") async throws -> (id: String, token: String) {
    let answer = try await post("/ipp/v1/dev/devices", ["name": .string(name)])
    return (
      try #require(answer.json["id"]?.text, "\(answer)"),
      try #require(answer.json["credentials"]?["bearer_token"]?.text, "\(answer)")
    )
  }

  /// A session of one T-shirt; its id.
  func makeSession(on device: String, reference: String = "ORDER-1", amount: Int64 = 25000) async throws -> String {
    let answer = try await post(
      "/ipp/v1/sessions",
      [
        "device_id": .string(device), "order_amount": .integer(amount), "purchase_currency": "SEK",
        "merchant_reference1": .string(reference),
        "order_items": [
          [
            "name": "T-shirt", "quantity": 1, "unit_price": .integer(amount), "total_amount": .integer(amount),
            "tax_rate": 2500, "total_tax_amount": .integer(amount / 5),
          ]
        ],
      ])
    return try #require(answer.json["session_id"]?.text, "\(answer)")
  }

  /// A session that was paid; its order's id.
  func makeOrder(on device: String, reference: String = "KVITTO-1", amount: Int64 = 25000) async throws -> String {
    let session = try await makeSession(on: device, reference: reference, amount: amount)
    let paid = try await post("/ipp/v1/dev/sessions/\(session)/simulate-tap", [:])
    return try #require(paid.json["order_id"]?.text, "\(paid)")
  }
}
