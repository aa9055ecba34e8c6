import KassaDomain
import Testing

/// Every order in which calls, effects, answers, cancellations, expiry and looks can come: not a sample.
@Suite struct AllOrdersTests {
  /// The second and third begin where the limit of failed attempts is reached by the second or the first attempt.
  @Test(arguments: [0, Session.failedAttemptsMax - 2, Session.failedAttemptsMax - 1])
  func moneyAndSessionAgreeInEveryOrder(failedAttempts: Int) throws {
    let result = try AllOrders().explore(failedAttempts: failedAttempts)
    if let violation = result.violation { Issue.record("\(violation.what), after \(violation.path)") }
    print(
      "\(failedAttempts) failed attempts before: \(result.situations) situations, \(result.steps) steps,",
      "\(result.states.count) states of the session")
    // Every state is reached, so nothing was left out: 1 choosing, 12 phases, CREATED, and the terminal ones.
    let expected = failedAttempts == 0 ? 18 : 19
    #expect(result.states.count == expected, "\(result.states.sorted())")
  }

  enum Broken: CaseIterable, Sendable {
    case silenceIsDenial
    case lateMoneyIsKept
    case anotherAttemptsMoneyFinalizes
    case repeatedMoneyIsTold
    case moneyOnItsWayBackFinalizes
    case networkForgetsCancellations
    case verificationOnlyAsks
    case abandonedAttemptsAreOnlyAskedFor

    var rules: Rules {
      var rules = Rules()
      switch self {
      case .silenceIsDenial:
        rules.isSilenceDenial = true
        rules.isReaderChecked = false
        rules.hear = { (answer, payment, session, order) throws(Refusal) in
          let heard: ProviderAnswer = if case .unknown = answer { .notPaid(.notStarted) } else { answer }
          return try payment.hear(heard, in: &session, order: order)
        }
      case .lateMoneyIsKept:
        rules.hear = { (answer, payment, session, order) throws(Refusal) in
          let before = payment
          var heard = try payment.hear(answer, in: &session, order: order)
          if heard.change.mustReverse { (payment, heard.nextLook) = (before, .never) }
          return heard
        }
      case .anotherAttemptsMoneyFinalizes:
        rules.hear = { (answer, payment, session, order) throws(Refusal) in
          guard case .paid = answer, case .active(.some(let attempt)) = session.state, attempt.payment != payment.id
          else { return try payment.hear(answer, in: &session, order: order) }
          return Payment.Heard(change: try session.apply(.paid(payment: attempt.payment, order: order)))
        }
      case .repeatedMoneyIsTold:
        rules.hear = { (answer, payment, session, order) throws(Refusal) in
          guard case .paid = answer, case .finalized(payment.id, _) = session.state else {
            return try payment.hear(answer, in: &session, order: order)
          }
          // As if the session had been read before it was finalized, and saved without looking at its version.
          session = Session(
            restoring: session.id, merchantID: session.merchantID, deviceID: session.deviceID,
            locationID: session.locationID, cart: session.cart, details: session.details, createdAt: session.createdAt,
            expiresAt: session.expiresAt, state: .active(nil), version: session.version, sequence: session.sequence,
            failedAttempts: session.failedAttempts, delivery: session.delivery)
          return Payment.Heard(change: try session.apply(.paid(payment: payment.id, order: order)))
        }
      case .moneyOnItsWayBackFinalizes:
        rules.hear = { (answer, payment, session, order) throws(Refusal) in
          guard case .paid = answer, payment.state == .reversing else {
            return try payment.hear(answer, in: &session, order: order)
          }
          return Payment.Heard(change: try session.apply(.paid(payment: payment.id, order: order)))
        }
      case .networkForgetsCancellations: rules.isCancellationRemembered = false
      case .verificationOnlyAsks: (rules.verification, rules.isPendingDenial) = (.query, true)
      case .abandonedAttemptsAreOnlyAskedFor:
        rules.care = { payment, session, now in
          let isAbandoned = session.attempt(payment.id) == nil
          return isAbandoned && (payment.state == .open || payment.state == .unknown)
            ? .query : payment.care(in: session, at: now)
        }
      }
      return rules
    }

    /// What must be found.
    var violation: String {
      switch self {
      case .silenceIsDenial, .lateMoneyIsKept: "charged and not given back"
      case .anotherAttemptsMoneyFinalizes: "finalized though the ledger says"
      case .moneyOnItsWayBackFinalizes: "finalized by a payment reversing"
      case .repeatedMoneyIsTold: "terminal events: 2"
      case .networkForgetsCancellations, .verificationOnlyAsks: "the reader still waits for a card"
      case .abandonedAttemptsAreOnlyAskedFor: "the reconciler never comes to rest"
      }
    }
  }

  /// The controls: with one rule broken the same exploration must find it.
  @Test(arguments: Broken.allCases)
  func aBrokenRuleIsFound(broken: Broken) throws {
    let result = try AllOrders(rules: broken.rules).explore(failedAttempts: 0)
    let violation = try #require(result.violation, "\(broken) was not found in \(result.situations) situations")
    #expect(violation.what.hasPrefix(broken.violation), "\(violation.what), after \(violation.path)")
  }
}
