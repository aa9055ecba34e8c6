import Foundation
import KassaJSON
import KassaTestDatabases
import KassaTestSupport
import Synchronization
import Testing

extension EndToEnd {
  /// `kill -9` under load: what was acknowledged is there afterwards, and nothing is half done.
  ///
  /// This does not prove that acknowledged writes survive a power loss: killing a process leaves what it wrote in the
  /// operating system's cache, synced or not. It proves that acknowledging comes after committing, that a start needs no
  /// help after a crash, and that no crash leaves part of a change. That every commit is synced is asserted elsewhere
  /// (`kassa doctor`, and the store's own tests).
  struct CrashTests {
    private static let rounds = 50
    private static let creators = 4
    private static let redeemers = 4

    @Test(.timeLimit(.minutes(5))) func nothingAcknowledgedIsLost() async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder, options: unlimited + ["--log-level", "warning"])
        let ledger = Ledger()
        for round in 1...Self.rounds {
          let before = ledger.records
          let server = try await ServerProcess.start(plan)
          await load(server, ledger, killAfter: .milliseconds(Int.random(in: 10...250)))
          let after = ledger.records
          #expect(after.surprises == [], "round \(round)")
          let missing = try await withServer(plan) { server in
            try await lost(after.since(before), server)
          }
          #expect(missing == [], "round \(round)")
        }

