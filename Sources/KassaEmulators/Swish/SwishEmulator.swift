import Foundation
import KassaDomain
import KassaJSON
import Synchronization

/// Swish for trade: mutual TLS with certificates made at the start, requests named by the merchant, unsigned callbacks,
/// and the words in a message by which Swish's own simulator is told what goes wrong.
///
/// Unlike the real one it takes callback addresses of plain HTTP, and certificates with keys on P-256.
package final class SwishEmulator: ProviderEmulator {
  /// The Swish number of the one merchant there is.
  package static let payeeAlias = "1231181189"
  /// A request that nobody decided on ends after this time.
  package static let requestSeconds: Int64 = 330
  /// After this time what a message asked for goes wrong.
  package static let triggerSeconds: Int64 = 4
  /// The pauses between tries of a callback.
  package static let callbackPausesSeconds: [Int64] = [5, 10, 20, 40, 60, 60, 60, 60, 60, 60]

  package let world = EmulatorWorld()
  package let certificates: EmulatorCertificates
  private let merchant: EmulatorCertificates.Identity
  private let book = Mutex(Book())
  private let refundSeconds: Int64

  /// A refund is under way for `refundSeconds`.
  package init(refundSeconds: Int64 = 1) throws {
    self.refundSeconds = refundSeconds
    certificates = try EmulatorCertificates(at: world.clock.now)
    merchant = try certificates.client(named: Self.payeeAlias, at: world.clock.now)
  }

  package var tls: EmulatorTLS? {
    EmulatorTLS(
      certificateChain: certificates.server.certificate, privateKey: certificates.server.privateKey,
      clientRoots: certificates.authority)
  }

  package func settings(url: String) -> [(name: String, value: String)] {
    [
      ("payee_alias", Self.payeeAlias), ("base_url", "\(url)/swish-cpcapi"), ("certificate", merchant.certificate),
      ("private_key", merchant.privateKey), ("trusted_certificate", certificates.authority),
    ]
  }

  package var routes: [EmulatorRoute] {
    [
      EmulatorRoute("create", "PUT", "/swish-cpcapi/api/v2/paymentrequests/{id}") { [self] in create($0) },
      EmulatorRoute("read", "GET", "/swish-cpcapi/api/v1/paymentrequests/{id}") { [self] in read($0) },
      EmulatorRoute("cancel", "PATCH", "/swish-cpcapi/api/v1/paymentrequests/{id}") { [self] in cancel($0) },
      EmulatorRoute("refund", "PUT", "/swish-cpcapi/api/v2/refunds/{id}") { [self] in refund($0) },
      EmulatorRoute("readRefund", "GET", "/swish-cpcapi/api/v1/refunds/{id}") { [self] in readRefund($0) },
    ]
  }

  package func refusal(status: Int) -> EmulatorResponse { EmulatorResponse(status: status) }

  // MARK: Buyers

  package func payments() -> [EmulatedPayment] {
    book.withLock { book in
      book.order.compactMap { book.payments[$0] }.map { payment in
        EmulatedPayment(
          id: payment.id, reference: payment.reference ?? "", amount: payment.amount, currency: "SEK",
          state: payment.errorCode ?? payment.status.rawValue, isOpen: payment.status == .created,
          qrText: payment.status == .created ? "D" + payment.token : nil)
      }
    }
  }

  /// Refusing: without a word, `DECLINED`; with one of Swish's codes, `ERROR`. What ended as DS24 can be approved or
  /// refused afterwards: the banks have found out.
  package func buyer(_ action: BuyerAction, _ id: String) -> String? {
    book.withLock { book in
      guard let payment = book.payments[id] else { return "there is no such payment" }
      guard payment.status == .created || payment.errorCode == "DS24" else { return "it is \(payment.status.rawValue)" }
      switch action {
      case .open: return payment.status == .created ? nil : "it is \(payment.status.rawValue)"
      case .approve: end(id, .paid, nil, in: &book)
      case .refuse(let code?) where code != "DECLINED": end(id, .error, code, in: &book)
      case .refuse: end(id, .declined, nil, in: &book)
      case .fail: end(id, .error, "RF07", in: &book)
      case .letExpire: end(id, .error, "TM01", in: &book)
      }
      return nil
    }
  }

  package func emptyAccount(_ isEmpty: Bool) { endRefunds(with: isEmpty ? "RF07" : nil) }

  /// Refunds that are asked for from now on end as ERROR with this code; with `nil` as they should.
  package func endRefunds(with code: String?) { book.withLock { $0.refundTrigger = code } }

  /// The banks find out that refunds which ended as DS24 were made after all.
  package func settleUnknownRefunds() {
    book.withLock { book in
      for (id, refund) in book.refunds where refund.status == .error && refund.trigger == "DS24" {
        book.refunds[id]?.trigger = nil
        endRefund(id, in: &book)
        book.payments[refund.payment]?.refunded += refund.amount
      }
    }
  }

  /// What is told of every payment from now on, whatever it was: no honest server does this.
  package func misstate(amount: Int64? = nil, currency: String? = nil) {
    book.withLock { $0.misstated = (amount, currency) }
  }

  package func timePassed() {
    let now = world.clock.now
    book.withLock { book in
      for id in book.underWay {
        guard let payment = book.payments[id] else { continue }
        if let trigger = payment.trigger, now >= payment.createdAt.adding(seconds: Self.triggerSeconds) {
          end(id, .error, trigger, in: &book)
        } else if now >= payment.createdAt.adding(seconds: Self.requestSeconds) {
          end(id, .error, "TM01", in: &book)
        }
      }
      for id in book.refundsUnderWay {
        guard let refund = book.refunds[id], now >= refund.createdAt.adding(seconds: refundSeconds) else {
          continue
        }
        endRefund(id, in: &book)
      }
    }
  }

  // MARK: Payments

  private func create(_ request: EmulatorRequest) -> EmulatorResponse {
    let id = request.parameters["id"] ?? ""
    guard Self.isInstruction(id), request.header("content-type")?.hasPrefix("application/json") == true,
      let object = request.json
    else { return EmulatorResponse(status: 400) }
    var fields = EmulatorFields(object)
    var codes: [String] = []
    func need(_ condition: Bool, _ code: String) { if !condition { codes.append(code) } }
    let alias = fields.text("payeeAlias")
    need(alias != nil, "RP01")
    if let alias { need(alias == Self.payeeAlias, "ACMT07") }
    let amount = Self.amount(&fields, &codes)
    need(fields.text("currency") == "SEK", "AM03")
    let callback = fields.text("callbackUrl")
    need(callback.map(Self.isCallback) ?? false, "RP03")
    let reference = fields.text("payeePaymentReference")
    if let reference { need(Self.has(reference, 1...35, Self.referenceCharacters), "FF08") }
    let identifier = fields.text("callbackIdentifier")
    if let identifier { need(Self.has(identifier, 32...36, Self.referenceCharacters), "PA01") }
    let message = fields.text("message")
    if let message { need(Self.isMessage(message), "RP02") }
    let payer = fields.text("payerAlias")
    if let payer { need(Self.has(payer, 8...15, Self.digits), "BE18") }
    if let age = fields.integer("ageLimit") { need((1...99).contains(age), "PA01") }
    _ = fields.text("payerSSN")
    world.journal.noteUndocumented(fields.unknown)
    if let message, codes.isEmpty, Self.codesAtOnce.contains(message) { codes.append(message) }
    guard codes.isEmpty, let amount, let callback else { return Self.refused(codes) }
    var generator = SystemRandomNumberGenerator()
    let token = Self.randomText(Array("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), 32, &generator)
    let payment = Payment(
      id: id, token: token, callback: callback, identifier: identifier, reference: reference, amount: amount,
      message: message, trigger: message.flatMap { Self.codesLater.contains($0) ? $0 : nil }, createdAt: request.at)
    let isNew = book.withLock { book in
      guard book.payments[id] == nil else { return false }
      book.payments[id] = payment
      book.order.append(id)
      book.underWay.insert(id)
      return true
    }
    guard isNew else { return Self.refused(["RP09"]) }
    let host = request.header("host") ?? EmulatorServer.host
    return EmulatorResponse(
      status: 201,
      headers: [("Location", "https://\(host)/swish-cpcapi/api/v1/paymentrequests/\(id)")]
        + (payer == nil ? [("PaymentRequestToken", token)] : []))
  }

  private func read(_ request: EmulatorRequest) -> EmulatorResponse {
    let found = book.withLock { book in
      book.payments[request.parameters["id"] ?? ""].map { payment in
        var payment = payment
        payment.toldAmount = book.misstated.amount ?? payment.amount
        payment.toldCurrency = book.misstated.currency ?? payment.toldCurrency
        return payment
      }
    }
    guard let found else { return EmulatorResponse(status: 404) }
    return EmulatorResponse(status: 200, headers: [("content-type", "application/json")], body: found.json)
  }

  private func cancel(_ request: EmulatorRequest) -> EmulatorResponse {
    let id = request.parameters["id"] ?? ""
    guard request.header("content-type")?.hasPrefix("application/json-patch+json") == true,
      case .array(let operations)? = try? JSONParser.parse(request.body), operations.count == 1,
      case .object(let operation) = operations[0], operation.text("op") == "replace",
      operation.text("path") == "/status", operation.text("value") == "cancelled"
    else { return EmulatorResponse(status: 400) }
    return book.withLock { book in
      guard let payment = book.payments[id] else { return EmulatorResponse(status: 404) }
      guard payment.status == .created else { return Self.refused(["RP07"]) }
      end(id, .cancelled, nil, in: &book)
      return EmulatorResponse(
        status: 200, headers: [("content-type", "application/json")], body: book.payments[id]?.json ?? [])
    }
  }

  private func end(_ id: String, _ status: Payment.Status, _ code: String?, in book: inout Book) {
    guard var payment = book.payments[id] else { return }
    payment.status = status
    payment.errorCode = code
    if status == .paid {
      var generator = SystemRandomNumberGenerator()
      payment.paidAt = world.clock.now
      payment.bankReference = Self.randomText(Array("0123456789ABCDEF"), 32, &generator)
      world.ledger.take(payment.amount, "SEK", of: id, "payment")
    }
    book.payments[id] = payment
    book.underWay.remove(id)
    tell(payment.json, to: payment.callback, of: id, status.rawValue, identifier: payment.identifier)
  }

  private func tell(_ body: [UInt8], to url: String, of id: String, _ event: String, identifier: String?) {
    world.notifications.send(
      EmulatorNotification(
        chain: id, payment: id, event: event, url: url, body: body, pausesSeconds: Self.callbackPausesSeconds
      ) { _ in
        [("content-type", "application/json")] + (identifier.map { [("callbackIdentifier", $0)] } ?? [])
      })
  }

  // MARK: Refunds

  private func refund(_ request: EmulatorRequest) -> EmulatorResponse {
    let id = request.parameters["id"] ?? ""
    guard Self.isInstruction(id), request.header("content-type")?.hasPrefix("application/json") == true,
      let object = request.json
    else { return EmulatorResponse(status: 400) }
    var fields = EmulatorFields(object)
    var codes: [String] = []
    func need(_ condition: Bool, _ code: String) { if !condition { codes.append(code) } }
    let original = fields.text("originalPaymentReference")
    need(original != nil, "RF02")
    let callback = fields.text("callbackUrl")
    need(callback.map(Self.isCallback) ?? false, "RP03")
    let payer = fields.text("payerAlias")
    need(payer != nil, "RP01")
    if let payer { need(payer == Self.payeeAlias, "RF03") }
    let amount = Self.amount(&fields, &codes)
    need(fields.text("currency") == "SEK", "AM03")
    if let reference = fields.text("payerPaymentReference") {
      need(Self.has(reference, 1...35, Self.referenceCharacters), "FF08")
    }
    let message = fields.text("message")
    if let message { need(Self.isMessage(message), "RP02") }
    world.journal.noteUndocumented(fields.unknown)
    if let message, codes.isEmpty, Self.codesAtOnce.contains(message) { codes.append(message) }
    guard codes.isEmpty, let amount, let callback, let original else { return Self.refused(codes) }
    let refusal: String? = book.withLock { book in
      if book.refunds[id] != nil { return "RP09" }
      guard let payment = book.payments.values.first(where: { $0.bankReference == original }) else { return "RF02" }
      guard payment.refunded + amount <= payment.amount else { return "AM02" }
      book.payments[payment.id]?.refunded += amount
      book.refunds[id] = Refund(
        id: id, payment: payment.id, callback: callback, amount: amount, message: message,
        trigger: message.flatMap { Self.codesLater.contains($0) ? $0 : nil } ?? book.refundTrigger,
        createdAt: request.at)
      book.refundsUnderWay.insert(id)
      return nil
    }
    if let refusal { return Self.refused([refusal]) }
    let host = request.header("host") ?? EmulatorServer.host
    return EmulatorResponse(
      status: 201, headers: [("Location", "https://\(host)/swish-cpcapi/api/v1/refunds/\(id)")])
  }

  private func readRefund(_ request: EmulatorRequest) -> EmulatorResponse {
    let found = book.withLock { $0.refunds[request.parameters["id"] ?? ""] }
    guard let found else { return EmulatorResponse(status: 404) }
    return EmulatorResponse(status: 200, headers: [("content-type", "application/json")], body: found.json)
  }

  private func endRefund(_ id: String, in book: inout Book) {
    guard var refund = book.refunds[id] else { return }
    refund.status = refund.trigger == nil ? .paid : .error
    if refund.trigger == nil {
      world.ledger.giveBack(refund.amount, "SEK", of: refund.payment, "refund")
    } else {
      // Nobody tells whether Swish counts what ended as DS24. Here it does not, which is the harder case for who asks.
      book.payments[refund.payment]?.refunded -= refund.amount
    }
    book.refunds[id] = refund
    book.refundsUnderWay.remove(id)
    tell(refund.json, to: refund.callback, of: refund.payment, "REFUND_\(refund.status.rawValue)", identifier: nil)
  }

  // MARK: Rules

  /// Codes that a message brings about at once.
  private static let codesAtOnce: Set<String> = [
    "FF08", "RP01", "RP02", "RP03", "RP06", "BE18", "PA01", "PA02", "AM02", "AM03", "AM06", "ACMT01", "ACMT03",
    "ACMT07",
    "RF02", "VR01", "VR02",
  ]
  /// Codes that a message brings about after a while.
  private static let codesLater: Set<String> = ["RF07", "FF10", "TM01", "DS24", "BANKIDCL"]

  private static let digits = Set("0123456789".unicodeScalars)
  private static let letters = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".unicodeScalars)
  private static let referenceCharacters = digits.union(letters).union("-".unicodeScalars)
  private static let messageCharacters = digits.union(letters).union("åäöÅÄÖ :;.,?!()\"".unicodeScalars)

  private static func isInstruction(_ text: String) -> Bool {
    has(text, 32...32, digits.union("ABCDEF".unicodeScalars))
  }

  private static func has(_ text: String, _ count: ClosedRange<Int>, _ allowed: Set<Unicode.Scalar>) -> Bool {
    count.contains(text.unicodeScalars.count) && text.unicodeScalars.allSatisfy(allowed.contains)
  }

  private static func isMessage(_ text: String) -> Bool { has(text, 0...50, messageCharacters) }

  /// The real one takes https only; a playground has none.
  private static func isCallback(_ url: String) -> Bool {
    url.hasPrefix("https://") || url.hasPrefix("http://")
  }

  /// In hundredths: digits, and at most two decimals after a point.
  private static func amount(_ fields: inout EmulatorFields, _ codes: inout [String]) -> Int64? {
    let parts = fields.text("amount")?.split(separator: ".", omittingEmptySubsequences: false) ?? []
    guard (1...2).contains(parts.count), has(String(parts[0]), 1...14, digits),
      parts.count == 1 || has(String(parts[1]), 1...2, digits),
      let hundredths = Int64(
        parts[0] + (parts.count == 1 ? "" : parts[1]).padding(toLength: 2, withPad: "0", startingAt: 0))
    else {
      codes.append("PA02")
      return nil
    }
    if hundredths < 100 { codes.append("AM06") }
    if hundredths > 99_999_999_999_999 { codes.append("AM02") }
    return hundredths
  }

  private static func refused(_ codes: [String]) -> EmulatorResponse {
    var writer = JSONWriter()
    writer.array { array in
      for code in codes {
        array.elementObject { object in
          object.member("errorCode", code)
          object.member("errorMessage", "refused with \(code)")
          object.memberNull("additionalInformation")
        }
      }
    }
    return EmulatorResponse(status: 422, headers: [("content-type", "application/json")], body: writer.bytes)
  }

  private static func randomText(
    _ alphabet: [Character], _ count: Int, _ generator: inout SystemRandomNumberGenerator
  ) -> String {
    String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
  }
}

// MARK: The book

private struct Book {
  var payments: [String: Payment] = [:]
  /// Oldest first.
  var order: [String] = []
  var underWay: Set<String> = []
  var refunds: [String: Refund] = [:]
  var refundsUnderWay: Set<String> = []
  /// How refunds end that are asked for now; `nil` as they should.
  var refundTrigger: String?
  var misstated: (amount: Int64?, currency: String?) = (nil, nil)
}

private struct Payment {
  enum Status: String {
    case created = "CREATED"
    case paid = "PAID"
    case declined = "DECLINED"
    case error = "ERROR"
    case cancelled = "CANCELLED"
  }

  let id: String
  let token: String
  let callback: String
  let identifier: String?
  let reference: String?
  let amount: Int64
  let message: String?
  let trigger: String?
  let createdAt: Timestamp
  var status = Status.created
  var errorCode: String?
  var paidAt: Timestamp?
  var bankReference: String?
  var refunded: Int64 = 0
  /// What is told of it.
  var toldAmount: Int64?
  var toldCurrency = "SEK"

  var json: [UInt8] {
    var writer = JSONWriter()
    writer.object { object in
      object.member("id", id)
      object.member("payeePaymentReference", reference)
      object.member("paymentReference", bankReference)
      object.member("callbackUrl", callback)
      object.member("payeeAlias", SwishEmulator.payeeAlias)
      object.member("payerAlias", status == .paid ? "46712345678" : nil)
      object.member("amount", json: .number(decimal(toldAmount ?? amount)))
      object.member("currency", toldCurrency)
      object.member("message", message ?? "")
      object.member("status", status.rawValue)
      object.member("dateCreated", createdAt.description)
      object.member("datePaid", paidAt?.description)
      object.member("errorCode", errorCode)
      object.member("errorMessage", errorCode.map { "ended with \($0)" })
    }
    return writer.bytes
  }
}

private struct Refund {
  enum Status: String {
    case debited = "DEBITED"
    case paid = "PAID"
    case error = "ERROR"
  }

  let id: String
  let payment: String
  let callback: String
  let amount: Int64
  let message: String?
  var trigger: String?
  let createdAt: Timestamp
  var status = Status.debited

  var json: [UInt8] {
    var writer = JSONWriter()
    writer.object { object in
      object.member("id", id)
      object.member("callbackUrl", callback)
      object.member("payerAlias", SwishEmulator.payeeAlias)
      object.member("payeeAlias", "46712345678")
      object.member("amount", json: .number(decimal(amount)))
      object.member("currency", "SEK")
      object.member("message", message ?? "")
      object.member("status", status.rawValue)
      object.member("dateCreated", createdAt.description)
      object.member("errorCode", status == .error ? trigger : nil)
    }
    return writer.bytes
  }
}

private func decimal(_ hundredths: Int64) -> String {
  "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
}
