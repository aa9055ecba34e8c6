import Foundation
import KassaJSON
import KassaTestSupport
import Synchronization

/// What the servers acknowledged, as their clients remember it.
struct FleetRecords: Sendable {
  /// Tag to enrollment; the tag is also the request's idempotency key.
  var created: [String: String] = [:]
  /// Enrollment to the device that was paired with its code.
  var paired: [String: String] = [:]
  /// Session to its device.
  var sessions: [String: String] = [:]
  /// How a session was said to have ended.
  var ended: [String: String] = [:]
  /// Devices whose removal was acknowledged.
  var removed: Set<String> = []
  /// Answers that nobody should get.
  var surprises: [String] = []
  /// What the load came to.
  var lostAnswers = 0
  var replays = 0
  var refusedKeys = 0
  var judgedGuesses = 0
}

/// Backends, phones and guessers that go on whatever happens to the servers, each call to whichever lives.
final class FleetLoad: Sendable {
  static let tills = 6
  /// Failed attempts at codes per source and minute, which all servers count together.
  static let codeAttempts = 4
  private static let guesses = 10

  /// Options of a server that this load is for.
  static let options = [
    "--requests-per-second-per-merchant", "0", "--code-attempts-per-day", "1000000",
    "--code-attempts-per-source-per-minute", "\(codeAttempts)", "--trusted-proxies", "127.0.0.1",
    "--session-seconds", "20", "--log-level", "warning",
  ]

  /// A phone, and what its stream told it.
  final class Till: Sendable {
    let device: String
    let token: String
    private let frames = Mutex<[EventStream.Frame]>([])

    init(device: String, token: String) {
      self.device = device
      self.token = token
    }

    var seen: [EventStream.Frame] { frames.withLock { $0 } }
    var authorization: (String, String) { ("authorization", "Bearer \(token)") }
    fileprivate func note(_ frame: EventStream.Frame) { frames.withLock { $0.append(frame) } }
  }

  let fleet: Fleet
  private let key: (String, String)
  private let state = Mutex(FleetRecords())
  private let feed = Mutex<[JSONValue]>([])
  private let isSelling = Atomic(true)
  private let isListening = Atomic(true)

  init(_ fleet: Fleet) {
    self.fleet = fleet
    key = fleet.living[0].authorization()
  }

  var records: FleetRecords { state.withLock { $0 } }
  /// The events that a backend pulled, in the order it saw them.
  var pulled: [JSONValue] { feed.withLock { $0 } }

  private func change(_ body: (inout FleetRecords) -> Void) { state.withLock { body(&$0) } }
  private func note(surprise: String, _ answer: HTTPAnswer?) {
    change { $0.surprises.append("\(surprise): \(answer.map { "\($0)" } ?? "no answer")") }
  }

  private func post(_ path: String, _ json: JSONValue, once tag: String) -> HTTPCall {
    HTTPCall("POST", path, headers: [key, ("idempotency-key", tag)], json: json)
  }

  private func call(_ method: String, _ path: String) -> HTTPCall { HTTPCall(method, path, headers: [key]) }

  /// One try, of which may come nothing.
  private func ask(_ call: HTTPCall) async throws -> HTTPAnswer? {
    let answer = try await fleet.ask(call)
    if answer == nil { change { $0.lostAnswers += 1 } }
    return answer
  }

  /// Asks until it is answered, and then the same again of whichever server: the answers must be the same.
  private func once(_ call: HTTPCall, status: Int) async throws -> HTTPAnswer {
    let first = try await fleet.insist(call)
    let second = try await fleet.insist(call)
    if first.status != status || second.status != status || first.body != second.body {
      note(surprise: "\(call.path) is answered \(first), and again", second)
      throw Missing(description: "\(call.path): \(first)")
    }
    change { $0.replays += 1 }
    return first
  }

  // MARK: Running

  /// Makes the tills, keeps selling while `body` runs, and returns the tills, whose streams go on until `listen` ends.
  func makeTills() async throws -> [Till] {
    var tills: [Till] = []
    for number in 0..<Self.tills {
      let made = try await once(
        post("/ipp/v1/dev/devices", ["name": .string("Till \(number)")], once: UUID().uuidString), status: 201)
      guard let token = made.json["credentials"]?["bearer_token"]?.text else { throw Missing(description: "\(made)") }
      tills.append(Till(device: try made.text("device_id"), token: token))
    }
    return tills
  }

  /// Sells, pairs, guesses, revokes and removes until `stopSelling`.
  func sell(at tills: [Till]) async {
    await withTaskGroup { group in
      for till in tills { group.addTask { await self.again { try await self.sell(at: till, $0) } } }
      for _ in 0..<2 { group.addTask { await self.again { _ in try await self.pair() } } }
      group.addTask { await self.again { _ in try await self.useAndRevokeAKey() } }
      group.addTask { await self.again { _ in try await self.pairAndRemove() } }
      group.addTask { await self.again { try await self.guess($0) } }
    }
  }

  /// Follows the phones' streams and the feed until `stopListening`.
  func listen(_ tills: [Till]) async {
    await withTaskGroup { group in
      for till in tills { group.addTask { await self.follow(till) } }
      group.addTask { await self.pull() }
    }
  }

