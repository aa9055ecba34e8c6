import KassaDomain
import KassaJSON

/// What people and other programs' tests tell an emulator, under `/emulator/`.
struct EmulatorControl: Sendable {
  /// How far the clock may be moved at once: ten years.
  private static let advanceSecondsMax: Int64 = 315_360_000
  private static let lateMillisecondsMax: Int64 = 600_000

  let emulator: any ProviderEmulator

  func respond(to request: EmulatorRequest) async -> EmulatorResponse {
    let segments = request.path.split(separator: "/").dropFirst().compactMap(FormDecoding.unescape)
    switch (request.method, segments.count, segments.first) {
    case ("GET", 1, "payments"): return payments()
    case ("GET", 2, "pay"): return page(segments[1])
    case ("POST", 3, "payments"): return buyer(segments[1], segments[2], request)
    case ("GET", 1, "ledger"): return ledger()
    case ("GET", 1, "calls"): return calls()
    case ("POST", 1, "faults"): return plan(request)
    case ("DELETE", 1, "faults"):
      emulator.world.faults.clear()
      return EmulatorResponse(status: 204)
    case ("POST", 1, "clock"): return advance(request)
    case ("POST", 2, "notifications"): return await notifications(segments[1], request)
    default: return Self.problem(404, "there is no \(request.method) \(request.path)")
    }
  }

  private static func problem(_ status: Int, _ message: String) -> EmulatorResponse {
    .json(status) { $0.member("error", message) }
  }

  private func payments() -> EmulatorResponse {
    emulator.timePassed()
    return .json(200) { writer in
      writer.member(
        "payments",
        array: { list in
          for payment in emulator.payments() {
            list.elementObject { object in
              object.member("id", payment.id)
              object.member("reference", payment.reference)
              object.member("amount", payment.amount)
              object.member("currency", payment.currency)
              object.member("state", payment.state)
              object.member("is_open", payment.isOpen)
              object.member("qr_text", payment.qrText)
              object.member("held", payment.held)
            }
          }
        })
    }
  }

  private func buyer(_ payment: String, _ word: String, _ request: EmulatorRequest) -> EmulatorResponse {
    let action: BuyerAction
    switch word {
    case "open": action = .open
    case "approve": action = .approve
    case "refuse": action = .refuse(request.json?.text("reason"))
    case "fail": action = .fail
    case "expire": action = .letExpire
    default: return Self.problem(404, "a buyer can open, approve, refuse, fail or let it expire")
    }
    let refusal = emulator.buyer(action, payment)
    // A browser goes back to the page, which shows what became of it.
    if request.header("accept")?.contains("text/html") ?? false {
      return EmulatorResponse(status: 303, headers: [("location", "/emulator/pay/\(payment)")])
    }
    return refusal.map { Self.problem(409, $0) } ?? EmulatorResponse(status: 204)
  }

  /// What a person sees who opens the code: stands in for the provider's app.
  private func page(_ id: String) -> EmulatorResponse {
    emulator.timePassed()
    guard let payment = emulator.payments().last(where: { $0.id == id }) else {
      return Self.problem(404, "there is no such payment")
    }
    let buttons = ["approve", "refuse", "fail", "expire"].map { action in
      "<form method=\"post\" action=\"/emulator/payments/\(escapedHTML(id))/\(action)\"><button>\(action)</button></form>"
    }
    let html = """
      <!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
      <title>Emulated payment</title>
      <h1>\(payment.amount) \(escapedHTML(payment.currency))</h1><p>in minor units; \(escapedHTML(payment.state))</p>
      \(payment.isOpen ? buttons.joined() : "")</html>
      """
    return EmulatorResponse(
      status: 200,
      headers: [
        ("content-type", "text/html; charset=utf-8"),
        ("content-security-policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'"),
      ], body: Array(html.utf8))
  }

