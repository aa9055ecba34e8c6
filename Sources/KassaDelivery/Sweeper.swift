import KassaDomain
import KassaService
import Logging
import ServiceLifecycle

/// Does what time asks for: ends enrollments and sessions whose time has come, looks after attempts to pay, captures and
/// refunds whose outcome is open, and deletes records that are kept for a while only.
///
/// Each in a loop of its own, those that wait for providers in one a method: a provider that is silent holds up nothing else.
/// Harmless beside other servers on the same database: every step is a guarded change.
package struct Sweeper: Service {
  /// Between two looks for what is due.
  private static let lookSeconds = 1
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
            await repeating(everySeconds: Self.lookSeconds) { try await service.reconcilePayments(by: method) }
          }
          group.addTask {
            await repeating(everySeconds: Self.lookSeconds) { try await service.reconcileOrders(by: method) }
          }
        }
        group.addTask { await repeating(everySeconds: Self.cleaningSeconds, service.forgetExpiredRecords) }
      }
    }
  }

  /// Does the step for as long as it finds as much as one step takes, and again after a pause.
  private func repeating(everySeconds seconds: Int, _ step: @Sendable () async throws -> Int) async {
    while !Task.isCancelled {
      do {
        while try await step() >= Limits.sweepRowsMax, !Task.isCancelled {}
      } catch {
        logger.warning("the sweeper could not finish; it tries again", metadata: ["error": "\(error)"])
      }
      try? await Task.sleep(for: .seconds(seconds))
    }
  }
}
