import ArgumentParser
import Foundation
import KassaJSON
import KassaServer

struct Rehearse: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Live through everything once: pair, pay, decline, cancel, lose a callback and an answer; with times.",
    discussion: """
      Starts a playground of its own in a temporary folder and removes it afterwards; with --ready-file, --api-key or --url it \
      rehearses against a playground that runs already. Ends with status 1 when a step did not end as it must.
      """)

  @OptionGroup var backend: BackendOptions

  func run() async throws {
    if backend.readyFile != nil || backend.apiKey != nil || backend.url != nil {
      try await Rehearsal(backend: try backend.client()).run()
      return
    }
    let start = ContinuousClock.now
    let playground = try await OwnPlayground.start()
    let result: Result<Void, any Error>
    do {
      Rehearsal.say("a playground listens on \(playground.client.url)", since: start)
      result = .success(try await Rehearsal(backend: playground.client).run())
    } catch {
      result = .failure(error)
    }
    playground.stop()
    try result.get()
  }
}

/// A playground in a process of its own, in a temporary folder.
private struct OwnPlayground {
  /// Time to come up on a slow machine.
  private static let startSeconds = 30.0

  let client: KassaClient
  private let process: Process
  private let folder: URL

  static func start() async throws -> OwnPlayground {
    let folder = FileManager.default.temporaryDirectory.appending(path: "kassa-rehearsal-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let readyFile = folder.appending(path: "ready.json").path
    let process = Process()
    process.executableURL = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.arguments = [
      "playground", "--port", "0", "--ready-file", readyFile, "--log-level", "error", "--database-url",
      "sqlite:\(folder.appending(path: "kassa.sqlite").path)",
    ]
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    let end = ContinuousClock.now.advanced(by: .seconds(startSeconds))
    while ContinuousClock.now < end, process.isRunning {
      if let data = FileManager.default.contents(atPath: readyFile), let ready = jsonObject(of: Array(data)),
        let url = ready.text("url"), let key = ready.text("api_key")
      {
        return OwnPlayground(
          client: KassaClient(url: url, authorization: "Basic \(key)"), process: process, folder: folder)
      }
      try await Task.sleep(for: .milliseconds(5))
    }
    process.terminate()
    throw SettingsError("the rehearsal's own playground did not come up")
  }

  func stop() {
    process.terminate()
    process.waitUntilExit()
    try? FileManager.default.removeItem(at: folder)
  }
}

/// The steps, and whether each ended as it must.
private struct Rehearsal: Sendable {
  /// How long a step waits for what must come.
  private static let waitSeconds = 30.0

  let backend: KassaClient
  private let callbacks = Mailbox<ReceivedCallback>()
  /// The id of an event whose next callback is refused, as if it were lost.
  private let lost = LockedText()

  init(backend: KassaClient) { self.backend = backend }

  func run() async throws {
    let (callbacks, lost) = (callbacks, lost)
    try await CallbackReceiver.run(for: backend, named: "kassa rehearse") { callback in
      if callback.type == "ipp.session.created", lost.value == "next" {
        lost.value = callback.id
        return 500
      }
      callbacks.put(callback)
      return 204
    } _: { _ in
      try await steps()
    }
    Console.say("\nEvery step ended as it must.")
  }

  private func steps() async throws {
    heading("Pair a phone")
    let phone = try await pair()
    let pushes = Mailbox<String>()
    let follower = Task {
      try? await phone.client.follow("/pos/v1/events", lastEventID: nil) { event in
        pushes.put("\(event.name) \(event.data.text("session_id") ?? "")")
      }
    }
    defer { follower.cancel() }
    let ready = try await pushes.take(withinSeconds: Self.waitSeconds) { $0.hasPrefix("ready") }
    try expect(ready != nil, "a stream")

    heading("Pay by card")
    let paid = try await dispatch(phone, pushes)
    try await step("the customer taps: paid") {
      let attempt = try await phone.tap(paid, outcome: "SUCCESS")
      try expect(attempt.text("state") == "SUCCEEDED", "SUCCEEDED", attempt.text("state"))
    }
    try await step("the backend hears of it, with the order") {
      let callback = try await callback("ipp.session.finalized", of: paid)
      try expect(callback.data.text("order_id") != nil, "an order_id", nil)
    }
    try await timeline(paid)

    heading("Decline, then cancel")
    let declined = try await dispatch(phone, pushes)
    try await step("a card without money is tapped: declined") {
      let attempt = try await phone.tap(declined, outcome: "INSUFFICIENT_FUNDS")
      try expect(attempt.text("failure_reason") == "INSUFFICIENT_FUNDS", "INSUFFICIENT_FUNDS", attempt.text("state"))
    }
    try await step("the backend hears why") {
      let callback = try await callback("ipp.payment.failed", of: declined)
      try expect(callback.data.text("failure_reason") == "INSUFFICIENT_FUNDS", "the reason", nil)
    }
    try await step("the backend cancels, and it is confirmed") {
      let session = try await backend.send("PUT", "/ipp/v1/sessions/\(declined)/cancel")
      try expect(session.text("status") == "CANCELLED", "CANCELLED", session.text("status"))
    }
    try await timeline(declined)

    heading("Lose a callback")
    lost.value = "next"
    let late = try await createSession(phone)
    try await step("the backend's receiver fails once") {
      while lost.value == "next" { try await Task.sleep(for: .milliseconds(2)) }
    }
    try await step("the clock goes six seconds on, and the same event comes again, before any later one") {
      try await backend.send("POST", "/ipp/v1/dev/clock", json { $0.member("advance_seconds", 6) })
      let callback = try await callback("ipp.session.created", of: late)
      try expect(callback.id == lost.value, "the same event id", callback.id)
    }
    try await step("the clerk cancels on the phone") {
      let session = try await phone.cancel(late)
      try expect(session.text("status") == "CANCELLED", "CANCELLED", session.text("status"))
    }
    try await timeline(late)

    heading("Lose a provider's answer")
    let unknown = try await dispatch(phone, pushes)
    try await step("the card is charged, but the answer is lost: not known, and not called failed") {
      try await backend.send(
        "POST", "/ipp/v1/dev/card-faults",
        json {
          $0.member("operation", "SETTLE")
          $0.member("fault", "LOSE_ANSWER")
        })
      let attempt = try await phone.tap(unknown, outcome: "SUCCESS")
      try expect(attempt.text("state") == "UNKNOWN", "UNKNOWN", attempt.text("state"))
    }
    try await step("Kassa asks again by itself, and finds that it was paid after all") {
      _ = try await callback("ipp.session.finalized", of: unknown)
    }
    try await timeline(unknown)
  }

