import KassaJSON
import KassaTestSupport

/// Holds JSON against JSON Schema 2020-12, as far as `openapi.yaml` uses it, and more strictly than the standard asks:
/// a keyword or format it does not know is an error of the schema, and a property that no part of the schema describes is
/// a flaw of the value.
struct SchemaValidator {
  /// What `$ref` points into.
  let root: JSONValue

  /// The schema itself is wrong, or uses what this validator does not support.
  struct SchemaFault: Error, Equatable, CustomStringConvertible {
    let description: String
  }

  /// Says nothing about the value.
  private static let annotations: Set = ["description", "title", "default", "deprecated", "examples"]

  /// Everything wrong with the value, each with its path; empty when it is valid.
  func flaws(of value: JSONValue, against schema: JSONValue) throws(SchemaFault) -> [String] {
    var flaws: [String] = []
    try check(value, schema, "$", &flaws)
    return flaws
  }

  /// What a `$ref` leads to, or the node itself.
  func resolved(_ node: JSONValue) throws(SchemaFault) -> JSONValue {
    guard let reference = node["$ref"] else { return node }
    guard let text = reference.text, text.hasPrefix("#/") else { throw fault("$ref \(reference) is not local") }
    var target = root
    for step in text.dropFirst(2).split(separator: "/") {
      guard let next = target[String(step)] else { throw fault("\(text) leads nowhere") }
      target = next
    }
    return try resolved(target)
  }

  /// Checks a value, and that each of its properties is described somewhere.
  private func check(
    _ value: JSONValue, _ schema: JSONValue, _ path: String, _ flaws: inout [String]
  ) throws(SchemaFault) {
    let described = try evaluate(value, schema, path, &flaws)
    for name in value.names where !described.contains(ByteName(name)) {
      flaws.append("\(path).\(name) is not described")
    }
  }

  /// Applies one schema to a value. Returns the properties it describes, its parts (`allOf`, `oneOf`, `$ref`) included.
  private func evaluate(
    _ value: JSONValue, _ schema: JSONValue, _ path: String, _ flaws: inout [String]
  ) throws(SchemaFault) -> Set<ByteName> {
    guard case .object(let keywords) = schema else { throw fault("the schema at \(path) is not an object") }
    var described: Set<ByteName> = []
    for keyword in keywords.members where !Self.annotations.contains(keyword.name) {
      let argument = keyword.value
      switch keyword.name {
      case "$ref":
        described.formUnion(try evaluate(value, try resolved(schema), path, &flaws))
      case "allOf":
        for part in argument.elements { described.formUnion(try evaluate(value, part, path, &flaws)) }
      case "oneOf":
        described.formUnion(try evaluateOneOf(value, argument, path, &flaws))
      case "properties":
        for property in argument.members {
          described.insert(ByteName(property.name))
          if let member = value[property.name] {
            try check(member, property.value, "\(path).\(property.name)", &flaws)
          }
        }
      case "additionalProperties":
        let declared = Set((schema["properties"]?.names ?? []).map(ByteName.init))
        for member in value.members where !declared.contains(ByteName(member.name)) {
          switch argument {
          case .bool(true): described.insert(ByteName(member.name))
          case .bool(false): break
          default:
            described.insert(ByteName(member.name))
            try check(member.value, argument, "\(path).\(member.name)", &flaws)
          }
        }
      case "items":
        for (index, element) in value.elements.enumerated() {
          try check(element, argument, "\(path)[\(index)]", &flaws)
        }
      case "propertyNames":
        for name in value.names {
          _ = try evaluate(.string(name), argument, "\(path) name \(name)", &flaws)
        }
      default:
        if let flaw = try assertion(keyword.name, argument, value) { flaws.append("\(path) \(flaw)") }
      }
    }
    return described
  }

  private func evaluateOneOf(
    _ value: JSONValue, _ argument: JSONValue, _ path: String, _ flaws: inout [String]
  ) throws(SchemaFault) -> Set<ByteName> {
    var described: Set<ByteName> = []
    var matches = 0
    for part in argument.elements {
      var partFlaws: [String] = []
      let partDescribed = try evaluate(value, part, path, &partFlaws)
      if partFlaws.isEmpty {
        matches += 1
        described.formUnion(partDescribed)
      }
    }
    if matches != 1 { flaws.append("\(path) matches \(matches) of oneOf, not exactly one") }
    return described
  }

