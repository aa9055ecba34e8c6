import KassaDomain
import KassaStore
import Synchronization

/// The store for several servers: one PostgreSQL database, a few connections that write with group commit, and a few
/// that read.
///
/// Write bodies run under READ COMMITTED, and lock what they decide by; unique indexes and conditional changes are the
/// guards. Reads of several statements are one snapshot.
package final class PostgresStore: Store {
  private let maker: ConnectionMaker
  private let readers: Readers
  private let writers: Writers
  private let announcer: Announcer
  private let isClosed = Atomic<Bool>(false)

  /// Opens the database at `address` and brings its schema up to date; an empty one gets a schema only if `makesSchema`.
  /// Throws `StoreError.unusable` when it is newer than
  /// this program or not a database of Kassa's, and `StoreError.unavailable` when the server cannot be reached for some
  /// seconds, or others hold for long what the schema's new step needs. Blocks meanwhile.
  package init(
    _ address: PostgresAddress, limits: PostgresLimits = PostgresLimits(), makesSchema: Bool = true
  ) throws {
    try Self.migrate(address, limits: limits, makesSchema: makesSchema)
    let maker = ConnectionMaker(address, limits)
    self.maker = maker
    let announcer = Announcer(maker)
    self.announcer = announcer
    readers = Readers(maker)
    writers = Writers(maker) { announcer.announce(transaction: $0, devices: $1) }
    announcer.start()
  }

  /// The steps of this version's schema.
  package static var schemaSteps: [SchemaStep] { Schema.steps }

  /// Only brings the schema up to date. Throws and blocks as opening does.
  package static func migrate(
    _ address: PostgresAddress, limits: PostgresLimits = PostgresLimits(), makesSchema: Bool = true,
    steps: [SchemaStep] = schemaSteps
  ) throws {
    let maker = ConnectionMaker(address, limits)
    let end = PostgresConnection.now() + maker.limits.openingSeconds * 1000
    while true {
      do {
        let connection = try maker.connect(.migrating)
        try Migrations.run(
          on: connection, database: maker.address.description, makesSchema: makesSchema, steps: steps, limits: limits)
        // A pooler that gives sessions away gives this one the first's, with what that has prepared: it shows itself now, and
        // not under load.
        try withExtendedLifetime(connection) { _ = try maker.connect(.migrating) }
        return
      } catch let failure as PostgresFailure {
        guard !failure.isOfSharedSession, PostgresConnection.now() < end else { throw failure.storeError }
        pause(milliseconds: maker.limits.reconnectMillisecondsMin)
      }
    }
  }

  package func read<Value: Sendable>(
    _ body: @escaping @Sendable (any ReadTransaction) throws -> Value
  ) async throws -> Value {
    try await readers.read(body)
  }

  package func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    try await writers.write(body)
  }

  package func checkWritable() async throws {
    let probe = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
    try await write { try $0.installation.set(.writeProbe, to: probe) }
  }

  package func diagnose() async throws -> [StoreFinding] {
    let address = maker.address.description
    return try await write { transaction in
      guard let transaction = transaction as? PostgresWriteTransaction else { return [] }
      return try Diagnosis(session: transaction.session).findings(database: address)
    }
  }

  package var activity: StoreActivity { writers.activity }

  package func whenHinted(_ handler: @escaping @Sendable (StoreHint) -> Void) { announcer.handler = handler }

  package func close() async {
    guard !isClosed.exchange(true, ordering: .relaxed) else { return }
    await writers.close()
    await readers.close()
    await announcer.close()
  }
}

struct PostgresReadTransaction: ReadTransaction {
  let session: PostgresSession

  var installation: any InstallationReads { PostgresInstallation(session: session) }
  var merchants: any MerchantReads { PostgresMerchants(session: session) }
  var apiKeys: any APIKeyReads { PostgresAPIKeys(session: session) }
  var locations: any LocationReads { PostgresLocations(session: session) }
  var enrollments: any EnrollmentReads { PostgresEnrollments(session: session) }
  var devices: any DeviceReads { PostgresDevices(session: session) }
  var events: any EventReads { PostgresEvents(session: session) }
  var budgets: any BudgetReads { PostgresBudgets(session: session) }
  var sessions: any SessionReads { PostgresSessions(session: session) }
  var payments: any PaymentReads { PostgresPayments(session: session) }
  var orders: any OrderReads { PostgresOrders(session: session) }
  var paymentMethods: any PaymentMethodReads { PostgresPaymentMethods(session: session) }
  var simulatedCards: any SimulatedCardReads { PostgresSimulatedCards(session: session) }
  var webhooks: any WebhookReads { PostgresWebhooks(session: session) }
  var deliveries: any DeliveryReads { PostgresDeliveries(session: session) }
}

struct PostgresWriteTransaction: WriteTransaction {
  let session: PostgresSession

  var installation: any InstallationTable { PostgresInstallation(session: session) }
  var merchants: any MerchantTable { PostgresMerchants(session: session) }
  var apiKeys: any APIKeyTable { PostgresAPIKeys(session: session) }
  var locations: any LocationTable { PostgresLocations(session: session) }
  var enrollments: any EnrollmentTable { PostgresEnrollments(session: session) }
  var devices: any DeviceTable { PostgresDevices(session: session) }
  var events: any EventTable { PostgresEvents(session: session) }
  var budgets: any BudgetTable { PostgresBudgets(session: session) }
  var idempotency: any IdempotencyTable { PostgresIdempotency(session: session) }
  var proofs: any ProofTable { PostgresProofs(session: session) }
  var sessions: any SessionTable { PostgresSessions(session: session) }
  var payments: any PaymentTable { PostgresPayments(session: session) }
  var orders: any OrderTable { PostgresOrders(session: session) }
  var paymentMethods: any PaymentMethodTable { PostgresPaymentMethods(session: session) }
  var simulatedCards: any SimulatedCardTable { PostgresSimulatedCards(session: session) }
  var webhooks: any WebhookTable { PostgresWebhooks(session: session) }
  var deliveries: any DeliveryTable { PostgresDeliveries(session: session) }
}
