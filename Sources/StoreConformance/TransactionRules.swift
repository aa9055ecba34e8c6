import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let transactionRules = [
    Rule("what a body wrote is visible in it and after it") { try await $0.writesAreVisible() },
    Rule("a throwing body leaves nothing behind while others commit") { try await $0.throwingBodiesLeaveNothing() },
    Rule("a conflict leaves nothing of its body behind") { try await $0.conflictsLeaveNothing() },
    Rule("a read is one snapshot") { try await $0.readsAreOneSnapshot() },
    Rule("errors of bodies are thrown on") { try await $0.errorsAreThrownOn() },
    Rule("a sound store says so") { try await $0.saysThatItIsSound() },
    Rule("a closed store is unavailable") { try await $0.isUnavailableOnceClosed() },
  ]

  private enum Deliberate: Error, Equatable { case failure(Int) }

  func writesAreVisible() async throws {
    try await withStore { store async throws in
      let merchant = Maker().merchant()
      let inside = try await store.write { transaction in
        try transaction.merchants.insert(merchant)
        return try transaction.merchants.find(merchant.id)
      }
      #expect(inside == merchant)
      #expect(try await store.read { try $0.merchants.find(merchant.id) } == merchant)
      #expect(try await store.write { try $0.merchants.find(merchant.id) } == merchant)
    }
  }

  // MARK: All or nothing

  func throwingBodiesLeaveNothing() async throws {
    try await withStore { store async throws in
      let left = try await leftoversOfFailures { merchant, enrollment, failure in
        try await store.write { transaction in
          try transaction.merchants.insert(merchant)
          try transaction.enrollments.insert(enrollment)
          _ = try transaction.budgets.take(.deployment, windowStart: Maker.epoch, windowEnd: Maker.epoch, limit: .max)
          if let failure { throw failure }
        }
      } in: {
        store
      }
      #expect(left == Leftovers())
    }
    // The control: the same harness sees what a write that is undone by nobody leaves behind.
    try await withStore { store async throws in
      let left = try await leftoversOfFailures { merchant, enrollment, failure in
        try await store.write { transaction in
          try transaction.merchants.insert(merchant)
          try transaction.enrollments.insert(enrollment)
          _ = try transaction.budgets.take(.deployment, windowStart: Maker.epoch, windowEnd: Maker.epoch, limit: .max)
        }
        if let failure { throw failure }
      } in: {
        store
      }
      #expect(left.merchants > 0 && left.liveCodes > 0 && left.attempts > 0 && left.listed > 0)
    }
  }

  /// What there is beyond what the successful bodies wrote.
  private struct Leftovers: Equatable {
    var merchants = 0
    var listed: Int64 = 0
    var liveCodes: Int64 = 0
    var attempts: Int64 = 0
  }

  /// Runs 400 bodies at once, every third of which fails after its last write.
  private func leftoversOfFailures(
    _ write: @escaping @Sendable (Merchant, Enrollment, Deliberate?) async throws -> Void,
    in store: () -> any Store
  ) async throws -> Leftovers {
    let maker = Maker()
    let merchants = (0..<400).map { _ in maker.merchant() }
    let enrollments = merchants.map { maker.enrollment(of: $0.id) }
    let answers = try await racing(merchants.count) { number in
      let failure: Deliberate? = number.isMultiple(of: 3) ? .failure(number) : nil
      do {
        try await write(merchants[number], enrollments[number], failure)
        return failure == nil
      } catch let error as Deliberate {
        return error == failure
      }
    }
    #expect(!answers.contains(false), "each caller hears of its own body's end")
    let kept = Set(merchants.indices.filter { !$0.isMultiple(of: 3) })
    return try await store().read { transaction in
      var left = Leftovers()
      for (number, merchant) in merchants.enumerated() {
        let isThere = try transaction.merchants.find(merchant.id) != nil
        if kept.contains(number) {
          #expect(isThere, "an acknowledged write is there")
        } else if isThere {
          left.merchants += 1
        }
        let page = try transaction.enrollments.page(
          of: merchant.id, EnrollmentFilter(), PageRequest(number: 0, size: 10))
        left.listed += page.totalElements
      }
      left.listed -= Int64(kept.count)
      left.liveCodes = (try transaction.enrollments.liveCodes()[8] ?? 0) - Int64(kept.count)
      left.attempts = try transaction.budgets.used(.deployment, windowStart: Maker.epoch) - Int64(kept.count)
      return left
    }
  }

  func conflictsLeaveNothing() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (first, second) = (maker.merchant(), maker.merchant())
      let taken = maker.apiKey(of: first.id)
      try await store.write { transaction in
        try transaction.merchants.insert(first)
        try transaction.apiKeys.insert(taken)
      }
      await expectConflict(.apiKeyHash) {
        try await store.write { transaction in
          try transaction.merchants.insert(second)
          try transaction.apiKeys.insert(maker.apiKey(of: second.id, hash: taken.hash))
        }
      }
      #expect(try await store.read { try $0.merchants.all() } == [first])
    }
  }

  // MARK: Snapshots

  func readsAreOneSnapshot() async throws {
    try await withStore { store async throws in
      let (maker, writers, writesEach) = (Maker(), 4, 60)
      let merchant = maker.id(Merchant.self)
      let unfinished = Shared(writers)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<writers {
          group.addTask {
            for _ in 0..<writesEach { try await self.writeOneOfEach(of: merchant, maker, in: store) }
            unfinished.withLock { $0 -= 1 }
          }
        }
        var looks = 0
        while unfinished.withLock({ $0 > 0 }) || looks < 100 {
          // A store may answer a read without ever suspending: let the writers have the thread too.
          await Task.yield()
          let (before, between, after) = try await store.read { transaction in
            (
              try self.attempts(transaction), try self.listed(of: merchant, transaction), try self.attempts(transaction)
            )
          }
          #expect(before == between && between == after)
          looks += 1
        }
        try await group.waitForAll()
      }
      // The control: the same figures, looked at in two reads with a write between, disagree.
      let before = try await store.read { try self.attempts($0) }
      try await writeOneOfEach(of: merchant, maker, in: store)
      let after = try await store.read { try self.listed(of: merchant, $0) }
      #expect(before == writers * writesEach)
      #expect(before != after)
    }
  }

  private func writeOneOfEach(of merchant: MerchantID, _ maker: Maker, in store: any Store) async throws {
    let enrollment = maker.enrollment(of: merchant)
    try await store.write { transaction in
      _ = try transaction.budgets.take(.deployment, windowStart: Maker.epoch, windowEnd: Maker.epoch, limit: .max)
      try transaction.enrollments.insert(enrollment)
    }
  }

  private func attempts(_ transaction: any ReadTransaction) throws -> Int64 {
    try transaction.budgets.used(.deployment, windowStart: Maker.epoch)
  }

  private func listed(of merchant: MerchantID, _ transaction: any ReadTransaction) throws -> Int64 {
    try transaction.enrollments.page(of: merchant, EnrollmentFilter(), PageRequest(number: 0, size: 1)).totalElements
  }

  // MARK: Errors and ends

  func errorsAreThrownOn() async throws {
    try await withStore { store async throws in
      await #expect(throws: Deliberate.failure(1)) { try await store.read { _ in throw Deliberate.failure(1) } }
      await #expect(throws: Deliberate.failure(2)) { try await store.write { _ in throw Deliberate.failure(2) } }
      let answers = (try await store.read { _ in 3 }, try await store.write { _ in 4 })
      #expect(answers == (3, 4))
    }
  }

  func saysThatItIsSound() async throws {
    try await withStore { store async throws in
      try await store.checkWritable()
      let findings = try await store.diagnose()
      #expect(!findings.isEmpty)
      #expect(findings.filter { !$0.isSound } == [])
      #expect(Set(findings.map(\.name)).count == findings.count)
    }
  }

  func isUnavailableOnceClosed() async throws {
    let store = try await makeStore()
    let merchant = Maker().merchant()
    try await store.write { try $0.merchants.insert(merchant) }
    _ = try await store.read { try $0.merchants.find(merchant.id) }
    await store.close()
    await expectUnavailable { try await store.write { try $0.merchants.insert(merchant) } }
    await expectUnavailable { _ = try await store.read { try $0.merchants.find(merchant.id) } }
    await expectUnavailable { try await store.checkWritable() }
    await expectUnavailable { _ = try await store.diagnose() }
    await store.close()
  }
}
