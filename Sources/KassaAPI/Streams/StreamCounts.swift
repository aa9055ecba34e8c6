import Synchronization

/// How many streams each has open at this server.
final class StreamCounts<Key: Hashable & Sendable>: Sendable {
  private let counts = Mutex<[Key: Int]>([:])

  func count(of key: Key) -> Int { counts.withLock { $0[key] ?? 0 } }

  func change(_ key: Key, by change: Int) {
    counts.withLock { counts in
      let count = (counts[key] ?? 0) + change
      counts[key] = count == 0 ? nil : count
    }
  }
}
