import Crypto
import Foundation
import KassaJSON

/// A device's key pair, which makes proofs of possession (RFC 9449).
package struct DeviceKey: Sendable {
  private let key = P256.Signing.PrivateKey()

  package init() {}

  /// The public key as a JWK (RFC 7517).
  package var jwk: JSONValue {
    let raw = key.publicKey.rawRepresentation
    return [
      "kty": "EC", "crv": "P-256", "x": .string(Self.base64URL(raw.prefix(32))),
      "y": .string(Self.base64URL(raw.suffix(32))),
    ]
  }

  /// The private part, as a JWK has it under `d`: what no proof may carry.
  package var privatePart: JSONValue { .string(Self.base64URL(key.rawRepresentation)) }

  /// A compact JWS of these two parts.
  package func signed(_ header: JSONValue, _ claims: JSONValue) throws -> String {
    let input = Self.base64URL(Data(header.bytes)) + "." + Self.base64URL(Data(claims.bytes))
    let signature = try key.signature(for: Data(input.utf8))
    return input + "." + Self.base64URL(signature.rawRepresentation)
  }

  package func header() -> JSONValue { ["typ": "dpop+jwt", "alg": "ES256", "jwk": jwk] }

  package static func claims(_ method: String, _ url: String, token: String) -> JSONValue {
    [
      "jti": .string(UUID().uuidString), "htm": .string(method), "htu": .string(url),
      "iat": .integer(Int64(Date().timeIntervalSince1970)),
      "ath": .string(base64URL(Data(SHA256.hash(data: Data(token.utf8))))),
    ]
  }

  /// A right proof for one request.
  package func proof(_ method: String, _ url: String, token: String) throws -> String {
    try signed(header(), Self.claims(method, url, token: token))
  }

  package static func base64URL(_ data: Data) -> String {
    data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
  }
}
