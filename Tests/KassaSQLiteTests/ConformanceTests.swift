import KassaSQLite
import StoreConformance
import Testing

struct ConformanceTests {
  @Test(arguments: StoreConformance.allCases)
  func holds(_ rule: StoreConformance.Rule) async throws {
    try await withTemporaryFolder { folder in
      try await rule.check(StoreConformance { try SQLiteStore(path: folder.newDatabasePath()) })
    }
  }
}
