import ArgumentParser
import Foundation
import KassaJSON
import KassaServer

struct DeviceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "device",
    abstract: "Be a POS phone in this terminal: pair with a code, see the line of payments, take them.",
    discussion: """
      Pair once with --code (or --link); the phone's token is kept in --state-file and used from then on.

      Keys: t taps a card, d taps one that is declined, c cancels the session, q leaves.

      For a test suite: kassa device --code ABC123XYZ --script tap,decline,tap,cancel takes one payment request after the \
      other, does what the script says with each step, prints one line a step, and ends. A declined session stays in the \
      line, so that the next step meets it again. A step may name its outcome: decline:EXPIRED_CARD.
      """)

  @Option(help: "The server.")
  var url = "http://127.0.0.1:8080"

  @Option(help: "The enrollment code, as the backend shows it.")
  var code: String?

  @Option(help: "The enrollment's deep link, instead of a code.")
  var link: String?

  @Option(help: "What the phone is called.")
  var name = "Terminal"

  @Option(help: "Where the pairing is kept.")
  var stateFile = "kassa-device.json"

  @Option(help: "Steps to take unattended, with commas between: tap, decline, decline:OUTCOME, cancel.")
  var script: String?

  @Option(help: "How long a step of the script waits for a payment request, in seconds.")
  var waitSeconds = 60

  func run() async throws {
    let steps = try script.map { try $0.split(separator: ",").map { try ScriptStep(String($0)) } }
    let phone = try await pairedPhone()
    if let steps {
      try await runScript(steps, phone)
    } else {
      try await DeviceScreen(phone: phone, name: name, url: phone.client.url).run()
    }
  }

  private func pairedPhone() async throws -> Phone {
    if code != nil || link != nil {
      let (phone, token) = try await Phone.pair(url: url, code: code, link: link, name: name)
      let state = json { object in
        object.member("url", url)
        object.member("device_id", phone.deviceID)
        object.member("bearer_token", token)
      }
      guard
        FileManager.default.createFile(
          atPath: stateFile, contents: Data(state), attributes: [.posixPermissions: 0o600])
      else { throw SettingsError("--state-file: \(stateFile) cannot be written") }
      Console.say("paired as device \(phone.deviceID)")
      return phone
    }
    guard let data = FileManager.default.contents(atPath: stateFile),
      let state = jsonObject(of: Array(data)), let url = state.text("url"),
      let device = state.text("device_id"), let token = state.text("bearer_token")
    else { throw SettingsError("not paired yet (\(stateFile) is missing): give --code with an enrollment code") }
    return Phone(url: url, deviceID: device, token: token)
  }

  private func runScript(_ steps: [ScriptStep], _ phone: Phone) async throws {
    for step in steps {
      let session = try await nextSession(phone)
      guard let id = session.text("session_id") else { throw SettingsError("a session has no id") }
      let shown = try await phone.show(id)
      let amount = money(shown.integer("order_amount") ?? 0, shown.text("purchase_currency") ?? "")
      let outcome: String
      switch step {
      case .tap(let card):
        let attempt = try await phone.tap(id, outcome: card)
        outcome = [attempt.text("state"), attempt.text("failure_reason")].compactMap { $0 }.joined(separator: " ")
      case .cancel:
        outcome = try await phone.cancel(id).text("status") ?? ""
      }
      Console.say("\(step)  \(amount)  session \(id)  \(outcome)")
    }
  }

  private func nextSession(_ phone: Phone) async throws -> JSONObject {
    for _ in 0..<(waitSeconds * 5) {
      if let first = try await phone.line().first { return first }
      try await Task.sleep(for: .milliseconds(200))
    }
    throw SettingsError("no payment request came within \(waitSeconds) seconds")
  }
}

/// One step of a script.
private enum ScriptStep: CustomStringConvertible {
  case tap(outcome: String)
  case cancel

  init(_ text: String) throws {
    let parts = text.trimmingCharacters(in: .whitespaces).split(separator: ":", maxSplits: 1).map(String.init)
    switch (parts.first, parts.count) {
    case ("tap", 1): self = .tap(outcome: "SUCCESS")
    case ("decline", 1): self = .tap(outcome: "DECLINED_GENERIC")
    case ("decline", 2): self = .tap(outcome: parts[1])
    case ("cancel", 1): self = .cancel
    default: throw SettingsError("--script: \"\(text)\" must be tap, decline, decline:OUTCOME or cancel")
    }
  }

  var description: String {
    switch self {
    case .tap("SUCCESS"): "tap"
    case .tap(let outcome): "decline:\(outcome)"
    case .cancel: "cancel"
    }
  }
}
