import ArgumentParser
import AsyncHTTPClient
import Foundation
import KassaServer
import NIOCore
import UnixSignals

/// Which server, and as which merchant's backend.
struct BackendOptions: ParsableArguments {
  @Option(help: "The server. [default: http://127.0.0.1:8080]")
  var url: String?

  @Option(help: "The merchant's API key. [default: KASSA_API_KEY]")
  var apiKey: String?

  @Option(help: "The ready file of a running playground: gives both.")
  var readyFile: String?

  func client() throws -> KassaClient {
    var (url, key) = (url, apiKey ?? ProcessInfo.processInfo.environment["KASSA_API_KEY"])
    if let readyFile {
      guard let data = FileManager.default.contents(atPath: readyFile), let ready = jsonObject(of: Array(data)) else {
        throw SettingsError("--ready-file: \(readyFile) is not the ready file of a playground")
      }
      (url, key) = (url ?? ready.text("url"), key ?? ready.text("api_key"))
    }
    guard let key else { throw SettingsError("give --api-key, --ready-file or KASSA_API_KEY") }
    return KassaClient(url: url ?? "http://127.0.0.1:8080", authorization: "Basic \(key)")
  }
}

struct Listen: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print callbacks as they happen, and forward them to a local address.",
    discussion: """
      Makes a webhook at a playground on this machine, checks the signature of everything that comes, prints a line for \
      each, and removes the webhook when it ends (Ctrl-C). With --forward-to each callback is passed on as it is, \
      signature included, and your address's answer is given back to Kassa: an error is tried again, as in production. \
      The secret to check the signatures with is printed first.
      """)

  @OptionGroup var backend: BackendOptions

  @Option(help: "Where callbacks are passed on to, like http://127.0.0.1:3000/webhooks.")
  var forwardTo: String?

  /// Time that the local address has for its answer; Kassa itself waits 15 s.
  private static let forwardSeconds: Int64 = 14

  func run() async throws {
    let backend = try backend.client()
    let forwardTo = forwardTo
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    try await CallbackReceiver.run(for: backend, named: "kassa listen") { callback in
      let status = await Self.forward(callback, to: forwardTo)
      Console.say(Self.line(callback, status, isForwarded: forwardTo != nil))
      return status
    } _: { secret in
      Console.say("signing secret  \(secret)\nlistening for callbacks of \(backend.url); stop with Ctrl-C")
      for await _ in signals { return }
    }
  }

  private static func forward(_ callback: ReceivedCallback, to url: String?) async -> Int {
    guard let url else { return 204 }
    var request = HTTPClientRequest(url: url)
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    request.headers.add(name: "webhook-id", value: callback.id)
    request.headers.add(name: "webhook-timestamp", value: callback.timestamp)
    request.headers.add(name: "webhook-signature", value: callback.signature)
    request.body = .bytes(callback.body)
    do {
      return Int(try await HTTPClient.shared.execute(request, timeout: .seconds(forwardSeconds)).status.code)
    } catch {
      Console.warn("\(url) cannot be reached: \(error)")
      return 502
    }
  }

  private static func line(_ callback: ReceivedCallback, _ status: Int, isForwarded: Bool) -> String {
    let data = callback.data
    let subject = data.text("session_id") ?? data.text("device_id") ?? ""
    let details = [
      data.integer("sequence").map { "#\($0)" }, data.text("order_id").map { "order \($0)" },
      data.text("failure_reason"),
    ].compactMap { $0 }.joined(separator: "  ")
    let verified = callback.isVerified ? "verified" : "SIGNATURE WRONG"
    let answer = isForwarded ? "  → \(status)" : ""
    return "\(SystemClock.now())  \(callback.type)  \(subject)  \(details)  \(verified)\(answer)"
  }
}
