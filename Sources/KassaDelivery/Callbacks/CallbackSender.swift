import AsyncHTTPClient
import FoundationEssentials
import KassaDomain
import KassaService
import NIOCore
import NIOHTTP1
import Synchronization

/// Makes one try: vets the address, sends, and reads what comes back.
package struct CallbackSender: Sendable {
  /// Clients kept: one for each destination that is sent to in a while, each with its open connections.
  private static let clientsMax = 512
  private static let userAgent = "Kassa/1.0 (callbacks)"

  private let gate: AddressGate
  private let tryMilliseconds: Int64
  private let clients = CallbackClients(countMax: clientsMax)

  package init(gate: AddressGate, tryMilliseconds: Int64 = Limits.callbackTrySeconds * 1000) {
    self.gate = gate
    self.tryMilliseconds = tryMilliseconds
  }

  package struct Answer: Sendable {
    package let result: CallbackAttempt.Result
    package let retryAfterSeconds: Int64?
    package let excerpt: String?
  }

  /// Always answers within the time of one try. Throws only `CancellationError`.
  package func send(_ callback: CallbackTry, at now: Timestamp) async throws -> Answer {
    let head = HeadBox()
    do {
      return try await withDeadline(milliseconds: tryMilliseconds) {
        try await exchange(callback, at: now, head: head)
      }
    } catch {
      try Task.checkCancellation()
      // The status decides, even if the body after it never came to its end.
      if let answer = head.answer { return answer }
      return Answer(result: .error(Self.errorClass(of: error)), retryAfterSeconds: nil, excerpt: nil)
    }
  }

  package func shutdown() async { await clients.shutdown() }

  private func exchange(_ callback: CallbackTry, at now: Timestamp, head: HeadBox) async throws -> Answer {
    let url = callback.url
    let address = try await gate.address(of: url)
    // The client finds its address by the host it reads from the URL: both must read the same.
    let readHost = URL(string: url.text)?.host()?.trimmingBrackets
    guard let readHost, sameBytes(readHost, url.host) else { throw AddressGate.Refusal.addressRefused }

    let body = callback.envelope.jsonBytes
    var request = HTTPClientRequest(url: url.text)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.headers.add(name: "user-agent", value: Self.userAgent)
    for (name, value) in callback.headers(for: body, at: now) { request.headers.add(name: name, value: value) }
    request.body = .bytes(body)
    let deadline = NIODeadline.now() + .milliseconds(tryMilliseconds)
    return try await clients.with(host: url.host, address: address) { client in
      let response = try await client.execute(request, deadline: deadline)
      let status = Int(response.status.code)
      let retryAfter = response.headers.first(name: "retry-after").flatMap { RetryAfter.seconds($0, at: now) }
      head.note(Answer(result: .status(status), retryAfterSeconds: retryAfter, excerpt: nil))
      let read = await Self.beginning(of: response.body)
      return Answer(
        result: .status(status), retryAfterSeconds: retryAfter,
        excerpt: read.isEmpty ? nil : Self.excerpt(read))
    }
  }

  /// What comes, up to the limit; the rest is left, and its connection closed.
  private static func beginning(of body: HTTPClientResponse.Body) async -> [UInt8] {
    var read: [UInt8] = []
    var count = 0
    do {
      for try await part in body {
        count += part.readableBytes
        read.append(contentsOf: part.readableBytesView.prefix(Limits.callbackExcerptBytesMax - read.count))
        if count > Limits.callbackAnswerBytesMax { break }
      }
    } catch {
      // What came until then is as good.
    }
    return read
  }

  /// Text that every store can hold, within the limit.
  static func excerpt(_ bytes: [UInt8]) -> String {
    var text = String(decoding: bytes.prefix(Limits.callbackExcerptBytesMax), as: UTF8.self)
      .replacing("\0", with: "\u{fffd}")
    while text.utf8.count > Limits.callbackExcerptBytesMax { text.unicodeScalars.removeLast() }
    return text
  }

  private static func errorClass(of error: any Error) -> CallbackAttempt.ErrorClass {
    switch error {
    case AddressGate.Refusal.nameNotResolved: .nameNotResolved
    case is AddressGate.Refusal: .addressRefused
    case is DeadlineExceeded: .timedOut
    case let error as HTTPClientError:
      switch error {
      case .deadlineExceeded, .readTimeout, .writeTimeout, .connectTimeout, .tlsHandshakeTimeout: .timedOut
      case .remoteConnectionClosed: .answerInvalid
      default: .connectionFailed
      }
    case is HTTPParserError: .answerInvalid
    // The TLS library is not a dependency of ours, so its errors are told by their names.
    default: "\(type(of: error))".contains("SSL") ? .tlsFailed : .connectionFailed
    }
  }
}

/// What was known of an answer when its time ran out.
private final class HeadBox: Sendable {
  private let noted = Mutex<CallbackSender.Answer?>(nil)

  var answer: CallbackSender.Answer? { noted.withLock { $0 } }
  func note(_ answer: CallbackSender.Answer) { noted.withLock { $0 = answer } }
}

extension String {
  fileprivate var trimmingBrackets: String {
    hasPrefix("[") && hasSuffix("]") ? String(dropFirst().dropLast()) : self
  }
}