        try await withServer(plan) { server in
          let snapshot = try await Snapshot(server)
          let records = ledger.records
          #expect(snapshot.violations(of: records) == [])
          // The load was one: writes were acknowledged, and some were cut off.
          #expect(records.created.count > Self.rounds && records.paired.count > Self.rounds)
          let unacknowledged = records.intended.subtracting(records.created.keys)
          #expect(!unacknowledged.isEmpty)

          // Retried with their keys, those that were cut off are there once, whether or not they had been made.
          var retried = records
          for tag in unacknowledged {
            let first = try await server.send(Self.creation(tag, server))
            let second = try await server.send(Self.creation(tag, server))
            #expect(first.status == 201 && second.body == first.body)
            retried.created[tag] = try first.text("enrollment_id")
          }
          let whole = try await Snapshot(server)
          #expect(whole.violations(of: retried) == [])
          #expect(whole.enrollments.count == retried.intended.count)
          falsify(whole, retried)
        }
      }
    }

    /// The control: each of these must be noticed by the same check.
    private func falsify(_ snapshot: Snapshot, _ records: Ledger.Records) {
      func mustFail(_ name: String, _ change: (inout Snapshot, inout Ledger.Records) -> Void) {
        var (snapshot, records) = (snapshot, records)
        change(&snapshot, &records)
        #expect(!snapshot.violations(of: records).isEmpty, "\(name)")
      }
      let device = snapshot.devices.keys.first ?? ""
      let enrollment = snapshot.devices[device] ?? ""
      mustFail("an acknowledged enrollment that was never written") { $1.created["x"] = UUID().uuidString }
      mustFail("an acknowledged device that was never written") {
        $1.paired[enrollment] = Ledger.Paired(device: UUID().uuidString, token: "")
      }
      mustFail("a lost enrollment") { snapshot, _ in snapshot.enrollments[enrollment] = nil }
      mustFail("a lost device") { snapshot, _ in snapshot.devices[device] = nil }
      mustFail("a second device") { snapshot, _ in snapshot.devices["second"] = enrollment }
      mustFail("a consumed enrollment left pending") {
        $0.enrollments[enrollment]?.status = "PENDING"
        _ = $1
      }
      mustFail("one enrollment made twice") {
        $0.enrollments["twin"] = $0.enrollments[enrollment]
        _ = $1
      }
      mustFail("a lost event") { snapshot, _ in snapshot.events[enrollment]?.removeLast() }
      mustFail("an event twice") { snapshot, _ in
        if let last = snapshot.events[enrollment]?.last { snapshot.events[enrollment]?.append(last) }
      }
      mustFail("an event without its subject") { snapshot, _ in
        snapshot.events["nobody"] = [Snapshot.Event(sequence: 1, type: "device.paired", related: nil)]
      }
    }

    /// The other control, with real files: a server that comes up on yesterday's database has lost acknowledged writes,
    /// and the check that each round makes says so.
    @Test(.timeLimit(.minutes(2)), .disabled(if: TestDatabase.isPostgres, "copies database files"))
    func anOldDatabaseIsNoticed() async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder, options: unlimited)
        let files = FileManager.default
        try await withServer(plan) { #expect(await $0.terminate() == .status(0)) }
        let old = try folder.names().filter { $0.hasPrefix("kassa.sqlite") && !$0.hasSuffix(".key") }
        for name in old { try files.copyItem(atPath: folder.file(name), toPath: folder.file("old-\(name)")) }

        let ledger = Ledger()
        await load(try await ServerProcess.start(plan), ledger, killAfter: .milliseconds(300))
        #expect(!ledger.records.created.isEmpty)
        let now = try folder.names().filter { $0.hasPrefix("kassa.sqlite") && !$0.hasSuffix(".key") }
        for name in now { try files.removeItem(atPath: folder.file(name)) }
        for name in old { try files.moveItem(atPath: folder.file("old-\(name)"), toPath: folder.file(name)) }

        try await withServer(plan) { server in
          let records = ledger.records
          let lost = try await lost(records, server)
          #expect(lost.count >= records.created.count)
          let snapshot = try await Snapshot(server)
          #expect(!snapshot.violations(of: records).isEmpty)
        }
      }
    }

    // MARK: Load

    static func creation(_ tag: String, _ server: ServerProcess) -> HTTPCall {
      HTTPCall(
        "POST", "/ipp/v1/enrollments", headers: [server.authorization(), ("idempotency-key", tag)],
        json: ["metadata": ["tag": .string(tag)]])
    }

    /// Creates and redeems until the server is killed, and notes what it acknowledged.
    private func load(_ server: ServerProcess, _ ledger: Ledger, killAfter delay: Duration) async {
      await withTaskGroup { group in
        for _ in 0..<Self.creators {
          group.addTask {
            await untilClosed(server) { connection in
              let tag = UUID().uuidString
              ledger.change { _ = $0.intended.insert(tag) }
              let answer = try await connection.send(Self.creation(tag, server))
              guard answer.status == 201 else { return ledger.note(surprise: answer) }
              let (id, code) = (try answer.text("enrollment_id"), try answer.text("enrollment_code"))
              ledger.change {
                $0.created[tag] = id
                $0.redeemable.append((id, code))
              }
            }
          }
        }
        for _ in 0..<Self.redeemers {
          group.addTask {
            await untilClosed(server) { connection in
              guard let (id, code) = ledger.takeRedeemable() else {
                return try await Task.sleep(for: .milliseconds(1))
              }
              // The hardware id tells to which enrollment a device belongs.
              let answer = try await connection.send(
                HTTPCall("POST", "/pos/v1/devices", json: registration(code, hardwareID: id)))
              guard answer.status == 201, let token = answer.json["credentials"]?["bearer_token"]?.text else {
                return ledger.note(surprise: answer)
              }
              let device = try answer.text("id")
              ledger.change { $0.paired[id] = Ledger.Paired(device: device, token: token) }
            }
          }
        }
        try? await Task.sleep(for: delay)
        await server.kill()
      }
    }

    private func untilClosed(
      _ server: ServerProcess, _ body: (HTTPConnection) async throws -> Void
    ) async {
      guard let connection = try? await server.connect() else { return }
      do {
        while connection.isOpen { try await body(connection) }
      } catch {
        // The server is gone, as it should be: what is not in the ledger was not acknowledged.
      }
      await connection.close()
    }

    /// What of the records the server does not have, asked one by one.
    private func lost(_ records: Ledger.Records, _ server: ServerProcess) async throws -> [String] {
      let connection = try await server.connect()
      let key = server.authorization()
      var lost: [String] = []
      for (tag, id) in records.created {
        let answer = try await connection.send(HTTPCall("GET", "/ipp/v1/enrollments/\(id)", headers: [key]))
        if answer.status != 200 || answer.json["metadata"]?["tag"]?.text != tag { lost.append("enrollment \(id)") }
      }
      for (enrollment, paired) in records.paired {
        let own = HTTPCall("GET", "/pos/v1/device", headers: [("authorization", "Bearer \(paired.token)")])
        let answer = try await connection.send(own)
        if answer.json["id"]?.text != paired.device || answer.json["hardware_id"]?.text != enrollment {
          lost.append("device \(paired.device)")
        }
      }
      await connection.close()
      return lost
    }
  }
}

/// What the server acknowledged, as its clients remember it.
final class Ledger: Sendable {
  struct Paired: Sendable {
    let device: String
    let token: String
  }

  struct Records: Sendable {
    /// The tags of enrollments that were asked for; each is also its request's idempotency key.
    var intended: Set<String> = []
    /// Acknowledged: tag to enrollment.
    var created: [String: String] = [:]
    /// Acknowledged: enrollment to device.
    var paired: [String: Paired] = [:]
    /// Created, and not yet tried to redeem.
    var redeemable: [(id: String, code: String)] = []
    /// Answers that nobody should get.
    var surprises: [String] = []

