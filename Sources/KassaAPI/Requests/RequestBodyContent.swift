import HTTPTypes
import Hummingbird
import KassaJSON
import NIOCore

/// A request's body, read whole and checked to be one JSON object.
struct RequestBodyContent {
  let bytes: [UInt8]
  let object: JSONObject

  static func read(_ call: Call, bytesMax: Int) async throws -> RequestBodyContent {
    guard isJSON(call.request.headers[.contentType]) else { throw RequestFailure.unsupportedMediaType }
    let bytes = try await readBytes(call, bytesMax: bytesMax)
    do {
      guard case .object(let object) = try JSONParser.parse(bytes) else {
        throw RequestFailure.malformedJSON("the body must be a JSON object, in braces")
      }
      return RequestBodyContent(bytes: bytes, object: object)
    } catch let error as JSONSyntaxError {
      throw RequestFailure.malformedJSON(error.message)
    }
  }

  /// The body as it is, up to `bytesMax`.
  static func readBytes(_ call: Call, bytesMax: Int) async throws -> [UInt8] {
    if let length = call.request.headers[.contentLength].flatMap({ Int($0) }), length > bytesMax {
      throw RequestFailure.bodyTooLarge(bytesMax: bytesMax)
    }
    var bytes: [UInt8] = []
    do {
      for try await part in call.request.body {
        guard bytes.count + part.readableBytes <= bytesMax else {
          throw RequestFailure.bodyTooLarge(bytesMax: bytesMax)
        }
        bytes.append(contentsOf: part.readableBytesView)
      }
    } catch is BodyDeadlineExceeded {
      throw RequestFailure.bodyTimedOut
    }
    return bytes
  }

  /// `application/json`, in any case, with any parameters but a charset other than UTF-8.
  private static func isJSON(_ contentType: String?) -> Bool {
    guard let parts = contentType?.lowercased().split(separator: ";"), let type = parts.first else { return false }
    let parameters = parts.dropFirst().map { $0.filter { $0 != " " && $0 != "\"" } }
    return type.filter { $0 != " " } == "application/json"
      && parameters.allSatisfy { !$0.hasPrefix("charset=") || $0 == "charset=utf-8" }
  }
}
