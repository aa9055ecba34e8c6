import Foundation
import KassaJSON
import KassaTestSupport
import Synchronization
import Testing

extension EndToEnd {
  /// The stream of a device's events (contract, section 7), over the real program.
  struct StreamTests {
    private static let phones = 200
    private static let rounds = 3

    private func sessionID(_ frame: EventStream.Frame) -> String? {
      (try? JSONParser.parse(Array(frame.data.utf8)))?["session_id"]?.text
    }

    // MARK: Resuming

    /// What a phone saw against what happened: each event once, in the order of the log, and none that did not happen.
    static func flaws(seen: [EventStream.Frame], sessions: [String]) -> [String] {
      var flaws: [String] = []
      let events = seen.filter { $0.event != "ready" }
      let ids = events.compactMap { $0.id.flatMap { Int64($0) } }
      if ids.count != events.count { flaws.append("an event has no id") }
      if ids != ids.sorted() || Set(ids).count != ids.count { flaws.append("ids are \(ids)") }
      let created = events.filter { $0.event == "session.created" }.map(\.data)
      let expected = sessions.map { "{\"session_id\":\"\($0)\"}" }
      for missing in Set(expected).subtracting(created) { flaws.append("missed \(missing)") }
      for strange in Set(created).subtracting(expected) { flaws.append("was told of \(strange)") }
      if created.count != Set(created).count { flaws.append("\(created.count - Set(created).count) repeated") }
      return flaws
    }

    /// The server is killed and started again while sessions are made; a phone that sends its last id goes on.
    @Test(.timeLimit(.minutes(2))) func aKilledServerLosesAndRepeatsNothing() async throws {
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder, options: unlimited)
        var (seen, sessions): ([EventStream.Frame], [String]) = ([], [])
        var device: Shop.Phone?
        var cursor: String?
        for round in 0..<4 {
          let server = try await ServerProcess.start(plan)
          let shop = Shop(server: server)
          let phone: Shop.Phone
          if let device { phone = device.at(server) } else { phone = try await shop.phone() }
          device = phone
          let stream = try await phone.stream(after: cursor)
          if round == 0 { #expect(try await stream.next().event == "ready") }
          // Some before the stream reads them; of the last of them it hears after the restart only.
          for _ in 0..<5 { sessions.append(try await shop.session(on: phone.id)) }
          for _ in 0..<(round == 0 ? 3 : 5) {
            let frame = try await stream.next()
            cursor = frame.id
            seen.append(frame)
          }
          await server.kill()
          await stream.close()
        }
        let server = try await ServerProcess.start(plan)
        let phone = try #require(device?.at(server))
        let stream = try await phone.stream(after: cursor)
        for _ in 0..<2 { seen.append(try await stream.next()) }
        await #expect(throws: HTTPFailure.timedOut) { try await stream.next(withinSeconds: 1) }
        #expect(Self.flaws(seen: seen, sessions: sessions) == [])
        // From the beginning it is the same, in one go.
        let whole = try await phone.stream(after: "0")
        var all: [EventStream.Frame] = []
        for _ in sessions { all.append(try await whole.next()) }
        #expect(all == seen)
        // The controls.
        #expect(!Self.flaws(seen: Array(seen.dropLast()), sessions: sessions).isEmpty)
        #expect(!Self.flaws(seen: seen + [seen[0]], sessions: sessions).isEmpty)
        #expect(!Self.flaws(seen: seen.reversed(), sessions: sessions).isEmpty)
        await stream.close()
        await whole.close()
        await server.kill()
      }
    }

