import KassaPostgres
import KassaStore
import KassaTestDatabases
import Testing

/// What the doctor says, to a role that may see little.
struct DiagnosisTests {
  private func finding(_ name: String, _ store: PostgresStore) async throws -> StoreFinding {
    try #require(try await store.diagnose().first { $0.name == name })
  }

  @Test func tellsWhatHoldsTheFeedsAndWhoseStandbyIsAway() async throws {
    let cluster = try PostgresCluster(settings: ["max_prepared_transactions": "2"])
    let superuser = try PostgresClient(cluster.url(of: "postgres"))
    try superuser.execute("CREATE ROLE clerk LOGIN")
    let database = try cluster.makeEmptyDatabase("OWNER clerk")
    let address = try #require(
      PostgresAddress(database.url.replacing("postgres://kassa@", with: "postgres://clerk@")))
    let store = try PostgresStore(address)
    #expect(try await finding("oldest transaction", store).value == "0 s old")

    let other = try PostgresClient(database.url)
    try other.execute("BEGIN")
    try other.execute("SELECT pg_current_xact_id()")
    #expect(
      try await finding("oldest transaction", store).value
        == "0 s old; 1 of other roles, of unknown age (GRANT pg_monitor shows it)")
    try superuser.execute("GRANT pg_monitor TO clerk")
    try superuser.execute("SELECT pg_sleep(1.6)")
    let seen = try await finding("oldest transaction", store).value
    #expect(!seen.hasPrefix("0 s") && seen.hasSuffix(" s old"), "\(seen)")
    try other.execute("PREPARE TRANSACTION 'forgotten'")
    let prepared = try await finding("oldest transaction", store).value
    #expect(prepared.hasPrefix("0 s old; 1 prepared, the oldest "), "\(prepared)")
    try other.execute("ROLLBACK PREPARED 'forgotten'")
    #expect(try await finding("oldest transaction", store).value == "0 s old")

    #expect(try await finding("replication", store).isSound)
    try superuser.execute("ALTER SYSTEM SET synchronous_standby_names = 'away'")
    try superuser.execute("SELECT pg_reload_conf()")
    while try PostgresClient(database.url).execute("SHOW synchronous_standby_names") != [["away"]] {
      try superuser.execute("SELECT pg_sleep(0.01)")
    }
    var replication = try await finding("replication", store)
    // A session reads its settings anew when it is asked next.
    while replication.value.contains("for no standby") { replication = try await finding("replication", store) }
    #expect(
      replication
        == StoreFinding(
          name: "replication", value: "commits wait for away; none is connected", isSound: false))

    let clock = try await finding("clock", store)
    #expect(clock.isSound && clock.value.hasPrefix("the database is "))
    try superuser.execute("ALTER SYSTEM RESET synchronous_standby_names")
    try superuser.execute("SELECT pg_reload_conf()")
    await store.close()
  }
}
