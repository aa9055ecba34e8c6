import Crypto
import KassaDomain
import KassaService

extension Charge {
  /// Sixteen bytes that stand for the current try to give the whole back, and for nothing else.
  var reversalDigest: [UInt8] {
    let number = references.reversalTry
    let name = number == 1 ? "kassa/reversal/" : "kassa/reversal/\(number)/"
    return Array(SHA256.hash(data: Array(name.utf8) + paymentID.bytes).prefix(16))
  }
}
