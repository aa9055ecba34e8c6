import KassaDomain
import Testing

/// A session, up to two attempts, and the card network's ledger, with everything that may be on its way between them.
///
/// Nothing sent is ever lost from `sent` and `replies`: a call may take effect, and an answer may come, at any later
/// time, once, often, or never. That covers lost, late and repeated calls and answers, time-outs and crashes alike, and
/// keeps the number of states finite.
struct Situation {
  struct Attempt {
    var payment: Payment
    var ledger = CardLedger()
    /// Calls on their way to the network.
    var sent = Few<CardLedger.Operation>()
    /// Answers on their way back.
    var replies = Few<CardLedger.Reply>()
    /// The look that makes sure of a denial was begun; it was answered with anything but "paid".
    var isVerifying = false
    var isVerified = false
    var isLookDue = true
  }

  var session: Session
  var attempts: [Attempt] = []
  var terminalEvents = 0
}

/// A set of a few cases, as bits.
struct Few<Element: RawRepresentable<UInt8>>: Equatable {
  private(set) var bits: Int

  init(bits: Int = 0) { self.bits = bits }

  func contains(_ element: Element) -> Bool { bits & (1 << Int(element.rawValue)) != 0 }
  mutating func insert(_ element: Element) { bits |= 1 << Int(element.rawValue) }
}

/// What may happen next.
enum Happening: Equatable, Sendable {
  case choose
  case settle(Int)
  case end(Session.Ending)
  case tap(Int, pays: Bool)
  /// A call reaches the network.
  case effect(Int, CardLedger.Operation)
  case verificationEffect(Int)
  /// An answer reaches Kassa.
  case deliver(Int, CardLedger.Reply)
  case deliverVerification(Int)
  /// Kassa stops waiting, or hears that the network does not know.
  case hearNothing(Int)
  /// The reconciler looks after an attempt that is due: when its time to wait is over, and before.
  case look(Int)
  case lookEarly(Int)
  case giveUp
}

/// The rules under test. The real ones unless a control breaks one.
struct Rules: Sendable {
  var hear: @Sendable (ProviderAnswer, inout Payment, inout Session, OrderID) throws(Refusal) -> Payment.Heard = {
    (answer, payment, session, order) throws(Refusal) in try payment.hear(answer, in: &session, order: order)
  }
  var care: @Sendable (Payment, Session, Timestamp) -> Payment.Care = { $0.care(in: $1, at: $2) }
  /// What a verification makes of hearing nothing.
  var isSilenceDenial = false
  var verification = CardLedger.Operation.cancel
  var isPendingDenial = false
  /// Whether a reader that waits for ever is a violation: off for controls that look for another.
  var isReaderChecked = true
  var isCancellationRemembered = true
}

struct Violation: Error, CustomStringConvertible {
  let description: String
}

/// Takes every path there is, breadth first, and checks every situation reached.
struct AllOrders {
  let rules: Rules
  private let payments: [PaymentID]
  private let order: OrderID
  private let first: Session

  struct Result {
    var situations = 0
    var steps = 0
    /// States of the session that were reached.
    var states: Set<String> = []
    /// The first that was found, with the shortest way to it.
    var violation: (what: String, path: [Happening])?
  }

  init(rules: Rules = Rules()) throws {
    self.rules = rules
    payments = [try Make.id(11), try Make.id(12)]
    order = try Make.id(13)
    first = try Make.session()
  }

