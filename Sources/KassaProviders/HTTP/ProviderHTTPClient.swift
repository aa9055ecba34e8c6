import AsyncHTTPClient
import Foundation
import KassaDomain
import KassaService
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// Calls providers over HTTP for all adapters: with time limits, bounded repetition within one budget, and an honest word
/// of what is known in the end. One for a server; connections are kept for each address and certificate.
///
/// Puts nothing of a call's address, headers or bodies into its words: any of them may hold a secret.
package final class ProviderHTTPClient: Sendable {
  private static let userAgent = "Kassa/1.0 (payments)"

  package let limits: CallLimits
  private let client: HTTPClient
  private let clock: @Sendable () -> Timestamp

  /// `clock` is what dates in `Retry-After` are compared with.
  package init(limits: CallLimits = CallLimits(), clock: @escaping @Sendable () -> Timestamp) {
    self.limits = limits
    self.clock = clock
    var configuration = HTTPClient.Configuration()
    configuration.redirectConfiguration = .disallow
    configuration.decompression = .disabled
    configuration.httpVersion = .http1Only
    configuration.proxy = nil
    configuration.timeout.connect = .milliseconds(limits.tryMilliseconds)
    configuration.connectionPool.retryConnectionEstablishment = false
    client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// Ends all connections. No call is made after this.
  package func shutdown() async { try? await client.shutdown() }

  /// For one question to an adapter.
  package func budget() -> CallBudget { CallBudget(milliseconds: limits.budgetMilliseconds) }

  /// Makes the call, again if that may help, and answers within the budget.
  package func send(
    _ call: ProviderCall, to address: ProviderAddress, within budget: CallBudget
  ) async -> ProviderResponse {
    var mayHaveHadEffect = false
    var pauseMax = limits.pauseMilliseconds
    var tries = 0
    while true {
      tries += 1
      let response = await attempt(call, address, within: budget, isRepetition: mayHaveHadEffect)
      let pause: Int64
      switch response {
      case .answered(let answer):
        guard call.passingStatuses.contains(answer.status) else { return response }
        // Whoever refuses because of too many calls has done nothing; of any other failure that is not known.
        if answer.status >= 500 || answer.status == 408 { mayHaveHadEffect = true }
        pause =
          answer.header("retry-after").flatMap { RetryAfter.seconds($0, at: clock()) }
          .map { min($0, 3600) * 1000 } ?? Int64.random(in: 0...pauseMax)
      case .neverLeft: pause = Int64.random(in: 0...pauseMax)
      case .noAnswer:
        mayHaveHadEffect = true
        pause = Int64.random(in: 0...pauseMax)
      }
      pauseMax *= 2
      guard call.isRepeatable, tries < limits.triesMax, pause < budget.remainingMilliseconds,
        (try? await Task.sleep(for: .milliseconds(pause))) != nil
      else {
        if case .neverLeft(let words) = response, mayHaveHadEffect { return .noAnswer(words) }
        return response
      }
    }
  }

  private func attempt(
    _ call: ProviderCall, _ address: ProviderAddress, within budget: CallBudget, isRepetition: Bool
  ) async -> ProviderResponse {
    let milliseconds = min(limits.tryMilliseconds, budget.remainingMilliseconds)
    guard milliseconds > 0 else { return .neverLeft("no time was left for the call") }
    let sent = SentMark()
    var request = HTTPClientRequest(url: address.baseURL + call.path)
    request.method = .RAW(value: call.method.rawValue)
    request.tlsConfiguration = address.tls
    request.headers.add(name: "user-agent", value: Self.userAgent)
    request.headers.add(name: "accept", value: "application/json, */*;q=0.1")
    var content: [UInt8] = []
    switch call.body {
    case .bytes(let bytes, let type):
      content = bytes
      request.headers.add(name: "content-type", value: type)
    case .form(let fields):
      content = FormEncoding.encode(fields)
      request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
    case .empty:
      if call.method != .get && call.method != .delete { request.body = .bytes([UInt8]()) }
    }
    if !content.isEmpty {
      request.body = .stream(MarkedBody(bytes: content, mark: sent), length: .known(Int64(content.count)))
    }
    for (name, value) in call.headers { request.headers.replaceOrAdd(name: name, value: value) }

    let deadline = NIODeadline.now() + .milliseconds(milliseconds)
    do {
      let response = try await client.execute(request, deadline: deadline)
      let body = try await response.body.collect(upTo: limits.answerBytesMax)
      return .answered(
        ProviderHTTPAnswer(
          status: Int(response.status.code),
          headers: response.headers.map { (name: $0.name.lowercased(), value: $0.value) },
          body: Array(body.readableBytesView), isOfRepetition: isRepetition))
    } catch {
      let words = Self.words(for: error, milliseconds: milliseconds)
      // A request that announces a body and never began to send it cannot be acted upon.
      let neverLeft = content.isEmpty ? Self.isOfConnecting(error) : !sent.isSet
      return neverLeft ? .neverLeft(words) : .noAnswer(words)
    }
  }

  /// Whether no connection was made, so that nothing can have been sent on it.
  private static func isOfConnecting(_ error: any Error) -> Bool {
    switch error {
    case let error as HTTPClientError:
      [.connectTimeout, .tlsHandshakeTimeout, .getConnectionFromPoolTimeout, .invalidURL, .emptyHost].contains(error)
    case is NIOConnectionError: true
    case let error as IOError: error.errnoCode == ECONNREFUSED
    default: false
    }
  }

  private static func words(for error: any Error, milliseconds: Int64) -> String {
    switch error {
    case let error as HTTPClientError:
      switch error {
      case .deadlineExceeded, .readTimeout, .writeTimeout: "no answer within \(milliseconds) ms"
      case .connectTimeout, .getConnectionFromPoolTimeout: "no connection within \(milliseconds) ms"
      case .tlsHandshakeTimeout: "no TLS connection within \(milliseconds) ms"
      case .remoteConnectionClosed: "the connection was closed before an answer"
      case .invalidURL, .emptyHost, .emptyScheme: "the address is not one of HTTP"
      default: "the call failed (\(error.shortDescription))"
      }
    case is NIOConnectionError: "cannot be reached"
    case let error as IOError: error.errnoCode == ECONNREFUSED ? "the connection was refused" : "the connection broke"
    case is NIOTooManyBytesError: "the answer is too large"
    case is NIOSSLError, is BoringSSLError: "no TLS connection: a certificate was not accepted"
    case is HTTPParserError: "the answer is not HTTP"
    default: "the call failed (\(type(of: error)))"
    }
  }
}

/// Whether a request's body began to be sent.
private final class SentMark: Sendable {
  private let isMarked = Atomic(false)

  var isSet: Bool { isMarked.load(ordering: .acquiring) }
  func set() { isMarked.store(true, ordering: .releasing) }
}

/// A body in one part, which notes when it is asked for: the client does so only once the head was written.
private struct MarkedBody: AsyncSequence, Sendable {
  typealias Element = ByteBuffer

  let bytes: [UInt8]
  let mark: SentMark

  struct AsyncIterator: AsyncIteratorProtocol {
    let body: MarkedBody
    var isDone = false

    mutating func next() async -> ByteBuffer? {
      if isDone { return nil }
      isDone = true
      body.mark.set()
      return ByteBuffer(bytes: body.bytes)
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: self) }
}
