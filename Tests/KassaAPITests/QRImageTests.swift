import Testing

@testable import KassaAPI

/// The pictures of a code, read back without the writer's help.
struct QRImageTests {
  private struct Unreadable: Error {}

  /// The dots of a one-bit PNG with stored blocks, row by row; true is dark. Every check sum is made anew.
  private func dots(_ png: [UInt8]) throws -> [[Bool]] {
    #expect(png.starts(with: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]))
    func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    var chunks: [(type: String, content: ArraySlice<UInt8>)] = []
    var position = 8
    while position < png.count {
      let length = number(png[position..<position + 4])
      let named = png[position + 4..<position + 8 + length]
      #expect(number(png[position + 8 + length..<position + 12 + length]) == Int(crc32(named)))
      chunks.append((String(decoding: named.prefix(4), as: UTF8.self), named.dropFirst(4)))
      position += 12 + length
    }
    #expect(chunks.map(\.type) == ["IHDR", "IDAT", "IEND"])
    let header = Array(chunks[0].content)
    let (width, height) = (number(header[0..<4]), number(header[4..<8]))
    #expect(width == height && Array(header[8...]) == [1, 0, 0, 0, 0])
    let data = Array(chunks[1].content)
    #expect(number(data[0..<2]) % 31 == 0)
    var (rows, index, isLast): ([UInt8], Int, Bool) = ([], 2, false)
    while !isLast {
      guard data[index] <= 1 else { throw Unreadable() }
      isLast = data[index] == 1
      let length = Int(data[index + 1]) | Int(data[index + 2]) << 8
      #expect(Int(data[index + 3]) | Int(data[index + 4]) << 8 == ~length & 0xffff)
      rows += data[index + 5..<index + 5 + length]
      index += 5 + length
    }
    var (low, high) = (1, 0)
    for byte in rows { (low, high) = ((low + Int(byte)) % 65_521, (high + low + Int(byte)) % 65_521) }
    #expect(number(data[index...]) == high << 16 | low && index + 4 == data.count)
    let rowBytes = (width + 7) / 8 + 1
    guard rows.count == rowBytes * height else { throw Unreadable() }
    return (0..<height).map { y in
      (0..<width).map { x in
        let byte: UInt8 = rows[y * rowBytes + 1 + x / 8]
        return byte >> UInt8(7 - x % 8) & 1 == 0
      }
    }
  }

  private func crc32(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    let table: [UInt32] = (0..<256).map { number in
      var sum = UInt32(number)
      for _ in 0..<8 { sum = sum & 1 == 1 ? (sum >> 1) ^ 0xedb8_8320 : sum >> 1 }
      return sum
    }
    var sum = UInt32.max
    for byte in bytes {
      let index = Int((sum ^ UInt32(byte)) & 0xff)
      sum = table[index] ^ (sum >> 8)
    }
    return ~sum
  }

  /// The modules that the path of an SVG draws.
  private func modules(_ svg: String) throws -> [[Bool]] {
    let side = try #require(svg.firstMatch(of: /viewBox="0 0 (\d+) (\d+)"/).flatMap { Int($0.1) })
    var modules = Array(repeating: Array(repeating: false, count: side), count: side)
    for run in svg.matches(of: /M(\d+) (\d+)h(\d+)v1h-(\d+)z/) {
      let (x, y, length) = (Int(run.1) ?? 0, Int(run.2) ?? 0, Int(run.3) ?? 0)
      #expect(run.3 == run.4)
      for column in x..<x + length { modules[y][column] = true }
    }
    return modules
  }

  @Test(arguments: [
    "A", "https://scan.example/3e9b7c24-5a10-4d8f-b6e2-91f0c4d7a835", String(repeating: "é", count: 1000),
  ])
  func bothPicturesShowTheSameCode(text: String) throws {
    let image = try #require(QRImage(text))
    let (modules, dots) = (try modules(image.svg), try dots(image.png))
    let scale = dots.count / modules.count
    #expect(scale == 8 && dots.count == modules.count * scale)
    for (y, row) in dots.enumerated() { #expect(row == (0..<row.count).map { modules[y / scale][$0 / scale] }) }
    // Four light modules around, and a finder in three corners (ISO/IEC 18004): seven, with a ring and a core.
    let side = modules.count
    for edge in [0, 3, side - 4, side - 1] {
      let column = modules.map { $0[edge] }
      #expect(!modules[edge].contains(true))
      #expect(!column.contains(true))
    }
    for (x, y) in [(4, 4), (side - 11, 4), (4, side - 11)] {
      for offset in 0..<7 { #expect(modules[y][x + offset] && modules[y + offset][x] && modules[y + 6][x + offset]) }
      #expect(!modules[y + 1][x + 1] && modules[y + 3][x + 3])
    }
    #expect((side - 8 - 17) % 4 == 0)
  }

  @Test func aTextWithoutRoomHasNoCode() {
    #expect(QRImage(String(repeating: "x", count: 2332)) == nil)
  }
}
