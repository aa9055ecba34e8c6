import KassaDomain
import KassaStore

extension KassaService {
  /// Moves enrollments whose time has come to EXPIRED and erases their codes, some hundred at a time.
  /// Returns how many it moved; fewer than `Limits.sweepRowsMax` when none is left.
  package func expireEnrollments() async throws -> Int {
    let now = self.now
    let none = try await store.read { try $0.enrollments.due(at: now, limit: 1).isEmpty }
    if none { return 0 }
    let origin = ChangeOrigin(actor: .system, requestID: nil)
    return try await store.write { transaction in
      var moved = 0
      for var enrollment in try transaction.enrollments.due(at: now, limit: Limits.sweepRowsMax) {
        guard let event = try enrollment.apply(.expire, at: now),
          try transaction.enrollments.move(enrollment, from: .pending)
        else { continue }
        moved += 1
        try record(
          origin.event(
            event, of: enrollment.id, merchant: enrollment.merchantID, sequence: enrollment.version, at: now),
          in: transaction)
      }
      return moved
    }
  }

  /// Deletes what its time has passed: idempotency records, attempt windows, proofs, sealed tokens of registrations.
  /// Returns how many rows; fewer than `Limits.sweepRowsMax` when little is left.
  package func forgetExpiredRecords() async throws -> Int {
    let now = self.now
    return try await store.write { transaction in
      let limit = Limits.sweepRowsMax
      return try transaction.idempotency.forget(expiredBefore: now, limit: limit)
        + transaction.budgets.forget(endedBefore: now, limit: limit)
        + transaction.proofs.forget(expiredBefore: now, limit: limit)
        + transaction.devices.forgetReplays(before: now, limit: limit)
    }
  }
}
