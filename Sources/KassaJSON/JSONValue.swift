/// One JSON value (RFC 8259 section 3).
///
/// Equality is exact: strings and number texts are compared byte by byte as UTF-8, object members in their order.
/// `.number("1.0")` and `.integer(1)` are different values.
package indirect enum JSONValue: Sendable {
  /// The literal `null`.
  case null
  /// The literal `true` or `false`.
  case bool(Bool)
  /// A number written as plain digits with an optional minus, which fits `Int64`; never `-0`.
  case integer(Int64)
  /// Any other number as its raw text: with a fraction or an exponent, `-0`, or outside `Int64`.
  /// The text must follow the grammar of RFC 8259 section 6.
  case number(String)
  /// A string after unescaping.
  case string(String)
  /// The elements in their order.
  case array([JSONValue])
  /// The members in their order.
  case object(JSONObject)
}

extension JSONValue: Equatable {
  /// True when both are of the same case with the same content, strings compared byte by byte.
  package static func == (left: JSONValue, right: JSONValue) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.bool(let left), .bool(let right)): left == right
    case (.integer(let left), .integer(let right)): left == right
    case (.number(let left), .number(let right)): bytesEqual(left, right)
    case (.string(let left), .string(let right)): bytesEqual(left, right)
    case (.array(let left), .array(let right)): left == right
    case (.object(let left), .object(let right)): left == right
    default: false
    }
  }
}

/// The members of one JSON object, in the order of the text (RFC 8259 section 4).
///
/// The parser never makes two members of the same name; the initializer does not check it.
package struct JSONObject: Sendable, Equatable {
  /// One name with its value.
  package struct Member: Sendable, Equatable {
    /// The name after unescaping.
    package let name: String
    /// The value under that name.
    package let value: JSONValue

    /// Makes a member of any name, the empty one included.
    package init(name: String, value: JSONValue) {
      self.name = name
      self.value = value
    }

    /// True when the names are the same bytes and the values are equal.
    package static func == (left: Member, right: Member) -> Bool {
      bytesEqual(left.name, right.name) && left.value == right.value
    }
  }

  /// All members in their order; equality of objects heeds this order.
  package let members: [Member]

  /// Makes an object of these members; the caller sees to it that no name comes twice.
  package init(members: [Member] = []) {
    self.members = members
  }

  /// The value of the first member whose name has exactly these UTF-8 bytes, or nil. Takes linear time.
  package subscript(name: String) -> JSONValue? {
    members.first { bytesEqual($0.name, name) }?.value
  }
}

/// Members of one kind; `nil` when there is none of that name, or it is of another kind.
extension JSONObject {
  package func text(_ name: String) -> String? {
    if case .string(let text) = self[name] { text } else { nil }
  }

  package func integer(_ name: String) -> Int64? {
    if case .integer(let integer) = self[name] { integer } else { nil }
  }

  package func bool(_ name: String) -> Bool? {
    if case .bool(let bool) = self[name] { bool } else { nil }
  }

  package func object(_ name: String) -> JSONObject? {
    if case .object(let object) = self[name] { object } else { nil }
  }

  /// The objects of an array, without what else is in it; none when there is no such array.
  package func objects(_ name: String) -> [JSONObject] {
    guard case .array(let array) = self[name] else { return [] }
    return array.compactMap { if case .object(let object) = $0 { object } else { nil } }
  }
}

/// True when both strings have the same UTF-8 bytes.
///
/// `==` of `String` compares canonical equivalence instead: it holds U+212A (Kelvin sign) equal to "K".
package func bytesEqual(_ left: String, _ right: String) -> Bool {
  let equal = left.utf8.withContiguousStorageIfAvailable { leftBytes in
    right.utf8.withContiguousStorageIfAvailable { rightBytes in
      leftBytes.count == rightBytes.count && leftBytes.elementsEqual(rightBytes)
    }
  }
  if let known = equal, let known {
    return known
  }
  return left.utf8.elementsEqual(right.utf8)
}

/// A string which hashes and compares as its UTF-8 bytes, for sets of object keys.
struct ByteKey: Hashable {
  let text: String

  static func == (left: ByteKey, right: ByteKey) -> Bool {
    bytesEqual(left.text, right.text)
  }

  func hash(into hasher: inout Hasher) {
    var contiguous = text
    contiguous.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
