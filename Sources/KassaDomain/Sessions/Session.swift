/// One payment request to one device (contract, section 6), with its attempt under way.
///
/// The state is private to this type, and every change of it goes through `apply`.
package struct Session: Equatable, Sendable {
  package let id: SessionID
  package let merchantID: MerchantID
  package let deviceID: DeviceID
  package let locationID: LocationID?
  package let cart: Cart
  package let details: Details
  package let createdAt: Timestamp
  package let expiresAt: Timestamp
  package private(set) var state: State
  /// Counts the changes, from 1.
  package private(set) var version: Int64
  /// Number of the newest event: 1, 2, 3 … without a gap.
  package private(set) var sequence: Int64
  /// Attempts that failed.
  package private(set) var failedAttempts: Int
  package let delivery: Delivery

  /// What the backend says of the purchase, echoed.
  package struct Details: Equatable, Sendable {
    package let purchaseStartedAt: Timestamp?
    package let purchaseCompletedAt: Timestamp?
    package let merchantReference1: String?
    package let merchantReference2: String?
    package let merchantData: String?

    package init(
      purchaseStartedAt: Timestamp? = nil, purchaseCompletedAt: Timestamp? = nil, merchantReference1: String? = nil,
      merchantReference2: String? = nil, merchantData: String? = nil
    ) {
      self.purchaseStartedAt = purchaseStartedAt
      self.purchaseCompletedAt = purchaseCompletedAt
      self.merchantReference1 = merchantReference1
      self.merchantReference2 = merchantReference2
      self.merchantData = merchantData
    }
  }

  /// How far the request got to the clerk. Not part of the state: it never decides anything.
  package struct Delivery: Equatable, Sendable {
    package let pushedAt: Timestamp?
    package let fetchedAt: Timestamp?
    package let shownAt: Timestamp?

    package init(pushedAt: Timestamp? = nil, fetchedAt: Timestamp? = nil, shownAt: Timestamp? = nil) {
      self.pushedAt = pushedAt
      self.fetchedAt = fetchedAt
      self.shownAt = shownAt
    }
  }

  package enum State: Equatable, Sendable {
    /// Waits in the device's line. May follow: `active`, `cancelled`, `expired`.
    case created
    /// A method was chosen on the device; without an attempt the clerk may choose again.
    /// May follow: `active`, and every terminal state.
    case active(Attempt?)
    /// Paid. Nothing follows.
    case finalized(payment: PaymentID, order: OrderID)
    /// Ended by backend or clerk. Nothing follows.
    case cancelled
    /// Its time came. Nothing follows.
    case expired
    /// Kassa gave up. Nothing follows.
    case failed(FailureReason)

    package var name: StateName {
      switch self {
      case .created: .created
      case .active: .active
      case .finalized: .finalized
      case .cancelled: .cancelled
      case .expired: .expired
      case .failed: .failed
      }
    }
  }

  /// The states' names on the wire.
  package enum StateName: String, CaseIterable, Sendable {
    case created = "CREATED"
    case active = "ACTIVE"
    case finalized = "FINALIZED"
    case cancelled = "CANCELLED"
    case expired = "EXPIRED"
    case failed = "FAILED"

    /// One of the two that wait in a device's line.
    package var isOpen: Bool { self == .created || self == .active }
  }

  package enum FailureReason: String, CaseIterable, Sendable {
    case attemptLimit = "ATTEMPT_LIMIT"
    case outcomeUnknown = "OUTCOME_UNKNOWN"
  }

  /// The attempt under way.
  package struct Attempt: Equatable, Sendable {
    package let payment: PaymentID
    package let phase: Phase

    package init(payment: PaymentID, phase: Phase) {
      self.payment = payment
      self.phase = phase
    }
  }

  package enum Phase: Equatable, Sendable {
    /// The provider is asked to begin.
    case starting
    /// The customer may pay.
    case awaiting
    /// The provider is asked to settle.
    case settling
    /// The outcome is not known; the provider is asked again until it is. What was wanted meanwhile is remembered.
    case unresolved(Ending?)
    /// The provider is asked to confirm that no money moves.
    case cancelling(Ending)

    /// What follows once it is certain that no money moved, if somebody asked for an end.
    package var wantedEnding: Ending? {
      switch self {
      case .starting, .awaiting, .settling: nil
      case .unresolved(let ending): ending
      case .cancelling(let ending): ending
      }
    }
  }

  /// What ends an attempt that moved no money. The later case wins where two are asked for.
  package enum Ending: String, CaseIterable, Comparable, Sendable {
    /// Back to the choice of method: the clerk.
    case choice
    /// Back to the choice of method: nobody paid in time.
    case timedOut
    /// The session's time came.
    case expired
    /// Backend or clerk ended the session.
    case cancelled

    package static func < (left: Ending, right: Ending) -> Bool { left.rank < right.rank }

    private var rank: Int {
      switch self {
      case .choice: 0
      case .timedOut: 1
      case .expired: 2
      case .cancelled: 3
      }
    }
  }

  package enum Command: Equatable, Sendable {
    /// A method was chosen: `payment` is the new attempt.
    case choose(payment: PaymentID)
    /// The provider began: the customer may pay.
    case started(payment: PaymentID)
    /// The device says that the customer paid, or asks.
    case settle(payment: PaymentID)
    /// Somebody wants an end.
    case end(Ending)
    /// The provider is certain that `payment` moved money.
    case paid(payment: PaymentID, order: OrderID)
    /// The provider is certain that `payment` moved no money and never will.
    case notPaid(payment: PaymentID, PaymentFailureReason)
    /// The provider says that the customer may still pay.
    case pending(payment: PaymentID)
    /// The provider did not answer, or does not know.
    case unknown(payment: PaymentID)
    /// The outcome stayed unknown for too long.
    case giveUp
  }

  /// What a command led to.
  package struct Change: Equatable, Sendable {
    /// The events of the edge taken, in order. Empty where the edge has none.
    package var events: [Emitted] = []
    /// Whether the state is another than before.
    package var isChanged = false
    /// The payment moved money although the session had ended without it: it must be given back.
    package var mustReverse = false

    package struct Emitted: Equatable, Sendable {
      package let type: EventType
      package let sequence: Int64
      package let reason: String?
    }
  }

  /// Attempts that may fail before Kassa gives up.
  package static let failedAttemptsMax = 10

  /// A new CREATED session, version 1. Its event, number 1, is `session.created`.
  package init(
    id: SessionID, merchantID: MerchantID, deviceID: DeviceID, locationID: LocationID?, cart: Cart, details: Details,
    createdAt: Timestamp, expiresAt: Timestamp
  ) {
    self.init(
      restoring: id, merchantID: merchantID, deviceID: deviceID, locationID: locationID, cart: cart, details: details,
      createdAt: createdAt, expiresAt: expiresAt, state: .created, version: 1, sequence: 1, failedAttempts: 0,
      delivery: Delivery())
  }

  /// What a store saved, as it was.
  package init(
    restoring id: SessionID, merchantID: MerchantID, deviceID: DeviceID, locationID: LocationID?, cart: Cart,
    details: Details, createdAt: Timestamp, expiresAt: Timestamp, state: State, version: Int64, sequence: Int64,
    failedAttempts: Int, delivery: Delivery
  ) {
    self.id = id
    self.merchantID = merchantID
    self.deviceID = deviceID
    self.locationID = locationID
    self.cart = cart
    self.details = details
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.state = state
    self.version = version
    self.sequence = sequence
    self.failedAttempts = failedAttempts
    self.delivery = delivery
  }

  /// The attempt under way, if it is this payment's.
  package func attempt(_ payment: PaymentID) -> Attempt? {
    guard case .active(.some(let attempt)) = state, attempt.payment == payment else { return nil }
    return attempt
  }

  /// Applies `command`. Throws, and changes nothing, where there is no such edge.
  package mutating func apply(_ command: Command) throws(Refusal) -> Change {
    switch state {
    case .created: try applyCreated(command)
    case .active(nil): try applyChoosing(command)
    case .active(.some(let attempt)): try apply(command, during: attempt)
    case .finalized(let payment, _): try applyFinalized(command, payment)
    case .cancelled: try applyEnded(command, isCancelled: true)
    case .expired, .failed: try applyEnded(command, isCancelled: false)
    }
  }

  /// The event of a new session.
  package var creation: Change.Emitted { Change.Emitted(type: .sessionCreated, sequence: 1, reason: nil) }

  /// The number of an event that is told after the end, of money given back.
  package mutating func noteLateMoney() -> Change.Emitted {
    version += 1
    return emitted(.paymentLate, reason: nil)
  }

  private mutating func applyCreated(_ command: Command) throws(Refusal) -> Change {
    switch command {
    case .choose(let payment):
      return move(to: .active(Attempt(payment: payment, phase: .starting)), (.sessionActivated, nil))
    case .end(.cancelled): return move(to: .cancelled, (.sessionCancelled, nil))
    case .end(.expired): return move(to: .expired, (.sessionExpired, nil))
    case .end(.choice), .end(.timedOut), .settle: throw .noPaymentUnderWay
    case .started, .pending, .notPaid, .unknown, .giveUp: return Change()
    case .paid: return Change(mustReverse: true)
    }
  }

  private mutating func applyChoosing(_ command: Command) throws(Refusal) -> Change {
    switch command {
    case .choose(let payment): return move(to: .active(Attempt(payment: payment, phase: .starting)))
    case .end(.cancelled): return move(to: .cancelled, (.sessionCancelled, nil))
    case .end(.expired): return move(to: .expired, (.sessionExpired, nil))
    case .end(.choice), .end(.timedOut): return Change()
    case .settle: throw .noPaymentUnderWay
    case .started, .pending, .notPaid, .unknown, .giveUp: return Change()
    // An attempt that the provider first denied did move money: the customer has paid for this session.
    case .paid(let payment, let order):
      return move(to: .finalized(payment: payment, order: order), (.sessionFinalized, nil))
    }
  }

  private mutating func apply(_ command: Command, during attempt: Attempt) throws(Refusal) -> Change {
    func next(_ phase: Phase) -> State { .active(Attempt(payment: attempt.payment, phase: phase)) }
    switch command {
    case .choose: throw .paymentInProgress
    case .started(let payment), .pending(let payment):
      guard payment == attempt.payment else { return Change() }
      switch attempt.phase {
      case .starting, .settling, .unresolved(nil): return move(to: next(.awaiting))
      case .awaiting, .unresolved(.some), .cancelling: return Change()
      }
    case .settle(let payment):
      guard payment == attempt.payment else { throw .noPaymentUnderWay }
      switch attempt.phase {
      case .awaiting: return move(to: next(.settling))
      case .settling, .unresolved: return Change()
      case .starting, .cancelling: throw .paymentInProgress
      }
    case .end(let ending):
      switch attempt.phase {
      case .starting, .awaiting, .settling: return move(to: next(.cancelling(ending)))
      case .unresolved(let wanted): return move(to: next(.cancelling(max(ending, wanted ?? ending))))
      case .cancelling(let wanted):
        return ending > wanted ? move(to: next(.cancelling(ending))) : Change()
      }
    case .paid(let payment, let order):
      guard payment == attempt.payment else { return Change(mustReverse: true) }
      return move(to: .finalized(payment: payment, order: order), (.sessionFinalized, nil))
    case .notPaid(let payment, let reason):
      guard payment == attempt.payment else { return Change() }
      return end(attempt, reason)
    case .unknown(let payment):
      guard payment == attempt.payment else { return Change() }
      switch attempt.phase {
      case .starting, .awaiting, .settling: return move(to: next(.unresolved(nil)))
      case .cancelling(let wanted): return move(to: next(.unresolved(wanted)))
      case .unresolved: return Change()
      }
    case .giveUp:
      switch attempt.phase {
      case .unresolved:
        return move(
          to: .failed(.outcomeUnknown), (.sessionFailed, FailureReason.outcomeUnknown.rawValue))
      case .starting, .awaiting, .settling, .cancelling: return Change()
      }
    }
  }

  private mutating func applyFinalized(_ command: Command, _ paid: PaymentID) throws(Refusal) -> Change {
    switch command {
    case .choose, .settle, .end: throw .sessionFinalized
    case .paid(let payment, _): return Change(mustReverse: payment != paid)
    case .started, .pending, .notPaid, .unknown, .giveUp: return Change()
    }
  }

  private mutating func applyEnded(_ command: Command, isCancelled: Bool) throws(Refusal) -> Change {
    switch command {
    case .choose, .settle: throw .sessionOver
    case .end:
      if isCancelled { return Change() }
      throw .sessionOver
    case .paid: return Change(mustReverse: true)
    case .started, .pending, .notPaid, .unknown, .giveUp: return Change()
    }
  }

  /// The end of an attempt that moved no money.
  private mutating func end(_ attempt: Attempt, _ reason: PaymentFailureReason) -> Change {
    switch attempt.phase.wantedEnding {
    case .cancelled: return move(to: .cancelled, (.sessionCancelled, nil))
    case .expired: return move(to: .expired, (.sessionExpired, nil))
    case .choice: return move(to: .active(nil))
    case .timedOut: return fail(.timedOut)
    case nil: return fail(reason)
    }
  }

  private mutating func fail(_ reason: PaymentFailureReason) -> Change {
    failedAttempts += 1
    guard failedAttempts < Self.failedAttemptsMax else {
      return move(
        to: .failed(.attemptLimit), (.paymentFailed, reason.rawValue),
        (.sessionFailed, FailureReason.attemptLimit.rawValue))
    }
    return move(to: .active(nil), (.paymentFailed, reason.rawValue))
  }

  private mutating func move(to next: State, _ events: (type: EventType, reason: String?)...) -> Change {
    state = next
    version += 1
    return Change(events: events.map { emitted($0.type, reason: $0.reason) }, isChanged: true)
  }

  private mutating func emitted(_ type: EventType, reason: String?) -> Change.Emitted {
    sequence += 1
    return Change.Emitted(type: type, sequence: sequence, reason: reason)
  }
}

package typealias SessionID = Identifier<Session>
