import KassaStore
import KassaTestDatabases
import Testing

@testable import KassaPostgres

struct CopyTests {
  /// A table that a later migration adds is either copied or made anew; none is forgotten.
  @Test func everyTableIsCopiedOrMadeAnew() throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    let found = try PostgresClient(database.url).execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    let tables = Set(found.compactMap { $0[0] })
    #expect(tables == PostgresCopyEnd.ownTables.union(CopiedTable.allCases.map(\.rawValue)))
    #expect(PostgresCopyEnd.ownTables.isDisjoint(with: CopiedTable.allCases.map(\.rawValue)))
  }
}
