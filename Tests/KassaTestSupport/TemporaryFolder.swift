import Foundation

/// A folder of its own for one test.
package struct TemporaryFolder: Sendable {
  package let path: String

  package init() throws {
    path = NSTemporaryDirectory().trimmingSuffix("/") + "/kassa-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
  }

  package func remove() { try? FileManager.default.removeItem(atPath: path) }

  package func file(_ name: String) -> String { "\(path)/\(name)" }

  package func text(of name: String) -> String? { try? String(contentsOfFile: file(name), encoding: .utf8) }

  package func write(_ text: String, to name: String) throws {
    try text.write(toFile: file(name), atomically: true, encoding: .utf8)
  }

  package func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: file(name)) }

  package func names() throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }

  /// The permission bits of a file.
  package func mode(of name: String) throws -> Int? {
    (try FileManager.default.attributesOfItem(atPath: file(name))[.posixPermissions] as? NSNumber)?.intValue
  }
}

extension String {
  fileprivate func trimmingSuffix(_ suffix: String) -> String {
    hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
  }
}

/// Makes a folder, runs `body`, and removes the folder whatever happens.
package func withTemporaryFolder<Value: Sendable>(
  _ body: (TemporaryFolder) async throws -> Value
) async throws -> Value {
  let folder = try TemporaryFolder()
  defer { folder.remove() }
  return try await body(folder)
}
