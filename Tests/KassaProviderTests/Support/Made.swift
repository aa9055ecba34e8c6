import AsyncHTTPClient
import KassaDomain
import KassaEmulators
import KassaProviders
import KassaService
import Testing

/// An adapter and the emulator that it talks to over loopback, without a service around.
struct Made<Emulator: ProviderEmulator, Adapter: PaymentProvider>: Sendable {
  let emulator: Emulator
  let server: EmulatorServer
  let http: ProviderHTTPClient
  let adapter: Adapter

  /// Ends the server and the connections, whatever `body` does.
  static func with(
    _ emulator: Emulator, limits: CallLimits = CallLimits(pauseMilliseconds: 5),
    _ kind: (ProviderHTTPClient, @escaping @Sendable () -> Timestamp) -> ProviderKind,
    settings extra: [String: String] = [:],
    _ body: (Made<Emulator, Adapter>) async throws -> Void
  ) async throws {
    let clock = emulator.world.clock
    emulator.world.notifications.hold(true)
    let server = try await EmulatorServer.start(emulator)
    let http = ProviderHTTPClient(limits: limits) { clock.now }
    let settings = emulator.settings(url: server.url).reduce(into: [:]) { $0[$1.name] = $1.value }.merging(extra) { $1 }
    let result: Result<Void, any Error>
    do {
      let made = try kind(http, { clock.now }).make(settings)
      let adapter = try #require(made as? Adapter)
      result = .success(try await body(Made(emulator: emulator, server: server, http: http, adapter: adapter)))
    } catch {
      result = .failure(error)
    }
    await http.shutdown()
    await server.takeLastCall()
    await server.stop()
    try result.get()
  }

  /// An attempt of this moment.
  func charge(
    _ amount: Int64 = 24_000, _ currency: String = "NOK", references: ProviderReferences = [:],
    id: PaymentID? = nil, country: String? = nil
  ) throws -> Charge {
    try TestCharge.make(
      amount, currency, references: references, id: id, country: country, at: emulator.world.clock.now)
  }
}

extension EmulatorServer {
  /// Nobody may be about to connect when it stops: after its clients' end this call sees that every connection before it
  /// was taken. Whoever wants a certificate refuses it, which shows the same.
  func takeLastCall() async {
    var configuration = HTTPClient.Configuration(certificateVerification: .none)
    configuration.connectionPool.retryConnectionEstablishment = false
    let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    var last = HTTPClientRequest(url: "\(url)/emulator/ledger")
    last.headers.add(name: "connection", value: "close")
    _ = try? await client.execute(last, timeout: .seconds(10))
    try? await client.shutdown()
  }
}

enum TestCharge {
  static func make(
    _ amount: Int64, _ currency: String, references: ProviderReferences = [:], id: PaymentID? = nil,
    country: String? = nil, at now: Timestamp
  ) throws -> Charge {
    var generator = SystemRandomNumberGenerator()
    let currency = try #require(Currency(code: currency))
    let line = Cart.Line(
      type: .physical, reference: "SKU-1", name: "T-Shirt", quantity: 1, unitPrice: amount, totalAmount: amount,
      totalDiscountAmount: 0, taxRate: 0, totalTaxAmount: 0)
    let cart = try Cart.make(orderAmount: amount, currency: currency, lines: [line], orderTaxAmount: nil).get()
    let merchant = MerchantID(using: &generator)
    let location = Location(
      id: LocationID(using: &generator), merchantID: merchant,
      details: Location.Details(name: "My Store", streetAddress: "Street 1", city: "Town", country: country),
      createdAt: now)
    return Charge(
      paymentID: id ?? PaymentID(using: &generator), sessionID: SessionID(using: &generator), merchantID: merchant,
      amount: amount, currency: currency, createdAt: now, waitsUntil: now.adding(seconds: 180), references: references,
      cart: cart, merchantReference: "ORDER-12345", device: nil, location: location,
      notificationURL: "http://127.0.0.1:9/providers/v1/x/y", notificationSecret: String(repeating: "5a", count: 32))
  }
}

extension Charge {
  /// The same attempt, with what was reported of it.
  func with(_ references: ProviderReferences) -> Charge {
    Charge(
      paymentID: paymentID, sessionID: sessionID, merchantID: merchantID, amount: amount, currency: currency,
      createdAt: createdAt, waitsUntil: waitsUntil, references: self.references.merging(references), cart: cart,
      merchantReference: merchantReference, device: device, location: location, notificationURL: notificationURL,
      notificationSecret: notificationSecret)
  }

  func movement(
    _ amount: Int64, _ id: SubjectID? = nil, reference: String? = nil, othersDone: [SubjectID: Int64] = [:]
  ) -> MoneyMovement {
    var generator = SystemRandomNumberGenerator()
    return MoneyMovement(
      charge: self, id: id ?? SubjectID(using: &generator), amount: amount, reference: reference, references: [:],
      othersDone: othersDone)
  }
}

extension MoneyMovement {
  /// The same, asked for once more, with what was reported of it.
  func again(_ references: ProviderReferences = [:]) -> MoneyMovement {
    MoneyMovement(
      charge: charge, id: id, amount: amount, reference: reference, references: self.references.merging(references),
      createdAt: createdAt, isAskedAgain: true, othersDone: othersDone)
  }
}

extension ProviderReport {
  var code: NextAction.QRCode? {
    if case .showQR(let code)? = nextAction { code } else { nil }
  }
}

extension ProviderAnswer {
  var isUnknown: Bool { if case .unknown = self { true } else { false } }
}

extension MovementReport.Answer {
  var isUnknown: Bool { if case .unknown = self { true } else { false } }
  var isRefused: Bool { if case .refused = self { true } else { false } }
}
