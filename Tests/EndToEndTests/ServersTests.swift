import Foundation
import KassaJSON
import KassaTestDatabases
import KassaTestSupport
import Testing

import struct StoreConformance.SeededGenerator

extension EndToEnd {
  /// Three servers on one PostgreSQL database, under a load that does not care which of them it meets, or whether they,
  /// or their database, are killed meanwhile: what any of them acknowledged holds at all of them.
  @Suite(.enabled(if: TestDatabase.isPostgres, "several servers need PostgreSQL")) struct ServersTests {
    private static let servers = 3

    /// How often a server is ended: `KASSA_TEST_KILLS` for a longer run.
    private static let kills = setting("KASSA_TEST_KILLS") ?? 14

    /// How often the database is ended.
    private static let crashes = 4

    private static func setting(_ name: String) -> Int? {
      ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    @Test(.timeLimit(.minutes(10))) func threeServersKilledAtRandomAreOneTruth() async throws {
      let seed = Self.setting("KASSA_TEST_SEED").map { UInt64($0) } ?? UInt64.random(in: 0...999_999)
      print("three servers: seed \(seed), \(Self.kills) ends")
      try await withTemporaryFolder { folder in
        try await expectOneTruth(in: folder) { fleet, _ in try await killAtRandom(fleet, seed) }
      }
    }

    /// The database is ended as by a fault of its machine, again and again, and started again after the servers have
    /// noticed. They say that they cannot serve now, and go on by themselves.
    @Test(.timeLimit(.minutes(10))) func aDatabaseThatCrashesLosesNothing() async throws {
      let cluster = try PostgresCluster()
      try await withTemporaryFolder { folder in
        for plan in Fleet.plans(1, in: folder, options: []) {
          try TestDatabase.place(folder.file(plan.database), on: cluster)
        }
        try await expectOneTruth(in: folder) { fleet, load in
          for _ in 0..<Self.crashes {
            let (made, refused) = (load.records.created.count, fleet.unavailable.count)
            try await eventually("codes are made") { load.records.created.count > made + 10 }
            try cluster.crash()
            try await eventually("they say so") { fleet.unavailable.count > refused + 10 }
            try cluster.start()
          }
          let made = load.records.created.count
          try await eventually("codes are made again") { load.records.created.count > made + 10 }
          for server in fleet.living { #expect(server.program.exit == nil) }
          let refusals = fleet.unavailable
          print("a database that crashes: \(Self.crashes) times, \(refusals.count) answers 503")
          for answer in refusals {
            #expect(answer.header("retry-after") != nil && answer.code == "store_unavailable", "\(answer)")
          }
        }
      }
      withExtendedLifetime(cluster) {}
    }

    /// Runs the load while `disturb` does, and holds what is left to what was acknowledged.
    private func expectOneTruth(
      in folder: TemporaryFolder, _ disturb: (Fleet, FleetLoad) async throws -> Void
    ) async throws {
      // One try in nine fails. The other is the control: it acknowledges all, and loses one in twenty.
      let receivers = [
        try await CallbackReceiver { $0 % 9 == 4 ? .fail : .acknowledge },
        try await CallbackReceiver { $0 % 20 == 7 ? .forget : .acknowledge },
      ]
      let plans = Fleet.plans(Self.servers, in: folder, options: FleetLoad.options)
      try await withFleet(plans) { fleet in
        let load = FleetLoad(fleet)
        for receiver in receivers {
          let made = try await fleet.living[0].post(
            "/portal/v1/webhooks", ["name": "Backend", "url": .string(receiver.url), "events": ["*"]])
          #expect(made.status == 201, "\(made)")
        }
        let tills = try await load.makeTills()
        async let listening: Void = load.listen(tills)
        async let selling: Void = load.sell(at: tills)
        do {
          try await disturb(fleet, load)
        } catch {
          load.stopSelling()
          load.stopListening()
          throw error
        }
        load.stopSelling()
        await selling
        try await finish(fleet, try plans[0].databaseURL)

        let books = try await FleetBooks(try plans[0].databaseURL, fleet)
        let whole = try await load.wholeFeed()
        try await eventually("the feed was pulled") { load.pulled.count >= whole.count }
        let shown = tills.map { till in books.sessions.filter { $0.value.device == till.device }.map(\.key) }
        for (till, sessions) in zip(tills, shown) {
          try await eventually("a phone was told of all") {
            till.seen.count { $0.event == "session.created" } >= sessions.count
          }
        }
        load.stopListening()
        await listening

        let records = load.records
        #expect(books.violations(of: records) == [])
        #expect(CallbackCrashTests.flaws(receivers[0].callbacks, books.histories) == [])
        for (till, sessions) in zip(tills, shown) {
          #expect(StreamTests.flaws(seen: till.seen, sessions: sessions) == [])
        }
        #expect(load.pulled == whole)
        let told = books.events.count { EventFeed.isTold(of: $0.type) }
        #expect(whole.count == told)

        describe(records, books, receivers, tills)
        expectALoad(records, books)
        falsify(books, records)
        #expect(!CallbackCrashTests.flaws(receivers[1].callbacks, books.histories).isEmpty)
        let seen = tills[0].seen
        guard let missed = seen.lastIndex(where: { $0.event == "session.created" }) else { return }
        let without = seen[..<missed] + seen[(missed + 1)...]
        #expect(!StreamTests.flaws(seen: Array(without), sessions: shown[0]).isEmpty)
        #expect(!StreamTests.flaws(seen: seen + [seen[missed]], sessions: shown[0]).isEmpty)
      }
      for receiver in receivers { await receiver.close() }
    }

    /// Ends servers, by SIGKILL or now and then by SIGTERM, and starts each again.
    private func killAtRandom(_ fleet: Fleet, _ seed: UInt64) async throws {
      var numbers = SeededGenerator(seed: seed)
      for _ in 0..<Self.kills {
        // How long they live differs; nothing is waited for.
        try await Task.sleep(for: .milliseconds(Int.random(in: 100...900, using: &numbers)))
        let victim = Int.random(in: 0..<fleet.count, using: &numbers)
        let isKind = Int.random(in: 0..<4, using: &numbers) == 0
        let exit = await fleet.end(victim, by: isKind ? SIGTERM : SIGKILL)
        #expect(exit == (isKind ? .status(0) : .signal(SIGKILL)))
        try await fleet.start(victim)
      }
    }

    /// Moves the clocks until every session is over and nothing is left to do.
    private func finish(_ fleet: Fleet, _ url: String) async throws {
      let client = try PostgresClient(url)
      func isNone(_ table: String) throws -> Bool { try client.execute("SELECT 1 FROM \(table) LIMIT 1").isEmpty }
      try await eventually("every session is over, and nothing waits") {
        // Longer than the lease of a server that was killed, and than the pauses between tries.
        try await fleet.advanceClocks(seconds: 400)
        return try isNone("sessions WHERE status IN ('CREATED', 'ACTIVE')") && isNone("callback_chains")
          && isNone("payments WHERE check_at IS NOT NULL") && isNone("order_movements WHERE check_at IS NOT NULL")
      }
    }

    private func describe(
      _ records: FleetRecords, _ books: FleetBooks, _ receivers: [CallbackReceiver], _ tills: [FleetLoad.Till]
    ) {
      let ends = Dictionary(books.sessions.values.map { ($0.status, 1) }, uniquingKeysWith: +)
      print(
        """
        three servers: \(books.sessions.count) sessions \(ends.sorted { $0.key < $1.key }), \
        \(records.created.count) codes, \(records.paired.count) paired, \(records.removed.count) devices removed, \
        \(records.refusedKeys) refusals of revoked keys, \(records.judgedGuesses) budgets spent, \
        \(records.replays) replays, \(records.lostAnswers) lost answers, \(books.events.count) events, \
        \(receivers[0].callbacks.count) callbacks, \(tills.reduce(0) { $0 + $1.seen.count }) frames
        """)
    }

    /// The load was one.
    private func expectALoad(_ records: FleetRecords, _ books: FleetBooks) {
      #expect(records.created.count > Self.servers && records.paired.count > Self.servers)
      for status in ["FINALIZED", "CANCELLED"] {
        #expect(books.sessions.values.count { $0.status == status } > FleetLoad.tills, "\(status)")
      }
      #expect(!records.removed.isEmpty && records.refusedKeys > 0 && records.judgedGuesses > 0)
      #expect(records.lostAnswers > 0, "no answer was ever cut off")
    }

    /// Each of these must be noticed by the same check.
    private func falsify(_ books: FleetBooks, _ records: FleetRecords) {
      func mustFail(_ name: String, _ change: (inout FleetBooks, inout FleetRecords) -> Void) {
        var (books, records) = (books, records)
        change(&books, &records)
        #expect(!books.violations(of: records).isEmpty, "\(name)")
      }
      let paid = books.sessions.first { $0.value.status == "FINALIZED" }?.key ?? ""
      let cancelled = books.sessions.first { $0.value.status == "CANCELLED" }?.key ?? ""
      let enrollment = books.devices.first?.value ?? ""
      mustFail("an acknowledged code that was never made") { $1.created["x"] = UUID().uuidString }
      mustFail("an acknowledged device that was never paired") { $1.paired[enrollment] = UUID().uuidString }
      mustFail("an acknowledged session that was never made") { $1.sessions[UUID().uuidString] = "x" }
      mustFail("an acknowledged end that did not come") { $1.ended[cancelled] = "FINALIZED" }
      mustFail("a removed device that is there") { books, records in
        books.removed.remove(records.removed.first ?? "")
      }
      mustFail("a second device for one code") { books, _ in books.devices["second"] = enrollment }
      mustFail("a session made twice") { books, _ in books.sessions["twin"] = books.sessions[paid] }
      mustFail("paid and cancelled") { books, _ in books.sessions[cancelled]?.charged = 240_000 }
      mustFail("finalized and not paid") { books, _ in books.sessions[paid]?.charged = 0 }
      mustFail("paid twice") { books, _ in books.booked += 240_000 }
      mustFail("a lost event") { books, _ in
        guard let second = books.events.first(where: { $0.sequence == 2 }) else { return }
        books.events.removeAll { $0.subject == second.subject && $0.sequence == 1 }
      }
      mustFail("two events in the wrong order") { books, _ in
        guard let second = books.events.firstIndex(where: { $0.sequence == 2 }),
          let first = books.events.firstIndex(where: { $0.subject == books.events[second].subject })
        else { return }
        books.events.swapAt(first, second)
      }
      mustFail("a lease that is stuck") { books, _ in books.unfinished["leases"] = 1 }
      mustFail("a wrong total") { books, _ in books.totals[0].stated += 1 }
    }

    // MARK: Controls with real servers

    /// The same load and the same check, where one of the three servers is on a database of its own.
    @Test(.timeLimit(.minutes(3))) func aServerOnAnotherDatabaseIsNoticed() async throws {
      try await withTemporaryFolder { folder in
        var plans = Fleet.plans(Self.servers, in: folder, options: FleetLoad.options)
        plans[2].database = "other.sqlite"
        try await expectViolations(plans) { _ in }
      }
    }

    /// The same load and the same check, where the database keeps none of the guards of pairing: a redeemed code stays
    /// as it was, and a second device and a second event of the same number are no conflict.
    @Test(.timeLimit(.minutes(3))) func aDatabaseWithoutGuardsIsNoticed() async throws {
      try await withTemporaryFolder { folder in
        let plans = Fleet.plans(Self.servers, in: folder, options: FleetLoad.options)
        let found = try await expectViolations(plans) { client in
          try client.execute(
            """
            ALTER TABLE devices DROP CONSTRAINT devices_enrollment;
            ALTER TABLE events DROP CONSTRAINT events_sequence;
            CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF NEW.status = ''CONSUMED'' THEN RETURN OLD; END IF; RETURN NEW; END';
            CREATE TRIGGER keep BEFORE UPDATE ON enrollments FOR EACH ROW EXECUTE FUNCTION keep();
            """)
        }
        #expect(found.contains { $0.contains("devices were paired with the code") }, "\(found)")
      }
    }

    /// Sells for a while, and returns what was noticed in the end.
    @discardableResult
    private func expectViolations(
      _ plans: [ServerPlan], _ harm: (PostgresClient) throws -> Void
    ) async throws -> [String] {
      try await withFleet(plans) { fleet in
        let load = FleetLoad(fleet)
        let url = try plans[0].databaseURL
        var tills: [FleetLoad.Till] = []
        do {
          tills = try await load.makeTills()
        } catch is Missing {
          // Noticed before anything could be sold.
          #expect(!load.records.surprises.isEmpty)
          return load.records.surprises
        }
        try harm(try PostgresClient(url))
        async let selling: Void = load.sell(at: tills)
        do {
          try await eventually("phones have paired") {
            load.records.paired.count > 3 || !load.records.surprises.isEmpty
          }
        } catch {
          load.stopSelling()
          throw error
        }
        load.stopSelling()
        await selling
        try await finish(fleet, url)
        let found = try await FleetBooks(url, fleet).violations(of: load.records)
        #expect(!found.isEmpty)
        return found
      }
    }
  }
}

/// What the pull feed has of the event log.
private enum EventFeed {
  static func isTold(of type: String) -> Bool {
    ["session.", "payment.failed", "payment.late", "device.paired", "device.deleted", "order.", "capture.", "refund."]
      .contains { type.hasPrefix($0) }
  }
}
