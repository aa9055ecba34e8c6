import KassaDomain
import KassaService
import NIOSSL

/// What a merchant enters to take Swish.
package struct SwishSettings: Sendable {
  package static let productionURL = "https://cpc.getswish.net/swish-cpcapi"
  /// Swish's own simulator, the Merchant Swish Simulator, for which there are certificates of its own.
  package static let testURL = "https://mss.cpc.getswish.net/swish-cpcapi"

  package static let fields = [
    ProviderField("payee_alias", "Your Swish number for trade, ten digits beginning with 123."),
    ProviderField("certificate", "The certificate from portal.swish.nu, with those that signed it, in PEM."),
    ProviderField("private_key", "The key that the certificate was asked for with, in PEM.", isSecret: true),
    ProviderField(
      "trusted_certificate", "Whoever signed the server's certificate, in PEM. Left out: the usual authorities.",
      isRequired: false),
  ]

  let payeeAlias: String
  let certificate: SwishCertificate
  let address: ProviderAddress

  /// Calls nobody.
  package init(_ values: [String: String], at addresses: ProviderAddresses) throws(ProviderSettingsFlaws) {
    func value(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }
    var flaws: [FieldFlaw] = []
    payeeAlias = value("payee_alias") ?? ""
    if payeeAlias.utf8.count != 10 || !payeeAlias.hasPrefix("123")
      || !payeeAlias.utf8.allSatisfy({ 0x30...0x39 ~= $0 })
    {
      flaws.append(FieldFlaw("payee_alias", "must be ten digits beginning with 123"))
    }
    let chain = Self.certificates(value("certificate") ?? "")
    if chain.isEmpty {
      flaws.append(
        FieldFlaw("certificate", "must be a certificate in PEM, which begins with -----BEGIN CERTIFICATE-----"))
    }
    let key = try? NIOSSLPrivateKey(bytes: Array((value("private_key") ?? "").utf8), format: .pem)
    if key == nil { flaws.append(FieldFlaw("private_key", "must be a private key in PEM without a password")) }
    let trusted = value("trusted_certificate").map(Self.certificates)
    if trusted?.isEmpty ?? false { flaws.append(FieldFlaw("trusted_certificate", "must be a certificate in PEM")) }
    guard flaws.isEmpty, let key, let certificate = SwishCertificate(chain: chain) else {
      throw ProviderSettingsFlaws(flaws)
    }
    self.certificate = certificate
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.minimumTLSVersion = .tlsv12
    tls.certificateChain = chain.map { .certificate($0) }
    tls.privateKey = .privateKey(key)
    if let trusted { tls.trustRoots = .certificates(trusted) }
    address = try addresses.address(values, tls: tls)
  }

  /// None when the text is not PEM throughout.
  private static func certificates(_ text: String) -> [NIOSSLCertificate] {
    (try? NIOSSLCertificate.fromPEMBytes(Array(text.utf8))) ?? []
  }
}
