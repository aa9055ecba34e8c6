import KassaDomain

/// A merchant's backend that proved one of its keys. The tenant of every use case comes from here.
package struct MerchantPrincipal: Sendable {
  package let merchantID: MerchantID
  package let keyID: APIKeyID
  package let requestID: String

  package init(merchantID: MerchantID, keyID: APIKeyID, requestID: String) {
    self.merchantID = merchantID
    self.keyID = keyID
    self.requestID = requestID
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
