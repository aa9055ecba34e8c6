import CQREncode

/// The modules of a QR code (ISO/IEC 18004), made by libqrencode, and pictures of them.
struct QRImage {
  /// Light modules around the code, which scanners need.
  private static let quietModules = 4
  /// Dots of a module in a PNG: sharp on any phone's screen.
  private static let dotsPerModule = 8

  private let width: Int
  /// Row by row; true is dark.
  private let modules: [Bool]

  /// `nil` for a text that no code has room for.
  init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard let code = QRcode_encodeData(Int32(bytes.count), bytes, 0, QR_ECLEVEL_M) else { return nil }
    defer { QRcode_free(code) }
    width = Int(code.pointee.width)
    guard let data = code.pointee.data else { return nil }
    modules = UnsafeBufferPointer(start: data, count: width * width).map { $0 & 1 == 1 }
  }

  private func isDark(_ x: Int, _ y: Int) -> Bool {
    (0..<width).contains(x) && (0..<width).contains(y) && modules[y * width + x]
  }

  /// Scales without end; a module is one unit.
  var svg: String {
    let side = width + 2 * Self.quietModules
    var path = ""
    for y in 0..<width {
      var x = 0
      while x < width {
        let start = x
        while isDark(x, y) { x += 1 }
        if x > start { path += "M\(start + Self.quietModules) \(y + Self.quietModules)h\(x - start)v1h-\(x - start)z" }
        x += 1
      }
    }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(side) \(side)" shape-rendering="crispEdges">\
      <path fill="#fff" d="M0 0h\(side)v\(side)H0z"/><path d="\(path)"/></svg>

      """
  }

  /// One bit a dot (PNG, third edition). Stored uncompressed: a code is small.
  var png: [UInt8] {
    let side = (width + 2 * Self.quietModules) * Self.dotsPerModule
    var rows: [UInt8] = []
    rows.reserveCapacity(side * (side / 8 + 1))
    for y in 0..<side {
      // No filter.
      rows.append(0)
      for x in stride(from: 0, to: side, by: 8) {
        rows.append(
          (0..<8).reduce(0) { byte, bit in
            let column = (x + bit) / Self.dotsPerModule - Self.quietModules
            let isWhite = !isDark(column, y / Self.dotsPerModule - Self.quietModules)
            return byte << 1 | (isWhite ? 1 : 0)
          })
      }
    }
    var bytes: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
    // Width, height, one bit of grey, deflate, the usual filters, not interlaced.
    bytes += chunk("IHDR", bigEndian(UInt32(side)) + bigEndian(UInt32(side)) + [1, 0, 0, 0, 0])
    bytes += chunk("IDAT", zlib(rows))
    return bytes + chunk("IEND", [])
  }

  private func chunk(_ type: String, _ content: [UInt8]) -> [UInt8] {
    let named = Array(type.utf8) + content
    return bigEndian(UInt32(content.count)) + named + bigEndian(crc32(named))
  }

  /// Stored blocks only (RFC 1950, RFC 1951).
  private func zlib(_ content: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x78, 0x01]
    let blockBytesMax = 65_535
    for start in stride(from: 0, to: content.count, by: blockBytesMax) {
      let block = content[start..<min(start + blockBytesMax, content.count)]
      let length = UInt16(block.count)
      bytes.append(block.endIndex == content.count ? 1 : 0)
      bytes += [UInt8(length & 0xff), UInt8(length >> 8), UInt8(~length & 0xff), UInt8(~length >> 8)]
      bytes += block
    }
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in content {
      low = (low + UInt32(byte)) % 65_521
      high = (high + low) % 65_521
    }
    return bytes + bigEndian(high << 16 | low)
  }

  private func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(UInt32.max) { sum, byte in
      (0..<8).reduce(sum ^ UInt32(byte)) { sum, _ in sum & 1 == 1 ? sum >> 1 ^ 0xedb8_8320 : sum >> 1 }
    }
  }

  private func bigEndian(_ number: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: number >> $0) }
  }
}
