import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import HummingbirdTLS
import KassaDomain
import KassaJSON
import Logging
import NIOCore
import NIOSSL
import ServiceLifecycle

/// Serves one emulator on a loopback port.
package final class EmulatorServer: Sendable {
  package static let host = "127.0.0.1"
  /// Largest body taken.
  private static let bodyBytesMax = 1024 * 1024
  /// How long a call is kept without an answer.
  private static let neverSeconds: Int64 = 60
  /// The pause between two looks at what is due.
  private static let roundMilliseconds: Int64 = 50

  /// Without a slash at the end.
  package let url: String
  package let port: Int
  private let group: ServiceGroup
  private let running: Task<Void, any Error>
  private let rounds: Task<Void, Never>

  private init(url: String, port: Int, group: ServiceGroup, running: Task<Void, any Error>, rounds: Task<Void, Never>) {
    self.url = url
    self.port = port
    self.group = group
    self.running = running
    self.rounds = rounds
  }

  package struct CannotListen: Error, CustomStringConvertible {
    package let description: String
  }

  /// Returns once it listens. `port` 0 takes any free one.
  package static func start(_ emulator: some ProviderEmulator, port: Int = 0) async throws -> EmulatorServer {
    var logger = Logger(label: "kassa.emulator")
    logger.logLevel = .critical
    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
    let server: HTTPServerBuilder =
      try emulator.tls.map { try .tls(.http1(), tlsConfiguration: $0.configuration) } ?? .http1()
    let application = Application(
      responder: Responder(emulator: emulator), server: server,
      configuration: ApplicationConfiguration(address: .hostname(host, port: port), serverName: nil),
      onServerRunning: { listening.yield($0.localAddress?.port ?? 0) }, logger: logger)
    let group = ServiceGroup(configuration: .init(services: [application], logger: logger))
    let running = Task {
      defer { listening.finish() }
      try await group.run()
    }
    var iterator = ports.makeAsyncIterator()
    guard let bound = await iterator.next() else {
      do {
        try await running.value
        throw CannotListen(description: "cannot listen on \(host), port \(port)")
      } catch {
        throw CannotListen(description: "cannot listen on \(host), port \(port): \(error)")
      }
    }
    let rounds = Task {
      while !Task.isCancelled {
        emulator.timePassed()
        await emulator.world.notifications.deliverDue()
        try? await Task.sleep(for: .milliseconds(roundMilliseconds))
      }
    }
    let scheme = emulator.tls == nil ? "http" : "https"
    return EmulatorServer(
      url: "\(scheme)://\(host):\(bound)", port: bound, group: group, running: running, rounds: rounds)
  }

  package func stop() async {
    rounds.cancel()
    await group.triggerGracefulShutdown()
    running.cancel()
    _ = try? await running.value
  }

  private struct Context: InitializableFromSource, RequestContext {
    var coreContext: CoreRequestContextStorage
    let connection: any Channel

    init(source: ApplicationRequestContextSource) {
      coreContext = .init(source: source)
      connection = source.channel
    }
  }

  private struct Responder: HTTPResponder {
    let emulator: any ProviderEmulator
    let control: EmulatorControl
    let routes: [EmulatorRoute]

    init(emulator: any ProviderEmulator) {
      self.emulator = emulator
      control = EmulatorControl(emulator: emulator)
      routes = emulator.routes
    }

    func respond(to request: Request, context: Context) async throws -> Response {
      let target = request.uri.string.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
      let path = String(target[0])
      let body = Array(try await request.body.collect(upTo: EmulatorServer.bodyBytesMax).readableBytesView)
      let query = target.count == 2 ? FormDecoding.decode(String(target[1])) ?? [] : []
      var headers = request.headers.map { (name: $0.name.canonicalName, value: $0.value) }
      if let authority = request.head.authority { headers.append(("host", authority)) }
      func emulated(_ parameters: [String: String]) -> EmulatorRequest {
        EmulatorRequest(
          method: request.method.rawValue, path: path, query: query, headers: headers, body: body,
          parameters: parameters, at: emulator.world.clock.now)
      }
      if path.hasPrefix("/emulator/") { return await control.respond(to: emulated([:])).response }
      for route in routes where route.method == request.method.rawValue {
        guard let parameters = route.parameters(of: path) else { continue }
        return await answer(route, emulated(parameters), on: context.connection)
      }
      emulator.world.journal.note(
        .init(
          at: emulator.world.clock.now, operation: "unmatched", path: "\(request.method.rawValue) \(path)", status: 404,
          undocumented: ["\(request.method.rawValue) \(path)"]))
      return emulator.refusal(status: 404).response
    }

    private func answer(_ route: EmulatorRoute, _ request: EmulatorRequest, on connection: any Channel) async
      -> Response
    {
      emulator.timePassed()
      switch emulator.world.faults.take(for: route.operation) {
      case nil: return await run(route, request).response
      case .unreachable: return await close(connection)
      case .never:
        for _ in 0..<EmulatorServer.neverSeconds * 10 where connection.isActive {
          guard (try? await Task.sleep(for: .milliseconds(100))) != nil else { break }
        }
        return await close(connection)
      case .answerLost:
        _ = await run(route, request)
        return await close(connection)
      case .answerLate(let milliseconds):
        let response = await run(route, request)
        try? await Task.sleep(for: .milliseconds(milliseconds))
        return response.response
      case .twice:
        _ = await run(route, request)
        return await run(route, request).response
      case .refused(let status): return emulator.refusal(status: status).response
      case .refusedAfterEffect(let status):
        _ = await run(route, request)
        return emulator.refusal(status: status).response
      case .kept(let status, let hasEffect):
        if emulator.keepsAnswers {
          var broken = request
          broken.breakdown = EmulatorBreakdown(status: status, hasEffect: hasEffect)
          return await run(route, broken).response
        }
        if hasEffect { _ = await run(route, request) }
        return emulator.refusal(status: status).response
      case .beforeAnswer(let body):
        let response = await run(route, request)
        await body()
        return response.response
      }
    }

    private func run(_ route: EmulatorRoute, _ request: EmulatorRequest) async -> EmulatorResponse {
      let undocumented = EmulatorJournal.Undocumented()
      let response = await EmulatorJournal.$current.withValue(undocumented) { await route.handle(request) }
      emulator.world.journal.note(
        .init(
          at: request.at, operation: route.operation, path: request.path, status: response.status,
          undocumented: undocumented.names))
      return response
    }

    private func close(_ connection: any Channel) async -> Response {
      try? await connection.close(mode: .all)
      return Response(status: .serviceUnavailable)
    }
  }
}

extension EmulatorResponse {
  fileprivate var response: Response {
    var fields = HTTPFields()
    for (name, value) in headers {
      if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
    }
    return Response(status: .init(code: status), headers: fields, body: .init(byteBuffer: ByteBuffer(bytes: body)))
  }
}

extension EmulatorTLS {
  fileprivate var configuration: TLSConfiguration {
    get throws {
      var configuration = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(certificateChain.utf8)).map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(privateKey.utf8), format: .pem)))
      if let clientRoots {
        configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(clientRoots.utf8)))
        configuration.certificateVerification = .noHostnameVerification
      }
      return configuration
    }
  }
}
