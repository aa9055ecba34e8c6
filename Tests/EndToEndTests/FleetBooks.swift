import KassaJSON
import KassaTestDatabases
import KassaTestSupport

/// What the database of several servers holds, read beside them.
struct FleetBooks {
  struct Session {
    let device: String
    let tag: String
    var status: String
    let amount: Int64
    /// What the card network took for it and did not give back.
    var charged: Int64
  }

  struct Event {
    let subject: String
    let sequence: Int64
    let type: String
  }

  /// A figure that a list states, and the rows that it counts.
  struct Total {
    let name: String
    var stated: Int64
    let counted: Int64
  }

  /// Enrollment to its status, and to the tag that asked for it.
  var enrollments: [String: (status: String, tag: String)] = [:]
  /// Device to its enrollment.
  var devices: [String: String] = [:]
  var removed: Set<String> = []
  var sessions: [String: Session] = [:]
  /// In the order of their positions.
  var events: [Event] = []
  /// What the card network's book sums up to.
  var booked: Int64 = 0
  /// What waits for something, though nothing is left to do.
  var unfinished: [String: Int64] = [:]
  var totals: [Total] = []

  init(_ url: String, _ fleet: Fleet) async throws {
    let client = try PostgresClient(url)
    func rows(_ sql: String) throws -> [[String]] { try client.execute(sql).map { $0.map { $0 ?? "" } } }
    func number(_ sql: String) throws -> Int64 { Int64(try rows(sql)[0][0]) ?? -1 }

    for row in try rows("SELECT id, status, coalesce(metadata::json->>'tag', '') FROM enrollments") {
      enrollments[row[0]] = (row[1], row[2])
    }
    for row in try rows("SELECT id, enrollment_id, deleted_at FROM devices") {
      devices[row[0]] = row[1]
      if !row[2].isEmpty { removed.insert(row[0]) }
    }
    let took = "CASE WHEN state <> 'CHARGED' THEN 0 WHEN is_released THEN captured ELSE amount END - refunded"
    let sold = try rows(
      """
      SELECT s.id, s.device_id, s.merchant_reference1, s.status, s.order_amount, coalesce(sum(c.took), 0)::bigint
      FROM sessions AS s LEFT JOIN payments AS p ON p.session_id = s.id
      LEFT JOIN (SELECT payment_id, \(took) AS took FROM simulated_charges WHERE state <> 'REFUNDED') AS c
      ON c.payment_id = p.id GROUP BY s.merchant_id, s.id
      """)
    for row in sold {
      sessions[row[0]] = Session(
        device: row[1], tag: row[2], status: row[3], amount: Int64(row[4]) ?? -1, charged: Int64(row[5]) ?? -1)
    }
    booked = try number("SELECT coalesce(sum(\(took)), 0)::bigint FROM simulated_charges WHERE state <> 'REFUNDED'")
    events = try rows("SELECT subject_id, sequence, type FROM events ORDER BY position").map {
      Event(subject: $0[0], sequence: Int64($0[1]) ?? -1, type: $0[2])
    }
    unfinished = [
      "leases": try number("SELECT count(*) FROM callback_chains WHERE lease IS NOT NULL"),
      "chains of callbacks": try number("SELECT count(*) FROM callback_chains"),
      "pending callbacks": try number("SELECT count(*) FROM callback_deliveries WHERE status = 'PENDING'"),
      "payments to look after": try number("SELECT count(*) FROM payments WHERE check_at IS NOT NULL"),
      "movements to look after": try number("SELECT count(*) FROM order_movements WHERE check_at IS NOT NULL"),
      "transactions": try number(
        """
        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND state LIKE 'idle in transaction%' AND state_change < now() - interval '15 seconds'
        """),
    ]
    let server = try await fleet.anyone()
    for (path, sql) in [
      ("/ipp/v1/enrollments?", "enrollments WHERE status <> 'CANCELLED'"),
      ("/ipp/v1/enrollments?include_consumed=false&", "enrollments WHERE status IN ('PENDING', 'EXPIRED')"),
      ("/ipp/v1/devices?", "devices WHERE deleted_at IS NULL"),
      ("/ipp/v1/sessions?", "sessions"),
      ("/ipp/v1/sessions?status=FINALIZED&", "sessions WHERE status = 'FINALIZED'"),
      ("/ipp/v1/sessions?status=CANCELLED&", "sessions WHERE status = 'CANCELLED'"),
      ("/ipp/v1/sessions?status=EXPIRED&", "sessions WHERE status = 'EXPIRED'"),
      ("/ipp/v1/sessions?status=CREATED&", "sessions WHERE status = 'CREATED'"),
      ("/ipp/v1/sessions?status=ACTIVE&", "sessions WHERE status = 'ACTIVE'"),
      ("/portal/v1/orders?", "orders"),
    ] {
      let page = try await server.get("\(path)page_size=1")
      totals.append(
        Total(
          name: path, stated: page.json["total_elements"]?.integer ?? -1,
          counted: try number("SELECT count(*) FROM \(sql)")))
    }
  }

