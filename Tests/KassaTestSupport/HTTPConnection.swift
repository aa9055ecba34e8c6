import NIOCore
import NIOPosix
import Synchronization

/// One HTTP/1.1 connection to 127.0.0.1, kept alive. Speaks in calls and answers, or in raw bytes for what no proper
/// client sends. Used by one task at a time.
package final class HTTPConnection: Sendable {
  /// A hang guard, not a measure: far above what any answer takes.
  package static let patienceSeconds: Int64 = 120

  private let channel: any Channel
  private let inbox: Inbox<HTTPAnswer>
  /// Whether the next answer is one to HEAD.
  private let awaitsHead: SharedFlag
  package let host: String

  private init(channel: any Channel, inbox: Inbox<HTTPAnswer>, awaitsHead: SharedFlag, host: String) {
    self.channel = channel
    self.inbox = inbox
    self.awaitsHead = awaitsHead
    self.host = host
  }

  /// Connects. A connection that `reads` nothing leaves every answer in the sockets' buffers, of which its own is kept
  /// small.
  package static func open(port: Int, reads: Bool = true) async throws -> HTTPConnection {
    let inbox = Inbox<HTTPAnswer>()
    let awaitsHead = SharedFlag()
    var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(patienceSeconds))
    bootstrap = bootstrap.channelOption(.autoRead, value: reads)
    if !reads { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: 4096) }
    let channel = try await bootstrap.channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(AnswerHandler(inbox: inbox, awaitsHead: awaitsHead))
      }
    }.connect(host: "127.0.0.1", port: port).get()
    return HTTPConnection(channel: channel, inbox: inbox, awaitsHead: awaitsHead, host: "127.0.0.1:\(port)")
  }

  /// Writes the call and waits for its answer.
  package func send(_ call: HTTPCall) async throws -> HTTPAnswer {
    awaitsHead.set(call.method == "HEAD")
    try await write(call.head(host: host) + (call.body ?? []))
    return try await answer()
  }

  package func write(_ bytes: [UInt8]) async throws {
    do {
      try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    } catch {
      // The other side may have answered and closed; the answer, or its lack, is what counts.
      if !channel.isActive, inbox.isEmpty { throw HTTPFailure.closed }
    }
  }

  /// Waits for the next answer. Throws `HTTPFailure`.
  package func answer(withinSeconds seconds: Int64 = HTTPConnection.patienceSeconds) async throws -> HTTPAnswer {
    try await inbox.next(withinSeconds: seconds, on: channel.eventLoop)
  }

  /// Ends what this side sends, and still reads.
  package func closeOutput() async throws { try await channel.close(mode: .output) }

  package func close() async { try? await channel.close() }

  package var isOpen: Bool { channel.isActive }

  /// Waits for the other side to close. Throws `HTTPFailure.timedOut`.
  package func waitUntilClosed(withinSeconds seconds: Int64 = HTTPConnection.patienceSeconds) async throws {
    let timedOut = channel.eventLoop.makePromise(of: Void.self)
    let guardTask = channel.eventLoop.scheduleTask(in: .seconds(seconds)) { timedOut.fail(HTTPFailure.timedOut) }
    channel.closeFuture.whenComplete { _ in timedOut.succeed() }
    defer { guardTask.cancel() }
    try await timedOut.futureResult.get()
  }

  /// Starts to read, for a connection opened without.
  package func startReading() async throws {
    try await channel.setOption(.autoRead, value: true).get()
  }
}

/// A flag that two sides know.
private final class SharedFlag: Sendable {
  private let value = Atomic(false)

  var isSet: Bool { value.load(ordering: .sequentiallyConsistent) }
  func set(_ isSet: Bool) { value.store(isSet, ordering: .sequentiallyConsistent) }
}

/// Turns what arrives into answers.
private final class AnswerHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let inbox: Inbox<HTTPAnswer>
  private let awaitsHead: SharedFlag
  private var parser = AnswerParser()

  init(inbox: Inbox<HTTPAnswer>, awaitsHead: SharedFlag) {
    self.inbox = inbox
    self.awaitsHead = awaitsHead
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    parser.take(unwrapInboundIn(data).readableBytesView)
    putAnswers(context, atEnd: false)
  }

  func channelInactive(context: ChannelHandlerContext) {
    putAnswers(context, atEnd: true)
    inbox.end(.closed)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func putAnswers(_ context: ChannelHandlerContext, atEnd: Bool) {
    do {
      while let answer = try parser.next(atEnd: atEnd, toHead: awaitsHead.isSet) { inbox.put(answer) }
    } catch {
      inbox.end(error)
      context.close(promise: nil)
    }
  }
}
