import Synchronization

/// What happens to a call instead of, or beside, its answer.
package enum EmulatorFault: Sendable {
  /// The connection is closed; nothing happens.
  case unreachable
  /// Nothing happens, and no answer ever comes.
  case never
  /// The effect happens; the connection is closed.
  case answerLost
  /// The effect happens; the answer comes after so long.
  case answerLate(milliseconds: Int64)
  /// The request arrives twice; the second answer is the one that comes.
  case twice
  /// Answered with this status; nothing happens.
  case refused(status: Int)
  /// The effect happens; answered with this status all the same.
  case refusedAfterEffect(status: Int)
  /// Answered with this status, from now on whenever it is asked for under the same key; only where the provider keeps
  /// answers is that more than once.
  case kept(status: Int, hasEffect: Bool)
  /// The effect happens; then this, and only then the answer.
  case beforeAnswer(@Sendable () async -> Void)
}

/// Faults that wait for a call of their operation.
package final class EmulatorFaults: Sendable {
  /// Faults that may be waiting.
  package static let plannedMax = 1000

  private let planned = Mutex<[(operation: String, fault: EmulatorFault)]>([])

  package init() {}

  /// For the next `count` calls of the operation. Returns `false` when too many wait already.
  @discardableResult
  package func plan(_ fault: EmulatorFault, for operation: String, count: Int = 1) -> Bool {
    planned.withLock { planned in
      guard planned.count + count <= Self.plannedMax else { return false }
      planned += Array(repeating: (operation, fault), count: count)
      return true
    }
  }

  /// Forgets what still waits.
  package func clear() { planned.withLock { $0 = [] } }

  package var waitingCount: Int { planned.withLock { $0.count } }

  func take(for operation: String) -> EmulatorFault? {
    planned.withLock { planned in
      planned.firstIndex { $0.operation == operation }.map { planned.remove(at: $0).fault }
    }
  }
}
