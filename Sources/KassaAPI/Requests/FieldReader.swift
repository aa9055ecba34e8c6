import KassaDomain
import KassaJSON
import KassaService

/// Takes the members of a JSON object one by one and gathers every flaw, so that one answer names them all.
///
/// A member that is missing or `null` counts as left out. Members nobody asks for are ignored.
struct FieldReader {
  private let object: JSONObject
  private(set) var flaws: [FieldFlaw]

  /// `flaws` are those that the rest of the request has, so that one answer names these too.
  init(_ object: JSONObject, besides flaws: [FieldFlaw] = []) {
    self.object = object
    self.flaws = flaws
  }

  /// Ends the reading. Throws all flaws, if any.
  func finish() throws {
    guard flaws.isEmpty else { throw RequestFailure.invalid(flaws) }
  }

  mutating func refuse(_ path: String, _ message: String) {
    flaws.append(FieldFlaw(path, message))
  }

  func has(_ name: String) -> Bool { value(name) != nil }

  /// Text of `characters` Unicode scalars.
  mutating func text(_ name: String, characters: ClosedRange<Int>) -> String? {
    guard let value = value(name) else { return nil }
    guard case .string(let text) = value else {
      refuse(name, "must be a string")
      return nil
    }
    guard characters.contains(text.unicodeScalars.count) else {
      refuse(name, "must have \(characters.lowerBound) to \(characters.upperBound) characters")
      return nil
    }
    return text
  }

  mutating func requiredText(_ name: String, characters: ClosedRange<Int>) -> String? {
    guard has(name) else {
      refuse(name, "is required")
      return nil
    }
    return text(name, characters: characters)
  }

  /// A whole number in plain digits: `1.0` and `1e2` are not.
  mutating func integer(_ name: String, _ range: ClosedRange<Int64>, unit: String) -> Int64? {
    guard let value = value(name) else { return nil }
    guard case .integer(let number) = value, range.contains(number) else {
      refuse(name, "must be a whole number of \(unit) from \(range.lowerBound) to \(range.upperBound)")
      return nil
    }
    return number
  }

  mutating func requiredInteger(_ name: String, _ range: ClosedRange<Int64>, unit: String) -> Int64? {
    guard has(name) else {
      refuse(name, "is required")
      return nil
    }
    return integer(name, range, unit: unit)
  }

  mutating func requiredIdentifier<Entity>(_ name: String, of type: Entity.Type) -> Identifier<Entity>? {
    guard has(name) else {
      refuse(name, "is required")
      return nil
    }
    return identifier(name, of: type)
  }

  /// RFC 3339 with any offset.
  mutating func time(_ name: String) -> Timestamp? {
    guard let value = value(name) else { return nil }
    guard case .string(let text) = value, let time = Timestamp(rfc3339: text) else {
      refuse(name, "must be a time, like 2024-01-15T10:30:00Z")
      return nil
    }
    return time
  }

  /// A required array of objects, each read by `read`, which takes the members of one; `nil` in place of one that is no
  /// object. The paths of their flaws begin with `name[index].`.
  mutating func objects<Element>(
    _ name: String, count: ClosedRange<Int>, _ read: (inout FieldReader) -> Element
  ) -> [Element?]? {
    guard let value = value(name) else {
      refuse(name, "is required")
      return nil
    }
    guard case .array(let array) = value, count.contains(array.count) else {
      refuse(name, "must be an array of \(count.lowerBound) to \(count.upperBound) objects")
      return nil
    }
    var elements: [Element?] = []
    elements.reserveCapacity(array.count)
    for (index, value) in array.enumerated() {
      guard case .object(let object) = value else {
        refuse("\(name)[\(index)]", "must be an object")
        elements.append(nil)
        continue
      }
      var fields = FieldReader(object)
      elements.append(read(&fields))
      for flaw in fields.flaws { refuse("\(name)[\(index)].\(flaw.path)", flaw.message) }
    }
    return elements
  }

  /// One of the cases' raw values.
  mutating func choice<Choice: RawRepresentable & CaseIterable>(_ name: String, _ type: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    guard let value = value(name) else { return nil }
    guard case .string(let text) = value,
      let choice = Choice.allCases.first(where: { sameBytes($0.rawValue, text) })
    else {
      refuse(name, "must be one of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
      return nil
    }
    return choice
  }

  mutating func requiredChoice<Choice: RawRepresentable & CaseIterable>(
    _ name: String, _ type: Choice.Type
  ) -> Choice? where Choice.RawValue == String {
    guard has(name) else {
      refuse(name, "is required")
      return nil
    }
    return choice(name, type)
  }

  mutating func identifier<Entity>(_ name: String, of: Entity.Type) -> Identifier<Entity>? {
    guard let value = value(name) else { return nil }
    guard case .string(let text) = value, let id = Identifier<Entity>(text: text) else {
      refuse(name, "must be a UUID, like 550e8400-e29b-41d4-a716-446655440000")
      return nil
    }
    return id
  }

  /// An object from string to string; left out it is empty.
  mutating func metadata(_ name: String) -> Metadata {
    guard let value = value(name) else { return .empty }
    guard case .object(let object) = value else {
      refuse(name, "must be an object from string to string")
      return .empty
    }
    var members: [(key: String, value: String)] = []
    for member in object.members {
      if case .string(let text) = member.value {
        members.append((member.name, text))
      } else {
        refuse("\(name).\(Self.shortened(member.name))", "must be a string")
      }
    }
    switch Metadata.make(members) {
    case .success(let metadata): return metadata
    case .failure(let failure):
      for flaw in failure.all {
        refuse(flaw.key.map { "\(name).\(Self.shortened($0))" } ?? name, flaw.message)
      }
      return .empty
    }
  }

  mutating func boolean(_ name: String) -> Bool? {
    guard let value = value(name) else { return nil }
    guard case .bool(let bool) = value else {
      refuse(name, "must be true or false")
      return nil
    }
    return bool
  }

  mutating func requiredBoolean(_ name: String) -> Bool? {
    guard has(name) else {
      refuse(name, "is required")
      return nil
    }
    return boolean(name)
  }

  /// An object from string to string; left out it is empty, and members that are `null` count as left out.
  mutating func texts(_ name: String) -> [String: String] {
    var texts: [String: String] = [:]
    for member in object(name)?.members ?? [] {
      switch member.value {
      case .string(let text): texts[member.name] = text
      case .null: break
      default: refuse("\(name).\(Self.shortened(member.name))", "must be a string")
      }
    }
    return texts
  }

  mutating func object(_ name: String) -> JSONObject? {
    guard let value = value(name) else { return nil }
    guard case .object(let object) = value else {
      refuse(name, "must be an object")
      return nil
    }
    return object
  }

  private func value(_ name: String) -> JSONValue? {
    guard let value = object[name] else { return nil }
    if case .null = value { return nil }
    return value
  }

  /// A caller's key as part of a path in an answer: not longer than anybody can read.
  private static func shortened(_ key: String) -> String {
    key.unicodeScalars.count <= 60 ? key : String(String.UnicodeScalarView(key.unicodeScalars.prefix(60))) + "…"
  }
}
