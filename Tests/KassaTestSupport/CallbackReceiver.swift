import Crypto
import Foundation
import KassaJSON
import NIOCore
import NIOPosix
import Synchronization

/// One callback as a merchant's receiver got it.
package struct ReceivedCallback: Sendable {
  package let head: String
  package let body: [UInt8]
  /// What the receiver answered.
  package var status = 204

  package func header(_ name: String) -> String? {
    head.split(separator: "\r\n").dropFirst().first { $0.lowercased().hasPrefix("\(name):") }
      .map { $0.dropFirst(name.count + 1).trimmingCharacters(in: .whitespaces) }
  }

  package var json: JSONValue { (try? JSONParser.parse(body)) ?? .null }

  /// Whether one of the signatures is by this secret (Standard Webhooks 1.0).
  package func isSigned(by secret: String) -> Bool {
    guard let id = header("webhook-id"), let timestamp = header("webhook-timestamp"),
      let signatures = header("webhook-signature"), secret.hasPrefix("whsec_"),
      let key = Data(base64Encoded: String(secret.dropFirst("whsec_".count)))
    else { return false }
    let message = Data("\(id).\(timestamp).".utf8) + Data(body)
    return signatures.split(separator: " ").contains { signature in
      guard signature.hasPrefix("v1,"), let code = Data(base64Encoded: String(signature.dropFirst(3))) else {
        return false
      }
      return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: message, using: SymmetricKey(data: key))
    }
  }
}

/// A small HTTP server on 127.0.0.1, as a merchant would run it.
package final class CallbackReceiver: Sendable {
  /// What it makes of its callback number 0, 1, 2 …
  package enum Reaction: Sendable {
    case acknowledge, fail
    /// Acknowledges, and keeps nothing: what no receiver should do.
    case forget
  }

  private struct State {
    var count = 0
    var received: [ReceivedCallback] = []
  }

  private let state = Mutex(State())
  private let channel = Mutex<(any Channel)?>(nil)
  private let reaction: @Sendable (Int) -> Reaction

  /// Acknowledges everything, unless told otherwise.
  package init(reaction: @escaping @Sendable (Int) -> Reaction = { _ in .acknowledge }) async throws {
    self.reaction = reaction
    let bound = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(.backlog, value: 256)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(CallbackHandler(self))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    channel.withLock { $0 = bound }
  }

  package var url: String { "http://127.0.0.1:\(channel.withLock { $0?.localAddress?.port } ?? 0)/hook" }

  /// In the order they came.
  package var callbacks: [ReceivedCallback] { state.withLock { $0.received } }

  package func close() async { try? await channel.withLock { $0 }?.close() }

  /// Waits until the callbacks are as wanted, and gives them. Throws `HTTPFailure.timedOut`.
  package func callbacks(
    until isWhole: ([ReceivedCallback]) -> Bool
  ) async throws -> [ReceivedCallback] {
    let end = ContinuousClock.now + .seconds(HTTPConnection.patienceSeconds)
    while ContinuousClock.now < end {
      let callbacks = self.callbacks
      if isWhole(callbacks) { return callbacks }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw HTTPFailure.timedOut
  }

  /// Returns the status to answer.
  fileprivate func put(_ callback: ReceivedCallback) -> Int {
    state.withLock { state in
      var callback = callback
      let reaction = reaction(state.count)
      state.count += 1
      callback.status = reaction == .fail ? 500 : 204
      if reaction != .forget { state.received.append(callback) }
      return callback.status
    }
  }
}

/// Reads requests with a length, and answers each.
private final class CallbackHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let receiver: CallbackReceiver
  private var bytes: [UInt8] = []

  init(_ receiver: CallbackReceiver) { self.receiver = receiver }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    bytes.append(contentsOf: unwrapInboundIn(data).readableBytesView)
    while let end = bytes.firstRange(of: Array("\r\n\r\n".utf8)) {
      let head = String(decoding: bytes[..<end.lowerBound], as: UTF8.self)
      let length = ReceivedCallback(head: head, body: []).header("content-length").flatMap { Int($0) } ?? 0
      guard bytes.count >= end.upperBound + length else { return }
      let status = receiver.put(
        ReceivedCallback(head: head, body: Array(bytes[end.upperBound..<end.upperBound + length])))
      bytes.removeSubrange(..<(end.upperBound + length))
      let answer = status == 204 ? "204 No Content\r\n" : "\(status) Failed\r\ncontent-length: 0\r\n"
      context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 \(answer)\r\n")), promise: nil)
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
