import KassaDomain
import KassaStore

extension KassaService {
  /// The merchant whose key this is. A `username`, if given, must be the merchant's id, or that id followed by `-` and a
  /// suffix (contract, section 1). Throws `unauthorized` for any other, and for unknown or revoked keys and those of the
  /// other environment.
  package func authenticateMerchant(
    key: String, username: String?, requestID: String
  ) async throws -> MerchantPrincipal {
    guard key.utf8.starts(with: environment.apiKeyPrefix.utf8) else { throw ServiceFailure.unauthorized }
    let hash = sha256(key.utf8)
    guard let found = try await store.read({ try $0.apiKeys.find(hash: hash) }), found.revokedAt == nil else {
      throw ServiceFailure.unauthorized
    }
    if let username, !username.utf8.isEmpty {
      let (named, suffix) = (username.utf8.prefix(36), username.utf8.dropFirst(36))
      guard MerchantID(text: String(decoding: named, as: UTF8.self)) == found.merchantID,
        suffix.isEmpty || (suffix.first == UInt8(ascii: "-") && suffix.count > 1)
      else { throw ServiceFailure.unauthorized }
    }
    return MerchantPrincipal(merchantID: found.merchantID, keyID: found.id, requestID: requestID)
  }
}
