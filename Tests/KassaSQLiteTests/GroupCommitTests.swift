import Foundation
import KassaDomain
import KassaSQLite
import KassaStore
import StoreConformance
import Testing

/// What is counted here are the transactions in the write-ahead log, not times.
struct GroupCommitTests {
  private struct Deliberate: Error {}

  /// Starts `body` as `count` tasks while the writer is held up, so that all of them wait together; then lets it go on.
  /// Returns how many transactions they took, the one of the hold-up not counted.
  private func commitsOfWaitingTogether(
    _ count: Int, at path: String, in store: SQLiteStore, _ body: @escaping @Sendable (Int) async throws -> Void
  ) async throws -> Int {
    let (started, isHeld, isReleased) = (Shared(0), Shared(false), Shared(false))
    async let held: Void = store.write { _ in
      isHeld.withLock { $0 = true }
      while !isReleased.withLock({ $0 }) { Thread.sleep(forTimeInterval: 0.001) }
    }
    while !isHeld.withLock({ $0 }) { try await Task.sleep(for: .milliseconds(1)) }
    let before = try commitsInLog(ofDatabaseAt: path)
    async let all: [Void] = racing(count) { number in
      started.withLock { $0 += 1 }
      try await body(number)
    }
    while started.withLock({ $0 < count }) { try await Task.sleep(for: .milliseconds(1)) }
    // The last of them are between their start and the queue.
    try await Task.sleep(for: .milliseconds(200))
    isReleased.withLock { $0 = true }
    _ = try await (held, all)
    return try commitsInLog(ofDatabaseAt: path) - before
  }

  @Test func writesThatWaitTogetherShareTransactions() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker, count) = (folder.newDatabasePath(), Maker(), 500)
      let store = try SQLiteStore(path: path)
      let merchants = (0..<2 * count).map { _ in maker.merchant() }
      let together = try await commitsOfWaitingTogether(count, at: path, in: store) { number in
        try await store.write { try $0.merchants.insert(merchants[number]) }
      }
      #expect(together > 0)
      #expect(together <= count / 20)

      // The control: one after the other they take a transaction each, and the count sees every one.
      let before = try commitsInLog(ofDatabaseAt: path)
      for merchant in merchants.suffix(count / 5) { try await store.write { try $0.merchants.insert(merchant) } }
      #expect(try commitsInLog(ofDatabaseAt: path) - before == count / 5)
      #expect(try await store.read { try $0.merchants.all().count } == count + count / 5)
      await store.close()
    }
  }

  @Test func anErrorUndoesItsOwnBodyAndNoNeighbour() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker, count) = (folder.newDatabasePath(), Maker(), 90)
      let store = try SQLiteStore(path: path)
      let taken = maker.merchant()
      try await store.write { try $0.merchants.insert(taken) }
      let merchants = (0..<count).map { _ in maker.merchant() }
      let commits = try await commitsOfWaitingTogether(count, at: path, in: store) { number in
        do {
          try await store.write { transaction in
            try transaction.merchants.insert(merchants[number])
            // A third fails by its own decision, a third by a constraint.
            if number % 3 == 1 { throw Deliberate() }
            if number % 3 == 2 { try transaction.merchants.insert(taken) }
          }
          #expect(number % 3 == 0)
        } catch is Deliberate {
          #expect(number % 3 == 1)
        } catch StoreError.conflict(.identifier) {
          #expect(number % 3 == 2)
        }
      }
      #expect(commits <= 3, "they were neighbours indeed")
      let kept = Set(try await store.read { try $0.merchants.all() }.map(\.id))
      #expect(kept == Set(stride(from: 0, to: count, by: 3).map { merchants[$0].id } + [taken.id]))
      await store.close()
    }
  }

  @Test func closingFinishesWhatWasAccepted() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker, count) = (folder.newDatabasePath(), Maker(), 400)
      let store = try SQLiteStore(path: path)
      let merchants = (0..<count).map { _ in maker.merchant() }
      let answered = Shared(0)
      async let closed: Void = {
        while answered.withLock({ $0 < 20 }) { await Task.yield() }
        await store.close()
      }()
      let acknowledged = try await racing(count) { number in
        do {
          try await store.write { try $0.merchants.insert(merchants[number]) }
          answered.withLock { $0 += 1 }
          return true
        } catch StoreError.unavailable {
          return false
        }
      }
      await closed
      await expectUnavailable { try await store.write { try $0.merchants.insert(maker.merchant()) } }

      let reopened = try SQLiteStore(path: path)
      let kept = Set(try await reopened.read { try $0.merchants.all() }.map(\.id))
      #expect(kept == Set(merchants.indices.filter { acknowledged[$0] }.map { merchants[$0].id }))
      await reopened.close()
    }
  }

  @Test func everyProbeIsACommit() async throws {
    try await withTemporaryFolder { folder in
      let store = try SQLiteStore(path: folder.newDatabasePath())
      let before = try commitsInLog(ofDatabaseAt: store.path)
      for _ in 0..<5 { try await store.checkWritable() }
      #expect(try commitsInLog(ofDatabaseAt: store.path) - before == 5)
      await store.close()
    }
  }

  @Test func refusesAtOnceWhenTooManyWait() async throws {
    try await withTemporaryFolder { folder in
      let store = try SQLiteStore(path: folder.newDatabasePath())
      let (refused, served) = (Shared(0), Shared(0))
      let count = 10_500
      _ = try await commitsOfWaitingTogether(count, at: store.path, in: store) { _ in
        do {
          try await store.write { _ in served.withLock { $0 += 1 } }
        } catch StoreError.unavailable {
          refused.withLock { $0 += 1 }
        }
      }
      #expect(refused.withLock { $0 } == count - 10_000)
      #expect(served.withLock { $0 } == 10_000)
      try await store.checkWritable()
      await store.close()
    }
  }
}
