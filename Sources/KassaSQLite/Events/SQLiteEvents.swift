import KassaDomain
import KassaStore

struct SQLiteEvents: EventTable {
  let connection: SQLiteConnection

  func append(_ event: Event) throws {
    let (kind, id) = Self.columns(of: event.actor)
    try connection.run(
      """
      INSERT INTO events (merchant_id, subject_id, sequence, type, at, actor_kind, actor_id, request_id, related_id,
      device_id, order_id, failure_reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      .id(event.merchantID), .id(event.subjectID), .integer(event.sequence), .text(event.type.rawValue),
      .time(event.at), .text(kind), id, .text(event.requestID), .id(event.relatedID), .id(event.deviceID),
      .id(event.orderID), .text(event.failureReason))
  }

  func newest(of merchant: MerchantID, before: Int64?, limit: Int) throws -> [LoggedEvent] {
    try connection.all(
      """
      SELECT \(Self.columns) FROM events WHERE merchant_id = ? AND position < ? ORDER BY position DESC LIMIT ?
      """,
      .id(merchant), .integer(before ?? .max), .integer(Int64(limit)), read: Self.logged)
  }

  func feed(of device: DeviceID, after: Int64, limit: Int) throws -> [LoggedEvent] {
    try connection.all(
      "SELECT \(Self.columns) FROM events WHERE device_id = ? AND position > ? ORDER BY position LIMIT ?",
      .id(device), .integer(after), .integer(Int64(limit)), read: Self.logged)
  }

  func newestPosition(of device: DeviceID) throws -> Int64 {
    try connection.first("SELECT max(position) FROM events WHERE device_id = ?", .id(device)) { $0.integer(0) } ?? 0
  }

  func history(of subject: SubjectID, merchant: MerchantID) throws -> [LoggedEvent] {
    try connection.all(
      "SELECT \(Self.columns) FROM events WHERE merchant_id = ? AND subject_id = ? ORDER BY sequence",
      .id(merchant), .id(subject), read: Self.logged)
  }

  private static let columns = """
    position, merchant_id, subject_id, sequence, type, at, actor_kind, actor_id, request_id, related_id, device_id,
    order_id, failure_reason
    """

  private static func logged(_ row: SQLRow) throws -> LoggedEvent {
    guard let type = EventType(rawValue: row.text(4)) else {
      throw StoreError.unusable(OperatorDetail("an event has the unknown type \(row.text(4))"))
    }
    return LoggedEvent(
      position: row.integer(0),
      event: Event(
        merchantID: try row.id(1), subjectID: try row.id(2), sequence: row.integer(3), type: type, at: row.time(5),
        actor: try Self.actor(row), requestID: row.optionalText(8), relatedID: try row.optionalID(9),
        deviceID: try row.optionalID(10), orderID: try row.optionalID(11), failureReason: row.optionalText(12)))
  }

  private static func columns(of actor: Actor) -> (kind: String, id: SQLValue) {
    switch actor {
    case .apiKey(let id): ("api_key", .id(id))
    case .device(let id): ("device", .id(id))
    case .enrollmentCode(let id): ("enrollment_code", .id(id))
    case .operatorAtConsole: ("operator", .null)
    case .system: ("system", .null)
    }
  }

  private static func actor(_ row: SQLRow) throws -> Actor {
    switch row.text(6) {
    case "api_key": .apiKey(try row.id(7))
    case "device": .device(try row.id(7))
    case "enrollment_code": .enrollmentCode(try row.id(7))
    case "operator": .operatorAtConsole
    case "system": .system
    default: throw StoreError.unusable(OperatorDetail("an event has the unknown actor \(row.text(6))"))
    }
  }
}
