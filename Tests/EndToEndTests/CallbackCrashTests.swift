import Foundation
import KassaJSON
import KassaTestSupport
import Synchronization
import Testing

extension EndToEnd {
  /// Callbacks through receivers that fail a third of the time, from a server that is killed again and again (contract,
  /// section 8).
  struct CallbackCrashTests {
    private static let lives = 6
    private static let tills = 8
    /// Past the first pause between two tries and the lease of a worker that was killed; far from a session's end.
    private static let secondsPerLife: Int64 = 40

    /// What a destination got against what happened: every event of each session and order, acknowledged in the order
    /// 1, 2, 3 …, none sent before the one before it was acknowledged, and none that did not happen. An event may come
    /// twice. `histories` has the types of each one's events.
    static func flaws(_ callbacks: [ReceivedCallback], _ histories: [String: [String]]) -> [String] {
      var flaws: [String] = []
      var acknowledged: [String: Int] = [:]
      for callback in callbacks {
        guard let subject = subject(callback) else { continue }
        let sequence = Int(callback.json["data"]?["sequence"]?.integer ?? 0)
        let type = callback.json["type"]?.text ?? ""
        let done = acknowledged[subject] ?? 0
        let history = histories[subject] ?? []
        if !history.indices.contains(sequence - 1) || history[sequence - 1] != type.replacing("ipp.", with: "") {
          flaws.append("\(subject): \(sequence) \(type) did not happen")
        }
        if sequence > done + 1 { flaws.append("\(subject): \(sequence) was sent when \(done) was acknowledged") }
        if callback.status == 204 { acknowledged[subject] = max(done, sequence) }
      }
      for (subject, history) in histories where acknowledged[subject] != history.count {
        flaws.append("\(subject): acknowledged up to \(acknowledged[subject] ?? 0) of \(history.count)")
      }
      return flaws
    }

    /// The session or order whose event it is. An order's events are a chain of their own, also where they name the
    /// session.
    private static func subject(_ callback: ReceivedCallback) -> String? {
      let isOfSession = callback.json["type"]?.text?.hasPrefix("ipp.") == true
      return callback.json["data"]?[isOfSession ? "session_id" : "order_id"]?.text
    }

    /// Whether a session that is over can have had these events.
    static func isLegal(_ history: [String]) -> Bool {
      let path = history.map { $0.replacing("session.", with: "") }.joined(separator: " ")
      return path.wholeMatch(
        of: /created( activated( payment\.failed)*)? (finalized|cancelled|expired|failed)( payment\.late)*/) != nil
    }