    /// Follows a stream through broken connections, until it has been told of `count` sessions.
    private static func follow(
      _ phone: Shop.Phone, sessions count: Int, breaks: Barrier, staysAway: Bool, dropsCursor: Bool
    ) async throws -> [EventStream.Frame] {
      var seen: [EventStream.Frame] = []
      var cursor: String?
      var wait = HTTPConnection.patienceSeconds
      for round in 0..<rounds {
        let stream = try await phone.stream(after: dropsCursor ? nil : cursor)
        if cursor == nil || dropsCursor { cursor = try await stream.next().id }
        await breaks.arrive(round)
        let isLast = round == rounds - 1
        do {
          while isLast ? seen.count < count : !breaks.isBroken(round) {
            let frame = try await stream.next(withinSeconds: isLast ? wait : 1)
            cursor = frame.id
            seen.append(frame)
          }
        } catch HTTPFailure.timedOut where !isLast || dropsCursor {
          // Nothing came: on to the next connection, or for the control, the end.
        }
        if dropsCursor { wait = 2 }
        if isLast {
          // Nothing more than that.
          while let frame = try? await stream.next(withinSeconds: 1) { seen.append(frame) }
        }
        if round.isMultiple(of: 2) { try await stream.reset() } else { await stream.close() }
        // Back at once, or only after something happened in the meantime.
        if staysAway, !isLast { await breaks.stayAway(round) }
      }
      return seen
    }

