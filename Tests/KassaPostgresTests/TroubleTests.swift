import Glibc
import KassaDomain
import KassaPostgres
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

/// What becomes of bodies when others, or the server, get in the way.
struct TroubleTests {
  private func withStore(
    _ limits: PostgresLimits = PostgresLimits(), _ body: (PostgresStore, String) async throws -> Void
  ) async throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let store = try PostgresStore(database.address, limits: limits)
    try await body(store, database.url)
    await store.close()
  }

  @Test func aConnectionThatIsCutIsReplaced() async throws {
    try await withStore { store, url async throws in
      let maker = Maker()
      for _ in 0..<5 {
        try PostgresClient(url).execute(
          """
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid()
          """)
        let merchant = maker.merchant()
        let answers = try await racing(20) { number in
          try await store.write { try $0.installation.set(.writeProbe, to: [UInt8(number)]) }
          return try await store.read { try $0.merchants.all().count }
        }
        #expect(answers.count == 20)
        try await store.write { try $0.merchants.insert(merchant) }
        #expect(try await store.read { try $0.merchants.find(merchant.id) } == merchant)
      }
    }
  }

  @Test func aKeyInUseElsewhereIsWaitedForButNotForEver() async throws {
    var limits = PostgresLimits()
    limits.lockMillisecondsAlone = 300
    try await withStore(limits) { store, url async throws in
      let maker = Maker()
      let scope = IdempotencyScope(merchantID: maker.id(), operation: "POST /", key: "key")
      let other = try PostgresClient(url)
      // Another server's transaction under the same key: it holds the key's lock.
      let held = try await lock(of: scope, in: store, url: url)
      try other.execute("BEGIN; SELECT pg_advisory_xact_lock(\(held))")
      do {
        _ = try await store.write { try $0.idempotency.find(scope, at: Maker.epoch) }
        Issue.record("it was not waited for")
      } catch StoreError.conflict(.idempotencyKey) {}
      try other.execute("COMMIT")
      #expect(try await store.write { try $0.idempotency.find(scope, at: Maker.epoch) } == nil)
    }
  }

  /// The number of the lock that a transaction under this scope holds, as the server tells it.
  private func lock(of scope: IdempotencyScope, in store: PostgresStore, url: String) async throws -> Int64 {
    let found = Shared<Int64?>(nil)
    try await store.write { transaction in
      _ = try transaction.idempotency.find(scope, at: Maker.epoch)
      let rows = try PostgresClient(url).execute(
        "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND granted")
      found.withLock { $0 = rows.first?[0].flatMap { Int64($0) } }
    }
    return try #require(found.withLock { $0 })
  }

  /// Bodies that take two rows in both orders, many at once: each is done, none is done twice.
  @Test func bodiesThatWantEachOthersRowsAreAllDone() async throws {
    try await withStore { store, _ async throws in
      let ends = Maker.epoch.adding(seconds: 60)
      _ = try await racing(200) { number in
        let scopes = [BudgetScope.source("a"), .source("b")]
        try await store.write { transaction in
          for scope in number.isMultiple(of: 2) ? scopes : scopes.reversed() {
            _ = try transaction.budgets.take(scope, windowStart: Maker.epoch, windowEnd: ends, limit: .max)
          }
        }
      }
      for scope in [BudgetScope.source("a"), .source("b")] {
        #expect(try await store.read { try $0.budgets.used(scope, windowStart: Maker.epoch) } == 200)
      }
    }
  }

  @Test func neighboursAreNotUndoneByAConflictThatShowsLate() async throws {
    var limits = PostgresLimits()
    limits.writersMax = 1
    try await withStore(limits) { store, _ async throws in
      let (maker, count) = (Maker(), 90)
      let taken = maker.merchant()
      let merchants = (0..<count).map { _ in maker.merchant() }
      try await store.write { try $0.merchants.insert(taken) }
      let kept = try await racing(count) { number in
        do {
          try await store.write { transaction in
            try transaction.merchants.insert(merchants[number])
            // Nobody waits for its answer: it fails with a neighbour's statement, or with the commit.
            if number.isMultiple(of: 3) { try transaction.merchants.insert(taken) }
          }
          return true
        } catch StoreError.conflict(.identifier) {
          return false
        }
      }
      #expect(kept == (0..<count).map { !$0.isMultiple(of: 3) })
      let stored = Set(try await store.read { try $0.merchants.all() }.map(\.id))
      #expect(stored == Set(merchants.indices.filter { kept[$0] }.map { merchants[$0].id } + [taken.id]))
      #expect(store.activity.commits < Int64(count) / 2, "they were neighbours indeed")
    }
  }

  /// The first that appends on a connection has its statement prepared there, and already that waits for the table. When it
  /// waits in vain, somebody else of the batch hears of it: what is undone must be the work of the one whose statement it was.
  @Test func aStatementThatCannotBePreparedUndoesItsOwnBody() async throws {
    var limits = PostgresLimits()
    limits.writersMax = 1
    try await withStore(limits) { store, url async throws in
      let (maker, appending, asking) = (Maker(), 12, 6)
      let merchant = maker.merchant()
      try await store.write { try $0.merchants.insert(merchant) }
      let enrollments = (0..<appending + asking).map { _ in maker.enrollment(of: merchant.id) }
      let arrived = Shared(0)
      // They wait for the one connection while it is at this, and are then run together.
      async let first: Void = store.write { transaction in
        _ = try transaction.merchants.all()
        for number in 0..<500 where number == 0 || arrived.withLock({ $0 }) < enrollments.count { usleep(10_000) }
        usleep(50_000)
      }
      let other = try PostgresClient(url)
      try other.execute("BEGIN; LOCK TABLE events IN SHARE MODE")
      let unlocked = Task.detached {
        while try other.execute("SELECT FROM pg_locks WHERE NOT granted AND relation = 'events'::regclass").isEmpty {
          usleep(5_000)
        }
        try other.execute("SELECT pg_sleep(0.2)")
        try other.execute("COMMIT")
      }
      let answers = try await racing(enrollments.count) { number in
        // Those that ask are the last.
        while number >= appending, arrived.withLock({ $0 }) < appending {
          try await Task.sleep(for: .milliseconds(5))
        }
        arrived.withLock { $0 += 1 }
        let enrollment = enrollments[number]
        try await store.write { transaction in
          try transaction.enrollments.insert(enrollment)
          try transaction.events.append(
            maker.event(of: merchant.id, subject: enrollment.id.of(EventSubject.self), type: .enrollmentCreated))
          if number >= appending { _ = try transaction.merchants.all() }
        }
        return enrollment.id
      }
      try await first
      try await unlocked.value
      #expect(Set(answers) == Set(enrollments.map(\.id)))
      for enrollment in enrollments {
        let (found, history) = try await store.read { transaction in
          (
            try transaction.enrollments.find(enrollment.id, of: merchant.id),
            try transaction.events.history(of: enrollment.id.of(EventSubject.self), merchant: merchant.id)
          )
        }
        #expect(found?.id == enrollment.id && history.map(\.event.sequence) == [1])
      }
      let page = try await store.read {
        try $0.enrollments.page(of: merchant.id, EnrollmentFilter(), PageRequest(number: 0, size: 100))
      }
      #expect(page.totalElements == Int64(enrollments.count) && page.content.count == enrollments.count)
    }
  }

  private func waitingCommits(_ client: PostgresClient) throws -> Int {
    try client.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'").count
  }

  /// A commit whose standby is away waits on the server whatever becomes of its client. Callers hear that nobody knows, and
  /// later ones that nothing was done; but no connection is opened beside one that waits.
  @Test func commitsThatWaitForAStandbyHoldNoMoreThanTheirConnections() async throws {
    let cluster = try PostgresCluster()
    let database = try cluster.makeNamedDatabase()
    var limits = PostgresLimits()
    limits.patienceSeconds = 1
    limits.owedMilliseconds = 50
    let store = try PostgresStore(database.address, limits: limits)
    let maker = Maker()
    try await store.write { try $0.merchants.insert(maker.merchant()) }
    let operatorAtWork = try PostgresClient(cluster.url(of: "postgres"))
    try operatorAtWork.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
    try operatorAtWork.execute("SELECT pg_reload_conf()")
    while try PostgresClient(database.url).execute("SHOW synchronous_standby_names") != [["away"]] { usleep(10_000) }

    enum Answer { case kept, refused, unknown }
    var asked: [(merchant: MerchantID, answer: Answer)] = []
    for round in 0..<40 {
      let merchants = (0..<20).map { _ in maker.merchant() }
      let answers = try await racing(merchants.count) { number in
        do {
          try await store.write { try $0.merchants.insert(merchants[number]) }
          return Answer.kept
        } catch StoreError.indeterminate {
          return .unknown
        } catch StoreError.unavailable {
          return .refused
        }
      }
      asked += zip(merchants.map(\.id), answers).map { (merchant: $0, answer: $1) }
      #expect(try waitingCommits(operatorAtWork) <= limits.writersMax, "in round \(round)")
      // Reading goes on.
      #expect(try await store.read { try $0.merchants.all().count } == 1)
    }
    #expect(asked.contains { $0.answer == .unknown } && asked.last?.answer == .refused)
    #expect(try waitingCommits(operatorAtWork) == limits.writersMax)

    try operatorAtWork.execute("ALTER SYSTEM RESET synchronous_standby_names")
    try operatorAtWork.execute("SELECT pg_reload_conf()")
    let last = maker.merchant()
    var isKept = false
    while !isKept {
      do {
        try await store.write { try $0.merchants.insert(last) }
        isKept = true
      } catch StoreError.unavailable {}
    }
    let stored = Set(try await store.read { try $0.merchants.all().map(\.id) })
    for (merchant, answer) in asked {
      switch answer {
      case .kept: #expect(stored.contains(merchant))
      case .refused: #expect(!stored.contains(merchant))
      // The server was not stopped, so these were done after all.
      case .unknown: #expect(stored.contains(merchant))
      }
    }
    _ = try await racing(100) { _ in try await store.checkWritable() }
    let connections = try operatorAtWork.execute("SELECT FROM pg_stat_activity WHERE application_name = 'kassa'").count
    #expect(connections <= limits.writersMax + limits.readersMax + 2)
    await store.close()
  }

  @Test func hintsComeFromAnotherServersCommits() async throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let (one, two) = (try PostgresStore(database.address), try PostgresStore(database.address))
    let (maker, hinted) = (Maker(), AsyncStream.makeStream(of: DeviceID.self))
    let device = maker.id(Device.self)
    two.whenHinted { hint in
      if case .devices(let devices) = hint { for device in devices { hinted.continuation.yield(device) } }
    }
    let start = ContinuousClock.now
    try await one.write { transaction in
      try transaction.events.append(
        Event(
          merchantID: maker.id(), subjectID: maker.id(), sequence: 1, type: .deviceDeleted, at: Maker.epoch,
          actor: .system, requestID: nil, deviceID: device))
    }
    var iterator = hinted.stream.makeAsyncIterator()
    #expect(await iterator.next() == device)
    #expect(ContinuousClock.now - start < .seconds(2))
    await one.close()
    await two.close()
  }
}
