import HTTPTypes
import Hummingbird
import HummingbirdCore
import KassaDomain
import KassaService
import KassaWeb
import NIOCore

/// The HTTP side of Kassa: the table of operations, and what surrounds every one of them.
package struct KassaAPI: Sendable {
  let service: KassaService
  let settings: APISettings
  let hooks: APIHooks
  let rateLimiter: RateLimiter<MerchantID>
  let deviceLimiter: RateLimiter<DeviceID>
  /// Registrations that pair nothing, by source address: each is a look at the store that needs no credential.
  let registrationLimiter: RateLimiter<String>
  let eventStreams = StreamCounts<MerchantID>()
  /// Sign-ins that fail, by source address.
  let signInLimiter = RateLimiter<String>(
    perMinute: APILimits.failedSignInsPerSourcePerMinute, of: "keys that do not sign in from one address")
  /// By source address: whoever says to be a provider has no credential.
  let notificationLimiter = RateLimiter<String>(
    perSecond: APILimits.notificationsPerSecondPerSource, of: "notifications from one address")
  private let routes: RouteTable
  private let pages: PageTable

  package init(service: KassaService, settings: APISettings, hooks: APIHooks) {
    self.service = service
    self.settings = settings
    self.hooks = hooks
    rateLimiter = RateLimiter(perSecond: settings.requestsPerSecondPerMerchant, of: "requests of one merchant")
    deviceLimiter = RateLimiter(
      perSecond: settings.requestsPerSecondPerMerchant == 0 ? 0 : APILimits.requestsPerSecondPerDevice,
      of: "requests of one device")
    registrationLimiter = RateLimiter(
      perMinute: max(
        APILimits.failedRegistrationsPerSourcePerMinute, service.settings.codeAttemptsPerSourcePerMinute),
      of: "registrations that pair nothing from one address")
    routes = RouteTable(Self.operations + (hooks.playground == nil ? [] : PlaygroundOperations.all))
    pages = PageTable(WebSite.files, isPlayground: hooks.playground != nil)
  }

  /// `host[:port]` of the public address.
  var publicAuthority: String? { service.settings.publicURL().split(separator: "/").dropFirst().first.map(String.init) }

  var portalCookie: PortalCookie { PortalCookie(publicURL: service.settings.publicURL()) }

  /// Every operation that is served everywhere.
  package static let operations: [Operation] =
    SessionOperations.all + POSOperations.all + ReceiptOperations.all + EnrollmentOperations.all + DeviceOperations.all
    + LocationOperations.all + SignInOperations.all + APIKeyOperations.all + PaymentMethodOperations.all
    + ProviderOperations.all + OrderOperations.all + WebhookOperations.all + AuditOperations.all + ServerOperations.all

  /// Those that are served in the playground only; elsewhere they answer as an unknown route does.
  package static let playgroundOperations = PlaygroundOperations.all

  /// The server's channel set-up: deadlines and limits of each connection.
  package var server: HTTPServerBuilder {
    let (deadlines, openConnections) = (settings.deadlines, hooks.openConnections)
    return .http1(
      configuration: .init(
        additionalChannelHandlers: [ConnectionDeadlines(seconds: deadlines, openConnections: openConnections)],
        httpDecoderConfiguration: .init(
          maxHeaderFieldSize: APILimits.headBytesMax, maxHeaderListSize: APILimits.headBytesMax)))
  }
}

/// What an operator may set of the HTTP side.
package struct APISettings: Sendable {
  package var requestsPerSecondPerMerchant: Int
  package var trustedProxies: [AddressBlock]
  package var deadlines: DeadlineSeconds

  package init(
    requestsPerSecondPerMerchant: Int = APILimits.requestsPerSecondPerMerchant, trustedProxies: [AddressBlock] = [],
    deadlines: DeadlineSeconds = DeadlineSeconds()
  ) {
    self.requestsPerSecondPerMerchant = requestsPerSecondPerMerchant
    self.trustedProxies = trustedProxies
    self.deadlines = deadlines
  }
}

