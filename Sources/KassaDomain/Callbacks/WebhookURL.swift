/// The address that a merchant wants callbacks sent to (contract, section 8), in one normal spelling.
///
/// Reads a narrow form of RFC 3986 on purpose, so that no two programs on the way can read it differently: `https` or
/// `http`, no user information, a host of ASCII letters, digits, dots, dashes and underscores or an IP address, a port
/// from 1 to 65535, no fragment, and nothing but visible ASCII. Whether the host may be reached is not looked at here.
package struct WebhookURL: Hashable, Sendable {
  package static let bytesMax = 2048
  private static let hostBytesMax = 253
  private static let labelBytesMax = 63

  package enum Scheme: String, Sendable {
    case http
    case https
  }

  package let scheme: Scheme
  /// In lower case; an IPv6 address without its brackets.
  package let host: String
  package let port: Int?
  /// The whole, with scheme and host in lower case.
  package let text: String

  /// What is wrong with a text, in words for the caller.
  package struct Flaw: Error, Equatable, Sendable {
    package let message: String
  }

  package init(_ given: String) throws(Flaw) {
    guard given.utf8.count <= Self.bytesMax else {
      throw Flaw(message: "must have at most \(Self.bytesMax) bytes")
    }
    let visible = given.utf8.allSatisfy { 0x21...0x7e ~= $0 && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "#") }
    guard visible else {
      throw Flaw(message: "must have only visible ASCII characters, without a backslash and without a fragment")
    }
    let lower = given.lowercased()
    let scheme: Scheme
    if lower.hasPrefix("https://") {
      scheme = .https
    } else if lower.hasPrefix("http://") {
      scheme = .http
    } else {
      throw Flaw(message: "must begin with https://")
    }
    let rest = given.utf8.dropFirst(scheme.rawValue.utf8.count + 3)
    let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
    guard !authority.contains(UInt8(ascii: "@")) else { throw Flaw(message: "must not hold a user name or password") }

    let (host, portDigits) = try Self.parts(of: authority)
    var port: Int?
    if let portDigits {
      guard (1...5).contains(portDigits.utf8.count), portDigits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
        let number = Int(portDigits), (1...65535).contains(number)
      else { throw Flaw(message: "must have a port from 1 to 65535") }
      port = number
    }
    self.scheme = scheme
    self.host = host
    self.port = port
    let written = host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host
    let tail = String(decoding: rest.dropFirst(authority.count), as: UTF8.self)
    let slash = tail.utf8.first == UInt8(ascii: "/") ? "" : "/"
    text = "\(scheme.rawValue)://\(written)\(port.map { ":\($0)" } ?? "")\(slash)\(tail)"
  }

  /// Whether it names this machine itself by one of the three usual names, which the playground allows.
  package var namesThisMachine: Bool { host == "localhost" || host == "127.0.0.1" || host == "::1" }

  private static func parts(of authority: some Collection<UInt8>) throws(Flaw) -> (host: String, port: String?) {
    let text = String(decoding: authority, as: UTF8.self).lowercased()
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { throw Flaw(message: "must close the bracket of its address") }
      let address = text[text.index(after: text.startIndex)..<end]
      let after = text[text.index(after: end)...]
      guard !address.isEmpty, after.isEmpty || after.hasPrefix(":"),
        address.utf8.allSatisfy({ hexadecimalValue($0) != nil || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
      else { throw Flaw(message: "must have an IPv6 address in the brackets, without a zone") }
      return (String(address), after.isEmpty ? nil : String(after.dropFirst()))
    }
    let pieces = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let host = String(pieces[0])
    try checkName(host)
    return (host, pieces.count == 2 ? String(pieces[1]) : nil)
  }

  /// A host name, or an IPv4 address in its one usual form. Short and hexadecimal forms of addresses (`127.1`, `0x7f.1`)
  /// are refused: the last label of a name is never a number (RFC 3696, section 2).
  private static func checkName(_ host: String) throws(Flaw) {
    guard (1...hostBytesMax).contains(host.utf8.count) else {
      throw Flaw(message: "must have a host name of 1 to \(hostBytesMax) characters")
    }
    let labels = host.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    for label in labels {
      let isFit = label.allSatisfy { byte in
        UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte || 0x30...0x39 ~= byte || byte == UInt8(ascii: "-")
          || byte == UInt8(ascii: "_")
      }
      guard isFit, (1...labelBytesMax).contains(label.count), label.first != UInt8(ascii: "-"),
        label.last != UInt8(ascii: "-")
      else {
        throw Flaw(message: "must have a host name of ASCII labels with dots between; write others in their xn-- form")
      }
    }
    guard let last = labels.last, let first = last.first, 0x30...0x39 ~= first else { return }
    let numbers = labels.map { label in
      label.count <= 3 && label.allSatisfy { 0x30...0x39 ~= $0 } && (label.count == 1 || label.first != 0x30)
        ? Int(String(decoding: label, as: UTF8.self)) ?? 256 : 256
    }
    guard labels.count == 4, numbers.allSatisfy({ $0 <= 255 }) else {
      throw Flaw(message: "must have a host name, or an IPv4 address of four plain numbers")
    }
  }
}
