import Foundation
import KassaDelivery
import KassaDomain
import KassaStore
import KassaTestDatabases
import Logging
import Synchronization
import Testing

@testable import KassaService

/// A store in a temporary file, a service over it with one merchant, and short times.
final class Harness: Sendable {
  let store: any Store
  let service: KassaService
  let merchant: MerchantID
  let principal: MerchantPrincipal
  let gate: AddressGate
  let outcomes = Outcomes()
  private let folder: URL

  /// Tries come quickly, and so many that nothing is given up.
  static let quickSchedule = schedule(tries: 60, milliseconds: 15)

  static func schedule(tries: Int, milliseconds: Int64) -> DeliverySchedule {
    DeliverySchedule(
      delaysMilliseconds: [0] + Array(repeating: milliseconds, count: tries - 1), retryAfterSecondsMax: 86_400,
      jitterShare: 0.1)
  }

  init(environment: KassaEnvironment = .playground, resolver: any HostResolver = SystemHostResolver()) async throws {
    folder = FileManager.default.temporaryDirectory.appending(path: "kassa-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    store = try TestDatabase(path: folder.appending(path: "kassa.sqlite").path).open()
    let secrets = try #require(ServerSecrets(masterKey: Array(repeating: 7, count: ServerSecrets.keyBytes)))
    gate = AddressGate(environment: environment, resolver: resolver)
    service = KassaService(
      store: store, secrets: secrets, environment: environment,
      settings: ServiceSettings(publicURL: { "http://127.0.0.1" }), webhookGate: gate, clock: Self.clock)
    let created = try await service.createMerchant(name: "Test")
    merchant = created.merchant.id
    principal = MerchantPrincipal(merchantID: merchant, keyID: created.key.key.id, requestID: "test")
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  @Sendable static func clock() -> Timestamp {
    Timestamp(millisecondsSinceEpoch: Int64((Date().timeIntervalSince1970 * 1000).rounded(.down)))
  }

  // MARK: Material

  func webhook(_ url: String, events: WebhookSubscription = .all) async throws -> WebhookWithSecret {
    let details = WebhookDestination.Details(name: "Shop", url: try WebhookURL(url), subscription: events)
    guard case .fresh(let made) = try await service.createWebhook(details, as: principal) else {
      throw Unexpected(what: "a replay")
    }
    return made
  }

  /// Appends the events of a session's life, from the given number on, in one commit.
  func session(_ id: SubjectID, sequences: ClosedRange<Int64>) async throws {
    let (service, merchant) = (self.service, self.merchant)
    let now = Self.clock()
    try await service.store.write { transaction in
      for sequence in sequences {
        let type: EventType = sequence == 1 ? .sessionCreated : sequence % 2 == 0 ? .sessionActivated : .paymentFailed
        try service.record(
          Event(
            merchantID: merchant, subjectID: id, sequence: sequence, type: type, at: now, actor: .system,
            requestID: nil), in: transaction)
      }
    }
  }

  static func subject() -> SubjectID {
    var generator = SystemRandomNumberGenerator()
    return SubjectID(using: &generator)
  }

  // MARK: Workers

  func queue(
    schedule: DeliverySchedule = quickSchedule, leaseMilliseconds: Int64 = 3000, perDestinationMax: Int = 8
  ) -> CallbackQueue {
    CallbackQueue(
      service: service, schedule: schedule, leaseMilliseconds: leaseMilliseconds, perDestinationMax: perDestinationMax)
  }

  func worker(
    _ source: any CallbackSource, tryMilliseconds: Int64 = 2000, leaseMilliseconds: Int64 = 3000
  ) -> CallbackWorker {
    CallbackWorker(
      source: source, sender: CallbackSender(gate: gate, tryMilliseconds: tryMilliseconds), commits: service.commits,
      observer: outcomes,
      pace: CallbackPace(
        pollMilliseconds: 20, lookGapMilliseconds: 1, leaseMilliseconds: leaseMilliseconds,
        tryMilliseconds: tryMilliseconds), clock: Self.clock, logger: Logger(label: "test"))
  }

  /// Runs a worker beside `body`, and cancels it afterwards.
  func working<Value: Sendable>(
    _ worker: CallbackWorker, _ body: @Sendable () async throws -> Value
  ) async throws -> Value {
    let task = Task { try await worker.run() }
    let result: Result<Value, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    task.cancel()
    try await task.value
    return try result.get()
  }

  func nothingPending() async throws {
    try await eventually("nothing is pending") { try await self.service.pendingCallbacks() == 0 }
  }

  func deliveries(_ id: WebhookID) async throws -> [LoggedDelivery] {
    try await service.deliveries(to: id, state: nil, PageRequest(number: 0, size: 1000), as: principal)
      .content.map(\.logged)
  }
}

struct Unexpected: Error {
  let what: String
}

/// Waits until it is so, at most so many seconds.
func eventually(
  _ what: String, seconds: Double = 30, _ condition: @Sendable () async throws -> Bool
) async throws {
  let end = ContinuousClock.now.advanced(by: .seconds(seconds))
  while ContinuousClock.now < end {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw Unexpected(what: "not in time: \(what)")
}

final class Outcomes: CallbackObserver {
  private let noted = Mutex<[CallbackOutcome]>([])
  var all: [CallbackOutcome] { noted.withLock { $0 } }
  func callbackTried(_ outcome: CallbackOutcome) { noted.withLock { $0.append(outcome) } }
}

/// Reads a member's text out of an envelope.
func member(_ name: String, of body: String) -> String? {
  guard let start = body.range(of: "\"\(name)\":") else { return nil }
  let rest = body[start.upperBound...]
  return rest.hasPrefix("\"")
    ? String(rest.dropFirst().prefix { $0 != "\"" }) : String(rest.prefix { $0 != "," && $0 != "}" })
}

/// What is wrong with how a receiver was sent the events of sessions: each number must first come after the one before
/// was acknowledged, each must come, and each under one id only.
func orderFlaws(_ log: [Receiver.Entry], sessions: [SubjectID], lastSequence: Int64) -> [String] {
  var flaws: [String] = []
  var acknowledged: [String: Int64] = [:]
  var ids: [String: String] = [:]
  for entry in log {
    let request =
      switch entry {
      case .received(let request): request
      case .answered(let request, _): request
      }
    guard let session = member("session_id", of: request.body),
      let sequence = member("sequence", of: request.body).flatMap({ Int64($0) }),
      let id = member("id", of: request.body)
    else {
      flaws.append("unreadable: \(request.body)")
      continue
    }
    let done = acknowledged[session] ?? 0
    switch entry {
    case .received:
      if sequence > done + 1 { flaws.append("\(session): \(sequence) was sent when \(done) was acknowledged") }
      if let known = ids["\(session) \(sequence)"], known != id { flaws.append("\(session) \(sequence): two ids") }
      if request.headers["webhook-id"] != id { flaws.append("webhook-id is not the event's id") }
      ids["\(session) \(sequence)"] = id
    case .answered(_, let status):
      if status == 200 { acknowledged[session] = max(done, sequence) }
    }
  }
  for session in sessions where acknowledged["\(session)"] != lastSequence {
    flaws.append("\(session): acknowledged up to \(acknowledged["\(session)"] ?? 0) of \(lastSequence)")
  }
  return flaws
}
