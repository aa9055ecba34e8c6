import AsyncHTTPClient
import Foundation
import KassaDomain
import KassaEmulators
import KassaProviders
import KassaSQLite
import KassaService
import KassaStore
import KassaTestDatabases
import NIOCore
import Testing

/// A merchant with devices, the real service on a database of its own, an adapter, and its emulator over real HTTP. One
/// clock for all: the emulator's. Notifications are held until a test sends them.
final class ProviderShop: Sendable {
  static let amount: Int64 = 24_000

  let harness: ProviderHarness
  let emulator: any ProviderEmulator
  let store: SQLiteStore
  let service: KassaService
  let backend: MerchantPrincipal
  /// What the merchant entered for the provider.
  let settings: [String: String]
  private let server: EmulatorServer
  private let http: ProviderHTTPClient
  private let receiver: NotificationReceiver
  private let folder: URL

  struct Violation: Error, CustomStringConvertible {
    let description: String
  }

  /// Ends everything, whatever `body` does. `limits` bound the calls to the provider; a careless adapter, or one that is
  /// spoilt otherwise, is the control.
  static func with(
    _ harness: ProviderHarness, limits: CallLimits = CallLimits(pauseMilliseconds: 5), isCareless: Bool = false,
    spoilt: (@Sendable (ProviderKind) -> ProviderKind)? = nil, _ body: (ProviderShop) async throws -> Void
  ) async throws {
    let shop = try await ProviderShop(harness, limits, spoilt ?? (isCareless ? CarelessProvider.kind : nil))
    let result: Result<Void, any Error>
    do {
      result = .success(try await body(shop))
    } catch {
      result = .failure(error)
    }
    await shop.end()
    try result.get()
  }

