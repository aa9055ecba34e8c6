/// A strict parser of JSON (RFC 8259), for bytes from anyone.
///
/// Beyond the grammar it refuses: any encoding but UTF-8, a byte order mark, a key twice in one object (compared
/// byte by byte after unescaping), U+0000, lone surrogates, and deep nesting. It never traps on any input.
package enum JSONParser {
  /// The most levels of nesting which any caller gets; it bounds the stack which parsing takes.
  package static let nestingCeiling = 128

  /// Parses the whole of the bytes as one JSON value with optional white space around it.
  ///
  /// - Parameters:
  ///   - bytes: The text as UTF-8; read only during the call.
  ///   - nestingMax: How many arrays and objects may stand inside of one another; 0 admits scalars only.
  ///     It is clamped to `0...nestingCeiling`.
  /// - Throws: `JSONSyntaxError` for the first broken rule.
  package static func parse(
    _ bytes: UnsafeRawBufferPointer, nestingMax: Int = 32
  ) throws(JSONSyntaxError) -> JSONValue {
    var reader = DocumentReader(bytes: bytes, nestingMax: min(max(nestingMax, 0), nestingCeiling))
    return try reader.readDocument()
  }

  /// Parses an array of bytes; see the function on raw memory.
  package static func parse(_ bytes: [UInt8], nestingMax: Int = 32) throws(JSONSyntaxError) -> JSONValue {
    try bytes.withUnsafeBufferPointer { (buffer) throws(JSONSyntaxError) -> JSONValue in
      try parse(UnsafeRawBufferPointer(buffer), nestingMax: nestingMax)
    }
  }

  /// Parses any collection of bytes; it is copied first if its storage is not contiguous.
  package static func parse(
    _ bytes: some Collection<UInt8>, nestingMax: Int = 32
  ) throws(JSONSyntaxError) -> JSONValue {
    let result = bytes.withContiguousStorageIfAvailable { buffer in
      Result { () throws(JSONSyntaxError) -> JSONValue in
        try parse(UnsafeRawBufferPointer(buffer), nestingMax: nestingMax)
      }
    }
    guard let result else {
      return try parse(Array(bytes), nestingMax: nestingMax)
    }
    return try result.get()
  }
}

/// The bytes of JSON's tokens.
private enum Token {
  static let quote = UInt8(ascii: "\"")
  static let backslash = UInt8(ascii: "\\")
  static let slash = UInt8(ascii: "/")
  static let comma = UInt8(ascii: ",")
  static let colon = UInt8(ascii: ":")
  static let openBracket = UInt8(ascii: "[")
  static let closeBracket = UInt8(ascii: "]")
  static let openBrace = UInt8(ascii: "{")
  static let closeBrace = UInt8(ascii: "}")
  static let minus = UInt8(ascii: "-")
  static let plus = UInt8(ascii: "+")
  static let point = UInt8(ascii: ".")
  static let zero = UInt8(ascii: "0")
  static let nine = UInt8(ascii: "9")
}

/// A recursive-descent reader over one text; `offset` is the next byte to read.
private struct DocumentReader {
  /// Up to this many members the names are compared one by one; beyond, a set finds duplicates.
  static let linearSearchMax = 8

  let bytes: UnsafeRawBufferPointer
  let nestingMax: Int
  var offset = 0
  var depth = 0

  init(bytes: UnsafeRawBufferPointer, nestingMax: Int) {
    self.bytes = bytes
    self.nestingMax = nestingMax
  }

  mutating func readDocument() throws(JSONSyntaxError) -> JSONValue {
    try refuseOtherEncodings()
    skipWhiteSpace()
    guard offset < bytes.count else {
      throw failure(.empty)
    }
    let value = try readValue()
    skipWhiteSpace()
    guard offset == bytes.count else {
      throw unexpected(.contentAfterValue)
    }
    return value
  }

  // MARK: Helpers

  private func peek() -> UInt8? {
    offset < bytes.count ? bytes[offset] : nil
  }

  private func failure(_ reason: JSONSyntaxError.Reason) -> JSONSyntaxError {
    JSONSyntaxError(reason, offsetBytes: offset)
  }

