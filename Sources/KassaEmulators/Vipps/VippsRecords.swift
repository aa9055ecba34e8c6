import Crypto
import Foundation
import KassaDomain
import KassaJSON

/// Amounts by which the test environment does something special. Told by others than Vipps MobilePay, and only as far as
/// the words here: which status a refusal has is a guess, which is made here and nowhere else.
enum VippsMagic {
  /// The customer approves, and the issuer refuses: the payment stays open for another card.
  static let refusedApprovals: [Int64: String] = [
    151: "The customer has not enough funds", 182: "The issuer refused", 183: "Suspected fraud",
    184: "Above a limit of the card", 186: "The card is expired", 187: "The card is invalid",
    197: "3-D Secure was refused", 202: "Strong customer authentication is needed",
  ]
  /// Whether the customer's approval counts is decided only after an hour.
  static let undecidedAmount: Int64 = 201
  static let undecidedSeconds: Int64 = 3600
  static let refusedRefunds: [Int64: String] = [123: "The refund was refused", 124: "The refund failed"]
  static let emptyAccount = "The merchant has not enough funds"
}

/// The body that makes a payment, by the members that are documented.
struct VippsCreate {
  let reference: String
  let amount: Int64
  let currency: String

  static func read(_ fields: inout EmulatorFields) -> VippsCreate? {
    let amount = fields.fields("amount", required: true) { Self.amount(&$0, in: VippsEmulator.amounts) }
    let type = fields.fields("paymentMethod", required: true) {
      $0.choice("type", required: true, of: ["WALLET", "CARD", "CARD_PASSTHROUGH"])
    }
    let flow = fields.choice(
      "userFlow", required: true, of: ["QR", "PUSH_MESSAGE", "WEB_REDIRECT", "NATIVE_REDIRECT"])
    if type == "CARD", flow != "WEB_REDIRECT" { fields.refuse("paymentMethod", "CARD needs the flow WEB_REDIRECT") }
    if flow == "PUSH_MESSAGE" { fields.refuse("userFlow", "5080: push messages are not allowed for this sales unit") }
    let reference = fields.text(
      "reference", required: true, characters: 8...64,
      where: { $0.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") } })
    _ = fields.choice("customerInteraction", of: ["CUSTOMER_PRESENT", "CUSTOMER_NOT_PRESENT"])
    _ = fields.fields("qrFormat") { format in
      _ = format.choice("format", required: true, of: ["IMAGE/SVG+XML", "IMAGE/PNG", "TEXT/TARGETURL"])
      _ = format.integer("size", in: 100...2000)
    }
    let needsReturn = flow == "WEB_REDIRECT" || flow == "NATIVE_REDIRECT"
    _ = fields.text("returnUrl", required: needsReturn)
    _ = fields.text("paymentDescription", characters: 3...100)
    if let metadata = fields.fields("metadata", { $0.unknown.count }), metadata > 5 {
      fields.refuse("metadata", "may have five members")
    }
    for name in [
      "customer", "expiresAt", "receipt", "receiptUrl", "merchantLegalLinks", "minimumUserAge", "profile", "shipping",
      "industryData",
    ] { _ = fields.has(name) }
    guard let (value, currency) = amount.flatMap({ $0 }), let reference else { return nil }
    return VippsCreate(reference: reference, amount: value, currency: currency)
  }

  static func amount(_ fields: inout EmulatorFields, in range: ClosedRange<Int64>) -> (Int64, String)? {
    let currency = fields.choice("currency", required: true, of: VippsEmulator.currencies)
    let value = fields.integer("value", required: true, in: range)
    guard let currency, let value else { return nil }
    return (value, currency)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "a")...UInt8(ascii: "z"):
      true
    default: false
    }
  }
}

struct VippsPaymentRecord {
  enum State: String {
    case created = "CREATED"
    case authorized = "AUTHORIZED"
    case aborted = "ABORTED"
    case expired = "EXPIRED"
    case terminated = "TERMINATED"
  }

  let reference: String
  let amount: Int64
  let currency: String
  let token: String
  let redirectURL: String
  let pspReference: String
  let createdAt: Timestamp
  var state = State.created
  /// Approved, but nobody knows with what result until then.
  var undecidedUntil: Timestamp?
  var authorized: Int64 = 0
  var captured: Int64 = 0
  var refunded: Int64 = 0
  var cancelled: Int64 = 0
  var events: [VippsEventRecord] = []

  /// As it is read while these are behind.
  func asRead(behind: Set<VippsEmulator.Lagging>) -> VippsPaymentRecord {
    var read = self
    if behind.contains(.log) { read.events = Array(events.prefix(1)) }
    if behind.contains(.sums) { (read.authorized, read.captured, read.refunded, read.cancelled) = (0, 0, 0, 0) }
    return read
  }

