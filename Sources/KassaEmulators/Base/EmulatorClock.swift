import Foundation
import KassaDomain
import Synchronization

/// The machine's clock, moved forward.
package final class EmulatorClock: Sendable {
  private let offsetMilliseconds = Atomic<Int64>(0)

  package init() {}

  package var now: Timestamp {
    Timestamp(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000))
      .adding(milliseconds: offsetMilliseconds.load(ordering: .relaxed))
  }

  package func advance(seconds: Int64) { offsetMilliseconds.add(seconds * 1000, ordering: .relaxed) }
}