  /// Explores from a new session of which so many attempts failed before.
  func explore(failedAttempts: Int) throws -> Result {
    var result = Result()
    var keys: [UInt64] = []
    var origins: [(parent: Int, happening: Happening)] = []
    var seen: Set<UInt64> = []
    var stateNumbers: Set<UInt64> = []
    func visit(_ situation: Situation, from parent: Int, by happening: Happening) {
      let key = packed(situation)
      guard seen.insert(key).inserted else { return }
      keys.append(key)
      origins.append((parent, happening))
    }
    func path(to index: Int) -> [Happening] {
      var path: [Happening] = []
      var index = index
      while index > 0 {
        path.insert(origins[index].happening, at: 0)
        index = origins[index].parent
      }
      return path
    }
    visit(Situation(session: try Make.session(failedAttempts: failedAttempts)), from: 0, by: .choose)
    var index = 0
    while index < keys.count {
      let situation = unpacked(keys[index])
      let stateBits = keys[index] & 0b11111
      if stateNumbers.insert(stateBits).inserted { result.states.insert(Matrix.name(situation.session.state)) }
      do throws(Violation) {
        try check(situation)
        try checkAtRest(try rested(situation))
        for happening in happenings(in: situation) {
          var next = situation
          try step(happening, in: &next)
          result.steps += 1
          visit(next, from: index, by: happening)
        }
      } catch {
        result.violation = (error.description, path(to: index))
        break
      }
      index += 1
    }
    result.situations = keys.count
    return result
  }

  // MARK: What may happen

  private func happenings(in situation: Situation) -> [Happening] {
    var happenings: [Happening] = [.end(.cancelled), .end(.expired), .end(.choice), .giveUp]
    if situation.attempts.count < payments.count { happenings.append(.choose) }
    for (index, attempt) in situation.attempts.enumerated() {
      happenings += [.settle(index), .hearNothing(index)]
      if attempt.ledger.state.isOpen { happenings += [.tap(index, pays: true), .tap(index, pays: false)] }
      for operation in CardLedger.Operation.allCases where attempt.sent.contains(operation) {
        happenings.append(.effect(index, operation))
      }
      for reply in CardLedger.Reply.allCases where attempt.replies.contains(reply) {
        happenings.append(.deliver(index, reply))
      }
      if attempt.isVerifying { happenings.append(.verificationEffect(index)) }
      if attempt.isVerified { happenings.append(.deliverVerification(index)) }
      if attempt.isLookDue { happenings += [.look(index), .lookEarly(index)] }
    }
    return happenings
  }

  /// What a happening does: as the service's use cases do it, one commit each.
  private func step(_ happening: Happening, in situation: inout Situation) throws(Violation) {
    switch happening {
    case .choose:
      let payment = payments[situation.attempts.count]
      guard try apply(.choose(payment: payment), to: &situation) else { return }
      var attempt = Situation.Attempt(payment: Make.payment(payment, of: situation.session))
      attempt.ledger.isCancellationRemembered = rules.isCancellationRemembered
      attempt.sent.insert(.start)
      attempt.sent.insert(.query)
      situation.attempts.append(attempt)
    case .settle(let index):
      let attempt = situation.attempts[index]
      guard attempt.payment.state == .open || attempt.payment.state == .unknown else { return }
      guard try apply(.settle(payment: attempt.payment.id), to: &situation) else { return }
      situation.attempts[index].sent.insert(attempt.payment.state == .open ? .settle : .query)
    case .end(let ending): try end(ending, in: &situation)
    case .tap(let index, let pays): _ = situation.attempts[index].ledger.tap(pays: pays)
    case .effect(let index, let operation):
      let reply = situation.attempts[index].ledger.take(operation)
      situation.attempts[index].replies.insert(reply)
    case .verificationEffect(let index):
      let reply = situation.attempts[index].ledger.take(rules.verification)
      switch reply {
      case .paid: situation.attempts[index].replies.insert(.paid)
      case .pending where !rules.isPendingDenial: break
      case .pending, .notPaid, .refunded, .refundRefused: situation.attempts[index].isVerified = true
      }
    case .deliver(let index, let reply):
      if let answer = reply.answer { try hear(answer, index, in: &situation) }
      if reply == .refunded { try noteReversed(index, in: &situation) }
    case .deliverVerification(let index): noteVerified(index, in: &situation)
    case .hearNothing(let index):
      if rules.isSilenceDenial, situation.attempts[index].isVerifying { noteVerified(index, in: &situation) }
      try hear(.unknown(""), index, in: &situation)
    case .look(let index): try look(index, at: Make.waitingEnd, in: &situation)
    case .lookEarly(let index): try look(index, at: Make.epoch, in: &situation)
    case .giveUp: _ = try apply(.giveUp, to: &situation)
    }
  }

