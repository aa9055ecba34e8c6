import KassaDomain
import KassaStore

extension KassaService {
  package func device(_ id: DeviceID, as principal: MerchantPrincipal) async throws -> Device {
    let found = try await store.read { try $0.devices.find(id, of: principal.merchantID) }
    guard let found else { throw ServiceFailure.notFound }
    return found
  }

  package func devices(
    _ filter: DeviceFilter, _ page: PageRequest, as principal: MerchantPrincipal
  ) async throws -> Page<Device> {
    try await store.read { try $0.devices.page(of: principal.merchantID, filter, page) }
  }
}
