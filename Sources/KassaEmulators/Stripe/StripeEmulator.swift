import Crypto
import KassaDomain
import KassaJSON
import Synchronization

/// Stripe in test mode, as far as Terminal needs it: PaymentIntents, readers and their test helpers, refunds, connection
/// tokens, signed webhooks, and answers kept under idempotency keys.
///
/// Readers are there from the start, by name, and some of them are broken in one way each. A PaymentIntent that no
/// reader was told of is collected by the phone's own: there a buyer taps by the control API.
package final class StripeEmulator: ProviderEmulator {
  package static let secretKey = "sk_test_emulated"
  package static let location = "tml_emulated"
  /// Works.
  package static let reader = "tmr_emulated"
  /// Is always doing something else.
  package static let busyReader = "tmr_emulated_busy"
  /// Was not heard of for a while.
  package static let offlineReader = "tmr_emulated_offline"
  /// Does what it is told and does not say so in time.
  package static let slowReader = "tmr_emulated_slow"
  /// Hears nothing, so that every command to it times out.
  package static let deafReader = "tmr_emulated_deaf"
  /// After how long a refund that is under way, or is going to fail, does.
  package static let refundSeconds: Int64 = 1
  /// The pauses between tries of a webhook.
  static let webhookPausesSeconds: [Int64] = [60, 300, 1800, 7200, 18_000, 36_000]

  package let world = EmulatorWorld()
  package let keepsAnswers = true
  private let book: Mutex<StripeBook>

  package init() {
    book = Mutex(
      StripeBook(readers: [Self.reader, Self.busyReader, Self.offlineReader, Self.slowReader, Self.deafReader]))
  }

  package func settings(url: String) -> [(name: String, value: String)] {
    [
      ("secret_key", Self.secretKey), ("base_url", url), ("reader_id", Self.reader), ("location_id", Self.location),
    ]
  }

  package func refusal(status: Int) -> EmulatorResponse {
    StripeRefusal(
      status: status, type: status == 429 ? "invalid_request_error" : "api_error",
      code: status == 429 ? "rate_limit" : nil
    ).response
  }

  // MARK: Buyers

  package func payments() -> [EmulatedPayment] {
    book.withLock { book in
      book.order.compactMap { book.intents[$0] }.map { intent in
        EmulatedPayment(
          id: intent.id, reference: intent.metadata["kassa_payment_id"] ?? "", amount: intent.amount,
          currency: intent.currency.uppercased(), state: intent.status.rawValue,
          isOpen: intent.status == .requiresPaymentMethod, qrText: nil,
          held: intent.status == .requiresCapture ? intent.amount : 0)
      }
    }
  }

  /// Approving taps a card that works; refusing, one that is declined, with Stripe's decline code, `generic_decline` if
  /// none is said. Stripe itself waits without an end: what expires was cancelled in its Dashboard.
  package func buyer(_ action: BuyerAction, _ id: String) -> String? {
    book.withLock { book in
      guard let intent = book.intents[id] else { return "there is no such PaymentIntent" }
      guard intent.status == .requiresPaymentMethod else { return "it is \(intent.status.rawValue)" }
      switch action {
      case .open: break
      case .approve: present(StripeCard.working, to: id, in: &book)
      case .fail: present(StripeCard.declined("insufficient_funds"), to: id, in: &book)
      case .letExpire:
        book.intents[id]?.status = .canceled
        tell("payment_intent.canceled", about: id, in: book)
      case .refuse(let code): present(StripeCard.declined(code ?? "generic_decline"), to: id, in: &book)
      }
      return nil
    }
  }

  /// Holds the test card of this number to the reader, or to the phone. Returns what is wrong with it.
  package func hold(card number: String, to id: String) -> String? {
    guard let card = StripeCard(number: number) else { return "it is no test card" }
    return book.withLock { book in
      guard book.intents[id]?.status == .requiresPaymentMethod else { return "nobody asks for a card" }
      present(card, to: id, in: &book)
      return nil
    }
  }

  /// While it is empty, a refund is pending, and fails.
  package func emptyAccount(_ isEmpty: Bool) { book.withLock { $0.isAccountEmpty = isEmpty } }

  /// Somebody captures all that is reserved in the Dashboard. Returns what is wrong with that.
  package func captureInDashboard(_ intent: String) -> String? {
    book.withLock { book in
      guard let known = book.intents[intent], known.status == .requiresCapture, let charge = known.latestCharge else {
        return "nothing is reserved"
      }
      book.intents[intent]?.status = .succeeded
      book.intents[intent]?.received = known.amount
      book.charges[charge]?.captured = known.amount
      world.ledger.take(known.amount, known.currency.uppercased(), of: intent, "capture in the Dashboard")
      return nil
    }
  }

  /// From now on the bank of whoever paid this keeps what is refunded.
  package func keepRefunds(of intent: String) {
    book.withLock { book in
      guard let charge = book.intents[intent]?.latestCharge else { return }
      book.charges[charge]?.card = StripeCard.working
    }
  }

  package func timePassed() {
    let now = world.clock.now
    book.withLock { book in
      for id in book.refundsUnderWay {
        guard let refund = book.refunds[id], now >= refund.createdAt.adding(seconds: Self.refundSeconds) else {
          continue
        }
        book.refundsUnderWay.remove(id)
        let currency = refund.currency.uppercased()
        if refund.isUnfunded {
          book.refunds[id]?.status = .failed
          book.charges[refund.charge]?.refunded -= refund.amount
          tell("refund.failed", about: id, in: book)
        } else if refund.status == .pending {
          book.refunds[id]?.status = .succeeded
          world.ledger.giveBack(refund.amount, currency, of: refund.intent, "refund")
          tell("refund.updated", about: id, in: book)
        } else {
          book.refunds[id]?.status = .failed
          book.charges[refund.charge]?.refunded -= refund.amount
          world.ledger.take(refund.amount, currency, of: refund.intent, "refund that came back")
          tell("refund.failed", about: id, in: book)
        }
      }
    }
  }

  /// What Stripe may do after a day: under a key of before, things are done anew.
  package func forgetKeys() { book.withLock { $0.kept = [:] } }

  /// Searches lag behind by so much.
  package func delaySearches(seconds: Int64) { book.withLock { $0.searchSeconds = seconds } }

  // MARK: The Dashboard

  /// Takes what is reserved, or a part, as somebody in Stripe's Dashboard does: nothing names who asked for it. Returns
  /// what is wrong with that, if anything.
  package func capture(_ amount: Int64, of id: String) -> String? {
    book.withLock { book in
      guard let intent = book.intents[id], intent.status == .requiresCapture else { return "nothing is reserved" }
      guard (1...intent.amount).contains(amount) else { return "it is not within what is reserved" }
      take(amount, of: intent, in: &book)
      return nil
    }
  }

  /// From now on it says another amount, or another currency, than it was asked for. In lower case.
  package func falsify(_ id: String, amount: Int64? = nil, currency: String? = nil) {
    book.withLock { book in
      if let amount { book.intents[id]?.amount = amount }
      if let currency { book.intents[id]?.currency = currency }
    }
  }

  // MARK: Calls

  package var routes: [EmulatorRoute] {
    [
      route("createIntent", "POST", "/v1/payment_intents", StripeParameters.createIntent, createIntent),
      // Before the next one, of whose path it would be a case.
      route("searchIntents", "GET", "/v1/payment_intents/search", ["query", "limit"], searchIntents),
      route("readIntent", "GET", "/v1/payment_intents/{id}", ["expand[]", "expand[0]"], readIntent),
      route("cancelIntent", "POST", "/v1/payment_intents/{id}/cancel", ["cancellation_reason"], cancelIntent),
      route("captureIntent", "POST", "/v1/payment_intents/{id}/capture", StripeParameters.capture, captureIntent),
      route("createRefund", "POST", "/v1/refunds", StripeParameters.createRefund, createRefund),
      route("listRefunds", "GET", "/v1/refunds", StripeParameters.listRefunds, listRefunds),
      route("readRefund", "GET", "/v1/refunds/{id}", [], readRefund),
      route("connectionToken", "POST", "/v1/terminal/connection_tokens", ["location"], connectionToken),
      route("listReaders", "GET", "/v1/terminal/readers", ["limit"], listReaders),
      route("readReader", "GET", "/v1/terminal/readers/{id}", [], readReader),
      route(
        "process", "POST", "/v1/terminal/readers/{id}/process_payment_intent", StripeParameters.process, process),
      route("cancelAction", "POST", "/v1/terminal/readers/{id}/cancel_action", [], cancelAction),
      route(
        "present", "POST", "/v1/test_helpers/terminal/readers/{id}/present_payment_method", StripeParameters.present,
        presentCard),
      route("readLocation", "GET", "/v1/terminal/locations/{id}", [], readLocation),
      route(
        "createWebhook", "POST", "/v1/webhook_endpoints", StripeParameters.createWebhook, createWebhook),
    ]
  }

  /// Body and effect of one call; throws what Stripe refuses.
  private typealias Handler =
    @Sendable (_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer

  private func route(
    _ operation: String, _ method: String, _ path: String, _ parameters: Set<String>, _ handler: @escaping Handler
  ) -> EmulatorRoute {
    EmulatorRoute(operation, method, path) { [self] request in
      do {
        let call = try StripeCall(request, documented: parameters, world.journal)
        return try book.withLock { (book) throws(StripeRefusal) -> EmulatorResponse in
          try once(call, in: &book, handler)
        }
      } catch let refusal as StripeRefusal {
        return refusal.response
      } catch {
        return self.refusal(status: 500)
      }
    }
  }

  /// Under one key a thing is done once, and its answer kept, whether it was done or refused, or broke. What does not even
  /// fit its parameters is not kept.
  private func once(
    _ call: StripeCall, in book: inout StripeBook, _ handler: Handler
  ) throws(StripeRefusal) -> EmulatorResponse {
    if let key = call.key, let kept = book.kept[key] {
      guard kept.fingerprint == call.fingerprint else {
        throw StripeRefusal(status: 400, type: "idempotency_error", code: nil)
      }
      var response = kept.response
      response.headers.append(("idempotent-replayed", "true"))
      return response
    }
    let response: EmulatorResponse
    do throws(StripeRefusal) {
      if let breakdown = call.breakdown {
        if breakdown.hasEffect { _ = try? handler(&book, call) }
        throw StripeRefusal(status: breakdown.status, type: "api_error", code: nil, isKept: true)
      }
      response = try handler(&book, call).response
    } catch {
      guard error.isKept else { throw error }
      response = error.response
    }
    if let key = call.key { book.kept[key] = (call.fingerprint, response) }
    return response
  }

  // MARK: PaymentIntents

  private func createIntent(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let amount = try call.integer("amount", in: 1...99_999_999)
    if let description = call.first("description"), description.count > 1000 { throw .parameter("description") }
    let currency = try call.text("currency")
    guard currency.utf8.count == 3, currency == currency.lowercased() else { throw .parameter("currency") }
    guard call.all("payment_method_types[]") == ["card_present"] else { throw .parameter("payment_method_types") }
    let method = call.first("capture_method") ?? "automatic"
    guard method == "automatic" || method == "manual" else { throw .parameter("capture_method") }
    let intent = StripeBook.Intent(
      id: book.name("pi"), secret: book.secret(), amount: amount, currency: currency,
      isCapturedAtOnce: method == "automatic",
      metadata: call.metadata, description: call.first("description"), createdAt: call.at)
    book.intents[intent.id] = intent
    book.order.append(intent.id)
    return StripeAnswer { book.write(intent, isExpanded: false, &$0) }
  }

  private func readIntent(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let intent = try book.intent(call.id)
    let isExpanded = (call.all("expand[]") + call.all("expand[0]")).contains("latest_charge")
    return StripeAnswer { book.write(intent, isExpanded: isExpanded, &$0) }
  }

  /// By one pair of metadata: `metadata['name']:'value'`.
  private func searchIntents(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let parts = try call.text("query").split(separator: "'", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 5, parts[0] == "metadata[", parts[2] == "]:" else { throw .parameter("query") }
    let limit = call.first("limit") == nil ? 10 : Int(try call.integer("limit", in: 1...100))
    let until = call.at.adding(seconds: -book.searchSeconds)
    let found = book.order.reversed().compactMap { book.intents[$0] }
      .filter { $0.metadata[parts[1]] == parts[3] && $0.createdAt <= until }
    return StripeAnswer { object in
      object.member("object", "search_result")
      object.member("has_more", found.count > limit)
      object.member("url", "/v1/payment_intents/search")
      object.member(
        "data",
        array: { list in
          for intent in found.prefix(limit) { list.elementObject { book.write(intent, isExpanded: false, &$0) } }
        })
    }
  }

  private func cancelIntent(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let reasons = ["duplicate", "fraudulent", "requested_by_customer", "abandoned"]
    if let reason = call.first("cancellation_reason"), !reasons.contains(reason) {
      throw .parameter("cancellation_reason")
    }
    var intent = try book.intent(call.id)
    guard intent.status == .requiresPaymentMethod || intent.status == .requiresCapture else {
      throw StripeRefusal(
        status: 400, type: "invalid_request_error", code: "payment_intent_unexpected_state", isKept: true)
    }
    intent.status = .canceled
    book.intents[intent.id] = intent
    tell("payment_intent.canceled", about: intent.id, in: book)
    return StripeAnswer { book.write(intent, isExpanded: false, &$0) }
  }

  private func captureIntent(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    var intent = try book.intent(call.id)
    guard intent.status == .requiresCapture else {
      throw StripeRefusal(
        status: 400, type: "invalid_request_error", code: "payment_intent_unexpected_state", isKept: true)
    }
    let amount =
      call.first("amount_to_capture") == nil
      ? intent.amount : try call.integer("amount_to_capture", in: 1...intent.amount)
    intent.metadata.merge(call.metadata) { $1 }
    let taken = take(amount, of: intent, in: &book)
    return StripeAnswer { book.write(taken, isExpanded: false, &$0) }
  }

  /// Once: what is not taken is free from then on.
  @discardableResult
  private func take(_ amount: Int64, of intent: StripeBook.Intent, in book: inout StripeBook) -> StripeBook.Intent {
    var taken = intent
    taken.status = .succeeded
    taken.received = amount
    book.intents[taken.id] = taken
    if let charge = taken.latestCharge { book.charges[charge]?.captured = amount }
    world.ledger.take(amount, taken.currency.uppercased(), of: taken.id, "capture")
    tell("payment_intent.succeeded", about: taken.id, in: book)
    return taken
  }

  /// A card is held to the reader that collects for this PaymentIntent.
  private func present(_ card: StripeCard, to id: String, in book: inout StripeBook) {
    guard var intent = book.intents[id] else { return }
    let charge = StripeBook.Charge(
      id: book.name("ch"), intent: id, card: card, amount: intent.amount, currency: intent.currency,
      createdAt: world.clock.now)
    book.charges[charge.id] = charge
    intent.latestCharge = charge.id
    let reader = book.readers.values.first { $0.action?.intent == id && $0.action?.status == .inProgress }
    if let decline = card.decline {
      intent.declined = decline
      book.intents[id] = intent
      if let reader { book.readers[reader.id]?.action?.fail(decline.code) }
      tell("payment_intent.payment_failed", about: id, in: book)
    } else {
      intent.declined = nil
      intent.status = intent.isCapturedAtOnce ? .succeeded : .requiresCapture
      if intent.isCapturedAtOnce {
        intent.received = intent.amount
        book.charges[charge.id]?.captured = intent.amount
        world.ledger.take(intent.amount, intent.currency.uppercased(), of: id, "charge")
      }
      book.intents[id] = intent
      if let reader { book.readers[reader.id]?.action?.status = .succeeded }
      let event = intent.isCapturedAtOnce ? "payment_intent.succeeded" : "payment_intent.amount_capturable_updated"
      tell(event, about: id, in: book)
    }
    if let reader {
      tell(
        card.decline == nil ? "terminal.reader.action_succeeded" : "terminal.reader.action_failed", about: reader.id,
        in: book)
    }
  }

  // MARK: Refunds

  private func createRefund(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    if let reason = call.first("reason"), !["duplicate", "fraudulent", "requested_by_customer"].contains(reason) {
      throw .parameter("reason")
    }
    let intent = try book.intent(try call.text("payment_intent"), parameter: "payment_intent")
    guard let id = intent.latestCharge, let charge = book.charges[id], charge.captured > 0 else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: nil, isKept: true)
    }
    let rest = charge.captured - charge.refunded
    guard rest > 0 else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: "charge_already_refunded", isKept: true)
    }
    let amount = call.first("amount") == nil ? rest : try call.integer("amount", in: 1...Int64.max)
    guard amount <= rest else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: "amount_too_large", isKept: true)
    }
    let refund = StripeBook.Refund(
      id: book.name("re"), charge: id, intent: intent.id, amount: amount, currency: intent.currency,
      metadata: call.metadata, createdAt: call.at, isUnfunded: book.isAccountEmpty,
      status: charge.card.refund == .slow || book.isAccountEmpty ? .pending : .succeeded)
    book.refunds[refund.id] = refund
    book.refundOrder.append(refund.id)
    book.charges[id]?.refunded += amount
    if charge.card.refund != .prompt || refund.isUnfunded { book.refundsUnderWay.insert(refund.id) }
    if refund.status == .succeeded {
      world.ledger.giveBack(amount, intent.currency.uppercased(), of: intent.id, "refund")
    }
    return StripeAnswer { refund.write(&$0) }
  }

  private func readRefund(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    guard let refund = book.refunds[call.id] else { throw .missing("id") }
    return StripeAnswer { refund.write(&$0) }
  }

  private func listRefunds(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let limit = call.first("limit") == nil ? 10 : Int(try call.integer("limit", in: 1...100))
    let intent = call.first("payment_intent")
    var found = book.refundOrder.reversed().compactMap { book.refunds[$0] }
      .filter { intent == nil || $0.intent == intent }
    if let last = call.first("starting_after") {
      guard let place = found.firstIndex(where: { $0.id == last }) else { throw .missing("starting_after") }
      found.removeFirst(place + 1)
    }
    return StripeAnswer.list(
      found.prefix(limit).map { refund in { refund.write(&$0) } }, hasMore: found.count > limit, url: "/v1/refunds")
  }

  // MARK: Readers

  private func connectionToken(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let location = call.first("location")
    if let location, location != Self.location { throw .missing("location") }
    let secret = "pst_test_\(book.secret())"
    return StripeAnswer { object in
      object.member("object", "terminal.connection_token")
      object.member("location", location)
      object.member("secret", secret)
    }
  }

  private func listReaders(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let limit = call.first("limit") == nil ? 10 : Int(try call.integer("limit", in: 1...100))
    let readers = book.readers.values.sorted { $0.id < $1.id }
    return StripeAnswer.list(
      readers.prefix(limit).map { reader in { reader.write(&$0) } }, hasMore: readers.count > limit,
      url: "/v1/terminal/readers")
  }

  private func readReader(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let reader = try book.reader(call.id)
    return StripeAnswer { reader.write(&$0) }
  }

  private func readLocation(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    guard call.id == Self.location else { throw .missing("id") }
    return StripeAnswer { object in
      object.member("id", Self.location)
      object.member("object", "terminal.location")
      object.member(
        "address",
        object: { address in
          address.member("country", "SE")
          address.member("city", "Stockholm")
          address.member("line1", "Emulated 1")
          address.member("postal_code", "111 22")
        })
      object.member("display_name", "My Store")
      object.member("livemode", false)
      object.member("metadata", object: { _ in })
    }
  }

  private func process(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    var reader = try book.reader(call.id)
    let intent = try book.intent(try call.text("payment_intent"), parameter: "payment_intent")
    func refused(_ code: String) -> StripeRefusal {
      StripeRefusal(status: 400, type: "invalid_request_error", code: code, isKept: true)
    }
    guard intent.status == .requiresPaymentMethod else { throw refused("intent_invalid_state") }
    switch reader.id {
    case Self.busyReader: throw refused("terminal_reader_busy")
    case Self.offlineReader: throw refused("terminal_reader_offline")
    case Self.deafReader: throw refused("terminal_reader_timeout")
    default: break
    }
    for name in ["process_config[skip_tipping]", "process_config[enable_customer_cancellation]"] {
      if let value = call.first(name), value != "true", value != "false" { throw .parameter(name) }
    }
    // What it was doing has not begun to be processed: here a card is authorised in the moment in which it is held to it.
    reader.action = StripeBook.Action(intent: intent.id)
    book.readers[reader.id] = reader
    if reader.id == Self.slowReader { throw refused("terminal_reader_timeout") }
    return StripeAnswer { reader.write(&$0) }
  }

  private func cancelAction(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    var reader = try book.reader(call.id)
    reader.action = nil
    book.readers[reader.id] = reader
    return StripeAnswer { reader.write(&$0) }
  }

  private func presentCard(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let reader = try book.reader(call.id)
    guard call.first("type") == "card_present" else { throw .parameter("type") }
    guard let card = StripeCard(number: try call.text("card_present[number]")) else {
      throw .parameter("card_present[number]")
    }
    guard let action = reader.action, action.status == .inProgress,
      book.intents[action.intent]?.status == .requiresPaymentMethod
    else { throw StripeRefusal(status: 400, type: "invalid_request_error", code: "resource_missing", isKept: true) }
    present(card, to: action.intent, in: &book)
    let after = try book.reader(call.id)
    return StripeAnswer { after.write(&$0) }
  }

  // MARK: Webhooks

  private func createWebhook(_ book: inout StripeBook, _ call: StripeCall) throws(StripeRefusal) -> StripeAnswer {
    let url = try call.text("url")
    // The real one takes https only; a playground has none.
    guard url.hasPrefix("https://") || url.hasPrefix("http://") else {
      throw StripeRefusal(status: 400, type: "invalid_request_error", code: "url_invalid")
    }
    let events = call.all("enabled_events[]")
    guard !events.isEmpty, events.allSatisfy({ $0 == "*" || StripeParameters.events.contains($0) }) else {
      throw .parameter("enabled_events")
    }
    if let version = call.first("api_version"), !StripeCall.isVersion(version) { throw .parameter("api_version") }
    let endpoint = StripeBook.Endpoint(
      id: book.name("we"), url: url, secret: "whsec_\(book.secret())", events: Set(events),
      apiVersion: call.first("api_version"))
    book.endpoints.append(endpoint)
    return StripeAnswer { object in
      object.member("id", endpoint.id)
      object.member("object", "webhook_endpoint")
      object.member("url", endpoint.url)
      object.member("api_version", endpoint.apiVersion)
      object.member("created", call.at.secondsSinceEpoch)
      object.member("description", call.first("description"))
      object.member("metadata", object: { _ in })
      object.member("status", "enabled")
      object.member("livemode", false)
      object.member("secret", endpoint.secret)
      object.member("enabled_events", array: { list in for event in events { list.element(event) } })
    }
  }

  private func tell(_ type: String, about id: String, in book: StripeBook) {
    let now = world.clock.now
    for endpoint in book.endpoints where endpoint.events.contains(type) || endpoint.events.contains("*") {
      let event = book.name("evt")
      let body = StripeAnswer { object in
        object.member("id", event)
        object.member("object", "event")
        object.member("api_version", endpoint.apiVersion)
        object.member("pending_webhooks", Int64(1))
        object.member("created", now.secondsSinceEpoch)
        object.member("livemode", false)
        object.member("type", type)
        object.member(
          "data",
          object: { data in
            data.member(
              "object",
              object: { object in
                if let intent = book.intents[id] { book.write(intent, isExpanded: false, &object) }
                if let reader = book.readers[id] { reader.write(&object) }
                if let refund = book.refunds[id] { refund.write(&object) }
              })
          })
      }.body
      let key = SymmetricKey(data: Array(endpoint.secret.utf8))
      world.notifications.send(
        EmulatorNotification(
          // Stripe promises no order.
          chain: event, payment: id, event: type, url: endpoint.url, body: body,
          pausesSeconds: Self.webhookPausesSeconds
        ) { at in
          let time = String(at.secondsSinceEpoch)
          let code = HMAC<SHA256>.authenticationCode(for: Array("\(time).".utf8) + body, using: key)
          return [
            ("content-type", "application/json; charset=utf-8"),
            ("stripe-signature", "t=\(time),v1=\(hexadecimalText(code))"),
          ]
        })
    }
  }
}
