import KassaService
import Logging
import ServiceLifecycle

/// Does what time asks for: ends enrollments and sessions whose time has come, looks after attempts to pay, captures and refunds whose
/// outcome is open, and deletes records that are kept for a while only.
///
/// Harmless beside other servers on the same database: every step is a guarded change. What it does late is late only
/// in the log and the files: readers and redeemers look at the time themselves.
package struct Sweeper: Service {
  /// Between two looks for enrollments whose time has come.
  private static let expirySeconds = 1
  /// Looks for expired enrollments between two looks for old records.
  private static let looksPerCleaning = 30

  private let service: KassaService
  private let logger: Logger

  package init(service: KassaService, logger: Logger) {
    self.service = service
    self.logger = logger
  }

  /// Runs until graceful shutdown. A failing store is logged and tried again.
  package func run() async throws {
    await cancelWhenGracefulShutdown {
      var looks = 0
      while !Task.isCancelled {
        await sweep(cleaning: looks % Self.looksPerCleaning == 0)
        looks += 1
        try? await Task.sleep(for: .seconds(Self.expirySeconds))
      }
    }
  }

  private func sweep(cleaning: Bool) async {
    do {
      while try await service.expireEnrollments() >= Limits.sweepRowsMax, !Task.isCancelled {}
      while try await service.expireSessions() >= Limits.sweepRowsMax, !Task.isCancelled {}
      while try await service.reconcilePayments() >= Limits.sweepRowsMax, !Task.isCancelled {}
      while try await service.reconcileOrders() >= Limits.sweepRowsMax, !Task.isCancelled {}
      if cleaning {
        while try await service.forgetExpiredRecords() >= Limits.sweepRowsMax, !Task.isCancelled {}
      }
    } catch {
      logger.warning("the sweeper could not finish; it tries again", metadata: ["error": "\(error)"])
    }
  }
}
