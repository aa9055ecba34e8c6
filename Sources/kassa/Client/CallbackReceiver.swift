import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdCore
import KassaJSON
import KassaServer
import KassaService
import Logging
import NIOCore
import ServiceLifecycle

/// One callback as it came in.
struct ReceivedCallback: Sendable {
  let id: String
  let timestamp: String
  let signature: String
  let body: [UInt8]
  /// Whether one of the signatures is right for the secret, and the time within five minutes (Standard Webhooks 1.0).
  let isVerified: Bool
  let envelope: JSONObject

  var type: String { envelope.text("type") ?? "" }
  var data: JSONObject { envelope.object("data") ?? JSONObject() }
}

/// A small server on a loopback port that takes callbacks, checks their signatures, and answers with what `answer` says.
struct CallbackReceiver: Sendable {
  /// Largest body taken; Kassa's callbacks are thin.
  private static let bodyBytesMax = 1024 * 1024
  /// How old a callback's signature may be.
  private static let ageSecondsMax: Int64 = 300

  /// Makes a webhook that points here, calls `body`, and removes the webhook again, whatever happens.
  /// `clockOffsetSeconds` is not needed: callbacks carry the machine's own time.
  static func run(
    for backend: KassaClient, named name: String,
    answer: @escaping @Sendable (ReceivedCallback) async -> Int,
    _ body: @escaping @Sendable (_ secret: String) async throws -> Void
  ) async throws {
    let secret = SecretBox()
    let (ports, listening) = AsyncStream.makeStream(of: Int.self)
    let application = Application(
      responder: Responder(secret: secret, answer: answer),
      configuration: ApplicationConfiguration(address: .hostname("127.0.0.1", port: 0)),
      onServerRunning: { listening.yield($0.localAddress?.port ?? 0) }, logger: quietLogger)
    let group = ServiceGroup(configuration: .init(services: [application], logger: quietLogger))
    let running = Task { try await group.run() }
    var iterator = ports.makeAsyncIterator()
    guard let port = await iterator.next() else { throw SettingsError("cannot listen on a loopback port") }

    let webhook = try await backend.send(
      "POST", "/portal/v1/webhooks",
      json { object in
        object.member("name", name)
        object.member("url", "http://127.0.0.1:\(port)/")
        object.member("events", array: { $0.element("*") })
      })
    guard let id = webhook.text("id"), let text = webhook.text("secret") else {
      throw SettingsError("the server answered without a webhook")
    }
    secret.set(text)
    let result: Result<Void, any Error>
    do {
      result = .success(try await body(text))
    } catch {
      result = .failure(error)
    }
    _ = try? await backend.send("DELETE", "/portal/v1/webhooks/\(id)")
    await group.triggerGracefulShutdown()
    _ = try? await running.value
    try result.get()
  }

  private static var quietLogger: Logger {
    var logger = Logger(label: "kassa.receiver")
    logger.logLevel = .critical
    return logger
  }

  private struct Responder: HTTPResponder {
    let secret: SecretBox
    let answer: @Sendable (ReceivedCallback) async -> Int

    func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
      let body = Array(try await request.body.collect(upTo: CallbackReceiver.bodyBytesMax).readableBytesView)
      func header(_ name: String) -> String {
        HTTPField.Name(name).flatMap { request.headers[$0] } ?? ""
      }
      guard case .object(let envelope)? = try? JSONParser.parse(body) else { return Response(status: .badRequest) }
      let (id, timestamp, signature) = (
        header("webhook-id"), header("webhook-timestamp"), header("webhook-signature")
      )
      let callback = ReceivedCallback(
        id: id, timestamp: timestamp, signature: signature, body: body,
        isVerified: secret.verifies(signature, id: id, timestamp: timestamp, body: body), envelope: envelope)
      return Response(status: .init(code: await answer(callback)))
    }
  }

  /// The webhook's secret, known only after the receiver listens.
  private final class SecretBox: Sendable {
    private let text = LockedText()

    func set(_ text: String) { self.text.value = text }

    func verifies(_ signatures: String, id: String, timestamp: String, body: [UInt8]) -> Bool {
      guard let secret = WebhookSecret(text: text.value), let seconds = Int64(timestamp),
        abs(seconds - SystemClock.now().secondsSinceEpoch) <= CallbackReceiver.ageSecondsMax
      else { return false }
      let right = secret.signature(id: id, timestampSeconds: seconds, body: body)
      return signatures.split(separator: " ").contains { $0.utf8.elementsEqual(right.utf8) }
    }
  }
}