  /// The error for the next byte, which does not fit between tokens: `reason` unless a clearer one is known.
  private func unexpected(_ reason: JSONSyntaxError.Reason) -> JSONSyntaxError {
    switch peek() {
    case nil: failure(.unexpectedEnd)
    case 0: failure(.nulCharacter)
    case Token.slash: failure(.comment)
    default: failure(reason)
    }
  }

  private mutating func skipWhiteSpace() {
    while let byte = peek(), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      offset += 1
    }
  }

  /// Refuses byte order marks, and the patterns of zero bytes by which RFC 4627 section 3 tells UTF-16 and UTF-32.
  private func refuseOtherEncodings() throws(JSONSyntaxError) {
    guard bytes.prefix(4).contains(where: { $0 == 0 || $0 >= 0x80 }) else {
      return
    }
    let head = Array(bytes.prefix(4))
    if head.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw failure(.byteOrderMark)
    }
    let marks: [[UInt8]] = [[0xFE, 0xFF], [0xFF, 0xFE], [0x00, 0x00, 0xFE, 0xFF]]
    let zeros = head.map { $0 == 0 }
    let patterns = [
      [true, false], [false, true],
      [true, false, true, false], [false, true, false, true],
      [true, true, true, false], [false, true, true, true],
    ]
    if marks.contains(where: { head.starts(with: $0) }) || patterns.contains(zeros) {
      throw failure(.encodingNotUTF8)
    }
  }

  // MARK: Values

  private mutating func readValue() throws(JSONSyntaxError) -> JSONValue {
    switch peek() {
    case Token.openBrace:
      return .object(try readObject())
    case Token.openBracket:
      return .array(try readArray())
    case Token.quote:
      return .string(try readString())
    case UInt8(ascii: "t"):
      try readLiteral("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try readLiteral("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try readLiteral("null")
      return .null
    case Token.minus, .some(Token.zero...Token.nine):
      return try readNumber()
    case Token.plus, Token.point:
      throw failure(.invalidNumber)
    default:
      throw unexpected(.valueExpected)
    }
  }

  private mutating func readLiteral(_ literal: StaticString) throws(JSONSyntaxError) {
    let start = offset
    for index in 0..<literal.utf8CodeUnitCount {
      guard let byte = peek() else {
        throw failure(.unexpectedEnd)
      }
      guard byte == literal.utf8Start[index] else {
        throw JSONSyntaxError(.valueExpected, offsetBytes: start)
      }
      offset += 1
    }
  }

  /// Steps over an opening bracket or brace, one level deeper.
  private mutating func enter() throws(JSONSyntaxError) {
    guard depth < nestingMax else {
      throw failure(.nestingTooDeep(nestingMax: nestingMax))
    }
    depth += 1
    offset += 1
    skipWhiteSpace()
  }

  /// Steps over a closing bracket or brace, one level up.
  private mutating func leave() {
    depth -= 1
    offset += 1
  }

  /// After an element or a member: true after a comma, false at the closing byte; anything else throws.
  private mutating func readComma(
    or closing: UInt8, _ reason: JSONSyntaxError.Reason
  ) throws(JSONSyntaxError) -> Bool {
    skipWhiteSpace()
    if peek() == closing {
      return false
    }
    guard peek() == Token.comma else {
      throw unexpected(reason)
    }
    let commaOffset = offset
    offset += 1
    skipWhiteSpace()
    if peek() == closing {
      throw JSONSyntaxError(.trailingComma, offsetBytes: commaOffset)
    }
    return true
  }

  private mutating func readArray() throws(JSONSyntaxError) -> [JSONValue] {
    try enter()
    var elements: [JSONValue] = []
    if peek() != Token.closeBracket {
      repeat {
        elements.append(try readValue())
      } while try readComma(or: Token.closeBracket, .commaOrBracketExpected)
    }
    leave()
    return elements
  }

  private mutating func readObject() throws(JSONSyntaxError) -> JSONObject {
    try enter()
    var members: [JSONObject.Member] = []
    var seen: Set<ByteKey> = []
    if peek() != Token.closeBrace {
      repeat {
        let name = try readName(after: members, seen: &seen)
        members.append(JSONObject.Member(name: name, value: try readValue()))
      } while try readComma(or: Token.closeBrace, .commaOrBraceExpected)
    }
    leave()
    return JSONObject(members: members)
  }

  /// Reads a key and its colon up to the value; throws if an earlier member has the key.
  private mutating func readName(
    after members: [JSONObject.Member], seen: inout Set<ByteKey>
  ) throws(JSONSyntaxError) -> String {
    guard peek() == Token.quote else {
      throw unexpected(.keyExpected)
    }
    let nameOffset = offset
    let name = try readString()

    let isNew: Bool
    if members.count < Self.linearSearchMax {
      isNew = !members.contains { bytesEqual($0.name, name) }
    } else {
      if seen.isEmpty {
        seen = Set(members.map { ByteKey(text: $0.name) })
      }
      isNew = seen.insert(ByteKey(text: name)).inserted
    }
    guard isNew else {
      throw JSONSyntaxError(.duplicateKey(JSONKeyExcerpt(of: name)), offsetBytes: nameOffset)
    }

    skipWhiteSpace()
    guard peek() == Token.colon else {
      throw unexpected(.colonExpected)
    }
    offset += 1
    skipWhiteSpace()
    return name
  }

  // MARK: Numbers

  /// Reads by the grammar of RFC 8259 section 6.
  private mutating func readNumber() throws(JSONSyntaxError) -> JSONValue {
    let start = offset
    let isNegative = peek() == Token.minus
    if isNegative {
      offset += 1
    }

    let digitsOffset = offset
    try skipDigits()
    let digits = digitsOffset..<offset
    if bytes[digitsOffset] == Token.zero, digits.count > 1 {
      throw JSONSyntaxError(.invalidNumber, offsetBytes: digitsOffset)
    }

    var isPlain = true
    if peek() == Token.point {
      isPlain = false
      offset += 1
      try skipDigits()
    }
    if let byte = peek(), byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
      isPlain = false
      offset += 1
      if let sign = peek(), sign == Token.plus || sign == Token.minus {
        offset += 1
      }
      try skipDigits()
    }

    if isPlain, let integer = integer(digits: digits, isNegative: isNegative) {
      return .integer(integer)
    }
    return .number(text(start..<offset))
  }

  /// Steps over digits, of which there must be at least one.
  private mutating func skipDigits() throws(JSONSyntaxError) {
    let start = offset
    while let byte = peek(), byte >= Token.zero, byte <= Token.nine {
      offset += 1
    }
    guard offset > start else {
      throw failure(.invalidNumber)
    }
  }

  /// The value of these digits; nil for `-0` and outside of `Int64`.
  private func integer(digits: Range<Int>, isNegative: Bool) -> Int64? {
    var value: Int64 = 0
    for index in digits {
      let (product, productOverflows) = value.multipliedReportingOverflow(by: 10)
      let digit = Int64(bytes[index] - Token.zero)
      let (sum, sumOverflows) =
        isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      if productOverflows || sumOverflows {
        return nil
      }
      value = sum
    }
    return isNegative && value == 0 ? nil : value
  }

  // MARK: Strings

  /// A string of these bytes, which must have been found to be UTF-8.
  private func text(_ range: Range<Int>) -> String {
    String(decoding: UnsafeRawBufferPointer(rebasing: bytes[range]), as: UTF8.self)
  }

  /// Reads from the opening quote past the closing one (RFC 8259 section 7).
  private mutating func readString() throws(JSONSyntaxError) -> String {
    offset += 1
    let start = offset
    try skipUnescaped()
    if peek() == Token.quote {
      let string = text(start..<offset)
      offset += 1
      return string
    }

    var unescaped = Array(bytes[start..<offset])
    while peek() == Token.backslash {
      try readEscape(into: &unescaped)
      let runOffset = offset
      try skipUnescaped()
      unescaped.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[runOffset..<offset]))
    }
    offset += 1
    return String(decoding: unescaped, as: UTF8.self)
  }

  /// Steps over a string's content up to the next quote or backslash, and checks that it is UTF-8.
  private mutating func skipUnescaped() throws(JSONSyntaxError) {
    while let byte = peek(), byte != Token.quote, byte != Token.backslash {
      if byte >= 0x80 {
        offset += try sequenceLength(lead: byte)
      } else if byte >= 0x20 {
        offset += 1
      } else {
        throw failure(byte == 0 ? .nulCharacter : .controlCharacter)
      }
    }
    guard offset < bytes.count else {
      throw failure(.unexpectedEnd)
    }
  }

  /// The count of bytes of the well-formed sequence at `offset` (the table of RFC 3629 section 4).
  private func sequenceLength(lead: UInt8) throws(JSONSyntaxError) -> Int {
    let length: Int
    let second: ClosedRange<UInt8>
    switch lead {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: throw failure(.invalidUTF8)
    }
    guard bytes.count - offset >= length, second.contains(bytes[offset + 1]) else {
      throw failure(.invalidUTF8)
    }
    for index in offset + 2..<offset + length where bytes[index] & 0xC0 != 0x80 {
      throw failure(.invalidUTF8)
    }
    return length
  }

  /// Reads one escape, or a pair of surrogates, from the backslash on.
  private mutating func readEscape(into unescaped: inout [UInt8]) throws(JSONSyntaxError) {
    let start = offset
    offset += 1
    guard let byte = peek() else {
      throw failure(.unexpectedEnd)
    }
    offset += 1
    switch byte {
    case Token.quote, Token.backslash, Token.slash: unescaped.append(byte)
    case UInt8(ascii: "b"): unescaped.append(0x08)
    case UInt8(ascii: "f"): unescaped.append(0x0C)
    case UInt8(ascii: "n"): unescaped.append(0x0A)
    case UInt8(ascii: "r"): unescaped.append(0x0D)
    case UInt8(ascii: "t"): unescaped.append(0x09)
    case UInt8(ascii: "u"):
      let scalar = try readScalar(escapeOffset: start)
      guard let encoded = UTF8.encode(scalar) else {
        throw JSONSyntaxError(.invalidEscape, offsetBytes: start)
      }
      unescaped.append(contentsOf: encoded)
    default: throw JSONSyntaxError(.invalidEscape, offsetBytes: start)
    }
  }

  /// Reads on after `\u`, the second escape of a pair included.
  private mutating func readScalar(escapeOffset: Int) throws(JSONSyntaxError) -> Unicode.Scalar {
    let first = try readFourHexDigits(escapeOffset: escapeOffset)
    if first == 0 {
      throw JSONSyntaxError(.nulCharacter, offsetBytes: escapeOffset)
    }
    if let scalar = Unicode.Scalar(first) {
      return scalar
    }

    // Not a scalar, so a surrogate; only a leading one with a trailing one right after it makes a character.
    let lone = JSONSyntaxError(.loneSurrogate, offsetBytes: escapeOffset)
    guard (0xD800...0xDBFF).contains(first) else {
      throw lone
    }
    for expected in [Token.backslash, UInt8(ascii: "u")] {
      guard let byte = peek() else {
        throw failure(.unexpectedEnd)
      }
      guard byte == expected else {
        throw lone
      }
      offset += 1
    }
    let second = try readFourHexDigits(escapeOffset: offset - 2)
    guard (0xDC00...0xDFFF).contains(second) else {
      throw lone
    }
    guard let scalar = Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)) else {
      throw lone
    }
    return scalar
  }

  private mutating func readFourHexDigits(escapeOffset: Int) throws(JSONSyntaxError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek() else {
        throw failure(.unexpectedEnd)
      }
      let digit: UInt8
      switch byte {
      case Token.zero...Token.nine: digit = byte - Token.zero
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: throw JSONSyntaxError(.invalidEscape, offsetBytes: escapeOffset)
      }
      value = value << 4 | UInt32(digit)
      offset += 1
    }
    return value
  }
}
