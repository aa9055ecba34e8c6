import KassaJSON
import Yams

/// The description of this API, compiled in from `openapi.yaml`.
package enum OpenAPIDocument {
  package static let yaml = "\(EmbeddedFiles.openapi_yaml)"

  /// The same as JSON, made once. A test holds that this succeeds.
  package static let json: Result<[UInt8], any Error> = Result {
    guard let root = try Yams.compose(yaml: yaml) else { throw NotAnObject() }
    var writer = JSONWriter(capacityBytes: yaml.utf8.count)
    writer.value(try value(root))
    return writer.bytes
  }

  private struct NotAnObject: Error {}

  private static func value(_ node: Node) throws -> JSONValue {
    switch node {
    case .mapping(let mapping):
      return .object(
        JSONObject(
          members: try mapping.map { key, value in
            guard let name = key.scalar?.string else { throw NotAnObject() }
            return JSONObject.Member(name: name, value: try Self.value(value))
          }))
    case .sequence(let sequence):
      return .array(try sequence.map(value))
    case .scalar(let scalar):
      switch node.tag.description {
      case Tag.Name.int.rawValue: return Int64(scalar.string).map(JSONValue.integer) ?? .number(scalar.string)
      case Tag.Name.float.rawValue: return .number(scalar.string)
      case Tag.Name.bool.rawValue: return .bool(scalar.string.lowercased() == "true")
      case Tag.Name.null.rawValue: return .null
      default: return .string(scalar.string)
      }
    case .alias:
      throw NotAnObject()
    }
  }
}
