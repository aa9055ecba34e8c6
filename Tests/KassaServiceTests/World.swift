import KassaDomain
import KassaService
import KassaStore
import KassaTestDatabases
import StoreConformance
import Testing

/// A clock that stands still until a test moves it.
final class TestClock: Sendable {
  private let time = Shared(Maker.epoch)

  var now: Timestamp {
    get { time.withLock { $0 } }
    set { time.withLock { $0 = newValue } }
  }

  func advance(seconds: Int64) { time.withLock { $0 = $0.adding(seconds: seconds) } }
  func advance(milliseconds: Int64) { time.withLock { $0 = $0.adding(milliseconds: milliseconds) } }
}

/// A service on a database of its own, with one merchant that has one location and one key.
struct World: Sendable {
  let path: String
  let store: any Store
  let clock: TestClock
  let service: KassaService
  let secrets: ServerSecrets
  let merchant: Merchant
  let key: CreatedAPIKey
  let location: Location

  /// Another service on the same store.
  func service(_ settings: ServiceSettings) -> KassaService {
    KassaService(
      store: store, secrets: secrets, environment: service.environment, settings: settings,
      clock: { [clock] in clock.now })
  }

  var principal: MerchantPrincipal {
    MerchantPrincipal(merchantID: merchant.id, keyID: key.key.id, requestID: "request")
  }

  // MARK: Enrollments

  func create(
    life milliseconds: Int64 = Limits.enrollmentLifeDefaultMilliseconds, metadata: Metadata = .empty,
    at location: LocationID? = nil, as principal: MerchantPrincipal? = nil
  ) async throws -> ReadableEnrollment {
    let input = CreateEnrollment(metadata: metadata, lifeMilliseconds: milliseconds, locationID: location)
    return try fresh(await service.createEnrollment(input, as: principal ?? self.principal))
  }

  func read(_ enrollment: ReadableEnrollment) async throws -> ReadableEnrollment {
    try await service.enrollment(enrollment.enrollment.id, as: principal)
  }

  func cancel(_ enrollment: ReadableEnrollment) async throws {
    try await service.cancelEnrollment(enrollment.enrollment.id, as: principal)
  }

  // MARK: Devices

  func register(
    _ proof: RegisterDevice.Proof, hardwareID: String = "hardware", platform: Device.Platform = .ios,
    registrationID: String? = nil, key: [UInt8]? = nil, source: String = "192.0.2.1",
    with service: KassaService? = nil
  ) async throws -> RegisteredDevice {
    try await (service ?? self.service).registerDevice(
      RegisterDevice(
        proof: proof, hardwareID: hardwareID, platform: platform, name: "Till", registrationID: registrationID,
        keyThumbprint: key, source: source, requestID: "registration"))
  }

  /// The case of the failure that registering ends with.
  func refusal(
    of proof: RegisterDevice.Proof, hardwareID: String = "hardware", platform: Device.Platform = .ios,
    registrationID: String? = nil, key: [UInt8]? = nil, source: String = "192.0.2.1",
    with service: KassaService? = nil
  ) async throws -> String {
    try await failure {
      _ = try await register(
        proof, hardwareID: hardwareID, platform: platform, registrationID: registrationID, key: key, source: source,
        with: service)
    }
  }

  /// Whose attempts are used up when registering, and for how many seconds; `nil` when it succeeds.
  func excess(
    of proof: RegisterDevice.Proof, source: String = "192.0.2.1", with service: KassaService? = nil
  ) async throws -> (scope: String, seconds: Int64)? {
    do {
      _ = try await register(proof, source: source, with: service)
      return nil
    } catch ServiceFailure.codeAttemptsExceeded(let scope, let seconds) {
      return ("\(scope)", seconds)
    }
  }

  func pair(key: [UInt8]? = nil) async throws -> RegisteredDevice {
    try await register(.token(token(create())), key: key)
  }

  // MARK: What is stored