  private func ledger() -> EmulatorResponse {
    let ledger = emulator.world.ledger
    return .json(200) { writer in
      writer.member(
        "net_taken",
        object: { object in
          for (currency, amount) in ledger.netTaken.sorted(by: { $0.key < $1.key }) {
            object.member(dynamicName: currency, amount)
          }
        })
      writer.member(
        "entries",
        array: { list in
          for entry in ledger.entries {
            list.elementObject { object in
              object.member("payment", entry.payment)
              object.member("kind", entry.kind)
              object.member("amount", entry.amount)
              object.member("currency", entry.currency)
            }
          }
        })
    }
  }

  private func calls() -> EmulatorResponse {
    .json(200) { writer in
      writer.member(
        "calls",
        array: { list in
          for entry in emulator.world.journal.entries {
            list.elementObject { object in
              object.member("at", entry.at.description)
              object.member("operation", entry.operation)
              object.member("path", entry.path)
              object.member("status", entry.status)
              object.member("undocumented", array: { names in for name in entry.undocumented { names.element(name) } })
            }
          }
        })
    }
  }

  private func plan(_ request: EmulatorRequest) -> EmulatorResponse {
    guard let object = request.json else { return Self.problem(400, "the body must be a JSON object") }
    var fields = EmulatorFields(object)
    let operations = Set(emulator.routes.map(\.operation)).sorted()
    let operation = fields.choice("operation", required: true, of: operations)
    let words = [
      "UNREACHABLE", "NEVER", "ANSWER_LOST", "ANSWER_LATE", "TWICE", "REFUSED", "REFUSED_AFTER_EFFECT", "KEPT",
      "KEPT_AFTER_EFFECT",
    ]
    let word = fields.choice("fault", required: true, of: words)
    let count = fields.integer("count", in: 1...Int64(EmulatorFaults.plannedMax)) ?? 1
    let delay = fields.integer("delay_milliseconds", in: 0...Self.lateMillisecondsMax) ?? 1000
    let status = fields.integer("status", in: 400...599) ?? 503
    let flaws = fields.flaws + fields.unknown.map { .init(path: $0, message: "is not known") }
    guard flaws.isEmpty, let operation, let word else {
      return Self.problem(400, flaws.map { "\($0.path) \($0.message)" }.joined(separator: "; "))
    }
    let fault: EmulatorFault =
      switch word {
      case "UNREACHABLE": .unreachable
      case "NEVER": .never
      case "ANSWER_LOST": .answerLost
      case "ANSWER_LATE": .answerLate(milliseconds: delay)
      case "TWICE": .twice
      case "REFUSED": .refused(status: Int(status))
      case "KEPT": .kept(status: Int(status), hasEffect: false)
      case "KEPT_AFTER_EFFECT": .kept(status: Int(status), hasEffect: true)
      default: .refusedAfterEffect(status: Int(status))
      }
    guard emulator.world.faults.plan(fault, for: operation, count: Int(count)) else {
      return Self.problem(409, "more than \(EmulatorFaults.plannedMax) faults would wait")
    }
    return EmulatorResponse(status: 204)
  }

  private func advance(_ request: EmulatorRequest) -> EmulatorResponse {
    guard let seconds = request.json?.integer("advance_seconds"), (0...Self.advanceSecondsMax).contains(seconds) else {
      return Self.problem(400, "advance_seconds must be a whole number from 0 to \(Self.advanceSecondsMax)")
    }
    emulator.world.clock.advance(seconds: seconds)
    emulator.timePassed()
    return .json(200) { $0.member("now", emulator.world.clock.now.description) }
  }

  /// `hold`, `release`, `deliver` (with `times`) and `lose`.
  private func notifications(_ word: String, _ request: EmulatorRequest) async -> EmulatorResponse {
    let notifications = emulator.world.notifications
    switch word {
    case "hold", "release":
      notifications.hold(word == "hold")
      return EmulatorResponse(status: 204)
    case "lose":
      let count = notifications.lose()
      return .json(200) { $0.member("lost", count) }
    case "deliver":
      let statuses = await notifications.deliver(times: Int(min(max(request.json?.integer("times") ?? 1, 1), 10)))
      return .json(200) { writer in
        writer.member(
          "statuses",
          array: { list in
            for status in statuses {
              if let status { list.element(status) } else { list.elementNull() }
            }
          })
      }
    default: return Self.problem(404, "notifications can be held, released, delivered or lost")
    }
  }
}
