import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import KassaDomain
import KassaService
import Logging
import NIOCore
import ServiceLifecycle
import Synchronization

/// Takes providers' notifications over HTTP and gives them to the service, as the server does.
final class NotificationReceiver: Sendable {
  let url: String
  private let responder: Responder
  private let group: ServiceGroup
  private let running: Task<Void, any Error>

  private init(url: String, responder: Responder, group: ServiceGroup, running: Task<Void, any Error>) {
    self.url = url
    self.responder = responder
    self.group = group
    self.running = running
  }

  static func start(clock: @escaping @Sendable () -> Timestamp) async throws -> NotificationReceiver {
    var logger = Logger(label: "receiver")
    logger.logLevel = .critical
    let responder = Responder(clock: clock)
    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
    let application = Application(
      responder: responder, configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { listening.yield($0.localAddress?.port ?? 0) }, logger: logger)
    let group = ServiceGroup(configuration: .init(services: [application], logger: logger))
    let running = Task { try await group.run() }
    var iterator = ports.makeAsyncIterator()
    guard let port = await iterator.next() else { throw ServiceFailure.notFound }
    return NotificationReceiver(url: "http://127.0.0.1:\(port)", responder: responder, group: group, running: running)
  }

  func connect(_ service: KassaService) { responder.service.withLock { $0 = service } }

  func stop() async {
    await group.triggerGracefulShutdown()
    _ = try? await running.value
  }

  private final class Responder: HTTPResponder {
    let service = Mutex<KassaService?>(nil)
    private let clock: @Sendable () -> Timestamp

    init(clock: @escaping @Sendable () -> Timestamp) { self.clock = clock }

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
      let body = Array(try await request.body.collect(upTo: 256 * 1024).readableBytesView)
      let segments = request.uri.path.split(separator: "/").map(String.init)
      guard let service = service.withLock({ $0 }), segments.count >= 4,
        let method = PaymentMethod(rawValue: segments[2].uppercased()), let merchant = MerchantID(text: segments[3])
      else { return Response(status: .notFound) }
      var headers = request.headers.map { (name: $0.name.canonicalName, value: $0.value) }
      if let authority = request.head.authority { headers.append(("host", authority)) }
      let notification = ProviderNotification(
        method: request.method.rawValue, target: request.uri.string, headers: headers, body: body,
        receivedAt: clock())
      do {
        try await service.hear(
          notification, for: method, of: merchant,
          about: segments.count > 4 ? PaymentID(text: segments[4]) : nil)
        return Response(status: .noContent)
      } catch {
        return Response(status: .unauthorized)
      }
    }
  }
}
