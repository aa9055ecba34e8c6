import KassaDomain
import KassaStore
import Synchronization
import Testing

/// The rules of the port as one suite. Every adapter's test target runs them all, unchanged:
///
///     @Test(arguments: StoreConformance.allCases)
///     func holds(_ rule: StoreConformance.Rule) async throws {
///       try await rule.check(StoreConformance { try await emptyStore() })
///     }
package struct StoreConformance: Sendable {
  let makeStore: @Sendable () async throws -> any Store

  /// `makeStore` opens a store on an empty database of its own, each time.
  package init(makeStore: @escaping @Sendable () async throws -> any Store) {
    self.makeStore = makeStore
  }

  /// One rule of the port.
  package struct Rule: Sendable, CustomTestStringConvertible {
    package let name: String
    private let body: @Sendable (StoreConformance) async throws -> Void

    init(_ name: String, _ body: @escaping @Sendable (StoreConformance) async throws -> Void) {
      self.name = name
      self.body = body
    }

    package func check(_ conformance: StoreConformance) async throws { try await body(conformance) }
    package var testDescription: String { name }
  }

  package static let allCases: [Rule] =
    transactionRules + tenancyRules + installationRules + merchantRules + apiKeyRules + locationRules
    + enrollmentRules + enrollmentPagingRules + deviceRules + eventRules + idempotencyRules + budgetRules
    + sessionRules + paymentRules + webhookRules + deliveryRules + paymentMethodRules + orderRules

  /// Runs `body` on a fresh store and closes it.
  func withStore(_ body: (any Store) async throws -> Void) async throws {
    let store = try await makeStore()
    do {
      try await body(store)
    } catch {
      await store.close()
      throw error
    }
    await store.close()
  }
}

// MARK: Expectations

/// Records an issue unless `body` throws `StoreError.conflict(constraint)`.
func expectConflict(
  _ constraint: StoreConstraint, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Void
) async {
  do {
    try await body()
    Issue.record("no conflict(\(constraint))", sourceLocation: sourceLocation)
  } catch StoreError.conflict(let found) {
    #expect(found == constraint, sourceLocation: sourceLocation)
  } catch {
    Issue.record("\(error) instead of conflict(\(constraint))", sourceLocation: sourceLocation)
  }
}

/// Records an issue unless `body` throws `StoreError.unavailable`.
package func expectUnavailable(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
) async {
  do {
    try await body()
    Issue.record("it was served", sourceLocation: sourceLocation)
  } catch StoreError.unavailable {
  } catch {
    Issue.record("\(error) instead of unavailable", sourceLocation: sourceLocation)
  }
}

/// Compares every page of several sizes, and walks by cursor, with the whole list in its order.
func expectPages<Element: Sendable>(
  of expected: [PagePosition], sizes: [Int], _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation,
  position: (Element) -> PagePosition, fetch: (PageRequest) throws -> Page<Element>
) throws {
  for size in sizes {
    let pages = (expected.count + size - 1) / size
    for number in 0...pages {
      let page = try fetch(PageRequest(number: number, size: size))
      let wanted = Array(expected.dropFirst(number * size).prefix(size))
      #expect(page.content.map(position) == wanted, "\(what) page \(number) of \(size)", sourceLocation: sourceLocation)
      #expect(page.totalElements == expected.count, "\(what)", sourceLocation: sourceLocation)
      #expect(page.hasMore == (number + 1 < pages), "\(what) page \(number) of \(size)", sourceLocation: sourceLocation)
    }
    var walked: [PagePosition] = []
    var page = try fetch(PageRequest(number: 0, size: size))
    while true {
      walked += page.content.map(position)
      guard let last = walked.last, page.hasMore, walked.count <= expected.count else { break }
      page = try fetch(PageRequest(number: 0, size: size, after: last))
      #expect(page.totalElements == expected.count, "\(what)", sourceLocation: sourceLocation)
    }
    #expect(walked == expected, "\(what) walk by \(size)", sourceLocation: sourceLocation)
  }
  for number in [1_000_000, Int(Int32.max), .max] {
    let beyond = try fetch(PageRequest(number: number, size: 100))
    #expect(beyond.content.isEmpty && !beyond.hasMore, "\(what) page \(number)", sourceLocation: sourceLocation)
    #expect(beyond.totalElements == expected.count, "\(what)", sourceLocation: sourceLocation)
  }
}

/// Newest first; of the same time the larger identifier first.
func newestFirst(_ positions: [PagePosition]) -> [PagePosition] {
  positions.sorted { left, right in
    left.createdAt == right.createdAt ? left.id > right.id : left.createdAt > right.createdAt
  }
}

func bytes(_ text: String?) -> [UInt8]? { text.map { Array($0.utf8) } }

// MARK: Concurrency

/// A value that several tasks share.
package final class Shared<Value: Sendable>: Sendable {
  private let value: Mutex<Value>

  package init(_ value: Value) {
    self.value = Mutex(value)
  }

  package func withLock<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
    try value.withLock { value in try body(&value) }
  }
}

/// Runs `body` as `count` tasks at once; their answers in the tasks' order.
package func racing<Value: Sendable>(
  _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Value
) async throws -> [Value] {
  try await withThrowingTaskGroup(of: (Int, Value).self) { group in
    for number in 0..<count { group.addTask { (number, try await body(number)) } }
    var answers: [(Int, Value)] = []
    for try await answer in group { answers.append(answer) }
    return answers.sorted { $0.0 < $1.0 }.map(\.1)
  }
}
