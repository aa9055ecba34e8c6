import Foundation
import KassaAPI
import KassaJSON
import KassaTestSupport
import Testing
import Yams

/// The table of operations, the document, and the page generated from the table agree.
struct OperationsTests {
  private func line(_ method: String, _ path: String, _ id: String, _ credential: String) -> String {
    "\(method) \(path) \(id) (\(credential))"
  }

  private var routes: [String] {
    KassaAPI.operations.map { line($0.method.rawValue, $0.path, $0.id, $0.credential.rawValue) }.sorted()
  }

  @Test func tableAndDocumentNameTheSameOperations() throws {
    let document = try APIDocument.compiledIn()
    let described = document.operations.map { line($0.method, $0.path, $0.id, $0.credential.rawValue) }.sorted()
    #expect(Set(described).subtracting(routes) == [], "in openapi.yaml, but not in KassaAPI.operations")
    #expect(Set(routes).subtracting(described) == [], "in KassaAPI.operations, but not in openapi.yaml")
    #expect(described.count == routes.count)
    #expect(Set(KassaAPI.operations.map(\.id)).count == KassaAPI.operations.count)
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
