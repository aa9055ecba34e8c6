import KassaDomain
import KassaStore

/// An API key and its text, which is shown this once.
package struct CreatedAPIKey: Sendable {
  package let key: APIKey
  package let text: String
}

extension KassaService {
  package func apiKeys(_ page: PageRequest, as principal: MerchantPrincipal) async throws -> Page<APIKey> {
    try await store.read { try $0.apiKeys.page(of: principal.merchantID, page) }
  }

  package func createAPIKey(
    name: String, as principal: MerchantPrincipal, once: IdempotentRequest<CreatedAPIKey>? = nil
  ) async throws -> Answered<CreatedAPIKey> {
    let now = self.now
    let created = makeAPIKey(name: name, merchant: principal.merchantID, at: now)
    return try await writeOnce(once, for: principal.merchantID, at: now) { transaction in
      try insert(created, in: transaction, origin: principal.origin, at: now)
      return created
    }
  }

  /// Ends a key. Done again it changes nothing. A key may end itself.
  package func revokeAPIKey(_ id: APIKeyID, as principal: MerchantPrincipal) async throws {
    try await revokeAPIKey(id, of: principal.merchantID, origin: principal.origin)
  }

  func revokeAPIKey(_ id: APIKeyID, of merchant: MerchantID, origin: ChangeOrigin) async throws {
    let now = self.now
    try await store.write { transaction in
      guard try transaction.apiKeys.find(id, of: merchant) != nil else { throw ServiceFailure.notFound }
      guard try transaction.apiKeys.revoke(id, of: merchant, at: now) else { return }
      try record(origin.event(.apiKeyRevoked, of: id, merchant: merchant, sequence: 2, at: now), in: transaction)
    }
  }

  func makeAPIKey(name: String, merchant: MerchantID, at now: Timestamp) -> CreatedAPIKey {
    var generator = SystemRandomNumberGenerator()
    let text = SecretText.key(prefix: environment.apiKeyPrefix)
    let key = APIKey(
      id: APIKeyID(using: &generator), merchantID: merchant, name: name,
      prefix: String(text.prefix(environment.apiKeyPrefix.count + 4)), hash: sha256(text.utf8), createdAt: now)
    return CreatedAPIKey(key: key, text: text)
  }

  func insert(
    _ created: CreatedAPIKey, in transaction: any WriteTransaction, origin: ChangeOrigin, at now: Timestamp
  ) throws {
    try transaction.apiKeys.insert(created.key)
    try record(
      origin.event(.apiKeyCreated, of: created.key.id, merchant: created.key.merchantID, sequence: 1, at: now),
      in: transaction)
  }
}
