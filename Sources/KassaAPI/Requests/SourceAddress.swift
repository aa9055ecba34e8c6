import NIOCore

/// The address a request came from, as a key for counting attempts: an IPv4 address, or the /64 network of an IPv6 one,
/// because whoever has one address of such a network has all of them.
package enum SourceAddress {
  /// `peer` is the connection's other end. If that is one of `trustedProxies`, the last address of `X-Forwarded-For`
  /// that is not a trusted proxy counts instead: what stands further left was written by whoever connected.
  static func key(peer: SocketAddress?, forwardedFor: [String], trustedProxies: [AddressBlock]) -> String {
    guard let peerBytes = peer?.ipAddress.flatMap(addressBytes) else { return "unknown" }
    var source = peerBytes
    if trustedProxies.contains(where: { $0.contains(peerBytes) }) {
      let hops = forwardedFor.joined(separator: ",").split(separator: ",")
      for hop in hops.reversed() {
        guard let bytes = addressBytes(String(hop.filter { $0 != " " && $0 != "[" && $0 != "]" })) else { break }
        source = bytes
        if !trustedProxies.contains(where: { $0.contains(bytes) }) { break }
      }
    }
    return key(source)
  }

  private static func key(_ bytes: [UInt8]) -> String {
    if bytes.count == 4 { return bytes.map { String($0) }.joined(separator: ".") }
    let groups = stride(from: 0, to: 8, by: 2).map {
      String(UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]), radix: 16)
    }
    return groups.joined(separator: ":") + "::/64"
  }

  /// 4 bytes for IPv4 (also when mapped into IPv6), 16 for IPv6, `nil` for anything else.
  static func addressBytes(_ text: String) -> [UInt8]? {
    guard let address = try? SocketAddress(ipAddress: text, port: 0) else { return nil }
    switch address {
    case .v4(let v4):
      return withUnsafeBytes(of: v4.address.sin_addr.s_addr) { Array($0) }
    case .v6(let v6):
      let bytes = withUnsafeBytes(of: v6.address.sin6_addr) { Array($0) }
      let mappedPrefix: [UInt8] = Array(repeating: 0, count: 10) + [0xff, 0xff]
      return bytes.starts(with: mappedPrefix) ? Array(bytes.suffix(4)) : bytes
    case .unixDomainSocket:
      return nil
    }
  }
}

/// A block of addresses, written `10.0.0.0/8`, `fd00::/8` or as a single address.
package struct AddressBlock: Sendable, Equatable {
  private let bytes: [UInt8]
  private let bits: Int

  package init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard let first = parts.first, parts.count <= 2, let bytes = SourceAddress.addressBytes(String(first)) else {
      return nil
    }
    let bits = parts.count == 2 ? Int(parts[1]) : bytes.count * 8
    guard let bits, (0...bytes.count * 8).contains(bits) else { return nil }
    self.bytes = bytes
    self.bits = bits
  }

  func contains(_ address: [UInt8]) -> Bool {
    guard address.count == bytes.count else { return false }
    return (0..<bits).allSatisfy { bit in
      let mask = UInt8(0x80) >> UInt8(bit % 8)
      return address[bit / 8] & mask == bytes[bit / 8] & mask
    }
  }
}
