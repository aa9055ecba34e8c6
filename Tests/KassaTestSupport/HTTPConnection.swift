import NIOCore
import NIOPosix
import Synchronization

/// One HTTP/1.1 connection to 127.0.0.1, kept alive. Speaks in calls and answers, or in raw bytes for what no proper
/// client sends. Used by one task at a time.
package final class HTTPConnection: Sendable {
  /// A hang guard, not a measure: far above what any answer takes.
  package static let patienceSeconds: Int64 = 120

  private let channel: any Channel
  private let inbox: AnswerInbox
  package let host: String

  private init(channel: any Channel, inbox: AnswerInbox, host: String) {
    self.channel = channel
    self.inbox = inbox
    self.host = host
  }

  /// Connects. A connection that `reads` nothing leaves every answer in the sockets' buffers, of which its own is kept
  /// small.
  package static func open(port: Int, reads: Bool = true) async throws -> HTTPConnection {
    let inbox = AnswerInbox()
    var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(patienceSeconds))
    bootstrap = bootstrap.channelOption(.autoRead, value: reads)
    if !reads { bootstrap = bootstrap.channelOption(.socketOption(.so_rcvbuf), value: 4096) }
    let channel = try await bootstrap.channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        try channel.pipeline.syncOperations.addHandler(AnswerHandler(inbox: inbox))
      }
    }.connect(host: "127.0.0.1", port: port).get()
    return HTTPConnection(channel: channel, inbox: inbox, host: "127.0.0.1:\(port)")
  }

  /// Writes the call and waits for its answer.
  package func send(_ call: HTTPCall) async throws -> HTTPAnswer {
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

/// The answers of one connection, and who waits for them.
final class AnswerInbox: Sendable {
  private struct State {
    var answers: [HTTPAnswer] = []
    var waiting: [(id: Int, continuation: CheckedContinuation<HTTPAnswer, any Error>, hangGuard: Scheduled<Void>)] = []
    var end: HTTPFailure?
    var lastID = 0
  }

  private let state = Mutex(State())

  var isEmpty: Bool { state.withLock { $0.answers.isEmpty } }

  func put(_ answer: HTTPAnswer) {
    let first = state.withLock { state in
      if state.waiting.isEmpty {
        state.answers.append(answer)
        return nil as (CheckedContinuation<HTTPAnswer, any Error>, Scheduled<Void>)?
      }
      let first = state.waiting.removeFirst()
      return (first.continuation, first.hangGuard)
    }
    first?.1.cancel()
    first?.0.resume(returning: answer)
  }

  func end(_ failure: HTTPFailure) {
    let waiting = state.withLock { state in
      if state.end == nil { state.end = failure }
      defer { state.waiting = [] }
      return state.waiting.map { ($0.continuation, $0.hangGuard) }
    }
    for (continuation, hangGuard) in waiting {
      hangGuard.cancel()
      continuation.resume(throwing: failure)
    }
  }

  func next(withinSeconds seconds: Int64, on eventLoop: any EventLoop) async throws -> HTTPAnswer {
    try await withCheckedThrowingContinuation { continuation in
      let ready: Result<HTTPAnswer, any Error>? = state.withLock { state in
        if !state.answers.isEmpty { return .success(state.answers.removeFirst()) }
        if let end = state.end { return .failure(end) }
        state.lastID += 1
        let id = state.lastID
        let hangGuard = eventLoop.scheduleTask(in: .seconds(seconds)) { self.giveUp(id) }
        state.waiting.append((id, continuation, hangGuard))
        return nil
      }
      if let ready { continuation.resume(with: ready) }
    }
  }

  private func giveUp(_ id: Int) {
    let continuation = state.withLock { state in
      let index = state.waiting.firstIndex { $0.id == id }
      return index.map { state.waiting.remove(at: $0).continuation }
    }
    continuation?.resume(throwing: HTTPFailure.timedOut)
  }
}

/// Turns what arrives into answers.
private final class AnswerHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let inbox: AnswerInbox
  private var parser = AnswerParser()

  init(inbox: AnswerInbox) { self.inbox = inbox }

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
      while let answer = try parser.next(atEnd: atEnd) { inbox.put(answer) }
    } catch {
      inbox.end(error)
      context.close(promise: nil)
    }
  }
}