  private func pair() async throws -> Phone {
    let enrollment = LockedText()
    try await step("the backend makes a one-time code") {
      let made = try await backend.send("POST", "/ipp/v1/enrollments", json { _ in })
      enrollment.value = made.text("enrollment_code") ?? ""
      try expect(!enrollment.value.isEmpty, "an enrollment_code", nil)
    }
    let start = ContinuousClock.now
    let (phone, _) = try await Phone.pair(url: backend.url, code: enrollment.value, link: nil, name: "Rehearsal")
    Self.say("the clerk types \(enrollment.value): paired", since: start)
    return phone
  }

  /// Creates a session and follows it onto the phone's screen.
  private func dispatch(_ phone: Phone, _ pushes: Mailbox<String>) async throws -> String {
    let id = try await createSession(phone)
    try await step("the phone's stream has it") {
      let push = try await pushes.take(withinSeconds: Self.waitSeconds) { $0 == "session.created \(id)" }
      try expect(push != nil, "session.created", nil)
    }
    try await step("the clerk sees it") { _ = try await phone.show(id) }
    return id
  }

  private func createSession(_ phone: Phone) async throws -> String {
    let id = LockedText()
    try await step("the backend asks for 250.00 SEK") {
      let session = try await backend.send("POST", "/ipp/v1/sessions", Self.order(phone.deviceID))
      id.value = session.text("session_id") ?? ""
    }
    return id.value
  }

  private static func order(_ device: String) -> [UInt8] {
    json { object in
      object.member("device_id", device)
      object.member("order_amount", 25_000)
      object.member("purchase_currency", "SEK")
      object.member("merchant_reference1", "REHEARSAL")
      object.member(
        "order_items",
        array: { items in
          items.elementObject { item in
            item.member("type", "physical")
            item.member("name", "Coffee beans")
            item.member("quantity", 2)
            item.member("unit_price", 12_500)
            item.member("total_amount", 25_000)
            item.member("tax_rate", 1200)
            item.member("total_tax_amount", 2679)
          }
        })
    }
  }

  private func callback(_ type: String, of session: String) async throws -> ReceivedCallback {
    let found = try await callbacks.take(withinSeconds: Self.waitSeconds) {
      $0.type == type && $0.data.text("session_id") == session
    }
    guard let found else { throw Failed(description: "no \(type) came within \(Self.waitSeconds) seconds") }
    try expect(found.isVerified, "a right signature", nil)
    return found
  }

  private func timeline(_ session: String) async throws {
    let view = try await backend.send("GET", "/ipp/v1/sessions/\(session)")
    let steps = view.objects("timeline").map { entry in
      let time = (entry.text("at") ?? "").dropFirst(11).prefix(12)
      return "            \(time)  \(entry.text("what") ?? "")\(entry.text("failure_reason").map { "  \($0)" } ?? "")"
    }
    Console.say("            timeline, as GET /ipp/v1/sessions/… tells it; it is \(view.text("status") ?? ""):")
    Console.say(steps.joined(separator: "\n"))
  }

  private struct Failed: Error, CustomStringConvertible {
    let description: String
  }

  private func expect(_ isRight: Bool, _ wanted: String, _ found: String? = nil) throws {
    if !isRight { throw Failed(description: "expected \(wanted), found \(found ?? "none")") }
  }

  private func step(_ what: String, _ body: () async throws -> Void) async throws {
    let start = ContinuousClock.now
    do {
      try await body()
    } catch {
      Console.say("   FAILED   \(what): \(error)")
      throw ExitCode.failure
    }
    Self.say(what, since: start)
  }

  private func heading(_ text: String) { Console.say("\n\(text)") }

  static func say(_ what: String, since start: ContinuousClock.Instant) {
    let duration = start.duration(to: .now).components
    let milliseconds = Double(duration.seconds) * 1000 + Double(duration.attoseconds) / 1e15
    Console.say(String(format: "%8.1f ms  ", milliseconds) + what)
  }
}
