import HTTPTypes
import Hummingbird

extension PageTable {
  /// Answers a request that is for no operation: with a page, or with what says that the browser has it already.
  /// Throws `RequestFailure.unknownRoute` where there is none.
  func answer(to request: Request) throws -> (Answer, RequestRecord.Route) {
    let found = match(request.uri.path)
    if case .none = found { throw RequestFailure.unknownRoute }
    guard request.method == .get || request.method == .head else {
      throw RequestFailure.wrongMethod(allowed: [.get, .head])
    }
    switch found {
    case .page(let page): return (page.answer(to: request), .page("/\(page.file.path)"))
    case .moved(let address):
      return (Answer(status: 307, contentType: nil, body: [], headers: [(.location, address)]), .page(address))
    case .none: throw RequestFailure.unknownRoute
    }
  }
}

extension PageTable.Page {
  /// A browser keeps a page, but asks each time whether it is still the same: nothing changes under a clerk, and what was
  /// changed is there at the next look.
  fileprivate func answer(to request: Request) -> Answer {
    let isKnown = request.headers[values: .ifNoneMatch].contains { $0 == "*" || $0.contains(entityTag) }
    let hasBody = request.method == .get && !isKnown
    var answer = Answer(
      status: isKnown ? 304 : 200, contentType: file.contentType, body: hasBody ? file.bytes : [],
      headers: Self.protection + [(.eTag, entityTag)], cacheControl: "no-cache")
    if !hasBody { answer.headers.append((.contentLength, "\(file.bytes.count)")) }
    if file.path == Self.worker { answer.headers.append((.serviceWorkerAllowed, "/pos")) }
    return answer
  }

  /// The POS app's own worker answers for its page, which is above the folder that the worker lies in.
  private static let worker = "pos/worker.js"

  /// What a browser may do for a page of ours: run its own files, speak with this server, and nothing else.
  private static let protection: [(name: HTTPField.Name, value: String)] = [
    (
      .contentSecurityPolicy,
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        + "require-trusted-types-for 'script'; trusted-types kassa"
    ),
    (.contentTypeOptions, "nosniff"),
    (.referrerPolicy, "no-referrer"),
    (.openerPolicy, "same-origin"),
    (.resourcePolicy, "same-origin"),
    (
      .permissionsPolicy,
      "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), screen-wake-lock=(self), "
        + "clipboard-read=(self), clipboard-write=(self)"
    ),
  ]
}
