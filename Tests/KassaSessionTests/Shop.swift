import Foundation
import KassaDomain
import KassaProviders
import KassaService
import KassaStore
import KassaTestDatabases
import Synchronization
import Testing

/// A clock that stands still until a test moves it.
final class TestClock: Sendable {
  private let time = Mutex(Make.epoch)

  var now: Timestamp { time.withLock { $0 } }

  func advance(seconds: Int64) { time.withLock { $0 = $0.adding(seconds: seconds) } }
}

/// A merchant with devices, a service on a database of its own in a temporary folder, and a simulated card network.
final class Shop: Sendable {
  let store: any Store
  let clock: TestClock
  private let secrets: ServerSecrets
  let cards: SimulatedCardProvider
  let service: KassaService
  let notices: Notices
  let backend: MerchantPrincipal
  private let folder: URL

  /// `around` may put another store between the service and the database, and `before` another provider before the card
  /// network. Without `kinds` cards are simulated, for every merchant; with them each merchant has what it configured.
  /// `scans` collects by scanned codes.
  init(
    answerSeconds: Int64 = 15, clock: TestClock = TestClock(), scans: ScanNetwork? = nil,
    kinds: ((SimulatedCardProvider) -> [ProviderKind])? = nil, builtIn: [BuiltInMethod] = [],
    movementSettled: @escaping @Sendable (OrderMovement) -> Void = { _ in },
    movementUnknown: @escaping @Sendable (OrderMovement, OperatorDetail) -> Void = { _, _ in },
    around: @Sendable (any Store) -> any Store = { $0 },
    before: @Sendable (SimulatedCardProvider) -> any PaymentProvider = { $0 }
  ) async throws {
    self.clock = clock
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("kassa-sessions-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    store = try TestDatabase(path: folder.appendingPathComponent("kassa.sqlite").path).open()
    cards = SimulatedCardProvider(store: store)
    let notices = Notices()
    self.notices = notices
    secrets = try #require(ServerSecrets(masterKey: Array(repeating: 7, count: ServerSecrets.keyBytes)))
    var fixed: [PaymentMethod: any PaymentProvider] = [.card: before(cards)]
    if let scans { (fixed[.swish], fixed[.vipps]) = (scans, scans) }
    service = KassaService(
      store: around(store), secrets: secrets, environment: .playground,
      settings: ServiceSettings(providerAnswerSeconds: answerSeconds, publicURL: { "http://localhost" }),
      providerKinds: kinds?(cards) ?? [], builtInMethods: builtIn,
      providers: kinds == nil ? FixedProviders(fixed) : nil,
      buyers: scans.map { [.swish: $0, .vipps: $0] } ?? [:],
      hooks: ServiceHooks(
        paymentNoticed: { notices.add($0) }, movementSettled: movementSettled, movementUnknown: movementUnknown),
      clock: { clock.now })
    try await service.claimInstallation()
    let (merchant, key) = try await service.createMerchant(name: "Shop")
    backend = MerchantPrincipal(merchantID: merchant.id, keyID: key.key.id, requestID: "test")
    cards.whenToldAgain { [service] charge, report in await service.hearAgain(report, charge) }
  }

  /// Another service on the same store.
  func service(kinds: [ProviderKind], builtIn: [BuiltInMethod]) -> KassaService {
    KassaService(
      store: store, secrets: secrets, environment: .playground,
      settings: ServiceSettings(publicURL: { "http://localhost" }), providerKinds: kinds, builtInMethods: builtIn,
      clock: { [clock] in clock.now })
  }

  /// Another service with the same card network, on another store.
  func service(over store: any Store) -> KassaService {
    KassaService(
      store: store, secrets: secrets, environment: .playground,
      settings: ServiceSettings(publicURL: { "http://localhost" }), providers: FixedProviders([.card: cards]),
      clock: { [clock] in clock.now })
  }

  deinit {
    try? FileManager.default.removeItem(at: folder)
  }

  /// Ends all use of the database; its folder goes with the last reference.
  func close() async { await store.close() }

  var merchant: CollectingActor { .merchant(backend) }

  // MARK: Setting up

  func pair() async throws -> DevicePrincipal {
    let answered = try await service.createSimulatedDevice(
      name: "Till", metadata: .empty, locationID: nil, as: backend)
    guard case .fresh(let paired) = answered else { throw ServiceFailure.notFound }
    return try await service.authenticateDevice(token: paired.bearerToken, proof: nil, requestID: "device")
  }

  func pair(_ count: Int) async throws -> [DevicePrincipal] {
    var devices: [DevicePrincipal] = []
    for _ in 0..<count { devices.append(try await pair()) }
    return devices
  }

  func create(
    on device: DevicePrincipal, amount: Int64 = 100, reference: String? = nil, at location: LocationID? = nil,
    once: IdempotentRequest<SessionView>? = nil
  ) async throws -> SessionID {
    let input = CreateSession(
      deviceID: device.device.id, locationID: location, cart: try Make.cart(amount),
      details: Session.Details(merchantReference1: reference))
    guard case .fresh(let view) = try await service.createSession(input, as: backend, once: once) else {
      throw Violation(description: "the session was replayed")
    }
    return view.session.id
  }

  /// A session whose attempt waits for a card.
  func awaiting(on device: DevicePrincipal, amount: Int64 = 100) async throws -> (
    session: SessionID, payment: PaymentID
  ) {
    let session = try await create(on: device, amount: amount)
    let view = try await service.startPayment(.card, of: session, as: .device(device))
    return (session, view.payment.id)
  }

  /// What a phone does when a card is tapped. Returns the attempt as it was answered.
  func pay(
    _ payment: PaymentID, of session: SessionID, as device: DevicePrincipal, _ outcome: SimulatedOutcome = .success
  ) async throws -> CollectionView {
    guard try await cards.tap(payment, outcome) else { throw ServiceFailure.noPaymentUnderWay }
    return try await service.settlePayment(payment, of: session, as: .device(device))
  }

  // MARK: Looking

  func session(_ id: SessionID) async throws -> Session { try await view(id).session }

  func view(_ id: SessionID) async throws -> SessionView { try await service.session(id, as: merchant) }

  func charge(_ payment: PaymentID) async throws -> SimulatedCharge? {
    try await store.read { try $0.simulatedCards.find(payment) }
  }

  // MARK: Time

  /// Lets time go by until nothing is open and nothing is due: the sweeper's work with a clock that runs fast.
  func rest() async throws {
    for _ in 0..<40 {
      _ = try await service.expireSessions()
      _ = try await service.reconcilePayments()
      _ = try await service.reconcileOrders()
      let (due, end) = (clock.now, clock.now.adding(seconds: 30 * 86_400))
      let isBusy = try await store.read { transaction in
        try PaymentMethod.allCases.contains { method in
          try !transaction.payments.due(at: end, by: method, limit: 1).isEmpty
            || !transaction.orders.dueMovements(at: end, by: method, limit: 1).isEmpty
        }
          || !transaction.sessions.due(at: end, limit: 1).isEmpty
      }
      if !isBusy, due > Make.epoch { return }
      clock.advance(seconds: Limits.outcomeCheckSecondsMax)
    }
    throw Violation(description: "the reconciler never comes to rest")
  }
}

/// What those who run Kassa were told.
final class Notices: Sendable {
  private let noticed = Mutex<[PaymentNotice]>([])

  var all: [PaymentNotice] { noticed.withLock { $0 } }

  func add(_ notice: PaymentNotice) { noticed.withLock { $0.append(notice) } }

  /// The words of it all, in their order, but for outcomes: `unknown: the answer was lost`.
  var words: [String] {
    all.compactMap { notice in
      switch notice.what {
      case .outcome: nil
      case .unknown(let detail): "unknown: \(detail.text)"
      case .settled: "settled"
      case .givenUp: "given up"
      case .unverified(let detail): "unverified: \(detail.text)"
      case .lateMoney: "late money"
      case .givenBack: "given back"
      case .givingBack: "giving back"
      case .cameBack(let detail): "came back: \(detail.text)"
      case .reversalRefused(let detail): "refused: \(detail.text)"
      case .reversalUnknown(let detail): "reversal unknown: \(detail.text)"
      }
    }
  }
}

/// The case of the failure that `body` ends with, without what it carries; `nil` when it succeeds.
func failure(_ body: () async throws -> Void) async throws -> String? {
  do {
    try await body()
    return nil
  } catch let failure as ServiceFailure {
    return String("\(failure)".prefix { $0 != "(" })
  }
}
