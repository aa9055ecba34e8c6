import KassaDomain
import KassaJSON
import KassaService

/// The parts of a PaymentIntent that matter.
struct StripeIntent {
  enum Status: String {
    case requiresPaymentMethod = "requires_payment_method"
    case requiresConfirmation = "requires_confirmation"
    case requiresAction = "requires_action"
    case processing
    case requiresCapture = "requires_capture"
    case succeeded
    case canceled
  }

  let id: String
  /// `nil` for one that is not documented.
  let status: Status?
  let clientSecret: String?
  let amount: Int64
  /// In lower case.
  let currency: String?
  let amountCapturable: Int64
  let amountReceived: Int64
  /// Which of our captures took the money; `nil` when it was none, or one of a version that did not say.
  let movement: String?
  /// Of the charge that took the money, if it was asked for with it.
  let card: CardSummary?
  /// Why the last card was declined, if one was.
  let declined: PaymentFailureReason?

  /// `nil` when the object is no PaymentIntent.
  init?(_ object: JSONObject) {
    guard object.text("object") == "payment_intent", let id = object.text("id"), StripeIdentifier.isOne(id),
      let status = object.text("status"), let amount = object.integer("amount")
    else { return nil }
    self.id = id
    self.status = Status(rawValue: status)
    self.amount = amount
    currency = object.text("currency").flatMap { $0.isStripeWord ? $0 : nil }
    clientSecret = object.text("client_secret")
    amountCapturable = object.integer("amount_capturable") ?? 0
    amountReceived = object.integer("amount_received") ?? 0
    movement = object.object("metadata")?.text(StripeMetadata.movement)
    card = object.object("latest_charge").flatMap(Self.card)
    declined = object.object("last_payment_error").map {
      StripeDeclines.reason(declineCode: $0.text("decline_code"), code: $0.text("code"))
    }
  }

  /// Of one that is paid: why what Stripe reserved or took is not what was asked for, in words for the operator. Nobody
  /// but people can say what to do then. A part may have been captured since, and the rest freed; the amount stays.
  func mismatch(with charge: Charge) -> String? {
    let isOfCurrency = currency.map { sameBytes($0, charge.currency.code.lowercased()) } ?? false
    let isThere = status == .requiresCapture ? amountCapturable == amount : amountReceived > 0
    if amount == charge.amount, isOfCurrency, isThere { return nil }
    return "the PaymentIntent \(id) is of \(amount) \(currency?.uppercased() ?? "without a currency"), of which "
      + "\(amountCapturable) are reserved and \(amountReceived) taken, and \(charge.amount) \(charge.currency.code) was "
      + "asked for: see Stripe's Dashboard"
  }

  private static func card(of charge: JSONObject) -> CardSummary? {
    guard let card = charge.object("payment_method_details")?.object("card_present"), let brand = card.text("brand"),
      let lastFour = card.text("last4")
    else { return nil }
    return CardSummary(brand: brand, lastFour: lastFour)
  }
}

/// What a reader is doing.
struct StripeReader {
  enum ActionStatus: String {
    case inProgress = "in_progress"
    case succeeded
    case failed
  }

  /// The PaymentIntent that its action is about.
  let intentID: String?
  let actionStatus: ActionStatus?
  let failureCode: String?
  let label: String?
  let locationID: String?
  let isSimulated: Bool

  /// `nil` when the object is no reader, or one that was deleted.
  init?(_ object: JSONObject) {
    guard object.text("object") == "terminal.reader", object.bool("deleted") != true else { return nil }
    let action = object.object("action")
    let about = action?.object("process_payment_intent")
    intentID = about?.text("payment_intent") ?? about?.object("payment_intent")?.text("id")
    actionStatus = action?.text("status").flatMap(ActionStatus.init)
    failureCode = action?.text("failure_code")
    label = object.text("label")
    locationID = object.text("location") ?? object.object("location")?.text("id")
    isSimulated = object.text("device_type")?.hasPrefix("simulated_") ?? false
  }
}

struct StripeRefund {
  enum Status: String {
    case pending
    case requiresAction = "requires_action"
    case succeeded
    case failed
    case canceled
  }

  let id: String
  let status: Status?
  let failureReason: String?
  let amount: Int64?
  let intentID: String?
  /// Which of ours it is.
  let movement: String?

  /// `nil` when the object is no refund.
  init?(_ object: JSONObject) {
    guard object.text("object") == "refund", let id = object.text("id"), StripeIdentifier.isOne(id) else { return nil }
    self.id = id
    status = object.text("status").flatMap(Status.init)
    failureReason = object.text("failure_reason")
    amount = object.integer("amount")
    intentID = object.text("payment_intent") ?? object.object("payment_intent")?.text("id")
    movement = object.object("metadata")?.text(StripeMetadata.movement)
  }
}

/// What Stripe says instead of doing it.
struct StripeError: Equatable {
  let status: Int
  let type: String
  let code: String?

  init(status: Int, _ body: [UInt8]) {
    let error = jsonObject(of: body)?.object("error")
    self.status = status
    type = error?.text("type") ?? "unknown"
    code = error?.text("code")
  }

  /// Under this key another request was made before, as by a version that asked otherwise.
  var isOfKey: Bool { type == "idempotency_error" }

  /// For operator and merchant. Without Stripe's message, which may repeat what was sent.
  var words: String {
    let word = code ?? type
    return "Stripe refused with \(status)\(word.isStripeWord ? " (\(word))" : "")"
  }
}

/// Names under which our own are kept in an object's metadata.
enum StripeMetadata {
  static let payment = "kassa_payment_id"
  static let session = "kassa_session_id"
  static let movement = "kassa_movement_id"
}

enum StripeIdentifier {
  /// Whether this may stand in a path as it is.
  static func isOne(_ text: String) -> Bool { text.utf8.count <= 255 && text.isStripeWord }
}

extension String {
  /// Letters of ASCII, digits and underscores, at least one.
  fileprivate var isStripeWord: Bool {
    !isEmpty
      && utf8.allSatisfy {
        switch $0 {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }
}
