import HTTPTypes
import KassaDomain
import KassaService

/// Why a request is refused before any use case sees it.
enum RequestFailure: Error {
  /// The bytes are no request in HTTP/1.1.
  case malformedRequest
  case unknownRoute
  case wrongMethod(allowed: [HTTPRequest.Method])
  /// Every failing field.
  case invalid([FieldFlaw])
  case malformedJSON(String)
  case invalidHeader(String, String)
  case bodyTooLarge(bytesMax: Int)
  case bodyTimedOut
  case unsupportedMediaType
  /// An order's identifier in the path that is none.
  case invalidOrderID
  /// The order has no such capture or refund.
  case noSuchMovement(OrderMovement.Kind)
  case tooManyRequests(RateLimit, retryAfterSeconds: Int64)
  /// A browser's request without a cookie that is in force, or a key that does not sign in.
  case notSignedIn
  /// A request of a browser that was not made by a page of this server.
  case crossSite
  case tooManySignIns(retryAfterSeconds: Int64)
  /// The playground shows its key to a browser on its own machine only.
  case demoKeyWithheld
  /// The server is about to stop, and is not ready for more.
  case draining
}
