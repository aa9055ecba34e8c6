import KassaDomain
import KassaStore

/// What is counted. The numbers are stored.
enum TotalKind: Int64 {
  /// Enrollments that are not CANCELLED.
  case enrollments = 0
  /// Enrollments that are neither CANCELLED nor CONSUMED.
  case unconsumedEnrollments = 1
  case devices = 2
  case sessions = 3
  /// Deliveries of callbacks, by destination and status.
  case deliveries = 4
  /// PENDING typed codes of the deployment, by their number of symbols.
  case liveCodes = 5
  /// PENDING deliveries of the deployment.
  case pendingDeliveries = 6
  case orders = 7
}

/// Exact figures beside the rows that they count, without a row that all writers wait for.
///
/// A figure is the sum of its shards. A writer adds to the shards of its own connection, all of a transaction's changes
/// in one statement just before the commit. The maintenance folds shards that cancel each other out.
struct Totals {
  static let shardCount: Int64 = 16
  /// Where the maintenance puts what it folded: no writer's.
  static let foldedShard = shardCount
  static let anywhere = [UInt8](repeating: 0, count: 16)
  static let deployment = [UInt8](repeating: 0, count: 16)

  let session: PostgresSession

  func add(_ delta: Int64, _ kind: TotalKind, of merchant: [UInt8], at place: [UInt8] = anywhere, label: String = "") {
    session.effects.add(
      delta, to: .init(merchant: merchant, kind: kind.rawValue, place: place, label: Array(label.utf8)))
  }

  /// What this transaction changes and has not written yet.
  func unwritten(_ kind: TotalKind, of merchant: [UInt8], at place: [UInt8] = anywhere, labels: [String]) -> Int64 {
    labels.reduce(0) { sum, label in
      let key = WriteEffects.TotalKey(
        merchant: merchant, kind: kind.rawValue, place: place, label: Array(label.utf8))
      return sum + (session.effects.totals[key] ?? 0) + (session.earlierEffects.totals[key] ?? 0)
    }
  }

  /// The figures of the deployment by label.
  func ofDeployment(_ kind: TotalKind) throws -> [String: Int64] {
    var figures: [String: Int64] = [:]
    let stored = try session.allShared(
      "SELECT label, sum(total)::bigint FROM listing_totals WHERE merchant_id = $1 AND kind = $2 GROUP BY label",
      .bytes(Self.deployment), .integer(kind.rawValue), subject: [UInt8(kind.rawValue)]
    ) { ($0.text(0), $0.integer(1)) }
    for (label, total) in stored { figures[label] = total }
    for effects in [session.earlierEffects, session.effects] {
      for (key, delta) in effects.totals where key.kind == kind.rawValue && key.merchant == Self.deployment {
        figures[String(decoding: key.label, as: UTF8.self), default: 0] += delta
      }
    }
    return figures.filter { $0.value != 0 }
  }

  /// Writes changes to the given shard, in one order everywhere.
  static func write(_ totals: [WriteEffects.TotalKey: Int64], shard: Int64, to connection: PostgresConnection)
    throws(PostgresFailure)
  {
    let changes = totals.filter { $0.value != 0 }.sorted { $0.key.precedes($1.key) }
    if changes.isEmpty { return }
    try connection.send(
      """
      INSERT INTO listing_totals (merchant_id, kind, place_id, label, shard, total)
      SELECT merchant_id, kind, place_id, label, $1::bigint, delta
      FROM unnest($2::uuid[], $3::bigint[], $4::uuid[], $5::text[], $6::bigint[])
        AS changes (merchant_id, kind, place_id, label, delta)
      ON CONFLICT (merchant_id, kind, place_id, label, shard)
        DO UPDATE SET total = listing_totals.total + excluded.total
      """,
      [
        .integer(shard), .ids(changes.map(\.key.merchant)), .integers(changes.map(\.key.kind)),
        .ids(changes.map(\.key.place)), .texts(changes.map { String(decoding: $0.key.label, as: UTF8.self) }),
        .integers(changes.map(\.value)),
      ])
  }
}

extension WriteEffects.TotalKey {
  fileprivate func precedes(_ other: Self) -> Bool {
    if merchant != other.merchant { return merchant.lexicographicallyPrecedes(other.merchant) }
    if kind != other.kind { return kind < other.kind }
    if place != other.place { return place.lexicographicallyPrecedes(other.place) }
    return label.lexicographicallyPrecedes(other.label)
  }
}
