/// A QR code as a page drew it, read back without the writer's help: byte mode, level M, up to version 9. What is
/// misread is not mended, so a code with one wrong square reads as something else.
struct DrawnSquares {
  private struct Unreadable: Error {}

  private let size: Int
  private let dark: Set<[Int]>

  /// `viewBox` with its quiet zone of four squares a side, and a path of a square each.
  init?(viewBox: String, path: String) {
    guard let width = viewBox.split(separator: " ").last.flatMap({ Int($0) }), width > 28, (width - 25) % 4 == 0 else {
      return nil
    }
    size = width - 8
    dark = Set(
      path.matches(of: /M(\d+) (\d+)h1v1h-1z/).compactMap { match in
        Int(match.1).flatMap { x in Int(match.2).map { [x - 4, $0 - 4] } }
      })
    guard dark.allSatisfy({ $0.allSatisfy((0..<size).contains) }) else { return nil }
  }

  private var version: Int { (size - 17) / 4 }
  private func isDark(_ x: Int, _ y: Int) -> Bool { dark.contains([x, y]) }

  /// Of each version: where the small marks stand, and how many bytes of data each block has (ISO/IEC 18004).
  private static let marks = [
    [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46],
  ]
  private static let blocks = [
    [16], [28], [44], [32, 32], [43, 43], [27, 27, 27, 27], [31, 31, 31, 31], [38, 38, 39, 39], [36, 36, 36, 37, 37],
  ]

  /// Whether a square is part of the frame and carries no data.
  private func isFrame(_ x: Int, _ y: Int) -> Bool {
    if x == 6 || y == 6 || (x < 9 && y < 9) || (x >= size - 8 && y < 9) || (x < 9 && y >= size - 8) { return true }
    if version >= 7, (y < 6 && x >= size - 11) || (x < 6 && y >= size - 11) { return true }
    let places = Self.marks[version - 1]
    guard let last = places.last else { return false }
    return places.contains { row in
      places.contains { column in
        let isCorner = (row == 6 && (column == 6 || column == last)) || (row == last && column == 6)
        return !isCorner && abs(x - column) <= 2 && abs(y - row) <= 2
      }
    }
  }

  private func isFlipped(_ mask: Int, _ x: Int, _ y: Int) -> Bool {
    switch mask {
    case 0: (x + y) % 2 == 0
    case 1: y % 2 == 0
    case 2: x % 3 == 0
    case 3: (x + y) % 3 == 0
    case 4: (y / 2 + x / 3) % 2 == 0
    case 5: x * y % 2 + x * y % 3 == 0
    case 6: (x * y % 2 + x * y % 3) % 2 == 0
    default: ((x + y) % 2 + x * y % 3) % 2 == 0
    }
  }

  func text() throws -> String {
    guard Self.blocks.indices.contains(version - 1) else { throw Unreadable() }
    let format =
      [(8, 0), (8, 1), (8, 2), (8, 3), (8, 4), (8, 5), (8, 7), (8, 8), (7, 8)] + (9..<15).map { (14 - $0, 8) }
    let word = format.enumerated().reduce(0) { $0 | (isDark($1.element.0, $1.element.1) ? 1 << $1.offset : 0) } ^ 0x5412
    guard word >> 13 == 0 else { throw Unreadable() }
    let mask = word >> 10

    var bits: [Bool] = []
    for right in stride(from: size - 1, through: 1, by: -2).map({ $0 <= 6 ? $0 - 1 : $0 }) where right >= 1 {
      let isUpward = (right + 1) & 2 == 0
      for step in 0..<size {
        let y = isUpward ? size - 1 - step : step
        for x in [right, right - 1] where !isFrame(x, y) { bits.append(isDark(x, y) != isFlipped(mask, x, y)) }
      }
    }
    func number(_ bits: ArraySlice<Bool>) -> Int { bits.reduce(0) { $0 << 1 | ($1 ? 1 : 0) } }
    let words = stride(from: 0, to: bits.count - 7, by: 8).map { UInt8(number(bits[$0..<$0 + 8])) }
    // The blocks' bytes take turns.
    let sizes = Self.blocks[version - 1]
    var blocks = [[UInt8]](repeating: [], count: sizes.count)
    var next = words.makeIterator()
    for place in 0..<(sizes.max() ?? 0) {
      for block in sizes.indices where place < sizes[block] {
        guard let byte = next.next() else { throw Unreadable() }
        blocks[block].append(byte)
      }
    }
    let data = blocks.joined().flatMap { byte -> [Bool] in (0..<8).map { byte >> UInt8(7 - $0) & 1 == 1 } }
    guard number(data[0..<4]) == 0b0100 else { throw Unreadable() }
    let length = number(data[4..<12])
    guard data.count >= 12 + length * 8 else { throw Unreadable() }
    let bytes = (0..<length).map { UInt8(number(data[12 + $0 * 8..<20 + $0 * 8])) }
    return String(decoding: bytes, as: UTF8.self)
  }
}
