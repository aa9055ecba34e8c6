import Dispatch
import KassaDomain
import KassaStore
import Synchronization

/// Tells the servers of one database that there is something to read: hints, never data.
///
/// A commit leaves its transaction's number and the devices of its events here. One thread asks, every few milliseconds
/// while something waits, how far readers can see, and sends one NOTIFY for all that became visible: outside of every
/// commit, because a NOTIFY inside would let commits pass one at a time. Every server listens, also to itself. Another
/// thread waits for notifications, and looks by itself each second at what was appended since: so a lost notification,
/// or a server that died before it sent one, costs a second.
final class Announcer: Sendable {
  /// Between two looks while something waits, at first and at most.
  private static let gapMillisecondsMin: Int64 = 2
  private static let gapMillisecondsMax: Int64 = 50
  /// Between two looks by itself.
  private static let pollMilliseconds: Int64 = 1000
  /// Below PostgreSQL's 8000 bytes for a payload.
  private static let devicesPerNotificationMax = 200
  private static let channel = "kassa_commits"
  /// Between two foldings of figures.
  private static let maintenanceMilliseconds: Int64 = 30_000

  private struct Waiting {
    var newest: Int64 = 0
    var commits: [(transaction: Int64, devices: Set<DeviceID>)] = []
    var isClosed = false
  }

  private let maker: ConnectionMaker
  private let waiting = Mutex(Waiting())
  private let wake = DispatchSemaphore(value: 0)
  private let closing = Alarm()
  private let handlerBox = Mutex<(@Sendable (StoreHint) -> Void)?>(nil)
  private let sending = DispatchQueue(label: "kassa.postgres.announcer", qos: .userInitiated)
  private let listening = DispatchQueue(label: "kassa.postgres.listener", qos: .userInitiated)

  init(_ maker: ConnectionMaker) {
    self.maker = maker
  }

  var handler: (@Sendable (StoreHint) -> Void)? {
    get { handlerBox.withLock { $0 } }
    set { handlerBox.withLock { $0 = newValue } }
  }

  func start() {
    sending.async { self.send() }
    listening.async { self.listen() }
  }

  func announce(transaction: Int64, devices: Set<DeviceID>) {
    waiting.withLock { $0.commits.append((transaction, devices)) }
    wake.signal()
  }

  func close() async {
    waiting.withLock { $0.isClosed = true }
    wake.signal()
    closing.ring()
    await withCheckedContinuation { continuation in sending.async { continuation.resume() } }
    await withCheckedContinuation { continuation in listening.async { continuation.resume() } }
  }

  private var isClosed: Bool { waiting.withLock { $0.isClosed } }

  // MARK: Sending

  private func send() {
    var connection: PostgresConnection?
    while !isClosed {
      wake.wait()
      var gap = Self.gapMillisecondsMin
      while !isClosed, waiting.withLock({ !$0.commits.isEmpty }) {
        pause(milliseconds: gap)
        do {
          let used = try connection ?? maker.connect(.listening)
          connection = used
          let isAllSent = try sendVisible(used)
          gap = isAllSent ? Self.gapMillisecondsMin : min(Self.gapMillisecondsMax, 2 * gap)
        } catch {
          // Whoever waits for these hints looks by itself.
          connection = nil
          waiting.withLock { $0.commits = [] }
        }
      }
    }
  }

