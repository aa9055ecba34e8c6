import KassaDomain
import KassaJSON

/// What Stripe knows.
struct StripeBook {
  var intents: [String: Intent] = [:]
  /// Of PaymentIntents, oldest first.
  var order: [String] = []
  var charges: [String: Charge] = [:]
  var readers: [String: Reader]
  var refunds: [String: Refund] = [:]
  var refundOrder: [String] = []
  /// Those that something is still going to become of.
  var refundsUnderWay: Set<String> = []
  var isAccountEmpty = false
  var endpoints: [Endpoint] = []
  var kept: [String: (fingerprint: [UInt8], response: EmulatorResponse)] = [:]
  /// How long a search does not find what was just made.
  var searchSeconds: Int64 = 0

  init(readers: [String]) {
    self.readers = Dictionary(uniqueKeysWithValues: readers.map { ($0, Reader(id: $0)) })
  }

  struct Intent {
    enum Status: String {
      case requiresPaymentMethod = "requires_payment_method"
      case requiresCapture = "requires_capture"
      case succeeded
      case canceled
    }

    let id: String
    let secret: String
    var amount: Int64
    /// In lower case.
    var currency: String
    let isCapturedAtOnce: Bool
    var metadata: [String: String]
    let description: String?
    let createdAt: Timestamp
    var status = Status.requiresPaymentMethod
    var received: Int64 = 0
    var latestCharge: String?
    var declined: StripeCard.Decline?
  }

  struct Charge {
    let id: String
    let intent: String
    var card: StripeCard
    let amount: Int64
    let currency: String
    let createdAt: Timestamp
    var captured: Int64 = 0
    /// Refunds under way are in it.
    var refunded: Int64 = 0
  }

  struct Action {
    enum Status: String {
      case inProgress = "in_progress"
      case succeeded
      case failed
    }

    let intent: String
    var status = Status.inProgress
    var failureCode: String?

    mutating func fail(_ code: String) {
      status = .failed
      failureCode = code
    }
  }

  struct Reader {
    let id: String
    var action: Action?

    func write(_ object: inout JSONWriter) {
      object.member("id", id)
      object.member("object", "terminal.reader")
      object.member("device_type", "simulated_wisepos_e")
      object.member("label", "Emulated")
      object.member("livemode", false)
      object.member("location", StripeEmulator.location)
      object.member("metadata", object: { _ in })
      object.member("serial_number", "emulated-\(id)")
      object.member("status", id == StripeEmulator.offlineReader ? "offline" : "online")
      guard let action else {
        object.memberNull("action")
        return
      }
      object.member(
        "action",
        object: { object in
          object.member("type", "process_payment_intent")
          object.member("status", action.status.rawValue)
          object.member("failure_code", action.failureCode)
          object.member("process_payment_intent", object: { $0.member("payment_intent", action.intent) })
        })
    }
  }

  struct Refund {
    enum Status: String {
      case pending, succeeded, failed
    }

    let id: String
    let charge: String
    let intent: String
    let amount: Int64
    let currency: String
    let metadata: [String: String]
    let createdAt: Timestamp
    /// Asked for while the account was empty: it fails.
    let isUnfunded: Bool
    var status: Status

    func write(_ object: inout JSONWriter) {
      object.member("id", id)
      object.member("object", "refund")
      object.member("amount", amount)
      object.member("charge", charge)
      object.member("payment_intent", intent)
      object.member("currency", currency)
      object.member("created", createdAt.secondsSinceEpoch)
      object.member("status", status.rawValue)
      object.member(
        "failure_reason", status == .failed ? (isUnfunded ? "insufficient_funds" : "expired_or_canceled_card") : nil)
      StripeBook.write(metadata, &object)
    }
  }

  struct Endpoint {
    let id: String
    let url: String
    let secret: String
    let events: Set<String>
    let apiVersion: String?
  }

  func intent(_ id: String, parameter: String = "intent") throws(StripeRefusal) -> Intent {
    guard let intent = intents[id] else { throw .missing(parameter) }
    return intent
  }

  func reader(_ id: String) throws(StripeRefusal) -> Reader {
    guard let reader = readers[id] else { throw .missing("reader") }
    return reader
  }

