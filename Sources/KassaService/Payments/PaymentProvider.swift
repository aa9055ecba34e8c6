import KassaDomain
import KassaStore

/// What a provider is asked about: one attempt, with everything an adapter may need to say of it. `paymentID` is our
/// idempotency key, so that asking again is safe.
package struct Charge: Sendable {
  package let paymentID: PaymentID
  package let sessionID: SessionID
  package let merchantID: MerchantID
  package let amount: Int64
  package let currency: Currency
  package let createdAt: Timestamp
  /// When Kassa stops waiting for the customer: whatever the provider would still take must not be paid after this.
  package let waitsUntil: Timestamp
  /// What this adapter reported of the attempt before.
  package let references: ProviderReferences
  package let cart: Cart
  package let merchantReference: String?
  /// The device that collects, and where it stands; `nil` when they are gone.
  package let device: Device?
  package let location: Location?
  /// Where the provider may tell of this attempt, and what it must show there to be believed: 64 hexadecimal digits that
  /// only Kassa and this provider know.
  package let notificationURL: String
  package let notificationSecret: String

  package init(
    paymentID: PaymentID, sessionID: SessionID, merchantID: MerchantID, amount: Int64, currency: Currency,
    createdAt: Timestamp, waitsUntil: Timestamp, references: ProviderReferences, cart: Cart,
    merchantReference: String?, device: Device?, location: Location?, notificationURL: String,
    notificationSecret: String
  ) {
    self.paymentID = paymentID
    self.sessionID = sessionID
    self.merchantID = merchantID
    self.amount = amount
    self.currency = currency
    self.createdAt = createdAt
    self.waitsUntil = waitsUntil
    self.references = references
    self.cart = cart
    self.merchantReference = merchantReference
    self.device = device
    self.location = location
    self.notificationURL = notificationURL
    self.notificationSecret = notificationSecret
  }
}

/// What an adapter says after it was asked about an attempt.
package struct ProviderReport: Equatable, Sendable {
  package let answer: ProviderAnswer
  /// What the phone shows from now on; `nil` leaves what it showed.
  package let nextAction: NextAction?
  /// Kept, over those of before.
  package let references: ProviderReferences
  /// While the answer is `pending`: after how many seconds the adapter wants to be asked again by itself. `nil` when
  /// only the phone, a notification or the end of waiting is a reason to ask.
  package let askAgainSeconds: Int64?

  package init(
    _ answer: ProviderAnswer, nextAction: NextAction? = nil, references: ProviderReferences = [:],
    askAgainSeconds: Int64? = nil
  ) {
    self.answer = answer
    self.nextAction = nextAction
    self.references = references
    self.askAgainSeconds = askAgainSeconds
  }
}

/// Money to move for an order that exists: a capture or a refund of a part of what was paid, or of all of it.
package struct MoneyMovement: Sendable {
  package let charge: Charge
  /// Our idempotency key, of this capture or refund alone.
  package let id: SubjectID
  /// In minor units of the charge's currency.
  package let amount: Int64
  /// What the merchant says of it, if anything.
  package let reference: String?
  /// What this adapter reported of this movement before.
  package let references: ProviderReferences
  /// Before anybody was asked for it.
  package let createdAt: Timestamp
  /// Whether a provider may have been asked for it before: its answer was lost or left open, or a server died. `false` is
  /// certain.
  package let isAskedAgain: Bool
  /// Other movements of its kind of the same order that are done, with their amounts.
  package let othersDone: [SubjectID: Int64]

  /// Without `createdAt` it is as old as its charge.
  package init(
    charge: Charge, id: SubjectID, amount: Int64, reference: String?, references: ProviderReferences,
    createdAt: Timestamp? = nil, isAskedAgain: Bool = false, othersDone: [SubjectID: Int64] = [:]
  ) {
    self.charge = charge
    self.id = id
    self.amount = amount
    self.reference = reference
    self.references = references
    self.createdAt = createdAt ?? charge.createdAt
    self.isAskedAgain = isAskedAgain
    self.othersDone = othersDone
  }
}

/// What an adapter says after it was asked to move money.
package struct MovementReport: Equatable, Sendable {
  package let answer: Answer
  package let references: ProviderReferences

  package enum Answer: Equatable, Sendable {
    /// It is done, or is certain to be done without anybody's doing. Certain.
    case done
    /// It was not done and never will be under this identifier; the words are for the merchant. Certain.
    case refused(String)
    /// The provider has taken it on and has not decided.
    case pending
    /// Nobody knows; the words are for the operator. Never folded into no.
    case unknown(String)
  }

  package init(_ answer: Answer, references: ProviderReferences = [:]) {
    self.answer = answer
    self.references = references
  }
}