/// What the server around the API provides.
package struct APIHooks: Sendable {
  /// Called once per answered request.
  package var requestFinished: @Sendable (RequestRecord) -> Void
  /// Called with the change of the number of open connections.
  package var openConnections: @Sendable (Int) -> Void
  /// Called with the change of the number of open streams.
  package var openStreams: @Sendable (Int) -> Void
  /// `nil` in production.
  package var playground: PlaygroundControls?
  /// Called when a session was written to its device's stream, with the time since it was created.
  package var sessionPushed: @Sendable (_ milliseconds: Int64) -> Void
  /// The metrics in Prometheus' text format.
  package var metrics: @Sendable () async throws -> String
  /// Begun once the server is about to stop.
  package var draining: Draining

  package init(
    requestFinished: @escaping @Sendable (RequestRecord) -> Void, openConnections: @escaping @Sendable (Int) -> Void,
    openStreams: @escaping @Sendable (Int) -> Void, playground: PlaygroundControls?,
    sessionPushed: @escaping @Sendable (Int64) -> Void,
    metrics: @escaping @Sendable () async throws -> String, draining: Draining
  ) {
    self.requestFinished = requestFinished
    self.openConnections = openConnections
    self.openStreams = openStreams
    self.playground = playground
    self.sessionPushed = sessionPushed
    self.metrics = metrics
    self.draining = draining
  }
}

/// What Hummingbird knows of a request beside the request itself: the connection it came on.
package struct KassaRequestContext: InitializableFromSource, RequestContext {
  package var coreContext: CoreRequestContextStorage
  let connection: any Channel

  package init(source: ApplicationRequestContextSource) {
    coreContext = .init(source: source)
    connection = source.channel
  }
}

extension KassaAPI: HTTPResponder {
  /// Answers one request: finds its operation, runs it, turns whatever it throws into a problem, and tells the hooks.
  /// Never throws, so that nothing is rendered outside of here.
  package func respond(to request: Request, context: KassaRequestContext) async throws -> Response {
    let start = monotonicNanoseconds()
    let requestID = Self.requestID(of: request)
    let notes = RequestNotes()
    let match = routes.match(request.method, request.uri.path)
    let operation: Operation? = if case .operation(let operation, _) = match { operation } else { nil }

    var problem: Problem?
    var route = operation.map { RequestRecord.Route(path: $0.path, operationID: $0.id) } ?? .unmatched
    let answer: Answer
    do {
      switch match {
      case .operation(let operation, let parameters):
        let call = Call(
          request: request, operation: operation, pathParameters: parameters, requestID: requestID,
          source: source(of: request, peer: context.connection.remoteAddress),
          connection: context.connection, api: self, service: service, notes: notes)
        let given = try await operation.respond(call)
        // A stream has no end, and so no length that a head could tell.
        if request.method == .head, given.writeStream != nil { throw RequestFailure.wrongMethod(allowed: [.get]) }
        answer = given
      case .wrongMethod(let allowed): throw RequestFailure.wrongMethod(allowed: allowed)
      case .none: (answer, route) = try pages.answer(to: request)
      }
    } catch {
      let failed = Problem.of(error, credential: operation?.credential ?? .none)
      problem = failed
      answer =
        request.uri.path.hasPrefix("/ordermanagement/")
        ? failed.orderManagementAnswer(requestID: requestID)
        : failed.answer(requestID: requestID, at: service.now)
    }
    hooks.requestFinished(
      RequestRecord(
        requestID: requestID, method: Self.knownMethod(request.method), route: route.path,
        operationID: route.operationID, status: answer.status,
        durationNanoseconds: monotonicNanoseconds() - start, merchant: notes.merchant, problem: problem?.code.rawValue,
        operatorDetail: problem?.operatorDetail))
    var response = answer.response(requestID: requestID)
    if hooks.draining.hasBegun { response.headers[.connection] = "close" }
    return request.method == .head ? response.createHeadResponse() : response
  }

  /// The caller's own id if it is ASCII without controls and not too long, else a fresh one (contract, section 1).
  private static func requestID(of request: Request) -> String {
    if let given = request.headers[.requestID], (1...APILimits.requestIDBytesMax).contains(given.utf8.count),
      given.utf8.allSatisfy({ 0x20...0x7e ~= $0 })
    {
      return given
    }
    var generator = SystemRandomNumberGenerator()
    return Identifier<Request>(using: &generator).description
  }

  private func source(of request: Request, peer: SocketAddress?) -> String {
    SourceAddress.key(
      peer: peer, forwardedFor: request.headers[values: .forwardedFor], trustedProxies: settings.trustedProxies)
  }

  /// Methods come from the caller; only the usual ones become words of the log and the metrics.
  private static func knownMethod(_ method: HTTPRequest.Method) -> String {
    let known: [HTTPRequest.Method] = [.get, .head, .post, .put, .patch, .delete, .options]
    return known.contains(method) ? method.rawValue : "OTHER"
  }
}
