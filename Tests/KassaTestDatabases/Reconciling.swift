import KassaDomain
import KassaService

/// The sweeper's looks at one moment of a clock that a test moves.
extension KassaService {
  /// Looks once after every attempt that is due, some at once. Returns how many they were.
  package func reconcilePayments() async throws -> Int {
    var due: [Payment] = []
    for method in PaymentMethod.allCases { due += try await duePayments(by: method, limit: Limits.sweepRowsMax) }
    try await forEach(due) { try await lookAfter($0) }
    return due.count
  }

  /// Looks once after every movement that is due, some at once. Returns how many they were.
  package func reconcileOrders() async throws -> Int {
    var due: [OrderMovement] = []
    for method in PaymentMethod.allCases { due += try await dueMovements(by: method, limit: Limits.sweepRowsMax) }
    try await forEach(due) { try await lookAfter($0) }
    return due.count
  }

  private func forEach<Element: Sendable>(
    _ elements: [Element], _ body: @escaping @Sendable (Element) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (index, element) in elements.enumerated() {
        if index >= Limits.outcomeChecksAtOnceMax { try await group.next() }
        group.addTask { try await body(element) }
      }
      try await group.waitForAll()
    }
  }
}
