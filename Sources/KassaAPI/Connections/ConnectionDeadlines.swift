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
  /// When the head, or the end of the body, must have been read.
  private var readDeadline: (time: NIODeadline, isOfBody: Bool)?
  /// When the client must have taken what was written.
  private var writeDeadline: NIODeadline?
  /// Goes off no later than the next deadline. Deadlines move with every request, and mostly away: so it is left as it
  /// is when they do, and looks again.
  private var timer: (time: NIODeadline, task: Scheduled<Void>)?
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
    timer?.task.cancel()
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
    readDeadline = (context.eventLoop.now + .seconds(seconds), isOfBody: false)
    keepDeadlines(context)
  }

  private func failUnlessBodyEnds(_ context: ChannelHandlerContext) {
    readDeadline = (context.eventLoop.now + .seconds(seconds.body), isOfBody: true)
    keepDeadlines(context)
  }

  private func closeUnlessWritten(_ context: ChannelHandlerContext) {
    writeDeadline = context.eventLoop.now + .seconds(seconds.write)
    keepDeadlines(context)
  }

  private func keepDeadlines(_ context: ChannelHandlerContext) {
    let next = min(readDeadline?.time ?? .distantFuture, writeDeadline ?? .distantFuture)
    guard next < timer?.time ?? .distantFuture else { return }
    timer?.task.cancel()
    let task = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
      self.timer = nil
      self.endWhatIsLate(context)
      self.keepDeadlines(context)
    }
    timer = (next, task)
  }

  private func endWhatIsLate(_ context: ChannelHandlerContext) {
    let now = context.eventLoop.now
    if let deadline = readDeadline, deadline.time <= now {
      readDeadline = nil
      if deadline.isOfBody {
        context.fireErrorCaught(BodyDeadlineExceeded())
      } else {
        context.close(promise: nil)
      }
    }
    if let deadline = writeDeadline, deadline <= now {
      writeDeadline = nil
      context.close(promise: nil)
    }
  }
}
