import KassaDomain
import KassaJSON
import KassaService
import KassaStore

/// Who changed what.
enum AuditOperations {
  static let all: [Operation] = [
    .merchant("listAuditEntries", .get, "/portal/v1/audit-entries") { call in
      var query = call.query
      let size = query.integer(
        "page_size", 1...Int64(APILimits.pageSizeMax), default: Int64(APILimits.pageSizeDefault))
      let before = query.integer("cursor", 1...Int64.max, default: .max)
      try query.finish()
      let (entries, hasMore) = try await call.service.auditEntries(
        before: before, size: Int(size), as: call.principal)
      return .json(200, AuditWire.page(entries, hasMore: hasMore))
    }
  ]
}

/// Audit entries as JSON.
enum AuditWire {
  static func page(_ entries: [LoggedEvent], hasMore: Bool) -> [UInt8] {
    jsonObject(capacityBytes: 256 + 384 * entries.count) { object in
      object.member(
        "content",
        array: { array in
          for entry in entries { array.elementObject { write(entry, &$0) } }
        })
      if hasMore, let last = entries.last { object.member("next_cursor", "\(last.position)") }
    }
  }

  private static func write(_ entry: LoggedEvent, _ object: inout JSONWriter) {
    object.member("position", entry.position)
    object.member("type", entry.event.type.rawValue)
    object.member("subject_id", entry.event.subjectID)
    object.member("sequence", entry.event.sequence)
    object.member("at", entry.event.at)
    switch entry.event.actor {
    case .apiKey(let id): writeActor("api_key", id, &object)
    case .device(let id): writeActor("device", id, &object)
    case .enrollmentCode(let id): writeActor("enrollment_code", id, &object)
    case .operatorAtConsole: object.member("actor_kind", "operator")
    case .system: object.member("actor_kind", "system")
    }
    object.member("request_id", entry.event.requestID)
    object.member("related_id", entry.event.relatedID)
  }

  private static func writeActor<Entity>(_ kind: String, _ id: Identifier<Entity>, _ object: inout JSONWriter) {
    object.member("actor_kind", kind)
    object.member("actor_id", id)
  }
}