  /// Sends what readers can see by now. Returns whether that was all.
  private func sendVisible(_ connection: PostgresConnection) throws(PostgresFailure) -> Bool {
    let answer = try connection.ask("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
    let horizon = answer[0].integer(0)
    let (visible, isAll) = waiting.withLock { waiting -> ([(transaction: Int64, devices: Set<DeviceID>)], Bool) in
      let visible = waiting.commits.filter { $0.transaction < horizon }
      waiting.commits.removeAll { $0.transaction < horizon }
      return (visible, waiting.commits.isEmpty)
    }
    if visible.isEmpty { return isAll }
    let devices = Array(visible.reduce(into: Set<DeviceID>()) { $0.formUnion($1.devices) })
    var start = 0
    repeat {
      let some = devices[start..<min(start + Self.devicesPerNotificationMax, devices.count)]
      try connection.send(
        "SELECT pg_notify('\(Self.channel)', $1)", [.text(some.map(\.description).joined(separator: " "))])
      start += Self.devicesPerNotificationMax
    } while start < devices.count
    try connection.settle()
    return isAll
  }

  // MARK: Listening

  private func listen() {
    var connection: PostgresConnection?
    var seen: Int64 = 0
    var nextLook = PostgresConnection.now()
    var nextMaintenance = PostgresConnection.now() + Int64.random(in: 0...Self.maintenanceMilliseconds)
    while !isClosed {
      do {
        let used: PostgresConnection
        if let connection {
          used = connection
        } else {
          used = try maker.connect(.listening)
          _ = try used.ask("LISTEN \(Self.channel)")
          seen = try horizon(used)
          connection = used
          // What was sent while nobody listened is not known.
          handler?(.anything)
        }
        let now = PostgresConnection.now()
        if now < nextLook {
          let payloads = try used.notifications(waitingMilliseconds: nextLook - now, orUntil: closing)
          if !payloads.isEmpty { tell(payloads) }
        } else {
          nextLook = now + Self.pollMilliseconds
          try look(used, since: &seen)
        }
        if now >= nextMaintenance {
          nextMaintenance = now + Self.maintenanceMilliseconds
          try Maintenance.foldTotals(on: used)
        }
      } catch {
        connection = nil
        pause(milliseconds: 200)
      }
    }
  }

  private func tell(_ payloads: [String]) {
    var devices: Set<DeviceID> = []
    for payload in payloads {
      for text in payload.split(separator: " ") {
        if let device = DeviceID(text: text) { devices.insert(device) }
      }
    }
    handler?(.devices(devices))
  }

  private func horizon(_ connection: PostgresConnection) throws(PostgresFailure) -> Int64 {
    try connection.ask("SELECT \(EventClock.horizon)")[0].integer(0)
  }

  /// Hints at what became visible since the last look, whether or not it was announced.
  private func look(_ connection: PostgresConnection, since seen: inout Int64) throws(PostgresFailure) {
    let horizon = try horizon(connection)
    guard horizon > seen else { return }
    let found = try connection.ask(
      "SELECT DISTINCT device_id FROM events WHERE position >= $1 AND position < $2",
      [.integer(seen), .integer(horizon)])
    seen = horizon
    if found.rowCount == 0 { return }
    let devices = (0..<found.rowCount).compactMap { DeviceID(bytes: found[$0].bytes(0)) }
    handler?(.devices(Set(devices)))
  }
}

/// What keeps the figures small.
enum Maintenance {
  private static let figuresMax: Int64 = 200

  /// Folds shards of figures that cancel each other out, some at a time, while no other server does.
  static func foldTotals(on connection: PostgresConnection) throws(PostgresFailure) {
    try connection.send("BEGIN")
    let lock = try connection.ask(
      "SELECT pg_try_advisory_xact_lock($1)", [.integer(AdvisoryLock.maintenance.key([]))])
    if lock[0].bool(0) {
      // A shard that somebody is at work on is left alone.
      let removed = try connection.ask(
        """
        WITH spent AS MATERIALIZED (
        SELECT DISTINCT merchant_id, kind, place_id, label FROM (
        SELECT merchant_id, kind, place_id, label FROM listing_totals WHERE total <= 0 LIMIT $1) AS found),
        locked AS MATERIALIZED (
        SELECT t.merchant_id, t.kind, t.place_id, t.label, t.shard FROM listing_totals AS t
        JOIN spent USING (merchant_id, kind, place_id, label) FOR UPDATE OF t SKIP LOCKED)
        DELETE FROM listing_totals AS t USING locked
        WHERE t.merchant_id = locked.merchant_id AND t.kind = locked.kind AND t.place_id = locked.place_id
        AND t.label = locked.label AND t.shard = locked.shard
        RETURNING t.merchant_id, t.kind, t.place_id, t.label, t.total
        """, [.integer(figuresMax)])
      var sums: [WriteEffects.TotalKey: Int64] = [:]
      for index in 0..<removed.rowCount {
        let row = removed[index]
        let key = WriteEffects.TotalKey(
          merchant: row.bytes(0), kind: row.integer(1), place: row.bytes(2), label: row.bytes(3))
        sums[key, default: 0] += row.integer(4)
      }
      try Totals.write(sums, shard: Totals.foldedShard, to: connection)
    }
    _ = try connection.ask("COMMIT")
  }
}
