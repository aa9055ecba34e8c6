import HTTPTypes
import KassaDomain
import KassaService

/// The cookie by which a browser that signed in is a merchant (ADR 32). No script can read it, no other site's request
/// carries it, and over https no other host of the domain can set it.
struct PortalCookie {
  let name: String
  private let isSecure: Bool

  /// Browsers share the cookies of one host over all its ports, so that without https the port is part of the name:
  /// several playgrounds on one machine do not sign each other out.
  init(publicURL: String) {
    isSecure = publicURL.hasPrefix("https://")
    let port = publicURL.split(separator: ":").dropFirst(2).first ?? "80"
    name = isSecure ? "__Host-kassa-portal" : "kassa-portal-\(port)"
  }

  /// The cookie's value in a request. `nil` without one, and when there are several: one of them was planted.
  func token(in request: HTTPFields) -> String? {
    let pairs = request[values: .cookie].joined(separator: ";").split(separator: ";").map { $0.drop { $0 == " " } }
    let values = pairs.filter { $0.utf8.starts(with: "\(name)=".utf8) }.map { $0.dropFirst(name.count + 1) }
    guard values.count == 1, let value = values.first, value.utf8.count <= APILimits.secretTextBytesMax else {
      return nil
    }
    return String(value)
  }

  func setting(_ token: String, seconds: Int64) -> (name: HTTPField.Name, value: String) {
    (.setCookie, "\(name)=\(token); Path=/; Max-Age=\(seconds); HttpOnly; SameSite=Strict\(isSecure ? "; Secure" : "")")
  }

  var removal: (name: HTTPField.Name, value: String) { setting("", seconds: 0) }
}

/// What shows that a request was made by a page of this server, and not by another site's in the same browser.
enum SameOriginProof {
  /// Throws `RequestFailure.crossSite` unless the request carries `Kassa-Portal: 1`, which a page of another site cannot
  /// send without asking first (and is never allowed to), and the browser says nothing else of where it comes from.
  static func check(_ call: Call) throws {
    let headers = call.request.headers
    guard headers[values: .portal] == ["1"] else { throw RequestFailure.crossSite }
    let (sites, origins) = (headers[values: .fetchSite], headers[values: .origin])
    if !sites.isEmpty {
      guard sites == ["same-origin"] else { throw RequestFailure.crossSite }
    } else if !origins.isEmpty {
      let authority = origins[0].split(separator: "/", omittingEmptySubsequences: false).dropFirst(2).first
      let own = [call.request.head.authority, call.api.publicAuthority].compactMap { $0 }
      guard origins.count == 1, let authority, own.contains(where: { sameBytes($0, String(authority)) }) else {
        throw RequestFailure.crossSite
      }
    }
  }
}

extension HTTPField.Name {
  static let portal = constant("kassa-portal")
  static let fetchSite = constant("sec-fetch-site")
}
