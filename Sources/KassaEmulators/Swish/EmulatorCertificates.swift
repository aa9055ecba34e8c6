import Crypto
import Foundation
import KassaDomain

/// Certificates made on the spot (RFC 5280): an authority, a server on this machine, and clients. Keys are on P-256.
package struct EmulatorCertificates: Sendable {
  /// A certificate with its key, both in PEM.
  package struct Identity: Sendable {
    package let certificate: String
    package let privateKey: String
  }

  /// Whose signature both sides trust, in PEM.
  package let authority: String
  package let server: Identity
  private let authorityKey: P256.Signing.PrivateKey
  private static let authorityName = "Kassa emulator authority"
  private static let lifeDays: Int64 = 730

  package init(at now: Timestamp) throws {
    authorityKey = P256.Signing.PrivateKey()
    let life = now.adding(seconds: -86_400)...now.adding(seconds: Self.lifeDays * 86_400)
    authority = try Self.certificate(
      of: Self.authorityName, key: authorityKey.publicKey, signedWith: authorityKey, life: life,
      extensions: [Self.authorityConstraint])
    let serverKey = P256.Signing.PrivateKey()
    server = Identity(
      certificate: try Self.certificate(
        of: "localhost", key: serverKey.publicKey, signedWith: authorityKey, life: life,
        extensions: [Self.localNames, Self.usage(ofServers: true)]), privateKey: serverKey.pemRepresentation)
  }

  /// A client's certificate that this authority signed. `lifeDays` may be none left.
  package func client(named name: String, at now: Timestamp, lifeDays: Int64 = lifeDays) throws -> Identity {
    let key = P256.Signing.PrivateKey()
    let life = now.adding(seconds: -30 * 86_400)...now.adding(seconds: lifeDays * 86_400)
    return Identity(
      certificate: try Self.certificate(
        of: name, key: key.publicKey, signedWith: authorityKey, life: life, extensions: [Self.usage(ofServers: false)]),
      privateKey: key.pemRepresentation)
  }

  // MARK: X.509

  private static let ecdsaWithSHA256 = DER.sequence(DER.objectIdentifier([1, 2, 840, 10045, 4, 3, 2]))

  /// Basic constraints, critical: an authority.
  private static let authorityConstraint = certificateExtension(
    [2, 5, 29, 19], isCritical: true, DER.sequence(DER.true))

  /// Subject alternative names: `localhost` and 127.0.0.1.
  private static let localNames = certificateExtension(
    [2, 5, 29, 17], isCritical: false,
    DER.sequence(DER.value(0x82, Array("localhost".utf8)) + DER.value(0x87, [127, 0, 0, 1])))

  /// Extended key usage: to be a server, or a client, of TLS.
  private static func usage(ofServers: Bool) -> [UInt8] {
    certificateExtension(
      [2, 5, 29, 37], isCritical: false,
      DER.sequence(DER.objectIdentifier([1, 3, 6, 1, 5, 5, 7, 3, ofServers ? 1 : 2])))
  }

  private static func certificateExtension(_ identifier: [UInt], isCritical: Bool, _ content: [UInt8]) -> [UInt8] {
    DER.sequence(
      DER.objectIdentifier(identifier) + (isCritical ? DER.true : []) + DER.value(DER.octetString, content))
  }

  private static func certificate(
    of name: String, key: P256.Signing.PublicKey, signedWith signer: P256.Signing.PrivateKey,
    life: ClosedRange<Timestamp>, extensions: [[UInt8]]
  ) throws -> String {
    var generator = SystemRandomNumberGenerator()
    // Positive, and with no zero in front.
    let serial =
      [0x40 | UInt8.random(in: 0...0x3f, using: &generator)]
      + (0..<15).map { _ in .random(in: 0...255, using: &generator) }
    let content = DER.sequence(
      DER.value(0xa0, DER.value(DER.integer, [2])) + DER.value(DER.integer, serial) + ecdsaWithSHA256
        + distinguishedName(authorityName) + DER.sequence(DER.time(life.lowerBound) + DER.time(life.upperBound))
        + distinguishedName(name) + Array(key.derRepresentation)
        + DER.value(0xa3, DER.sequence(extensions.flatMap { $0 })))
    let signature = try signer.signature(for: content)
    let certificate = DER.sequence(
      content + ecdsaWithSHA256 + DER.value(DER.bitString, [0] + Array(signature.derRepresentation)))
    let lines = Data(certificate).base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
    return "-----BEGIN CERTIFICATE-----\n\(lines)\n-----END CERTIFICATE-----\n"
  }

  private static func distinguishedName(_ commonName: String) -> [UInt8] {
    DER.sequence(
      DER.value(
        DER.set,
        DER.sequence(DER.objectIdentifier([2, 5, 4, 3]) + DER.value(DER.utf8String, Array(commonName.utf8)))))
  }
}

/// The distinguished encoding rules (X.690), as far as a certificate needs them.
private enum DER {
  static let integer: UInt8 = 0x02
  static let bitString: UInt8 = 0x03
  static let octetString: UInt8 = 0x04
  static let utf8String: UInt8 = 0x0c
  static let set: UInt8 = 0x31
  static let `true`: [UInt8] = [0x01, 0x01, 0xff]

  static func value(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    var length: [UInt8] = []
    var rest = content.count
    while rest > 0 {
      length.insert(UInt8(rest & 0xff), at: 0)
      rest >>= 8
    }
    if content.count < 0x80 { return [tag, UInt8(content.count)] + content }
    return [tag, 0x80 | UInt8(length.count)] + length + content
  }

  static func sequence(_ content: [UInt8]) -> [UInt8] { value(0x30, content) }

  static func objectIdentifier(_ parts: [UInt]) -> [UInt8] {
    var content: [UInt8] = []
    for part in [parts[0] * 40 + parts[1]] + parts.dropFirst(2) {
      var groups = [UInt8(part & 0x7f)]
      var rest = part >> 7
      while rest > 0 {
        groups.insert(0x80 | UInt8(rest & 0x7f), at: 0)
        rest >>= 7
      }
      content += groups
    }
    return value(0x06, content)
  }

  /// With a year of two digits until 2049, and of four from then on.
  static func time(_ moment: Timestamp) -> [UInt8] {
    let digits = moment.textBytes.filter { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    let isShort = digits.lexicographicallyPrecedes("2050".utf8)
    return value(isShort ? 0x17 : 0x18, Array(isShort ? digits.dropFirst(2) : digits[...]) + [UInt8(ascii: "Z")])
  }
}
