import HTTPTypes
import KassaDomain
import KassaService

/// `Authorization: Basic` with the raw key, or with base64 of `username:key` (contract, section 1, "Authentication"); or,
/// without that header, the portal's cookie.
enum MerchantAuthentication {
  static func authenticate(_ call: Call) async throws -> MerchantPrincipal {
    let principal =
      if call.request.headers[.authorization] == nil, call.request.headers[.portal] != nil || call.portalToken != nil {
        try await signedIn(call)
      } else {
        try await authenticateByKey(call)
      }
    try admit(principal, call)
    return principal
  }

  /// The caller whose key is known from before, and the check that it is in force still, which is to be made in the
  /// operation's own transaction. `nil` for everybody else, and for what a browser sends.
  static func recognized(_ call: Call) -> KeyCheck? {
    guard call.request.headers[.portal] == nil, let header = try? call.header(.authorization),
      let (username, key) = credential(header)
    else { return nil }
    return call.service.recognizeMerchant(key: key, username: username, requestID: call.requestID)
  }

  /// Throws what must not be done for whoever this is: another merchant's, or too much.
  static func admit(_ principal: MerchantPrincipal, _ call: Call) throws {
    call.notes.note(merchant: principal.merchantID)
    guard call.request.headers[values: .merchantID].allSatisfy({ MerchantID(text: $0) == principal.merchantID }) else {
      throw ServiceFailure.merchantMismatch
    }
    try call.api.rateLimiter.take(principal.merchantID, nowNanoseconds: monotonicNanoseconds())
  }

  private static func authenticateByKey(_ call: Call) async throws -> MerchantPrincipal {
    do {
      guard let header = try? call.header(.authorization), let (username, key) = credential(header) else {
        throw ServiceFailure.unauthorized
      }
      return try await call.service.authenticateMerchant(key: key, username: username, requestID: call.requestID)
    } catch ServiceFailure.unauthorized where call.request.headers[.portal] != nil {
      // A page of ours: asked for `Basic`, its browser would put up a dialog of its own.
      throw RequestFailure.notSignedIn
    }
  }

  private static func signedIn(_ call: Call) async throws -> MerchantPrincipal {
    try SameOriginProof.check(call)
    guard let token = call.portalToken,
      let principal = try await call.service.signedInMerchant(token: token, requestID: call.requestID)
    else { throw RequestFailure.notSignedIn }
    return principal
  }

  private static func credential(_ header: String) -> (username: String?, key: String)? {
    guard let value = AuthorizationHeader(header), value.scheme == "basic",
      value.credential.utf8.count <= APILimits.secretTextBytesMax
    else { return nil }
    if value.credential.hasPrefix("kassa_") { return (nil, String(value.credential)) }
    guard let decoded = base64Decoded(value.credential), let text = String(validating: decoded, as: UTF8.self) else {
      return nil
    }
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    return parts.count == 2 ? (String(parts[0]), String(parts[1])) : (nil, text)
  }

  /// Standard base64, with or without padding (RFC 4648, section 4).
  private static func base64Decoded(_ text: Substring) -> [UInt8]? {
    var urlForm = text.replacing("+", with: "-").replacing("/", with: "_")
    while urlForm.hasSuffix("=") { urlForm.removeLast() }
    return bytes(base64URL: urlForm)
  }
}

/// A scheme, in lower case, and what follows it after one or more spaces (RFC 9110, section 11.4).
struct AuthorizationHeader {
  let scheme: String
  let credential: Substring

  init?(_ header: String) {
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2 else { return nil }
    scheme = parts[0].lowercased()
    credential = parts[1].drop { $0 == " " }
  }
}
