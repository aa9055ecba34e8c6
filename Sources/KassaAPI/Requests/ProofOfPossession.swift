import Crypto
import KassaDomain
import KassaJSON
import KassaService

/// Checks a DPoP proof as far as the request tells (RFC 9449, section 4.3): form, algorithm, signature, method, address,
/// time and token hash. Which key it must be, and that it is new, is the service's to check.
enum ProofOfPossession {
  /// Throws `ServiceFailure.proofInvalid` with the reason.
  ///
  /// `authorities` are the `host[:port]` under which the caller may have addressed this server. Both `http` and `https`
  /// pass: a proxy in front may have ended TLS.
  static func check(
    _ proof: String, method: String, path: String, authorities: [String], token: String, at now: Timestamp
  ) throws -> CheckedProof {
    func refuse(_ reason: String) -> ServiceFailure { .proofInvalid("the DPoP proof \(reason)") }

    let parts = proof.split(separator: ".", omittingEmptySubsequences: false)
    guard proof.utf8.count <= APILimits.secretTextBytesMax, parts.count == 3,
      let header = object(parts[0]), let claims = object(parts[1]), let signature = bytes(base64URL: parts[2])
    else { throw refuse("is not a compact JWS of JSON objects") }

    guard text(header, "typ").map({ $0.lowercased() }) == "dpop+jwt" else { throw refuse("must have typ dpop+jwt") }
    guard text(header, "alg") == "ES256" else { throw refuse("must be signed with ES256") }
    guard case .object(let jwk) = header["jwk"], let key = PublicKeyJWK(jwk) else {
      throw refuse("must carry the public P-256 key as jwk")
    }
    let signed = Array("\(parts[0]).\(parts[1])".utf8)
    guard let signature = try? P256.Signing.ECDSASignature(rawRepresentation: signature),
      key.verifies(signature, of: signed)
    else { throw refuse("has a wrong signature") }

    guard let identifier = text(claims, "jti"), (1...256).contains(identifier.utf8.count) else {
      throw refuse("must have a jti of 1 to 256 bytes")
    }
    guard let claimedMethod = text(claims, "htm"), sameBytes(claimedMethod, method) else {
      throw refuse("was made for another method (htm)")
    }
    guard let address = text(claims, "htu"), isSame(address, path: path, authorities: authorities) else {
      throw refuse("was made for another address (htu)")
    }
    guard case .integer(let issuedAt) = claims["iat"],
      abs(issuedAt.subtractingReportingOverflow(now.secondsSinceEpoch).partialValue) <= Limits.proofAgeSecondsMax,
      !issuedAt.subtractingReportingOverflow(now.secondsSinceEpoch).overflow
    else { throw refuse("must have an iat within \(Limits.proofAgeSecondsMax) seconds of the server's clock") }
    guard text(claims, "ath") == base64URL(sha256(token.utf8)) else {
      throw refuse("was made for another token (ath)")
    }
    return CheckedProof(keyThumbprint: key.thumbprint, identifier: identifier)
  }

  private static func object(_ part: Substring) -> JSONObject? {
    guard let bytes = bytes(base64URL: part), case .object(let object)? = try? JSONParser.parse(bytes) else {
      return nil
    }
    return object
  }

  private static func text(_ object: JSONObject, _ name: String) -> String? {
    guard case .string(let text) = object[name] else { return nil }
    return text
  }

  /// Compares without query and fragment, the host in any case, the default port as none (RFC 9449, section 4.3, step 9).
  private static func isSame(_ address: String, path: String, authorities: [String]) -> Bool {
    let bare = address.prefix { $0 != "?" && $0 != "#" }
    for (scheme, defaultPort) in [("http://", ":80"), ("https://", ":443")]
    where bare.lowercased().hasPrefix(scheme) {
      let rest = bare.dropFirst(scheme.count)
      let authority = rest.prefix { $0 != "/" }
      guard sameBytes(String(rest.dropFirst(authority.count)), path) else { return false }
      func normal(_ authority: some StringProtocol) -> String {
        let lower = authority.lowercased()
        return lower.hasSuffix(defaultPort) ? String(lower.dropLast(defaultPort.count)) : lower
      }
      return authorities.contains { sameBytes(normal($0), normal(authority)) }
    }
    return false
  }
}

/// A public P-256 key as a JWK (RFC 7517; RFC 7518, section 6.2).
struct PublicKeyJWK {
  private let key: P256.Signing.PublicKey
  /// SHA-256 thumbprint (RFC 7638).
  let thumbprint: [UInt8]

  /// `nil` when it is not a point on the curve, or carries a private part.
  init?(_ jwk: JSONObject) {
    guard case .string("EC") = jwk["kty"], case .string("P-256") = jwk["crv"], jwk["d"] == nil,
      case .string(let x) = jwk["x"], case .string(let y) = jwk["y"],
      let xBytes = bytes(base64URL: x), let yBytes = bytes(base64URL: y), xBytes.count == 32, yBytes.count == 32,
      let key = try? P256.Signing.PublicKey(rawRepresentation: xBytes + yBytes)
    else { return nil }
    self.key = key
    // The required members in lexicographic order without white space; x and y need no escapes.
    thumbprint = sha256(#"{"crv":"P-256","kty":"EC","x":"\#(x)","y":"\#(y)"}"#.utf8)
  }

  func verifies(_ signature: P256.Signing.ECDSASignature, of message: [UInt8]) -> Bool {
    key.isValidSignature(signature, for: message)
  }
}
