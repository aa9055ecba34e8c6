import Foundation
import GRDB
import KassaDomain
import KassaSQLite
import KassaStore
import StoreConformance
import Testing

struct OpeningTests {
  private func expectUnusable(
    _ path: String, saying words: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try SQLiteStore(path: path)
      Issue.record("it was opened", sourceLocation: sourceLocation)
    } catch StoreError.unusable(let detail) {
      #expect(detail.text.contains(words), sourceLocation: sourceLocation)
      #expect(detail.text.contains(path), sourceLocation: sourceLocation)
    } catch {
      Issue.record("\(error) instead of unusable", sourceLocation: sourceLocation)
    }
  }

  private func finding(_ name: String, _ store: SQLiteStore) async throws -> StoreFinding? {
    try await store.diagnose().first { $0.name == name }
  }

  @Test func isDurableByItsOwnAccount() async throws {
    try await withTemporaryFolder { folder in
      let path = folder.newDatabasePath()
      // Reopened, because the journal mode stays with the file and the rest does not.
      for _ in 0..<2 {
        let store = try SQLiteStore(path: path)
        try await store.checkWritable()
        #expect(try await finding("journal mode", store) == StoreFinding(name: "journal mode", value: "wal"))
        #expect(try await finding("synchronous", store) == StoreFinding(name: "synchronous", value: "FULL"))
        #expect(
          try await finding("erased content", store) == StoreFinding(name: "erased content", value: "overwritten"))
        #expect(try await finding("integrity", store) == StoreFinding(name: "integrity", value: "ok"))
        #expect(try commitsInLog(ofDatabaseAt: path) > 0)
        await store.close()
      }
    }
  }

  @Test func reopeningKeepsEverything() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker) = (folder.newDatabasePath(), Maker())
      let (merchant, end) = (maker.merchant(), Maker.epoch.adding(seconds: 60))
      let (location, key) = (maker.location(of: merchant.id), maker.apiKey(of: merchant.id))
      let enrollment = maker.enrollment(
        of: merchant.id, at: location.id, metadata: try maker.metadata(["\u{e9}": "1", "e\u{301}": "2"]))
      let device = maker.device(of: merchant.id, at: location.id, metadata: enrollment.metadata)
      let (token, proof, replay) = (maker.bytes(), maker.bytes(), maker.replay(until: end))
      let event = maker.event(of: merchant.id)
      let scope = IdempotencyScope(merchantID: merchant.id, operation: "POST /", key: "key")
      let record = IdempotencyRecord(bodyHash: [1], status: 201, sealedBody: [2], expiresAt: end)

      let first = try SQLiteStore(path: path)
      try await first.write { transaction in
        try transaction.installation.set(.environment, to: Array("playground".utf8))
        try transaction.merchants.insert(merchant)
        try transaction.locations.insert(location)
        try transaction.apiKeys.insert(key)
        try transaction.enrollments.insert(enrollment)
        try transaction.devices.insert(device, tokenHash: token, replay: replay)
        try transaction.events.append(event)
        try transaction.idempotency.insert(record, for: scope, at: Maker.epoch)
        _ = try transaction.budgets.take(.deployment, windowStart: Maker.epoch, windowEnd: end, limit: 5)
        _ = try transaction.proofs.note(proof, of: device.id, expiresAt: end)
      }
      await first.close()
      #expect(!FileManager.default.fileExists(atPath: "\(path)-wal"), "closing leaves one file")

      let second = try SQLiteStore(path: path)
      try await second.write { transaction in
        #expect(try transaction.installation.value(.environment) == Array("playground".utf8))
        #expect(try transaction.merchants.all() == [merchant])
        #expect(try transaction.locations.only(of: merchant.id) == location)
        #expect(try transaction.apiKeys.find(hash: key.hash) == key)
        #expect(try transaction.enrollments.findPending(codeHash: enrollment.code?.codeHash ?? []) == enrollment)
        #expect(try transaction.enrollments.liveCodes() == [8: 1])
        let filter = EnrollmentFilter(locationID: location.id, metadata: enrollment.metadata.pairs)
        let page = try transaction.enrollments.page(of: merchant.id, filter, PageRequest(number: 0, size: 5))
        #expect(page.content == [enrollment] && page.totalElements == 1)
        #expect(try transaction.devices.find(tokenHash: token) == device)
        let repeated = try transaction.devices.findReplay(requestHash: replay.requestHash, at: Maker.epoch)
        #expect(repeated?.sealedToken == replay.sealedToken)
        #expect(try transaction.events.newest(of: merchant.id, before: nil, limit: 5).map(\.event) == [event])
        #expect(try transaction.idempotency.find(scope, at: Maker.epoch) == record)
        #expect(try transaction.budgets.used(.deployment, windowStart: Maker.epoch) == 1)
        #expect(try !transaction.proofs.note(proof, of: device.id, expiresAt: end))
      }
      await second.close()
    }
  }

  @Test func refusesANewerDatabase() async throws {
    try await withTemporaryFolder { folder in
      let path = folder.newDatabasePath()
      await (try SQLiteStore(path: path)).close()
      let newer = try DatabaseQueue(path: path)
      try await newer.write { database in
        try database.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('9999-of-the-future')")
      }
      try newer.close()
      expectUnusable(path, saying: "newer Kassa")

      let older = try DatabaseQueue(path: path)
      try await older.write { database in
        try database.execute(sql: "DELETE FROM grdb_migrations WHERE identifier = '9999-of-the-future'")
      }
      try older.close()
      await (try SQLiteStore(path: path)).close()
    }
  }

  @Test func refusesWhatIsNoDatabase() async throws {
    try await withTemporaryFolder { folder in
      let path = folder.newDatabasePath()
      let content = Data(String(repeating: "This is a shopping list. ", count: 400).utf8)
      try content.write(to: URL(fileURLWithPath: path))
      expectUnusable(path, saying: "is not an SQLite database")
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == content, "it was left as it was")
    }
  }

  @Test func refusesADatabaseOfAnotherProgram() async throws {
    try await withTemporaryFolder { folder in
      let path = folder.newDatabasePath()
      let foreign = try DatabaseQueue(path: path)
      try await foreign.write { try $0.execute(sql: "CREATE TABLE shopping (item TEXT)") }
      try foreign.close()
      let content = try Data(contentsOf: URL(fileURLWithPath: path))
      expectUnusable(path, saying: "another program")
      #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == content, "it was left as it was")
    }
  }

  @Test func refusesAFolderThatIsNotThere() async throws {
    try await withTemporaryFolder { folder in
      expectUnusable(folder.file("missing/kassa.sqlite"), saying: "cannot be opened")
    }
  }
}
