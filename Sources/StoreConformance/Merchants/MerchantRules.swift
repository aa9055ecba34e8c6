import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let installationRules = [
    Rule("installation facts keep the last value") { try await $0.factsKeepTheLastValue() }
  ]

  static let merchantRules = [
    Rule("merchants are found, and listed oldest first") { try await $0.merchantsAreListedOldestFirst() },
    Rule("a merchant's identifier is unique") { try await $0.merchantIdentifiersAreUnique() },
  ]

  static let apiKeyRules = [
    Rule("API keys are found by hash and id, revoked or not") { try await $0.apiKeysAreFound() },
    Rule("an API key's hash and identifier are unique") { try await $0.apiKeysAreUnique() },
    Rule("an API key is revoked once") { try await $0.apiKeysAreRevokedOnce() },
    Rule("a transaction that demands a key is done only while it is in force") {
      try await $0.demandedKeysAreInForce()
    },
    Rule("API keys are paged") { try await $0.apiKeysArePaged() },
  ]

  func factsKeepTheLastValue() async throws {
    try await withStore { store async throws in
      let facts: [InstallationFact] = [
        .environment, .secretKeyCheck, .writeProbe, .playgroundMerchant, .playgroundAPIKey,
      ]
      for fact in facts { #expect(try await store.read { try $0.installation.value(fact) } == nil) }
      for (number, fact) in facts.enumerated() {
        try await store.write { try $0.installation.set(fact, to: [0, 255, UInt8(number)]) }
      }
      for (number, fact) in facts.enumerated() {
        #expect(try await store.read { try $0.installation.value(fact) } == [0, 255, UInt8(number)])
      }
      let rewritten = try await store.write { transaction in
        try transaction.installation.set(.environment, to: [1])
        try transaction.installation.set(.environment, to: [])
        return try transaction.installation.value(.environment)
      }
      #expect(rewritten == [])
      #expect(try await store.read { try $0.installation.value(.environment) } == [])
    }
  }

  func merchantsAreListedOldestFirst() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      #expect(try await store.read { try $0.merchants.all() } == [])
      let merchants = (0..<20).map { _ in maker.merchant(at: Maker.epoch.adding(seconds: Int64(maker.below(5)))) }
      try await store.write { transaction in for merchant in merchants { try transaction.merchants.insert(merchant) } }
      let all = try await store.read { try $0.merchants.all() }
      #expect(Set(all.map(\.id)) == Set(merchants.map(\.id)))
      #expect(all.map(\.createdAt) == merchants.map(\.createdAt).sorted())
      for merchant in merchants { #expect(try await store.read { try $0.merchants.find(merchant.id) } == merchant) }
      #expect(try await store.read { try $0.merchants.find(maker.id()) } == nil)
    }
  }

  func merchantIdentifiersAreUnique() async throws {
    try await withStore { store async throws in
      let merchant = Maker().merchant()
      try await store.write { try $0.merchants.insert(merchant) }
      await expectConflict(.identifier) { try await store.write { try $0.merchants.insert(merchant) } }
    }
  }

  // MARK: API keys

  func apiKeysAreFound() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.merchant()
      let key = maker.apiKey(of: merchant.id)
      try await store.write { transaction in
        try transaction.merchants.insert(merchant)
        try transaction.apiKeys.insert(key)
      }
      #expect(try await store.read { try $0.apiKeys.find(hash: key.hash) } == key)
      #expect(try await store.read { try $0.apiKeys.find(key.id, of: merchant.id) } == key)
      #expect(try await store.read { try $0.apiKeys.find(hash: maker.bytes()) } == nil)
      #expect(try await store.read { try $0.apiKeys.find(maker.id(), of: merchant.id) } == nil)

      let end = Maker.epoch.adding(seconds: 60)
      #expect(try await store.write { try $0.apiKeys.revoke(key.id, of: merchant.id, at: end) })
      let revoked = try await store.read { try $0.apiKeys.find(hash: key.hash) }
      #expect(revoked?.revokedAt == end)
      #expect(try await store.read { try $0.apiKeys.find(key.id, of: merchant.id) } == revoked)
    }
  }

  /// Two merchants, and a key of the first.
  private func twoMerchants(_ maker: Maker, in store: any Store) async throws -> (Merchant, other: Merchant, APIKey) {
    let (merchant, other) = (maker.merchant(), maker.merchant())
    let key = maker.apiKey(of: merchant.id)
    try await store.write { transaction in
      try transaction.merchants.insert(merchant)
      try transaction.merchants.insert(other)
      try transaction.apiKeys.insert(key)
    }
    return (merchant, other, key)
  }

  func demandedKeysAreInForce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, other, key) = try await twoMerchants(maker, in: store)
      func read(_ id: APIKeyID, of owner: MerchantID) async throws -> [Int] {
        let one = try await store.read { transaction in
          try transaction.apiKeys.demand(id, of: owner)
          return try transaction.merchants.all().count
        }
        // Of several questions, and of none.
        let two = try await store.read { transaction in
          try transaction.apiKeys.demand(id, of: owner)
          return try transaction.merchants.all().count + (transaction.merchants.find(merchant.id) == nil ? 0 : 1)
        }
        try await store.read { try $0.apiKeys.demand(id, of: owner) }
        return [one, two]
      }
      for _ in 0..<2 { #expect(try await read(key.id, of: merchant.id) == [2, 3]) }
      func expectRefusal(_ id: APIKeyID, of owner: MerchantID) async {
        await expectConflict(.apiKeyInForce) {
          _ = try await store.read { transaction in
            try transaction.apiKeys.demand(id, of: owner)
            return try transaction.merchants.all().count
          }
        }
        await expectConflict(.apiKeyInForce) {
          _ = try await store.read { transaction in
            try transaction.apiKeys.demand(id, of: owner)
            return [try transaction.merchants.find(merchant.id), try transaction.merchants.find(other.id)]
          }
        }
        await expectConflict(.apiKeyInForce) { try await store.read { try $0.apiKeys.demand(id, of: owner) } }
        await expectConflict(.apiKeyInForce) {
          try await store.write { transaction in
            try transaction.apiKeys.demand(id, of: owner)
            try transaction.merchants.insert(maker.merchant())
          }
        }
      }
      await expectRefusal(key.id, of: other.id)
      await expectRefusal(maker.id(), of: merchant.id)
      #expect(try await store.write { try $0.apiKeys.revoke(key.id, of: merchant.id, at: Maker.epoch) })
      await expectRefusal(key.id, of: merchant.id)
      #expect(try await store.read { try $0.merchants.all().count } == 2)
    }
  }

  func apiKeysAreUnique() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, other, key) = try await twoMerchants(maker, in: store)
      for owner in [merchant, other] {
        await expectConflict(.apiKeyHash) {
          try await store.write { try $0.apiKeys.insert(maker.apiKey(of: owner.id, hash: key.hash)) }
        }
      }
      await expectConflict(.identifier) {
        let twin = APIKey(
          id: key.id, merchantID: merchant.id, name: "", prefix: "", hash: maker.bytes(), createdAt: Maker.epoch)
        try await store.write { try $0.apiKeys.insert(twin) }
      }
    }
  }

  func apiKeysAreRevokedOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.merchant()
      let key = maker.apiKey(of: merchant.id)
      try await store.write { transaction in
        try transaction.merchants.insert(merchant)
        try transaction.apiKeys.insert(key)
      }
      #expect(try await !store.write { try $0.apiKeys.revoke(maker.id(), of: merchant.id, at: Maker.epoch) })
      let answers = try await racing(40) { number in
        try await store.write {
          try $0.apiKeys.revoke(key.id, of: merchant.id, at: Maker.epoch.adding(seconds: Int64(number)))
        }
      }
      #expect(answers.count { $0 } == 1)
      let winner = Maker.epoch.adding(seconds: Int64(answers.firstIndex(of: true) ?? -1))
      #expect(try await store.read { try $0.apiKeys.find(key.id, of: merchant.id) }?.revokedAt == winner)
    }
  }

  func apiKeysArePaged() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.merchant()
      let keys = (0..<40).map { _ in
        maker.apiKey(of: merchant.id, at: Maker.epoch.adding(seconds: Int64(maker.below(6))))
      }
      try await store.write { transaction in
        try transaction.merchants.insert(merchant)
        for key in keys { try transaction.apiKeys.insert(key) }
        for key in keys.prefix(10) { _ = try transaction.apiKeys.revoke(key.id, of: merchant.id, at: Maker.epoch) }
      }
      try await store.read { transaction in
        try expectPages(of: newestFirst(keys.map(\.position)), sizes: [1, 7, 20, 40, 100], position: \.position) {
          try transaction.apiKeys.page(of: merchant.id, $0)
        }
        try expectPages(of: [], sizes: [5], position: \.position) { try transaction.apiKeys.page(of: maker.id(), $0) }
      }
    }
  }
}
