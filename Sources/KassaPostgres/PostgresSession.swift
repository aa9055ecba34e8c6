import KassaDomain
import KassaStore

/// A transaction as the tables use it: their statements, and what they leave for its end.
final class PostgresSession {
  /// How the transaction sees the database.
  enum Mode: Equatable {
    /// One statement, which is a snapshot by itself. A second one throws, and the body is run again in a `snapshot`.
    case singleStatement
    /// Several statements on one snapshot.
    case snapshot
    /// Each statement sees what was committed before it; rows that a decision rests on are locked.
    case writing
  }

  private let connection: PostgresConnection
  private(set) var mode: Mode
  /// Whether a lock is waited for in earnest, or only shortly because others wait for this transaction.
  let isPatient: Bool
  /// What the body under way leaves for the end of the transaction.
  var effects = WriteEffects()
  /// What earlier bodies of the same transaction left.
  var earlierEffects = WriteEffects()
  /// Events appended in this transaction, also by bodies that were undone.
  private(set) var eventNumber: Int64 = 0
  /// Whether the body under way changed or locked anything.
  private(set) var isTouched = false
  private(set) var failure: PostgresFailure?
  /// The first statement of a body in mode `singleStatement`, and whether a second was wanted.
  private(set) var firstStatement: String?
  private(set) var wantsSnapshot = false

  private let needsSnapshot: (String) -> Bool
  private var hasBegun = false
  /// What a reading body demanded, to travel with its next statement: before that it is not known whether a snapshot is
  /// to begin.
  private var demands: [(sql: String, values: [PostgresValue])] = []
  /// Answers that later bodies of the same transaction share.
  private var shared: [SharedQuestion: PostgresResult] = [:]

  private struct SharedQuestion: Hashable {
    let sql: String
    let subject: [UInt8]
  }

  init(_ connection: PostgresConnection, _ mode: Mode, needsSnapshot: @escaping (String) -> Bool) {
    self.connection = connection
    self.mode = mode
    self.needsSnapshot = needsSnapshot
    isPatient = true
  }

  /// A session of a writer, which begins and ends its transaction itself.
  init(writing connection: PostgresConnection, isPatient: Bool) {
    self.connection = connection
    mode = .writing
    self.isPatient = isPatient
    needsSnapshot = { _ in false }
  }

  /// Thrown through a body that needs more than one statement; never leaves the reader.
  struct NeedsSnapshot: Error {}

  /// `clause` where the transaction writes, nothing where it only reads.
  func locking(_ clause: String) -> String { mode == .writing ? " " + clause : "" }

  // MARK: Statements

  /// Runs a statement whose answer nobody needs. When it fails, a later statement of the body throws, or its end does: so
  /// it must be one that fails where it does not do what it should.
  func run(_ sql: String, _ values: PostgresValue...) throws { try run(sql, values) }

  func run(_ sql: String, _ values: [PostgresValue]) throws {
    isTouched = true
    try guarded { () throws(PostgresFailure) in try connection.send(sql, values) }
  }

  /// Runs a statement that changes nothing and fails where something is not as the body needs it. When it does, a later
  /// statement of the body throws, or its end does.
  func demand(_ sql: String, _ values: PostgresValue...) throws {
    if mode == .writing {
      try guarded { () throws(PostgresFailure) in try connection.send(sql, values) }
    } else {
      demands.append((sql, values))
    }
  }

  private func sendDemands() throws {
    defer { demands = [] }
    for (sql, values) in demands {
      try guarded { () throws(PostgresFailure) in try connection.send(sql, values) }
    }
  }

  /// Runs a statement and returns how many rows it changed.
  func change(_ sql: String, _ values: PostgresValue...) throws -> Int { try change(sql, values) }

  func change(_ sql: String, _ values: [PostgresValue]) throws -> Int {
    isTouched = true
    return try ask(sql, values).changedRows
  }

  /// The first row, if any.
  func first<Value>(_ sql: String, _ values: PostgresValue..., read: (PostgresRow) throws -> Value) throws -> Value? {
    let result = try ask(sql, values)
    return result.rowCount == 0 ? nil : try read(result[0])
  }

  func all<Value>(_ sql: String, _ values: PostgresValue..., read: (PostgresRow) throws -> Value) throws -> [Value] {
    try all(sql, values, read: read)
  }

  func all<Value>(_ sql: String, _ values: [PostgresValue], read: (PostgresRow) throws -> Value) throws -> [Value] {
    let result = try ask(sql, values)
    return try (0..<result.rowCount).map { try read(result[$0]) }
  }

  /// The first row of a statement that changes or locks.
  func changed<Value>(_ sql: String, _ values: [PostgresValue], read: (PostgresRow) throws -> Value) throws -> Value? {
    isTouched = true
    let result = try ask(sql, values)
    return result.rowCount == 0 ? nil : try read(result[0])
  }

  /// The rows of a question that bodies of one transaction may share: the first asks, and the others are told the same.
  /// What was committed before the transaction began is seen by all of them. `subject` tells questions with the same
  /// words apart.
  func allShared<Value>(
    _ sql: String, _ values: PostgresValue..., subject: [UInt8], read: (PostgresRow) throws -> Value
  ) throws -> [Value] {
    guard mode == .writing else { return try all(sql, values, read: read) }
    let question = SharedQuestion(sql: sql, subject: subject)
    let result = try shared[question] ?? ask(sql, values)
    shared[question] = result
    return try (0..<result.rowCount).map { try read(result[$0]) }
  }

  /// Has shared questions asked anew: a body changed what they are about, or was undone, and its locks with it.
  func forgetShared() { shared = [:] }

