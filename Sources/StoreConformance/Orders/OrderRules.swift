import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let orderRules = [
    Rule("an attempt keeps what its provider said") { try await $0.attemptsKeepWhatProvidersSaid() },
    Rule("an order is kept whole, one a session") { try await $0.ordersAreKeptWhole() },
    Rule("an order's money is changed from the version before") { try await $0.ordersChangeFromTheVersionBefore() },
    Rule("orders are paged and narrowed") { try await $0.ordersArePaged() },
    Rule("a movement is kept whole and settled") { try await $0.movementsAreKeptWhole() },
    Rule("a movement's look is taken once") { try await $0.looksAtMovementsAreTakenOnce() },
    Rule("a simulated movement is noted once") { try await $0.simulatedMovementsAreNotedOnce() },
  ]

  private func currency() throws -> Currency { try #require(Currency(code: "SEK")) }

  private func order(
    _ maker: Maker, of merchant: MerchantID, amount: Int64 = 1000, reference: String? = nil,
    method: PaymentMethod = .card, at time: Timestamp = Maker.epoch
  ) throws -> Order {
    Order(
      restoring: maker.id(), merchantID: merchant, sessionID: maker.id(), locationID: nil, paymentID: maker.id(),
      method: method, amount: amount, currency: try currency(), merchantReference1: reference, createdAt: time,
      money: Order.Money(), version: 1, sequence: 1)
  }

  private func movement(
    _ maker: Maker, of order: Order, _ kind: OrderMovement.Kind = .capture, checkAt: Timestamp? = Maker.epoch,
    at time: Timestamp = Maker.epoch
  ) -> OrderMovement {
    OrderMovement(
      id: maker.id(), merchantID: order.merchantID, orderID: order.id, kind: kind, amount: 10, reference: nil,
      description: nil, createdAt: time, checkAt: checkAt)
  }

  func attemptsKeepWhatProvidersSaid() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant: MerchantID = maker.id()
      let session: SessionID = maker.id()
      let code = NextAction.QRCode(
        text: "https://scan.example/é\"\\", expiresAt: Maker.epoch.adding(milliseconds: 1), isBuyerPaying: true)
      let bare = NextAction.QRCode(text: "", expiresAt: nil)
      let actions: [NextAction?] = [
        nil, .tap(clientSecret: nil), .tap(clientSecret: "pi_secret"), .showQR(code), .showQR(bare),
      ]
      for (number, action) in actions.enumerated() {
        let payment = Payment(
          id: maker.id(), sessionID: session, merchantID: merchant, method: .vipps, provider: .vipps, amount: 100,
          currency: try currency(), createdAt: Maker.epoch.adding(seconds: Int64(number)),
          checkAt: Maker.epoch.adding(seconds: 30), waitsUntil: Maker.epoch.adding(seconds: 180), nextAction: action,
          references: number % 2 == 0 ? [:] : ["reference": "r\(number)", "e\u{301}": ""])
        try await store.write { try $0.payments.insert(payment) }
        #expect(try await store.read { try $0.payments.find(payment.id, of: merchant) } == payment)
        var changed = payment
        changed.keep(.showQR(bare), ["reference": "new"])
        let saved = changed
        try await store.write { try $0.payments.save(saved) }
        #expect(try await store.read { try $0.payments.find(payment.id, of: merchant) } == saved)
      }
      #expect(try await store.read { try $0.payments.hasOpen(by: .vipps, of: merchant) })
      for (method, owner) in [(PaymentMethod.card, merchant), (.vipps, maker.id())] {
        #expect(try await !store.read { try $0.payments.hasOpen(by: method, of: owner) })
      }
      try await store.write { transaction in
        for var payment in try transaction.payments.all(of: session, merchant: merchant) {
          payment.checkAt = nil
          try transaction.payments.save(payment)
        }
      }
      #expect(try await !store.read { try $0.payments.hasOpen(by: .vipps, of: merchant) })
    }
  }

  func ordersAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant: MerchantID = maker.id()
      let full = Order(
        restoring: maker.id(), merchantID: merchant, sessionID: maker.id(), locationID: maker.id(),
        paymentID: maker.id(), method: .klarna, amount: Cart.amountMax, currency: try currency(),
        merchantReference1: "e\u{301}", createdAt: Maker.epoch,
        money: Order.Money(captured: 700, capturing: 1, refunded: 2, refunding: 3), version: 9, sequence: 4)
      for order in [full, try order(maker, of: merchant)] {
        try await store.write { try $0.orders.insert(order) }
        #expect(try await store.read { try $0.orders.find(order.id, of: merchant) } == order)
        #expect(try await store.read { try $0.orders.find(order.id, of: maker.id()) } == nil)
      }
      let again = Order(
        restoring: maker.id(), merchantID: merchant, sessionID: full.sessionID, locationID: nil, paymentID: maker.id(),
        method: .card, amount: 1, currency: try currency(), merchantReference1: nil, createdAt: Maker.epoch,
        money: Order.Money(), version: 1, sequence: 1)
      await expectConflict(.identifier) { try await store.write { try $0.orders.insert(again) } }
    }
  }

  func ordersChangeFromTheVersionBefore() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let made = try order(maker, of: maker.id(), amount: 1000)
      try await store.write { try $0.orders.insert(made) }
      // Forty who each want a part of what is there, from the same state.
      let answers = try await racing(40) { number in
        var mine = made
        _ = try mine.apply(.ask(.capture, Int64(number) + 1))
        let saved = mine
        return try await store.write { try $0.orders.save(saved, expecting: 1) }
      }
      #expect(answers.count { $0 } == 1)
      let stored = try #require(try await store.read { try $0.orders.find(made.id, of: made.merchantID) })
      #expect(stored.version == 2)
      #expect(stored.money == Order.Money(capturing: Int64(answers.firstIndex(of: true) ?? -1) + 1))
      #expect(try await !store.write { try $0.orders.save(stored, expecting: 1) })
      let unknown = try order(maker, of: made.merchantID)
      #expect(try await !store.write { try $0.orders.save(unknown, expecting: 1) })
    }
  }

  func ordersArePaged() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant: MerchantID = maker.id()
      var orders: [Order] = []
      for number in 0..<40 {
        orders.append(
          try order(
            maker, of: merchant, reference: number % 3 == 0 ? "same" : nil,
            at: Maker.epoch.adding(seconds: Int64(maker.below(6)))))
      }
      let made = orders
      try await store.write { transaction in for order in made { try transaction.orders.insert(order) } }
      // A third of them is captured, whole or in part: they move to other lists.
      for index in orders.indices where index % 3 == 1 {
        _ = try orders[index].apply(.ask(.capture, index % 2 == 0 ? 1000 : 1))
        _ = try orders[index].apply(.done(.capture, index % 2 == 0 ? 1000 : 1))
        let order = orders[index]
        #expect(try await store.write { try $0.orders.save(order, expecting: 1) })
      }
      @Sendable func position(_ order: Order) -> PagePosition {
        PagePosition(createdAt: order.createdAt, id: order.id.of(EventSubject.self))
      }
      let all = orders
      try await store.read { transaction in
        func expect(_ filter: OrderFilter, _ isMeant: (Order) -> Bool) throws {
          try expectPages(
            of: newestFirst(all.filter(isMeant).map(position)), sizes: [1, 7, 100], "\(filter)", position: position
          ) {
            try transaction.orders.page(of: merchant, filter, $0)
          }
        }
        try expect(OrderFilter()) { _ in true }
        for status in Order.Status.allCases { try expect(OrderFilter(status: status)) { $0.status == status } }
        try expect(OrderFilter(merchantReference1: "same")) { $0.merchantReference1 == "same" }
        try expect(OrderFilter(status: .authorized, merchantReference1: "same")) {
          $0.status == .authorized && $0.merchantReference1 == "same"
        }
        try expect(OrderFilter(sessionID: all[5].sessionID)) { $0.id == all[5].id }
        let page = try transaction.orders.page(of: maker.id(), OrderFilter(), PageRequest(number: 0, size: 5))
        #expect(page.content.isEmpty && page.totalElements == 0)
      }
    }
  }

  func movementsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let made = try order(maker, of: maker.id(), method: .swish)
      let full = OrderMovement(
        id: maker.id(), merchantID: made.merchantID, orderID: made.id, kind: .refund, amount: 7, reference: "é",
        description: "", createdAt: Maker.epoch.adding(seconds: 1), references: ["a": "b"],
        checkAt: Maker.epoch.adding(seconds: 9), checks: 4)
      let plain = movement(maker, of: made)
      try await store.write { transaction in
        try transaction.orders.insert(made)
        for movement in [full, plain] { try transaction.orders.insert(movement) }
      }
      #expect(
        try await store.read { try $0.orders.movements(of: made.id, merchant: made.merchantID) } == [plain, full])
      #expect(try await store.read { try $0.orders.hasOpenMovement(by: .swish, of: made.merchantID) })
      for (method, owner) in [(PaymentMethod.card, made.merchantID), (.swish, maker.id())] {
        #expect(try await !store.read { try $0.orders.hasOpenMovement(by: method, of: owner) })
      }
      for (movement, outcome) in [
        (full, OrderMovement.State.refused("no\n", at: Maker.epoch)), (plain, .done(at: Maker.epoch)),
      ] {
        var settled = movement
        settled.keep(["new": "é"])
        _ = settled.settle(outcome)
        let saved = settled
        try await store.write { try $0.orders.save(saved) }
        #expect(try await store.read { try $0.orders.movement(movement.id, of: made.merchantID) } == saved)
        #expect(try await store.read { try $0.orders.movement(movement.id, of: maker.id()) } == nil)
      }
      #expect(try await !store.read { try $0.orders.hasOpenMovement(by: .swish, of: made.merchantID) })
      for method in PaymentMethod.allCases {
        #expect(try await store.read { try $0.orders.dueMovements(at: .distantEnd, by: method, limit: 9) } == [])
      }
      // A refund that is done may be in doubt: it is due again, and as it was in all else.
      var doubted = OrderMovement(
        id: maker.id(), merchantID: made.merchantID, orderID: made.id, kind: .refund, amount: 7, reference: nil,
        description: nil, createdAt: Maker.epoch, state: .done(at: Maker.epoch), checkAt: nil)
      let done = doubted
      let isDoubted = doubted.doubt(at: Maker.epoch.adding(seconds: 3))
      #expect(isDoubted)
      let saved = doubted
      try await store.write { transaction in
        try transaction.orders.insert(done)
        try transaction.orders.save(saved)
      }
      for method in PaymentMethod.allCases {
        let due = try await store.read { try $0.orders.dueMovements(at: .distantEnd, by: method, limit: 9) }
        #expect(due == (method == .swish ? [saved] : []))
      }
      #expect(try await store.read { try $0.orders.hasOpenMovement(by: .swish, of: made.merchantID) })
    }
  }

  func looksAtMovementsAreTakenOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let made = try order(maker, of: maker.id())
      let movements = (0..<4).map { movement(maker, of: made, checkAt: Maker.epoch.adding(seconds: 10 - $0)) }
      try await store.write { transaction in
        try transaction.orders.insert(made)
        for movement in movements { try transaction.orders.insert(movement) }
      }
      func due(_ seconds: Int64, limit: Int = 9) async throws -> [OrderMovementID] {
        try await store.read {
          try $0.orders.dueMovements(at: Maker.epoch.adding(seconds: seconds), by: made.method, limit: limit)
        }
        .map(\.id)
      }
      #expect(try await due(6) == [])
      #expect(try await due(8) == [movements[3].id, movements[2].id])
      #expect(try await due(99, limit: 1) == [movements[3].id])
      let answers = try await racing(40) { _ in
        try await store.write { try $0.orders.takeCheck(movements[3], next: Maker.epoch.adding(seconds: 50)) }
      }
      #expect(answers.count { $0 } == 1)
      let taken = try await store.read { try $0.orders.movement(movements[3].id, of: made.merchantID) }
      #expect(taken?.checks == 1 && taken?.checkAt == Maker.epoch.adding(seconds: 50))
    }
  }

  func simulatedMovementsAreNotedOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let charge = SimulatedCharge(
        paymentID: maker.id(), amount: 1000, state: .charged, tapped: .success, captured: 600, refunded: 100)
      let movement = SimulatedMovement(paymentID: charge.paymentID, id: maker.id(), amount: 100)
      try await store.write { try $0.simulatedCards.save(charge) }
      #expect(try await store.read { try $0.simulatedCards.find(charge.paymentID) } == charge)
      #expect(try await store.read { try $0.simulatedCards.netCharged() } == 900)
      let answers = try await racing(20) { _ in try await store.write { try $0.simulatedCards.note(movement) } }
      #expect(answers.count { $0 } == 1)
      #expect(try await store.read { try $0.simulatedCards.isNoted(charge.paymentID, movement.id) })
      #expect(try await !store.read { try $0.simulatedCards.isNoted(maker.id(), movement.id) })
      var released = charge
      released.isReleased = true
      let saved = released
      try await store.write { try $0.simulatedCards.save(saved) }
      #expect(try await store.read { try $0.simulatedCards.netCharged() } == 500)
    }
  }
}
