import KassaJSON

/// JSON as literals in tests: `["name": "Till 1", "metadata": [:]]`. Members keep their order.
extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int64) { self = .integer(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(nilLiteral: ()) { self = .null }
  package init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(JSONObject(members: elements.map { JSONObject.Member(name: $0.0, value: $0.1) }))
  }
}

extension JSONValue {
  package var text: String? { if case .string(let text) = self { text } else { nil } }
  package var integer: Int64? { if case .integer(let integer) = self { integer } else { nil } }
  package var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
  /// The elements of an array; none for anything else.
  package var elements: [JSONValue] { if case .array(let elements) = self { elements } else { [] } }
  /// The members of an object; none for anything else.
  package var members: [JSONObject.Member] { if case .object(let object) = self { object.members } else { [] } }
  package var names: [String] { members.map(\.name) }

  package subscript(_ name: String) -> JSONValue? {
    if case .object(let object) = self { object[name] } else { nil }
  }

  /// The same object with `value` under `name`, in its place or at the end; `nil` leaves the member out.
  package func setting(_ name: String, to value: JSONValue?) -> JSONValue {
    var members = self.members
    let index = members.firstIndex { bytesEqual($0.name, name) }
    switch (index, value) {
    case (let index?, let value?): members[index] = JSONObject.Member(name: name, value: value)
    case (let index?, nil): members.remove(at: index)
    case (nil, let value?): members.append(JSONObject.Member(name: name, value: value))
    case (nil, nil): break
    }
    return .object(JSONObject(members: members))
  }

  /// The tree as JSON.
  package var bytes: [UInt8] {
    var writer = JSONWriter()
    writer.value(self)
    return writer.bytes
  }
}
