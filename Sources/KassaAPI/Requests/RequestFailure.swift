import HTTPTypes
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
  case tooManyRequests(perSecond: Int, retryAfterSeconds: Int64)
}
