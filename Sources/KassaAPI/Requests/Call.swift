import HTTPTypes
import Hummingbird
import KassaDomain
import KassaJSON
import KassaService
import NIOCore

/// One request on its way: what every operation needs of it.
struct Call: Sendable {
  let request: Request
  let operation: Operation
  /// The path's parameters, as the caller wrote them.
  let pathParameters: [String: Substring]
  let requestID: String
  /// Where the request came from, in a canonical spelling.
  let source: String
  let connection: any Channel
  let api: KassaAPI
  var service: KassaService
  /// What the log and the metrics learn on the way.
  let notes: RequestNotes

  /// The identifier in the path. Throws `ServiceFailure.notFound` when it is none: it names nothing of anybody's.
  func pathID<Entity>(_ name: String) throws -> Identifier<Entity> {
    guard let text = pathParameters[name], let id = Identifier<Entity>(text: text) else {
      throw ServiceFailure.notFound
    }
    return id
  }

  /// The path with its identifiers as answers write them: one spelling of what names the same thing.
  var canonicalPath: String {
    operation.path.split(separator: "/").map { segment in
      guard segment.hasPrefix("{"), let text = pathParameters[String(segment.dropFirst().dropLast())] else {
        return "/\(segment)"
      }
      return "/\(Identifier<Call>(text: text)?.description ?? String(text))"
    }.joined()
  }

  /// The one value of a header. Throws when it is there more than once.
  func header(_ name: HTTPField.Name) throws -> String? {
    let values = request.headers[values: name]
    guard values.count <= 1 else {
      throw RequestFailure.invalidHeader(name.canonicalName, "must be sent once, not \(values.count) times")
    }
    return values.first
  }

  /// What a browser that signed in sends.
  var portalToken: String? { api.portalCookie.token(in: request.headers) }
}

/// A call with what an operation of its kind may use.
protocol OperationCall: Sendable {
  var call: Call { get }
  var bodyRule: Operation.Body { get }
}

struct OpenCall: OperationCall {
  let call: Call
  let bodyRule: Operation.Body
}

struct MerchantCall: OperationCall {
  let call: Call
  let bodyRule: Operation.Body
  let principal: MerchantPrincipal
}

struct DeviceCall: OperationCall {
  let call: Call
  let bodyRule: Operation.Body
  let principal: DevicePrincipal
}

extension OperationCall {
  var service: KassaService { call.service }
  var query: QueryReader { QueryReader(call.request.uri.query) }

  /// Reads the body as one JSON object. Throws 415, 413, 408 or 400.
  func body() async throws -> RequestBodyContent {
    guard case .json(let bytesMax) = bodyRule else { preconditionFailure("\(call.operation.id) declares no body") }
    return try await RequestBodyContent.read(call, bytesMax: bytesMax)
  }
}

extension OpenCall {
  /// Reads the body as it is. Throws 413 or 408.
  func rawBody() async throws -> [UInt8] {
    guard case .raw(let bytesMax) = bodyRule else { preconditionFailure("\(call.operation.id) declares no raw body") }
    return try await RequestBodyContent.readBytes(call, bytesMax: bytesMax)
  }
}

extension MerchantCall {
  /// What the caller's `Idempotency-Key` asks for, or `nil` without one.
  func once<Output>(
    _ body: RequestBodyContent, header: HTTPField.Name = .idempotencyKey,
    render: @escaping @Sendable (Output) -> RenderedAnswer
  ) throws -> IdempotentRequest<Output>? {
    guard let key = try call.header(header) else { return nil }
    guard (1...APILimits.idempotencyKeyBytesMax).contains(key.utf8.count), key.utf8.allSatisfy({ 0x21...0x7e ~= $0 })
    else {
      throw RequestFailure.invalidHeader(
        header == .idempotencyKey ? "Idempotency-Key" : header.rawName,
        "must have 1 to \(APILimits.idempotencyKeyBytesMax) visible ASCII characters")
    }
    return IdempotentRequest(
      operation: "\(call.request.method.rawValue) \(call.canonicalPath)", key: key,
      bodyHash: RequestContent.hash(body.bytes, query: call.request.uri.query), render: render)
  }
}

/// What a request asks for, by which a repetition is known from another request under the same key.
package enum RequestContent {
  /// The hash of the body, and of the query if there is one. No body of JSON goes on after its end, so that none alone has
  /// the hash of another with a query.
  package static func hash(_ body: [UInt8], query: String?) -> [UInt8] {
    guard let query, !query.isEmpty else { return sha256(body) }
    return sha256(body + Array("?\(query)".utf8))
  }
}

extension HTTPField.Name {
  static let idempotencyKey = constant("idempotency-key")
  static let idempotentReplayed = constant("idempotent-replayed")
  static let requestID = constant("x-request-id")
  static let merchantID = constant("x-merchant-id")
  static let forwardedFor = constant("x-forwarded-for")
  static let proof = constant("dpop")
  static let lastEventID = constant("last-event-id")
  static let contentTypeOptions = constant("x-content-type-options")
  static let openerPolicy = constant("cross-origin-opener-policy")
  static let permissionsPolicy = constant("permissions-policy")
  static let rateLimit = constant("ratelimit")
  static let rateLimitPolicy = constant("ratelimit-policy")
  static let referrerPolicy = constant("referrer-policy")
  static let resourcePolicy = constant("cross-origin-resource-policy")
  static let serviceWorkerAllowed = constant("service-worker-allowed")

  /// A name known to be a token (RFC 9110, section 5.1).
  static func constant(_ name: String) -> HTTPField.Name {
    guard let made = HTTPField.Name(name) else { preconditionFailure("\(name) is no header name") }
    return made
  }
}
