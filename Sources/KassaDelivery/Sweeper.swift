import KassaDomain
import KassaService
import Logging
import ServiceLifecycle
import Synchronization

/// Does what time asks for: ends enrollments and sessions whose time has come, looks after attempts to pay, captures and
/// refunds whose outcome is open, and deletes records that are kept for a while only.
///
/// Each in a loop of its own, those that wait for providers in one a method, which waits for none of them: a provider that
/// is silent holds up nothing else, and a call that takes long only itself.
/// Harmless beside other servers on the same database: every step is a guarded change.
package struct Sweeper: Service {
  /// Between two looks for what is due.
  private static let lookSeconds = 1
  /// The same while all places of a method are taken: one may be free again soon.
  private static let fullLookMilliseconds = 50
  /// Between two looks for old records.
  private static let cleaningSeconds = 30

  private let service: KassaService
  private let logger: Logger

  package init(service: KassaService, logger: Logger) {
    self.service = service
    self.logger = logger
  }

  /// Runs until graceful shutdown. A failing store is logged and tried again.
  package func run() async throws {
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        group.addTask { await repeating(everySeconds: Self.lookSeconds, service.expireEnrollments) }
        group.addTask { await repeating(everySeconds: Self.lookSeconds, service.expireSessions) }
        for method in PaymentMethod.allCases {
          group.addTask {
            await lookingAfter {
              try await service.duePayments(by: method, limit: $0)
            } each: {
              try await service.lookAfter($0)
            }
          }
          group.addTask {
            await lookingAfter {
              try await service.dueMovements(by: method, limit: $0)
            } each: {
              try await service.lookAfter($0)
            }
          }
        }
        group.addTask { await repeating(everySeconds: Self.cleaningSeconds, service.forgetExpiredRecords) }
      }
    }
  }

  /// Takes up what is due, longest waiting first, so many at once, and goes on when one of them ends.
  private func lookingAfter<Element: Identifiable & Sendable>(
    due: @Sendable (_ limit: Int) async throws -> [Element],
    each look: @escaping @Sendable (Element) async throws -> Void
  ) async where Element.ID: Sendable {
    let underWay = UnderWay<Element.ID>()
    await withDiscardingTaskGroup { group in
      while !Task.isCancelled {
        var isFull = false
        do {
          let places = Limits.outcomeChecksAtOnceMax
          // What is under way may still be told to be due: it is taken a moment later.
          let taken = underWay.ids
          let found = taken.count < places ? try await due(places) : []
          for element in found.filter({ !taken.contains($0.id) }).prefix(places - taken.count) {
            underWay.begin(element.id)
            group.addTask {
              do { try await look(element) } catch { note(error) }
              underWay.end(element.id)
            }
          }
          isFull = underWay.ids.count >= places
        } catch {
          note(error)
        }
        try? await Task.sleep(
          for: isFull ? .milliseconds(Self.fullLookMilliseconds) : .seconds(Self.lookSeconds))
      }
    }
  }

  private func note(_ error: any Error) {
    logger.warning("the sweeper could not finish; it tries again", metadata: ["error": "\(error)"])
  }

  /// Does the step for as long as it finds as much as one step takes, and again after a pause.
  private func repeating(everySeconds seconds: Int, _ step: @Sendable () async throws -> Int) async {
    while !Task.isCancelled {
      do {
        while try await step() >= Limits.sweepRowsMax, !Task.isCancelled {}
      } catch {
        note(error)
      }
      try? await Task.sleep(for: .seconds(seconds))
    }
  }
}

/// What is being looked after.
private final class UnderWay<ID: Hashable & Sendable>: Sendable {
  private let state = Mutex<Set<ID>>([])

  var ids: Set<ID> { state.withLock { $0 } }
  func begin(_ id: ID) { state.withLock { _ = $0.insert(id) } }
  func end(_ id: ID) { state.withLock { _ = $0.remove(id) } }
}
