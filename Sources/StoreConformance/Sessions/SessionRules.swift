import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let sessionRules = [
    Rule("a session is kept whole") { try await $0.sessionsAreKeptWhole() },
    Rule("a session is saved from the version that was read, whoever races") { try await $0.sessionsAreSavedOnce() },
    Rule("a device has one ACTIVE session") { try await $0.oneSessionIsActive() },
    Rule("a line is oldest first, and due sessions come soonest first") { try await $0.linesAndDueSessions() },
    Rule("sessions whose time has come are ended once, whoever sweeps") { try await $0.dueSessionsAreEndedOnce() },
    Rule("every narrowing of the sessions' list is right on every page") { try await $0.sessionListsAreRight() },
    Rule("a delivery step is noted the first time") { try await $0.deliveryStepsAreNotedOnce() },
  ]

  static let paymentRules = [
    Rule("an attempt is kept whole, and found with its session") { try await $0.paymentsAreKeptWhole() },
    Rule("a look that is due is taken once, whoever races") { try await $0.checksAreTakenOnce() },
    Rule("attempts that wait for their providers are counted") { try await $0.waitingAttemptsAreCounted() },
  ]

  func sessionsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      for session in [try maker.session(), try maker.session(reference: "ORDER \u{e9}", at: maker.id())] {
        try await store.write { try $0.sessions.insert(session) }
        #expect(try await store.read { try $0.sessions.find(session.id, of: session.merchantID) } == session)
        #expect(try await store.read { try $0.sessions.find(session.id, of: maker.id()) } == nil)
      }
    }
  }

  func sessionsAreSavedOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let session = try maker.session()
      try await store.write { try $0.sessions.insert(session) }
      var cancelled = session
      _ = try cancelled.apply(.end(.cancelled))
      let after = cancelled
      let won = try await racing(20) { _ in
        try await store.write { try $0.sessions.save(after, expecting: session.version) }
      }
      #expect(won.count { $0 } == 1)
      #expect(try await store.read { try $0.sessions.find(session.id, of: session.merchantID) } == after)
    }
  }

  func oneSessionIsActive() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, device) = (maker.id(Merchant.self), maker.id(Device.self))
      let sessions = try (0..<10).map { _ in try maker.session(of: merchant, on: device) }
      try await store.write { transaction in for session in sessions { try transaction.sessions.insert(session) } }
      let won = try await racing(sessions.count) { number in
        var active = sessions[number]
        _ = try active.apply(.choose(payment: maker.id()))
        let after = active
        do {
          return try await store.write { try $0.sessions.save(after, expecting: sessions[number].version) }
        } catch StoreError.conflict(.activeSessionOfDevice) {
          return false
        }
      }
      #expect(won.count { $0 } == 1)
    }
  }

  func linesAndDueSessions() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, device) = (maker.id(Merchant.self), maker.id(Device.self))
      var sessions: [Session] = []
      for number in 0..<12 {
        sessions.append(
          try maker.session(of: merchant, on: device, created: Maker.epoch.adding(seconds: Int64(number * 7 % 12))))
      }
      for (number, session) in sessions.enumerated() {
        try await store.write { try $0.sessions.insert(session) }
        guard number % 4 == 0 else { continue }
        _ = try sessions[number].apply(.end(.cancelled))
        let after = sessions[number]
        #expect(try await store.write { try $0.sessions.save(after, expecting: session.version) })
      }
      let open = sessions.filter(\.state.name.isOpen).sorted { $0.createdAt < $1.createdAt }
      #expect(try await store.read { try $0.sessions.line(of: device, merchant: merchant, limit: 100) } == open)
      #expect(try await store.write { try $0.sessions.line(of: device, merchant: merchant, limit: .max) } == open)
      let end = open[4].expiresAt
      let due = try await store.read { try $0.sessions.due(at: end, limit: 100) }
      #expect(due == open.filter { $0.expiresAt <= end })
      #expect(try await store.read { try $0.sessions.due(at: end, limit: 2) } == Array(due.prefix(2)))
    }
  }

  /// Several that each end what is due in one transaction, as sweepers do, never end the same session twice; and together
  /// they end all.
  func dueSessionsAreEndedOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let sessions = try (0..<60).map { _ in try maker.session() }
      try await store.write { transaction in for session in sessions { try transaction.sessions.insert(session) } }
      let end = try #require(sessions.first).expiresAt
      var ended: [SessionID] = []
      repeat {
        let found = try await racing(6) { _ in
          try await store.write { transaction in
            try transaction.sessions.due(at: end, limit: 15).map { due in
              var session = due
              _ = try session.apply(.end(.expired))
              #expect(try transaction.sessions.save(session, expecting: due.version))
              return session.id
            }
          }
        }
        ended += found.flatMap { $0 }
      } while try await !store.read { try $0.sessions.due(at: end, limit: 1).isEmpty }
      #expect(ended.count == sessions.count)
      #expect(Set(ended) == Set(sessions.map(\.id)))
    }
  }

  func sessionListsAreRight() async throws {
    try await withStore { store async throws in
      let maker = Maker(seed: 3)
      let merchants = [maker.id(Merchant.self), maker.id(Merchant.self)]
      let devices = (0..<3).map { _ in maker.id(Device.self) }
      let locations = (0..<2).map { _ in maker.id(Location.self) }
      var model: [Session] = []
      for _ in 0..<120 {
        model.append(
          try maker.session(
            of: maker.pick(merchants), on: maker.pick(devices), reference: maker.pick([nil, "a", "A", "b:c"]),
            at: maker.pick([nil] + locations), created: Maker.epoch.adding(seconds: Int64(maker.below(20)))))
      }
      let made = model
      try await store.write { transaction in for session in made { try transaction.sessions.insert(session) } }
      for index in model.indices where maker.below(2) == 0 {
        _ = try model[index].apply(.end(maker.pick([.cancelled, .expired])))
        let (after, version) = (model[index], made[index].version)
        #expect(try await store.write { try $0.sessions.save(after, expecting: version) })
      }
      let complete = model
      for merchant in merchants {
        for device in [nil, devices[0], maker.id()] as [DeviceID?] {
          for location in [nil, locations[0]] as [LocationID?] {
            for status in [nil, .created, .cancelled, .failed] as [Session.StateName?] {
              for reference in [nil, "a", "b:c", "none"] {
                let filter = SessionFilter(
                  deviceID: device, locationID: location, status: status, merchantReference1: reference)
                let expected = newestFirst(
                  complete.filter { session in
                    session.merchantID == merchant && (device == nil || session.deviceID == device)
                      && (location == nil || session.locationID == location)
                      && (status == nil || session.state.name == status)
                      && (reference == nil || bytes(session.details.merchantReference1) == bytes(reference))
                  }.map(\.position))
                try await store.read { transaction in
                  try expectPages(of: expected, sizes: [9], "\(filter)", position: \.position) {
                    try transaction.sessions.page(of: merchant, filter, $0)
                  }
                }
              }
            }
          }
        }
      }
    }
  }

  func deliveryStepsAreNotedOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let session = try maker.session()
      try await store.write { try $0.sessions.insert(session) }
      for step in [DeliveryStep.pushed, .fetched, .shown] {
        for expected in [true, false] {
          let first = try await store.write {
            try $0.sessions.note(
              step, of: session.id, merchant: session.merchantID, at: Maker.epoch.adding(seconds: expected ? 1 : 2))
          }
          #expect(first == expected)
        }
      }
      let stored = try await store.read { try $0.sessions.find(session.id, of: session.merchantID) }
      let time = Maker.epoch.adding(seconds: 1)
      #expect(stored?.delivery == Session.Delivery(pushedAt: time, fetchedAt: time, shownAt: time))
    }
  }

  // MARK: Attempts

  func paymentsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let session = try maker.session()
      var payments = (0..<3).map { maker.payment(of: session, created: Maker.epoch.adding(seconds: Int64($0))) }
      let made = payments
      try await store.write { transaction in
        try transaction.sessions.insert(session)
        for payment in made { try transaction.payments.insert(payment) }
      }
      payments[1].state = .succeeded
      payments[1].card = CardSummary(brand: "visa", lastFour: "4242")
      payments[1].checkAt = nil
      payments[2].state = .failed
      payments[2].failureReason = .expiredCard
      payments[2].checks = 4
      let changed = payments
      try await store.write { transaction in for payment in changed { try transaction.payments.save(payment) } }
      for payment in changed {
        #expect(try await store.read { try $0.payments.find(payment.id, of: session.merchantID) } == payment)
        #expect(try await store.write { try $0.payments.find(payment.id, of: session.merchantID) } == payment)
        #expect(try await store.read { try $0.payments.find(payment.id, of: maker.id()) } == nil)
      }
      let (all, each) = try await store.read { transaction in
        (
          try transaction.payments.all(of: session.id, merchant: session.merchantID),
          try transaction.payments.all(ofEach: [session.id, maker.id()], merchant: session.merchantID)
        )
      }
      #expect(all == changed && each == [session.id: changed])
    }
  }

  func checksAreTakenOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let session = try maker.session()
      let payment = maker.payment(of: session)
      let next = Maker.epoch.adding(seconds: 60)
      try await store.write { transaction in
        try transaction.sessions.insert(session)
        try transaction.payments.insert(payment)
      }
      #expect(try await store.read { try $0.payments.due(at: Maker.epoch, by: payment.method, limit: 5) } == [payment])
      let won = try await racing(20) { _ in try await store.write { try $0.payments.takeCheck(payment, next: next) } }
      #expect(won.count { $0 } == 1)
      #expect(try await store.read { try $0.payments.due(at: Maker.epoch, by: payment.method, limit: 5) }.isEmpty)
      #expect(
        try await store.read { try $0.payments.due(at: next, by: payment.method, limit: 5) }.map(\.id) == [payment.id])
      for method in PaymentMethod.allCases {
        let due = try await store.read { try $0.payments.due(at: next, by: method, limit: 5) }.map(\.id)
        #expect(due == (method == payment.method ? [payment.id] : []))
      }
    }
  }

  func waitingAttemptsAreCounted() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      func unsettled(_ state: Payment.State) async throws -> UnsettledPayments {
        try await store.read { try $0.payments.unsettled(state) }
      }
      let none = UnsettledPayments(count: 0, oldestCreatedAt: nil, checksMax: 0)
      #expect(try await unsettled(.unknown) == none)
      // Of several merchants; one of each state wants no looking after any more.
      for (number, state) in [Payment.State.unknown, .reversing, .unknown, .open, .unknown, .reversing].enumerated() {
        var payment = maker.payment(
          of: try maker.session(), created: Maker.epoch.adding(seconds: Int64(10 - number)))
        payment.state = state
        payment.checks = number
        if number >= 4 { payment.checkAt = nil }
        let made = payment
        try await store.write { try $0.payments.insert(made) }
      }
      let unknown = UnsettledPayments(count: 2, oldestCreatedAt: Maker.epoch.adding(seconds: 8), checksMax: 2)
      #expect(try await unsettled(.unknown) == unknown)
      let reversing = UnsettledPayments(count: 1, oldestCreatedAt: Maker.epoch.adding(seconds: 9), checksMax: 1)
      #expect(try await unsettled(.reversing) == reversing)
      #expect(try await unsettled(.open).count == 1)
      #expect(try await unsettled(.succeeded) == none)
    }
  }
}

