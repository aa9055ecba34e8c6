import KassaJSON

/// Takes the members of a JSON object one by one, as strictly as the provider's documentation has them: gathers what is
/// wrong, and what nobody asked for.
package struct EmulatorFields {
  package struct Flaw: Equatable, Sendable {
    package let path: String
    package let message: String
  }

  private let object: JSONObject
  private let path: String
  private var asked: Set<String> = []
  package private(set) var flaws: [Flaw] = []
  private var unknownInside: [String] = []

  package init(_ object: JSONObject, path: String = "") {
    self.object = object
    self.path = path
  }

  /// Members that are not documented, with those of objects read by `fields(_:)`, by their paths.
  package var unknown: [String] {
    object.members.map(\.name).filter { !asked.contains($0) }.map { path + $0 } + unknownInside
  }

  package mutating func refuse(_ name: String, _ message: String) {
    flaws.append(Flaw(path: path + name, message: message))
  }

  package mutating func has(_ name: String) -> Bool {
    asked.insert(name)
    return object[name] != nil
  }

  package mutating func text(
    _ name: String, required: Bool = false, characters: ClosedRange<Int> = 0...Int.max,
    where isAllowed: (String) -> Bool = { _ in true }, _ rule: String = "has characters that are not allowed"
  ) -> String? {
    guard let value = value(name, required) else { return nil }
    guard case .string(let text) = value else {
      refuse(name, "must be a string")
      return nil
    }
    guard characters.contains(text.unicodeScalars.count) else {
      refuse(name, "must have \(characters.lowerBound) to \(characters.upperBound) characters")
      return nil
    }
    guard isAllowed(text) else {
      refuse(name, rule)
      return nil
    }
    return text
  }

  package mutating func choice(_ name: String, required: Bool = false, of allowed: [String]) -> String? {
    text(
      name, required: required, where: { text in allowed.contains { $0.utf8.elementsEqual(text.utf8) } },
      "must be one of \(allowed.joined(separator: ", "))")
  }

  package mutating func integer(
    _ name: String, required: Bool = false, in range: ClosedRange<Int64> = Int64.min...Int64.max
  ) -> Int64? {
    guard let value = value(name, required) else { return nil }
    guard case .integer(let number) = value, range.contains(number) else {
      refuse(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return number
  }

  package mutating func bool(_ name: String, required: Bool = false) -> Bool? {
    guard let value = value(name, required) else { return nil }
    guard case .bool(let bool) = value else {
      refuse(name, "must be true or false")
      return nil
    }
    return bool
  }

  package mutating func array(_ name: String, required: Bool = false) -> [JSONValue]? {
    guard let value = value(name, required) else { return nil }
    guard case .array(let array) = value else {
      refuse(name, "must be an array")
      return nil
    }
    return array
  }

  /// Reads the members of an object; its flaws and unknown members count as this one's.
  package mutating func fields<Value>(
    _ name: String, required: Bool = false, _ read: (inout EmulatorFields) -> Value
  ) -> Value? {
    guard let value = value(name, required) else { return nil }
    return fields(value, name, read)
  }

  /// Reads the objects of an array.
  package mutating func elements<Value>(
    _ name: String, required: Bool = false, _ read: (inout EmulatorFields) -> Value
  ) -> [Value]? {
    array(name, required: required)?.enumerated().compactMap { index, value in
      fields(value, "\(name)[\(index)]", read)
    }
  }

  private mutating func fields<Value>(
    _ value: JSONValue, _ name: String, _ read: (inout EmulatorFields) -> Value
  ) -> Value? {
    guard case .object(let object) = value else {
      refuse(name, "must be an object")
      return nil
    }
    var inner = EmulatorFields(object, path: "\(path)\(name).")
    let value = read(&inner)
    flaws += inner.flaws
    unknownInside += inner.unknown
    return value
  }

  private mutating func value(_ name: String, _ required: Bool) -> JSONValue? {
    asked.insert(name)
    if let value = object[name] { return value }
    if required { refuse(name, "is required") }
    return nil
  }
}