  private func look(_ index: Int, at now: Timestamp, in situation: inout Situation) throws(Violation) {
    switch rules.care(situation.attempts[index].payment, situation.session, now) {
    case .start: situation.attempts[index].sent.insert(.start)
    case .timeOut: try end(.timedOut, in: &situation)
    case .query: situation.attempts[index].sent.insert(.query)
    case .cancel: situation.attempts[index].sent.insert(.cancel)
    case .reverse: situation.attempts[index].sent.insert(.refund)
    case .verify: situation.attempts[index].isVerifying = true
    case .none: situation.attempts[index].isLookDue = false
    }
  }

  private func end(_ ending: Session.Ending, in situation: inout Situation) throws(Violation) {
    guard try apply(.end(ending), to: &situation),
      let index = situation.attempts.firstIndex(where: { situation.session.attempt($0.payment.id) != nil })
    else { return }
    situation.attempts[index].sent.insert(.cancel)
  }

  /// Returns whether the domain did not refuse.
  private func apply(_ command: Session.Command, to situation: inout Situation) throws(Violation) -> Bool {
    let before = situation.session
    do {
      let change = try situation.session.apply(command)
      try note(change.events, after: before, in: &situation)
      return true
    } catch let violation as Violation {
      throw violation
    } catch {
      return false
    }
  }

  private func hear(_ answer: ProviderAnswer, _ index: Int, in situation: inout Situation) throws(Violation) {
    let before = situation.session
    let heard: Payment.Heard
    do {
      heard = try rules.hear(answer, &situation.attempts[index].payment, &situation.session, order)
    } catch {
      throw Violation(description: "an answer was refused: \(error)")
    }
    try note(heard.change.events, after: before, in: &situation)
    if let look = heard.nextLook { situation.attempts[index].isLookDue = look != .never }
    if situation.attempts[index].payment.state == .reversing { situation.attempts[index].sent.insert(.refund) }
  }

  private func noteReversed(_ index: Int, in situation: inout Situation) throws(Violation) {
    let before = situation.session
    guard let event = situation.attempts[index].payment.noteReversed(in: &situation.session) else { return }
    situation.attempts[index].isLookDue = false
    try note([event], after: before, in: &situation)
  }

  private func noteVerified(_ index: Int, in situation: inout Situation) {
    let state = situation.attempts[index].payment.state
    if state == .failed || state == .cancelled { situation.attempts[index].isLookDue = false }
  }

  private func note(
    _ events: [Session.Change.Emitted], after before: Session, in situation: inout Situation
  ) throws(Violation) {
    for (offset, event) in events.enumerated() where event.sequence != before.sequence + 1 + Int64(offset) {
      throw Violation(description: "event \(event.type) has the number \(event.sequence) after \(before.sequence)")
    }
    guard situation.session.sequence == before.sequence + Int64(events.count) else {
      throw Violation(description: "the sequence has a gap")
    }
    if before.state.isTerminal, situation.session.state != before.state {
      throw Violation(description: "a terminal state changed")
    }
    situation.terminalEvents += events.filter(\.type.isTerminal).count
  }

  // MARK: What must hold

