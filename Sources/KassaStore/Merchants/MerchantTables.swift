import KassaDomain

/// Facts about the installation as a whole.
package protocol InstallationReads {
  /// The value last saved under `name`, or `nil`.
  func value(_ name: InstallationFact) throws -> [UInt8]?
}

package protocol InstallationTable: InstallationReads {
  /// Saves `value` under `name`, replacing what was there.
  func set(_ name: InstallationFact, to value: [UInt8]) throws
}

package enum InstallationFact: String, Sendable {
  /// `production` or `playground`: fixed when the database is first used.
  case environment
  /// A keyed hash of a constant, to notice at start that the server's key is not this database's.
  case secretKeyCheck
  /// Written by `Store.checkWritable` and never read.
  case writeProbe
  /// The playground's merchant and its API key, sealed, so that a restart can show it again.
  case playgroundMerchant
  case playgroundAPIKey
}

package protocol MerchantReads {
  func find(_ id: MerchantID) throws -> Merchant?
  /// All merchants, oldest first.
  func all() throws -> [Merchant]
}

package protocol MerchantTable: MerchantReads {
  func insert(_ merchant: Merchant) throws
}

package protocol APIKeyReads {
  /// The key whose SHA-256 is `hash`, revoked or not.
  func find(hash: [UInt8]) throws -> APIKey?
  func find(_ id: APIKeyID, of merchant: MerchantID) throws -> APIKey?
  /// Makes the transaction one of a key in force: throws `conflict(.apiKeyInForce)`, here or at the latest when the body
  /// ends, if the key is unknown or revoked. Costs no wait for an answer of its own where the engine can do without.
  func demand(_ id: APIKeyID, of merchant: MerchantID) throws
  /// The merchant's keys, revoked ones too.
  func page(of merchant: MerchantID, _ page: PageRequest) throws -> Page<APIKey>
}

package protocol APIKeyTable: APIKeyReads {
  /// Throws `conflict(.apiKeyHash)` when another key has this hash.
  func insert(_ key: APIKey) throws
  /// Revokes a key that is in force. Returns `false`, and writes nothing, when it is unknown or already revoked.
  func revoke(_ id: APIKeyID, of merchant: MerchantID, at now: Timestamp) throws -> Bool
}