  /// The keywords that look at one value and not into it. Returns what is wrong, or `nil`.
  private func assertion(
    _ keyword: String, _ argument: JSONValue, _ value: JSONValue
  ) throws(SchemaFault) -> String? {
    func limit() throws(SchemaFault) -> Int64 {
      guard let limit = argument.integer else { throw fault("\(keyword) \(argument) is not an integer") }
      return limit
    }
    func broken(_ isBroken: Bool) -> String? { isBroken ? "breaks \(keyword) \(argument)" : nil }

    switch keyword {
    case "type": return broken(try !Self.isOfType(value, argument))
    case "enum": return broken(!argument.elements.contains(value))
    case "const": return broken(argument != value)
    case "required":
      guard case .object(let object) = value else { return nil }
      let missing = argument.elements.compactMap(\.text).filter { object[$0] == nil }
      return missing.isEmpty ? nil : "lacks \(missing.joined(separator: ", "))"
    case "maxProperties": return broken(value.members.count > (try limit()))
    case "minItems":
      let least = try limit()
      guard case .array(let elements) = value else { return nil }
      return broken(elements.count < least)
    case "maxItems": return broken(value.elements.count > (try limit()))
    case "minLength": return broken(Int64(value.text?.unicodeScalars.count ?? .max) < (try limit()))
    case "maxLength": return broken(Int64(value.text?.unicodeScalars.count ?? 0) > (try limit()))
    case "minimum": return broken((Self.number(value) ?? .infinity) < Double(try limit()))
    case "maximum": return broken((Self.number(value) ?? -.infinity) > Double(try limit()))
    case "pattern":
      guard let pattern = argument.text else { throw fault("pattern \(argument) is not a string") }
      guard let text = value.text else { return nil }
      return broken(try !Self.matches(text, pattern))
    case "format":
      guard let format = argument.text else { throw fault("format \(argument) is not a string") }
      return broken(try !Self.isOfFormat(value, format))
    default: throw fault("the keyword \(keyword) is not supported")
    }
  }

  private static func isOfType(_ value: JSONValue, _ type: JSONValue) throws(SchemaFault) -> Bool {
    if case .array(let alternatives) = type, !alternatives.isEmpty {
      var isOfAny = false
      for alternative in alternatives where try isOfType(value, alternative) { isOfAny = true }
      return isOfAny
    }
    switch (type.text, value) {
    case ("object", .object), ("array", .array), ("string", .string), ("boolean", .bool), ("null", .null),
      ("integer", .integer), ("number", .integer), ("number", .number):
      return true
    case ("object", _), ("array", _), ("string", _), ("boolean", _), ("null", _), ("integer", _), ("number", _):
      return false
    default: throw SchemaFault(description: "the type \(type) is not supported")
    }
  }

  private static func isOfFormat(_ value: JSONValue, _ format: String) throws(SchemaFault) -> Bool {
    switch (format, value) {
    case ("int32", .integer(let integer)): return Int32(exactly: integer) != nil
    case ("int32", .number), ("int64", .number): return false
    case ("int32", _), ("int64", _): return true
    case ("uuid", .string(let text)): return try matches(text, uuidPattern)
    case ("date-time", .string(let text)): return try matches(text, dateTimePattern)
    case ("uri", .string(let text)): return try matches(text, #"^[A-Za-z][A-Za-z0-9+.\-]*:[!-~]+$"#)
    case ("uuid", _), ("date-time", _), ("uri", _): return true
    default: throw SchemaFault(description: "the format \(format) is not supported")
    }
  }

  private static let uuidPattern = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
  private static let dateTimePattern =
    #"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+\-]\d{2}:\d{2})$"#

  /// As ECMA-262 has it: `$` is the very end, also before a line feed, and characters are scalars.
  private static func matches(_ text: String, _ pattern: String) throws(SchemaFault) -> Bool {
    let anchored =
      pattern.hasSuffix("$") && !pattern.hasSuffix(#"\$"#) ? pattern.dropLast() + #"\z"# : pattern[...]
    do {
      return try Regex(String(anchored)).matchingSemantics(.unicodeScalar).firstMatch(in: text) != nil
    } catch {
      throw SchemaFault(description: "the pattern \(pattern) cannot be read: \(error)")
    }
  }

  private static func number(_ value: JSONValue) -> Double? {
    switch value {
    case .integer(let integer): Double(integer)
    case .number(let text): Double(text)
    default: nil
    }
  }

  private func fault(_ description: String) -> SchemaFault { SchemaFault(description: description) }
}

/// A property's name, equal only to the same bytes.
private struct ByteName: Hashable {
  private let bytes: [UInt8]
  init(_ name: String) { bytes = Array(name.utf8) }
}
