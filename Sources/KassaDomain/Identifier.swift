/// A version 4 UUID that names one entity of kind `Entity` (contract, section 1, "Ids").
///
/// Written in lower case with dashes, read in any case. Equality, hashing and order are those of the 16 bytes.
package struct Identifier<Entity>: Hashable, Comparable, Sendable {
  private let high: UInt64
  private let low: UInt64

  fileprivate init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// A fresh random identifier: 122 bits from `generator`, version 4, variant 1 (RFC 9562, section 5.4).
  package init(using generator: inout some RandomNumberGenerator) {
    high = (generator.next() & 0xffff_ffff_ffff_0fff) | 0x0000_0000_0000_4000
    low = (generator.next() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000
  }

  /// Reads `8-4-4-4-12` hexadecimal digits in any case. `nil` for anything else.
  package init?(text: some StringProtocol) {
    var accumulated: (high: UInt64, low: UInt64) = (0, 0)
    var digits = 0
    var position = 0
    for byte in text.utf8 {
      defer { position += 1 }
      if position == 8 || position == 13 || position == 18 || position == 23 {
        guard byte == UInt8(ascii: "-") else { return nil }
        continue
      }
      guard digits < 32, let nibble = hexadecimalValue(byte) else { return nil }
      if digits < 16 {
        accumulated.high = accumulated.high << 4 | UInt64(nibble)
      } else {
        accumulated.low = accumulated.low << 4 | UInt64(nibble)
      }
      digits += 1
    }
    guard position == 36, digits == 32 else { return nil }
    self.init(high: accumulated.high, low: accumulated.low)
  }

  /// Reads 16 bytes, most significant first. `nil` when there are not exactly 16.
  package init?(bytes: [UInt8]) {
    let read = bytes.withUnsafeBytes { Self(bytes: $0) }
    guard let read else { return nil }
    self = read
  }

  /// The same from memory that somebody else owns: a page reads three of these per row, without an array for each.
  package init?(bytes: UnsafeRawBufferPointer) {
    guard bytes.count == 16 else { return nil }
    self.init(
      high: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
      low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }

  /// The 16 bytes, most significant first.
  package var bytes: [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 16) { buffer, count in
      let memory = UnsafeMutableRawBufferPointer(buffer)
      memory.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
      memory.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
      count = 16
    }
  }

  /// The 36 ASCII characters of the wire form, in memory that lasts as long as the call: a page writes three of these per
  /// row, without an array or a `String` for each.
  package func withTextBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) throws -> Result) rethrows -> Result {
    try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 36) { buffer in
      var position = 0
      for word in [high, low] {
        for shift in stride(from: UInt64(60), through: 0, by: -4) {
          if position == 8 || position == 13 || position == 18 || position == 23 {
            buffer.initializeElement(at: position, to: UInt8(ascii: "-"))
            position += 1
          }
          buffer.initializeElement(at: position, to: hexadecimalDigit(UInt8(truncatingIfNeeded: word >> shift) & 0x0f))
          position += 1
        }
      }
      return try body(UnsafeBufferPointer(buffer))
    }
  }

  /// The same as an array.
  package var textBytes: [UInt8] { withTextBytes { Array($0) } }

  package static func < (left: Self, right: Self) -> Bool {
    (left.high, left.low) < (right.high, right.low)
  }

  /// The same identifier seen as that of another kind: for logs of mixed entities.
  package func of<Other>(_ other: Other.Type) -> Identifier<Other> {
    Identifier<Other>(high: high, low: low)
  }
}

extension Identifier: CustomStringConvertible {
  /// The wire form: 36 characters, lower case.
  package var description: String { String(decoding: textBytes, as: UTF8.self) }
}
