import KassaDomain
import KassaStore
import Synchronization

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
      knownKeys.forget(hash)
      throw ServiceFailure.unauthorized
    }
    guard Self.isName(username, of: found.merchantID) else { throw ServiceFailure.unauthorized }
    knownKeys.note(hash, .init(merchantID: found.merchantID, keyID: found.id))
    return MerchantPrincipal(merchantID: found.merchantID, keyID: found.id, requestID: requestID)
  }

  /// Whose key this was when it was last asked for, without asking again: `nil` when that is not known. The key may be
  /// revoked meanwhile, so what it asks for must be run by the `service` of the check, whose every transaction begins
  /// with that question.
  package func recognizeMerchant(key: String, username: String?, requestID: String) -> KeyCheck? {
    let hash = sha256(key.utf8)
    guard let known = knownKeys[hash], Self.isName(username, of: known.merchantID) else { return nil }
    let principal = MerchantPrincipal(merchantID: known.merchantID, keyID: known.keyID, requestID: requestID)
    return KeyCheck(of: principal, hash: hash, by: self)
  }

  private static func isName(_ username: String?, of merchant: MerchantID) -> Bool {
    guard let username, !username.utf8.isEmpty else { return true }
    let (named, suffix) = (username.utf8.prefix(36), username.utf8.dropFirst(36))
    return MerchantID(text: String(decoding: named, as: UTF8.self)) == merchant
      && (suffix.isEmpty || (suffix.first == UInt8(ascii: "-") && suffix.count > 1))
  }
}

/// A key that is known, but must be found to be in force once more.
package final class KeyCheck: Sendable {
  package let principal: MerchantPrincipal
  private let hash: [UInt8]
  private let base: KassaService
  private let passed = Atomic<Bool>(false)

  fileprivate init(of principal: MerchantPrincipal, hash: [UInt8], by service: KassaService) {
    self.principal = principal
    self.hash = hash
    base = service
  }

  /// The use cases for this caller: each of their transactions throws `unauthorized`, and does nothing, once the key is
  /// revoked, on whatever server that was.
  package var service: KassaService { base.on(KeyCheckingStore(base: base.store, check: self)) }

  /// Checks the key now, if no transaction did. Throws `unauthorized` when it is revoked.
  package func finish() async throws {
    if passed.load(ordering: .relaxed) { return }
    _ = try await service.store.read { _ in }
  }

  fileprivate func demand(of keys: any APIKeyReads) throws {
    try keys.demand(principal.keyID, of: principal.merchantID)
  }

  /// Runs what demands the key, and remembers how that ended.
  fileprivate func noting<Value>(_ run: () async throws -> Value) async throws -> Value {
    do {
      let value = try await run()
      passed.store(true, ordering: .relaxed)
      return value
    } catch StoreError.conflict(.apiKeyInForce) {
      base.knownKeys.forget(hash)
      throw ServiceFailure.unauthorized
    }
  }
}

/// A store whose transactions are those of one key, and only while it is in force.
private struct KeyCheckingStore: Store {
  let base: any Store
  let check: KeyCheck

  func read<Value: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> Value) async throws -> Value {
    try await check.noting {
      try await base.read { transaction in
        try check.demand(of: transaction.apiKeys)
        return try body(transaction)
      }
    }
  }

  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    try await check.noting {
      try await base.write { transaction in
        try check.demand(of: transaction.apiKeys)
        return try body(transaction)
      }
    }
  }

  var activity: StoreActivity { base.activity }
  func checkWritable() async throws { try await base.checkWritable() }
  func diagnose() async throws -> [StoreFinding] { try await base.diagnose() }
  func whenHinted(_ handler: @escaping @Sendable (StoreHint) -> Void) { base.whenHinted(handler) }
  func close() async { await base.close() }
}

/// Whose each key is that was found since the start. That never changes; whether it is in force does, and is not kept.
final class KnownKeys: Sendable {
  struct Key {
    let merchantID: MerchantID
    let keyID: APIKeyID
  }

  private let keys = Mutex<[[UInt8]: Key]>([:])

  subscript(hash: [UInt8]) -> Key? { keys.withLock { $0[hash] } }

  func note(_ hash: [UInt8], _ key: Key) {
    keys.withLock { keys in
      if keys.count >= Limits.knownKeysMax { keys.removeAll() }
      keys[hash] = key
    }
  }

  func forget(_ hash: [UInt8]) { keys.withLock { _ = $0.removeValue(forKey: hash) } }
}