  private func ask(_ sql: String, _ values: [PostgresValue]) throws -> PostgresResult {
    switch mode {
    case .singleStatement:
      if firstStatement != nil {
        wantsSnapshot = true
        throw NeedsSnapshot()
      }
      firstStatement = sql
      if needsSnapshot(sql) {
        mode = .snapshot
        try beginSnapshot()
      }
    case .snapshot: try beginSnapshot()
    // Rows may be locked by it.
    case .writing: isTouched = true
    }
    try sendDemands()
    return try guarded { () throws(PostgresFailure) in try connection.ask(sql, values) }
  }

  private func beginSnapshot() throws {
    if hasBegun { return }
    hasBegun = true
    try guarded { () throws(PostgresFailure) in
      try connection.send("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }
  }

  /// Has what was demanded answered, of a body that asked for nothing after it.
  func settleDemands() throws {
    if demands.isEmpty { return }
    try sendDemands()
    try guarded { () throws(PostgresFailure) in _ = try connection.settle() }
  }

  /// Ends a snapshot; nobody waits for the answer.
  func endReading() throws(PostgresFailure) {
    guard hasBegun else { return }
    hasBegun = false
    try connection.sendLazily(failure == nil ? "COMMIT" : "ROLLBACK")
  }

  private func guarded<Value>(_ body: () throws(PostgresFailure) -> Value) throws -> Value {
    if let failure { throw failure.storeError }
    do {
      return try body()
    } catch {
      failure = error
      throw error.storeError
    }
  }

  /// Makes whoever else asks for the same lock wait until this transaction ends. Nothing where it only reads.
  func lock(_ kind: AdvisoryLock, _ bytes: [UInt8]) throws {
    guard mode == .writing else { return }
    try run("SELECT pg_advisory_xact_lock($1)", .integer(kind.key(bytes)))
  }

  /// Takes the lock if nobody else has it.
  func tryLock(_ kind: AdvisoryLock, _ bytes: [UInt8]) throws -> Bool {
    try changed("SELECT pg_try_advisory_xact_lock($1)", [.integer(kind.key(bytes))]) { $0.bool(0) } ?? false
  }

  // MARK: Effects

  /// Writes the calls to destinations' queues at once, for a body that reads them. Those of earlier bodies are written
  /// again at the end, in case this body is undone.
  func writeQueueCalls() throws {
    var calls = earlierEffects
    calls.merge(effects)
    try guarded { () throws(PostgresFailure) in
      try WriteEffects.write(calls.queueCalls, shard: connection.shard, to: connection)
    }
    effects.queueCalls = [:]
  }

  // MARK: Bodies

  func beginBody() {
    effects = WriteEffects()
    isTouched = false
    failure = nil
  }

  func note(_ failure: PostgresFailure) { self.failure = failure }

  /// The number of the next event of this transaction. An undone body's numbers are not given again.
  func nextEventNumber() throws -> Int64 {
    defer { eventNumber += 1 }
    guard eventNumber < EventClock.numbersMax else {
      throw StoreError.unavailable(OperatorDetail("a transaction has too many events"))
    }
    return eventNumber
  }
}

/// What advisory locks stand for.
enum AdvisoryLock: UInt8 {
  case migrations = 1
  case installation
  case idempotencyKey
  case registration
  case simulatedCharge
  case destination
  case maintenance
  case copying

  /// FNV-1a. Two that collide only wait for each other.
  func key(_ bytes: [UInt8]) -> Int64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in [rawValue] + bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int64(bitPattern: hash)
  }
}

/// What bodies leave to be written once, just before the commit of their transaction.
struct WriteEffects {
  /// One figure of `listing_totals`.
  struct TotalKey: Hashable {
    let merchant: [UInt8]
    let kind: Int64
    let place: [UInt8]
    let label: [UInt8]
  }

  /// One destination of callbacks.
  struct QueueKey: Hashable {
    let merchant: [UInt8]
    let webhook: [UInt8]
  }

  /// By how much each figure changes.
  var totals: [TotalKey: Int64] = [:]
  /// When each destination is worth a look.
  var queueCalls: [QueueKey: Int64] = [:]
  /// Devices that have new events.
  var devices: Set<DeviceID> = []
  var hasEvents = false

  mutating func add(_ delta: Int64, to key: TotalKey) { totals[key, default: 0] += delta }

  mutating func call(_ key: QueueKey, at milliseconds: Int64) {
    queueCalls[key] = min(queueCalls[key] ?? .max, milliseconds)
  }

  /// Writes calls to the given shard, in one order everywhere.
  static func write(_ calls: [QueueKey: Int64], shard: Int64, to connection: PostgresConnection) throws(PostgresFailure)
  {
    if calls.isEmpty { return }
    let sorted = calls.sorted { left, right in
      (left.key.merchant + left.key.webhook).lexicographicallyPrecedes(right.key.merchant + right.key.webhook)
    }
    try connection.send(
      """
      INSERT INTO callback_queues (merchant_id, webhook_id, shard, due_at)
      SELECT merchant_id, webhook_id, $1::bigint, due_at
      FROM unnest($2::uuid[], $3::uuid[], $4::bigint[]) AS calls (merchant_id, webhook_id, due_at)
      ON CONFLICT (merchant_id, webhook_id, shard)
        DO UPDATE SET due_at = least(callback_queues.due_at, excluded.due_at)
      """,
      [
        .integer(shard), .ids(sorted.map(\.key.merchant)), .ids(sorted.map(\.key.webhook)),
        .integers(sorted.map(\.value)),
      ])
  }

  mutating func merge(_ other: WriteEffects) {
    for (key, delta) in other.totals { add(delta, to: key) }
    for (key, time) in other.queueCalls { call(key, at: time) }
    devices.formUnion(other.devices)
    hasEvents = hasEvents || other.hasEvents
  }
}