  /// In every situation.
  private func check(_ situation: Situation) throws(Violation) {
    func require(_ holds: Bool, _ what: @autoclosure () -> String) throws(Violation) {
      if !holds { throw Violation(description: "\(what()), in \(Matrix.name(situation.session.state))") }
    }
    let isTerminal = situation.session.state.isTerminal
    try require(situation.terminalEvents == (isTerminal ? 1 : 0), "terminal events: \(situation.terminalEvents)")
    var live = 0
    for attempt in situation.attempts {
      let isUnderWay = situation.session.attempt(attempt.payment.id) != nil
      let hasPaid =
        if case .finalized(attempt.payment.id, order) = situation.session.state { true } else { false }
      if hasPaid {
        try require(attempt.ledger.state == .charged, "finalized though the ledger says \(attempt.ledger.state)")
        try require(attempt.payment.state == .succeeded, "finalized by a payment \(attempt.payment.state)")
      } else {
        try require(attempt.payment.state != .succeeded, "a payment succeeded that did not finalize")
      }
      switch attempt.payment.state {
      case .open:
        live += 1
        try require(isUnderWay, "an open payment that is not the attempt under way")
      case .unknown:
        live += 1
        try require(
          isUnderWay || situation.session.state == .failed(.outcomeUnknown), "an unknown payment nobody asks for")
      case .succeeded, .failed, .cancelled, .reversing, .reversed:
        try require(!isUnderWay, "the attempt under way is \(attempt.payment.state)")
      }
      if attempt.ledger.state == .refunded {
        try require(
          attempt.payment.state == .reversing || attempt.payment.state == .reversed, "refunded without being late")
      }
    }
    try require(live <= 1, "\(live) live attempts")
    let finalizing = situation.attempts.contains { attempt in
      if case .finalized(attempt.payment.id, _) = situation.session.state { true } else { false }
    }
    try require(finalizing == (situation.session.state.name == .finalized), "finalized by no attempt")
  }

  /// The network answers again, and the reconciler and the session's own end come to rest. What is on its way is lost:
  /// that it comes before or between is another path.
  private func rested(_ situation: Situation) throws(Violation) -> Situation {
    var situation = situation
    for _ in 0..<12 {
      guard !situation.session.state.isTerminal || situation.attempts.contains(where: \.isLookDue) else {
        return situation
      }
      for index in situation.attempts.indices where situation.attempts[index].isLookDue {
        try lookAndHear(index, in: &situation)
      }
      if let index = situation.attempts.firstIndex(where: { situation.session.attempt($0.payment.id) != nil }) {
        _ = try apply(.end(.expired), to: &situation)
        try ask(.cancel, index, in: &situation)
      } else {
        _ = try apply(.end(.expired), to: &situation)
      }
    }
    throw Violation(description: "the reconciler never comes to rest, in \(Matrix.name(situation.session.state))")
  }

  private func lookAndHear(_ index: Int, in situation: inout Situation) throws(Violation) {
    let attempt = situation.attempts[index]
    switch rules.care(attempt.payment, situation.session, Make.waitingEnd) {
    case .start: try ask(.start, index, in: &situation)
    case .timeOut:
      _ = try apply(.end(.timedOut), to: &situation)
      try ask(.cancel, index, in: &situation)
    case .query: try ask(.query, index, in: &situation)
    case .cancel: try ask(.cancel, index, in: &situation)
    case .reverse:
      if situation.attempts[index].ledger.take(.refund) == .refunded { try noteReversed(index, in: &situation) }
    case .verify:
      switch situation.attempts[index].ledger.take(rules.verification) {
      case .paid: try hear(.paid(nil), index, in: &situation)
      case .pending where !rules.isPendingDenial: break
      case .pending, .notPaid, .refunded, .refundRefused: noteVerified(index, in: &situation)
      }
    case .none: situation.attempts[index].isLookDue = false
    }
  }

  private func ask(
    _ operation: CardLedger.Operation, _ index: Int, in situation: inout Situation
  ) throws(Violation) {
    let reply = situation.attempts[index].ledger.take(operation)
    if let answer = reply.answer { try hear(answer, index, in: &situation) }
  }

  /// When nothing moves any more.
  private func checkAtRest(_ situation: Situation) throws(Violation) {
    try check(situation)
    let state = Matrix.name(situation.session.state)
    for attempt in situation.attempts {
      let hasPaid =
        if case .finalized(attempt.payment.id, _) = situation.session.state { true } else { false }
      if attempt.ledger.state == .charged, !hasPaid {
        throw Violation(description: "charged and not given back, at rest in \(state)")
      }
      if rules.isReaderChecked, attempt.ledger.state.isOpen {
        throw Violation(description: "the reader still waits for a card, at rest in \(state)")
      }
      if attempt.ledger.state == .refunded, attempt.payment.state != .reversed {
        throw Violation(description: "given back and not noted, at rest in \(state)")
      }
    }
  }

  // MARK: A situation as one number