  func stopSelling() { isSelling.store(false, ordering: .relaxed) }
  func stopListening() { isListening.store(false, ordering: .relaxed) }

  private func again(_ body: (Int) async throws -> Void) async {
    var number = 0
    while isSelling.load(ordering: .relaxed), !Task.isCancelled {
      do {
        try await body(number)
      } catch {
        change { $0.surprises.append("\(error)") }
        return
      }
      number += 1
    }
  }

  // MARK: Pairing

  /// Makes a code, for which three phones then race at whichever servers.
  private func pair() async throws {
    let tag = UUID().uuidString
    let made = try await once(
      post("/ipp/v1/enrollments", ["metadata": ["tag": .string(tag)]], once: tag), status: 201)
    let (id, code) = (try made.text("enrollment_id"), try made.text("enrollment_code"))
    change { $0.created[tag] = id }
    let answers = try await withThrowingTaskGroup(of: HTTPAnswer?.self) { group in
      for _ in 0..<3 {
        group.addTask {
          let source = (0..<3).map { _ in "\(Int.random(in: 1...254))" }.joined(separator: ".")
          return try await self.ask(
            HTTPCall(
              "POST", "/pos/v1/devices", headers: [("x-forwarded-for", "10.\(source)")],
              json: registration(code, hardwareID: id)))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    let winners = answers.compactMap { $0 }.filter { $0.status == 201 }
    for answer in answers.compactMap({ $0 }) where answer.status != 201 && answer.code != "enrollment_code_invalid" {
      note(surprise: "a race for a code", answer)
    }
    if winners.count > 1 { note(surprise: "\(winners.count) paired with one code", winners[0]) }
    if winners.isEmpty, !answers.contains(where: { $0 == nil }) {
      note(surprise: "nobody paired with a code", answers[0])
    }
    if let winner = winners.first {
      let device = try winner.text("id")
      change { $0.paired[id] = device }
    }
  }

  /// Spends one source's budget at all servers at once: together they evaluate no more than one would.
  private func guess(_ number: Int) async throws {
    let source = "203.0.\(number / 250 % 250).\(number % 250 + 1)"
    let minute = Int(Date().timeIntervalSince1970) / 60
    let answers = try await withThrowingTaskGroup(of: HTTPAnswer?.self) { group in
      for _ in 0..<Self.guesses {
        group.addTask {
          try await self.ask(
            HTTPCall(
              "POST", "/pos/v1/devices", headers: [("x-forwarded-for", source)], json: registration("00000000A")))
        }
      }
      return try await group.reduce(into: []) { $0.append($1) }
    }
    guard Int(Date().timeIntervalSince1970) / 60 == minute else { return }
    let evaluated = answers.count { $0?.status == 404 }
    let refused = answers.count { $0?.status == 429 }
    let lost = answers.count { $0 == nil }
    let isRight =
      evaluated <= Self.codeAttempts && refused <= Self.guesses - Self.codeAttempts
      && evaluated + refused + lost == Self.guesses
    if !isRight {
      note(surprise: "\(evaluated) guesses evaluated, \(refused) refused", answers.compactMap { $0 }.first)
    }
    change { $0.judgedGuesses += 1 }
    try await Task.sleep(for: .milliseconds(50))
  }

  // MARK: Revoking

  /// A key that was revoked at one server is refused by all at once.
  private func useAndRevokeAKey() async throws {
    let made = try await once(
      post("/portal/v1/api-keys", ["name": "for a while"], once: UUID().uuidString), status: 201)
    let (id, text) = (try made.text("id"), try made.text("api_key"))
    let use = HTTPCall("GET", "/ipp/v1/locations", headers: [("authorization", "Basic \(text)")])
    for server in fleet.living {
      if let answer = await fleet.ask(use, at: server), answer.status != 200 { note(surprise: "a new key", answer) }
    }
    let revoked = try await fleet.insist(call("DELETE", "/portal/v1/api-keys/\(id)"))
    if revoked.status != 204 { note(surprise: "revoking", revoked) }
    for server in fleet.living {
      guard let answer = await fleet.ask(use, at: server) else { continue }
      if answer.status == 401 {
        change { $0.refusedKeys += 1 }
      } else {
        note(surprise: "a revoked key", answer)
      }
    }
  }

  /// A device that was removed at one server is unknown to all at once, and its stream ends.
  private func pairAndRemove() async throws {
    let made = try await once(
      post("/ipp/v1/dev/devices", ["name": "for a while"], once: UUID().uuidString), status: 201)
    guard let token = made.json["credentials"]?["bearer_token"]?.text else { throw Missing(description: "\(made)") }
    let (id, authorization) = (try made.text("device_id"), ("authorization", "Bearer \(token)"))
    let stream = try? await EventStream.open(
      port: try await fleet.anyone().port, HTTPCall("GET", "/pos/v1/events", headers: [authorization]))
    let removed = try await fleet.insist(call("DELETE", "/ipp/v1/devices/\(id)"))
    // The first answer may have been lost.
    if removed.status != 204, removed.status != 404 { note(surprise: "removing a device", removed) }
    change { $0.removed.insert(id) }
    for server in fleet.living {
      let answer = await fleet.ask(HTTPCall("GET", "/pos/v1/device", headers: [authorization]), at: server)
      if let answer, answer.status != 401 { note(surprise: "a removed device", answer) }
    }
    guard let stream else { return }
    do {
      while true { _ = try await stream.next() }
    } catch HTTPFailure.closed {
      // It ended, or its server did.
    }
    await stream.close()
  }

  // MARK: Selling

  private func sell(at till: Till, _ number: Int) async throws {
    let tag = UUID().uuidString
    let request = try Shop.sample(till.device).setting("merchant_reference1", to: .string(tag))
    let made = try await once(post("/ipp/v1/sessions", request, once: tag), status: 200)
    let id = try made.text("session_id")
    change { $0.sessions[id] = till.device }
    // Whichever server is asked has it at once.
    let line = try await fleet.insist(HTTPCall("GET", "/pos/v1/sessions", headers: [till.authorization]))
    let isShown = line.json["content"]?.elements.contains { $0["session_id"]?.text == id } ?? false
    if !isShown { note(surprise: "the line lacks \(id)", line) }
    func tap(_ outcome: String) -> HTTPCall {
      call("POST", "/ipp/v1/dev/sessions/\(id)/simulate-tap?outcome=\(outcome)")
    }
    let cancel = call("PUT", "/ipp/v1/sessions/\(id)/cancel")
    switch number % 4 {
    case 0: note(try await ask(tap("SUCCESS")), of: id)
    case 1: break
    case 2:
      async let tapped = ask(tap("SUCCESS"))
      async let cancelled = ask(cancel)
      note(try await tapped, of: id)
      note(try await cancelled, of: id)
    default:
      _ = try await ask(
        HTTPCall(
          "POST", "/pos/v1/sessions/\(id)/payments", headers: [till.authorization], json: ["method": "CARD"]))
      note(try await ask(tap("EXPIRED_CARD")), of: id)
      note(try await ask(tap("SUCCESS")), of: id)
    }
    // Whatever is left of it blocks the till: it is cancelled, or was paid. While nobody knows, it is left alone.
    for _ in 0..<3 where records.ended[id] == nil {
      let answer = try await fleet.insist(cancel)
      note(answer, of: id)
      if answer.code == "payment_outcome_unknown" { try await Task.sleep(for: .milliseconds(100)) }
    }
  }

  /// Remembers an end that was acknowledged.
  private func note(_ answer: HTTPAnswer?, of session: String) {
    guard let answer else { return }
    let status: String?
    switch (answer.status, answer.code) {
    case (200, _): status = answer.json["status"]?.text
    case (409, "session_finalized"): status = "FINALIZED"
    case (409, _): status = nil
    default: return note(surprise: "paying or cancelling", answer)
    }
    guard let status, status != "CREATED", status != "ACTIVE" else { return }
    change { records in
      if let before = records.ended[session], before != status {
        records.surprises.append("\(session) was \(before), and is \(status)")
      }
      records.ended[session] = status
    }
  }

  // MARK: Listening

  private func follow(_ till: Till) async {
    var cursor = "0"
    while isListening.load(ordering: .relaxed), !Task.isCancelled {
      guard let server = try? await fleet.anyone(),
        let stream = try? await EventStream.open(
          port: server.port,
          HTTPCall("GET", "/pos/v1/events", headers: [till.authorization, ("last-event-id", cursor)])),
        stream.isStream
      else {
        // Gone since, or it has not noticed yet that the stream before has ended.
        try? await Task.sleep(for: .milliseconds(20))
        continue
      }
      while isListening.load(ordering: .relaxed), !Task.isCancelled {
        do {
          let frame = try await stream.next(withinSeconds: 1)
          cursor = frame.id ?? cursor
          till.note(frame)
        } catch HTTPFailure.timedOut {
          continue
        } catch {
          break
        }
      }
      await stream.close()
    }
  }

  private func pull() async {
    var cursor = ""
    while isListening.load(ordering: .relaxed), !Task.isCancelled {
      let path = "/portal/v1/events?limit=50" + (cursor.isEmpty ? "" : "&after=\(cursor)")
      if let page = try? await fleet.ask(call("GET", path)), page.status == 200 {
        cursor = page.json["next_cursor"]?.text ?? cursor
        feed.withLock { $0 += page.json["content"]?.elements ?? [] }
      }
      try? await Task.sleep(for: .milliseconds(20))
    }
  }

  /// The whole feed, in one go.
  func wholeFeed() async throws -> [JSONValue] {
    var (events, cursor): ([JSONValue], String) = ([], "")
    while true {
      let page = try await fleet.insist(
        call("GET", "/portal/v1/events?limit=1000" + (cursor.isEmpty ? "" : "&after=\(cursor)")))
      cursor = try page.text("next_cursor")
      events += page.json["content"]?.elements ?? []
      if page.json["has_more"] != true { return events }
    }
  }
}
