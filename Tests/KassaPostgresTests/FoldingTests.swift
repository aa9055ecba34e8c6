import KassaDomain
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

@testable import KassaPostgres

/// Figures keep their sums while their shards are folded.
struct FoldingTests {
  private struct Shard: Equatable {
    let figure: String
    let number: Int64
    let total: Int64
  }

  /// A database whose figures are these, its connection for the maintenance, and one of the test's own.
  private func database(
    _ shards: [Shard] = []
  ) throws -> (address: PostgresAddress, maintenance: PostgresConnection, client: PostgresClient, url: String) {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let client = try PostgresClient(database.url)
    for shard in shards {
      try client.execute(
        """
        INSERT INTO listing_totals (merchant_id, kind, place_id, label, shard, total)
        VALUES ('\(Self.merchant)', 0, '\(Self.merchant)', '\(shard.figure)', \(shard.number), \(shard.total))
        """)
    }
    let maintenance = try ConnectionMaker(database.address, PostgresLimits()).connect(.listening)
    return (database.address, maintenance, client, database.url)
  }

  private static let merchant = Maker().id(Merchant.self)

  private func shards(_ client: PostgresClient) throws -> [Shard] {
    try client.execute("SELECT label, shard, total FROM listing_totals ORDER BY label, shard").map { row in
      Shard(
        figure: try #require(row[0]), number: try #require(row[1].flatMap { Int64($0) }),
        total: try #require(row[2].flatMap { Int64($0) }))
    }
  }

  @Test func onlyFiguresThatCancelOutAreFolded() throws {
    let (_, maintenance, client, _) = try database([
      Shard(figure: "ends above zero", number: 1, total: 5), Shard(figure: "ends above zero", number: 2, total: -2),
      Shard(figure: "ends above zero", number: Totals.foldedShard, total: 10),
      Shard(figure: "ends at zero", number: 3, total: 4), Shard(figure: "ends at zero", number: 4, total: -4),
      Shard(figure: "grows", number: 1, total: 1), Shard(figure: "grows", number: 2, total: 2),
      Shard(figure: "is spent", number: 9, total: 0),
    ])
    let folded = [
      Shard(figure: "ends above zero", number: Totals.foldedShard, total: 13),
      Shard(figure: "grows", number: 1, total: 1), Shard(figure: "grows", number: 2, total: 2),
    ]
    for _ in 0..<2 {
      try Maintenance.foldTotals(on: maintenance)
      #expect(try shards(client) == folded)
    }
  }

  @Test func oneServerFoldsAtATime() throws {
    let before = [Shard(figure: "is spent", number: 1, total: 0)]
    let (_, maintenance, client, _) = try database(before)
    try client.execute("BEGIN; SELECT pg_advisory_xact_lock(\(AdvisoryLock.maintenance.key([])))")
    try Maintenance.foldTotals(on: maintenance)
    #expect(try shards(client) == before)
    try client.execute("COMMIT")
    try Maintenance.foldTotals(on: maintenance)
    #expect(try shards(client) == [])
  }

  /// What a transaction that is under way adds to a shard is kept, and nobody waits for anybody.
  @Test func aShardSomebodyIsAtWorkOnIsLeftAlone() throws {
    let (_, maintenance, client, url) = try database([
      Shard(figure: "figure", number: 1, total: 3), Shard(figure: "figure", number: 2, total: -1),
    ])
    let writer = try PostgresClient(url)
    try writer.execute("BEGIN; UPDATE listing_totals SET total = total + 7 WHERE shard = 1")
    try Maintenance.foldTotals(on: maintenance)
    let left = [
      Shard(figure: "figure", number: 1, total: 3), Shard(figure: "figure", number: Totals.foldedShard, total: -1),
    ]
    #expect(try shards(client) == left)
    try writer.execute("COMMIT")
    try Maintenance.foldTotals(on: maintenance)
    #expect(try shards(client) == [Shard(figure: "figure", number: Totals.foldedShard, total: 9)])
  }

  /// Two servers' writers add and take away while figures are folded, forty times with something to fold. How
  /// far the total is off then.
  private func errorAfterARace(
    foldedBy fold: @escaping @Sendable () throws -> Void, in database: (address: PostgresAddress, url: String)
  ) async throws -> Int64 {
    let (maker, writers, folds) = (Maker(seed: 7), 16, 40)
    let (merchant, location) = (maker.id(Merchant.self), maker.id(Location.self))
    let stores = [try PostgresStore(database.address), try PostgresStore(database.address)]
    let left = Shared(folds)
    let folding = Task.detached {
      defer { left.withLock { $0 = 0 } }
      let client = try PostgresClient(database.url)
      while left.withLock({ $0 > 0 }) {
        if try !client.execute("SELECT 1 FROM listing_totals WHERE total <= 0").isEmpty { left.withLock { $0 -= 1 } }
        try fold()
        try await Task.sleep(for: .milliseconds(2))
      }
    }
    _ = try await racing(writers) { number in
      // Each leaves one behind, and makes and cancels others meanwhile.
      let stays = maker.enrollment(of: merchant, at: location)
      try await stores[number % 2].write { try $0.enrollments.insert(stays) }
      while left.withLock({ $0 > 0 }) {
        let enrollment = maker.enrollment(of: merchant, at: location)
        try await stores[number % 2].write { try $0.enrollments.insert(enrollment) }
        let cancelled = try enrollment.after(.cancel)
        _ = try await stores[(number + 1) % 2].write { try $0.enrollments.move(cancelled, from: .pending) }
      }
    }
    try await folding.value
    let page = try await stores[0].read {
      try $0.enrollments.page(of: merchant, EnrollmentFilter(), PageRequest(number: 0, size: 1))
    }
    for store in stores { await store.close() }
    return page.totalElements - Int64(writers)
  }

  @Test(.timeLimit(.minutes(1))) func figuresStayExactWhileTheyAreFolded() async throws {
    let (address, maintenance, _, url) = try database()
    let error = try await errorAfterARace(
      foldedBy: { try Maintenance.foldTotals(on: maintenance) }, in: (address, url))
    #expect(error == 0)
  }

  /// The control: who folds what it looked up before, without a lock, loses what was added meanwhile.
  @Test(.timeLimit(.minutes(1))) func foldingByAnEarlierLookIsNoticed() async throws {
    let (address, _, _, url) = try database()
    let error = try await errorAfterARace(
      foldedBy: {
        let client = try PostgresClient(url)
        for row in try client.execute(
          "SELECT merchant_id, kind, place_id, label, shard, total FROM listing_totals WHERE kind = 0 AND shard < 16")
        {
          let words = row.compactMap { $0 }
          let figure = "'\(words[0])', \(words[1]), '\(words[2])', '\(words[3])'"
          try client.execute(
            """
            BEGIN;
            DELETE FROM listing_totals WHERE (merchant_id, kind, place_id, label, shard) = (\(figure), \(words[4]));
            INSERT INTO listing_totals VALUES (\(figure), 16, \(words[5]))
            ON CONFLICT (merchant_id, kind, place_id, label, shard)
            DO UPDATE SET total = listing_totals.total + excluded.total;
            COMMIT
            """)
        }
      }, in: (address, url))
    #expect(error != 0)
  }
}
