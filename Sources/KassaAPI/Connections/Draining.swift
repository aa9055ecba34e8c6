import Synchronization

/// Whether the server is about to stop. It still answers everything, but says so: `/ready` with 503, and every answer with
/// `Connection: close`, so that whoever stands in front sends the next request to another server.
package final class Draining: Sendable {
  private let flag = Atomic<Bool>(false)

  package init() {}

  package var hasBegun: Bool { flag.load(ordering: .relaxed) }

  package func begin() { flag.store(true, ordering: .relaxed) }
}
