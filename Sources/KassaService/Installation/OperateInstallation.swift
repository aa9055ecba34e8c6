import KassaDomain
import KassaStore

/// Why this program must not use this database.
package enum InstallationMismatch: Error, Sendable {
  /// The database belongs to the other environment.
  case environment(stored: KassaEnvironment)
  /// What the database holds was hashed and sealed with another key.
  case secretKey
}

/// What somebody with the command line on the server's machine may do.
extension KassaService {
  /// The environment that the database belongs to; `nil` before it was first used.
  package static func environment(of store: any Store) async throws -> KassaEnvironment? {
    let stored = try await store.read { try $0.installation.value(.environment) }
    return stored.flatMap { KassaEnvironment(rawValue: String(decoding: $0, as: UTF8.self)) }
  }

  /// Claims the database for this environment and key, or checks that it was. Throws `InstallationMismatch`.
  package func claimInstallation() async throws {
    let (environment, check) = (self.environment, secrets.check)
    try await store.write { transaction in
      let table = transaction.installation
      if let stored = try table.value(.environment) {
        let stored = KassaEnvironment(rawValue: String(decoding: stored, as: UTF8.self))
        guard stored == environment else { throw InstallationMismatch.environment(stored: stored ?? .production) }
        guard try table.value(.secretKeyCheck) == check else { throw InstallationMismatch.secretKey }
      } else {
        try table.set(.environment, to: Array(environment.rawValue.utf8))
        try table.set(.secretKeyCheck, to: check)
      }
    }
  }

  /// A new merchant with its first location and first key.
  package func createMerchant(name: String) async throws -> (merchant: Merchant, key: CreatedAPIKey) {
    let now = self.now
    var generator = SystemRandomNumberGenerator()
    let merchant = Merchant(id: MerchantID(using: &generator), name: name, createdAt: now)
    let locationID = LocationID(using: &generator)
    let key = makeAPIKey(name: "first key", merchant: merchant.id, at: now)
    let methods = try newBuiltInMethods()
    try await store.write { transaction in
      try insert(merchant, key, locationID: locationID, methods, in: transaction, at: now)
    }
    return (merchant, key)
  }

  package func merchants() async throws -> [Merchant] {
    try await store.read { try $0.merchants.all() }
  }

  /// Throws `ServiceFailure.notFound` for an unknown merchant.
  package func createAPIKeyAtConsole(name: String, merchant: MerchantID) async throws -> CreatedAPIKey {
    let now = self.now
    let created = makeAPIKey(name: name, merchant: merchant, at: now)
    try await store.write { transaction in
      guard try transaction.merchants.find(merchant) != nil else { throw ServiceFailure.notFound }
      try insert(created, in: transaction, origin: .console, at: now)
    }
    return created
  }

  package func apiKeysAtConsole(of merchant: MerchantID) async throws -> [APIKey] {
    try await store.read { transaction in
      guard try transaction.merchants.find(merchant) != nil else { throw ServiceFailure.notFound }
      return try transaction.apiKeys.page(of: merchant, PageRequest(number: 0, size: 1000)).content
    }
  }

  package func revokeAPIKeyAtConsole(_ id: APIKeyID, of merchant: MerchantID) async throws {
    try await revokeAPIKey(id, of: merchant, origin: .console)
  }

  /// The playground's merchant and its key: made the first time, and the same ever after. Every merchant gets the built-in
  /// methods that it lacks, and their settings of now.
  package func preparePlayground() async throws -> (merchant: MerchantID, apiKey: String) {
    let now = self.now
    var generator = SystemRandomNumberGenerator()
    let merchant = Merchant(id: MerchantID(using: &generator), name: "Playground Merchant", createdAt: now)
    let locationID = LocationID(using: &generator)
    let key = makeAPIKey(name: "playground", merchant: merchant.id, at: now)
    let secrets = self.secrets
    let methods = try newBuiltInMethods()
    let prepared: (merchant: MerchantID, apiKey: String) = try await store.write { transaction in
      let table = transaction.installation
      if let storedMerchant = try table.value(.playgroundMerchant), let id = MerchantID(bytes: storedMerchant),
        let sealedKey = try table.value(.playgroundAPIKey)
      {
        let text = try secrets.opened(sealedKey, .playgroundAPIKey, owner: id.bytes)
        return (id, String(decoding: text, as: UTF8.self))
      }
      try insert(merchant, key, locationID: locationID, methods, in: transaction, at: now)
      try table.set(.playgroundMerchant, to: merchant.id.bytes)
      try table.set(
        .playgroundAPIKey,
        to: try secrets.sealed(Array(key.text.utf8), .playgroundAPIKey, owner: merchant.id.bytes))
      return (merchant.id, key.text)
    }
    for merchant in try await merchants() { try await prepareBuiltInMethods(of: merchant.id) }
    return prepared
  }

  private func insert(
    _ merchant: Merchant, _ key: CreatedAPIKey, locationID: LocationID, _ methods: [NewBuiltInMethod],
    in transaction: any WriteTransaction, at now: Timestamp
  ) throws {
    let location = Location(
      id: locationID, merchantID: merchant.id, details: Location.Details(name: Merchant.firstLocationName),
      createdAt: now)
    try transaction.merchants.insert(merchant)
    try transaction.locations.insert(location)
    try record(
      ChangeOrigin.console.event(.merchantCreated, of: merchant.id, merchant: merchant.id, sequence: 1, at: now),
      in: transaction)
    try record(
      ChangeOrigin.console.event(.locationCreated, of: locationID, merchant: merchant.id, sequence: 1, at: now),
      in: transaction
    )
    try insert(key, in: transaction, origin: .console, at: now)
    try prepareBuiltInMethods(of: merchant.id, methods, in: transaction, at: now)
  }
}
