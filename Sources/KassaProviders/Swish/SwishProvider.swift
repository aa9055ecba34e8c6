import KassaDomain
import KassaJSON
import KassaService
import Synchronization

/// Swish for trade, by the merchant's own certificate: the buyer scans a code that holds the token of one request.
///
/// Every request has a name that is made from ours, so that asking again asks about the same one. What is read of it
/// decides, never what is told to us: callbacks are unsigned, and at most a reason to read.
package final class SwishProvider: PaymentProvider {
  /// Names of what is kept of an attempt.
  private enum Reference {
    /// Given by Swish for one request, and in the code that the phone shows. Without it nobody can pay that request.
    static let token = "token"
    /// Our own name of the request, as Swish and the merchant's bank show it.
    static let instruction = "instruction"
    /// The bank's name of the payment, which a refund must say.
    static let payment = "payment_reference"
  }

  /// While the buyer decides, the callback is a reason to read, and so is this many seconds without one.
  private static let askAgainSeconds: Int64 = 3
  /// A callback's identifier: 32 to 36 characters.
  private static let callbackIdentifierCharacters = 32

  private let settings: SwishSettings
  private let http: ProviderHTTPClient
  private let pace: SwishRefundPace
  private let clock: @Sendable () -> Timestamp

  package init(_ settings: SwishSettings, http: ProviderHTTPClient, clock: @escaping @Sendable () -> Timestamp) {
    self.settings = settings
    self.http = http
    self.clock = clock
    pace = SwishRefundPace()
  }

  // MARK: An attempt

  package func start(_ charge: Charge) async -> ProviderReport {
    guard charge.currency.code == "SEK", SwishAmount.range.contains(charge.amount) else {
      return ProviderReport(.notPaid(.notStarted))
    }
    let budget = http.budget()
    switch await http.send(creation(of: charge), to: settings.address, within: budget) {
    case .answered(let answer) where answer.isSuccess:
      guard let token = answer.header("paymentrequesttoken"), !token.isEmpty else {
        return await read(charge, within: budget)
      }
      return ProviderReport(
        .pending, nextAction: .showQR(code(token, of: charge)),
        references: [Reference.token: token, Reference.instruction: SwishInstruction.payment(charge.paymentID)],
        askAgainSeconds: Self.askAgainSeconds)
    case .answered(let answer) where (400..<500).contains(answer.status) && !isPassing(answer.status):
      // Refused before anything was made, unless it was made by an earlier call under this name.
      let meanings = SwishRefusal.codes(answer.body).map(SwishErrors.meaning)
      if meanings.contains(.exists) { return await read(charge, within: budget) }
      for case .refused(let reason) in meanings { return ProviderReport(.notPaid(reason)) }
      return ProviderReport(.notPaid(.notStarted))
    // Whether it was made is read; was it, nobody was shown a code for it.
    case .answered, .noAnswer: return await read(charge, within: budget)
    case .neverLeft(let words):
      return ProviderReport(
        charge.references[Reference.token] == nil ? .notPaid(.notStarted) : .unknown("Swish: \(words)"))
    }
  }

  package func settle(_ charge: Charge) async -> ProviderReport { await read(charge, within: http.budget()) }

  package func query(_ charge: Charge) async -> ProviderReport { await read(charge, within: http.budget()) }

  /// The buyer may approve in the same moment: what is read afterwards decides, whatever the answer to the cancelling.
  package func cancel(_ charge: Charge) async -> ProviderReport {
    let budget = http.budget()
    let cancelling = ProviderCall(
      .patch, "/api/v1/paymentrequests/\(SwishInstruction.payment(charge.paymentID))",
      body: .bytes(Self.cancellation, type: "application/json-patch+json"))
    _ = await http.send(cancelling, to: settings.address, within: budget)
    let report = await read(charge, within: budget)
    if report.answer == .pending {
      return ProviderReport(.unknown("Swish has not cancelled it"), references: report.references)
    }
    return report
  }

  /// What Swish says of an attempt now.
  private func read(_ charge: Charge, within budget: CallBudget) async -> ProviderReport {
    let call = ProviderCall(.get, "/api/v1/paymentrequests/\(SwishInstruction.payment(charge.paymentID))")
    switch await http.send(call, to: settings.address, within: budget) {
    case .answered(let answer) where answer.status == 200:
      guard let payment = SwishPayment(answer.body) else {
        return ProviderReport(.unknown("Swish answered what is no payment"))
      }
      return report(on: payment, of: charge)
    case .answered(let answer) where answer.status == 404:
      // Never made, and so never paid; unless it was: then it was forgotten since, which says nothing.
      return charge.references[Reference.token] == nil
        ? ProviderReport(.notPaid(.notStarted)) : ProviderReport(.unknown("Swish does not know it any more"))
    case .answered(let answer): return ProviderReport(.unknown("Swish answered \(answer.status)"))
    case .neverLeft(let words), .noAnswer(let words): return ProviderReport(.unknown("Swish: \(words)"))
    }
  }

  private func report(on payment: SwishPayment, of charge: Charge) -> ProviderReport {
    switch payment.status {
    case .created:
      // The token comes with the first answer only. Was that lost, nobody was ever shown a code, and nobody can pay.
      guard charge.references[Reference.token] != nil else { return ProviderReport(.notPaid(.notStarted)) }
      return ProviderReport(.pending, askAgainSeconds: Self.askAgainSeconds)
    case .paid:
      guard payment.amount == charge.amount else {
        return ProviderReport(.unknown("Swish says PAID, but of another amount than was asked for"))
      }
      guard payment.currency.map({ sameBytes($0, charge.currency.code) }) ?? false else {
        return ProviderReport(.unknown("Swish says PAID, but not in \(charge.currency.code)"))
      }
      return ProviderReport(.paid(nil), references: payment.paymentReference.map { [Reference.payment: $0] } ?? [:])
    case .declined, .cancelled: return ProviderReport(.notPaid(.cancelled))
    case .error:
      let code = payment.errorCode ?? ""
      if case .refused(let reason) = SwishErrors.meaning(of: code) { return ProviderReport(.notPaid(reason)) }
      return ProviderReport(.unknown("Swish says ERROR: \(SwishErrors.words(for: code))"))
    case nil: return ProviderReport(.unknown("Swish says a status that is not known"))
    }
  }

  private func creation(of charge: Charge) -> ProviderCall {
    let body = json { object in
      object.member("payeeAlias", settings.payeeAlias)
      object.member("amount", SwishAmount.text(charge.amount))
      object.member("currency", charge.currency.code)
      object.member("callbackUrl", charge.notificationURL)
      object.member("callbackIdentifier", Self.callbackIdentifier(of: charge))
      object.member("payeePaymentReference", SwishInstruction.payment(charge.paymentID))
      object.member("message", SwishMessage.allowed(charge.merchantReference ?? charge.location?.details.name ?? ""))
    }
    return ProviderCall(
      .put, "/api/v2/paymentrequests/\(SwishInstruction.payment(charge.paymentID))", body: .json(body))
  }

  private func code(_ token: String, of charge: Charge) -> NextAction.QRCode {
    NextAction.QRCode(
      text: SwishQRCode.text(token: token),
      expiresAt: min(charge.waitsUntil, charge.createdAt.adding(seconds: SwishQRCode.secondsMax)))
  }

  private static let cancellation: [UInt8] = {
    var writer = JSONWriter()
    writer.array { array in
      array.elementObject { object in
        object.member("op", "replace")
        object.member("path", "/status")
        object.member("value", "cancelled")
      }
    }
    return writer.bytes
  }()

  private static func callbackIdentifier(of charge: Charge) -> String {
    String(charge.notificationSecret.prefix(callbackIdentifierCharacters))
  }

  private func isPassing(_ status: Int) -> Bool { ProviderCall.usualPassingStatuses.contains(status) }

  // MARK: Money that moves later

  /// Swish takes everything when the buyer approves.
  package func capture(_ movement: MoneyMovement) async -> MovementReport { MovementReport(.done) }

  package func refund(_ movement: MoneyMovement) async -> MovementReport {
    await giveBack(
      movement.amount, of: movement.charge, as: SwishInstruction.refund(movement.id), reference: movement.reference)
  }

  /// Nothing stays uncaptured: what is not wanted is given back.
  package func release(_ charge: Charge) async -> MovementReport { await reverse(charge) }

  package func reverse(_ charge: Charge) async -> MovementReport {
    await giveBack(charge.amount, of: charge, as: SwishInstruction.reversal(of: charge), reference: nil)
  }

  private func giveBack(
    _ amount: Int64, of charge: Charge, as instruction: String, reference: String?
  ) async -> MovementReport {
    let budget = http.budget()
    // Asked for before? Then it stands as it stands, and is not asked for again.
    switch await readRefund(instruction, within: budget) {
    case .known(let report): return report
    case .absent: break
    }
    let original: String
    switch await paymentReference(of: charge, within: budget) {
    case .known(let reference): original = reference
    case .missing(let report): return report
    }
    guard await pace.wait(within: budget) else {
      return MovementReport(.unknown("too many refunds at once: this one was not sent yet"))
    }
    let body = json { object in
      object.member("originalPaymentReference", original)
      object.member("callbackUrl", charge.notificationURL)
      object.member("payerAlias", settings.payeeAlias)
      object.member("amount", SwishAmount.text(amount))
      object.member("currency", charge.currency.code)
      object.member("payerPaymentReference", instruction)
      object.member("message", reference.flatMap(SwishMessage.allowed))
    }
    let call = ProviderCall(.put, "/api/v2/refunds/\(instruction)", body: .json(body))
    switch await http.send(call, to: settings.address, within: budget) {
    case .answered(let answer) where answer.isSuccess: break
    case .answered(let answer) where (400..<500).contains(answer.status) && !isPassing(answer.status):
      let codes = SwishRefusal.codes(answer.body)
      // What is refused after a try without an answer may be refused because of what that try did.
      if answer.isOfRepetition || codes.contains(where: { SwishErrors.meaning(of: $0) == .exists }) { break }
      if let code = codes.first(where: { if case .refused = SwishErrors.meaning(of: $0) { true } else { false } }) {
        return MovementReport(.refused("Swish refused: \(SwishErrors.words(for: code))"))
      }
      return MovementReport(.unknown("Swish answered \(answer.status) to a refund"))
    case .answered(let answer): return MovementReport(.unknown("Swish answered \(answer.status) to a refund"))
    case .neverLeft(let words), .noAnswer(let words): return MovementReport(.unknown("Swish: \(words)"))
    }
    return switch await readRefund(instruction, within: budget) {
    case .known(let report): report
    case .absent: MovementReport(.unknown("Swish does not know the refund that it took"))
    }
  }

  private enum RefundReading {
    case known(MovementReport)
    case absent
  }

  private func readRefund(_ instruction: String, within budget: CallBudget) async -> RefundReading {
    switch await http.send(
      ProviderCall(.get, "/api/v1/refunds/\(instruction)"), to: settings.address, within: budget)
    {
    case .answered(let answer) where answer.status == 404: return .absent
    case .answered(let answer) where answer.status == 200:
      guard let refund = SwishRefund(answer.body) else {
        return .known(MovementReport(.unknown("Swish answered what is no refund")))
      }
      switch refund.status {
      case .paid: return .known(MovementReport(.done))
      case .created, .initiated, .validated, .debited: return .known(MovementReport(.pending))
      case .error:
        let code = refund.errorCode ?? ""
        if case .refused = SwishErrors.meaning(of: code) {
          return .known(MovementReport(.refused("Swish refused: \(SwishErrors.words(for: code))")))
        }
        return .known(MovementReport(.unknown("Swish says ERROR: \(SwishErrors.words(for: code))")))
      case nil: return .known(MovementReport(.unknown("Swish says a status that is not known")))
      }
    case .answered(let answer): return .known(MovementReport(.unknown("Swish answered \(answer.status) to a refund")))
    case .neverLeft(let words), .noAnswer(let words): return .known(MovementReport(.unknown("Swish: \(words)")))
    }
  }

  private enum PaymentName {
    case known(String)
    case missing(MovementReport)
  }

  /// The bank's name of the payment: as it was heard with PAID, or read again.
  private func paymentReference(of charge: Charge, within budget: CallBudget) async -> PaymentName {
    if let reference = charge.references[Reference.payment] { return .known(reference) }
    let report = await read(charge, within: budget)
    if let reference = report.references[Reference.payment] { return .known(reference) }
    switch report.answer {
    case .notPaid: return .missing(MovementReport(.refused("this payment took no money")))
    case .paid, .pending: return .missing(MovementReport(.unknown("Swish does not name the payment yet")))
    case .unknown(let words): return .missing(MovementReport(.unknown(words)))
    }
  }

  // MARK: Notifications

  /// Swish signs nothing: what shows that a callback is from Swish is the identifier that only it was given.
  package func verdict(
    on notification: ProviderNotification, about charge: Charge?
  ) async -> NotificationVerdict {
    guard let charge, let identifier = notification.header("callbackidentifier"),
      sameSecret(identifier, Self.callbackIdentifier(of: charge))
    else { return .forged }
    return .concerns(charge.paymentID)
  }

  // MARK: Checking

  package var credentialsEndAt: Timestamp? { settings.certificate.endsAt }

  package func check() async -> [ProviderFinding] {
    var findings = [settings.certificate.finding(at: clock())]
    // Reading what cannot exist shows whether the door opens, and changes nothing.
    var generator = SystemRandomNumberGenerator()
    let nobodys = SwishInstruction.payment(PaymentID(using: &generator))
    switch await http.send(
      ProviderCall(.get, "/api/v1/paymentrequests/\(nobodys)"), to: settings.address, within: http.budget())
    {
    case .answered(let answer) where answer.status == 404:
      findings.append(ProviderFinding("Swish answers, and accepts the certificate.", isSound: true))
      findings.append(
        ProviderFinding(
          "Whether the certificate belongs to the number \(settings.payeeAlias) is only seen with the first payment.",
          isSound: true))
    case .answered(let answer) where answer.status == 401 || answer.status == 403:
      findings.append(
        ProviderFinding(
          "Swish does not accept the certificate (\(answer.status)): is it of this Swish number, and of this address?",
          isSound: false))
    case .answered(let answer):
      findings.append(ProviderFinding("Swish answers, but with \(answer.status): is base_url right?", isSound: false))
    case .neverLeft(let words), .noAnswer(let words):
      findings.append(
        ProviderFinding(
          "Swish cannot be called: \(words). Do certificate and private_key belong together, and does Swish know them?",
          isSound: false))
    }
    return findings
  }
}

/// Lets refunds go out one after the other, as Swish asks.
final class SwishRefundPace: Sendable {
  /// Between one refund and the next.
  static let pauseMilliseconds: Int64 = 1000

  private let next = Mutex<ContinuousClock.Instant?>(nil)

  /// Waits for a turn. `false`, and no turn is taken, when that would come too late to be of use.
  func wait(within budget: CallBudget) async -> Bool {
    let now = ContinuousClock.now
    let turn: ContinuousClock.Instant? = next.withLock { next in
      let turn = max(now, next ?? now)
      guard now.duration(to: turn) < .milliseconds(budget.remainingMilliseconds / 2) else { return nil }
      next = turn.advanced(by: .milliseconds(Self.pauseMilliseconds))
      return turn
    }
    guard let turn else { return false }
    return (try? await Task.sleep(until: turn, clock: .continuous)) != nil
  }
}
