import GRDB
import KassaStore
import StoreConformance
import Testing

@testable import KassaSQLite

struct CopyTests {
  /// A table that a later migration adds is either copied or made anew; none is forgotten.
  @Test func everyTableIsCopiedOrMadeAnew() async throws {
    try await withTemporaryFolder { folder in
      let queue = try SQLiteStore.openWriter(path: folder.newDatabasePath())
      defer { try? queue.close() }
      let tables = try await queue.read { database in
        try String.fetchSet(
          database, sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      }
      #expect(tables == SQLiteCopyEnd.ownTables.union(CopiedTable.allCases.map(\.rawValue)))
      #expect(SQLiteCopyEnd.ownTables.isDisjoint(with: CopiedTable.allCases.map(\.rawValue)))
    }
  }
}
