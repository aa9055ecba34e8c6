import KassaDomain
import KassaStore

struct PostgresEvents: EventTable {
  let session: PostgresSession

  func append(_ event: Event) throws {
    let (kind, id) = Self.columns(of: event.actor)
    try session.run(
      """
      INSERT INTO events (merchant_id, subject_id, sequence, type, at, actor_kind, actor_id, request_id, related_id,
      device_id, order_id, failure_reason, position) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
      \(EventClock.position(number: 13, merchant: 1, subject: 2, sequence: 3)))
      """,
      .id(event.merchantID), .id(event.subjectID), .integer(event.sequence), .text(event.type.rawValue),
      .time(event.at), .text(kind), id, .text(event.requestID), .id(event.relatedID), .id(event.deviceID),
      .id(event.orderID), .text(event.failureReason), .integer(try session.nextEventNumber()))
    session.effects.hasEvents = true
    if let device = event.deviceID { session.effects.devices.insert(device) }
  }

  func newest(of merchant: MerchantID, before: Int64?, limit: Int) throws -> [LoggedEvent] {
    try session.all(
      "SELECT \(Self.columns) FROM events WHERE merchant_id = $1 AND position < $2 ORDER BY position DESC LIMIT $3",
      .id(merchant), .integer(before ?? .max), .integer(Int64(limit))
    ) { try Self.logged($0) }
  }

  func feed(of device: DeviceID, after: Int64, limit: Int) throws -> [LoggedEvent] {
    try session.all(
      """
      SELECT \(Self.columns) FROM events WHERE device_id = $1 AND position > $2 AND position < \(EventClock.horizon)
      ORDER BY position LIMIT $3
      """,
      .id(device), .integer(after), .integer(Int64(limit))
    ) { try Self.logged($0) }
  }

  func newestPosition(of device: DeviceID) throws -> Int64 {
    try session.first(
      "SELECT max(position) FROM events WHERE device_id = $1 AND position < \(EventClock.horizon)", .id(device)
    ) { $0.integer(0) } ?? 0
  }

  func history(of subject: SubjectID, merchant: MerchantID) throws -> [LoggedEvent] {
    try session.all(
      "SELECT \(Self.columns) FROM events WHERE merchant_id = $1 AND subject_id = $2 ORDER BY sequence",
      .id(merchant), .id(subject)
    ) { try Self.logged($0) }
  }

  func oldest(of merchant: MerchantID, after: Int64, limit: Int) throws -> [LoggedEvent] {
    try session.all(
      """
      SELECT \(Self.columns) FROM events WHERE merchant_id = $1 AND position > $2 AND position < \(EventClock.horizon)
      ORDER BY position LIMIT $3
      """,
      .id(merchant), .integer(after), .integer(Int64(limit))
    ) { try Self.logged($0) }
  }

  /// Of the table's alias `e` too, so that others can join it.
  static let columnNames = [
    "position", "merchant_id", "subject_id", "sequence", "type", "at", "actor_kind", "actor_id", "request_id",
    "related_id", "device_id", "order_id", "failure_reason",
  ]
  static let joinedColumns = columnNames.map { "e.\($0)" }.joined(separator: ", ")
  private static let columns = columnNames.joined(separator: ", ")

  static func logged(_ row: PostgresRow, from start: Int32 = 0) throws -> LoggedEvent {
    guard let type = EventType(rawValue: row.text(start + 4)) else {
      throw StoreError.unusable(OperatorDetail("an event has the unknown type \(row.text(start + 4))"))
    }
    return LoggedEvent(
      position: row.integer(start),
      event: Event(
        merchantID: try row.id(start + 1), subjectID: try row.id(start + 2), sequence: row.integer(start + 3),
        type: type, at: row.time(start + 5), actor: try actor(row, from: start),
        requestID: row.optionalText(start + 8), relatedID: try row.optionalID(start + 9),
        deviceID: try row.optionalID(start + 10), orderID: try row.optionalID(start + 11),
        failureReason: row.optionalText(start + 12)))
  }

  private static func columns(of actor: Actor) -> (kind: String, id: PostgresValue) {
    switch actor {
    case .apiKey(let id): ("api_key", .id(id))
    case .device(let id): ("device", .id(id))
    case .enrollmentCode(let id): ("enrollment_code", .id(id))
    case .operatorAtConsole: ("operator", .null)
    case .system: ("system", .null)
    }
  }

  private static func actor(_ row: PostgresRow, from start: Int32) throws -> Actor {
    switch row.text(start + 6) {
    case "api_key": .apiKey(try row.id(start + 7))
    case "device": .device(try row.id(start + 7))
    case "enrollment_code": .enrollmentCode(try row.id(start + 7))
    case "operator": .operatorAtConsole
    case "system": .system
    default: throw StoreError.unusable(OperatorDetail("an event has the unknown actor \(row.text(start + 6))"))
    }
  }
}
