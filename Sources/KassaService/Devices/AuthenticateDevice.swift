import KassaDomain
import KassaStore

/// A proof of possession whose signature, method, address, time and token hash were checked (RFC 9449, section 4.3).
/// What is left to check needs the store: that the key is the device's, and that the proof is new.
package struct CheckedProof: Sendable {
  /// JWK thumbprint (RFC 7638) of the key that signed.
  package let keyThumbprint: [UInt8]
  /// The proof's `jti`.
  package let identifier: String

  package init(keyThumbprint: [UInt8], identifier: String) {
    self.keyThumbprint = keyThumbprint
    self.identifier = identifier
  }
}

extension KassaService {
  /// The device whose token this is. A device that registered a key must show a proof by that key, each proof once;
  /// one that did not must show none. Throws `unauthorized` or `proofInvalid`.
  package func authenticateDevice(
    token: String, proof: CheckedProof?, requestID: String
  ) async throws -> DevicePrincipal {
    guard token.utf8.starts(with: environment.deviceTokenPrefix.utf8) else { throw ServiceFailure.unauthorized }
    let tokenHash = sha256(token.utf8)
    guard let device = try await store.read({ try $0.devices.find(tokenHash: tokenHash) }) else {
      throw ServiceFailure.unauthorized
    }
    let now = self.now
    switch (device.keyThumbprint, proof) {
    case (nil, nil): break
    case (nil, .some):
      throw ServiceFailure.proofInvalid("this device registered no key: send its token as Bearer")
    case (.some, nil):
      throw ServiceFailure.proofInvalid("this device registered a key: send its token as DPoP, with a DPoP proof")
    case (.some(let thumbprint), .some(let proof)):
      guard thumbprint == proof.keyThumbprint else {
        throw ServiceFailure.proofInvalid("the proof was made with another key than the device registered")
      }
      let isNew = try await store.write { transaction in
        try transaction.proofs.note(
          sha256(proof.identifier.utf8), of: device.id,
          expiresAt: now.adding(seconds: 2 * Limits.proofAgeSecondsMax + 1))
      }
      guard isNew else { throw ServiceFailure.proofInvalid("this proof was used before: make a new one per request") }
    }
    try await noteSeen(device, at: now)
    return DevicePrincipal(device: device, requestID: requestID)
  }

  /// A stream shows that its device is there.
  package func noteAlive(_ principal: DevicePrincipal) async throws {
    let (device, now) = (principal.device, self.now)
    try await store.write { try $0.devices.touch(device.id, of: device.merchantID, at: now) }
  }

  private func noteSeen(_ device: Device, at now: Timestamp) async throws {
    if let last = device.lastSeenAt, now < last.adding(seconds: Limits.lastSeenGranularitySeconds) { return }
    try await store.write { try $0.devices.touch(device.id, of: device.merchantID, at: now) }
  }
}

extension Device {
  /// ONLINE when it spoke to the server lately.
  package func isOnline(at now: Timestamp) -> Bool {
    guard let lastSeenAt else { return false }
    return now < lastSeenAt.adding(seconds: Limits.onlineSeconds)
  }
}
