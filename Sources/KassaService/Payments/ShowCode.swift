import KassaDomain
import KassaStore

extension KassaService {
  /// The name under which an attempt's code is served as a picture: an `<img>` cannot send a credential, so the name is
  /// one. Always the same for an attempt.
  package func codeName(of payment: Payment) -> String {
    let names = [payment.merchantID.description, payment.id.description]
    let token = secrets.lookUpHash(names, .codeImage).prefix(Self.tokenBytes)
    return hexadecimalText(payment.merchantID.bytes + payment.id.bytes + token)
  }

  /// The code that the attempt of this name shows now. Throws `notFound` for every name that is none, and when nothing
  /// is shown.
  package func code(named name: String) async throws -> NextAction.QRCode {
    guard let bytes = bytes(hexadecimal: name), bytes.count == 32 + Self.tokenBytes,
      let merchant = MerchantID(bytes: Array(bytes[0..<16])), let id = PaymentID(bytes: Array(bytes[16..<32])),
      let payment = try await store.read({ try $0.payments.find(id, of: merchant) }),
      sameBytesInConstantTime(Array(codeName(of: payment).utf8), Array(name.utf8)), payment.state == .open,
      case .showQR(let code) = payment.nextAction
    else { throw ServiceFailure.notFound }
    return code
  }

  /// 128 bits: not to be guessed.
  private static var tokenBytes: Int { 16 }
}

/// Takes as long whichever byte differs.
func sameBytesInConstantTime(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == right.count && zip(left, right).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
}