    /// Two hundred phones break off and come back at the same time while sessions are made for all of them.
    @Test(.timeLimit(.minutes(3))) func manyPhonesComeBackAtOnce() async throws {
      try await withServer("playground", unlimited + ["--log-level", "warning"]) { server in
        let shop = Shop(server: server)
        var phones: [Shop.Phone] = []
        for number in 0..<Self.phones { phones.append(try await shop.phone("Till \(number)")) }
        let perPhone = 1 + 2 * (Self.rounds - 1)
        // The last phone is the control: it comes back without its cursor.
        let control = phones.count - 1
        let staysAway = phones.indices.filter { !$0.isMultiple(of: 4) }
        #expect(staysAway.contains(control))
        let breaks = Barrier(parties: phones.count, stayingAway: staysAway.count)
        let made = Mutex<[String: [String]]>([:])

        let seen = try await withThrowingTaskGroup(of: (Int, [EventStream.Frame]).self) { group in
          for (index, phone) in phones.enumerated() {
            group.addTask {
              (
                index,
                try await Self.follow(
                  phone, sessions: perPhone, breaks: breaks,
                  staysAway: staysAway.contains(index), dropsCursor: index == control)
              )
            }
          }
          // Sessions are made before each break, while phones are away, and while they come back.
          let connection = try await server.connect()
          func make(_ which: some Sequence<Shop.Phone>) async throws {
            for phone in which {
              let answer = try await connection.send(
                HTTPCall(
                  "POST", "/ipp/v1/sessions", headers: [server.authorization()], json: try Shop.sample(phone.id)))
              let id = try answer.text("session_id")
              made.withLock { $0[phone.id, default: []].append(id) }
            }
          }
          await breaks.waitForAll(0)
          try await make(phones)
          for round in 0..<Self.rounds - 1 {
            // Most are gone before the next are made, the control among them; the others leave while they are made.
            breaks.breakOff(round)
            await breaks.waitUntilAway(round)
            try await make(phones)
            await breaks.end(round)
            try await make(phones)
            await breaks.waitForAll(round + 1)
          }
          await connection.close()
          return try await group.reduce(into: [Int: [EventStream.Frame]]()) { $0[$1.0] = $1.1 }
        }
        for (index, phone) in phones.enumerated() {
          let flaws = Self.flaws(
            seen: try #require(seen[index]), sessions: made.withLock { $0[phone.id] ?? [] })
          if index == control {
            #expect(!flaws.isEmpty, "the control was not caught")
          } else {
            #expect(flaws == [], "phone \(index)")
          }
        }
        try await eventually("no stream is left open") {
          try await server.send(HTTPCall("GET", "/metrics")).text.contains("\nkassa_open_streams 0\n")
        }
      }
    }

    /// A phone of the two thousand, with what it has seen.
    private struct Watcher: Sendable {
      enum Habit: CaseIterable {
        /// Comes back with the last id it has seen.
        case resumes
        /// The controls: comes back without an id; with one from long ago; with one that it has not reached yet.
        case forgets, rewinds, skips
      }

      var phone: Shop.Phone
      let habit: Habit
      var cursor: String?
      var seen: [EventStream.Frame] = []
      var stream: EventStream?

      /// What it sends when it comes back.
      var lastEventID: String? {
        switch habit {
        case .resumes: cursor
        case .forgets: nil
        case .rewinds: "0"
        case .skips: cursor.flatMap { Int64($0) }.map { "\($0 + (1 << 40))" }
        }
      }

      /// Opens the stream and waits for its head, or when it begins anew for `ready`.
      mutating func connect() async throws {
        let resumed = lastEventID
        let stream = try await phone.stream(after: resumed)
        if resumed == nil { cursor = try await stream.next().id }
        self.stream = stream
      }

      /// Reads until the stream tells of `session`; of a skipped one never, so that the control gives up early.
      mutating func read(until session: String) async throws {
        guard let stream else { return }
        do {
          repeat {
            let frame =
              habit == .skips ? try await stream.next(withinSeconds: 1) : try await stream.next()
            cursor = frame.id
            seen.append(frame)
          } while seen.last?.data.contains(session) != true
        } catch HTTPFailure.timedOut where habit == .skips {
          return
        }
      }
    }

    /// Changes all watchers at the same time.
    private static func together(
      _ watchers: [Watcher], _ body: @escaping @Sendable (Int, inout Watcher) async throws -> Void
    ) async throws -> [Watcher] {
      try await withThrowingTaskGroup(of: (Int, Watcher).self) { group in
        for (index, watcher) in watchers.enumerated() {
          group.addTask {
            var watcher = watcher
            try await body(index, &watcher)
            return (index, watcher)
          }
        }
        var changed = watchers
        for try await (index, watcher) in group { changed[index] = watcher }
        return changed
      }
    }

    /// Two thousand phones lose the server, which is killed; sessions are made for all of them while they are away and
    /// while they come back, all at once. None misses or repeats an event; those of the controls do.
    @Test(.timeLimit(.minutes(5))) func twoThousandPhonesComeBackAtOnce() async throws {
      raiseOpenFilesLimit()
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder, options: unlimited + ["--log-level", "warning"])
        let first = try await ServerProcess.start(plan)
        let phones = try await Shop(server: first).forEach(Array(0..<2000)) { number, connection in
          try await Shop(server: first).phone("Till \(number)", over: connection)
        }
        let controls: [Watcher.Habit] = [.forgets, .rewinds, .skips]
        var watchers = phones.enumerated().map { index, phone in
          Watcher(phone: phone, habit: index < 10 * controls.count ? controls[index % controls.count] : .resumes)
        }
        var sessions = phones.map { _ in [String]() }
        func make(for indices: [Int], at server: ServerProcess) async throws {
          let made = try await Shop(server: server).forEach(indices) { index, connection in
            try await Shop(server: server).session(on: phones[index].id, over: connection)
          }
          for (index, session) in zip(indices, made) { sessions[index].append(session) }
        }
        let all = Array(phones.indices)

        // Every phone is told of a session. Half of them read it before the server is killed.
        watchers = try await Self.together(watchers) { _, watcher in
          watcher.phone = watcher.phone.at(first)
          try await watcher.connect()
        }
        try await make(for: all, at: first)
        let told = sessions
        watchers = try await Self.together(watchers) { index, watcher in
          if index.isMultiple(of: 2) { try await watcher.read(until: told[index][0]) }
        }
        await first.kill()
        for watcher in watchers { await watcher.stream?.close() }

        let second = try await ServerProcess.start(plan)
        do {
          try await make(for: all, at: second)
          async let meanwhile: [String] = Shop(server: second).forEach(all.filter { $0.isMultiple(of: 4) }) {
            index, connection in try await Shop(server: second).session(on: phones[index].id, over: connection)
          }
          let began = ContinuousClock.now
          watchers = try await Self.together(watchers) { _, watcher in
            watcher.phone = watcher.phone.at(second)
            try await watcher.connect()
          }
          let took = ContinuousClock.now - began
          for (index, session) in zip(all.filter { $0.isMultiple(of: 4) }, try await meanwhile) {
            sessions[index].append(session)
          }
          // A last one for each ends the reading: whatever was repeated came before it.
          try await make(for: all, at: second)
          let last = sessions
          watchers = try await Self.together(watchers) { index, watcher in
            try await watcher.read(until: last[index].last ?? "")
          }
          print("2,000 phones came back in \(took); \(sessions.reduce(0) { $0 + $1.count }) sessions")
          for (index, watcher) in watchers.enumerated() {
            let flaws = Self.flaws(seen: watcher.seen, sessions: sessions[index])
            switch watcher.habit {
            case .resumes: #expect(flaws == [], "phone \(index)")
            case .forgets, .skips: #expect(flaws.contains { $0.hasPrefix("missed") }, "phone \(index) was not caught")
            // One that had read nothing before has nothing to see twice.
            case .rewinds where index.isMultiple(of: 2):
              #expect(flaws.contains { $0.hasSuffix("repeated") }, "phone \(index) was not caught")
            case .rewinds: #expect(flaws == [], "phone \(index)")
            }
          }
          _ = try await Self.together(watchers) { _, watcher in await watcher.stream?.close() }
          try await eventually("no stream is left open") {
            try await second.send(HTTPCall("GET", "/metrics")).text.contains("\nkassa_open_streams 0\n")
          }
        } catch {
          await second.kill()
          throw error
        }
        #expect(await second.terminate() == .status(0))
      }
    }

    // MARK: Ends

    @Test(.timeLimit(.minutes(2))) func removingTheDeviceEndsItsStream() async throws {
      try await withServer("playground", unlimited) { server in
        let shop = Shop(server: server)
        let (phone, other) = (try await shop.phone(), try await shop.phone("Till 2"))
        let (stream, others) = (try await phone.stream(), try await other.stream())
        #expect(try await stream.next().event == "ready")
        #expect(try await others.next().event == "ready")
        let session = try await shop.session(on: phone.id)
        #expect(sessionID(try await stream.next()) == session)
        #expect(try await server.delete("/ipp/v1/devices/\(phone.id)").status == 204)
        let removed = ContinuousClock.now
        let withdrawn = try await stream.next()
        #expect(withdrawn.event == "session.withdrawn" && sessionID(withdrawn) == session)
        let last = try await stream.next()
        #expect(last.event == "device.revoked" && last.data == "{\"device_id\":\"\(phone.id)\"}")
        await #expect(throws: HTTPFailure.closed) { try await stream.next() }
        #expect(ContinuousClock.now - removed < .seconds(2))
        #expect(try await phone.call("GET", "/pos/v1/device").status == 401)
        #expect(try await shop.server.get("/ipp/v1/sessions/\(session)").json["status"] == "CANCELLED")
        // The other one's goes on.
        await #expect(throws: HTTPFailure.timedOut) { try await others.next(withinSeconds: 1) }
        let next = try await shop.session(on: other.id)
        #expect(sessionID(try await others.next()) == next)
        await others.close()
      }
    }

    @Test(.timeLimit(.minutes(2))) func fourStreamsAndNoMore() async throws {
      try await withServer("playground", unlimited) { server in
        let phone = try await Shop(server: server).phone()
        var streams: [EventStream] = []
        for _ in 0..<4 {
          let stream = try await phone.stream()
          #expect(try await stream.next().event == "ready")
          streams.append(stream)
        }
        let fifth = try await phone.call("GET", "/pos/v1/events")
        #expect(fifth.status == 429 && fifth.code == "too_many_streams" && fifth.header("retry-after") != nil)
        // All of them are told; one that is given up makes room.
        let session = try await Shop(server: server).session(on: phone.id)
        for stream in streams { #expect(sessionID(try await stream.next()) == session) }
        try await streams[0].reset()
        try await eventually("there is room again") {
          guard let stream = try? await phone.stream() else { return false }
          await stream.close()
          return true
        }
        for stream in streams { await stream.close() }
      }
    }

    /// SIGTERM ends streams at once: those that are read, those whose client reads no more, and those whose client broke
    /// off.
    @Test(.timeLimit(.minutes(2))) func stoppingEndsStreams() async throws {
      try await withServer("playground", unlimited) { server in
        let shop = Shop(server: server)
        var streams: [EventStream] = []
        for number in 0..<30 {
          let phone = try await shop.phone("Till \(number)")
          let stream = try await phone.stream()
          #expect(try await stream.next().event == "ready")
          switch number % 3 {
          case 1: try await stream.stopReading()
          case 2: try await stream.reset()
          default: break
          }
          streams.append(stream)
          _ = try await shop.session(on: phone.id)
        }
        let stopped = ContinuousClock.now
        #expect(await server.terminate() == .status(0))
        #expect(ContinuousClock.now - stopped < .seconds(5))
        for (number, stream) in streams.enumerated() where number.isMultiple(of: 3) {
          #expect(try await stream.next().event == "session.created")
          await #expect(throws: HTTPFailure.closed) { try await stream.next() }
        }
        for stream in streams { await stream.close() }
      }
    }

    // MARK: Without a stream

    /// A phone that only polls can do everything (contract, section 7).
    @Test(.timeLimit(.minutes(2))) func pollingIsEnough() async throws {
      try await withServer("playground", unlimited) { server in
        let shop = Shop(server: server)
        let phone = try await shop.phone()
        func line() async throws -> [String] {
          let answer = try await phone.call("GET", "/pos/v1/sessions")
          #expect(answer.status == 200, "\(answer)")
          return answer.json["content"]?.elements.compactMap { $0["session_id"]?.text } ?? []
        }
        func delivery(_ session: String) async throws -> String? {
          try await server.get("/ipp/v1/sessions/\(session)").json["delivery"]?["state"]?.text
        }
        #expect(try await line() == [])
        let (first, second) = (try await shop.session(on: phone.id), try await shop.session(on: phone.id))
        #expect(try await line() == [first, second])
        #expect(try await delivery(first) == "QUEUED")
        let fetched = try await phone.call("GET", "/pos/v1/sessions/\(first)")
        #expect(fetched.status == 200 && fetched.json["available_methods"]?.elements.first == "CARD", "\(fetched)")
        #expect(try await delivery(first) == "FETCHED")
        for _ in 0..<2 { #expect(try await phone.call("POST", "/pos/v1/sessions/\(first)/shown").status == 204) }
        #expect(try await delivery(first) == "SHOWN")

        let payments = "/pos/v1/sessions/\(first)/payments"
        let begun = try await phone.call("POST", payments, ["method": "CARD"])
        #expect(begun.status == 201 && begun.json["next_action"]?["type"] == "TAP", "\(begun)")
        let payment = try begun.text("payment_id")
        let pending = try await phone.call("POST", "\(payments)/\(payment)/finalize")
        #expect(pending.json["state"] == "PENDING", "\(pending)")
        // Back to the choice of method, and again.
        let back = try await phone.call("POST", "\(payments)/\(payment)/cancel")
        #expect(back.status == 200 && back.json["state"] == "CANCELLED", "\(back)")
        let again = try await phone.call("POST", payments, ["method": "CARD"])
        #expect(again.status == 201 && again.json["payment_id"] != begun.json["payment_id"])
        let tapped = try await phone.call("POST", "/pos/v1/dev/sessions/\(first)/simulate-tap")
        #expect(tapped.json["state"] == "SUCCEEDED" && tapped.json["session_status"] == "FINALIZED", "\(tapped)")
        let settled = try await phone.call("POST", "\(payments)/\(try again.text("payment_id"))/finalize")
        #expect(settled.status == 200 && settled.json["order_id"] == tapped.json["order_id"])
        let receipt = try await phone.call("GET", "/pos/v1/sessions/\(first)/receipt")
        #expect(receipt.status == 200 && receipt.json["order_id"] == tapped.json["order_id"])
        #expect(receipt.json["order_amount"] == 240000 && receipt.json["order_items"]?.elements.count == 2)
        #expect(receipt.json["payment"]?["card"]?["last_four"]?.text?.count == 4)

        #expect(try await line() == [second])
        let cancelled = try await phone.call("POST", "/pos/v1/sessions/\(second)/cancel")
        #expect(cancelled.status == 200 && cancelled.json["status"] == "CANCELLED")
        #expect(try await line() == [])
        #expect(try await phone.call("GET", "/pos/v1/sessions/\(second)/receipt").status == 404)
      }
    }

    @Test(.timeLimit(.minutes(2))) func phonesAreOnlineWhileTheySpeak() async throws {
      try await withServer("playground", unlimited) { server in
        let shop = Shop(server: server)
        let phone = try await shop.phone()
        func status() async throws -> String? {
          try await server.get("/ipp/v1/devices/\(phone.id)").json["status"]?.text
        }
        #expect(try await status() == "ONLINE")
        try await shop.advanceClock(seconds: 61)
        #expect(try await status() == "OFFLINE")
        #expect(try await phone.call("GET", "/pos/v1/sessions").status == 200)
        #expect(try await status() == "ONLINE")
        try await shop.advanceClock(seconds: 61)
        #expect(try await status() == "OFFLINE")
        let stream = try await phone.stream()
        #expect(try await stream.next().event == "ready")
        #expect(try await status() == "ONLINE")
        // A request to a phone that is not there waits for it.
        try await shop.advanceClock(seconds: 61)
        await stream.close()
        let session = try await shop.session(on: phone.id)
        #expect(try await phone.call("GET", "/pos/v1/sessions").json["content"]?.elements.count == 1)
        #expect(try await server.get("/ipp/v1/sessions/\(session)").json["status"] == "CREATED")
      }
    }
  }
}

