import KassaDomain
import KassaStore
import Synchronization

/// The use cases, one file a verb. Knows neither HTTP nor SQL.
package struct KassaService: Sendable {
  private(set) var store: any Store
  let secrets: ServerSecrets
  package let environment: KassaEnvironment
  package let settings: ServiceSettings
  let clock: @Sendable () -> Timestamp
  /// Who collects money.
  let providers: any ProviderDirectory
  /// The providers that merchants may choose.
  package let providerKinds: [ProviderKind]
  /// What every merchant of a playground has from the beginning.
  let builtInMethods: [BuiltInMethod]
  /// Who stands in for buyers. Empty in production.
  let buyers: [PaymentMethod: any BuyerSimulator]
  package let signals = FeedSignals()
  let notified = NotifiedPayments()
  let hooks: ServiceHooks
  let webhookGate: any WebhookGate
  private let readiness = Readiness()
  let knownKeys = KnownKeys()
  let credentialsEnd = CredentialsEnd()
  /// Rings after every commit of this process, and when other servers' commits may be seen.
  package let commits = CommitSignal()

  /// Without `providers` those are asked that merchants configured. `clock` gives the present moment; it never runs
  /// backwards by more than the operating system's does. Without a `webhookGate` no webhook can be made.
  package init(
    store: any Store, secrets: ServerSecrets, environment: KassaEnvironment, settings: ServiceSettings,
    providerKinds: [ProviderKind] = [], builtInMethods: [BuiltInMethod] = [],
    providers: (any ProviderDirectory)? = nil, buyers: [PaymentMethod: any BuyerSimulator] = [:],
    webhookGate: any WebhookGate = ClosedWebhookGate(),
    hooks: ServiceHooks = ServiceHooks(),
    clock: @escaping @Sendable () -> Timestamp
  ) {
    self.store = SignallingStore(base: store, signal: commits)
    self.webhookGate = webhookGate
    self.secrets = secrets
    self.environment = environment
    self.settings = settings
    self.providerKinds = providerKinds
    self.builtInMethods = builtInMethods
    self.buyers = buyers
    self.providers =
      providers ?? ConfiguredProviders(store: store, secrets: secrets, kinds: providerKinds)
    self.hooks = hooks
    self.clock = clock
    store.whenHinted { [commits, signals] hint in
      switch hint {
      case .devices(let devices): for device in devices { signals.wake(device) }
      case .anything: signals.wakeAll()
      }
      commits.ring()
    }
  }

  package var now: Timestamp { clock() }

  /// The same use cases on a store around this one's.
  func on(_ store: any Store) -> KassaService {
    var service = self
    service.store = store
    return service
  }

  /// Appends an event to the log and queues its callbacks, in the commit of the change it tells of: the one way an event
  /// comes to be.
  func record(_ event: Event, in transaction: any WriteTransaction) throws {
    try transaction.events.append(event)
    try queueCallbacks(of: event, in: transaction)
  }

  /// Proves that a write can be made durable now, or could a moment ago: anybody may ask, so asking must not cost a commit
  /// each time. Throws `StoreError` otherwise.
  package func checkReadiness() async throws {
    if readiness.isRecent { return }
    try await store.checkWritable()
    readiness.note()
  }

  package var storeActivity: StoreActivity { store.activity }
}

/// What is told after commits, for metrics and logs.
package struct ServiceHooks: Sendable {
  /// What those who run Kassa should hear of an attempt.
  package var paymentNoticed: @Sendable (PaymentNotice) -> Void
  /// A capture, refund or release is done, or refused.
  package var movementSettled: @Sendable (OrderMovement) -> Void
  /// It was asked for, and it is not known how it stands.
  package var movementUnknown: @Sendable (OrderMovement, OperatorDetail) -> Void

  package init(
    paymentNoticed: @escaping @Sendable (PaymentNotice) -> Void = { _ in },
    movementSettled: @escaping @Sendable (OrderMovement) -> Void = { _ in },
    movementUnknown: @escaping @Sendable (OrderMovement, OperatorDetail) -> Void = { _, _ in }
  ) {
    self.paymentNoticed = paymentNoticed
    self.movementSettled = movementSettled
    self.movementUnknown = movementUnknown
  }
}

/// When the store was last found to be writable.
private final class Readiness: Sendable {
  private let writableAt = Mutex<ContinuousClock.Instant?>(nil)

  var isRecent: Bool {
    writableAt.withLock { $0.map { $0.duration(to: .now) < .seconds(Limits.readinessSeconds) } ?? false }
  }

  func note() { writableAt.withLock { $0 = .now } }
}

/// What an operator may set.
package struct ServiceSettings: Sendable {
  /// Failed attempts at typed codes evaluated per UTC day by the whole deployment.
  package var codeAttemptsPerDay: Int64
  package var codeAttemptsPerSourcePerMinute: Int64
  /// Life of a session.
  package var sessionSeconds: Int64
  /// How long a provider's answer is waited for before it counts as not known.
  package var providerAnswerSeconds: Int64
  /// The address under which phones and backends reach this server, without a slash at the end.
  package var publicURL: @Sendable () -> String

  package init(
    codeAttemptsPerDay: Int64 = Limits.codeAttemptsPerDay,
    codeAttemptsPerSourcePerMinute: Int64 = Limits.codeAttemptsPerSourcePerMinute,
    sessionSeconds: Int64 = Limits.sessionSeconds, providerAnswerSeconds: Int64 = Limits.providerAnswerSeconds,
    publicURL: @escaping @Sendable () -> String
  ) {
    self.codeAttemptsPerDay = codeAttemptsPerDay
    self.codeAttemptsPerSourcePerMinute = codeAttemptsPerSourcePerMinute
    self.sessionSeconds = sessionSeconds
    self.providerAnswerSeconds = providerAnswerSeconds
    self.publicURL = publicURL
  }
}

/// Who made a change, and in which request: what each event records.
struct ChangeOrigin: Sendable {
  let actor: Actor
  let requestID: String?

  func event<Subject, Related>(
    _ type: EventType, of subject: Identifier<Subject>, merchant: MerchantID, sequence: Int64, at now: Timestamp,
    related: Identifier<Related>, device: DeviceID? = nil
  ) -> Event {
    Event(
      merchantID: merchant, subjectID: subject.of(EventSubject.self), sequence: sequence, type: type, at: now,
      actor: actor, requestID: requestID, relatedID: related.of(EventSubject.self), deviceID: device)
  }

  func event<Subject>(
    _ type: EventType, of subject: Identifier<Subject>, merchant: MerchantID, sequence: Int64, at now: Timestamp,
    device: DeviceID? = nil
  ) -> Event {
    Event(
      merchantID: merchant, subjectID: subject.of(EventSubject.self), sequence: sequence, type: type, at: now,
      actor: actor, requestID: requestID, deviceID: device)
  }
}
