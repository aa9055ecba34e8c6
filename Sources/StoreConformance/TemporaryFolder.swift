import Foundation

/// A folder that a test has for itself.
package struct TemporaryFolder: Sendable {
  package let path: String

  package func file(_ name: String) -> String { "\(path)/\(name)" }
  package func newDatabasePath() -> String { file("\(UUID().uuidString).sqlite") }
}

/// Runs `body` with a new folder, which is removed afterwards.
package func withTemporaryFolder(_ body: (TemporaryFolder) async throws -> Void) async throws {
  let url = FileManager.default.temporaryDirectory.appendingPathComponent("kassa-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: url) }
  try await body(TemporaryFolder(path: url.path))
}