/// Where many meet, once per round, and are then sent away together.
private actor Barrier {
  private let parties: Int
  private let stayingAway: Int
  private var arrived: [Int: Int] = [:]
  private var left: [Int: Int] = [:]
  private var over: Set<Int> = []
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private nonisolated let broken = Mutex<Set<Int>>([])

  init(parties: Int, stayingAway: Int) {
    self.parties = parties
    self.stayingAway = stayingAway
  }

  func arrive(_ round: Int) {
    arrived[round, default: 0] += 1
    wakeAll()
  }

  func waitForAll(_ round: Int) async { await wait { arrived[round] == parties } }

  /// Returns when the round is over.
  func stayAway(_ round: Int) async {
    left[round, default: 0] += 1
    wakeAll()
    await wait { over.contains(round) }
  }

  func waitUntilAway(_ round: Int) async { await wait { left[round] == stayingAway } }

  func end(_ round: Int) {
    over.insert(round)
    wakeAll()
  }

  nonisolated func breakOff(_ round: Int) { broken.withLock { _ = $0.insert(round) } }
  nonisolated func isBroken(_ round: Int) -> Bool { broken.withLock { $0.contains(round) } }

  private func wait(until condition: () -> Bool) async {
    while !condition() { await withCheckedContinuation { waiting.append($0) } }
  }

  private func wakeAll() {
    let woken = waiting
    waiting = []
    for continuation in woken { continuation.resume() }
  }
}
