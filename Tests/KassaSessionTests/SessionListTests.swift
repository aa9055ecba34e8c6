import KassaDomain
import KassaService
import KassaStore
import Testing

@Suite struct SessionListTests {
  /// Every combination of filters, on every page, against a list that is filtered by hand; before and after the sessions
  /// changed their status.
  @Test func filtersAgreeWithANaiveModel() async throws {
    let shop = try await Shop()
    let devices = try await shop.pair(3)
    let references: [String?] = [nil, "", "A", "a", "ORDER:1"]
    var model: [Session] = []
    for number in 0..<60 {
      let id = try await shop.create(on: devices[number % 3], reference: references[number % references.count])
      model.append(try await shop.session(id))
      // Several share a moment, so that the identifier breaks ties.
      if number % 4 == 0 { shop.clock.advance(seconds: 1) }
    }
    try await compare(model, shop, devices, references)
    for (number, session) in model.enumerated() {
      let device = devices[number % 3]
      switch number % 6 {
      case 0: break
      case 1, 2: _ = try await shop.service.cancelSession(session.id, as: shop.merchant)
      default:
        if try await failure({ _ = try await shop.service.startPayment(.card, of: session.id, as: .device(device)) })
          == nil, number % 6 == 3, let payment = try await shop.view(session.id).payments.first
        {
          _ = try await shop.pay(payment.id, of: session.id, as: device)
        }
      }
    }
    for index in model.indices { model[index] = try await shop.session(model[index].id) }
    #expect(Set(model.map(\.state.name)).isSuperset(of: [.created, .active, .finalized, .cancelled]))
    try await compare(model, shop, devices, references)
    shop.clock.advance(seconds: Limits.sessionSeconds)
    _ = try await shop.service.expireSessions()
    for index in model.indices { model[index] = try await shop.session(model[index].id) }
    #expect(model.contains { $0.state == .expired })
    try await compare(model, shop, devices, references)
    await shop.close()
  }

  private func compare(
    _ model: [Session], _ shop: Shop, _ devices: [DevicePrincipal], _ references: [String?]
  ) async throws {
    let newestFirst = model.sorted { ($0.createdAt, $0.id) > ($1.createdAt, $1.id) }
    let location = model.first?.locationID
    let deviceIDs: [DeviceID?] = [nil] + devices.map(\.device.id)
    let statuses: [Session.StateName?] = [nil] + Session.StateName.allCases
    for device in deviceIDs {
      for status in statuses {
        for reference in references + ["unknown"] {
          for place in [nil, location, try Make.id(200)] {
            let filter = SessionFilter(
              deviceID: device, locationID: place, status: status, merchantReference1: reference)
            let expected = newestFirst.filter { session in
              (device == nil || session.deviceID == device) && (status == nil || session.state.name == status)
                && (place == nil || session.locationID == place)
                && (reference == nil
                  || session.details.merchantReference1.map { Array($0.utf8) } == reference.map { Array($0.utf8) })
            }
            let page = try await shop.service.sessions(filter, PageRequest(number: 1, size: 7), as: shop.backend)
            #expect(page.content.map(\.session.id) == expected.dropFirst(7).prefix(7).map(\.id), "\(filter)")
            #expect(page.totalElements == Int64(expected.count) && page.hasMore == (expected.count > 14))
          }
        }
      }
    }
  }

  @Test func aCreationWithTheSameKeyIsMadeOnce() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    func create(_ body: UInt8) async throws -> Answered<SessionView> {
      let input = CreateSession(
        deviceID: device.device.id, locationID: nil, cart: try Make.cart(), details: Session.Details())
      let once = IdempotentRequest<SessionView>(operation: "POST /ipp/v1/sessions", key: "key", bodyHash: [body]) {
        RenderedAnswer(status: 200, body: $0.session.id.textBytes)
      }
      return try await shop.service.createSession(input, as: shop.backend, once: once)
    }
    var bodies: Set<String> = []
    var fresh = 0
    try await withThrowingTaskGroup(of: Answered<SessionView>.self) { group in
      for _ in 0..<20 { group.addTask { try await create(1) } }
      for try await answer in group {
        switch answer {
        case .fresh(let view):
          fresh += 1
          bodies.insert(view.session.id.description)
        case .replayed(let rendered): bodies.insert(String(decoding: rendered.body, as: UTF8.self))
        }
      }
    }
    #expect(fresh == 1 && bodies.count == 1)
    #expect(try await failure { _ = try await create(2) } == "idempotencyKeyReused")
    #expect(try await shop.service.line(of: device).count == 1)
    await shop.close()
  }

  @Test func aSessionIsCreatedWhereTheDeviceIs() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let location = try #require(device.device.locationID)
    let id = try await shop.create(on: device, at: location)
    #expect(try await shop.session(id).locationID == location)
    #expect(try await failure { _ = try await shop.create(on: device, at: try Make.id(77)) } == "notFound")
    // Another merchant sees none of it.
    let (merchant, key) = try await shop.service.createMerchant(name: "Other")
    let stranger = MerchantPrincipal(merchantID: merchant.id, keyID: key.key.id, requestID: "stranger")
    #expect(try await failure { _ = try await shop.service.session(id, as: .merchant(stranger)) } == "notFound")
    #expect(try await failure { _ = try await shop.service.cancelSession(id, as: .merchant(stranger)) } == "notFound")
    let page = try await shop.service.sessions(SessionFilter(), PageRequest(number: 0, size: 10), as: stranger)
    #expect(page.content.isEmpty && page.totalElements == 0)
    await shop.close()
  }

  /// What was asked for comes back as it was, line for line.
  @Test func everythingASessionAsksForIsKept() async throws {
    let shop = try await Shop()
    let device = try await shop.pair()
    let lines = [
      Make.line(
        reference: "SKU-\"1\"\\", name: "Skjorta 👕\n", quantity: 2, unitPrice: 100_000, discount: 10, taxRate: 2500,
        tax: 39_998),
      Make.line(type: .discount, name: "Rabatt", unitPrice: -990, taxRate: 0, tax: 0),
      Make.line(type: nil, name: " ", unitPrice: Cart.amountMax, taxRate: 0, tax: 0),
    ]
    let amount = lines.map(\.totalAmount).reduce(0, +)
    let cart = try Cart.make(orderAmount: amount, currency: Make.sek(), lines: lines, orderTaxAmount: 39_998).get()
    let details = Session.Details(
      purchaseStartedAt: Timestamp(millisecondsSinceEpoch: -1), purchaseCompletedAt: Make.epoch,
      merchantReference1: "é", merchantReference2: "e\u{301}", merchantData: "{\"a\": [1, 2]}\u{1F600}")
    let answer = try await shop.service.createSession(
      CreateSession(deviceID: device.device.id, locationID: nil, cart: cart, details: details), as: shop.backend)
    guard case .fresh(let view) = answer else { throw Violation(description: "replayed") }
    let stored = try await shop.session(view.session.id)
    #expect(stored == view.session && stored.cart == cart)
    #expect(stored.details.merchantReference1.map { Array($0.utf8) } == Array("é".utf8))
    #expect(stored.details.merchantReference2.map { Array($0.utf8) } == Array("e\u{301}".utf8))
    #expect(stored.details == details)
    await shop.close()
  }
}
