import KassaDomain
import KassaStore
import Synchronization

/// What becomes known of a request while it is answered, for its line in the log.
final class RequestNotes: Sendable {
  private let noted = Mutex<MerchantID?>(nil)

  var merchant: MerchantID? { noted.withLock { $0 } }

  func note(merchant: MerchantID) { noted.withLock { $0 = merchant } }
}

/// One answered request, as the log and the metrics see it. Holds no key, token or code: the path is the route's
/// template, and nothing of bodies or queries is kept.
package struct RequestRecord: Sendable {
  package let requestID: String
  package let method: String
  /// The path with its parameters' names, or `unmatched`.
  package let route: String
  package let operationID: String
  package let status: Int
  package let durationNanoseconds: Int64
  package let merchant: MerchantID?
  /// The code of the problem that was answered.
  package let problem: String?
  package let operatorDetail: OperatorDetail?

  /// What was asked for: of a limited number of words, whatever callers send.
  struct Route {
    let path: String
    let operationID: String

    static let unmatched = Route(path: "unmatched", operationID: "unmatched")
    /// A page in the browser, by its file.
    static func page(_ path: String) -> Route { Route(path: path, operationID: "getPage") }
  }
}
