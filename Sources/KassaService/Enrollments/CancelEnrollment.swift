import KassaDomain
import KassaStore

extension KassaService {
  /// Deletes softly. Done again it changes nothing. Throws `ServiceFailure.enrollmentConsumed` when a device was paired.
  package func cancelEnrollment(_ id: EnrollmentID, as principal: MerchantPrincipal) async throws {
    let now = self.now
    let merchant = principal.merchantID
    try await store.write { transaction in
      guard var enrollment = try transaction.enrollments.find(id, of: merchant) else { throw ServiceFailure.notFound }
      let before = enrollment.state.name
      let event: EventType?
      do throws(Refusal) {
        event = try enrollment.apply(.cancel, at: now)
      } catch {
        throw ServiceFailure.enrollmentConsumed
      }
      guard let event else { return }
      guard try transaction.enrollments.move(enrollment, from: before) else { throw ServiceFailure.changedMeanwhile }
      try record(
        principal.origin.event(event, of: id, merchant: merchant, sequence: enrollment.version, at: now),
        in: transaction)
    }
  }
}