  /// The types of each session's and order's events, as destinations are told of them.
  var histories: [String: [String]] {
    events.reduce(into: [:]) { histories, event in
      let isOfOrder = ["order.", "capture.", "refund."].contains { event.type.hasPrefix($0) }
      if isOfOrder || sessions[event.subject] != nil { histories[event.subject, default: []].append(event.type) }
    }
  }

  /// Everything that is lost, half done or done twice.
  func violations(of records: FleetRecords) -> [String] {
    var violations = records.surprises
    for (tag, id) in records.created where enrollments[id]?.tag != tag {
      violations.append("the acknowledged enrollment \(id) is not there")
    }
    for (enrollment, device) in records.paired where devices[device] != enrollment {
      violations.append("the acknowledged device \(device) is not there")
    }
    for (session, device) in records.sessions where sessions[session]?.device != device {
      violations.append("the acknowledged session \(session) is not there")
    }
    for (session, status) in records.ended where sessions[session]?.status != status {
      violations.append("\(session) was said to be \(status), and is \(sessions[session]?.status ?? "lost")")
    }
    for device in records.removed where !removed.contains(device) {
      violations.append("the removed device \(device) is there")
    }
    for (enrollment, count) in Self.counts(devices.values) where count > 1 {
      violations.append("\(count) devices were paired with the code of \(enrollment)")
    }
    for enrollment in devices.values where enrollments[enrollment]?.status != "CONSUMED" {
      violations.append("a device was paired with \(enrollment), which is not consumed")
    }
    for (tag, count) in Self.counts(enrollments.values.map(\.tag) + sessions.values.map(\.tag))
    where count > 1 && !tag.isEmpty {
      violations.append("\(tag) was made \(count) times")
    }
    for (id, session) in sessions {
      let due = session.status == "FINALIZED" ? session.amount : 0
      if session.charged != due { violations.append("\(id) is \(session.status), and took \(session.charged)") }
    }
    let sold = sessions.values.reduce(0) { $0 + ($1.status == "FINALIZED" ? $1.amount : 0) }
    if booked != sold { violations.append("sessions took \(sold), and the card network has booked \(booked)") }
    violations += historyViolations
    for (what, count) in unfinished where count > 0 { violations.append("\(count) \(what) are left") }
    for total in totals where total.stated != total.counted {
      violations.append("\(total.name) states \(total.stated), and has \(total.counted)")
    }
    return violations
  }

  private var historyViolations: [String] {
    var violations: [String] = []
    var last: [String: Int64] = [:]
    for event in events {
      let before = last[event.subject] ?? 0
      if event.sequence != before + 1 {
        violations.append("\(event.subject): event \(event.sequence) follows \(before)")
      }
      last[event.subject] = event.sequence
    }
    let histories = histories
    for (id, session) in sessions {
      let history = histories[id] ?? []
      if !EndToEnd.CallbackCrashTests.isLegal(history) { violations.append("\(id): \(history)") }
      if history.last(where: { $0 != "payment.late" }) != "session.\(session.status.lowercased())" {
        violations.append("\(id) is \(session.status): \(history)")
      }
    }
    return violations
  }

  private static func counts(_ words: some Sequence<String>) -> [String: Int] {
    Dictionary(words.map { ($0, 1) }, uniquingKeysWith: +)
  }
}
