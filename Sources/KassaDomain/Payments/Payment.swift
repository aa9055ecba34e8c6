/// One attempt to collect a session's amount by one method.
package struct Payment: Equatable, Identifiable, Sendable {
  package let id: PaymentID
  package let sessionID: SessionID
  package let merchantID: MerchantID
  package let method: PaymentMethod
  /// Who collects.
  package let provider: ProviderName
  package let amount: Int64
  package let currency: Currency
  package let createdAt: Timestamp
  package var state: State
  package var failureReason: PaymentFailureReason?
  package var card: CardSummary?
  /// When to look after it again if nothing happens before: what a crash or a silent provider left is found by this.
  package var checkAt: Timestamp?
  /// Looks without a definite answer so far: the pause between them grows with it.
  package var checks: Int
  /// When the customer is waited for no longer, and the attempt is ended.
  package let waitsUntil: Timestamp
  /// What the phone shows while the attempt is open; `nil` once it is not, and before the provider said so.
  package private(set) var nextAction: NextAction?
  /// What the provider calls this attempt.
  package private(set) var references: ProviderReferences

  package enum State: String, CaseIterable, Sendable {
    /// Under way: the session's attempt says how far.
    case open = "PENDING"
    case succeeded = "SUCCEEDED"
    case failed = "FAILED"
    case cancelled = "CANCELLED"
    /// Nobody knows yet whether money moved.
    case unknown = "UNKNOWN"
    /// Money came after the session's end and is being given back.
    case reversing = "REVERSING"
    case reversed = "REVERSED"
  }

  package init(
    id: PaymentID, sessionID: SessionID, merchantID: MerchantID, method: PaymentMethod, provider: ProviderName,
    amount: Int64, currency: Currency, createdAt: Timestamp, state: State = .open,
    failureReason: PaymentFailureReason? = nil,
    card: CardSummary? = nil, checkAt: Timestamp?, checks: Int = 0, waitsUntil: Timestamp,
    nextAction: NextAction? = nil, references: ProviderReferences = [:]
  ) {
    self.id = id
    self.sessionID = sessionID
    self.merchantID = merchantID
    self.method = method
    self.provider = provider
    self.amount = amount
    self.currency = currency
    self.createdAt = createdAt
    self.state = state
    self.failureReason = failureReason
    self.card = card
    self.checkAt = checkAt
    self.checks = checks
    self.waitsUntil = waitsUntil
    self.nextAction = nextAction
    self.references = references
  }

  /// Keeps what came with an answer that was applied: `nil` leaves what the phone showed. What is settled shows nothing
  /// any more. References beyond `ProviderReferences.bytesMax` are not kept.
  package mutating func keep(_ nextAction: NextAction?, _ references: ProviderReferences) {
    let merged = self.references.merging(references)
    if merged.bytes <= ProviderReferences.bytesMax { self.references = merged }
    switch state {
    case .open, .unknown: self.nextAction = nextAction ?? self.nextAction
    case .succeeded, .failed, .cancelled, .reversing, .reversed: self.nextAction = nil
    }
  }
}

package typealias PaymentID = Identifier<Payment>

extension Payment {
  /// Which try to give the money back is the current one, from 1.
  package var reversalTry: Int { references.reversalTry }

  /// The provider refused this try for certain, before or after it had said that it was done: no money goes back by it any
  /// more, and the next try begins. Returns `false`, and changes nothing, when another try began since.
  ///
  /// Never called for what is not known: two tries would both go back.
  package mutating func noteReversalRefused(_ number: Int) -> Bool {
    guard number == reversalTry else { return false }
    switch state {
    case .reversing: references = references.beginningNextReversal(isTold: references.isReversalTold)
    case .reversed:
      references = references.beginningNextReversal(isTold: true)
      state = .reversing
      checks = 0
    case .open, .succeeded, .failed, .cancelled, .unknown: return false
    }
    return true
  }

  /// What was given back may have come back: it is asked for again at `now`. Returns whether it was given back at all.
  package mutating func doubtReversal(at now: Timestamp) -> Bool {
    guard state == .reversed else { return false }
    checkAt = now
    return true
  }
}

package enum PaymentMethod: String, CaseIterable, Sendable {
  case card = "CARD"
  case klarna = "KLARNA"
  case swish = "SWISH"
  case vipps = "VIPPS"
}

/// What may be shown of a card. Never more.
package struct CardSummary: Equatable, Sendable {
  package let brand: String
  package let lastFour: String

  package init(brand: String, lastFour: String) {
    self.brand = brand
    self.lastFour = lastFour
  }
}

/// Why an attempt failed: a stable word. The first nine are the outcomes of a tap (contract, section 9).
package enum PaymentFailureReason: String, CaseIterable, Sendable {
  case declinedGeneric = "DECLINED_GENERIC"
  case insufficientFunds = "INSUFFICIENT_FUNDS"
  case lostCard = "LOST_CARD"
  case stolenCard = "STOLEN_CARD"
  case expiredCard = "EXPIRED_CARD"
  case incorrectCVC = "INCORRECT_CVC"
  case processingError = "PROCESSING_ERROR"
  case incorrectNumber = "INCORRECT_NUMBER"
  case cardVelocityExceeded = "CARD_VELOCITY_EXCEEDED"
  /// Nobody paid before the device was taken back.
  case timedOut = "TIMED_OUT"
  /// The provider would not begin.
  case notStarted = "NOT_STARTED"
  /// Cancelled at the provider, or never known there.
  case cancelled = "CANCELLED"
}
