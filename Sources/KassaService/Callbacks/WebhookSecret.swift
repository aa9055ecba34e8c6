import Crypto
import KassaDomain

/// A secret that signs callbacks (Standard Webhooks 1.0, "Signature scheme": symmetric).
package struct WebhookSecret: Equatable, Sendable {
  /// 192 bits: the least that Standard Webhooks allows, and its base64 needs no padding.
  static let randomBytes = 24

  let bytes: [UInt8]

  package init(bytes: [UInt8]) { self.bytes = bytes }

  /// Reads the form that `text` writes; `nil` for anything else.
  package init?(text: String) {
    guard text.hasPrefix("whsec_") else { return nil }
    var urlForm = text.dropFirst("whsec_".count).replacing("+", with: "-").replacing("/", with: "_")
    while urlForm.hasSuffix("=") { urlForm.removeLast() }
    guard let bytes = decodedBase64URL(String(urlForm)) else { return nil }
    self.init(bytes: bytes)
  }

  /// `whsec_` and the bytes in base64: what a merchant puts into its receiver.
  package var text: String { "whsec_" + base64(bytes) }

  /// `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
  package func signature(id: String, timestampSeconds: Int64, body: [UInt8]) -> String {
    var code = HMAC<SHA256>(key: SymmetricKey(data: bytes))
    code.update(data: Array("\(id).\(timestampSeconds).".utf8))
    code.update(data: body)
    return "v1," + base64(Array(code.finalize()))
  }
}

/// Standard base64 with padding (RFC 4648, section 4).
func base64(_ bytes: [UInt8]) -> String {
  let text = base64URL(bytes).replacing("-", with: "+").replacing("_", with: "/")
  return text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
}

/// `bytes(base64URL:)` under a name that a member called `bytes` does not hide.
private func decodedBase64URL(_ text: String) -> [UInt8]? { bytes(base64URL: text) }
