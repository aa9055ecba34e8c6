import Foundation
import KassaAPI
import KassaJSON
import KassaTestSupport
import Testing
import Yams

/// The table of operations, the document, and the page generated from the table agree.
struct OperationsTests {
  private func line(
    _ method: String, _ path: String, _ id: String, _ credential: String, isPlaygroundOnly: Bool
  ) -> String {
    "\(method) \(path) \(id) (\(credential)\(isPlaygroundOnly ? ", playground only" : ""))"
  }

  private var routes: [String] {
    let marked =
      KassaAPI.operations.map { ($0, false) } + KassaAPI.playgroundOperations.map { ($0, true) }
    return marked.map { operation, isPlaygroundOnly in
      line(
        operation.method.rawValue, operation.path, operation.id, operation.credential.rawValue,
        isPlaygroundOnly: isPlaygroundOnly)
    }.sorted()
  }

  @Test func tableAndDocumentNameTheSameOperations() throws {
    let document = try APIDocument.compiledIn()
    let described = document.operations.map {
      line($0.method, $0.path, $0.id, $0.credential.rawValue, isPlaygroundOnly: $0.isPlaygroundOnly)
    }
    #expect(Set(described).subtracting(routes) == [], "in openapi.yaml, but not in KassaAPI's operations")
    #expect(Set(routes).subtracting(described) == [], "in KassaAPI's operations, but not in openapi.yaml")
    #expect(described.count == routes.count)
    let ids = (KassaAPI.operations + KassaAPI.playgroundOperations).map(\.id)
    #expect(Set(ids).count == ids.count)
    // The mark is there or not, never false: a reader looks for its presence.
    for operation in document.operations {
      #expect(operation.node["x-playground-only"] ?? true == true, "\(operation.id)")
    }
  }

  @Test func everyPathParameterIsDescribed() throws {
    let document = try APIDocument.compiledIn()
    for operation in document.operations {
      let parameters = try (operation.node["parameters"]?.elements ?? []).map(document.validator.resolved)
      let inPath = parameters.filter { $0["in"]?.text == "path" }.compactMap { $0["name"]?.text }
      #expect(inPath.sorted() == operation.pathParameters.sorted(), "\(operation.id)")
    }
  }

  /// `routes.txt` is generated: run this test with `KASSA_UPDATE_GOLDEN=1` to write it anew.
  @Test func routesPageGolden() throws {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/reference/routes.txt")
      .standardizedFileURL
    let text = routes.joined(separator: "\n") + "\n"
    if ProcessInfo.processInfo.environment["KASSA_UPDATE_GOLDEN"] == "1" {
      try FileManager.default.createDirectory(
        at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: path, atomically: true, encoding: .utf8)
    }
    let written = try String(contentsOf: path, encoding: .utf8)
    #expect(written == text, "docs/reference/routes.txt is out of date: make golden")
  }

  /// The document as JSON is made by code of ours; a YAML reader's own idea of it must be the same.
  @Test func documentAsJSONIsTheYAML() throws {
    let loaded = try #require(try Yams.load(yaml: OpenAPIDocument.yaml))
    let json = try JSONParser.parse(try OpenAPIDocument.json.get(), nestingMax: JSONParser.nestingCeiling)
    #expect(Self.sorted(json) == Self.sorted(try Self.tree(loaded)))
  }

  private static func tree(_ value: Any) throws -> JSONValue {
    switch value {
    case let object as [String: Any]:
      .object(JSONObject(members: try object.map { JSONObject.Member(name: $0.key, value: try tree($0.value)) }))
    case let array as [Any]: .array(try array.map(tree))
    case is NSNull: .null
    case let text as String: .string(text)
    case let bool as Bool: .bool(bool)
    case let integer as Int: .integer(Int64(integer))
    case let double as Double: .number("\(double)")
    default: throw APIDocument.Fault(description: "unexpected \(type(of: value)): \(value)")
    }
  }

  private static func sorted(_ value: JSONValue) -> JSONValue {
    switch value {
    case .object(let object):
      .object(
        JSONObject(
          members: object.members.map { JSONObject.Member(name: $0.name, value: sorted($0.value)) }
            .sorted { $0.name < $1.name }))
    case .array(let elements): .array(elements.map(sorted))
    case .number(let text): .number("\(Double(text) ?? .nan)")
    default: value
    }
  }
}
