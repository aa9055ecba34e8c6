/// An event as merchants see it, in callbacks and in the pull feed (contract, section 8).
package struct CallbackEnvelope: Equatable, Sendable {
  package let id: CallbackEventID
  /// The name of the type, as in `ipp.session.created`.
  package let type: String
  private let event: Event

  /// `nil` for an event that stays inside.
  package init?(_ event: Event, id: CallbackEventID) {
    guard let type = event.type.callbackType else { return nil }
    self.id = id
    self.type = type
    self.event = event
  }

  package var at: Timestamp { event.at }

  /// Compact JSON. The same event gives the same bytes every time.
  package var jsonBytes: [UInt8] {
    var text = #"{"id":"\#(id.text)","merchant_id":"\#(event.merchantID)","timestamp":""#
    text += event.at.nanosecondText
    text += #"","type":"\#(type)","data":{"#
    text += dataMembers.map { #""\#($0.name)":\#($0.json)"# }.joined(separator: ",")
    text += "}}"
    return Array(text.utf8)
  }

  private var dataMembers: [(name: String, json: String)] {
    let sequence = (name: "sequence", json: "\(event.sequence)")
    let failure = (name: "failure_reason", json: event.failureReason.map(Self.quoted) ?? "null")
    switch event.type {
    case .sessionCreated, .sessionActivated, .sessionFinalized, .sessionCancelled, .sessionExpired, .sessionFailed,
      .paymentFailed, .paymentLate:
      return [
        ("session_id", "\"\(event.subjectID)\""),
        ("order_id", event.orderID.map { "\"\($0)\"" } ?? "null"),
        failure,
        sequence,
      ]
    case .orderCreated, .orderCancelled:
      return [("order_id", "\"\(event.subjectID)\"")] + related("session_id") + [sequence]
    case .captureCreated, .captureFailed:
      return [("order_id", "\"\(event.subjectID)\"")] + related("capture_id") + [failure, sequence]
    case .refundCreated, .refundFailed:
      return [("order_id", "\"\(event.subjectID)\"")] + related("refund_id") + [failure, sequence]
    case .devicePaired, .deviceDeleted:
      return [("device_id", "\"\(event.subjectID)\"")] + related("enrollment_id") + [sequence]
    case .webhookTest:
      return [("webhook_id", "\"\(event.subjectID)\""), sequence]
    case .merchantCreated, .apiKeyCreated, .apiKeyRevoked, .locationCreated, .locationChanged, .locationDeleted,
      .enrollmentCreated, .enrollmentConsumed, .enrollmentCancelled, .enrollmentExpired, .deviceChanged,
      .webhookCreated, .webhookChanged, .webhookSecretRotated, .webhookDisabled, .webhookDeleted,
      .paymentMethodCreated, .paymentMethodChanged, .paymentMethodDeleted, .paymentActionChanged:
      return [sequence]
    }
  }

  private func related(_ name: String) -> [(name: String, json: String)] {
    event.relatedID.map { [(name, "\"\($0)\"")] } ?? []
  }

  /// A JSON string (RFC 8259, section 7).
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case "\u{0}"..."\u{1f}":
        let digits = String(scalar.value, radix: 16)
        quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}

/// `kevt_` and 128 bits in base 62: 22 digits, the highest first.
package struct CallbackEventID: Hashable, Sendable {
  package let text: String

  package init(high: UInt64, low: UInt64) {
    let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    var digits: [UInt8] = []
    var (high, low) = (high, low)
    for _ in 0..<22 {
      let (highQuotient, highRemainder) = high.quotientAndRemainder(dividingBy: 62)
      let (lowQuotient, remainder) = UInt64(62).dividingFullWidth((highRemainder, low))
      digits.append(alphabet[Int(remainder)])
      (high, low) = (highQuotient, lowQuotient)
    }
    text = "kevt_" + String(decoding: digits.reversed(), as: UTF8.self)
  }
}

extension Timestamp {
  /// RFC 3339 in UTC with nine fractional digits, as the callback envelope writes it.
  package var nanosecondText: String {
    let milliseconds = Int(millisecondsSinceEpoch - secondsSinceEpoch * 1000)
    let fraction = String(1000 + milliseconds).dropFirst()
    return String(decoding: textBytes.dropLast(), as: UTF8.self) + ".\(fraction)000000Z"
  }
}
