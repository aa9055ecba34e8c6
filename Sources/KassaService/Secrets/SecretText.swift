/// Random secrets as text.
enum SecretText {
  /// 128 random bits in base64url without padding: 22 characters. The token of a deep link.
  static func linkToken() -> String { base64URL(randomBytes(16)) }

  /// 256 random bits in base 62 behind `prefix`: 43 characters that a double click selects whole.
  static func key(prefix: String) -> String {
    let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    var generator = SystemRandomNumberGenerator()
    let random = (0..<43).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
    return prefix + String(decoding: random, as: UTF8.self)
  }

  /// Takes all 8 bytes of each word of the generator: each word is a call of the operating system.
  static func randomBytes(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 7)
    while bytes.count < count {
      withUnsafeBytes(of: generator.next() as UInt64) { bytes.append(contentsOf: $0) }
    }
    return Array(bytes.prefix(count))
  }
}

/// Base64url without padding (RFC 4648, section 5).
package func base64URL(_ bytes: some Sequence<UInt8>) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
  var text: [UInt8] = []
  var pending: UInt32 = 0
  var bits: UInt32 = 0
  for byte in bytes {
    pending = pending << 8 | UInt32(byte)
    bits += 8
    while bits >= 6 {
      bits -= 6
      text.append(alphabet[Int(pending >> bits & 0x3f)])
    }
  }
  if bits > 0 { text.append(alphabet[Int(pending << (6 - bits) & 0x3f)]) }
  return String(decoding: text, as: UTF8.self)
}

/// Reads base64url without padding. `nil` for any other character, an impossible length, or bits left over that are not 0.
package func bytes(base64URL text: some StringProtocol) -> [UInt8]? {
  var bytes: [UInt8] = []
  var pending: UInt32 = 0
  var bits: UInt32 = 0
  for character in text.utf8 {
    let value: UInt8
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
    case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
    case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
    case UInt8(ascii: "-"): value = 62
    case UInt8(ascii: "_"): value = 63
    default: return nil
    }
    pending = (pending << 6 | UInt32(value)) & 0xffff
    bits += 6
    if bits >= 8 {
      bits -= 8
      bytes.append(UInt8(truncatingIfNeeded: pending >> bits))
    }
  }
  guard bits < 6, pending & ((1 << bits) - 1) == 0 else { return nil }
  return bytes
}
