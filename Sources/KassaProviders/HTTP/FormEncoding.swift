import KassaDomain

/// `application/x-www-form-urlencoded` and the parts of addresses.
package enum FormEncoding {
  package static func encode(_ fields: [(name: String, value: String)]) -> [UInt8] {
    var bytes: [UInt8] = []
    for (name, value) in fields {
      if !bytes.isEmpty { bytes.append(UInt8(ascii: "&")) }
      append(name, to: &bytes, keeping: [UInt8(ascii: "["), UInt8(ascii: "]")])
      bytes.append(UInt8(ascii: "="))
      append(value, to: &bytes)
    }
    return bytes
  }

  /// One segment of a path, or one value of a query: all but unreserved characters percent-encoded (RFC 3986, section 2.3).
  package static func escape(_ text: String) -> String {
    var bytes: [UInt8] = []
    append(text, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func append(_ text: String, to bytes: inout [UInt8], keeping kept: [UInt8] = []) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        bytes.append(byte)
      case _ where kept.contains(byte): bytes.append(byte)
      default:
        bytes.append(UInt8(ascii: "%"))
        for nibble in [byte >> 4, byte & 0xf] {
          bytes.append(nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "A") + nibble - 10)
        }
      }
    }
  }
}
