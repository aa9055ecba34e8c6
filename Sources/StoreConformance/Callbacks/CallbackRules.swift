import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let webhookRules = [
    Rule("a webhook is kept whole, changed from the version before, and deleted") { try await $0.webhooksAreKept() },
    Rule("a merchant's enabled webhooks are told, and no others") { try await $0.enabledWebhooksAreTold() },
    Rule("enabled webhooks are told as they are, whatever other bodies ask at the same time") {
      try await $0.enabledWebhooksAreToldAnew()
    },
  ]

  static let deliveryRules = [
    Rule("a chain is claimed at its head, one delivery at a time, in order") { try await $0.chainsAreInOrder() },
    Rule("no chain is claimed twice, whoever races") { try await $0.claimsAreExclusive() },
    Rule("a destination has no more chains out than its limit, whoever races") { try await $0.claimsAreLimited() },
    Rule("a delivery that is queued while its chain ends is found") { try await $0.lateDeliveriesAreFound() },
    Rule("a report without the lease changes nothing") { try await $0.lostLeasesChangeNothing() },
    Rule("deliveries are listed by state, with exact totals") { try await $0.deliveriesAreListed() },
    Rule("what a deleted webhook left is forgotten") { try await $0.deletedWebhooksAreForgotten() },
  ]

  func webhooksAreKept() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.merchant()
      var webhook = try maker.webhook(of: merchant.id)
      let made = webhook
      try await store.write { transaction in
        try transaction.merchants.insert(merchant)
        try transaction.webhooks.insert(made)
      }
      #expect(try await store.read { try $0.webhooks.find(made.id, of: merchant.id) } == made)
      #expect(try await store.read { try $0.webhooks.find(made.id, of: maker.id()) } == nil)
      _ = webhook.rotate(to: maker.bytes(), overlapSeconds: 600, at: Maker.epoch)
      let rotated = webhook
      let won = try await racing(10) { _ in try await store.write { try $0.webhooks.update(rotated) } }
      #expect(won.count { $0 } == 1)
      #expect(try await store.read { try $0.webhooks.find(made.id, of: merchant.id) } == rotated)
      #expect(try await store.write { try $0.webhooks.count(of: merchant.id) } == 1)
      _ = webhook.delete()
      let deleted = webhook
      #expect(try await store.write { try $0.webhooks.delete(deleted, at: Maker.epoch) })
      #expect(try await store.read { try $0.webhooks.find(made.id, of: merchant.id) } == nil)
      let page = try await store.read { try $0.webhooks.page(of: merchant.id, PageRequest(number: 0, size: 5)) }
      #expect(page.content.isEmpty && page.totalElements == 0)
      #expect(try await store.write { try $0.webhooks.count(of: merchant.id) } == 0)
    }
  }

  /// Bodies that are run together may share what they ask: never beyond a change, a refusal, or an answer that was given.
  func enabledWebhooksAreToldAnew() async throws {
    struct Refused: Error {}
    try await withStore { store async throws in
      let maker = Maker()
      let merchants = [maker.merchant(), maker.merchant()]
      try await store.write { transaction in
        for merchant in merchants { try transaction.merchants.insert(merchant) }
      }
      let changed = try maker.webhook(of: merchants[0].id)
      let seen = try await store.write { transaction -> [Int] in
        let before = try transaction.webhooks.enabled(of: merchants[0].id).count
        try transaction.webhooks.insert(changed)
        let (made, others) = (
          try transaction.webhooks.enabled(of: merchants[0].id).count,
          try transaction.webhooks.enabled(of: merchants[1].id).count
        )
        var deleted = changed
        _ = deleted.delete()
        _ = try transaction.webhooks.delete(deleted, at: Maker.epoch)
        return [before, made, others, try transaction.webhooks.enabled(of: merchants[0].id).count]
      }
      #expect(seen == [0, 1, 0, 0])

      // Each makes a webhook, and then sees at least those that it heard of; among askers, and some that are undone.
      let heard = Shared(0)
      _ = try await racing(120) { number in
        let merchant = merchants[number % 2].id
        if number % 6 == 0 {
          let webhook = try maker.webhook(of: merchants[0].id)
          try await store.write { try $0.webhooks.insert(webhook) }
          heard.withLock { $0 += 1 }
        } else if number % 6 == 1 {
          let undone = try maker.webhook(of: merchant)
          await #expect(throws: Refused.self) {
            try await store.write { transaction in
              _ = try transaction.webhooks.enabled(of: merchant)
              try transaction.webhooks.insert(undone)
              throw Refused()
            }
          }
        } else {
          let least = heard.withLock { $0 }
          let told = try await store.write { try $0.webhooks.enabled(of: merchants[0].id).count }
          #expect(told >= least)
          #expect(try await store.write { try $0.webhooks.enabled(of: merchants[1].id).isEmpty })
        }
      }
      #expect(try await store.write { try $0.webhooks.enabled(of: merchants[0].id).count } == 20)
    }
  }

  func enabledWebhooksAreTold() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (owner, other) = (maker.merchant(), maker.merchant())
      var disabled = try maker.webhook(of: owner.id)
      _ = disabled.disableAsGone(at: Maker.epoch)
      let (off, some, all) = (
        disabled, try maker.webhook(of: owner.id, .only(["order.created"])), try maker.webhook(of: other.id)
      )
      try await store.write { transaction in
        for merchant in [owner, other] { try transaction.merchants.insert(merchant) }
        for webhook in [off, some, all] { try transaction.webhooks.insert(webhook) }
      }
      for (merchant, webhook) in [(owner, some), (other, all)] {
        let told = try await store.write { try $0.webhooks.enabled(of: merchant.id) }
        #expect(told.map(\.id) == [webhook.id] && told.map(\.subscription) == [webhook.details.subscription])
      }
    }
  }

  // MARK: Deliveries

  func chainsAreInOrder() async throws {
    try await withDestination { store, maker, webhook async throws in
      let subject = maker.id(EventSubject.self)
      try await queue(subject, 1...4, to: webhook, maker, in: store)
      for sequence in 1...4 as ClosedRange<Int64> {
        let claimed = try await claim(maker, in: store)
        #expect(claimed.deliveries.map(\.delivery.sequence) == [sequence])
        #expect(claimed.deliveries.map(\.event.sequence) == [sequence])
        #expect(claimed.deliveries.first?.destination == webhook)
        #expect(try await claim(maker, in: store).deliveries.isEmpty, "a leased chain is nobody else's")
        for delivery in claimed.deliveries { #expect(try await acknowledge(delivery, claimed.lease, in: store)) }
      }
      #expect(try await claim(maker, in: store).deliveries.isEmpty)
      #expect(try await store.read { try $0.deliveries.pendingTotal() } == 0)
    }
  }

  func claimsAreExclusive() async throws {
    try await withDestination { store, maker, webhook async throws in
      for _ in 0..<60 { try await queue(maker.id(), 1...1, to: webhook, maker, in: store) }
      let claims = try await racing(12) { _ in try await self.claim(maker, limit: 10, max: 100, in: store).deliveries }
      var all = claims.flatMap { $0 }.map(\.delivery.subjectID)
      while true {
        let more = try await claim(maker, limit: 10, max: 100, in: store).deliveries
        if more.isEmpty { break }
        all += more.map(\.delivery.subjectID)
      }
      #expect(all.count == 60 && Set(all).count == 60)
    }
  }

  func claimsAreLimited() async throws {
    try await withDestination { store, maker, webhook async throws in
      for _ in 0..<60 { try await queue(maker.id(), 1...1, to: webhook, maker, in: store) }
      let claims = try await racing(12) { _ in try await self.claim(maker, limit: 10, max: 7, in: store) }
      var out = claims.flatMap { claim in claim.deliveries.map { ($0, claim.lease) } }
      let last = try await claim(maker, limit: 10, max: 7, in: store)
      out += last.deliveries.map { ($0, last.lease) }
      #expect(out.count == 7)
      for (delivery, lease) in out { #expect(try await acknowledge(delivery, lease, in: store)) }
      #expect(try await claim(maker, limit: 10, max: 7, in: store).deliveries.count == 7)
    }
  }

  /// The end of a chain and the next event of its subject race: whichever comes first, the event's delivery is claimed.
  func lateDeliveriesAreFound() async throws {
    try await withDestination { store, maker, webhook async throws in
      for _ in 0..<40 {
        let subject = maker.id(EventSubject.self)
        try await queue(subject, 1...1, to: webhook, maker, in: store)
        let claimed = try await claim(maker, in: store)
        let first = try #require(claimed.deliveries.first)
        async let finished = acknowledge(first, claimed.lease, in: store)
        async let queued: Void = queue(subject, 2...2, to: webhook, maker, in: store)
        #expect(try await finished)
        try await queued
        let next = try await claim(maker, in: store)
        #expect(next.deliveries.map(\.delivery.sequence) == [2])
        for delivery in next.deliveries { #expect(try await acknowledge(delivery, next.lease, in: store)) }
      }
    }
  }

  func lostLeasesChangeNothing() async throws {
    try await withDestination { store, maker, webhook async throws in
      try await queue(maker.id(), 1...1, to: webhook, maker, in: store)
      let first = try await claim(maker, in: store)
      let delivery = try #require(first.deliveries.first)
      let later = Maker.epoch.adding(seconds: 60)
      let second = try await claim(maker, at: later, in: store)
      #expect(second.deliveries.map(\.delivery.id) == [delivery.delivery.id], "a lease that ended is given back")
      #expect(try await !acknowledge(delivery, first.lease, in: store))
      #expect(try await acknowledge(delivery, second.lease, in: store))
      let logged = try await store.read { try $0.deliveries.find(delivery.delivery.id, of: webhook.merchantID) }
      #expect(logged?.attempts.count == 1 && logged?.delivery.state.name == .delivered)
      let pending = try #require(logged?.delivery)
      var again = pending
      again.apply(.resend, at: later)
      let (reopened, expected) = (again, pending.state)
      let won = try await racing(10) { _ in
        try await store.write { try $0.deliveries.reopen(reopened, from: expected, at: later) }
      }
      #expect(won.count { $0 } == 1)
      #expect(try await claim(maker, at: later, in: store).deliveries.count == 1)
    }
  }

  func deliveriesAreListed() async throws {
    try await withDestination { store, maker, webhook async throws in
      for _ in 0..<25 { try await queue(maker.id(), 1...1, to: webhook, maker, in: store) }
      let claimed = try await claim(maker, limit: 10, max: 100, in: store)
      for delivery in claimed.deliveries { #expect(try await acknowledge(delivery, claimed.lease, in: store)) }
      for (state, count) in [(nil, 25), (.pending, 15), (.delivered, 10), (.dead, 0)]
        as [(CallbackDelivery.StateName?, Int64)]
      {
        var found: [LoggedDelivery] = []
        for number in 0..<4 {
          let page = try await store.read {
            try $0.deliveries.page(
              of: webhook.merchantID, to: webhook.id, state: state, PageRequest(number: number, size: 7))
          }
          #expect(page.totalElements == count)
          found += page.content
        }
        #expect(Set(found.map(\.delivery.id)).count == Int(count))
        #expect(found.allSatisfy { state == nil || $0.delivery.state.name == state })
        #expect(found.allSatisfy { ($0.delivery.state.name == .delivered) == ($0.attempts.count == 1) })
      }
      #expect(try await store.read { try $0.deliveries.pendingTotal() } == 15)
    }
  }

  func deletedWebhooksAreForgotten() async throws {
    try await withDestination { store, maker, webhook async throws in
      for _ in 0..<25 { try await queue(maker.id(), 1...1, to: webhook, maker, in: store) }
      var gone = webhook
      _ = gone.delete()
      let deleted = gone
      #expect(try await store.write { try $0.webhooks.delete(deleted, at: Maker.epoch) })
      #expect(try await claim(maker, in: store).deliveries.isEmpty)
      for _ in 0..<5 {
        _ = try await store.write { try $0.deliveries.forget(before: Maker.epoch.adding(seconds: -1), limit: 10) }
      }
      #expect(try await store.read { try $0.deliveries.pendingTotal() } == 0)
      #expect(try await store.read { try !$0.deliveries.mayHaveDue(at: .distantEnd) })
    }
  }

  // MARK: Material

  private func withDestination(
    _ body: (any Store, Maker, WebhookDestination) async throws -> Void
  ) async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.merchant()
      let webhook = try maker.webhook(of: merchant.id)
      try await store.write { transaction in
        try transaction.merchants.insert(merchant)
        try transaction.webhooks.insert(webhook)
      }
      try await body(store, maker, webhook)
    }
  }

  private func queue(
    _ subject: SubjectID, _ sequences: ClosedRange<Int64>, to webhook: WebhookDestination, _ maker: Maker,
    in store: any Store
  ) async throws {
    let deliveries = sequences.map { sequence in
      CallbackDelivery(
        id: maker.id(), merchantID: webhook.merchantID, destinationID: webhook.id, subjectID: subject,
        sequence: sequence, createdAt: Maker.epoch)
    }
    try await store.write { transaction in
      for delivery in deliveries {
        try transaction.events.append(
          maker.event(of: webhook.merchantID, subject: subject, sequence: delivery.sequence, type: .sessionCreated))
        try transaction.deliveries.insert(delivery)
      }
    }
  }

  private func claim(
    _ maker: Maker, limit: Int = 10, max: Int = 8, at now: Timestamp = Maker.epoch, in store: any Store
  ) async throws -> (deliveries: [ClaimedDelivery], lease: DeliveryLease) {
    let lease = DeliveryLease(token: maker.bytes(16), until: now.adding(seconds: 30))
    let claimed = try await store.write {
      try $0.deliveries.claim(lease, limit: limit, perDestinationMax: max, at: now)
    }
    return (claimed, lease)
  }

  private func acknowledge(
    _ claimed: ClaimedDelivery, _ lease: DeliveryLease, in store: any Store
  ) async throws -> Bool {
    var delivery = claimed.delivery
    delivery.apply(.acknowledge, at: Maker.epoch)
    let (done, attempt) = (
      delivery, CallbackAttempt(at: Maker.epoch, durationMilliseconds: 3, result: .status(204))
    )
    return try await store.write {
      try $0.deliveries.finish(done, attempt: attempt, leaseToken: lease.token, at: Maker.epoch)
    }
  }
}

extension Maker {
  package func webhook(
    of merchant: MerchantID, _ subscription: WebhookSubscription = .all
  ) throws -> WebhookDestination {
    WebhookDestination(
      id: id(), merchantID: merchant,
      details: WebhookDestination.Details(
        name: "Shop", url: try WebhookURL("https://shop.example/callbacks"), subscription: subscription),
      sealedSecret: bytes(), createdAt: Self.epoch)
  }
}
