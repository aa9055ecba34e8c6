import NIOCore
import NIOPosix

/// A stream of Server-Sent Events on a connection of its own. Used by one task at a time.
package final class EventStream: Sendable {
  /// One event. Comments are passed over.
  package struct Frame: Sendable, Equatable {
    package let id: String?
    package let event: String
    package let data: String

    package init(id: String?, event: String, data: String) {
      self.id = id
      self.event = event
      self.data = data
    }

    /// The frame as it was written.
    package var text: String { (id.map { "id: \($0)\n" } ?? "") + "event: \(event)\ndata: \(data)\n\n" }
  }

  enum Item: Sendable {
    /// The head of a stream, or a whole answer that is none.
    case answer(HTTPAnswer)
    case frame(Frame)
  }

  private let channel: any Channel
  private let inbox: Inbox<Item>
  /// The stream's head with an empty body; or the answer that came instead of a stream.
  package let head: HTTPAnswer

  private init(channel: any Channel, inbox: Inbox<Item>, head: HTTPAnswer) {
    self.channel = channel
    self.inbox = inbox
    self.head = head
  }

  /// Whether there is a stream, and not another answer.
  package var isStream: Bool { head.status == 200 }

  /// Asks for a stream and waits for the answer's head.
  package static func open(port: Int, _ call: HTTPCall) async throws -> EventStream {
    let inbox = Inbox<Item>()
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(HTTPConnection.patienceSeconds))
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(FrameHandler(inbox: inbox))
        }
      }.connect(host: "127.0.0.1", port: port).get()
    do {
      try await channel.writeAndFlush(ByteBuffer(bytes: call.head(host: "127.0.0.1:\(port)"))).get()
      guard
        case .answer(let head) = try await inbox.next(
          withinSeconds: HTTPConnection.patienceSeconds, on: channel.eventLoop)
      else { throw HTTPFailure.malformed("a frame before the head") }
      return EventStream(channel: channel, inbox: inbox, head: head)
    } catch {
      try? await channel.close()
      throw error
    }
  }

  /// Waits for the next event. Throws `HTTPFailure.closed` when the stream has ended.
  package func next(withinSeconds seconds: Int64 = HTTPConnection.patienceSeconds) async throws -> Frame {
    guard case .frame(let frame) = try await inbox.next(withinSeconds: seconds, on: channel.eventLoop) else {
      throw HTTPFailure.malformed("a second head")
    }
    return frame
  }

  package func close() async { try? await channel.close() }

  /// Reads no more, and leaves the connection open: a phone that lost its network.
  package func stopReading() async throws { try await channel.setOption(.autoRead, value: false).get() }

  /// Breaks the connection off without the end that TCP has for it.
  package func reset() async throws {
    guard let socket = channel as? any SocketOptionProvider else { throw HTTPFailure.malformed("no socket") }
    try await socket.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
    try? await channel.close()
  }
}

/// Turns what arrives into frames.
private final class FrameHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  private let inbox: Inbox<EventStream.Item>
  private var bytes: [UInt8] = []
  private var text: [UInt8] = []
  private var isStreaming = false

  init(inbox: Inbox<EventStream.Item>) { self.inbox = inbox }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    bytes.append(contentsOf: unwrapInboundIn(data).readableBytesView)
    do {
      if !isStreaming { try readHead() }
      if isStreaming, try readChunks() {
        inbox.end(.closed)
        context.close(promise: nil)
      }
    } catch {
      inbox.end(error)
      context.close(promise: nil)
    }
  }

  func channelInactive(context: ChannelHandlerContext) {
    inbox.end(.closed)
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

  private func readHead() throws(HTTPFailure) {
    guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
    let (head, framing) = try AnswerParser.head(bytes[..<end.lowerBound])
    if case .chunked = framing, head.header("content-type") == "text/event-stream" {
      inbox.put(.answer(head))
      bytes.removeSubrange(..<end.upperBound)
      isStreaming = true
    } else {
      var parser = AnswerParser()
      parser.take(bytes)
      if let answer = try parser.next(atEnd: false) {
        inbox.put(.answer(answer))
        bytes = []
      }
    }
  }

  /// Returns whether the stream has ended.
  private func readChunks() throws(HTTPFailure) -> Bool {
    while let lineEnd = bytes.firstRange(of: Array("\r\n".utf8)) {
      let line = String(decoding: bytes[..<lineEnd.lowerBound], as: UTF8.self)
      guard let size = Int(line, radix: 16) else { throw .malformed("chunk size \(line)") }
      guard lineEnd.upperBound + size + 2 <= bytes.count else { return false }
      text.append(contentsOf: bytes[lineEnd.upperBound..<lineEnd.upperBound + size])
      bytes.removeSubrange(..<(lineEnd.upperBound + size + 2))
      if size == 0 { return true }
      try readFrames()
    }
    return false
  }

  private func readFrames() throws(HTTPFailure) {
    while let end = text.firstRange(of: Array("\n\n".utf8)) {
      let frame = String(decoding: text[..<end.lowerBound], as: UTF8.self)
      text.removeSubrange(..<end.upperBound)
      var fields: [String: String] = [:]
      for line in frame.split(separator: "\n") where !line.hasPrefix(":") {
        let parts = line.split(separator: ":", maxSplits: 1).map(String.init)
        guard parts.count == 2, parts[1].hasPrefix(" "),
          fields.updateValue(String(parts[1].dropFirst()), forKey: parts[0]) == nil
        else { throw .malformed("line \(line)") }
      }
      if fields.isEmpty { continue }
      guard let event = fields["event"], let data = fields["data"] else { throw .malformed("frame \(frame)") }
      inbox.put(.frame(EventStream.Frame(id: fields["id"], event: event, data: data)))
    }
  }
}
