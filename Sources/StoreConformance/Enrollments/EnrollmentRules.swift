import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let enrollmentRules = [
    Rule("an enrollment is kept whole in every state") { try await $0.enrollmentsAreKeptWhole() },
    Rule("PENDING ones are found by code and token, and no others") { try await $0.pendingIsFoundByItsHashes() },
    Rule("codes and tokens of PENDING ones are unique") { try await $0.codesAreUniqueWhilePending() },
    Rule("a move needs the expected state and the version before") { try await $0.movesAreGuarded() },
    Rule("one move wins, whoever races") { try await $0.oneMoveWins() },
    Rule("due ones come soonest first, up to the limit") { try await $0.dueComesSoonestFirst() },
    Rule("live PENDING ones at a location are noticed") { try await $0.pendingAtALocationIsNoticed() },
    Rule("live codes equal a recount") { try await $0.liveCodesEqualARecount() },
  ]

  private func inserted(_ enrollment: Enrollment, in store: any Store) async throws -> Enrollment {
    try await store.write { try $0.enrollments.insert(enrollment) }
    return enrollment
  }

  private func stored(_ enrollment: Enrollment, in store: any Store) async throws -> Enrollment? {
    try await store.read { try $0.enrollments.find(enrollment.id, of: enrollment.merchantID) }
  }

  private func move(
    _ enrollment: Enrollment, from expected: Enrollment.StateName, in store: any Store
  ) async throws -> Bool {
    try await store.write { try $0.enrollments.move(enrollment, from: expected) }
  }

  func enrollmentsAreKeptWhole() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let metadata = try maker.metadata(["store_id": "123", "empty": "", "quote\"\\": "\n\t/\u{1F600}"])
      for typedSymbols in [0, 8, 24] {
        let pending = try await inserted(
          maker.enrollment(of: maker.id(), metadata: metadata, typedSymbols: typedSymbols), in: store)
        #expect(try await stored(pending, in: store) == pending)
      }
      for commands in [
        [.redeem(by: maker.id())], [.cancel], [.expire], [.expire, .cancel],
      ] as [[Enrollment.Command]] {
        var enrollment = try await inserted(maker.enrollment(of: maker.id(), metadata: metadata), in: store)
        for command in commands {
          let moved = try enrollment.after(command)
          #expect(try await move(moved, from: enrollment.state.name, in: store))
          enrollment = moved
          #expect(try await stored(enrollment, in: store) == enrollment)
        }
      }
      #expect(try await store.read { try $0.enrollments.find(maker.id(), of: maker.id()) } == nil)
      let twin = try await inserted(maker.enrollment(of: maker.id()), in: store)
      await expectConflict(.identifier) {
        let other = Enrollment(
          id: twin.id, merchantID: twin.merchantID, locationID: twin.locationID, metadata: .empty,
          createdAt: twin.createdAt, expiresAt: twin.expiresAt, code: maker.code())
        _ = try await inserted(other, in: store)
      }
    }
  }

  func pendingIsFoundByItsHashes() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      // The second is long over: its time is not looked at.
      let enrollments = [
        maker.enrollment(of: maker.id()),
        maker.enrollment(of: maker.id(), created: Timestamp(millisecondsSinceEpoch: 0)),
      ]
      for enrollment in enrollments { _ = try await inserted(enrollment, in: store) }
      func found(_ code: SealedCode) async throws -> [Enrollment?] {
        try await store.write { transaction in
          [
            try transaction.enrollments.findPending(codeHash: code.codeHash),
            try transaction.enrollments.findPending(tokenHash: code.tokenHash),
          ]
        }
      }
      for enrollment in enrollments {
        let code = try #require(enrollment.code)
        #expect(try await found(code) == [enrollment, enrollment])
        let crossed = SealedCode(
          codeHash: code.tokenHash, tokenHash: code.codeHash, sealed: [], typedSymbols: 8)
        #expect(try await found(crossed) == [nil, nil])
      }
      #expect(try await found(maker.code()) == [nil, nil])
      for command in [.redeem(by: maker.id()), .cancel, .expire] as [Enrollment.Command] {
        let enrollment = try await inserted(maker.enrollment(of: maker.id()), in: store)
        #expect(try await move(enrollment.after(command), from: .pending, in: store))
        #expect(try await found(try #require(enrollment.code)) == [nil, nil])
      }
    }
  }

  func codesAreUniqueWhilePending() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      for command in [.redeem(by: maker.id()), .cancel, .expire] as [Enrollment.Command] {
        let first = try await inserted(maker.enrollment(of: maker.id()), in: store)
        let code = try #require(first.code)
        let sameCode = maker.enrollment(of: maker.id(), code: maker.code(codeHash: code.codeHash))
        let sameToken = maker.enrollment(of: maker.id(), code: maker.code(tokenHash: code.tokenHash))
        await expectConflict(.enrollmentCode) { _ = try await inserted(sameCode, in: store) }
        await expectConflict(.enrollmentToken) { _ = try await inserted(sameToken, in: store) }
        #expect(try await stored(sameCode, in: store) == nil)
        #expect(try await move(first.after(command), from: .pending, in: store))
        _ = try await inserted(sameCode, in: store)
        _ = try await inserted(sameToken, in: store)
      }
    }
  }

  func movesAreGuarded() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let pending = try await inserted(maker.enrollment(of: maker.id()), in: store)
      let consumed = try pending.after(.redeem(by: maker.id()))
      let skipped = Enrollment(
        restoring: pending.id, merchantID: pending.merchantID, locationID: pending.locationID, metadata: .empty,
        createdAt: pending.createdAt, expiresAt: pending.expiresAt, state: .cancelled, version: 3)
      for state in Enrollment.StateName.allCases where state != .pending {
        #expect(try await !move(consumed, from: state, in: store))
      }
      #expect(try await !move(skipped, from: .pending, in: store))
      #expect(try await !move(maker.enrollment(of: pending.merchantID).after(.cancel), from: .pending, in: store))
      #expect(try await stored(pending, in: store) == pending)
      #expect(try await store.read { try $0.enrollments.liveCodes() } == [8: 1])

      #expect(try await move(consumed, from: .pending, in: store))
      let cancelled = try pending.after(.cancel)
      for state in Enrollment.StateName.allCases { #expect(try await !move(cancelled, from: state, in: store)) }
      #expect(try await stored(pending, in: store) == consumed)
      #expect(try await store.read { try $0.enrollments.liveCodes() } == [:])
      let (all, unconsumed) = try await store.read { transaction in
        func listed(includingConsumed: Bool) throws -> [Enrollment] {
          try transaction.enrollments.page(
            of: pending.merchantID, EnrollmentFilter(includesConsumed: includingConsumed),
            PageRequest(number: 0, size: 5)
          ).content
        }
        return (try listed(includingConsumed: true), try listed(includingConsumed: false))
      }
      #expect(all == [consumed])
      #expect(unconsumed == [])
    }
  }

  func oneMoveWins() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      for _ in 0..<30 {
        let winners = try await movesThatWon(maker, store) { _, moved in
          try await self.move(moved, from: .pending, in: store)
        }
        #expect(winners == 1)
      }
      // The control: who trusts an earlier look believes to have won, and this harness sees several that do.
      let winners = try await movesThatWon(maker, store) { looked, moved in
        _ = try await self.move(moved, from: .pending, in: store)
        return looked.state.name == .pending
      }
      #expect(winners > 1)
    }
  }

  /// How many of 20 tasks, all of which looked before the first one moved, say that they won. Checks that the last state
  /// is that of a winner.
  private func movesThatWon(
    _ maker: Maker, _ store: any Store,
    _ attempt: @escaping @Sendable (_ looked: Enrollment, _ moved: Enrollment) async throws -> Bool
  ) async throws -> Int {
    let pending = try await inserted(maker.enrollment(of: maker.id()), in: store)
    let looked = try await racing(20) { _ in try await self.stored(pending, in: store) }
    let commands = looked.indices.map { number in
      [.redeem(by: maker.id()), .cancel, .expire][number % 3] as Enrollment.Command
    }
    let answers = try await racing(looked.count) { number in
      guard let mine = looked[number] else { return false }
      return try await attempt(mine, mine.after(commands[number]))
    }
    let last = try await stored(pending, in: store)
    let winners = try answers.indices.filter { answers[$0] }.map { try pending.after(commands[$0]) }
    #expect(winners.contains { $0 == last })
    return answers.count { $0 }
  }

  func dueComesSoonestFirst() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      var pending: [Enrollment] = []
      for _ in 0..<60 {
        let enrollment = try await inserted(
          maker.enrollment(of: maker.id(), lives: Int64(1 + maker.below(20))), in: store)
        switch maker.below(4) {
        case 0: _ = try await move(enrollment.after(.cancel), from: .pending, in: store)
        case 1: _ = try await move(enrollment.after(.expire), from: .pending, in: store)
        default: pending.append(enrollment)
        }
      }
      for seconds in [0, 1, 5, 10, 19, 20, 1000] as [Int64] {
        for time in [Maker.epoch.adding(seconds: seconds), Maker.epoch.adding(milliseconds: seconds * 1000 - 1)] {
          let expected = pending.filter { $0.expiresAt <= time }
          let due = try await store.read { try $0.enrollments.due(at: time, limit: 100) }
          #expect(due.map(\.expiresAt) == expected.map(\.expiresAt).sorted())
          #expect(Set(due.map(\.id)) == Set(expected.map(\.id)))
          let few = try await store.read { try $0.enrollments.due(at: time, limit: 3) }
          #expect(few.map(\.expiresAt) == Array(due.map(\.expiresAt).prefix(3)))
        }
      }
    }
  }

  func pendingAtALocationIsNoticed() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, location, other) = (maker.id(Merchant.self), maker.id(Location.self), maker.id(Location.self))
      func isNoticed(_ location: LocationID, _ time: Timestamp = Maker.epoch) async throws -> Bool {
        try await store.read { try $0.enrollments.hasPending(at: location, of: merchant, now: time) }
      }
      #expect(try await !isNoticed(location))
      let enrollment = try await inserted(maker.enrollment(of: merchant, at: location), in: store)
      #expect(try await isNoticed(location))
      #expect(try await !isNoticed(other))
      #expect(try await isNoticed(location, enrollment.expiresAt.adding(milliseconds: -1)))
      #expect(try await !isNoticed(location, enrollment.expiresAt))
      for command in [.redeem(by: maker.id()), .cancel, .expire] as [Enrollment.Command] {
        let place = maker.id(Location.self)
        let enrollment = try await inserted(maker.enrollment(of: merchant, at: place), in: store)
        #expect(try await isNoticed(place))
        _ = try await move(enrollment.after(command), from: .pending, in: store)
        #expect(try await !isNoticed(place))
      }
    }
  }

  func liveCodesEqualARecount() async throws {
    try await withStore { store async throws in
      struct Abandoned: Error {}
      let maker = Maker()
      let lengths = [0, 8, 9, 12]
      let merchants = [maker.id(Merchant.self), maker.id(Merchant.self)]
      let enrollments = (0..<300).map { number in
        maker.enrollment(of: merchants[number % 2], typedSymbols: maker.pick(lengths))
      }
      let fates = enrollments.map { _ in maker.below(6) }
      _ = try await racing(enrollments.count) { number in
        let enrollment = enrollments[number]
        if fates[number] == 0 {
          // Written and undone.
          try? await store.write { transaction in
            try transaction.enrollments.insert(enrollment)
            throw Abandoned()
          }
          return
        }
        try await store.write { try $0.enrollments.insert(enrollment) }
        switch fates[number] {
        case 1: _ = try await self.move(enrollment.after(.redeem(by: maker.id())), from: .pending, in: store)
        case 2: _ = try await self.move(enrollment.after(.cancel), from: .pending, in: store)
        case 3:
          let expired = try enrollment.after(.expire)
          _ = try await self.move(expired, from: .pending, in: store)
          _ = try await self.move(expired.after(.cancel), from: .expired, in: store)
        default: break
        }
        _ = try? await store.write { try $0.enrollments.insert(enrollment) }
      }
      let (live, recount) = try await store.read { transaction in
        var recount: [Int: Int64] = [:]
        for enrollment in enrollments {
          guard let found = try transaction.enrollments.find(enrollment.id, of: enrollment.merchantID) else { continue }
          if let code = found.code, code.typedSymbols > 0 { recount[code.typedSymbols, default: 0] += 1 }
        }
        return (try transaction.enrollments.liveCodes(), recount)
      }
      #expect(live == recount)
      let alive = enrollments.indices.filter { fates[$0] > 3 && enrollments[$0].code?.typedSymbols != 0 }
      #expect(live.values.reduce(0, +) == alive.count)
    }
  }
}
