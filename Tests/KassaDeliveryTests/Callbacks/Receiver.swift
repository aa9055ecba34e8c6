import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// One request as a merchant's receiver got it.
struct ReceivedRequest: Sendable {
  /// Place among all requests of this receiver, from 0.
  let index: Int
  let uri: String
  let headers: [String: String]
  let body: String
}

/// What the receiver answers, and after how long.
struct ReceiverAnswer: Sendable {
  var status = 200
  var headers: [(String, String)] = []
  var body = ""
  var delayMilliseconds: Int64 = 0
  /// Sends the head and then nothing more.
  var stallsAfterHead = false

  static let ok = ReceiverAnswer()
}

/// A small HTTP server on 127.0.0.1, as a merchant would run it.
final class Receiver: Sendable {
  private struct State {
    var count = 0
    var log: [Entry] = []
  }

  /// A request that came in, or its answer that went out, in the order of happening.
  enum Entry: Sendable {
    case received(ReceivedRequest)
    case answered(ReceivedRequest, status: Int)
  }

  private let state = Mutex(State())
  private let channel = Mutex<(any Channel)?>(nil)
  private let answer: @Sendable (ReceivedRequest) -> ReceiverAnswer

  init(_ answer: @escaping @Sendable (ReceivedRequest) -> ReceiverAnswer) async throws {
    self.answer = answer
    let bound = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .serverChannelOption(.backlog, value: 256)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline(withPipeliningAssistance: false)
          try channel.pipeline.syncOperations.addHandler(Handler(self))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    channel.withLock { $0 = bound }
  }

  var port: Int { channel.withLock { $0?.localAddress?.port } ?? 0 }
  var url: String { "http://127.0.0.1:\(port)/hook" }
  var log: [Entry] { state.withLock { $0.log } }

  var requests: [ReceivedRequest] {
    log.compactMap { if case .received(let request) = $0 { request } else { nil } }
  }

  func close() async { try? await channel.withLock { $0 }?.close() }

  private func receive(_ head: HTTPRequestHead, _ body: String) -> (ReceivedRequest, ReceiverAnswer) {
    let request = state.withLock { state in
      let request = ReceivedRequest(
        index: state.count, uri: head.uri,
        headers: Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { $1 }), body: body
      )
      state.count += 1
      state.log.append(.received(request))
      return request
    }
    return (request, answer(request))
  }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let receiver: Receiver
    private var head: HTTPRequestHead?
    private var body = ""

    init(_ receiver: Receiver) { self.receiver = receiver }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head):
        self.head = head
        body = ""
      case .body(let part): body += String(buffer: part)
      case .end:
        guard let head else { return }
        let (request, answer) = receiver.receive(head, body)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        if answer.delayMilliseconds == 0 {
          write(answer, to: request, context: context)
        } else {
          context.eventLoop.scheduleTask(in: .milliseconds(answer.delayMilliseconds)) {
            bound.value.0.write(answer, to: request, context: bound.value.1)
          }
        }
      }
    }

    private func write(_ answer: ReceiverAnswer, to request: ReceivedRequest, context: ChannelHandlerContext) {
      receiver.state.withLock { $0.log.append(.answered(request, status: answer.status)) }
      var headers = HTTPHeaders(answer.headers)
      headers.replaceOrAdd(name: "content-length", value: "\(answer.stallsAfterHead ? 10 : answer.body.utf8.count)")
      context.write(
        wrapOutboundOut(.head(.init(version: .http1_1, status: .init(statusCode: answer.status), headers: headers))),
        promise: nil)
      guard !answer.stallsAfterHead else { return context.flush() }
      context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
      context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
  }
}
