import KassaDomain

/// Where Kassa keeps its truth. One adapter per engine; `StoreConformance` holds every adapter to these contracts.
///
/// After an error of the store a body must end: what it does in the same transaction then is undone with the rest.
///
/// Bodies are synchronous, so nothing can be awaited inside a transaction. They may run more than once (after a conflict
/// on an engine that has them), so they must have no effect but through the transaction: identifiers, time and randomness
/// are made before and captured.
package protocol Store: Sendable {
  /// Runs `body` on one consistent snapshot. Throws what `body` throws, or `StoreError`.
  func read<Value: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> Value) async throws -> Value

  /// Runs `body` and returns once what it wrote is durable. When `body` throws, nothing of it remains, and its error is
  /// thrown on. `StoreError.indeterminate` is the one error after which the effect may or may not be there.
  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value

  /// Proves that a write can be made durable now. Throws `StoreError` otherwise.
  func checkWritable() async throws

  /// What the operator wants to know about the engine, one line a fact.
  func diagnose() async throws -> [StoreFinding]

  /// What this process made durable since it opened the store.
  var activity: StoreActivity { get }

  /// Has `handler` called, from any thread, when something that this process does not know of may have become readable:
  /// what another server committed, or a commit of its own that was not visible at once. Only hints; some may be lost.
  func whenHinted(_ handler: @escaping @Sendable (StoreHint) -> Void)

  /// Ends all use. Writes already accepted finish first; later calls throw `StoreError.unavailable`.
  func close() async
}

extension Store {
  /// A store that one server has for itself has no such hints.
  package func whenHinted(_ handler: @escaping @Sendable (StoreHint) -> Void) {}
}

/// Where it may be worth to look.
package enum StoreHint: Sendable {
  /// At the event log, and at the feeds of these devices.
  case devices(Set<DeviceID>)
  case anything
}

/// One fact from `Store.diagnose`.
package struct StoreFinding: Equatable, Sendable {
  package let name: String
  package let value: String
  /// `false` when a promise of Kassa's does not hold because of it.
  package let isSound: Bool

  package init(name: String, value: String, isSound: Bool = true) {
    self.name = name
    self.value = value
    self.isSound = isSound
  }
}

/// Counts from `Store.activity`. Writes that commit together share one wait for the disk.
package struct StoreActivity: Equatable, Sendable {
  package private(set) var writes: Int64 = 0
  package private(set) var commits: Int64 = 0

  package init() {}

  /// Counts one commit that made this many writes durable; with none there was nothing to commit.
  package mutating func add(writes count: Int64) {
    guard count > 0 else { return }
    writes += count
    commits += 1
  }
}

/// The tables as a reader sees them.
package protocol ReadTransaction {
  var installation: any InstallationReads { get }
  var merchants: any MerchantReads { get }
  var apiKeys: any APIKeyReads { get }
  var locations: any LocationReads { get }
  var enrollments: any EnrollmentReads { get }
  var devices: any DeviceReads { get }
  var events: any EventReads { get }
  var budgets: any BudgetReads { get }
  var sessions: any SessionReads { get }
  var payments: any PaymentReads { get }
  var orders: any OrderReads { get }
  var paymentMethods: any PaymentMethodReads { get }
  var simulatedCards: any SimulatedCardReads { get }
  var webhooks: any WebhookReads { get }
  var deliveries: any DeliveryReads { get }
}

/// The tables as a writer sees them. What was written earlier in the same body is visible.
package protocol WriteTransaction {
  var installation: any InstallationTable { get }
  var merchants: any MerchantTable { get }
  var apiKeys: any APIKeyTable { get }
  var locations: any LocationTable { get }
  var enrollments: any EnrollmentTable { get }
  var devices: any DeviceTable { get }
  var events: any EventTable { get }
  var budgets: any BudgetTable { get }
  var idempotency: any IdempotencyTable { get }
  var proofs: any ProofTable { get }
  var sessions: any SessionTable { get }
  var payments: any PaymentTable { get }
  var orders: any OrderTable { get }
  var paymentMethods: any PaymentMethodTable { get }
  var simulatedCards: any SimulatedCardTable { get }
  var webhooks: any WebhookTable { get }
  var deliveries: any DeliveryTable { get }
}
