import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let paymentMethodRules = [
    Rule("a payment method is kept whole") { try await $0.paymentMethodsAreKeptWhole() },
    Rule("a method has one current provider") { try await $0.oneProviderIsCurrent() },
    Rule("a payment method is changed from the version before") {
      try await $0.paymentMethodsChangeFromTheVersionBefore()
    },
    Rule("a method is removed with all its providers") { try await $0.paymentMethodsAreRemovedWhole() },
  ]

  private func makeMerchant(_ maker: Maker, in store: any Store) async throws -> MerchantID {
    let merchant = maker.merchant()
    try await store.write { try $0.merchants.insert(merchant) }
    return merchant.id
  }

  private func configured(
    _ maker: Maker, of merchant: MerchantID, _ method: PaymentMethod = .swish, _ provider: ProviderName = .swish,
    isCurrent: Bool = true
  ) -> ConfiguredMethod {
    ConfiguredMethod(
      id: maker.id(), merchantID: merchant, method: method, provider: provider,
      details: ConfiguredMethod.Details(isOn: true), isCurrent: isCurrent, createdAt: Maker.epoch)
  }

  func paymentMethodsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = try await makeMerchant(maker, in: store)
      let details = [
        ConfiguredMethod.Details(isOn: false, capturePolicy: .manual),
        ConfiguredMethod.Details(
          isOn: true, settings: ["a": "e\u{301}\n\"'", "b": ""], sealedSecrets: ["k": maker.bytes(300), "empty": []],
          isBuiltIn: true),
      ]
      for (method, details) in zip([PaymentMethod.vipps, .card], details) {
        let kept = ConfiguredMethod(
          id: maker.id(), merchantID: merchant, method: method, provider: .vipps, details: details,
          createdAt: Maker.epoch, updatedAt: Maker.epoch.adding(milliseconds: 1), version: 7)
        try await store.write { try $0.paymentMethods.insert(kept) }
        let found = try await store.read { try $0.paymentMethods.find(method, .vipps, of: merchant) }
        #expect(found == kept)
        #expect(found?.details.settings.mapValues(bytes) == details.settings.mapValues(bytes))
      }
      let current = try await store.read { try $0.paymentMethods.current(of: merchant) }
      #expect(current.map(\.method) == [.card, .vipps])
      for (method, provider, owner) in [
        (PaymentMethod.card, ProviderName.swish, merchant), (.swish, .vipps, merchant), (.card, .vipps, maker.id()),
      ] {
        #expect(try await store.read { try $0.paymentMethods.find(method, provider, of: owner) } == nil)
      }
      #expect(try await store.read { try $0.paymentMethods.current(of: maker.id()) } == [])
    }
  }

  func oneProviderIsCurrent() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = try await makeMerchant(maker, in: store)
      let first = configured(maker, of: merchant)
      let second = configured(maker, of: merchant, .swish, .klarna)
      try await store.write { try $0.paymentMethods.insert(first) }
      await expectConflict(.currentPaymentMethod) { try await store.write { try $0.paymentMethods.insert(second) } }
      let twice = configured(maker, of: merchant, isCurrent: false)
      await expectConflict(.identifier) { try await store.write { try $0.paymentMethods.insert(twice) } }
      // Aside it may be kept, and take over once the first yields.
      let aside = configured(maker, of: merchant, .swish, .klarna, isCurrent: false)
      try await store.write { try $0.paymentMethods.insert(aside) }
      var taking = aside
      _ = taking.replace(aside.details, at: Maker.epoch)
      let taken = taking
      await expectConflict(.currentPaymentMethod) { _ = try await store.write { try $0.paymentMethods.update(taken) } }
      var yielding = first
      _ = yielding.yield(at: Maker.epoch)
      let yielded = yielding
      let isTaken = try await store.write { transaction in
        try transaction.paymentMethods.update(yielded) && transaction.paymentMethods.update(taken)
      }
      #expect(isTaken)
      #expect(try await store.read { try $0.paymentMethods.current(of: merchant) } == [taken])
      #expect(try await store.read { try $0.paymentMethods.find(.swish, .swish, of: merchant) } == yielded)
      // Another merchant has its own.
      let other = configured(maker, of: try await makeMerchant(maker, in: store))
      try await store.write { try $0.paymentMethods.insert(other) }
    }
  }

  func paymentMethodsChangeFromTheVersionBefore() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let kept = configured(maker, of: try await makeMerchant(maker, in: store))
      try await store.write { try $0.paymentMethods.insert(kept) }
      let answers = try await racing(40) { number in
        var mine = kept
        let details = ConfiguredMethod.Details(isOn: false, settings: ["by": "\(number)"])
        _ = mine.replace(details, at: Maker.epoch.adding(seconds: 1))
        let saved = mine
        return try await store.write { try $0.paymentMethods.update(saved) }
      }
      #expect(answers.count { $0 } == 1)
      let stored = try #require(
        try await store.read { try $0.paymentMethods.find(.swish, .swish, of: kept.merchantID) })
      #expect(stored.version == 2 && stored.updatedAt == Maker.epoch.adding(seconds: 1))
      #expect(stored.details.settings == ["by": "\(answers.firstIndex(of: true) ?? -1)"])
      var skipping = stored
      _ = skipping.replace(stored.details, at: Maker.epoch)
      _ = skipping.replace(stored.details, at: Maker.epoch)
      let skipped = skipping
      #expect(try await !store.write { try $0.paymentMethods.update(skipped) })
    }
  }

  func paymentMethodsAreRemovedWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = try await makeMerchant(maker, in: store)
      let mine = [configured(maker, of: merchant, .swish, .klarna, isCurrent: false), configured(maker, of: merchant)]
      let card = configured(maker, of: merchant, .card, .simulated)
      let theirs = configured(maker, of: try await makeMerchant(maker, in: store))
      try await store.write { transaction in
        for configured in mine + [card, theirs] { try transaction.paymentMethods.insert(configured) }
      }
      let removed = try await store.write { try $0.paymentMethods.delete(.swish, of: merchant) }
      #expect(removed == mine)
      #expect(try await store.write { try $0.paymentMethods.delete(.swish, of: merchant) } == [])
      #expect(try await store.read { try $0.paymentMethods.current(of: merchant) } == [card])
      #expect(try await store.read { try $0.paymentMethods.current(of: theirs.merchantID) } == [theirs])
    }
  }
}