  /// The events that `body` appended to the merchant's log, oldest first.
  func events(of principal: MerchantPrincipal? = nil, _ body: () async throws -> Void) async throws -> [Event] {
    let merchant = (principal ?? self.principal).merchantID
    let before = try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 1).first?.position ?? 0 }
    try await body()
    let after = try await store.read { try $0.events.newest(of: merchant, before: nil, limit: 10_000) }
    return after.filter { $0.position > before }.reversed().map(\.event)
  }

  /// Attempts counted for the deployment today and for `source` this minute.
  func attempts(source: String = "192.0.2.1") async throws -> [Int64] {
    let now = clock.now.millisecondsSinceEpoch
    let (day, minute) = (
      Timestamp(millisecondsSinceEpoch: now - now % 86_400_000), Timestamp(millisecondsSinceEpoch: now - now % 60_000)
    )
    return try await store.read { transaction in
      [
        try transaction.budgets.used(.deployment, windowStart: day),
        try transaction.budgets.used(.source(source), windowStart: minute),
      ]
    }
  }

  func deviceCount() async throws -> Int64 {
    try await service.devices(DeviceFilter(), PageRequest(number: 0, size: 1), as: principal).totalElements
  }
}

/// Runs `body` in a new world.
func withWorld(
  environment: KassaEnvironment = .playground, attemptsPerDay: Int64 = Limits.codeAttemptsPerDay,
  attemptsPerSource: Int64 = 1_000_000, _ body: (World) async throws -> Void
) async throws {
  try await withTemporaryFolder { folder async throws in
    let (path, clock) = (folder.newDatabasePath(), TestClock())
    let store = try TestDatabase(path: path).open()
    let secrets = try #require(ServerSecrets(masterKey: [UInt8](repeating: 7, count: ServerSecrets.keyBytes)))
    let service = KassaService(
      store: store, secrets: secrets, environment: environment,
      settings: ServiceSettings(
        codeAttemptsPerDay: attemptsPerDay, codeAttemptsPerSourcePerMinute: attemptsPerSource,
        publicURL: { "https://kassa.example" }),
      clock: { clock.now })
    try await service.claimInstallation()
    let (merchant, key) = try await service.createMerchant(name: "Merchant")
    let location = try await store.read { try $0.locations.only(of: merchant.id) }
    try await body(
      World(
        path: path, store: store, clock: clock, service: service, secrets: secrets, merchant: merchant, key: key,
        location: try #require(location)))
    await store.close()
  }
}

// MARK: Answers

func fresh<Output>(_ answered: Answered<Output>) throws -> Output {
  guard case .fresh(let output) = answered else { throw UnexpectedReplay() }
  return output
}

struct UnexpectedReplay: Error {}

func code(_ enrollment: ReadableEnrollment) throws -> String { try #require(enrollment.code) }

/// What stands in the fragment of the deep link.
func token(_ enrollment: ReadableEnrollment) throws -> String {
  let parts = try #require(enrollment.url).split(separator: "#", omittingEmptySubsequences: false)
  #expect(parts.count == 2 && parts[0] == "https://kassa.example/pos/pair")
  return String(parts[1])
}

/// A well-formed code that nobody was given.
func wrongCode() -> String {
  EnrollmentCode(symbols: (0..<8).map { _ in UInt8.random(in: 0..<32) }).text
}

/// The case of the `ServiceFailure` that `body` throws, without what it carries; other errors are thrown on.
func failure(_ body: () async throws -> Void) async throws -> String {
  do {
    try await body()
    return "none"
  } catch let failure as ServiceFailure {
    return "\(failure)".prefix { $0 != "(" }.description
  }
}

/// The flaws of the `ServiceFailure.invalid` that `body` throws.
func flaws(_ body: () async throws -> Void) async throws -> [FieldFlaw] {
  do {
    try await body()
    return []
  } catch ServiceFailure.invalid(let flaws) {
    return flaws
  }
}