/// Something a provider sent of its own accord. Never believed for what it says: at most it is a reason to ask.
package struct ProviderNotification: Sendable {
  package let method: String
  /// As it stood in the request line: path and, if there is one, `?` and query.
  package let target: String
  /// Names in lower case, in their order.
  package let headers: [(name: String, value: String)]
  package let body: [UInt8]
  package let receivedAt: Timestamp

  package init(
    method: String, target: String, headers: [(name: String, value: String)], body: [UInt8], receivedAt: Timestamp
  ) {
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
    self.receivedAt = receivedAt
  }

  package func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// What a notification is worth.
package enum NotificationVerdict: Equatable, Sendable {
  /// Genuine, and about this attempt: its provider is asked now.
  case concerns(PaymentID)
  /// Genuine, and about refunds of this attempt, one of which may have come back after it was done: the provider is asked
  /// about them once more.
  case concernsRefunds(of: PaymentID)
  /// Genuine, and no reason to do anything.
  case irrelevant
  /// Not shown to come from the provider.
  case forged
}

/// A way to collect money: one provider with one merchant's settings and credentials.
///
/// Every method may be called again with the same charge, and then has no second effect. A method never throws and
/// answers within its own time limits: what went wrong is `unknown`. Nothing that is secret goes into an answer's words.
package protocol PaymentProvider: Sendable {
  /// Begins. `pending`: the customer may pay now, as `nextAction` says.
  func start(_ charge: Charge) async -> ProviderReport
  /// Settles what the customer did. `pending`: nothing yet.
  func settle(_ charge: Charge) async -> ProviderReport
  /// Ends it. `notPaid`: no money moves any more. `paid`: it had moved already.
  func cancel(_ charge: Charge) async -> ProviderReport
  /// Asks, and changes nothing.
  func query(_ charge: Charge) async -> ProviderReport

  /// Takes a part, or all, of what was paid. Done without a call where the provider takes everything by itself.
  func capture(_ movement: MoneyMovement) async -> MovementReport
  /// Gives back a part, or all, of what was captured. Asked again with the same movement, it tells how that stands.
  func refund(_ movement: MoneyMovement) async -> MovementReport
  /// Frees what was paid but not captured, so that it never is.
  func release(_ charge: Charge) async -> MovementReport
  /// Gives the whole amount back, whatever of it was captured: money that came after the session's end. Each
  /// `charge.references.reversalTry` is a movement of its own, with its own name at the provider: asked again in the same
  /// try it tells how that stands. `refused` says for certain that nothing goes back by this try; then comes the next.
  func reverse(_ charge: Charge) async -> MovementReport

  /// What is this notification worth? `charge` is that of the address it came to, where that names an attempt. Must not
  /// change anything, and compares secrets in constant time.
  func verdict(on notification: ProviderNotification, about charge: Charge?) async -> NotificationVerdict

  /// Calls the provider with these settings and says what is right and what is wrong, in words for the merchant.
  func check() async -> [ProviderFinding]

  /// When the merchant's credentials end by themselves; `nil` when they do not.
  var credentialsEndAt: Timestamp? { get }
}

extension PaymentProvider {
  package var credentialsEndAt: Timestamp? { nil }
}

/// One fact from `PaymentProvider.check`.
package struct ProviderFinding: Equatable, Sendable {
  package let text: String
  package let isSound: Bool

  package init(_ text: String, isSound: Bool) {
    self.text = text
    self.isSound = isSound
  }
}

/// A provider whose reader may be inside the phone, which then needs a token of the provider's.
package protocol PhoneReaderProvider: PaymentProvider {
  /// A token for one connection of the reader; never kept. `nil` when the provider gives none now.
  func connectionToken(for device: Device) async -> String?
}

/// A provider that can have its notifications set up by a call.
package protocol NotifyingProvider: PaymentProvider {
  /// Has the provider send notifications to `url` from now on. Returns the settings to keep (a signing secret …), or
  /// words for the merchant of what went wrong.
  func subscribe(to url: String) async -> Result<[String: String], ProviderSetupFailure>
}

package struct ProviderSetupFailure: Error, Equatable, Sendable {
  /// For the merchant.
  package let message: String

  package init(_ message: String) { self.message = message }
}

/// One setting of a provider, as a merchant enters it.
package struct ProviderField: Equatable, Sendable {
  /// In snake case, as on the wire.
  package let name: String
  /// What it is and where to find it, in one line.
  package let explanation: String
  package let isRequired: Bool
  /// Kept sealed and never shown again.
  package let isSecret: Bool

  package init(_ name: String, _ explanation: String, isRequired: Bool = true, isSecret: Bool = false) {
    self.name = name
    self.explanation = explanation
    self.isRequired = isRequired
    self.isSecret = isSecret
  }
}
