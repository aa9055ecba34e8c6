import KassaDomain

/// A merchant's backend that proved one of its keys, or a browser that signed in with one. The tenant of every use case
/// comes from here.
package struct MerchantPrincipal: Sendable {
  package let merchantID: MerchantID
  package let keyID: APIKeyID
  package let requestID: String
  /// When a browser must sign in again. `nil` for a backend.
  package let signedInUntil: Timestamp?

  package init(merchantID: MerchantID, keyID: APIKeyID, requestID: String, signedInUntil: Timestamp? = nil) {
    self.merchantID = merchantID
    self.keyID = keyID
    self.requestID = requestID
    self.signedInUntil = signedInUntil
  }

  var origin: ChangeOrigin { ChangeOrigin(actor: .apiKey(keyID), requestID: requestID) }
}

/// Who looks after a merchant's settings.
package enum MerchantActor: Sendable {
  case backend(MerchantPrincipal)
  /// Somebody with the command line on the server's machine.
  case console(MerchantID)

  var merchantID: MerchantID {
    switch self {
    case .backend(let principal): principal.merchantID
    case .console(let merchant): merchant
    }
  }

  var origin: ChangeOrigin {
    switch self {
    case .backend(let principal): principal.origin
    case .console: .console
    }
  }
}

/// A paired device that proved its token and, if it registered one, its key.
package struct DevicePrincipal: Sendable {
  package let device: Device
  package let requestID: String
}
