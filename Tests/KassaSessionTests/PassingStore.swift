import KassaStore

/// A store for tests that passes on to another what it does not do otherwise.
protocol PassingStore: Store {
  var inner: any Store { get }
}

extension PassingStore {
  func read<Value: Sendable>(_ body: @escaping @Sendable (any ReadTransaction) throws -> Value) async throws -> Value {
    try await inner.read(body)
  }

  var activity: StoreActivity { inner.activity }
  func checkWritable() async throws { try await inner.checkWritable() }
  func diagnose() async throws -> [StoreFinding] { try await inner.diagnose() }
  func close() async { await inner.close() }
}

/// The same for a transaction's tables.
protocol PassingTransaction: WriteTransaction {
  var inner: any WriteTransaction { get }
}

extension PassingTransaction {
  var installation: any InstallationTable { inner.installation }
  var merchants: any MerchantTable { inner.merchants }
  var apiKeys: any APIKeyTable { inner.apiKeys }
  var locations: any LocationTable { inner.locations }
  var enrollments: any EnrollmentTable { inner.enrollments }
  var devices: any DeviceTable { inner.devices }
  var events: any EventTable { inner.events }
  var budgets: any BudgetTable { inner.budgets }
  var idempotency: any IdempotencyTable { inner.idempotency }
  var proofs: any ProofTable { inner.proofs }
  var sessions: any SessionTable { inner.sessions }
  var payments: any PaymentTable { inner.payments }
  var orders: any OrderTable { inner.orders }
  var paymentMethods: any PaymentMethodTable { inner.paymentMethods }
  var simulatedCards: any SimulatedCardTable { inner.simulatedCards }
  var webhooks: any WebhookTable { inner.webhooks }
  var deliveries: any DeliveryTable { inner.deliveries }
}
