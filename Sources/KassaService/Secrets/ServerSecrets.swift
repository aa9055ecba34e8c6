import Crypto
import KassaDomain
import KassaStore

/// What the server's one secret key is used for. Each use has a key of its own, derived by HKDF (RFC 5869).
package struct ServerSecrets: Sendable {
  package static let keyBytes = 32

  private let lookUpKey: SymmetricKey
  private let sealingKey: SymmetricKey
  private let checkKey: SymmetricKey

  /// Takes exactly 32 random bytes; `nil` for another length.
  package init?(masterKey: [UInt8]) {
    guard masterKey.count == Self.keyBytes else { return nil }
    func derived(_ purpose: String) -> SymmetricKey {
      HKDF<SHA256>.deriveKey(
        inputKeyMaterial: SymmetricKey(data: masterKey), info: Array("kassa/\(purpose)/1".utf8), outputByteCount: 32)
    }
    lookUpKey = derived("look-up")
    sealingKey = derived("sealing")
    checkKey = derived("check")
  }

  /// What is hashed or sealed, bound into the result so that one kind can never pass for another.
  package enum Purpose: String, Sendable {
    case enrollmentCode
    case enrollmentToken
    case registration
    case deviceToken
    case idempotentBody
    case playgroundAPIKey
    case portalSignIn
    case webhookSecret
    case callbackEvent
    case callbackDelivery
    case providerNotification
    case providerSetting
    case codeImage
    case receipt
  }

  /// A keyed hash (HMAC-SHA256) of `text`, for look-up without keeping the text.
  func lookUpHash(_ text: String, _ purpose: Purpose) -> [UInt8] {
    lookUpHash([text], purpose)
  }

  /// A keyed hash of several parts; no two lists of parts hash the same input.
  func lookUpHash(_ parts: [String], _ purpose: Purpose) -> [UInt8] {
    var hash = HMAC<SHA256>(key: lookUpKey)
    hash.update(data: Array(purpose.rawValue.utf8))
    for part in parts {
      withUnsafeBytes(of: UInt64(part.utf8.count).bigEndian) { hash.update(data: Array($0)) }
      hash.update(data: Array(part.utf8))
    }
    return Array(hash.finalize())
  }

  /// Seals with AES-256-GCM under a random nonce. `owner` must be given again to open.
  func sealed(_ plain: [UInt8], _ purpose: Purpose, owner: [UInt8]) throws -> [UInt8] {
    let box = try AES.GCM.seal(plain, using: sealingKey, authenticating: Array(purpose.rawValue.utf8) + owner)
    return Array(box.nonce) + Array(box.ciphertext) + Array(box.tag)
  }

  /// Throws `StoreError.unusable` when the bytes were not sealed with this server's key for this purpose and owner.
  func opened(_ sealed: [UInt8], _ purpose: Purpose, owner: [UInt8]) throws -> [UInt8] {
    do {
      let box = try AES.GCM.SealedBox(combined: sealed)
      return Array(try AES.GCM.open(box, using: sealingKey, authenticating: Array(purpose.rawValue.utf8) + owner))
    } catch {
      throw StoreError.unusable(OperatorDetail("a sealed \(purpose.rawValue) does not open with this server's key"))
    }
  }

  /// A fixed value of this key, kept in the database to notice that another key is used with it.
  package var check: [UInt8] { Array(HMAC<SHA256>.authenticationCode(for: Array("kassa".utf8), using: checkKey)) }
}

/// SHA-256: how keys and tokens with at least 128 random bits are kept.
package func sha256(_ bytes: some Sequence<UInt8>) -> [UInt8] {
  Array(SHA256.hash(data: Array(bytes)))
}