  func write(_ intent: Intent, isExpanded: Bool, _ object: inout JSONWriter) {
    object.member("id", intent.id)
    object.member("object", "payment_intent")
    object.member("amount", intent.amount)
    object.member("amount_capturable", intent.status == .requiresCapture ? intent.amount : 0)
    object.member("amount_received", intent.received)
    object.member("capture_method", intent.isCapturedAtOnce ? "automatic" : "manual")
    object.member("client_secret", "\(intent.id)_secret_\(intent.secret)")
    object.member("created", intent.createdAt.secondsSinceEpoch)
    object.member("currency", intent.currency)
    object.member("description", intent.description)
    object.member("livemode", false)
    object.member("payment_method_types", array: { $0.element("card_present") })
    object.member("status", intent.status.rawValue)
    Self.write(intent.metadata, &object)
    if let declined = intent.declined {
      object.member(
        "last_payment_error",
        object: { error in
          error.member("type", "card_error")
          error.member("code", declined.code)
          error.member("decline_code", declined.declineCode)
        })
    } else {
      object.memberNull("last_payment_error")
    }
    guard let id = intent.latestCharge, let charge = charges[id] else {
      object.memberNull("latest_charge")
      return
    }
    if isExpanded {
      object.member("latest_charge", object: { charge.write(&$0) })
    } else {
      object.member("latest_charge", id)
    }
  }

  private static func write(_ metadata: [String: String], _ object: inout JSONWriter) {
    object.member(
      "metadata",
      object: { object in
        for (name, value) in metadata.sorted(by: { $0.key < $1.key }) { object.member(dynamicName: name, value) }
      })
  }

  /// A new name in Stripe's manner.
  func name(_ prefix: String) -> String { "\(prefix)_\(secret())" }

  func secret() -> String {
    let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    var generator = SystemRandomNumberGenerator()
    return String((0..<24).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
  }
}

extension StripeBook.Charge {
  fileprivate func write(_ object: inout JSONWriter) {
    object.member("id", id)
    object.member("object", "charge")
    object.member("billing_details", object: { _ in })
    object.member("captured", captured > 0)
    object.member("created", createdAt.secondsSinceEpoch)
    object.member("currency", currency)
    object.member("disputed", false)
    object.member("livemode", false)
    object.member("metadata", object: { _ in })
    object.member("refunded", captured > 0 && refunded == captured)
    object.member("status", card.decline == nil ? "succeeded" : "failed")
    object.member("amount", amount)
    object.member("amount_captured", captured)
    object.member("amount_refunded", refunded)
    object.member("paid", card.decline == nil)
    object.member(
      "payment_method_details",
      object: { details in
        details.member("type", "card_present")
        details.member(
          "card_present",
          object: { object in
            object.member("brand", card.brand)
            object.member("last4", card.lastFour)
            object.member("exp_month", Int64(12))
            object.member("exp_year", Int64(2040))
            object.member("incremental_authorization_supported", false)
            object.member("overcapture_supported", false)
          })
      })
  }
}

/// A card that is held to a reader, known by the number of Stripe's lists of test cards.
struct StripeCard {
  struct Decline {
    let code: String
    let declineCode: String?
  }

  let brand: String
  let lastFour: String
  let decline: Decline?
  let refund: Refund

  enum Refund {
    case prompt
    /// Is under way for a while.
    case slow
    /// Is done, and comes back.
    case comesBack
  }

  static let working = StripeCard(brand: "visa", lastFour: "4242", decline: nil, refund: .prompt)

  static func declined(_ declineCode: String) -> StripeCard {
    StripeCard(
      brand: "visa", lastFour: "0002", decline: Decline(code: code(for: declineCode), declineCode: declineCode),
      refund: .prompt)
  }

  /// Some declines have a code of their own; the others are `card_declined` with more in the decline code.
  private static func code(for declineCode: String) -> String {
    switch declineCode {
    case "expired_card", "incorrect_cvc", "processing_error", "incorrect_number": declineCode
    default: "card_declined"
    }
  }
}

extension StripeCard {
  private static let declines = [
    "4000000000000002": "generic_decline", "4000000000009995": "insufficient_funds", "4000000000009987": "lost_card",
    "4000000000009979": "stolen_card", "4000000000000069": "expired_card", "4000000000000119": "processing_error",
    "4000000000000127": "incorrect_cvc", "4242424242424241": "incorrect_number",
    "4000000000006975": "card_velocity_exceeded",
  ]

  /// `nil` for a number that is in none of the lists.
  init?(number: String) {
    let lastFour = String(number.suffix(4))
    switch number {
    case "4242424242424242": self.init(brand: "visa", lastFour: lastFour, decline: nil, refund: .prompt)
    case "4000000000007726": self.init(brand: "visa", lastFour: lastFour, decline: nil, refund: .slow)
    case "4000000000005126": self.init(brand: "visa", lastFour: lastFour, decline: nil, refund: .comesBack)
    default:
      guard let declineCode = Self.declines[number] else { return nil }
      self.init(
        brand: "visa", lastFour: lastFour,
        decline: Decline(code: Self.code(for: declineCode), declineCode: declineCode), refund: .prompt)
    }
  }
}
