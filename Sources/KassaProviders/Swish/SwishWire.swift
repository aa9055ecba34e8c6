import KassaDomain
import KassaJSON
import KassaService

/// Amounts as Swish writes them: kronor, a point, two digits. Exact: there is no floating point between.
enum SwishAmount {
  /// What Swish takes, in öre.
  static let range: ClosedRange<Int64> = 100...99_999_999_999_999

  static func text(_ minorUnits: Int64) -> String {
    let hundredths = String(minorUnits % 100)
    return "\(minorUnits / 100).\(hundredths.utf8.count < 2 ? "0" : "")\(hundredths)"
  }

  /// Reads a number or a text with at most two decimals that count. `nil` for anything else.
  static func minorUnits(_ value: JSONValue?) -> Int64? {
    switch value {
    case .integer(let kronor):
      let (product, overflow) = kronor.multipliedReportingOverflow(by: 100)
      return overflow || kronor < 0 ? nil : product
    case .number(let text), .string(let text): return minorUnits(text)
    case nil, .null, .bool, .array, .object: return nil
    }
  }

  private static func minorUnits(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(\.isDigit) }) else {
      return nil
    }
    let decimals = parts.count == 2 ? Array(parts[1].utf8) : []
    guard decimals.dropFirst(2).allSatisfy({ $0 == UInt8(ascii: "0") }) else { return nil }
    let hundredths = decimals.prefix(2) + Array(repeating: UInt8(ascii: "0"), count: max(0, 2 - decimals.count))
    return Int64(String(parts[0]) + String(decoding: hundredths, as: UTF8.self))
  }
}

/// What the buyer reads in the app.
enum SwishMessage {
  static let charactersMax = 50
  private static let punctuation = Array(" :;.,?!()\"".unicodeScalars)

  /// `text` in the characters that Swish takes, others made to spaces; `nil` when nothing is left.
  static func allowed(_ text: String) -> String? {
    var scalars = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      let taken: Unicode.Scalar = isAllowed(scalar) ? scalar : " "
      if taken == " ", scalars.last.map({ $0 == " " }) ?? true { continue }
      scalars.append(taken)
      if scalars.count == charactersMax { break }
    }
    while scalars.last == " " { scalars.removeLast() }
    return scalars.isEmpty ? nil : String(scalars)
  }

  private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "a"..."z", "A"..."Z", "0"..."9", "å", "ä", "ö", "Å", "Ä", "Ö": true
    default: punctuation.contains(scalar)
    }
  }
}

/// The names that we give what we ask for: 32 hexadecimal digits in upper case. Asked again under the same name, Swish
/// does not do it a second time.
enum SwishInstruction {
  /// That of an attempt: its own identifier.
  static func payment(_ id: PaymentID) -> String { digits(id.bytes) }

  /// That of a refund: its own identifier.
  static func refund(_ id: SubjectID) -> String { digits(id.bytes) }

  /// That of the current try to give back the whole of an attempt. One that ended as ERROR stays so under its name.
  static func reversal(of charge: Charge) -> String { digits(charge.reversalDigest) }

  private static func digits(_ bytes: some Sequence<UInt8>) -> String { hexadecimalText(bytes).uppercased() }
}

/// What the code on the phone says, made from the token that a request was given.
enum SwishQRCode {
  /// From one public source only: if Swish's own code service (`qrg-swish`) should write it otherwise, this is the one
  /// place to change.
  static func text(token: String) -> String { "D" + token }

  /// How long the app takes it.
  static let secondsMax: Int64 = 180
}

/// What Swish tells of a payment.
struct SwishPayment {
  enum Status: String {
    case created = "CREATED"
    case paid = "PAID"
    case declined = "DECLINED"
    case error = "ERROR"
    case cancelled = "CANCELLED"
  }

  /// `nil` for one that is not documented.
  let status: Status?
  let amount: Int64?
  let currency: String?
  /// The bank's name of it, which a refund needs.
  let paymentReference: String?
  let errorCode: String?

  /// `nil` when the bytes are no payment.
  init?(_ body: [UInt8]) {
    guard let object = jsonObject(of: body), let status = object.text("status") else {
      return nil
    }
    self.status = Status(rawValue: status)
    amount = SwishAmount.minorUnits(object["amount"])
    currency = object.text("currency")
    paymentReference = object.text("paymentReference")
    errorCode = object.text("errorCode")
  }
}

/// What Swish tells of a refund.
struct SwishRefund {
  enum Status: String {
    case created = "CREATED"
    case initiated = "INITIATED"
    case validated = "VALIDATED"
    case debited = "DEBITED"
    case paid = "PAID"
    case error = "ERROR"
  }

  /// `nil` for one that is not documented.
  let status: Status?
  let errorCode: String?

  /// `nil` when the bytes are no refund.
  init?(_ body: [UInt8]) {
    guard let object = jsonObject(of: body), let status = object.text("status") else {
      return nil
    }
    self.status = Status(rawValue: status)
    errorCode = object.text("errorCode")
  }
}

/// The codes of a refusal at once: an array of objects. Its shape is seen in public clients.
enum SwishRefusal {
  static func codes(_ body: [UInt8]) -> [String] {
    guard case .array(let elements)? = try? JSONParser.parse(body) else { return [] }
    return elements.compactMap { if case .object(let object) = $0 { object.text("errorCode") } else { nil } }
  }
}

extension UInt8 {
  fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }
}
