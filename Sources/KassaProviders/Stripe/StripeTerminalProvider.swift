import KassaDomain
import KassaJSON
import KassaService

/// Cards through Stripe Terminal: by a reader that Stripe's servers command, or by the reader inside the phone, which
/// collects with the client secret that `start` hands out.
///
/// What decides is the PaymentIntent, never a reader: a reader that says it timed out may be asking for the card, and one
/// that says it is offline may have asked. An attempt is over for certain once its PaymentIntent is `succeeded`,
/// `requires_capture` or `canceled`; so whatever else shall count as *no* is cancelled first.
///
/// A tap only reserves the money. When it is taken is the order's business, which asks for the capture at once unless the
/// merchant wants it later: were it Stripe's, the two could disagree about a payment during which the policy changed.
package final class StripeTerminalProvider: PaymentProvider {
  /// Names of what is kept of an attempt.
  enum Reference {
    static let intent = "intent"
    /// The reader that was told to collect; none where the phone's own does.
    static let reader = "reader"
    /// Why it is being ended: known before it is certain that it has.
    static let reason = "reason"
  }

  /// The metadata of a device that names its reader.
  static let readerMetadataKey = "stripe_reader_id"
  /// A reader's outcome is looked for this often.
  private static let readerAskAgainSeconds: Int64 = 2
  /// The phone tells when its reader has finished, and so does a webhook; this is for when both are lost.
  private static let phoneAskAgainSeconds: Int64 = 10
  /// For less than a day, for which Stripe keeps what it answered under a key, a PaymentIntent whose name was never
  /// heard is found by asking for it again under its key. Later it is searched for.
  private static let recallSeconds: Int64 = 72_000

  let settings: StripeSettings
  let api: StripeAPI
  let http: ProviderHTTPClient
  let clock: @Sendable () -> Timestamp

  package init(_ settings: StripeSettings, http: ProviderHTTPClient, clock: @escaping @Sendable () -> Timestamp) {
    self.settings = settings
    self.http = http
    self.clock = clock
    api = StripeAPI(settings: settings, http: http)
  }

  // MARK: An attempt

  package func start(_ charge: Charge) async -> ProviderReport {
    guard StripeAmounts.accepts(charge.amount, charge.currency) else { return ProviderReport(.notPaid(.notStarted)) }
    let budget = http.budget()
    // A call that a crash left is not made again before this time: until then this is the first one.
    let isFirst = clock() < charge.createdAt.adding(seconds: Limits.providerCrashSeconds)
    let found: Found
    if charge.references[Reference.intent] == nil, isFirst {
      let created = await create(charge, within: budget)
      switch created {
      case .object(let object, isReplay: false):
        guard let intent = StripeIntent(object) else { return Self.unreadable }
        return await present(intent, charge, within: budget)
      case .object(_, isReplay: true), .keptFailure: found = await find(created, charge, within: budget)
      case .refused, .neverLeft: return ProviderReport(.notPaid(.notStarted))
      case .unknown(let words): return ProviderReport(.unknown(words))
      }
    } else {
      found = await locate(charge, within: budget)
    }
    switch found {
    case .intent(let intent) where intent.status == .requiresPaymentMethod && intent.declined == nil:
      return await present(intent, charge, within: budget)
    case .intent(let intent): return await conclude(intent, charge, within: budget)
    case .absent: return ProviderReport(.notPaid(.notStarted))
    case .unknown(let words): return ProviderReport(.unknown(words))
    }
  }

  package func settle(_ charge: Charge) async -> ProviderReport { await look(charge) }

  /// Changes nothing that could still be paid: a PaymentIntent whose card was declined is cancelled, so that the answer
  /// is certain.
  package func query(_ charge: Charge) async -> ProviderReport { await look(charge) }

  package func cancel(_ charge: Charge) async -> ProviderReport {
    let budget = http.budget()
    switch await locate(charge, within: budget) {
    case .intent(let intent): return await cancel(intent, charge, within: budget)
    case .absent: return ProviderReport(.notPaid(.cancelled))
    case .unknown(let words): return ProviderReport(.unknown(words))
    }
  }

  private func look(_ charge: Charge) async -> ProviderReport {
    let budget = http.budget()
    switch await locate(charge, within: budget) {
    case .intent(let intent): return await conclude(intent, charge, within: budget)
    case .absent: return ProviderReport(.notPaid(.notStarted))
    case .unknown(let words): return ProviderReport(.unknown(words))
    }
  }

  private func cancel(_ intent: StripeIntent, _ charge: Charge, within budget: CallBudget) async -> ProviderReport {
    switch intent.status {
    case .succeeded, .requiresCapture, .canceled: return final(intent, charge)
    case .requiresPaymentMethod, .requiresConfirmation, .requiresAction, .processing, nil: break
    }
    if let reader = reader(of: charge), case .known(let state) = await self.reader(reader, within: budget),
      state.intentID == intent.id, state.actionStatus == .inProgress
    {
      // While the card is being authorised the reader refuses this; the PaymentIntent tells.
      _ = await api.post(
        "terminal/readers/\(reader)/cancel_action", [], key: freshKey("cancel-action", charge), within: budget)
    }
    return await end(intent, .cancelled, charge, within: budget)
  }

  // MARK: Finding the PaymentIntent

  enum Found {
    case intent(StripeIntent)
    /// There is none, for certain.
    case absent
    case unknown(String)
  }

  private func locate(_ charge: Charge, within budget: CallBudget) async -> Found {
    if let id = charge.references[Reference.intent] { return await read(id, within: budget) }
    guard clock() < charge.createdAt.adding(seconds: Self.recallSeconds) else {
      return await search(charge, within: budget)
    }
    // Was it made, this tells its name; was it not, one is made that nobody was ever shown, and that is as harmless.
    return await find(await create(charge, within: budget), charge, within: budget)
  }

  /// What asking for it under its key found.
  private func find(_ created: StripeAPI.Result, _ charge: Charge, within budget: CallBudget) async -> Found {
    switch created {
    case .object(let object, let isReplay):
      guard let intent = StripeIntent(object) else { return .unknown("Stripe answered what is no PaymentIntent") }
      return isReplay ? await read(intent.id, within: budget) : .intent(intent)
    case .refused(let error) where error.isOfKey:
      // It was made with other settings than those of now.
      let found = await search(charge, within: budget)
      if case .absent = found { return .unknown("Stripe does not find the PaymentIntent yet") }
      return found
    case .refused(let error) where error.status == 400 || error.status == 402: return .absent
    case .refused(let error): return .unknown(error.words)
    case .neverLeft(let words), .unknown(let words): return .unknown(words)
    // Nobody was ever told its name or its client secret, so nobody can pay it: what is not found now is as good as none.
    case .keptFailure: return await search(charge, within: budget)
    }
  }

  func read(_ id: String, within budget: CallBudget) async -> Found {
    guard StripeIdentifier.isOne(id) else { return .unknown("the PaymentIntent's name is none") }
    switch await api.get("payment_intents/\(id)", [("expand[]", "latest_charge")], within: budget) {
    case .object(let object, _):
      return StripeIntent(object).map(Found.intent) ?? .unknown("Stripe answered what is no PaymentIntent")
    case .refused(let error): return .unknown(error.words)
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words): return .unknown(words)
    }
  }

  private func search(_ charge: Charge, within budget: CallBudget) async -> Found {
    let query = "metadata['\(StripeMetadata.payment)']:'\(charge.paymentID)'"
    switch await api.get("payment_intents/search", [("query", query), ("limit", "1")], within: budget) {
    case .object(let object, _):
      guard object.text("object") == "search_result" else { return .unknown("Stripe answered what is no search") }
      guard let found = object.objects("data").first else { return .absent }
      guard let id = found.text("id") else { return .unknown("Stripe answered what is no PaymentIntent") }
      return await read(id, within: budget)
    case .refused(let error): return .unknown(error.words)
    case .neverLeft(let words), .unknown(let words), .keptFailure(let words): return .unknown(words)
    }
  }

  /// Always the same request for one attempt: under its key Stripe refuses any other.
  private func create(_ charge: Charge, within budget: CallBudget) async -> StripeAPI.Result {
    var fields = [
      ("amount", String(charge.amount)), ("currency", charge.currency.code.lowercased()),
      ("payment_method_types[]", "card_present"), ("capture_method", "manual"),
      ("metadata[\(StripeMetadata.payment)]", charge.paymentID.description),
      ("metadata[\(StripeMetadata.session)]", charge.sessionID.description),
    ]
    if let reference = charge.merchantReference, !reference.isEmpty { fields.append(("description", reference)) }
    return await api.post("payment_intents", fields, key: charge.paymentID.description, within: budget)
  }

  // MARK: Presenting

  /// Has the card asked for.
  private func present(_ intent: StripeIntent, _ charge: Charge, within budget: CallBudget) async -> ProviderReport {
    guard let reader = reader(of: charge) else {
      guard let clientSecret = intent.clientSecret else { return Self.unreadable }
      return ProviderReport(
        .pending, nextAction: .tap(clientSecret: clientSecret), references: [Reference.intent: intent.id],
        askAgainSeconds: Self.phoneAskAgainSeconds)
    }
    let references: ProviderReferences = [Reference.intent: intent.id, Reference.reader: reader]
    let collecting = ProviderReport(
      .pending, nextAction: .tap(clientSecret: nil), references: references,
      askAgainSeconds: Self.readerAskAgainSeconds)
    var result = await process(intent, on: reader, charge, within: budget)
    if case .refused(let error) = result, error.code == "terminal_reader_timeout" {
      // The reader may be asking for the card and only have failed to say so. Told again, it goes on with the same one.
      result = await process(intent, on: reader, charge, within: budget)
    }
    if case .object = result { return collecting }
    // Refused, or not heard of: what the reader does now tells, and if that cannot be heard, the PaymentIntent.
    if case .known(let state) = await self.reader(reader, within: budget), state.intentID == intent.id,
      state.actionStatus == .inProgress
    {
      return collecting
    }
    return await end(intent, .notStarted, charge, within: budget).keeping(references)
  }

  private func process(
    _ intent: StripeIntent, on reader: String, _ charge: Charge, within budget: CallBudget
  ) async -> StripeAPI.Result {
    await api.post(
      "terminal/readers/\(reader)/process_payment_intent",
      [
        ("payment_intent", intent.id), ("process_config[skip_tipping]", "true"),
        ("process_config[enable_customer_cancellation]", "true"),
      ], key: freshKey("process", charge), within: budget)
  }

  /// For what may be done twice without harm, and must not be answered as it was the last time: a reader that was busy
  /// once would be busy for a day.
  func freshKey(_ word: String, _ charge: Charge) -> String {
    var generator = SystemRandomNumberGenerator()
    return "\(charge.paymentID)-\(word)-\(generator.next())"
  }

  private enum ReaderState {
    case known(StripeReader)
    case unknown
  }

  private func reader(_ id: String, within budget: CallBudget) async -> ReaderState {
    if case .object(let object, _) = await api.get("terminal/readers/\(id)", within: budget),
      let reader = StripeReader(object)
    {
      return .known(reader)
    }
    return .unknown
  }

  /// The one that was told to collect; before that, the device's, or the merchant's for all devices.
  func reader(of charge: Charge) -> String? {
    if charge.references[Reference.intent] != nil { return charge.references[Reference.reader] }
    let named = charge.device?.metadata.pairs.first { sameBytes($0.key, Self.readerMetadataKey) }?.value
    return named.flatMap { StripeIdentifier.isOne($0) ? $0 : nil } ?? settings.readerID
  }

  // MARK: Concluding

  /// What a PaymentIntent says of its attempt, read just now.
  private func conclude(_ intent: StripeIntent, _ charge: Charge, within budget: CallBudget) async -> ProviderReport {
    switch intent.status {
    case .succeeded, .requiresCapture, .canceled: return final(intent, charge)
    case .processing, .requiresAction, .requiresConfirmation: return waiting(intent, charge)
    case nil: return ProviderReport(.unknown("Stripe says a status that is not known"))
    case .requiresPaymentMethod: break
    }
    if let declined = intent.declined { return await end(intent, declined, charge, within: budget) }
    if let kept = charge.references[Reference.reason].flatMap(PaymentFailureReason.init) {
      return await end(intent, kept, charge, within: budget)
    }
    guard let reader = reader(of: charge) else { return waiting(intent, charge) }
    guard case .known(let state) = await self.reader(reader, within: budget) else { return waiting(intent, charge) }
    guard state.intentID == intent.id else {
      // Never told to collect, as far as anybody knows: nobody will pay this one.
      if charge.references[Reference.intent] == nil { return await end(intent, .notStarted, charge, within: budget) }
      // A reader collects for the attempt that it was told of last.
      let isTakenOver = state.intentID != nil && state.actionStatus == .inProgress
      return isTakenOver ? await end(intent, .cancelled, charge, within: budget) : waiting(intent, charge)
    }
    guard state.actionStatus == .failed else { return waiting(intent, charge) }
    return await end(intent, StripeDeclines.reason(readerFailure: state.failureCode), charge, within: budget)
  }

  private func waiting(_ intent: StripeIntent, _ charge: Charge) -> ProviderReport {
    let reader = reader(of: charge)
    // An attempt whose beginning was not heard of goes on from here.
    let isNew = charge.references[Reference.intent] == nil
    return ProviderReport(
      .pending, nextAction: isNew ? .tap(clientSecret: reader == nil ? intent.clientSecret : nil) : nil,
      references: isNew ? names(intent, reader) : [:],
      askAgainSeconds: reader == nil ? Self.phoneAskAgainSeconds : Self.readerAskAgainSeconds)
  }

  private func names(_ intent: StripeIntent, _ reader: String?) -> ProviderReferences {
    let names: ProviderReferences = [Reference.intent: intent.id]
    return reader.map { names.merging([Reference.reader: $0]) } ?? names
  }

  /// Of a status that does not change any more.
  private func final(_ intent: StripeIntent, _ charge: Charge) -> ProviderReport {
    let names = names(intent, reader(of: charge))
    switch intent.status {
    case .succeeded, .requiresCapture:
      if let words = intent.mismatch(with: charge) { return ProviderReport(.unknown(words), references: names) }
      return ProviderReport(.paid(intent.card), references: names)
    case .canceled:
      let kept = charge.references[Reference.reason].flatMap(PaymentFailureReason.init)
      return ProviderReport(.notPaid(kept ?? intent.declined ?? .cancelled), references: names)
    case .requiresPaymentMethod, .requiresConfirmation, .requiresAction, .processing, nil:
      return ProviderReport(.unknown("Stripe has not decided"), references: names)
    }
  }

  /// Cancels the PaymentIntent, so that `reason` is certain; finds what was paid in the same moment.
  private func end(
    _ intent: StripeIntent, _ reason: PaymentFailureReason, _ charge: Charge, within budget: CallBudget
  ) async -> ProviderReport {
    let references = names(intent, reader(of: charge)).merging([Reference.reason: reason.rawValue])
    let result = await api.post(
      "payment_intents/\(intent.id)/cancel", [("cancellation_reason", "abandoned")],
      key: freshKey("cancel", charge), within: budget)
    if case .object(let object, _) = result, StripeIntent(object)?.status == .canceled {
      return ProviderReport(.notPaid(reason), references: references)
    }
    guard case .intent(let after) = await read(intent.id, within: budget) else {
      return ProviderReport(.unknown("Stripe did not say whether it is cancelled"), references: references)
    }
    if after.status == .canceled { return ProviderReport(.notPaid(reason), references: references) }
    return final(after, charge).keeping(references)
  }

  private static let unreadable = ProviderReport(.unknown("Stripe answered what is no PaymentIntent"))
}

extension ProviderReport {
  /// With these names beside its own.
  fileprivate func keeping(_ references: ProviderReferences) -> ProviderReport {
    ProviderReport(
      answer, nextAction: nextAction, references: references.merging(self.references),
      askAgainSeconds: askAgainSeconds)
  }
}
