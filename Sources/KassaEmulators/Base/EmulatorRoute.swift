/// One call of a provider's wire.
package struct EmulatorRoute: Sendable {
  /// The name by which faults are planned for it.
  package let operation: String
  package let method: String
  /// Like `/v1/payments/{reference}/capture`.
  package let path: String
  /// Runs under no lock; has its effect at once and whole.
  let handle: @Sendable (EmulatorRequest) async -> EmulatorResponse

  private let segments: [Substring]

  package init(
    _ operation: String, _ method: String, _ path: String,
    _ handle: @escaping @Sendable (EmulatorRequest) async -> EmulatorResponse
  ) {
    self.operation = operation
    self.method = method
    self.path = path
    self.handle = handle
    segments = path.split(separator: "/", omittingEmptySubsequences: true)
  }

  /// What stands in the places of `{…}`; `nil` when the path is another.
  func parameters(of path: String) -> [String: String]? {
    let found = path.split(separator: "/", omittingEmptySubsequences: true)
    guard found.count == segments.count else { return nil }
    var parameters: [String: String] = [:]
    for (segment, text) in zip(segments, found) {
      if segment.hasPrefix("{") {
        guard let value = FormDecoding.unescape(text) else { return nil }
        parameters[String(segment.dropFirst().dropLast())] = value
      } else if segment != text {
        return nil
      }
    }
    return parameters
  }
}
