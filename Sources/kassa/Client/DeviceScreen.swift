import Foundation
import KassaJSON
import KassaServer

/// The phone's screen in a terminal, and its keys.
struct DeviceScreen {
  let phone: Phone
  let name: String
  let url: String

  private enum Input: Sendable {
    case changed(isConnected: Bool)
    case key(UInt8)
    case ended(String)
  }

  private struct Content {
    var line: [JSONObject] = []
    var isConnected = false
    var message = ""
  }

  /// Shows the line, live, and does what the keys say, until q or until the device is removed.
  func run() async throws {
    guard isatty(STDIN_FILENO) == 1 else {
      throw SettingsError("the phone needs a terminal for its keys; give --script to run unattended")
    }
    let terminal = RawTerminal()
    defer { terminal.restore() }
    let (inputs, continuation) = AsyncStream.makeStream(of: Input.self)
    let phone = self.phone
    let follower = Task {
      do {
        try await phone.follow { continuation.yield(.changed(isConnected: $0)) }
      } catch {
        continuation.yield(.ended("\(error)"))
      }
    }
    let keys = Thread {
      var byte: UInt8 = 0
      while read(STDIN_FILENO, &byte, 1) == 1 { continuation.yield(.key(byte)) }
    }
    keys.start()
    defer { follower.cancel() }

    var content = Content()
    draw(content)
    for await input in inputs {
      switch input {
      case .changed(let isConnected):
        content.isConnected = isConnected
        if isConnected { await refresh(&content) }
      case .key(UInt8(ascii: "q")), .key(3): return
      case .key(let key): await act(key, &content)
      case .ended(let reason):
        Console.say("\r\n\(reason)")
        return
      }
      draw(content)
    }
  }

  private func act(_ key: UInt8, _ content: inout Content) async {
    guard let id = content.line.first?.text("session_id") else { return }
    do {
      switch key {
      case UInt8(ascii: "t"): content.message = said(try await phone.tap(id, outcome: "SUCCESS"))
      case UInt8(ascii: "d"): content.message = said(try await phone.tap(id, outcome: "DECLINED_GENERIC"))
      case UInt8(ascii: "c"): content.message = (try await phone.cancel(id)).text("status") ?? ""
      default: return
      }
    } catch {
      content.message = "\(error)"
    }
    await refresh(&content)
  }

  private func said(_ attempt: JSONObject) -> String {
    switch attempt.text("state") {
    case "SUCCEEDED": "paid · order \(attempt.text("order_id") ?? "")"
    case "FAILED": "declined: \(attempt.text("failure_reason") ?? "") · try again or cancel"
    case "UNKNOWN": "not known yet whether it was paid: asking"
    case let state: state ?? ""
    }
  }

  private func refresh(_ content: inout Content) async {
    do {
      content.line = try await phone.line()
      if let id = content.line.first?.text("session_id") { content.line[0] = try await phone.show(id) }
    } catch {
      content.message = "\(error)"
    }
  }

  private func draw(_ content: Content) {
    var rows = [
      "\u{1b}[2J\u{1b}[H\u{1b}[1m\(name)\u{1b}[0m   \(content.isConnected ? "online" : "offline: trying again")   \(url)"
    ]
    rows.append(String(repeating: "─", count: 60))
    if let session = content.line.first {
      let currency = session.text("purchase_currency") ?? ""
      let reference = session.text("merchant_reference1").map { "   \($0)" } ?? ""
      rows.append("\u{1b}[1m\(money(session.integer("order_amount") ?? 0, currency))\u{1b}[0m\(reference)")
      for item in session.objects("order_items").prefix(12) {
        let quantity = item.integer("quantity") ?? 1
        rows.append(
          "  \(quantity) × \(item.text("name") ?? "")   \(money(item.integer("total_amount") ?? 0, currency))")
      }
      if session.objects("order_items").count > 12 { rows.append("  … and more") }
      if let tax = session.integer("order_tax_amount") { rows.append("  of which tax \(money(tax, currency))") }
      if content.line.count > 1 { rows.append("\(content.line.count - 1) more waiting") }
      rows.append("")
      rows.append("[t] tap a card   [d] tap one that is declined   [c] cancel   [q] leave")
    } else {
      rows.append("Nothing to pay. A payment request for device")
      rows.append(phone.deviceID)
      rows.append("shows here at once.")
      rows.append("")
      rows.append("[q] leave")
    }
    if !content.message.isEmpty { rows += ["", content.message] }
    Console.say(rows.joined(separator: "\r\n") + "\r")
  }
}

/// A terminal that gives each key as it is pressed.
private struct RawTerminal {
  private let before: termios

  init() {
    var state = termios()
    tcgetattr(STDIN_FILENO, &state)
    before = state
    state.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG)
    tcsetattr(STDIN_FILENO, TCSANOW, &state)
  }

  func restore() {
    var state = before
    tcsetattr(STDIN_FILENO, TCSANOW, &state)
  }
}
