import KassaAPI
import KassaJSON
import KassaTestSupport

/// `openapi.yaml`, as something to hold requests and answers against.
struct APIDocument {
  let root: JSONValue
  let validator: SchemaValidator

  /// Who may call an operation, as its `security` says.
  enum Credential: String {
    case none
    case apiKey = "api key"
    case device
  }

  struct Described {
    let id: String
    let method: String
    let path: String
    let credential: Credential
    let node: JSONValue

    var pathParameters: [String] {
      path.split(separator: "/").filter { $0.hasPrefix("{") }.map { String($0.dropFirst().dropLast()) }
    }
    /// A body of JSON. What providers send is whatever they send.
    var takesBody: Bool { node["requestBody"]?["content"]?["application/json"] != nil }
    /// In the vendor's shape of errors, which has its own answer to an id that is none.
    var isOrderManagement: Bool { path.hasPrefix("/ordermanagement/") }
    var isPlaygroundOnly: Bool { node["x-playground-only"]?.bool == true }
    /// Answers Server-Sent Events, which have no end.
    /// An operation that may answer with JSON as well streams only when it is asked to.
    var isStream: Bool {
      let content = node["responses"]?["200"]?["content"]
      return content?["text/event-stream"] != nil && content?["application/json"] == nil
    }
  }

  struct Fault: Error, CustomStringConvertible {
    let description: String
  }

  let operations: [Described]

  init(root: JSONValue) throws {
    self.root = root
    validator = SchemaValidator(root: root)
    var operations: [Described] = []
    for path in root["paths"]?.members ?? [] {
      for method in path.value.members {
        guard let id = method.value["operationId"]?.text else {
          throw Fault(description: "\(method.name) \(path.name) has no operationId")
        }
        operations.append(
          Described(
            id: id, method: method.name.uppercased(), path: path.name, credential: try Self.credential(method.value),
            node: method.value))
      }
    }
    self.operations = operations
  }

  /// The one that is compiled in.
  static func compiledIn() throws -> APIDocument {
    try APIDocument(
      root: try JSONParser.parse(try OpenAPIDocument.json.get(), nestingMax: JSONParser.nestingCeiling))
  }

  func operation(_ id: String) throws -> Described {
    guard let found = operations.first(where: { $0.id == id }) else { throw Fault(description: "no operation \(id)") }
    return found
  }

  private static func credential(_ operation: JSONValue) throws -> Credential {
    guard let security = operation["security"], case .array(let alternatives) = security else {
      throw Fault(description: "an operation has no security")
    }
    switch Set(alternatives.flatMap(\.names)) {
    case []: return .none
    case ["apiKey"]: return .apiKey
    case ["deviceToken", "deviceProof"]: return .device
    case let other: throw Fault(description: "unknown security \(other)")
    }
  }

  /// The statuses that an operation may answer.
  func statuses(of operation: Described) -> [Int] { (operation.node["responses"]?.names ?? []).compactMap { Int($0) } }

  /// The status of a good answer.
  func goodStatus(of operation: Described) -> Int? { statuses(of: operation).first { (200...299).contains($0) } }

  /// The headers that an operation requires and that can have one value only.
  func fixedHeaders(_ operation: Described) throws -> [(name: String, value: String)] {
    try (operation.node["parameters"]?.elements ?? []).map(validator.resolved).compactMap { parameter in
      guard parameter["in"]?.text == "header", parameter["required"]?.bool == true,
        let values = parameter["schema"]?["enum"]?.elements, values.count == 1
      else { return nil }
      return (parameter["name"]?.text?.lowercased() ?? "", values[0].text ?? "")
    }
  }

  func takesIdempotencyKey(_ operation: Described) throws -> Bool {
    try (operation.node["parameters"]?.elements ?? []).contains {
      try validator.resolved($0)["name"]?.text?.lowercased() == "idempotency-key"
    }
  }

  /// Everything about an answer that is not as the document says.
  func flaws(of answer: HTTPAnswer, to operation: Described) throws -> [String] {
    guard let response = try operation.node["responses"]?["\(answer.status)"].map(validator.resolved) else {
      return ["\(operation.id) answered the undocumented status \(answer.status): \(answer.text.prefix(200))"]
    }
    var flaws: [String] = []
    for header in response["headers"]?.members ?? [] {
      let description = try validator.resolved(header.value)
      let values = answer.values(header.name.lowercased())
      if values.count > 1 { flaws.append("header \(header.name) is there \(values.count) times") }
      guard let value = values.first else {
        if description["required"]?.bool == true { flaws.append("header \(header.name) is missing") }
        continue
      }
      guard let schema = description["schema"] else { throw Fault(description: "\(header.name) has no schema") }
      let typed: JSONValue =
        schema["type"]?.text == "integer" ? Int64(value).map { .integer($0) } ?? .null : .string(value)
      flaws += try validator.flaws(of: typed, against: schema).map { "header \(header.name): \($0)" }
    }
    flaws += try bodyFlaws(of: answer, response)
    return flaws.map { "\(operation.id) \(answer.status): \($0)" }
  }

  private func bodyFlaws(of answer: HTTPAnswer, _ response: JSONValue) throws -> [String] {
    let type = answer.header("content-type").map { $0.prefix { $0 != ";" }.lowercased() }
    guard let content = response["content"] else {
      return type == nil && answer.body.isEmpty ? [] : ["has a body, which is not described"]
    }
    guard let type, let schema = content[type]?["schema"] else {
      return ["has the undocumented content type \(type ?? "none")"]
    }
    guard type == "application/json" || type == "application/problem+json" else {
      return try validator.flaws(of: .string(answer.text), against: schema)
    }
    let body: JSONValue
    do {
      body = try JSONParser.parse(answer.body, nestingMax: JSONParser.nestingCeiling)
    } catch {
      return ["the body is not strict JSON: \(error.message)"]
    }
    var flaws = try validator.flaws(of: body, against: schema)
    if type == "application/problem+json" {
      if body["status"]?.integer != Int64(answer.status) { flaws.append("the problem has another status") }
      if body["request_id"]?.text != answer.header("x-request-id") {
        flaws.append("the problem has another request id")
      }
    }
    return flaws
  }
}