  private init(
    _ harness: ProviderHarness, _ limits: CallLimits, _ spoilt: (@Sendable (ProviderKind) -> ProviderKind)?
  ) async throws {
    self.harness = harness
    let emulator = try harness.emulator()
    self.emulator = emulator
    emulator.world.notifications.hold(true)
    let clock: @Sendable () -> Timestamp = { emulator.world.clock.now }
    server = try await EmulatorServer.start(emulator)
    http = ProviderHTTPClient(limits: limits, clock: clock)
    receiver = try await NotificationReceiver.start(clock: clock)
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("kassa-providers-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    store = try SQLiteStore(path: folder.appendingPathComponent("kassa.sqlite").path)
    let url = receiver.url
    let kind = harness.kind(http, clock)
    service = KassaService(
      store: store, secrets: try #require(ServerSecrets(masterKey: Array(repeating: 7, count: ServerSecrets.keyBytes))),
      environment: .playground, settings: ServiceSettings(publicURL: { url }),
      providerKinds: [spoilt?(kind) ?? kind], clock: clock)
    try await service.claimInstallation()
    let (merchant, key) = try await service.createMerchant(name: "Shop")
    backend = MerchantPrincipal(merchantID: merchant.id, keyID: key.key.id, requestID: "test")
    receiver.connect(service)
    settings = emulator.settings(url: server.url).reduce(into: [:]) { $0[$1.name] = $1.value }
      .merging(harness.settings) { $1 }
    _ = try await service.replacePaymentMethod(
      harness.method,
      with: ReplacePaymentMethod(
        provider: harness.provider, isOn: true, capturePolicy: .automatic,
        settings: settings), as: .backend(backend))
    // A spoilt adapter cannot be subscribed to. The others take it where their kind says that they need it.
    do {
      _ = try await service.subscribePaymentMethod(harness.method, as: .backend(backend))
      try #require(kind.needsSubscription, "\(harness.provider) takes a subscription, and its kind does not say so")
    } catch ServiceFailure.providerRefused where spoilt != nil || !kind.needsSubscription {
      // It is told with each payment where to notify.
    }
  }

  private func end() async {
    // What a notification set off may still be calling.
    await http.shutdown()
    await server.takeLastCall()
    await receiver.stop()
    await server.stop()
    await store.close()
    try? FileManager.default.removeItem(at: folder)
  }

  var merchant: CollectingActor { .merchant(backend) }

  // MARK: Setting up

  func pair() async throws -> DevicePrincipal {
    let answered = try await service.createSimulatedDevice(
      name: "Till", metadata: .empty, locationID: nil, as: backend)
    guard case .fresh(let paired) = answered else { throw ServiceFailure.notFound }
    return try await service.authenticateDevice(token: paired.bearerToken, proof: nil, requestID: "device")
  }

  func create(on device: DevicePrincipal) async throws -> SessionID {
    let currency = try #require(Currency(code: harness.currency))
    let line = Cart.Line(
      type: .physical, reference: "SKU-1", name: "T-Shirt", quantity: 2, unitPrice: Self.amount / 2,
      totalAmount: Self.amount, totalDiscountAmount: 0, taxRate: 2500, totalTaxAmount: Self.amount / 5)
    let cart = try Cart.make(
      orderAmount: Self.amount, currency: currency, lines: [line], orderTaxAmount: nil
    ).get()
    let input = CreateSession(
      deviceID: device.device.id, locationID: nil, cart: cart,
      details: Session.Details(merchantReference1: "ORDER-1"))
    guard case .fresh(let view) = try await service.createSession(input, as: backend, once: nil) else {
      throw Violation(description: "the session was replayed")
    }
    return view.session.id
  }

  /// A session whose attempt waits for its buyer, with a code that is shown.
  func awaiting(on device: DevicePrincipal) async throws -> (session: SessionID, payment: PaymentID) {
    let session = try await create(on: device)
    let view = try await service.startPayment(harness.method, of: session, as: .device(device))
    guard view.payment.state == .open, view.payment.nextAction != nil else {
      throw Violation(
        description: "the attempt is \(view.payment.state), and shows \("\(view.payment.nextAction as Any)")")
    }
    return (session, view.payment.id)
  }

  /// An attempt that the buyer paid while nobody could be asked, so that its session was given up; `pay` says how. Its
  /// money is there to be found.
  func given(
    up device: DevicePrincipal, pay: (PaymentID) throws -> Void
  ) async throws -> (session: SessionID, payment: PaymentID) {
    let (session, payment) = try await awaiting(on: device)
    try pay(payment)
    let faults = emulator.world.faults
    for operation in harness.operations { faults.plan(.unreachable, for: operation, count: 100) }
    try await wait("the session is given up") {
      if try await state(session) == .failed { return true }
      advance(Limits.outcomeUnknownSecondsMax / 2)
      _ = try await service.expireSessions()
      _ = try await service.reconcilePayments()
      return false
    }
    faults.clear()
    return (session, payment)
  }

  /// Lets time go by minute by minute, with a look of the reconciler after each.
  func pass(minutes: Int) async throws {
    for _ in 0..<minutes {
      advance(60)
      _ = try await service.reconcilePayments()
    }
  }

  /// The same, until it is so: some hours at most.
  func pass(until what: String, _ isSo: () async throws -> Bool) async throws {
    for _ in 0..<300 {
      try await pass(minutes: 1)
      if try await isSo() { return }
    }
    throw Violation(description: "it never came to it that \(what)")
  }

  // MARK: Buyers

  /// What the emulator has of the attempt that the phone shows.
  func emulated(_ payment: PaymentID) -> EmulatedPayment? { emulator.payment(of: payment.description) }

  /// Returns what was wrong with it.
  @discardableResult
  func buyer(_ action: BuyerAction, _ payment: PaymentID) -> String? {
    guard let emulated = emulated(payment) else { return "the emulator has no such payment" }
    return emulator.buyer(action, emulated.id)
  }

  // MARK: Looking

  func view(_ id: SessionID) async throws -> SessionView { try await service.session(id, as: merchant) }

  func state(_ id: SessionID) async throws -> Session.StateName { try await view(id).session.state.name }

  func payment(_ id: PaymentID, of session: SessionID) async throws -> Payment {
    try #require(try await view(session).payments.first { $0.id == id })
  }

  /// Waits until it is so; what was told by a notification is asked for after its answer.
  func wait(_ what: String, _ isSo: () async throws -> Bool) async throws {
    let end = ContinuousClock.now.advanced(by: .seconds(20))
    while ContinuousClock.now < end {
      if try await isSo() { return }
      try await Task.sleep(for: .milliseconds(2))
    }
    throw Violation(description: "it never came to it that \(what)")
  }

  /// How many looks the emulator was asked for.
  var looks: Int { emulator.world.journal.count(of: harness.lookOperation) }

  // MARK: Time

  /// Lets time go by until nothing is open and nothing is due.
  func rest() async throws {
    for _ in 0..<60 {
      _ = try await service.expireSessions()
      _ = try await service.reconcilePayments()
      _ = try await service.reconcileOrders()
      let end = emulator.world.clock.now.adding(seconds: 30 * 86_400)
      let isBusy = try await store.read { transaction in
        try PaymentMethod.allCases.contains { method in
          try !transaction.payments.due(at: end, by: method, limit: 1).isEmpty
            || !transaction.orders.dueMovements(at: end, by: method, limit: 1).isEmpty
        }
          || !transaction.sessions.due(at: end, limit: 1).isEmpty
      }
      if !isBusy { return }
      advance(Limits.outcomeCheckSecondsMax)
    }
    throw Violation(description: "the reconciler never comes to rest")
  }

  func advance(_ seconds: Int64) {
    emulator.world.clock.advance(seconds: seconds)
    emulator.timePassed()
  }

  // MARK: Books

  /// What Kassa's orders say was taken and not given back.
  func booked(_ sessions: [SessionID]) async throws -> Int64 {
    var sum: Int64 = 0
    for session in sessions where try await state(session) == .finalized {
      let money = try await service.orderView(ofSession: session, as: merchant).order.money
      sum += money.captured - money.refunded
    }
    return sum
  }

  /// Nothing is held back, and the emulator took what Kassa's orders say: to the minor unit, over these sessions, which
  /// are all there are. Nothing was ever sent that the provider does not document.
  func expectAgreement(
    _ sessions: [SessionID], _ sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let booked = try await booked(sessions)
    let taken = emulator.world.ledger.netTaken[harness.currency] ?? 0
    #expect(booked == taken, "Kassa's books have \(booked), the emulator's \(taken)", sourceLocation: sourceLocation)
    let held = emulator.payments().reduce(0) { $0 + $1.held }
    #expect(held == 0, "\(held) is still reserved", sourceLocation: sourceLocation)
    #expect(emulator.world.journal.undocumented.isEmpty, sourceLocation: sourceLocation)
  }

  // MARK: Settings

  /// Enters the method's settings anew: those that the emulator tells, and the harness's, with `changes` for some of them.
  func enter(capture: CapturePolicy = .automatic, changing changes: [String: String] = [:]) async throws {
    let settings = emulator.settings(url: server.url).reduce(into: [:]) { $0[$1.name] = $1.value }
    _ = try await service.replacePaymentMethod(
      harness.method,
      with: ReplacePaymentMethod(
        provider: harness.provider, isOn: true, capturePolicy: capture,
        settings: settings.merging(harness.settings) { $1 }.merging(changes) { $1 }), as: .backend(backend))
  }

  // MARK: Notifications

  /// Sends a request as the provider would. Returns the status it is answered with.
  func send(_ request: NotificationRequest) async throws -> Int {
    var sent = HTTPClientRequest(url: request.url)
    sent.method = .POST
    for (name, value) in request.headers { sent.headers.add(name: name, value: value) }
    sent.body = .bytes(request.body)
    return Int(try await HTTPClient.shared.execute(sent, timeout: .seconds(10)).status.code)
  }
}
