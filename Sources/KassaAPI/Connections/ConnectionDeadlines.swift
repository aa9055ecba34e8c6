import HTTPTypes
import KassaDomain
import NIOCore
import NIOHTTPTypes

/// The body of a request did not end in time.
struct BodyDeadlineExceeded: Error {}

/// The times a connection is given. Each is a total: a client that trickles bytes does not extend it.
package struct DeadlineSeconds: Sendable {
  package var head: Int64
  package var body: Int64
  package var idle: Int64
  package var write: Int64

  package init(
    head: Int64 = APILimits.headSeconds, body: Int64 = APILimits.bodySeconds, idle: Int64 = APILimits.idleSeconds,
    write: Int64 = APILimits.writeSeconds
  ) {
    self.head = head
    self.body = body
    self.idle = idle
    self.write = write
  }
}

/// Ends connections whose client is too slow: with the request's head, its body, the next request, or with reading what
/// was written. A late body fails the request, which can still be answered; everything else closes the connection.
///
/// Sits between the HTTP codec and the server, one per connection, on the connection's event loop.
final class ConnectionDeadlines: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let seconds: DeadlineSeconds
  private let openConnections: @Sendable (Int) -> Void
  /// Waits for a head or for the end of a body.
  private var readDeadline: Scheduled<Void>?
  /// Waits for the client to take what was written.
  private var writeDeadline: Scheduled<Void>?
  private var writesUnderWay = 0
  private var isReadingBody = false
  private var isStreaming = false
  /// Requests whose answer is not yet written: more than one when a client pipelines.
  private var answersDue = 0
  /// An answer said `Connection: close`.
  private var closesWhenAnswered = false

  init(seconds: DeadlineSeconds, openConnections: @escaping @Sendable (Int) -> Void) {
    self.seconds = seconds
    self.openConnections = openConnections
  }

  func handlerAdded(context: ChannelHandlerContext) {
    openConnections(+1)
    closeUnlessRead(within: seconds.head, context)
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    openConnections(-1)
    readDeadline?.cancel()
    writeDeadline?.cancel()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head:
      isReadingBody = true
      answersDue += 1
      failUnlessBodyEnds(context)
    case .body: break
    case .end:
      isReadingBody = false
      readDeadline?.cancel()
      readDeadline = nil
      waitForNextRequestIfDone(context)
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(let head):
      isStreaming = head.headerFields[.contentType] == "text/event-stream"
      closesWhenAnswered = closesWhenAnswered || head.headerFields[.connection]?.lowercased() == "close"
      if head.headerFields[.requestID] == nil {
        writeRefusalOfMalformedRequest(head, promise, context)
      } else {
        context.write(data, promise: promise)
      }
    case .body:
      context.write(data, promise: tracked(promise, endsAnswer: false, context))
    case .end:
      context.write(data, promise: tracked(promise, endsAnswer: true, context))
    }
  }

  /// A client that closed its side of a stream has left; of any other answer it may still wait for the rest.
  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if isStreaming, answersDue > 0, case ChannelEvent.inputClosed? = event as? ChannelEvent {
      context.close(promise: nil)
    }
    context.fireUserInboundEventTriggered(event)
  }

  /// Every answer of ours carries a request id. One without is the HTTP library's own to bytes that are no request: it
  /// is bare, and gets the body that the contract wants of every error.
  private func writeRefusalOfMalformedRequest(
    _ head: HTTPResponse, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
  ) {
    var generator = SystemRandomNumberGenerator()
    let id = Identifier<HTTPRequest>(using: &generator).description
    let answer = Problem.of(RequestFailure.malformedRequest, credential: .none).answer(requestID: id)
    var head = head
    head.headerFields[.requestID] = id
    head.headerFields[.contentType] = answer.contentType
    head.headerFields[.contentLength] = "\(answer.body.count)"
    context.write(wrapOutboundOut(.head(head)), promise: promise)
    let body = context.channel.allocator.buffer(bytes: answer.body)
    context.write(wrapOutboundOut(.body(body)), promise: tracked(nil, endsAnswer: false, context))
  }

  /// A promise that also tells when the client took the bytes.
  private func tracked(
    _ promise: EventLoopPromise<Void>?, endsAnswer: Bool, _ context: ChannelHandlerContext
  ) -> EventLoopPromise<Void> {
    writesUnderWay += 1
    if writeDeadline == nil { closeUnlessWritten(context) }
    let tracked = promise ?? context.eventLoop.makePromise(of: Void.self)
    tracked.futureResult.assumeIsolated().whenComplete { _ in
      self.writesUnderWay -= 1
      self.writeDeadline?.cancel()
      self.writeDeadline = nil
      if self.writesUnderWay > 0 { self.closeUnlessWritten(context) }
      if endsAnswer {
        self.answersDue -= 1
        self.waitForNextRequestIfDone(context)
      }
    }
    return tracked
  }

  private func waitForNextRequestIfDone(_ context: ChannelHandlerContext) {
    guard !isReadingBody, answersDue <= 0, context.channel.isActive else { return }
    if closesWhenAnswered {
      context.close(promise: nil)
    } else {
      closeUnlessRead(within: seconds.idle, context)
    }
  }

  private func closeUnlessRead(within seconds: Int64, _ context: ChannelHandlerContext) {
    readDeadline?.cancel()
    readDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(seconds)) {
      context.close(promise: nil)
    }
  }

  private func failUnlessBodyEnds(_ context: ChannelHandlerContext) {
    readDeadline?.cancel()
    readDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(seconds.body)) {
      context.fireErrorCaught(BodyDeadlineExceeded())
    }
  }

  private func closeUnlessWritten(_ context: ChannelHandlerContext) {
    writeDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: .seconds(seconds.write)) {
      context.close(promise: nil)
    }
  }
}
