import KassaDomain
import KassaJSON

/// One call to Stripe: authorised, and with no parameter that is not documented.
struct StripeCall {
  /// What stands in the path.
  let id: String
  let key: String?
  let at: Timestamp
  /// What must be the same when a key is used again.
  let fingerprint: [UInt8]
  let breakdown: EmulatorBreakdown?
  private let fields: [(name: String, value: String)]

  init(
    _ request: EmulatorRequest, documented: Set<String>, _ journal: EmulatorJournal
  ) throws(StripeRefusal) {
    guard request.header("authorization") == "Bearer \(StripeEmulator.secretKey)" else {
      throw StripeRefusal(status: 401, type: "invalid_request_error", code: nil)
    }
    if let version = request.header("stripe-version"), !Self.isVersion(version) {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: nil)
    }
    let isReading = request.method == "GET"
    let isForm = request.header("content-type")?.hasPrefix("application/x-www-form-urlencoded") ?? false
    guard isReading || request.body.isEmpty || isForm, let fields = isReading ? request.query : request.form else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: nil)
    }
    let unknown = fields.map(\.name).filter { name in
      !documented.contains(name)
        && !(documented.contains("metadata[]") && name.hasPrefix("metadata[") && name.hasSuffix("]"))
    }
    journal.noteUndocumented(unknown)
    guard unknown.isEmpty else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: "parameter_unknown")
    }
    self.fields = fields
    id = request.parameters["id"] ?? ""
    key = isReading ? nil : request.header("idempotency-key")
    if let key, key.utf8.count > 255 { throw StripeRefusal(status: 400, type: "invalid_request_error", code: nil) }
    at = request.at
    breakdown = request.breakdown
    fingerprint = Array(request.path.utf8) + [0] + request.body
  }

  /// A day, and since 2024 the name of a release: `2025-03-31.basil`.
  static func isVersion(_ text: String) -> Bool { text.wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]+)?/) != nil }

  func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

  func first(_ name: String) -> String? { all(name).first }

  func text(_ name: String) throws(StripeRefusal) -> String {
    guard let value = first(name), !value.isEmpty else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: "parameter_missing")
    }
    return value
  }

  func integer(_ name: String, in range: ClosedRange<Int64>) throws(StripeRefusal) -> Int64 {
    guard let number = Int64(try text(name)), range.contains(number) else {
      throw StripeRefusal(
        status: 400, type: "invalid_request_error", code: "parameter_invalid_integer", parameter: name)
    }
    return number
  }

  var metadata: [String: String] {
    var pairs: [String: String] = [:]
    for (name, value) in fields where name.hasPrefix("metadata[") {
      pairs[String(name.dropFirst(9).dropLast())] = value
    }
    return pairs
  }
}

/// Parameters that Stripe documents, of those calls that have several. `metadata[]` stands for any name in it.
enum StripeParameters {
  static let createIntent: Set<String> = [
    "amount", "currency", "payment_method_types[]", "capture_method", "description", "metadata[]",
  ]
  static let capture: Set<String> = ["amount_to_capture", "metadata[]"]
  static let createRefund: Set<String> = ["payment_intent", "amount", "reason", "metadata[]"]
  static let listRefunds: Set<String> = ["payment_intent", "limit", "starting_after"]
  static let process: Set<String> = [
    "payment_intent", "process_config[skip_tipping]", "process_config[enable_customer_cancellation]",
  ]
  static let present: Set<String> = ["type", "card_present[number]", "amount_tip"]
  /// Events about what is played here.
  static let events: Set<String> = [
    "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.amount_capturable_updated",
    "payment_intent.canceled", "terminal.reader.action_succeeded", "terminal.reader.action_failed", "refund.created",
    "refund.updated", "refund.failed",
  ]
  static let createWebhook: Set<String> = ["url", "enabled_events[]", "description", "api_version", "metadata[]"]
}

/// What Stripe answers instead of doing it.
struct StripeRefusal: Error {
  let status: Int
  let type: String
  let code: String?
  var parameter: String?
  /// Whether the answer is kept under the call's key.
  var isKept = false

  static func parameter(_ name: String) -> StripeRefusal {
    StripeRefusal(status: 400, type: "invalid_request_error", code: nil, parameter: name)
  }

  static func missing(_ name: String) -> StripeRefusal {
    StripeRefusal(status: 404, type: "invalid_request_error", code: "resource_missing", parameter: name)
  }

  var response: EmulatorResponse {
    .json(status) { object in
      object.member(
        "error",
        object: { error in
          error.member("type", type)
          error.member("code", code)
          error.member("param", parameter)
          error.member("message", "refused by the emulator")
        })
    }
  }
}

/// One object that Stripe answers with.
struct StripeAnswer {
  let body: [UInt8]

  init(_ members: (inout JSONWriter) -> Void) {
    var writer = JSONWriter()
    writer.object(members)
    body = writer.bytes
  }

  static func list(_ elements: [(inout JSONWriter) -> Void], hasMore: Bool, url: String) -> StripeAnswer {
    StripeAnswer { object in
      object.member("object", "list")
      object.member("url", url)
      object.member("has_more", hasMore)
      object.member("data", array: { list in for element in elements { list.elementObject(element) } })
    }
  }

  var response: EmulatorResponse {
    EmulatorResponse(status: 200, headers: [("content-type", "application/json")], body: body)
  }
}
