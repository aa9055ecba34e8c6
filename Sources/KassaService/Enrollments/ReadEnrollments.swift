import KassaDomain
import KassaStore

extension KassaService {
  package func enrollment(_ id: EnrollmentID, as principal: MerchantPrincipal) async throws -> ReadableEnrollment {
    let found = try await store.read { try $0.enrollments.find(id, of: principal.merchantID) }
    guard let found else { throw ServiceFailure.notFound }
    return try readable(found, at: now)
  }

  package func enrollments(
    _ filter: EnrollmentFilter, _ page: PageRequest, as principal: MerchantPrincipal
  ) async throws -> Page<ReadableEnrollment> {
    let found = try await store.read { try $0.enrollments.page(of: principal.merchantID, filter, page) }
    let now = self.now
    return try found.map { try readable($0, at: now) }
  }
}
