import KassaDomain
import KassaStore

extension KassaService {
  /// The merchant's newest changes first, from just below the position `before`. One more than `size` tells that more
  /// follow.
  package func auditEntries(
    before: Int64?, size: Int, as principal: MerchantPrincipal
  ) async throws -> (entries: [LoggedEvent], hasMore: Bool) {
    let found = try await store.read {
      try $0.events.newest(of: principal.merchantID, before: before, limit: size + 1)
    }
    return (Array(found.prefix(size)), found.count > size)
  }
}