    @Test(.timeLimit(.minutes(5))) func everySessionsEventsArriveInOrder() async throws {
      // A third of the tries fail, at two destinations differently. The third is the control: it acknowledges all, and
      // loses one in twenty.
      let receivers = [
        try await CallbackReceiver { $0 % 3 == 1 ? .fail : .acknowledge },
        try await CallbackReceiver { $0 % 3 == 2 ? .fail : .acknowledge },
        try await CallbackReceiver { $0 % 20 == 7 ? .forget : .acknowledge },
      ]
      try await withTemporaryFolder { folder in
        let plan = ServerPlan("playground", in: folder, options: unlimited + ["--log-level", "warning"])
        let notes = Notes()
        var got: [Int] = []
        for life in 0..<Self.lives {
          let server = try await ServerProcess.start(plan)
          // A server's clock begins with the machine's.
          try await Shop(server: server).advanceClock(seconds: Int64(life) * Self.secondsPerLife)
          if life == 0 { try await subscribe(receivers, server) }
          await sell(server, notes, killAfter: .milliseconds(Int.random(in: 400...1200)))
          got.append(receivers[0].callbacks.count)
        }
        try await withServer(plan) { server in
          try await finish(server, after: Int64(Self.lives) * Self.secondsPerLife)
          let (histories, statuses) = try await whatHappened(server)
          for (session, status) in statuses {
            let history = histories[session] ?? []
            #expect(Self.isLegal(history), "\(session): \(history)")
            #expect(history.last == "session.\(status.lowercased())", "\(session): \(history)")
          }
          // What was answered held.
          for (session, status) in notes.all {
            #expect(statuses[session] != nil, "\(session) was acknowledged, and is lost")
            if status != "CREATED" { #expect(statuses[session] == status) }
          }
          for receiver in receivers.prefix(2) { #expect(Self.flaws(receiver.callbacks, histories) == []) }

          // The load was one: every life sent some, and what one life began another ended.
          let callbacks = receivers[0].callbacks
          #expect(Set(got).count == Self.lives, "callbacks at each kill: \(got)")
          #expect(callbacks.count { $0.status != 204 } > callbacks.count / 4)
          let events = histories.values.reduce(0) { $0 + $1.count }
          print("\(statuses.count) sessions, \(events) events; tries \(receivers.map { $0.callbacks.count })")
          let cut = statuses.keys.count { Set(lives(of: $0, callbacks, got)).count > 1 }
          #expect(cut > 0, "no session's callbacks were cut off by a kill")

          control(receivers, histories)
        }
      }
      for receiver in receivers { await receiver.close() }
    }

    /// Each of these must be noticed by the same check.
    private func control(_ receivers: [CallbackReceiver], _ histories: [String: [String]]) {
      let losing = Self.flaws(receivers[2].callbacks, histories)
      #expect(losing.contains { $0.contains("acknowledged up to") }, "a destination that loses events was not noticed")
      let whole = receivers[0].callbacks
      var onceAcknowledged: Set<String> = []
      let last = whole.lastIndex {
        $0.status == 204 && Self.subject($0) != nil
          && onceAcknowledged.insert($0.json["id"]?.text ?? "").inserted
      }
      guard let last else { return #expect(Bool(false), "nothing was acknowledged") }
      let id = whole[last].json["id"]
      let without = whole.filter { $0.json["id"] != id }
      #expect(!Self.flaws(without, histories).isEmpty, "a lost event was not noticed")
      #expect(!Self.flaws(whole.reversed(), histories).isEmpty, "the wrong order was not noticed")
      var invented = histories
      invented[Self.subject(whole[last]) ?? ""]?.removeLast()
      #expect(!Self.flaws(whole, invented).isEmpty, "an event that did not happen was not noticed")
      #expect(!Self.isLegal(["session.created", "session.finalized", "session.cancelled"]))
      #expect(!Self.isLegal(["session.created", "payment.failed", "session.finalized"]))
      #expect(!Self.isLegal(["session.created", "session.activated"]))
    }

    /// In which of the server's lives a session's callbacks came.
    private func lives(of session: String, _ callbacks: [ReceivedCallback], _ got: [Int]) -> [Int] {
      callbacks.enumerated().filter { Self.subject($0.element) == session }.map { callback in
        got.count { $0 <= callback.offset }
      }
    }

    private func subscribe(_ receivers: [CallbackReceiver], _ server: ServerProcess) async throws {
      for (number, receiver) in receivers.enumerated() {
        let made = try await server.post(
          "/portal/v1/webhooks",
          ["name": .string("Backend \(number)"), "url": .string(receiver.url), "events": ["*"]])
        #expect(made.status == 201, "\(made)")
      }
    }

    // MARK: Load

    /// Sells at several tills until the server is killed, and notes the last status that was answered of each session.
    private func sell(_ server: ServerProcess, _ noted: Notes, killAfter delay: Duration) async {
      await withTaskGroup { group in
        for till in 0..<Self.tills {
          group.addTask {
            guard let connection = try? await server.connect() else { return }
            do {
              try await sell(at: "Till \(till)", Shop(server: server), over: connection, noted)
            } catch {
              // The server is gone, as it should be: what was not noted was not acknowledged.
            }
            await connection.close()
          }
        }
        try? await Task.sleep(for: delay)
        await server.kill()
      }
    }

    private func sell(at till: String, _ shop: Shop, over connection: HTTPConnection, _ noted: Notes) async throws {
      let phone = try await shop.phone(till, over: connection)
      for number in 0... {
        let session = try await shop.session(on: phone.id, over: connection)
        noted.note(session, "CREATED")
        switch number % 4 {
        case 0: break
        case 1:
          let answer = try await shop.cancel(session, over: connection)
          if answer.status == 200 { noted.note(session, try answer.text("status")) }
          continue
        default: for _ in 1..<number % 4 { _ = try await shop.tap(session, "LOST_CARD", over: connection) }
        }
        let answer = try await shop.tap(session, over: connection)
        if answer.status == 200 { noted.note(session, try answer.text("status")) }
      }
    }

    private final class Notes: Sendable {
      private let statuses = Mutex<[String: String]>([:])

      var all: [String: String] { statuses.withLock { $0 } }
      func note(_ session: String, _ status: String) { statuses.withLock { $0[session] = status } }
    }

    // MARK: Afterwards

    /// Moves the clock until every session is over and nothing waits to be sent.
    private func finish(_ server: ServerProcess, after seconds: Int64) async throws {
      let shop = Shop(server: server)
      try await shop.advanceClock(seconds: seconds)
      try await shop.advanceClock(seconds: 1000)
      try await eventually("every session is over") {
        for status in ["CREATED", "ACTIVE"] {
          let open = try await server.get("/ipp/v1/sessions?status=\(status)&page_size=1")
          if open.json["total_elements"] != 0 { return false }
        }
        return true
      }
      try await eventually("nothing waits") {
        // Longer than the longest pause: everything that waits is due.
        try await shop.advanceClock(seconds: 100_000)
        try await Task.sleep(for: .milliseconds(300))
        return try await server.send(HTTPCall("GET", "/metrics")).text.contains("\nkassa_callback_pending 0\n")
      }
    }

    /// The types of each session's and order's events in their order, and each session's status.
    private func whatHappened(
      _ server: ServerProcess
    ) async throws -> (histories: [String: [String]], statuses: [String: String]) {
      var statuses: [String: String] = [:]
      for session in try await Snapshot.all("/ipp/v1/sessions?page_size=1000", server) {
        statuses[session["session_id"]?.text ?? ""] = session["status"]?.text
      }
      var histories: [String: [String]] = [:]
      for event in try await Snapshot.all("/portal/v1/audit-entries?page_size=1000", server).reversed() {
        guard let subject = event["subject_id"]?.text, let type = event["type"]?.text else { continue }
        let isOfOrder = ["order.", "capture.", "refund."].contains { type.hasPrefix($0) }
        guard isOfOrder || statuses[subject] != nil else { continue }
        histories[subject, default: []].append(type)
        #expect(event["sequence"]?.integer == Int64(histories[subject]?.count ?? 0), "\(subject)")
      }
      #expect(Set(statuses.keys).isSubset(of: histories.keys))
      return (histories, statuses)
    }
  }
}
