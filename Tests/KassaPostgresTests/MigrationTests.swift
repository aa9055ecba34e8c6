import Dispatch
import KassaDomain
import KassaPostgres
import KassaStore
import KassaTestDatabases
import StoreConformance
import Synchronization
import Testing

/// A new version brings its schema along while servers of the old one serve.
struct MigrationTests {
  /// What a later version may add to a table that every sale writes.
  private static let added = SchemaStep(
    number: Int64(PostgresStore.schemaSteps.count + 1), name: "later",
    sql: """
      ALTER TABLE events ADD COLUMN weight BIGINT NOT NULL DEFAULT 7;
      CREATE INDEX events_by_weight ON events (merchant_id, weight, position);
      CREATE TABLE scales (id UUID NOT NULL PRIMARY KEY);
      """)

  private static func migrate(_ address: PostgresAddress, _ limits: PostgresLimits = PostgresLimits()) async throws {
    // It blocks its thread, of which the cooperative pool may have two.
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      DispatchQueue.global().async {
        continuation.resume(
          with: Result {
            try PostgresStore.migrate(address, limits: limits, steps: PostgresStore.schemaSteps + [added])
          })
      }
    }
  }

  /// A server of the old version at work: it appends events, each of which must be kept.
  private final class Load: Sendable {
    private struct State {
      var kept: [SubjectID] = []
      var refused: [String] = []
      var isOver = false
    }

    let store: PostgresStore
    private let maker = Maker()
    private let state = Mutex(State())

    init(_ store: PostgresStore) { self.store = store }

    var kept: [SubjectID] { state.withLock { $0.kept } }
    var refused: [String] { state.withLock { $0.refused } }
    func stop() { state.withLock { $0.isOver = true } }

    static func append(_ subject: SubjectID, to store: PostgresStore) async throws {
      try await store.write { transaction in
        try transaction.events.append(
          Event(
            merchantID: subject.of(Merchant.self), subjectID: subject, sequence: 1, type: .deviceChanged,
            at: Maker.epoch, actor: .system, requestID: nil))
      }
    }

    func run() async {
      await withTaskGroup { group in
        for _ in 0..<4 {
          group.addTask {
            while !self.state.withLock({ $0.isOver }) {
              let subject = self.maker.id(EventSubject.self)
              do {
                try await Self.append(subject, to: self.store)
                self.state.withLock { $0.kept.append(subject) }
                // A table of some thousand rows is enough.
                try await Task.sleep(for: .milliseconds(3))
              } catch {
                self.state.withLock { $0.refused.append("\(error)") }
              }
            }
          }
        }
      }
    }
  }

  private struct Late: Error {}

  private func waitUntil(_ isSo: () async throws -> Bool) async throws {
    let end = ContinuousClock.now + .seconds(60)
    while try await !isSo() {
      guard ContinuousClock.now < end else { throw Late() }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Whether the migration waits for a table.
  private func isHeldUp(_ client: PostgresClient) throws -> Bool {
    try !client.execute("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted").isEmpty
  }

  /// A long transaction reads the table that the new version changes, and a server writes it. The migration lets the
  /// server pass again and again, and is done once the long transaction has ended.
  @Test(.timeLimit(.minutes(2))) func aMigrationHoldsUpNobody() async throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let store = try PostgresStore(database.address)
    let load = Load(store)
    async let working: Void = load.run()
    do {
      try await migrateBeside(load, database)
    } catch {
      load.stop()
      throw error
    }
    load.stop()
    await working
    #expect(load.refused == [])
    let look = try PostgresClient(database.url)
    let there = Set(try look.execute("SELECT subject_id FROM events").map { $0[0] ?? "" })
    #expect(Set(load.kept.map(\.description)).subtracting(there) == [])
    let weights = try look.execute("SELECT count(*), sum(weight) FROM events")
    #expect(weights == [["\(load.kept.count)", "\(7 * load.kept.count)"]])
    let steps = try look.execute("SELECT count(*) FROM kassa_migrations")
    #expect(steps == [["\(PostgresStore.schemaSteps.count + 1)"]])
    await store.close()

    // Once it has stopped it does not come back: what it would write, the new version may not understand.
    do {
      _ = try PostgresStore(database.address)
      Issue.record("the old version was started on the new schema")
    } catch StoreError.unusable(let detail) {
      #expect(detail.text.contains("newer Kassa"))
    }
  }

  private func migrateBeside(_ load: Load, _ database: (address: PostgresAddress, url: String)) async throws {
    try await waitUntil { load.kept.count > 20 }
    let long = try PostgresClient(database.url)
    try long.execute("BEGIN; SELECT count(*) FROM events")
    let isDone = Mutex(false)
    let (first, second) = (
      Task {
        try await Self.migrate(database.address)
        isDone.withLock { $0 = true }
      },
      // Two that bring the same along.
      Task { try await Self.migrate(database.address) }
    )
    let look = try PostgresClient(database.url)
    for _ in 0..<3 {
      try await waitUntil { try isHeldUp(look) }
      let before = load.kept.count
      try await waitUntil { load.kept.count > before + 40 }
    }
    #expect(!isDone.withLock { $0 })
    try long.execute("COMMIT")
    try await first.value
    try await second.value

    // The old version goes on with the new schema, on the connections that it had.
    let after = load.kept.count
    try await waitUntil { load.kept.count > after + 20 }
  }

  /// The control: a migration that waits for the table in earnest holds up every server behind it.
  @Test(.timeLimit(.minutes(2))) func aMigrationThatWaitsWouldHoldUpAll() async throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    var limits = PostgresLimits()
    limits.lockMillisecondsAlone = 200
    let store = try PostgresStore(database.address, limits: limits)
    let maker = Maker()
    try await Load.append(maker.id(), to: store)
    let long = try PostgresClient(database.url)
    try long.execute("BEGIN; SELECT count(*) FROM events")
    let waiting = limits.waitingForTables
    let migration = Task { try await Self.migrate(database.address, waiting) }
    let look = try PostgresClient(database.url)
    try await waitUntil { try isHeldUp(look) }
    do {
      try await Load.append(maker.id(), to: store)
      Issue.record("it was not held up")
    } catch StoreError.unavailable {}
    try long.execute("COMMIT")
    try await migration.value
    try await Load.append(maker.id(), to: store)
    await store.close()
  }

  /// A migration that never gets its table says so, and leaves everything as it was.
  @Test(.timeLimit(.minutes(2))) func aMigrationGivesUpWithAWord() async throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let long = try PostgresClient(database.url)
    try long.execute("BEGIN; SELECT count(*) FROM events")
    var limits = PostgresLimits()
    (limits.migrationLockMilliseconds, limits.migrationPauseMilliseconds, limits.migrationSeconds) = (20, 20, 1)
    do {
      try await Self.migrate(database.address, limits)
      Issue.record("it was done")
    } catch StoreError.unavailable(let detail) {
      #expect(detail.text.contains("other transactions hold tables") && detail.text.contains("later"))
    }
    try long.execute("COMMIT")
    let client = try PostgresClient(database.url)
    #expect(try client.execute("SELECT 1 FROM pg_tables WHERE tablename = 'scales'").isEmpty)
    #expect(try client.execute("SELECT 1 FROM kassa_migrations WHERE name = 'later'").isEmpty)
    try await Self.migrate(database.address)
  }
}

extension PostgresLimits {
  /// As if a migration had no limit of its own for locks.
  fileprivate var waitingForTables: PostgresLimits {
    var limits = self
    limits.migrationLockMilliseconds = 60_000
    return limits
  }
}
