import KassaDomain
import KassaStore

/// What a browser holds after it signed in with an API key, instead of the key.
package struct PortalSignIn: Sendable {
  package let principal: MerchantPrincipal
  /// Sealed with the server's key; nothing of it is stored.
  package let token: String
  package let seconds: Int64
}

/// Who is signed in.
package struct MerchantAccount: Sendable {
  package let merchant: Merchant
  package let key: APIKey
}

extension KassaService {
  /// Throws `unauthorized` for a key that `authenticateMerchant` refuses.
  package func signIn(key: String, requestID: String) async throws -> PortalSignIn {
    let proved = try await authenticateMerchant(key: key, username: nil, requestID: requestID)
    let seconds = Limits.portalSignInSeconds
    let until = now.adding(milliseconds: seconds * 1000)
    let principal = MerchantPrincipal(
      merchantID: proved.merchantID, keyID: proved.keyID, requestID: requestID, signedInUntil: until)
    let plain = proved.merchantID.bytes + proved.keyID.bytes + Self.timeBytes(until)
    return PortalSignIn(
      principal: principal, token: base64URL(try secrets.sealed(plain, .portalSignIn, owner: [])), seconds: seconds)
  }

  /// The merchant whom a token of `signIn` stands for. `nil` when it is none, its time is over, or its key was revoked
  /// since.
  package func signedInMerchant(token: String, requestID: String) async throws -> MerchantPrincipal? {
    guard let sealed = bytes(base64URL: token), let plain = try? secrets.opened(sealed, .portalSignIn, owner: []),
      plain.count == 40, let merchantID = MerchantID(bytes: Array(plain[0..<16])),
      let keyID = APIKeyID(bytes: Array(plain[16..<32]))
    else { return nil }
    let milliseconds = plain[32...].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    let principal = MerchantPrincipal(
      merchantID: merchantID, keyID: keyID, requestID: requestID,
      signedInUntil: Timestamp(millisecondsSinceEpoch: Int64(bitPattern: milliseconds)))
    return try await isInForce(principal) ? principal : nil
  }

  /// Whether the principal's key still is one, and its sign-in, if it is a browser's, is not over.
  package func isInForce(_ principal: MerchantPrincipal) async throws -> Bool {
    if let until = principal.signedInUntil, until <= now { return false }
    let key = try await store.read { try $0.apiKeys.find(principal.keyID, of: principal.merchantID) }
    return key.map { $0.revokedAt == nil } ?? false
  }

  package func account(of principal: MerchantPrincipal) async throws -> MerchantAccount {
    try await store.read { transaction in
      guard let merchant = try transaction.merchants.find(principal.merchantID),
        let key = try transaction.apiKeys.find(principal.keyID, of: principal.merchantID)
      else { throw ServiceFailure.notFound }
      return MerchantAccount(merchant: merchant, key: key)
    }
  }

  private static func timeBytes(_ time: Timestamp) -> [UInt8] {
    withUnsafeBytes(of: time.millisecondsSinceEpoch.bigEndian) { Array($0) }
  }
}
