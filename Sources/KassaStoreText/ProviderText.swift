import KassaDomain
import KassaJSON
import KassaStore

/// What providers say of attempts and movements, as JSON objects that one column holds. Nothing in them is searched for.
package enum ProviderText {
  package static func encoded(_ references: ProviderReferences) -> String { encoded(references.values) }

  package static func references(_ text: String) throws -> ProviderReferences { ProviderReferences(try texts(text)) }

  package static func encoded(_ texts: [String: String]) -> String {
    encoded { object in
      for (name, value) in texts.sorted(by: { $0.key < $1.key }) { object.member(dynamicName: name, value) }
    }
  }

  package static func texts(_ text: String) throws -> [String: String] {
    try object(text).members.reduce(into: [:]) { texts, member in
      guard case .string(let value) = member.value else { throw damaged }
      texts[member.name] = value
    }
  }

  /// Bytes as hexadecimal digits.
  package static func encoded(_ bytes: [String: [UInt8]]) -> String {
    encoded(bytes.mapValues { hexadecimalText($0) })
  }

  package static func bytes(_ text: String) throws -> [String: [UInt8]] {
    try texts(text).mapValues { digits in
      guard let bytes = KassaDomain.bytes(hexadecimal: digits) else { throw damaged }
      return bytes
    }
  }

  package static func encoded(_ action: NextAction) -> String {
    encoded { object in
      switch action {
      case .tap(let clientSecret):
        object.member("type", "TAP")
        object.member("client_secret", clientSecret)
      case .showQR(let code):
        object.member("type", "SHOW_QR")
        object.member("text", code.text)
        object.member("expires_at", code.expiresAt?.millisecondsSinceEpoch)
        object.member("is_buyer_paying", code.isBuyerPaying)
      }
    }
  }

  package static func nextAction(_ text: String) throws -> NextAction {
    let object = try object(text)
    func member(_ name: String) -> String? {
      if case .string(let value) = object[name] { value } else { nil }
    }
    switch member("type") {
    case "TAP": return .tap(clientSecret: member("client_secret"))
    case "SHOW_QR":
      guard let text = member("text") else { throw damaged }
      let expiresAt: Timestamp? =
        if case .integer(let value) = object["expires_at"] { Timestamp(millisecondsSinceEpoch: value) } else { nil }
      let isBuyerPaying = if case .bool(true) = object["is_buyer_paying"] { true } else { false }
      return .showQR(NextAction.QRCode(text: text, expiresAt: expiresAt, isBuyerPaying: isBuyerPaying))
    default: throw damaged
    }
  }

  private static func encoded(_ write: (inout JSONWriter) -> Void) -> String {
    var writer = JSONWriter(capacityBytes: 256)
    writer.object(write)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  private static func object(_ text: String) throws -> JSONObject {
    guard case .object(let object) = try JSONParser.parse(Array(text.utf8)) else { throw damaged }
    return object
  }

  private static var damaged: StoreError { .unusable(OperatorDetail("what a provider said cannot be read")) }
}