extension Maker {
  package func session(
    of merchant: MerchantID? = nil, on device: DeviceID? = nil, reference: String? = nil,
    at location: LocationID? = nil,
    created: Timestamp = epoch
  ) throws -> Session {
    let currency = try #require(Currency(code: "SEK"))
    let line = Cart.Line(
      type: .physical, reference: "SKU", name: "T-Shirt", quantity: 1, unitPrice: 100, totalAmount: 100,
      totalDiscountAmount: 0, taxRate: 0, totalTaxAmount: 0)
    return Session(
      id: id(), merchantID: merchant ?? id(), deviceID: device ?? id(), locationID: location,
      cart: try Cart.make(orderAmount: 100, currency: currency, lines: [line], orderTaxAmount: nil).get(),
      details: Session.Details(merchantReference1: reference), createdAt: created,
      expiresAt: created.adding(seconds: 900))
  }

  package func payment(of session: Session, created: Timestamp = epoch) -> Payment {
    Payment(
      id: id(), sessionID: session.id, merchantID: session.merchantID, method: .card, provider: .simulated,
      amount: session.cart.orderAmount, currency: session.cart.currency, createdAt: created, checkAt: created,
      waitsUntil: created.adding(seconds: 180))
  }
}

extension Session {
  var position: PagePosition { PagePosition(createdAt: createdAt, id: id.of(EventSubject.self)) }
}
