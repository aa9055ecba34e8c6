import Foundation
import KassaDomain
import KassaSQLite
import KassaStore
import StoreConformance
import Testing

/// Reading takes its turn: loops of reads do not keep others from the threads that all tasks share.
@Suite(.serialized) struct ReadingTests {
  /// More loops than there are threads read until somebody else has come to do something.
  @Test(.timeLimit(.minutes(1))) func loopsOfReadsLetOthersRun() async throws {
    try await withTemporaryFolder { folder in
      let store = try SQLiteStore(path: folder.newDatabasePath())
      let isDone = Shared(false)
      let end = ContinuousClock.now + .seconds(30)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<2 * ProcessInfo.processInfo.activeProcessorCount {
          group.addTask {
            while !isDone.withLock({ $0 }), ContinuousClock.now < end {
              _ = try await store.read { try $0.merchants.all() }
            }
          }
        }
        group.addTask {
          // It suspends, and must get a thread again each time.
          for _ in 0..<20 { try await store.checkWritable() }
          isDone.withLock { $0 = true }
        }
        try await group.waitForAll()
      }
      #expect(ContinuousClock.now < end, "loops of reads kept everybody else from running")
      await store.close()
    }
  }
}
