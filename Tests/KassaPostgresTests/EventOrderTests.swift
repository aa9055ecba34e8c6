import KassaDomain
import KassaPostgres
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

/// A reader of the log never steps over an event that commits late.
struct EventOrderTests {
  /// A reader that walks the log while a transaction that has appended already stays open, and walks on after its commit.
  private func walked(
    by read: (any Store, PostgresClient, MerchantID, Int64) async throws -> [(position: Int64, subject: String)]
  ) async throws -> (found: Set<String>, appended: Set<String>) {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let store = try PostgresStore(database.address)
    let (maker, client, late) = (Maker(), try PostgresClient(database.url), try PostgresClient(database.url))
    let merchant = maker.id(Merchant.self)
    let (lateSubject, early) = (maker.id(EventSubject.self), [maker.event(of: merchant), maker.event(of: merchant)])

    // The late one takes its number, and the place in the log that goes with it.
    try late.execute("BEGIN")
    try late.execute(
      """
      INSERT INTO events (merchant_id, subject_id, sequence, type, at, actor_kind, position)
      SELECT '\(merchant)', '\(lateSubject)', 1, 'device.changed', 0, 'system', (pg_current_xact_id()::text::bigint
      + (SELECT xid_offset FROM event_clock)) << 20
      """)
    var found: [(position: Int64, subject: String)] = []
    for event in early {
      try await store.write { try $0.events.append(event) }
      found += try await read(store, client, merchant, found.last?.position ?? 0)
    }
    try late.execute("COMMIT")
    found += try await read(store, client, merchant, found.last?.position ?? 0)
    await store.close()
    #expect(zip(found, found.dropFirst()).allSatisfy { $0.position < $1.position })
    return (Set(found.map(\.subject)), Set((early.map(\.subjectID) + [lateSubject]).map(\.description)))
  }

  @Test func aLateCommitIsNotSteppedOver() async throws {
    let (found, appended) = try await walked { store, _, merchant, after in
      try await store.read { try $0.events.oldest(of: merchant, after: after, limit: 10) }
        .map { ($0.position, $0.event.subjectID.description) }
    }
    #expect(found == appended)
  }

  /// The control: a reader of the same log that takes what is committed steps over it.
  @Test func aReaderByPositionAloneStepsOverIt() async throws {
    let (found, appended) = try await walked { _, client, merchant, after in
      try client.execute(
        """
        SELECT position, subject_id FROM events WHERE merchant_id = '\(merchant)' AND position > \(after)
        ORDER BY position
        """
      ).compactMap { row in row[0].flatMap { Int64($0) }.map { ($0, row[1] ?? "") } }
    }
    #expect(found.count == appended.count - 1)
  }

  /// The event before was committed by a younger transaction than the one that appends now.
  @Test func aSubjectsEventsStayInOrderWhateverTransactionsTheyAreOf() async throws {
    let store = try PostgresStore(try PostgresCluster.shared().makeDatabase())
    let maker = Maker()
    let (merchant, subject) = (maker.id(Merchant.self), maker.id(EventSubject.self))
    let (hasNumber, mayAppend) = (Shared(false), Shared(false))
    async let old: Void = store.write { transaction in
      // A write that is answered: from now on the transaction has its number. A writer's thread may wait.
      _ = try transaction.budgets.take(.deployment, windowStart: Maker.epoch, windowEnd: Maker.epoch, limit: 1000)
      hasNumber.withLock { $0 = true }
      while !mayAppend.withLock({ $0 }) {}
      try transaction.events.append(maker.event(of: merchant, subject: subject, sequence: 2))
    }
    while !hasNumber.withLock({ $0 }) { await Task.yield() }
    try await store.write { try $0.events.append(maker.event(of: merchant, subject: subject, sequence: 1)) }
    mayAppend.withLock { $0 = true }
    try await old
    let log = try await store.read { try $0.events.oldest(of: merchant, after: 0, limit: 10) }
    #expect(log.map(\.event.sequence) == [1, 2])
    await store.close()
  }

  /// There are fifteen places between two events of the younger transaction: who needs more is run again, with its own.
  @Test func anOlderTransactionMayAppendMuchBehindAYoungerOne() async throws {
    let store = try PostgresStore(try PostgresCluster.shared().makeDatabase())
    let maker = Maker()
    let (merchant, subject) = (maker.id(Merchant.self), maker.id(EventSubject.self))
    let (hasNumber, mayAppend, count) = (Shared(false), Shared(false), Int64(40))
    async let old: Void = store.write { transaction in
      _ = try transaction.budgets.take(.deployment, windowStart: Maker.epoch, windowEnd: Maker.epoch, limit: 1000)
      hasNumber.withLock { $0 = true }
      while !mayAppend.withLock({ $0 }) {}
      for sequence in 2...count {
        try transaction.events.append(maker.event(of: merchant, subject: subject, sequence: sequence))
      }
    }
    while !hasNumber.withLock({ $0 }) { await Task.yield() }
    let neighbour = maker.id(EventSubject.self)
    try await store.write { transaction in
      try transaction.events.append(maker.event(of: merchant, subject: subject, sequence: 1))
      try transaction.events.append(maker.event(of: merchant, subject: neighbour, sequence: 1))
    }
    mayAppend.withLock { $0 = true }
    try await old
    let log = try await store.read { try $0.events.oldest(of: merchant, after: 0, limit: 100) }.map(\.event)
    #expect(log.filter { $0.subjectID == subject }.map(\.sequence) == Array(1...count))
    #expect(log.count == Int(count) + 1)
    await store.close()
  }

  /// Moved to a cluster whose transaction numbers are lower, the log goes on above its old positions.
  @Test func aMovedDatabaseGoesOnAboveItsOldPositions() async throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let (maker, client) = (Maker(), try PostgresClient(database.url))
    let merchant = maker.id(Merchant.self)
    let old: Int64 = 1 << 50
    try client.execute(
      """
      INSERT INTO events (merchant_id, subject_id, sequence, type, at, actor_kind, position)
      VALUES ('\(merchant)', '\(maker.id(EventSubject.self))', 1, 'device.changed', 0, 'system', \(old));
      UPDATE installation SET value = 'elsewhere' WHERE name = 'cluster'
      """)
    let store = try PostgresStore(database.address)
    try await store.write { try $0.events.append(maker.event(of: merchant)) }
    let log = try await store.read { try $0.events.oldest(of: merchant, after: old - 1, limit: 10) }
    #expect(log.count == 2 && log.first?.position == old)
    await store.close()
  }
}