  /// What speaks against moving so much now.
  func refusal(
    of kind: VippsEmulator.Modification, _ value: Int64, _ currency: String, at now: Timestamp
  ) -> EmulatorResponse? {
    guard currency == self.currency else { return VippsEmulator.problem(400, "5040", "The currency is another") }
    guard state == .authorized else { return VippsEmulator.problem(400, "6080", "The payment is not authorized") }
    switch kind {
    case .capture:
      let rest = authorized - captured - cancelled
      if rest == 0 { return VippsEmulator.problem(400, captured > 0 ? "6040" : "6190", "Nothing is left to capture") }
      return value <= rest ? nil : VippsEmulator.problem(400, "6250", "More than is left to capture")
    case .refund:
      if createdAt.adding(seconds: VippsEmulator.refundDays * 86_400) < now {
        return VippsEmulator.problem(400, "6220", "The payment is too old")
      }
      return value <= captured - refunded
        ? nil : VippsEmulator.problem(400, "6250", "More than was captured and not refunded")
    }
  }

  func write(to object: inout JSONWriter) {
    writeModification(to: &object)
    object.member("paymentMethod", object: { $0.member("type", "WALLET") })
    object.member("profile", object: { _ in })
  }

  func writeModification(to object: inout JSONWriter) {
    object.member(
      "aggregate",
      object: { sums in
        sums.member("authorizedAmount", object: { write(authorized, to: &$0) })
        sums.member("cancelledAmount", object: { write(cancelled, to: &$0) })
        sums.member("capturedAmount", object: { write(captured, to: &$0) })
        sums.member("refundedAmount", object: { write(refunded, to: &$0) })
      })
    object.member("amount", object: { write(amount, to: &$0) })
    object.member("state", state.rawValue)
    object.member("pspReference", pspReference)
    object.member("reference", reference)
  }

  func write(_ value: Int64, to object: inout JSONWriter) {
    object.member("currency", currency)
    object.member("value", value)
  }
}

struct VippsEventRecord {
  let name: String
  let pspReference: String
  let amount: Int64
  let at: Timestamp
  let idempotencyKey: String?
  let isSuccess: Bool

  func write(_ payment: VippsPaymentRecord, to object: inout JSONWriter) {
    object.member("reference", payment.reference)
    object.member("pspReference", pspReference)
    object.member("name", name)
    object.member("amount", object: { payment.write(amount, to: &$0) })
    object.member("timestamp", at.description)
    object.member("idempotencyKey", idempotencyKey)
    object.member("success", isSuccess)
  }
}

struct VippsWebhook {
  static let types = Set(
    ["created", "aborted", "expired", "cancelled", "captured", "refunded", "authorized", "terminated"].map {
      "epayments.payment.\($0).v1"
    } + ["user.checked-in.v1"])
  static let perTypeMax = 25
  /// After the first try: every 2 s, then after 60 s and 120 s, hourly to the 29th, and daily to a week.
  static let pausesSeconds: [Int64] =
    [2, 2, 2, 60, 120] + Array(repeating: 3600, count: 24) + Array(repeating: 86_400, count: 6)

  let id: String
  let url: String
  let events: [String]
  let secret: String

  func notification(
    of event: VippsEventRecord, _ payment: VippsPaymentRecord, _ merchantSerialNumber: String
  ) -> EmulatorNotification {
    var writer = JSONWriter()
    writer.object { object in
      object.member("msn", merchantSerialNumber)
      object.member("reference", payment.reference)
      object.member("pspReference", event.pspReference)
      object.member("name", event.name)
      object.member("amount", object: { payment.write(event.amount, to: &$0) })
      object.member("timestamp", event.at.description)
      object.member("idempotencyKey", event.idempotencyKey)
      object.member("success", event.isSuccess)
    }
    let body = writer.bytes
    return EmulatorNotification(
      chain: id, payment: payment.reference, event: event.name, url: url, body: body,
      pausesSeconds: Self.pausesSeconds
    ) { now in Self.headers(url: url, body: body, secret: secret, at: now) }
  }

  /// The signature as the guide for webhooks has it: the key is the secret's text itself.
  package static func headers(
    url: String, body: [UInt8], secret: String, at now: Timestamp
  ) -> EmulatorNotification.Headers {
    let rest = url.range(of: "://").map { url[$0.upperBound...] } ?? url[...]
    let host = String(rest.prefix { $0 != "/" && $0 != "?" })
    let target = rest.dropFirst(host.count).isEmpty ? "/" : String(rest.dropFirst(host.count))
    let date = EmulatorText.httpDate(now)
    let hash = Data(SHA256.hash(data: Data(body))).base64EncodedString()
    let code = HMAC<SHA256>.authenticationCode(
      for: Data("POST\n\(target)\n\(date);\(host);\(hash)".utf8), using: SymmetricKey(data: Data(secret.utf8)))
    let signed = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
    return [
      ("content-type", "application/json"), ("x-ms-date", date), ("x-ms-content-sha256", hash),
      ("authorization", signed + Data(code).base64EncodedString()),
    ]
  }
}
