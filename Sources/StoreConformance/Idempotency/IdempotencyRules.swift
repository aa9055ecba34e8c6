import KassaDomain
import KassaStore
import Testing

extension StoreConformance {
  static let idempotencyRules = [
    Rule("an idempotency record is found until it expires") { try await $0.idempotencyRecordsExpire() },
    Rule("an idempotency key is used once, whoever races") { try await $0.idempotencyKeysAreUnique() },
    Rule("an expired idempotency record is replaced") { try await $0.expiredIdempotencyRecordsAreReplaced() },
    Rule("expired idempotency records are forgotten, some at a time") { try await $0.idempotencyRecordsAreForgotten() },
    Rule("merchant, operation and key make the scope, as bytes") { try await $0.idempotencyScopesAreExact() },
  ]

  private func record(_ maker: Maker, status: Int = 201, until end: Timestamp) -> IdempotencyRecord {
    IdempotencyRecord(bodyHash: maker.bytes(), status: status, sealedBody: maker.bytes(90), expiresAt: end)
  }

  private func scope(_ maker: Maker, _ key: String = "key") -> IdempotencyScope {
    IdempotencyScope(merchantID: maker.id(), operation: "POST /ipp/v1/enrollments", key: key)
  }

  private func found(
    _ scope: IdempotencyScope, at time: Timestamp = Maker.epoch, in store: any Store
  ) async throws -> IdempotencyRecord? {
    try await store.write { try $0.idempotency.find(scope, at: time) }
  }

  func idempotencyRecordsExpire() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let end = Maker.epoch.adding(seconds: 60)
      let (scope, record) = (scope(maker), record(maker, until: end))
      #expect(try await found(scope, in: store) == nil)
      try await store.write { try $0.idempotency.insert(record, for: scope, at: Maker.epoch) }
      #expect(try await found(scope, in: store) == record)
      #expect(try await found(scope, at: end.adding(milliseconds: -1), in: store) == record)
      #expect(try await found(scope, at: end, in: store) == nil)
    }
  }

  func idempotencyKeysAreUnique() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (one, records) = (scope(maker), (0..<50).map { self.record(maker, status: 200 + $0, until: .distantEnd) })
      let winners = try await inserted(records, in: store) { _ in one }
      #expect(winners.count == 1)
      #expect(try await found(one, in: store) == winners.first.map { records[$0] })
      // The control: with a scope for each, the same harness counts them all.
      let scopes = records.indices.map { scope(maker, "key \($0)") }
      #expect(try await inserted(records, in: store) { scopes[$0] }.count == records.count)
    }
  }

  /// The numbers of those records that could be inserted, all trying at once.
  private func inserted(
    _ records: [IdempotencyRecord], in store: any Store, for scope: @escaping @Sendable (Int) -> IdempotencyScope
  ) async throws -> [Int] {
    let answers = try await racing(records.count) { number in
      do {
        try await store.write { transaction in
          try transaction.idempotency.insert(records[number], for: scope(number), at: Maker.epoch)
        }
        return true
      } catch StoreError.conflict(.idempotencyKey) {
        return false
      }
    }
    return answers.indices.filter { answers[$0] }
  }

  func expiredIdempotencyRecordsAreReplaced() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let end = Maker.epoch.adding(seconds: 60)
      let scope = scope(maker)
      let (old, new) = (record(maker, until: end), record(maker, status: 204, until: .distantEnd))
      try await store.write { try $0.idempotency.insert(old, for: scope, at: Maker.epoch) }
      await expectConflict(.idempotencyKey) {
        try await store.write { try $0.idempotency.insert(new, for: scope, at: end.adding(milliseconds: -1)) }
      }
      #expect(try await found(scope, in: store) == old)
      try await store.write { try $0.idempotency.insert(new, for: scope, at: end) }
      #expect(try await found(scope, at: end, in: store) == new)
    }
  }

  func idempotencyRecordsAreForgotten() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let end = Maker.epoch.adding(seconds: 60)
      let scopes = (0..<12).map { scope(maker, "key \($0)") }
      try await store.write { transaction in
        for (number, scope) in scopes.enumerated() {
          let record = self.record(maker, until: number < 10 ? end : end.adding(milliseconds: 1))
          try transaction.idempotency.insert(record, for: scope, at: Maker.epoch)
        }
      }
      func forget(_ time: Timestamp) async throws -> Int {
        try await store.write { try $0.idempotency.forget(expiredBefore: time, limit: 7) }
      }
      #expect(try await forget(end.adding(milliseconds: -1)) == 0)
      #expect(try await forget(end) == 7)
      #expect(try await forget(end) == 3)
      #expect(try await forget(end) == 0)
      for scope in scopes.suffix(2) { #expect(try await found(scope, in: store) != nil) }
      for scope in scopes.prefix(10) { #expect(try await found(scope, in: store) == nil) }
    }
  }

  func idempotencyScopesAreExact() async throws {
    try await withStore { store async throws in
      let maker = Maker()
      let (merchant, other) = (maker.id(Merchant.self), maker.id(Merchant.self))
      var scopes = [IdempotencyScope(merchantID: other, operation: "POST /a", key: "key")]
      for operation in ["POST /a", "POST /A", "POST /a ", "POST /\u{e9}", "POST /e\u{301}"] {
        for key in ["key", "Key", "key "] {
          scopes.append(IdempotencyScope(merchantID: merchant, operation: operation, key: key))
        }
      }
      let records = scopes.indices.map { record(maker, status: 200 + $0, until: .distantEnd) }
      for (scope, record) in zip(scopes, records) {
        try await store.write { try $0.idempotency.insert(record, for: scope, at: Maker.epoch) }
      }
      for (scope, record) in zip(scopes, records) { #expect(try await found(scope, in: store) == record) }
    }
  }
}

extension Timestamp {
  static var distantEnd: Timestamp { Maker.epoch.adding(seconds: 1_000_000_000) }
}
