import Crypto
import KassaDomain

/// The header `Stripe-Signature`: a time, and one or more signatures of that time with the body.
struct StripeSignature {
  /// How old, or how far ahead, a signed time may be: what is sent again later is not believed.
  static let toleranceSeconds: Int64 = 300

  let signedAt: Int64
  /// Those of scheme `v1`, as bytes.
  let signatures: [[UInt8]]
  /// The time as it stands in the header: it is signed to the letter.
  private let timeText: Substring

  /// `nil` when there is no time, or no signature of the one scheme that counts.
  init?(header: String) {
    var time: Substring?
    var signatures: [[UInt8]] = []
    for part in header.split(separator: ",") {
      let pair = part.split(separator: "=", maxSplits: 1)
      guard pair.count == 2 else { continue }
      switch pair[0].drop(while: { $0 == " " }) {
      case "t": time = pair[1]
      case "v1":
        if let bytes = bytes(hexadecimal: pair[1]), bytes.count == SHA256.byteCount { signatures.append(bytes) }
      default: continue
      }
    }
    guard let time, let seconds = Int64(time), !signatures.isEmpty else { return nil }
    signedAt = seconds
    timeText = time
    self.signatures = signatures
  }

  /// Whether one of the signatures was made with this secret over this body, within the tolerance of `now`.
  func isValid(for body: [UInt8], secret: String, at now: Timestamp) -> Bool {
    let key = SymmetricKey(data: Array(secret.utf8))
    let signed = Array(timeText.utf8) + [UInt8(ascii: ".")] + body
    // All are compared, each in constant time.
    let matches = signatures.count {
      HMAC<SHA256>.isValidAuthenticationCode($0, authenticating: signed, using: key)
    }
    let (age, overflow) = now.secondsSinceEpoch.subtractingReportingOverflow(signedAt)
    return matches > 0 && !overflow && (-Self.toleranceSeconds...Self.toleranceSeconds).contains(age)
  }
}
