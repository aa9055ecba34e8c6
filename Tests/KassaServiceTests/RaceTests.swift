import Foundation
import GRDB
import KassaDomain
import KassaService
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

/// At most one device per code, whatever races: register, register, delete, expiry (contract, section 3).
@Suite(.serialized)
struct RaceTests {
  // MARK: Redeem and redeem

  /// What came of one code that many tasks redeemed at once.
  private struct Outcome {
    /// The devices that the tasks were told they got.
    let won: [DeviceID]
    /// The devices in the database that were made with the code.
    let made: Int
  }

  /// Runs `redeem` as 50 tasks and counts, by a connection of its own, the devices that came of it.
  private func redeemings(
    of enrollment: ReadableEnrollment, counting database: TestDatabase,
    _ redeem: @escaping @Sendable (Int) async throws -> DeviceID?
  ) async throws -> Outcome {
    let answers = try await racing(50, redeem)
    let made = try database.count("devices", where: "enrollment_id", is: enrollment.enrollment.id.bytes)
    return Outcome(won: answers.compactMap(\.self), made: made)
  }

  @Test func fiftyTasksRedeemOneCode() async throws {
    try await withWorld(attemptsPerDay: 1_000_000) { world async throws in
      let database = try TestDatabase(path: world.path)
      for round in 0..<200 {
        let created = try await world.create()
        // Typed, by the deep link, or some of both.
        let (typed, linked) = (try code(created), try token(created))
        let outcome = try await redeemings(of: created, counting: database) { number in
          let isTyped = round % 3 == 0 || (round % 3 == 1 && number.isMultiple(of: 2))
          do {
            let proof: RegisterDevice.Proof = isTyped ? .code(typed) : .token(linked)
            return try await world.register(proof, hardwareID: "\(number)", source: "\(number)").device.id
          } catch ServiceFailure.enrollmentCodeInvalid {
            return nil
          }
        }
        #expect(outcome.made == 1)
        #expect(outcome.won.count == 1)
        let winner = try #require(outcome.won.first)
        #expect(try await world.read(created).enrollment.state == .consumed(device: winner))
        #expect(try await world.service.device(winner, as: world.principal).enrollmentID == created.enrollment.id)
      }
      #expect(try await world.deviceCount() == 200)
    }
  }

  /// The control: the same harness run against a redeeming that looks in one transaction and writes in another, without
  /// a guard and without the unique index, makes several devices of a code, and the harness sees them.
  @Test(.disabled(if: TestDatabase.isPostgres, "takes the guards away by SQLite's own means"))
  func theHarnessCatchesARedeemingWithoutGuards() async throws {
    try await withWorld { world async throws in
      let connection = try DatabaseQueue(path: world.path)
      try await connection.write { database in
        // The index belongs to the table's definition: a copy of the table has none.
        try database.execute(
          sql: "ALTER TABLE devices RENAME TO guarded_devices; CREATE TABLE devices AS SELECT * FROM guarded_devices")
      }
      let maker = Maker()
      var most = 0
      for _ in 0..<200 where most < 2 {
        let created = try await world.create()
        let id = Data(created.enrollment.id.bytes)
        let outcome = try await redeemings(of: created, counting: TestDatabase(path: world.path)) { _ in
          let isPending = try await connection.read { database in
            try String.fetchOne(database, sql: "SELECT status FROM enrollments WHERE id = ?", arguments: [id])
              == "PENDING"
          }
          guard isPending else { return nil }
          let device = maker.id(Device.self)
          try await connection.write { database in
            try database.execute(
              sql: """
                UPDATE enrollments SET status = 'CONSUMED', device_id = ?, code_hash = NULL, token_hash = NULL,
                sealed_code = NULL WHERE id = ?
                """, arguments: [Data(device.bytes), id])
            try database.execute(
              sql: "INSERT INTO devices (id, enrollment_id) VALUES (?, ?)", arguments: [Data(device.bytes), id])
          }
          return device
        }
        #expect(outcome.made == outcome.won.count)
        most = max(most, outcome.made)
      }
      #expect(most > 1)
      try connection.close()
    }
  }

  // MARK: Redeem and the others

  @Test func redeemingRacesCancelling() async throws {
    try await withWorld(attemptsPerDay: 1_000_000) { world async throws in
      let (redeemed, cancelled) = (Shared(0), Shared(0))
      for round in 0..<500 {
        let created = try await world.create()
        let linked = try token(created)
        let answers = try await racing(2) { number in
          if number == round % 2 {
            try await world.refusal(of: .token(linked))
          } else {
            try await failure { try await world.cancel(created) }
          }
        }
        let (redeem, cancel) = (answers[round % 2], answers[1 - round % 2])
        let last = try await world.read(created)
        let devices = try await devices(of: created, in: world)
        switch (redeem, cancel) {
        case ("none", "enrollmentConsumed"):
          #expect(last.status == .consumed && devices == 1)
          redeemed.withLock { $0 += 1 }
        case ("enrollmentCodeInvalid", "none"):
          #expect(last.status == .cancelled && devices == 0)
          cancelled.withLock { $0 += 1 }
        default: Issue.record("redeeming: \(redeem), cancelling: \(cancel)")
        }
      }
      #expect(redeemed.withLock { $0 } > 0 && cancelled.withLock { $0 } > 0, "either came first at times")
    }
  }

  @Test func redeemingRacesExpiry() async throws {
    try await withWorld(attemptsPerDay: 1_000_000) { world async throws in
      var (redeemed, expired) = (0, 0)
      for round in 0..<500 {
        let created = try await world.create(life: 1000)
        let linked = try token(created)
        let answers = try await racing(2) { number in
          if number == round % 2 {
            return try await world.refusal(of: .token(linked))
          }
          world.clock.advance(seconds: 1)
          return "\(try await world.service.expireEnrollments())"
        }
        let (redeem, sweep) = (answers[round % 2], answers[1 - round % 2])
        let last = try await world.read(created)
        let devices = try await devices(of: created, in: world)
        switch (redeem, sweep) {
        case ("none", "0"):
          #expect(last.enrollment.state.name == .consumed && devices == 1)
          redeemed += 1
        case ("enrollmentCodeInvalid", "1"):
          #expect(last.enrollment.state.name == .expired && devices == 0)
          expired += 1
        default: Issue.record("redeeming: \(redeem), swept: \(sweep)")
        }
      }
      #expect(redeemed > 0 && expired > 0, "either came first at times")
    }
  }

  private func devices(of enrollment: ReadableEnrollment, in world: World) async throws -> Int {
    let page = PageRequest(number: 0, size: 1000)
    let devices = try await world.service.devices(DeviceFilter(), page, as: world.principal).content
    return devices.count { $0.enrollmentID == enrollment.enrollment.id }
  }
}
