import HTTPTypes
import KassaDomain
import KassaService

/// `Authorization: Bearer` with a device's token, or `Authorization: DPoP` with a proof beside it for a device that
/// registered a key (contract, section 3; RFC 9449).
enum DeviceAuthentication {
  static func authenticate(_ call: Call) async throws -> DevicePrincipal {
    guard let header = try? call.header(.authorization), let value = AuthorizationHeader(header),
      value.credential.utf8.count <= APILimits.secretTextBytesMax
    else { throw ServiceFailure.unauthorized }
    let token = String(value.credential)
    let proof: CheckedProof?
    switch value.scheme {
    case "bearer": proof = nil
    case "dpop": proof = try checkedProof(call, token: token)
    default: throw ServiceFailure.unauthorized
    }
    let principal = try await call.service.authenticateDevice(token: token, proof: proof, requestID: call.requestID)
    call.notes.note(merchant: principal.device.merchantID)
    try call.api.deviceLimiter.take(principal.device.id, nowNanoseconds: monotonicNanoseconds())
    return principal
  }

  private static func checkedProof(_ call: Call, token: String) throws -> CheckedProof {
    let proofs = call.request.headers[values: .proof]
    guard proofs.count == 1, let text = proofs.first else {
      throw ServiceFailure.proofInvalid("send exactly one DPoP header")
    }
    let authorities = [call.request.head.authority, call.api.publicAuthority].compactMap { $0 }
    return try ProofOfPossession.check(
      text, method: call.request.method.rawValue, path: call.request.uri.path, authorities: authorities, token: token,
      at: call.service.now)
  }
}
