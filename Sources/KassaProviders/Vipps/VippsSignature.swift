import Crypto
import Foundation
import KassaDomain
import KassaService

/// The signature of Vipps MobilePay's webhooks: HMAC-SHA256 over method, path, date, host and the body's hash.
enum VippsSignature {
  /// How far a notification's date may be from now: what is older is a replay. Vipps dates each try anew.
  static let ageSecondsMax: Int64 = 300

  /// Whether the notification was signed with `secret`, about now, for the host and path that it arrived with or, where a
  /// proxy rewrote those, for `registeredURL`.
  static func verifies(_ notification: ProviderNotification, secret: String, registeredURL: String?) -> Bool {
    guard let date = notification.header("x-ms-date"), let sent = RetryAfter.date(date),
      abs(sent - notification.receivedAt.secondsSinceEpoch) <= ageSecondsMax,
      let hash = notification.header("x-ms-content-sha256"),
      sameSecret(hash, contentHash(notification.body)),
      let authorization = notification.header("authorization"),
      let given = authorization.split(separator: "Signature=", maxSplits: 1).last.map(String.init),
      authorization.hasPrefix("HMAC-SHA256 ")
    else { return false }
    var targets: [(host: String, target: String)] = []
    if let host = notification.header("host") { targets.append((host, notification.target)) }
    if let registered = registeredURL.flatMap(hostAndTarget) { targets.append(registered) }
    return targets.contains { host, target in
      sameSecret(
        given,
        signature(
          secret: secret, method: notification.method, target: target, date: date, host: host, contentHash: hash))
    }
  }

  static func contentHash(_ body: [UInt8]) -> String { Data(SHA256.hash(data: body)).base64EncodedString() }

  /// The key is the secret's text as it is, not what it would be decoded.
  static func signature(
    secret: String, method: String, target: String, date: String, host: String, contentHash: String
  ) -> String {
    let text = "\(method)\n\(target)\n\(date);\(host);\(contentHash)"
    let code = HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: SymmetricKey(data: Data(secret.utf8)))
    return Data(code).base64EncodedString()
  }

  private static func hostAndTarget(_ url: String) -> (host: String, target: String)? {
    guard let start = url.range(of: "://") else { return nil }
    let rest = url[start.upperBound...]
    let host = rest.prefix { $0 != "/" && $0 != "?" }
    let target = rest[host.endIndex...]
    return (String(host), target.isEmpty ? "/" : String(target))
  }
}
