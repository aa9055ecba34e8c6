import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let locationRules = [
    Rule("a location is kept whole") { try await $0.locationsAreKeptWhole() },
    Rule("a location's identifier is unique") { try await $0.locationIdentifiersAreUnique() },
    Rule("the only location is the only one") { try await $0.onlyLocationIsTheOnlyOne() },
    Rule("locations are paged") { try await $0.locationsArePaged() },
    Rule("a location is changed from the version before") { try await $0.locationsChangeFromTheVersionBefore() },
    Rule("a location is removed once") { try await $0.locationsAreRemovedOnce() },
  ]

  private func makeMerchant(_ maker: Maker, in store: any Store) async throws -> MerchantID {
    let merchant = maker.merchant()
    try await store.write { try $0.merchants.insert(merchant) }
    return merchant.id
  }

  func locationsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = try await makeMerchant(maker, in: store)
      let full = Location.Details(
        name: "Name", streetAddress: "Street", streetAddress2: "Yard", postalCode: "0150", city: "City", country: "NO")
      for details in [full, Location.Details(name: "Bare"), Location.Details(name: "", city: "")] {
        let location = Location(
          id: maker.id(), merchantID: merchant, details: details, createdAt: Maker.epoch,
          updatedAt: Maker.epoch.adding(seconds: 9), version: 7)
        try await store.write { try $0.locations.insert(location) }
        #expect(try await store.read { try $0.locations.find(location.id, of: merchant) } == location)
      }
      #expect(try await store.read { try $0.locations.find(maker.id(), of: merchant) } == nil)
    }
  }

  func locationIdentifiersAreUnique() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let location = maker.location(of: try await makeMerchant(maker, in: store))
      try await store.write { try $0.locations.insert(location) }
      await expectConflict(.identifier) { try await store.write { try $0.locations.insert(location) } }
    }
  }

  func onlyLocationIsTheOnlyOne() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = try await makeMerchant(maker, in: store)
      let (first, second) = (maker.location(of: merchant), maker.location(of: merchant))
      #expect(try await store.read { try $0.locations.only(of: merchant) } == nil)
      try await store.write { try $0.locations.insert(first) }
      #expect(try await store.read { try $0.locations.only(of: merchant) } == first)
      try await store.write { try $0.locations.insert(second) }
      #expect(try await store.read { try $0.locations.only(of: merchant) } == nil)
      _ = try await store.write { try $0.locations.delete(first.id, of: merchant) }
      #expect(try await store.read { try $0.locations.only(of: merchant) } == second)
    }
  }

  func locationsArePaged() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = try await makeMerchant(maker, in: store)
      let locations = (0..<40).map { _ in
        maker.location(of: merchant, at: Maker.epoch.adding(seconds: Int64(maker.below(6))))
      }
      try await store.write { transaction in
        for location in locations { try transaction.locations.insert(location) }
        for location in locations.prefix(5) { _ = try transaction.locations.delete(location.id, of: merchant) }
      }
      let expected = newestFirst(locations.dropFirst(5).map(\.position))
      try await store.read { transaction in
        try expectPages(of: expected, sizes: [1, 7, 20, 35, 100], position: \.position) {
          try transaction.locations.page(of: merchant, $0)
        }
        try expectPages(of: [], sizes: [5], position: \.position) { try transaction.locations.page(of: maker.id(), $0) }
      }
    }
  }

  func locationsChangeFromTheVersionBefore() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let location = maker.location(of: try await makeMerchant(maker, in: store))
      try await store.write { try $0.locations.insert(location) }

      let answers = try await racing(40) { number in
        var mine = location
        _ = mine.replace(Location.Details(name: "by \(number)", city: "City"), at: Maker.epoch.adding(seconds: 1))
        let saved = mine
        return try await store.write { try $0.locations.update(saved) }
      }
      #expect(answers.count { $0 } == 1)
      let stored = try await store.read { try $0.locations.find(location.id, of: location.merchantID) }
      #expect(stored?.version == 2)
      #expect(stored?.details == Location.Details(name: "by \(answers.firstIndex(of: true) ?? -1)", city: "City"))
      #expect(stored?.updatedAt == Maker.epoch.adding(seconds: 1))

      var skipping = try #require(stored)
      _ = skipping.replace(Location.Details(name: "lost"), at: Maker.epoch)
      _ = skipping.replace(Location.Details(name: "too far"), at: Maker.epoch)
      var unknown = maker.location(of: location.merchantID)
      _ = unknown.replace(Location.Details(name: "nowhere"), at: Maker.epoch)
      for refused in [skipping, unknown] {
        #expect(try await !store.write { try $0.locations.update(refused) })
      }
      #expect(try await store.read { try $0.locations.find(location.id, of: location.merchantID) } == stored)
    }
  }

  func locationsAreRemovedOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let location = maker.location(of: try await makeMerchant(maker, in: store))
      try await store.write { try $0.locations.insert(location) }
      let answers = try await racing(40) { _ in
        try await store.write { try $0.locations.delete(location.id, of: location.merchantID) }
      }
      #expect(answers.count { $0 } == 1)
      #expect(try await store.read { try $0.locations.find(location.id, of: location.merchantID) } == nil)
    }
  }
}
