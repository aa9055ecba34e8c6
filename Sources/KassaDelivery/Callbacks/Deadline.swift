/// The time was up before the work was done.
struct DeadlineExceeded: Error {}

/// Runs `body`, and cancels it when its time is up: then throws `DeadlineExceeded`. `body` must heed cancellation.
func withDeadline<Value: Sendable>(
  milliseconds: Int64, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: .milliseconds(milliseconds))
      throw DeadlineExceeded()
    }
    defer { group.cancelAll() }
    guard let first = try await group.next() else { throw CancellationError() }
    return first
  }
}
