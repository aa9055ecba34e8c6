import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import Synchronization
import Testing

/// One adapter before one emulator, over real HTTP, with nothing around: the port alone.
///
/// Keeps what the adapter reports of its attempts and gives it again, as the service does.
final class PortBench<Emulator: ProviderEmulator, Adapter: PaymentProvider>: Sendable {
  let emulator: Emulator
  let server: EmulatorServer
  let adapter: Adapter
  private let client: ProviderHTTPClient
  private let references = Mutex<[PaymentID: ProviderReferences]>([:])
  private let movementReferences = Mutex<[SubjectID: ProviderReferences]>([:])

  /// `changes` are made to the settings that the emulator names. Calls have short limits, so that one that is never
  /// answered does not hold up a test.
  init(
    _ emulator: Emulator, changing changes: [String: String] = [:],
    _ kind: (ProviderHTTPClient, Bool, @escaping @Sendable () -> Timestamp) -> ProviderKind
  ) async throws {
    self.emulator = emulator
    server = try await EmulatorServer.start(emulator)
    let clock = emulator.world.clock
    client = ProviderHTTPClient(limits: Self.shortLimits) { clock.now }
    let settings = Dictionary(uniqueKeysWithValues: emulator.settings(url: server.url).map { ($0.name, $0.value) })
    let made = try kind(client, true, { clock.now }).make(settings.merging(changes) { $1 })
    adapter = try #require(made as? Adapter)
  }

  static var shortLimits: CallLimits {
    CallLimits(budgetMilliseconds: 8000, tryMilliseconds: 2000, triesMax: 2, pauseMilliseconds: 20)
  }

  func stop() async {
    await client.shutdown()
    await server.takeLastCall()
    await server.stop()
  }

  var now: Timestamp { emulator.world.clock.now }

  func plan(_ fault: EmulatorFault, for operation: String, count: Int = 1) {
    emulator.world.faults.plan(fault, for: operation, count: count)
  }

  // MARK: Attempts

  func charge(
    _ amount: Int64 = 12_550, currency: String = "SEK", reference: String? = "ORDER-12345", readerID: String? = nil,
    createdAt: Timestamp? = nil
  ) throws -> Charge {
    var generator = SystemRandomNumberGenerator()
    let created = createdAt ?? now
    let merchant = MerchantID(using: &generator)
    let payment = PaymentID(using: &generator)
    let currency = try #require(Currency(code: currency))
    let line = Cart.Line(
      type: nil, reference: nil, name: "T-Shirt", quantity: 1, unitPrice: amount, totalAmount: amount,
      totalDiscountAmount: 0, taxRate: 0, totalTaxAmount: 0)
    let metadata = readerID.map { Metadata.empty.setting("stripe_reader_id", to: $0) } ?? .empty
    let device = Device(
      id: DeviceID(using: &generator), merchantID: merchant, enrollmentID: EnrollmentID(using: &generator),
      hardwareID: "till", platform: .android, name: "Till", metadata: metadata, locationID: nil, createdAt: created,
      keyThumbprint: nil)
    return Charge(
      paymentID: payment, sessionID: SessionID(using: &generator), merchantID: merchant, amount: amount,
      currency: currency, createdAt: created, waitsUntil: created.adding(seconds: 180), references: [:],
      cart: Cart(restoring: amount, currency: currency, lines: [line], orderTaxAmount: nil),
      merchantReference: reference, device: device, location: nil,
      notificationURL: "\(server.url)/emulator/providers/v1/any/\(merchant)/\(payment)",
      notificationSecret: String(repeating: "0123456789abcdef", count: 4))
  }

  /// As the service would give it now: with what was reported before.
  func current(_ charge: Charge) -> Charge {
    Charge(
      paymentID: charge.paymentID, sessionID: charge.sessionID, merchantID: charge.merchantID, amount: charge.amount,
      currency: charge.currency, createdAt: charge.createdAt, waitsUntil: charge.waitsUntil,
      references: references.withLock { $0[charge.paymentID] ?? [:] }, cart: charge.cart,
      merchantReference: charge.merchantReference, device: charge.device, location: charge.location,
      notificationURL: charge.notificationURL, notificationSecret: charge.notificationSecret)
  }

  func start(_ charge: Charge) async -> ProviderReport { keep(await adapter.start(current(charge)), charge) }
  func settle(_ charge: Charge) async -> ProviderReport { keep(await adapter.settle(current(charge)), charge) }
  func query(_ charge: Charge) async -> ProviderReport { keep(await adapter.query(current(charge)), charge) }
  func cancel(_ charge: Charge) async -> ProviderReport { keep(await adapter.cancel(current(charge)), charge) }

  private func keep(_ report: ProviderReport, _ charge: Charge) -> ProviderReport {
    references.withLock { $0[charge.paymentID] = ($0[charge.paymentID] ?? [:]).merging(report.references) }
    return report
  }

  /// The adapter's words are for operators; what class of answer it is, is what counts.
  func isUnknown(_ report: ProviderReport) -> Bool {
    if case .unknown = report.answer { true } else { false }
  }

  // MARK: Movements

  func movement(_ charge: Charge, _ amount: Int64, reference: String? = nil) -> MoneyMovement {
    var generator = SystemRandomNumberGenerator()
    return MoneyMovement(
      charge: charge, id: SubjectID(using: &generator), amount: amount, reference: reference, references: [:])
  }

  private func current(_ movement: MoneyMovement) -> MoneyMovement {
    MoneyMovement(
      charge: current(movement.charge), id: movement.id, amount: movement.amount, reference: movement.reference,
      references: movementReferences.withLock { $0[movement.id] ?? [:] })
  }

  func refund(_ movement: MoneyMovement) async -> MovementReport {
    keep(await adapter.refund(current(movement)), movement)
  }

  func capture(_ movement: MoneyMovement) async -> MovementReport {
    keep(await adapter.capture(current(movement)), movement)
  }

  func reverse(_ charge: Charge) async -> MovementReport {
    let report = await adapter.reverse(current(charge))
    references.withLock { $0[charge.paymentID] = ($0[charge.paymentID] ?? [:]).merging(report.references) }
    return report
  }

  private func keep(_ report: MovementReport, _ movement: MoneyMovement) -> MovementReport {
    movementReferences.withLock { $0[movement.id] = ($0[movement.id] ?? [:]).merging(report.references) }
    return report
  }

  /// Asks on and on, while time goes by at the provider, until it is decided or was asked often enough.
  func untilDecided(_ movement: MoneyMovement) async -> MovementReport {
    for _ in 0..<8 {
      let report = await refund(movement)
      switch report.answer {
      case .done, .refused: return report
      case .pending, .unknown: emulator.world.clock.advance(seconds: 2)
      }
    }
    return await refund(movement)
  }

  func isRefused(_ report: MovementReport) -> Bool { if case .refused = report.answer { true } else { false } }
  func isUnknown(_ report: MovementReport) -> Bool { if case .unknown = report.answer { true } else { false } }
}
