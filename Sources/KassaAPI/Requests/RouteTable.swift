import HTTPTypes

/// Finds the operation for a method and a path. Hummingbird's own router answers 404 for a wrong method; the contract
/// wants 405 with the allowed ones.
struct RouteTable: Sendable {
  enum Match {
    case operation(Operation, parameters: [String: Substring])
    case wrongMethod(allowed: [HTTPRequest.Method])
    case none
  }

  private enum Segment: Equatable, Sendable {
    case literal(String)
    case parameter(String)
  }

  private struct Route: Sendable {
    let segments: [Segment]
    var operations: [Operation]
  }

  /// Routes by their number of segments.
  private var routes: [Int: [Route]] = [:]

  init(_ operations: [Operation]) {
    for operation in operations {
      let segments = operation.path.split(separator: "/").map { text -> Segment in
        text.hasPrefix("{") ? .parameter(String(text.dropFirst().dropLast())) : .literal(String(text))
      }
      if let index = routes[segments.count]?.firstIndex(where: { $0.segments == segments }) {
        routes[segments.count]?[index].operations.append(operation)
      } else {
        routes[segments.count, default: []].append(Route(segments: segments, operations: [operation]))
      }
    }
  }

  func match(_ method: HTTPRequest.Method, _ path: String) -> Match {
    let given = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    for route in routes[given.count] ?? [] {
      guard let parameters = Self.parameters(given, route.segments) else { continue }
      // HEAD is GET without the body (RFC 9110, section 9.3.2).
      let wanted = method == .head ? .get : method
      guard let operation = route.operations.first(where: { $0.method == wanted }) else {
        let methods = route.operations.map(\.method)
        return .wrongMethod(allowed: methods + (methods.contains(.get) ? [.head] : []))
      }
      return .operation(operation, parameters: parameters)
    }
    return .none
  }

  private static func parameters(_ given: ArraySlice<Substring>, _ segments: [Segment]) -> [String: Substring]? {
    var parameters: [String: Substring] = [:]
    for (text, segment) in zip(given, segments) {
      switch segment {
      case .literal(let literal):
        guard text.utf8.elementsEqual(literal.utf8) else { return nil }
      case .parameter(let name):
        guard !text.isEmpty else { return nil }
        parameters[name] = text
      }
    }
    return parameters
  }
}
