import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let enrollmentPagingRules = [
    Rule("every narrowing of the enrollments' list is right on every page") { try await $0.enrollmentListsAreRight() },
    Rule("a walk by cursor repeats nothing and skips nothing") { try await $0.cursorWalksAreWhole() },
    Rule("several metadata pairs are narrowed to as bytes") { try await $0.metadataIsMatchedAsBytes() },
  ]

  // MARK: Against a model

  /// The keys differ only by normalization or case where they can.
  private static let keys = ["a", "A", "e\u{301}", "\u{e9}", "store"]
  private static let values = ["1", "2", ""]

  func enrollmentListsAreRight() async throws {
    try await withStore { store async throws in
      let maker = Maker(seed: 7)
      let merchants = [maker.id(Merchant.self), maker.id(Merchant.self)]
      let locations = (0..<3).map { _ in maker.id(Location.self) }
      var model: [Enrollment] = []
      for _ in 0..<450 {
        let chosen = Self.keys.filter { _ in maker.below(5) < 2 }
        let metadata = try Metadata.make(chosen.map { (key: $0, value: maker.pick(Self.values)) }).get()
        model.append(
          maker.enrollment(
            of: maker.pick(merchants), at: maker.pick(locations), metadata: metadata,
            created: Maker.epoch.adding(seconds: Int64(maker.below(60))), typedSymbols: maker.pick([0, 8])))
      }
      for start in stride(from: 0, to: model.count, by: 50) {
        let some = Array(model[start..<start + 50])
        try await store.write { transaction in for one in some { try transaction.enrollments.insert(one) } }
      }
      for index in model.indices {
        let commands: [[Enrollment.Command]] = [
          [], [], [], [.redeem(by: maker.id())], [.cancel], [.expire], [.expire, .cancel],
        ]
        for command in maker.pick(commands) {
          let (before, after) = (model[index], try model[index].after(command))
          #expect(try await store.write { try $0.enrollments.move(after, from: before.state.name) })
          model[index] = after
        }
      }

      let complete = model
      var checked = 0
      for merchant in merchants + [maker.id()] {
        for location in [nil] + locations + [maker.id()] as [LocationID?] {
          for pairs in try pairSets(maker) {
            for includesConsumed in [true, false] {
              let filter = EnrollmentFilter(
                locationID: location, metadata: pairs, includesConsumed: includesConsumed)
              let expected = newestFirst(complete.filter { matches($0, merchant, filter) }.map(\.position))
              let sizes = pairs.isEmpty ? [1, 7, 100] : [9]
              try await store.read { transaction in
                try expectPages(of: expected, sizes: sizes, "\(filter)", position: \.position) {
                  try transaction.enrollments.page(of: merchant, filter, $0)
                }
              }
              checked += expected.isEmpty ? 0 : 1
            }
          }
        }
      }
      #expect(checked > 300, "enough narrowings that match something")

      // The content, not only the order.
      let all = try await store.read {
        try $0.enrollments.page(of: merchants[0], EnrollmentFilter(), PageRequest(number: 0, size: 1000)).content
      }
      let byID = Dictionary(uniqueKeysWithValues: complete.map { ($0.id, $0) })
      #expect(all.allSatisfy { $0 == byID[$0.id] })
    }
  }

  private func matches(_ enrollment: Enrollment, _ merchant: MerchantID, _ filter: EnrollmentFilter) -> Bool {
    enrollment.merchantID == merchant && enrollment.state.name != .cancelled
      && (filter.includesConsumed || enrollment.state.name != .consumed)
      && (filter.locationID == nil || filter.locationID == enrollment.locationID)
      && filter.metadata.allSatisfy { wanted in
        enrollment.metadata.pairs.contains {
          bytes($0.key) == bytes(wanted.key) && bytes($0.value) == bytes(wanted.value)
        }
      }
  }

  /// None, every single pair, every two pairs of different keys, some of three to five, and some that match nothing.
  private func pairSets(_ maker: Maker) throws -> [[Metadata.Pair]] {
    var sets: [[(key: String, value: String)]] = [
      [], [("unknown", "1")], [("a", "3")], [("a", "1"), ("unknown", "1")], [("a", "1:2")],
    ]
    for (index, key) in Self.keys.enumerated() {
      for value in Self.values {
        sets.append([(key, value)])
        for other in Self.keys.dropFirst(index + 1) {
          for otherValue in Self.values { sets.append([(key, value), (other, otherValue)]) }
        }
      }
    }
    for count in [3, 3, 3, 3, 4, 4, 5, 5] {
      sets.append(Self.keys.prefix(count).map { ($0, maker.pick(Self.values)) })
    }
    return try sets.map { try Metadata.make($0).get().pairs }
  }

  func metadataIsMatchedAsBytes() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let merchant = maker.id(Merchant.self)
      let texts = ["k", "K", "\u{212a}", "\u{e9}", "e\u{301}", "k ", " k", "\u{fb01}", "fi"]
      var made: [(pair: Metadata.Pair, id: EnrollmentID)] = []
      for key in texts {
        for value in texts + [""] {
          let enrollment = maker.enrollment(
            of: merchant, metadata: try Metadata.make([(key: key, value: value)]).get())
          try await store.write { try $0.enrollments.insert(enrollment) }
          made.append((enrollment.metadata.pairs[0], enrollment.id))
        }
      }
      for (pair, id) in made {
        let page = try await store.read {
          try $0.enrollments.page(of: merchant, EnrollmentFilter(metadata: [pair]), PageRequest(number: 0, size: 100))
        }
        #expect(page.content.map(\.id) == [id])
        #expect(page.totalElements == 1)
        #expect(page.content.first?.metadata.pairs == [pair])
      }
    }
  }

  // MARK: While others write

  private enum Stepping { case byCursor, byNumber }

  func cursorWalksAreWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker(seed: 11)
      let merchant = maker.id(Merchant.self)
      @Sendable func fresh(_ seconds: Int) -> Enrollment {
        maker.enrollment(of: merchant, created: Maker.epoch.adding(seconds: Int64(seconds)))
      }
      let initial = (0..<300).map { _ in fresh(maker.below(30)) }
      try await store.write { transaction in for one in initial { try transaction.enrollments.insert(one) } }
      let (stayers, leavers) = (Array(initial.prefix(200)), Array(initial.suffix(100)))

      let leaving = Shared(leavers)
      let walks = try await withThrowingTaskGroup(of: [PagePosition]?.self) { group in
        for _ in 0..<3 {
          group.addTask {
            // Someone writes between any two pages, and others write all the time.
            try await self.walk(.byCursor, of: merchant, in: store) {
              let (new, leaver) = (fresh(maker.pick([100, 15, -100])), leaving.withLock { $0.popLast() })
              try await store.write { transaction in
                try transaction.enrollments.insert(new)
                if let leaver { _ = try transaction.enrollments.move(leaver.after(.cancel), from: .pending) }
              }
            }
          }
          group.addTask {
            for _ in 0..<60 {
              let new = fresh(maker.below(40) - 5)
              try await store.write { try $0.enrollments.insert(new) }
              let consumed = try new.after(.redeem(by: maker.id()))
              _ = try await store.write { try $0.enrollments.move(consumed, from: .pending) }
            }
            return nil
          }
        }
        var walks: [[PagePosition]] = []
        for try await walk in group { if let walk { walks.append(walk) } }
        return walks
      }
      #expect(walks.count == 3)
      for walk in walks {
        #expect(repeated(walk) == 0)
        #expect(walk == newestFirst(walk))
        #expect(Set(stayers.map(\.position.id)).subtracting(walk.map(\.id)).isEmpty, "what was there throughout")
      }

      // The control: the same walk by page numbers, with something new on top after each page, repeats rows.
      let byNumber = try await walk(.byNumber, of: merchant, in: store) {
        let new = fresh(1000)
        try await store.write { try $0.enrollments.insert(new) }
      }
      #expect(repeated(byNumber) > 0)
    }
  }

  private func repeated(_ walk: [PagePosition]) -> Int { walk.count - Set(walk.map(\.id)).count }

  private func walk(
    _ stepping: Stepping, of merchant: MerchantID, in store: any Store,
    afterEachPage: @Sendable () async throws -> Void
  ) async throws -> [PagePosition] {
    var walked: [PagePosition] = []
    for number in 0..<1000 {
      let request =
        switch stepping {
        case .byCursor: PageRequest(number: 0, size: 7, after: walked.last)
        case .byNumber: PageRequest(number: number, size: 7)
        }
      let page = try await store.read { try $0.enrollments.page(of: merchant, EnrollmentFilter(), request) }
      walked += page.content.map(\.position)
      if !page.hasMore { return walked }
      try await afterEachPage()
    }
    Issue.record("the walk has no end")
    return walked
  }
}
