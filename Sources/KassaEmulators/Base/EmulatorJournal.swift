import KassaDomain
import Synchronization

/// What was asked of an emulator, for tests and people: the latest calls.
package final class EmulatorJournal: Sendable {
  package struct Entry: Sendable {
    package let at: Timestamp
    package let operation: String
    package let path: String
    package let status: Int
    /// What was sent beside what the provider documents.
    package let undocumented: [String]
  }

  /// Calls remembered; the oldest go first.
  package static let entriesMax = 20_000

  private let log = Mutex<[Entry]>([])

  package init() {}

  package var entries: [Entry] { log.withLock { $0 } }

  package func count(of operation: String) -> Int { log.withLock { $0.count { $0.operation == operation } } }

  /// Everything that was ever sent beside what is documented, as `operation: name`.
  package var undocumented: [String] {
    log.withLock { $0.flatMap { entry in entry.undocumented.map { "\(entry.operation): \($0)" } } }
  }

  /// For a route's handler: notes what its request had beside what is documented.
  package func noteUndocumented(_ names: [String]) { Self.current?.add(names) }

  /// What was noted while one call is handled.
  @TaskLocal static var current: Undocumented?

  final class Undocumented: Sendable {
    private let noted = Mutex<[String]>([])

    var names: [String] { noted.withLock { $0 } }
    func add(_ names: [String]) { noted.withLock { $0 += names } }
  }

  func note(_ entry: Entry) {
    log.withLock { log in
      if log.count >= Self.entriesMax { log.removeFirst(Self.entriesMax / 10) }
      log.append(entry)
    }
  }
}
