import KassaDomain
import KassaStore
import Synchronization

/// A store without the guards that keep changes of a session or an order apart: now and then a look at one shows how it
/// was before its newest change, a save asks for no version, and a number that an event already has is no conflict. The
/// control for races: what they prove must not hold on it.
final class UnguardedStore: PassingStore {
  let inner: any Store
  private let memory = StaleMemory()

  init(_ inner: any Store) { self.inner = inner }

  func write<Value: Sendable>(
    _ body: @escaping @Sendable (any WriteTransaction) throws -> Value
  ) async throws -> Value {
    let memory = memory
    return try await inner.write { try body(UnguardedTransaction(inner: $0, memory: memory)) }
  }
}

private final class StaleMemory: Sendable {
  private struct Entry<Value: Sendable> {
    var before: Value?
  }

  private let sessions = Mutex<[SessionID: Entry<Session>]>([:])
  private let orders = Mutex<[OrderID: Entry<Order>]>([:])

  func seen(_ current: Session) -> Session {
    sessions.withLock { Self.stale(current, $0[current.id]) }
  }

  func seen(_ current: Order) -> Order {
    orders.withLock { Self.stale(current, $0[current.id]) }
  }

  private static func stale<Value>(_ current: Value, _ entry: Entry<Value>?) -> Value {
    Int.random(in: 0..<3) == 0 ? entry?.before ?? current : current
  }

  func replaced(_ old: Session) { sessions.withLock { $0[old.id, default: Entry()].before = old } }
  func replaced(_ old: Order) { orders.withLock { $0[old.id, default: Entry()].before = old } }
}

private struct UnguardedTransaction: PassingTransaction {
  let inner: any WriteTransaction
  let memory: StaleMemory

  var events: any EventTable { UnguardedEvents(inner: inner.events) }
  var sessions: any SessionTable { UnguardedSessions(inner: inner.sessions, memory: memory) }
  var orders: any OrderTable { UnguardedOrders(inner: inner.orders, memory: memory) }
}

private struct UnguardedSessions: SessionTable {
  let inner: any SessionTable
  let memory: StaleMemory

  func find(_ id: SessionID, of merchant: MerchantID) throws -> Session? {
    try inner.find(id, of: merchant).map(memory.seen)
  }

  func save(_ session: Session, expecting version: Int64) throws -> Bool {
    guard let stored = try inner.find(session.id, of: session.merchantID) else { return false }
    memory.replaced(stored)
    return try inner.save(session, expecting: stored.version)
  }

  func insert(_ session: Session) throws { try inner.insert(session) }
  func page(of merchant: MerchantID, _ filter: SessionFilter, _ page: PageRequest) throws -> Page<Session> {
    try inner.page(of: merchant, filter, page)
  }
  func line(of device: DeviceID, merchant: MerchantID, limit: Int) throws -> [Session] {
    try inner.line(of: device, merchant: merchant, limit: limit)
  }
  func due(at now: Timestamp, limit: Int) throws -> [Session] { try inner.due(at: now, limit: limit) }
  func note(_ step: DeliveryStep, of id: SessionID, merchant: MerchantID, at now: Timestamp) throws -> Bool {
    try inner.note(step, of: id, merchant: merchant, at: now)
  }
}

private struct UnguardedOrders: OrderTable {
  let inner: any OrderTable
  let memory: StaleMemory

  func find(_ id: OrderID, of merchant: MerchantID) throws -> Order? {
    try inner.find(id, of: merchant).map(memory.seen)
  }

  func save(_ order: Order, expecting version: Int64) throws -> Bool {
    guard let stored = try inner.find(order.id, of: order.merchantID) else { return false }
    memory.replaced(stored)
    return try inner.save(order, expecting: stored.version)
  }

  /// A session that is paid twice keeps its first order, and nobody is told.
  func insert(_ order: Order) throws {
    do {
      try inner.insert(order)
    } catch StoreError.conflict {}
  }
  func page(of merchant: MerchantID, _ filter: OrderFilter, _ page: PageRequest) throws -> Page<Order> {
    try inner.page(of: merchant, filter, page)
  }
  func movement(_ id: OrderMovementID, of merchant: MerchantID) throws -> OrderMovement? {
    try inner.movement(id, of: merchant)
  }
  func movements(of order: OrderID, merchant: MerchantID) throws -> [OrderMovement] {
    try inner.movements(of: order, merchant: merchant)
  }
  func hasOpenMovement(by method: PaymentMethod, of merchant: MerchantID) throws -> Bool {
    try inner.hasOpenMovement(by: method, of: merchant)
  }
  func dueMovements(at now: Timestamp, by method: PaymentMethod, limit: Int) throws -> [OrderMovement] {
    try inner.dueMovements(at: now, by: method, limit: limit)
  }
  func insert(_ movement: OrderMovement) throws { try inner.insert(movement) }
  func save(_ movement: OrderMovement) throws { try inner.save(movement) }
  func takeCheck(_ movement: OrderMovement, next: Timestamp) throws -> Bool {
    try inner.takeCheck(movement, next: next)
  }
}

private struct UnguardedEvents: EventTable {
  let inner: any EventTable

  func append(_ event: Event) throws {
    let next = Int64(try inner.history(of: event.subjectID, merchant: event.merchantID).count) + 1
    try inner.append(
      Event(
        merchantID: event.merchantID, subjectID: event.subjectID, sequence: next, type: event.type, at: event.at,
        actor: event.actor, requestID: event.requestID, relatedID: event.relatedID, deviceID: event.deviceID,
        orderID: event.orderID, failureReason: event.failureReason))
  }

  func newest(of merchant: MerchantID, before: Int64?, limit: Int) throws -> [LoggedEvent] {
    try inner.newest(of: merchant, before: before, limit: limit)
  }
  func feed(of device: DeviceID, after: Int64, limit: Int) throws -> [LoggedEvent] {
    try inner.feed(of: device, after: after, limit: limit)
  }
  func newestPosition(of device: DeviceID) throws -> Int64 { try inner.newestPosition(of: device) }
  func oldest(of merchant: MerchantID, after: Int64, limit: Int) throws -> [LoggedEvent] {
    try inner.oldest(of: merchant, after: after, limit: limit)
  }
  func history(of subject: SubjectID, merchant: MerchantID) throws -> [LoggedEvent] {
    try inner.history(of: subject, merchant: merchant)
  }
}
