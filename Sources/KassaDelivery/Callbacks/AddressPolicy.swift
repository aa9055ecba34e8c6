import NIOCore

/// Which IP addresses callbacks are sent to: public unicast ones, and nothing else (contract, section 8).
///
/// The tables follow the IANA special-purpose address registries (RFC 6890, RFC 8190) as of 2025. Of IPv6, only the
/// global unicast block is reached at all, less what is special in it.
enum AddressPolicy {
  /// An address, or a block of them: its bytes, the number of leading bits that count, and where it is set aside.
  struct Block {
    let prefix: [UInt8]
    let bits: Int
    let source: String

    init(_ prefix: [UInt8], _ bits: Int, _ source: String) {
      self.prefix = prefix
      self.bits = bits
      self.source = source
    }

    func contains(_ address: [UInt8]) -> Bool {
      (0..<bits).allSatisfy { bit in
        let mask = UInt8(0x80) >> UInt8(bit % 8)
        let wanted = bit / 8 < prefix.count ? prefix[bit / 8] : 0
        return address[bit / 8] & mask == wanted & mask
      }
    }
  }

  static let refusedIPv4: [Block] = [
    Block([0], 8, "RFC 791: this network"),
    Block([10], 8, "RFC 1918: private"),
    Block([100, 64], 10, "RFC 6598: shared, carrier-grade NAT"),
    Block([127], 8, "RFC 1122: loopback"),
    Block([169, 254], 16, "RFC 3927: link-local, metadata services of clouds"),
    Block([172, 16], 12, "RFC 1918: private"),
    Block([192, 0, 0], 24, "RFC 6890: protocol assignments"),
    Block([192, 0, 2], 24, "RFC 5737: documentation"),
    Block([192, 31, 196], 24, "RFC 7535: AS112"),
    Block([192, 52, 193], 24, "RFC 7450: AMT"),
    Block([192, 88, 99], 24, "RFC 7526: 6to4 relay, deprecated"),
    Block([192, 168], 16, "RFC 1918: private"),
    Block([192, 175, 48], 24, "RFC 7534: AS112"),
    Block([198, 18], 15, "RFC 2544: benchmarking"),
    Block([198, 51, 100], 24, "RFC 5737: documentation"),
    Block([203, 0, 113], 24, "RFC 5737: documentation"),
    Block([224], 4, "RFC 5771: multicast"),
    Block([240], 4, "RFC 1112: reserved, with the broadcast address (RFC 919)"),
  ]

  /// The only block of IPv6 that holds public unicast addresses (RFC 4291, section 2.4). Outside of it lie, among others,
  /// unspecified and loopback (RFC 4291), IPv4-mapped and IPv4-compatible (RFC 4291), NAT64 `64:ff9b::/96` (RFC 6052) and
  /// `64:ff9b:1::/48` (RFC 8215), discard-only `100::/64` (RFC 6666), segment routing `5f00::/16` (RFC 9602),
  /// unique-local `fc00::/7` (RFC 4193), link-local `fe80::/10` (RFC 4291), site-local `fec0::/10` (RFC 3879) and
  /// multicast `ff00::/8` (RFC 4291).
  static let globalIPv6 = Block([0x20], 3, "RFC 4291: global unicast")

  static let refusedIPv6: [Block] = [
    Block([0x20, 0x01, 0x00], 23, "RFC 2928: protocol assignments, with Teredo (RFC 4380) and ORCHID (RFC 7343)"),
    Block([0x20, 0x01, 0x0d, 0xb8], 32, "RFC 3849: documentation"),
    Block([0x20, 0x02], 16, "RFC 3056: 6to4, which holds an IPv4 address"),
    Block([0x26, 0x20, 0x00, 0x4f, 0x80, 0x00], 48, "RFC 7534: AS112"),
    Block([0x3f, 0xfe], 16, "RFC 3701: 6bone, given back"),
    Block([0x3f, 0xff], 20, "RFC 9637: documentation"),
  ]

  /// The address embedded in the IPv4-mapped block `::ffff:0:0/96` is that of the host itself.
  private static let mapped = Block(Array(repeating: 0, count: 10) + [0xff, 0xff], 96, "RFC 4291: IPv4-mapped")

  /// Whether callbacks may be sent to the address: 4 or 16 bytes. IPv4-mapped ones are refused like all forms that hold an
  /// address inside another.
  static func isPublic(_ address: [UInt8]) -> Bool {
    switch address.count {
    case 4: !refusedIPv4.contains { $0.contains(address) }
    case 16: globalIPv6.contains(address) && !refusedIPv6.contains { $0.contains(address) }
    default: false
    }
  }

  /// 127.0.0.1 or ::1: what the playground may send to beside.
  static func isThisMachine(_ address: [UInt8]) -> Bool {
    address == [127, 0, 0, 1] || address == Array(repeating: 0, count: 15) + [1]
  }
}

/// One resolved address.
package struct VettableAddress: Hashable, Sendable {
  /// 4 or 16 bytes.
  package let bytes: [UInt8]
  /// As in `93.184.216.34` or `2606:2800::1`.
  package let text: String

  /// `nil` when the text is not a plain IP address.
  package init?(_ text: String) {
    guard let address = try? SocketAddress(ipAddress: text, port: 0) else { return nil }
    self.init(address)
  }

  init?(_ address: SocketAddress) {
    switch address {
    case .v4(let v4): bytes = withUnsafeBytes(of: v4.address.sin_addr.s_addr) { Array($0) }
    case .v6(let v6):
      guard v6.address.sin6_scope_id == 0 else { return nil }
      bytes = withUnsafeBytes(of: v6.address.sin6_addr) { Array($0) }
    case .unixDomainSocket: return nil
    }
    guard let text = address.ipAddress else { return nil }
    self.text = text
  }
}
