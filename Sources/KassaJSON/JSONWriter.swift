/// Writes compact JSON straight into one buffer of UTF-8 bytes, commas included.
///
/// The caller keeps to the structure: one value at the top, `member` calls only inside of `object`, `element` calls
/// and `value` only inside of `array`, no name twice. Strings get only the escapes which RFC 8259 section 7 demands.
/// U+0000 is written as `\u0000`, which `JSONParser` refuses. If a closure throws, the text stays unfinished.
package struct JSONWriter: Sendable {
  /// The text so far.
  package private(set) var bytes: [UInt8]

  private var needsComma = false

  /// Makes an empty writer with room for this many bytes; it grows when needed.
  package init(capacityBytes: Int = 512) {
    bytes = []
    bytes.reserveCapacity(max(capacityBytes, 0))
  }

  // MARK: Values

  /// Writes an object as the value at the top or as an array's next element; the closure writes its members.
  package mutating func object(_ body: (inout JSONWriter) throws -> Void) rethrows {
    try enclosed(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
  }

  /// Writes an array as the value at the top or as an array's next element; the closure writes its elements.
  package mutating func array(_ body: (inout JSONWriter) throws -> Void) rethrows {
    try enclosed(UInt8(ascii: "["), UInt8(ascii: "]"), body)
  }

  /// Writes a whole tree as the value at the top or as an array's next element.
  ///
  /// Takes stack in proportion to the depth of the tree. The text of a `.number` is written as it is.
  package mutating func value(_ value: JSONValue) {
    switch value {
    case .null: elementNull()
    case .bool(let bool): element(bool)
    case .integer(let integer): element(integer)
    case .number(let text):
      beginValue()
      bytes.append(contentsOf: text.utf8)
    case .string(let string): element(string)
    case .array(let elements):
      array { writer in
        for element in elements {
          writer.value(element)
        }
      }
    case .object(let object):
      self.object { writer in
        for member in object.members {
          writer.beginMember(dynamicName: member.name)
          writer.value(member.value)
        }
      }
    }
  }

  // MARK: Members

  /// Writes a member whose value is a string.
  package mutating func member(_ name: StaticString, _ value: String) {
    beginMember(name)
    element(value)
  }

  /// Writes a member whose value is a string; nil leaves the member out.
  package mutating func member(_ name: StaticString, _ value: String?) {
    if let value {
      member(name, value)
    }
  }

  /// Writes a member whose value is an integer.
  package mutating func member(_ name: StaticString, _ value: Int64) {
    beginMember(name)
    element(value)
  }

  /// Writes a member whose value is an integer; nil leaves the member out.
  package mutating func member(_ name: StaticString, _ value: Int64?) {
    if let value {
      member(name, value)
    }
  }

  /// Writes a member whose value is an integer.
  package mutating func member(_ name: StaticString, _ value: Int) {
    beginMember(name)
    element(value)
  }

  /// Writes a member whose value is `true` or `false`.
  package mutating func member(_ name: StaticString, _ value: Bool) {
    beginMember(name)
    element(value)
  }

  /// Writes a member whose value is `null`.
  package mutating func memberNull(_ name: StaticString) {
    beginMember(name)
    elementNull()
  }

  /// Writes a member whose value is an object; the closure writes that object's members.
  package mutating func member(_ name: StaticString, object body: (inout JSONWriter) throws -> Void) rethrows {
    beginMember(name)
    try object(body)
  }

  /// Writes a member whose value is an array; the closure writes its elements.
  package mutating func member(_ name: StaticString, array body: (inout JSONWriter) throws -> Void) rethrows {
    beginMember(name)
    try array(body)
  }

  /// Writes a member whose value is a whole tree.
  package mutating func member(_ name: StaticString, json value: JSONValue) {
    beginMember(name)
    self.value(value)
  }

  /// Writes a member whose value is a string of these bytes.
  ///
  /// They must be ASCII from 0x20 to 0x7E without `"` and `\`; only debug builds check it.
  package mutating func member(_ name: StaticString, bytes content: UnsafeBufferPointer<UInt8>) {
    assert(content.allSatisfy { $0 < 0x7F && !Self.needsEscape($0) }, "the bytes are not plain ASCII")
    beginMember(name)
    beginValue()
    bytes.append(UInt8(ascii: "\""))
    bytes.append(contentsOf: content)
    bytes.append(UInt8(ascii: "\""))
  }

  /// Writes a member whose value is these bytes, which must be one JSON value; nothing checks it.
  package mutating func rawMember(_ name: StaticString, json content: [UInt8]) {
    beginMember(name)
    beginValue()
    bytes.append(contentsOf: content)
  }

  /// Writes these bytes, which must be one JSON value, as an array's next element; nothing checks it.
  package mutating func rawElement(json content: [UInt8]) {
    beginValue()
    bytes.append(contentsOf: content)
  }

  /// Writes a member whose name is known only at run time and whose value is a string.
  package mutating func member(dynamicName: String, _ value: String) {
    beginMember(dynamicName: dynamicName)
    element(value)
  }

  /// Writes a member whose name is known only at run time and whose value is an integer.
  package mutating func member(dynamicName: String, _ value: Int64) {
    beginMember(dynamicName: dynamicName)
    element(value)
  }

  // MARK: Elements

  /// Writes a string as an array's next element.
  package mutating func element(_ value: String) {
    beginValue()
    appendQuoted(value)
  }

  /// Writes an integer as an array's next element.
  package mutating func element(_ value: Int64) {
    beginValue()
    DecimalDigits.append(value, to: &bytes)
  }

  /// Writes an integer as an array's next element.
  package mutating func element(_ value: Int) {
    element(Int64(value))
  }

  /// Writes `true` or `false` as an array's next element.
  package mutating func element(_ value: Bool) {
    beginValue()
    appendUnescaped(value ? "true" : "false")
  }

  /// Writes `null` as an array's next element.
  package mutating func elementNull() {
    beginValue()
    appendUnescaped("null")
  }

  /// Writes an object as an array's next element; the closure writes its members.
  package mutating func elementObject(_ body: (inout JSONWriter) throws -> Void) rethrows {
    try object(body)
  }

  /// Writes an array as an array's next element; the closure writes that array's elements.
  package mutating func elementArray(_ body: (inout JSONWriter) throws -> Void) rethrows {
    try array(body)
  }

  // MARK: Structure

  /// Writes the comma if one is due, and has the next value or name preceded by one.
  private mutating func beginValue() {
    if needsComma {
      bytes.append(UInt8(ascii: ","))
    }
    needsComma = true
  }

  private mutating func beginMember(_ name: StaticString) {
    beginValue()
    bytes.append(UInt8(ascii: "\""))
    name.withUTF8Buffer { appendEscaped($0) }
    bytes.append(UInt8(ascii: "\""))
    endName()
  }

  private mutating func beginMember(dynamicName: String) {
    beginValue()
    appendQuoted(dynamicName)
    endName()
  }

  private mutating func endName() {
    bytes.append(UInt8(ascii: ":"))
    needsComma = false
  }

  private mutating func enclosed(
    _ opening: UInt8, _ closing: UInt8, _ body: (inout JSONWriter) throws -> Void
  ) rethrows {
    beginValue()
    bytes.append(opening)
    needsComma = false
    try body(&self)
    bytes.append(closing)
    needsComma = true
  }

  // MARK: Bytes

  private mutating func appendUnescaped(_ text: StaticString) {
    text.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  private mutating func appendQuoted(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    let done: Void? = text.utf8.withContiguousStorageIfAvailable { appendEscaped($0) }
    if done == nil {
      Array(text.utf8).withUnsafeBufferPointer { appendEscaped($0) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private static func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
  }

  /// Appends runs of bytes without escapes as a whole, and between them the escapes.
  private mutating func appendEscaped(_ text: UnsafeBufferPointer<UInt8>) {
    var runStart = 0
    for index in text.indices where Self.needsEscape(text[index]) {
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[runStart..<index]))
      appendEscape(text[index])
      runStart = index + 1
    }
    bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[runStart...]))
  }

  private mutating func appendEscape(_ byte: UInt8) {
    bytes.append(UInt8(ascii: "\\"))
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
    case 0x08: bytes.append(UInt8(ascii: "b"))
    case 0x09: bytes.append(UInt8(ascii: "t"))
    case 0x0A: bytes.append(UInt8(ascii: "n"))
    case 0x0C: bytes.append(UInt8(ascii: "f"))
    case 0x0D: bytes.append(UInt8(ascii: "r"))
    default:
      appendUnescaped("u00")
      bytes.append(Self.hexDigit(byte >> 4))
      bytes.append(Self.hexDigit(byte & 0x0F))
    }
  }

  private static func hexDigit(_ value: UInt8) -> UInt8 {
    value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
  }
}

/// Integers as decimal digits, without a `String` in between.
package enum DecimalDigits {
  /// Appends the value as ASCII digits, with a minus first if it is negative: 1 to 20 bytes.
  package static func append(_ value: Int64, to bytes: inout [UInt8]) {
    let countMax = 20
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: countMax) { digits in
      var start = countMax
      var rest = value.magnitude
      repeat {
        start -= 1
        digits.initializeElement(at: start, to: UInt8(ascii: "0") + UInt8(rest % 10))
        rest /= 10
      } while rest > 0
      if value < 0 {
        start -= 1
        digits.initializeElement(at: start, to: UInt8(ascii: "-"))
      }
      bytes.append(contentsOf: UnsafeBufferPointer(rebasing: digits[start...]))
    }
  }
}
