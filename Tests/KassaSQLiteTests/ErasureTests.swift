import Foundation
import GRDB
import KassaDomain
import KassaSQLite
import KassaStore
import StoreConformance
import Testing

struct ErasureTests {
  /// Whatever could give the code away.
  private func traces(of enrollment: Enrollment) throws -> [[UInt8]] {
    let code = try #require(enrollment.code)
    return [code.sealed, code.codeHash, code.tokenHash]
  }

  private func found(_ enrollment: Enrollment, at path: String) throws -> [Bool] {
    try traces(of: enrollment).map { try occurrences(of: $0, inDatabaseAt: path) > 0 }
  }

  @Test func codesAreGoneFromTheFilesOnceTheyAreNoLongerPending() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker) = (folder.newDatabasePath(), Maker())
      let store = try SQLiteStore(path: path)
      let enrollments = (0..<60).map { _ in maker.enrollment(of: maker.id()) }
      let replay = maker.replay(until: .init(millisecondsSinceEpoch: 1))
      try await store.write { transaction in
        for enrollment in enrollments { try transaction.enrollments.insert(enrollment) }
        try transaction.devices.insert(maker.device(of: maker.id()), tokenHash: maker.bytes(), replay: replay)
      }
      for enrollment in enrollments { #expect(try found(enrollment, at: path) == [true, true, true]) }
      try checkpoint(databaseAt: path)
      for enrollment in enrollments { #expect(try found(enrollment, at: path) == [true, true, true]) }

      let commands: [Enrollment.Command] = [.redeem(by: maker.id()), .cancel, .expire]
      let leaving = enrollments.prefix(45)
      for (number, enrollment) in leaving.enumerated() {
        let moved = try enrollment.after(commands[number % 3])
        #expect(try await store.write { try $0.enrollments.move(moved, from: .pending) })
      }
      #expect(
        try await store.write { try $0.devices.forgetReplays(before: Maker.epoch, limit: 10) } == 1)
      try checkpoint(databaseAt: path)
      for enrollment in leaving { #expect(try found(enrollment, at: path) == [false, false, false]) }
      for enrollment in enrollments.dropFirst(45) { #expect(try found(enrollment, at: path) == [true, true, true]) }
      #expect(try occurrences(of: replay.sealedToken, inDatabaseAt: path) == 0)
      await store.close()
      for enrollment in leaving { #expect(try found(enrollment, at: path) == [false, false, false]) }
    }
  }

  /// The control: what a connection without `secure_delete` removes stays in the file, and the search finds it.
  @Test func theSearchFindsWhatIsOnlyDeleted() async throws {
    try await withTemporaryFolder { folder in
      let (path, maker) = (folder.newDatabasePath(), Maker())
      let store = try SQLiteStore(path: path)
      let enrollments = (0..<10).map { _ in maker.enrollment(of: maker.id()) }
      try await store.write { transaction in
        for enrollment in enrollments { try transaction.enrollments.insert(enrollment) }
      }
      await store.close()

      let unguarded = try DatabaseQueue(path: path)
      try await unguarded.writeWithoutTransaction { database in
        _ = try Int.fetchOne(database, sql: "PRAGMA secure_delete = OFF")
        try database.execute(sql: "DELETE FROM enrollments WHERE id = ?", arguments: [Data(enrollments[4].id.bytes)])
      }
      try unguarded.close()
      #expect(try found(enrollments[4], at: path).contains(true))
    }
  }
}