  /// Versions, sequences and words are left out: they decide nothing.
  private func packed(_ situation: Situation) -> UInt64 {
    var key = Packer()
    let phases = Self.phases
    switch situation.session.state {
    case .created: key.add(0, bits: 5)
    case .active(nil): key.add(1, bits: 5)
    case .finalized(let payment, _):
      key.add(2, bits: 5)
      key.add(payment == payments[0] ? 0 : 1, bits: 1)
    case .cancelled: key.add(3, bits: 5)
    case .expired: key.add(4, bits: 5)
    case .failed(.attemptLimit): key.add(5, bits: 5)
    case .failed(.outcomeUnknown): key.add(6, bits: 5)
    case .active(.some(let attempt)):
      key.add(7 + (phases.firstIndex(of: attempt.phase) ?? 0), bits: 5)
      key.add(attempt.payment == payments[0] ? 0 : 1, bits: 1)
    }
    key.pad(to: 6)
    key.add(situation.session.failedAttempts, bits: 4)
    key.add(min(situation.terminalEvents, 3), bits: 2)
    key.add(situation.attempts.count, bits: 2)
    for attempt in situation.attempts {
      key.add(Self.paymentStates.firstIndex(of: attempt.payment.state) ?? 0, bits: 3)
      key.add(Int(attempt.ledger.state.rawValue), bits: 3)
      key.add(attempt.sent.bits, bits: 5)
      key.add(attempt.replies.bits, bits: 5)
      key.add(attempt.isVerifying ? 1 : 0, bits: 1)
      key.add(attempt.isVerified ? 1 : 0, bits: 1)
      key.add(attempt.isLookDue ? 1 : 0, bits: 1)
    }
    return key.value
  }

  private func unpacked(_ value: UInt64) -> Situation {
    var key = Unpacker(value: value)
    let (state, which, failed) = (key.take(5), key.take(1), key.take(4))
    let (events, count) = (key.take(2), key.take(2))
    let sessionState: Session.State =
      switch state {
      case 0: .created
      case 1: .active(nil)
      case 2: .finalized(payment: payments[which], order: order)
      case 3: .cancelled
      case 4: .expired
      case 5: .failed(.attemptLimit)
      case 6: .failed(.outcomeUnknown)
      default: .active(Session.Attempt(payment: payments[which], phase: Self.phases[state - 7]))
      }
    var situation = Situation(
      session: Session(
        restoring: first.id, merchantID: first.merchantID, deviceID: first.deviceID, locationID: nil, cart: first.cart,
        details: first.details, createdAt: first.createdAt, expiresAt: first.expiresAt, state: sessionState, version: 1,
        sequence: 1, failedAttempts: failed, delivery: first.delivery), terminalEvents: events)
    for index in 0..<count {
      let payment = Make.payment(payments[index], of: situation.session, state: Self.paymentStates[key.take(3)])
      var attempt = Situation.Attempt(payment: payment)
      attempt.ledger.isCancellationRemembered = rules.isCancellationRemembered
      attempt.ledger.state = CardLedger.State.allCases[key.take(3)]
      attempt.sent = Few(bits: key.take(5))
      attempt.replies = Few(bits: key.take(5))
      attempt.isVerifying = key.take(1) == 1
      attempt.isVerified = key.take(1) == 1
      attempt.isLookDue = key.take(1) == 1
      situation.attempts.append(attempt)
    }
    return situation
  }

  private static let paymentStates = Payment.State.allCases
  private static let phases: [Session.Phase] =
    [.starting, .awaiting, .settling, .unresolved(nil)] + Session.Ending.allCases.map { .unresolved($0) }
    + Session.Ending.allCases.map { .cancelling($0) }
}

private struct Packer {
  private(set) var value: UInt64 = 0
  private var used = 0

  mutating func add(_ number: Int, bits: Int) {
    value |= UInt64(number) << UInt64(used)
    used += bits
  }

  mutating func pad(to bits: Int) { used = max(used, bits) }
}

private struct Unpacker {
  var value: UInt64

  mutating func take(_ bits: Int) -> Int {
    defer { value >>= UInt64(bits) }
    return Int(value & ((1 << UInt64(bits)) - 1))
  }
}
