import KassaPostgres
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

struct OpeningTests {
  private func expectUnusable(
    _ address: PostgresAddress, saying words: String, makesSchema: Bool = true,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      try PostgresStore.migrate(address, makesSchema: makesSchema)
      Issue.record("it was opened", sourceLocation: sourceLocation)
    } catch StoreError.unusable(let detail) {
      #expect(detail.text.contains(words), sourceLocation: sourceLocation)
    } catch {
      Issue.record("\(error) instead of unusable", sourceLocation: sourceLocation)
    }
  }

  @Test func refusesANewerDatabase() throws {
    let database = try PostgresCluster.shared().makeNamedDatabase()
    try PostgresClient(database.url).execute("INSERT INTO kassa_migrations (number, name) VALUES (9999, 'future')")
    expectUnusable(database.address, saying: "newer Kassa")
    try PostgresClient(database.url).execute("DELETE FROM kassa_migrations WHERE number = 9999")
    try PostgresStore.migrate(database.address)
  }

  @Test func refusesADatabaseOfAnotherProgram() throws {
    let database = try PostgresCluster.shared().makeEmptyDatabase()
    try PostgresClient(database.url).execute("CREATE TABLE shopping (item TEXT)")
    expectUnusable(database.address, saying: "another program")
    #expect(try PostgresClient(database.url).execute("SELECT * FROM pg_tables WHERE tablename = 'webhooks'").isEmpty)
  }

  @Test func takesADatabaseInWhichOnlyAnExtensionIs() throws {
    let database = try PostgresCluster.shared().makeEmptyDatabase()
    let client = try PostgresClient(database.url)
    try client.execute("CREATE EXTENSION pg_stat_statements")
    #expect(try client.execute("SELECT FROM pg_views WHERE viewname = 'pg_stat_statements'").count == 1)
    expectUnusable(database.address, saying: "is empty", makesSchema: false)
    try PostgresStore.migrate(database.address)
    try PostgresStore.migrate(database.address, makesSchema: false)
  }

  @Test func refusesAnotherEncoding() throws {
    let database = try PostgresCluster.shared().makeEmptyDatabase("ENCODING 'LATIN1' TEMPLATE template0")
    expectUnusable(database.address, saying: "LATIN1")
  }

  @Test func makesASchemaOnlyWhenTold() throws {
    let database = try PostgresCluster.shared().makeEmptyDatabase()
    expectUnusable(database.address, saying: "is empty", makesSchema: false)
    try PostgresStore.migrate(database.address)
    try PostgresStore.migrate(database.address, makesSchema: false)
  }

  @Test func manyThatOpenAtOnceMigrateOnce() async throws {
    let database = try PostgresCluster.shared().makeEmptyDatabase()
    _ = try await racing(6) { _ in try PostgresStore.migrate(database.address) }
    let steps = try PostgresClient(database.url).execute("SELECT number FROM kassa_migrations ORDER BY number")
    #expect(steps.map { $0[0] } == ["1", "2", "3"])
  }

  @Test func neverShowsAPassword() throws {
    for (url, shown) in [
      ("postgres://kassa:s3cret@db.example/kassa", "postgres://kassa@db.example/kassa"),
      (
        "postgres://kassa:s3:cr@et@db.example:5433/kassa?sslmode=require",
        "postgres://kassa@db.example:5433/kassa?sslmode=require"
      ),
      ("postgresql://kassa@a,b/kassa?password=s3cret&sslmode=require", "postgresql://kassa@a,b/kassa?sslmode=require"),
      ("postgresql:///kassa?host=/run&sslpassword=s3cret", "postgresql:///kassa?host=/run"),
      ("postgresql:///kassa?passw%6Frd=s3cret", "postgresql:///kassa"),
    ] {
      let address = try #require(PostgresAddress(url))
      #expect(address.description == shown)
      #expect(address.hasPassword)
    }
    for url in ["postgres://kassa@db.example/kassa", "postgres:///kassa?sslmode=require"] {
      let address = try #require(PostgresAddress(url))
      #expect(!address.hasPassword && address.description == url)
    }
    #expect(PostgresAddress("sqlite:kassa.sqlite") == nil)
  }
}
