import KassaPostgres
import KassaTestDatabases
import StoreConformance
import Testing

struct ConformanceTests {
  @Test(arguments: StoreConformance.allCases)
  func holds(_ rule: StoreConformance.Rule) async throws {
    try await rule.check(StoreConformance { try PostgresStore(try PostgresCluster.shared().makeDatabase()) })
  }
}