    /// What was acknowledged after `earlier`.
    func since(_ earlier: Records) -> Records {
      var later = self
      later.created = created.filter { earlier.created[$0.key] == nil }
      later.paired = paired.filter { earlier.paired[$0.key] == nil }
      return later
    }
  }

  private let state = Mutex(Records())

  var records: Records { state.withLock { $0 } }
  func change(_ body: (inout Records) -> Void) { state.withLock { body(&$0) } }
  func note(surprise answer: HTTPAnswer) { change { $0.surprises.append("\(answer)") } }
  func takeRedeemable() -> (id: String, code: String)? {
    state.withLock { $0.redeemable.isEmpty ? nil : $0.redeemable.removeFirst() }
  }
}

/// All that a merchant can see of its enrollments, devices and events.
struct Snapshot {
  struct Enrollment {
    var status: String
    let tag: String
  }

  struct Event {
    let sequence: Int64
    let type: String
    let related: String?
  }

  var enrollments: [String: Enrollment] = [:]
  /// Device to the enrollment in its hardware id.
  var devices: [String: String] = [:]
  /// Events of enrollments and devices, by subject, in their order.
  var events: [String: [Event]] = [:]

  init(_ server: ServerProcess) async throws {
    for item in try await Self.all("/ipp/v1/enrollments?page_size=100", server) {
      enrollments[item["enrollment_id"]?.text ?? ""] = Enrollment(
        status: item["status"]?.text ?? "", tag: item["metadata"]?["tag"]?.text ?? "")
    }
    for item in try await Self.all("/ipp/v1/devices?page_size=1000", server) {
      devices[item["id"]?.text ?? ""] = item["hardware_id"]?.text ?? ""
    }
    for item in try await Self.all("/portal/v1/audit-entries?page_size=1000", server).reversed() {
      guard let type = item["type"]?.text, type.hasPrefix("enrollment.") || type.hasPrefix("device.") else { continue }
      let event = Event(
        sequence: item["sequence"]?.integer ?? 0, type: type, related: item["related_id"]?.text)
      events[item["subject_id"]?.text ?? "", default: []].append(event)
    }
  }

  /// Every element of a list, page by page.
  static func all(_ path: String, _ server: ServerProcess) async throws -> [JSONValue] {
    let connection = try await server.connect()
    var (items, cursor): ([JSONValue], String?) = ([], nil)
    repeat {
      let answer = try await connection.send(
        HTTPCall("GET", path + (cursor.map { "&cursor=\($0)" } ?? ""), headers: [server.authorization()]))
      guard answer.status == 200 else { throw Missing(description: "\(path): \(answer)") }
      items += answer.json["content"]?.elements ?? []
      cursor = answer.json["next_cursor"]?.text
    } while cursor != nil
    await connection.close()
    return items
  }

  /// Everything that is lost or half done.
  func violations(of records: Ledger.Records) -> [String] {
    var violations: [String] = []
    for (tag, id) in records.created where enrollments[id]?.tag != tag {
      violations.append("the acknowledged enrollment \(id) is not there")
    }
    for (enrollment, paired) in records.paired where devices[paired.device] != enrollment {
      violations.append("the acknowledged device \(paired.device) is not there")
    }
    for (tag, count) in Dictionary(enrollments.values.map { ($0.tag, 1) }, uniquingKeysWith: +) where count > 1 {
      violations.append("\(tag) was made \(count) times")
    }
    let devicesOf = Dictionary(grouping: devices.keys) { devices[$0] ?? "" }
    for (id, enrollment) in enrollments {
      let paired = devicesOf[id] ?? []
      let history = (events[id] ?? []).map { "\($0.sequence) \($0.type) \($0.related ?? "-")" }
      let whole: [String]? =
        switch (enrollment.status, paired.count) {
        case ("PENDING", 0): ["1 enrollment.created -"]
        case ("CONSUMED", 1): ["1 enrollment.created -", "2 enrollment.consumed \(paired[0])"]
        default: nil
        }
      if history != whole { violations.append("\(id) is \(enrollment.status), \(paired.count) devices, \(history)") }
    }
    for (device, enrollment) in devices {
      if enrollments[enrollment]?.status != "CONSUMED" { violations.append("\(device) has no consumed enrollment") }
      let history = (events[device] ?? []).map { "\($0.sequence) \($0.type) \($0.related ?? "-")" }
      if history != ["1 device.paired \(enrollment)"] { violations.append("\(device): \(history)") }
    }
    for subject in events.keys where enrollments[subject] == nil && devices[subject] == nil {
      violations.append("events of \(subject), which is not there")
    }
    return violations
  }
}
