import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let budgetRules = [
    Rule("attempts are taken up to the limit and given back") { try await $0.budgetsAreTakenAndGivenBack() },
    Rule("attempts are counted by scope and window, as bytes") { try await $0.budgetsAreApart() },
    Rule("never more attempts than the limit, whoever races") { try await $0.budgetsHoldInARace() },
    Rule("ended windows are forgotten, some at a time") { try await $0.budgetsAreForgotten() },
    Rule("a proof is new once, whoever races") { try await $0.proofsAreNewOnce() },
    Rule("expired proofs are forgotten, some at a time") { try await $0.proofsAreForgotten() },
  ]

  private static let end = Maker.epoch.adding(seconds: 60)

  private func take(_ scope: BudgetScope, limit: Int64, in store: any Store) async throws -> Bool {
    try await store.write {
      try $0.budgets.take(scope, windowStart: Maker.epoch, windowEnd: Self.end, limit: limit)
    }
  }

  private func used(_ scope: BudgetScope, in store: any Store) async throws -> Int64 {
    try await store.read { try $0.budgets.used(scope, windowStart: Maker.epoch) }
  }

  func budgetsAreTakenAndGivenBack() async throws {
    try await withStore { store async throws in
      #expect(try await used(.deployment, in: store) == 0)
      for limit: Int64 in [0, -1, .min] { #expect(try await !take(.deployment, limit: limit, in: store)) }
      for _ in 0..<3 { #expect(try await take(.deployment, limit: 3, in: store)) }
      #expect(try await !take(.deployment, limit: 3, in: store))
      #expect(try await !take(.deployment, limit: 2, in: store), "a limit that was lowered")
      #expect(try await used(.deployment, in: store) == 3)
      #expect(try await take(.deployment, limit: 4, in: store), "a limit that was raised")

      let within = try await store.write { transaction in
        let taken = try transaction.budgets.take(
          .deployment, windowStart: Maker.epoch, windowEnd: Self.end, limit: .max)
        let between = try transaction.budgets.used(.deployment, windowStart: Maker.epoch)
        try transaction.budgets.giveBack(.deployment, windowStart: Maker.epoch)
        return (taken, between)
      }
      #expect(within == (true, 5))
      #expect(try await used(.deployment, in: store) == 4)
    }
  }

  func budgetsAreApart() async throws {
    try await withStore { store async throws in
      let scopes: [BudgetScope] = [
        .deployment, .source("deployment"), .source(""), .source("192.0.2.1"), .source("192.0.2.1 "),
        .source("2001:db8::/64"), .source("2001:DB8::/64"), .source("\u{e9}"), .source("e\u{301}"),
      ]
      for scope in scopes {
        #expect(try await used(scope, in: store) == 0)
        #expect(try await take(scope, limit: 1, in: store))
        #expect(try await !take(scope, limit: 1, in: store))
      }
      for scope in scopes {
        #expect(try await used(scope, in: store) == 1)
        let next = Self.end
        #expect(try await store.read { try $0.budgets.used(scope, windowStart: next) } == 0)
        #expect(
          try await store.write {
            try $0.budgets.take(scope, windowStart: next, windowEnd: next.adding(seconds: 60), limit: 1)
          })
        #expect(try await used(scope, in: store) == 1)
      }
    }
  }

  func budgetsHoldInARace() async throws {
    let (tasks, limit) = (200, Int64(50))
    try await withStore { store async throws in
      let taken = try await racing(tasks) { _ in try await take(.source("a"), limit: limit, in: store) }
      #expect(taken.count { $0 } == limit)
      #expect(try await used(.source("a"), in: store) == limit)
    }
    // The control: who looks first and takes afterwards takes too many, and this harness sees it.
    try await withStore { store async throws in
      let free = try await racing(tasks) { _ in try await used(.source("a"), in: store) < limit }
      let taken = try await racing(tasks) { number in
        guard free[number] else { return false }
        return try await take(.source("a"), limit: .max, in: store)
      }
      #expect(taken.count { $0 } > limit)
      #expect(try await used(.source("a"), in: store) > limit)
    }
  }

  func budgetsAreForgotten() async throws {
    try await withStore { store async throws in
      try await store.write { transaction in
        for number in 0..<12 {
          let end = number < 10 ? Self.end : Self.end.adding(milliseconds: 1)
          _ = try transaction.budgets.take(
            .source("\(number)"), windowStart: Maker.epoch, windowEnd: end, limit: 1)
        }
      }
      func forget(_ time: Timestamp) async throws -> Int {
        try await store.write { try $0.budgets.forget(endedBefore: time, limit: 7) }
      }
      #expect(try await forget(Self.end.adding(milliseconds: -1)) == 0)
      #expect(try await forget(Self.end) == 7)
      #expect(try await forget(Self.end) == 3)
      #expect(try await forget(Self.end) == 0)
      #expect(try await used(.source("0"), in: store) == 0)
      #expect(try await used(.source("11"), in: store) == 1)
    }
  }

  // MARK: Proofs

  func proofsAreNewOnce() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (proof, device, other) = (maker.bytes(), maker.id(Device.self), maker.id(Device.self))
      @Sendable func note(_ proof: [UInt8], of device: DeviceID) async throws -> Bool {
        try await store.write { try $0.proofs.note(proof, of: device, expiresAt: Self.end) }
      }
      let answers = try await racing(40) { _ in try await note(proof, of: device) }
      #expect(answers.count { $0 } == 1)
      #expect(try await note(proof, of: other))
      #expect(try await note(maker.bytes(), of: device))
      #expect(try await !note(proof, of: device))
    }
  }

  func proofsAreForgotten() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let device = maker.id(Device.self)
      let proofs = (0..<12).map { _ in maker.bytes() }
      try await store.write { transaction in
        for (number, proof) in proofs.enumerated() {
          let end = number < 10 ? Self.end : Self.end.adding(milliseconds: 1)
          _ = try transaction.proofs.note(proof, of: device, expiresAt: end)
        }
      }
      func forget(_ time: Timestamp) async throws -> Int {
        try await store.write { try $0.proofs.forget(expiredBefore: time, limit: 7) }
      }
      #expect(try await forget(Self.end.adding(milliseconds: -1)) == 0)
      #expect(try await forget(Self.end) == 7)
      #expect(try await forget(Self.end) == 3)
      #expect(try await forget(Self.end) == 0)
      #expect(try await !store.write { try $0.proofs.note(proofs[11], of: device, expiresAt: Self.end) })
      #expect(try await store.write { try $0.proofs.note(proofs[0], of: device, expiresAt: Self.end) })
    }
  }
}
