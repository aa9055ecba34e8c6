import KassaDomain
import KassaStore

struct PostgresDeliveries: DeliveryTable {
  let session: PostgresSession
  private static let columnNames = [
    "id", "merchant_id", "webhook_id", "subject_id", "sequence", "created_at", "status", "failed_tries", "next_try_at",
    "finished_at",
  ]
  private static let columns = columnNames.joined(separator: ", ")
  private static let columnCount = Int32(columnNames.count)
  private static let joinedColumns =
    columnNames.map { "t.\($0)" }.joined(separator: ", ") + ", " + PostgresEvents.joinedColumns

  // MARK: Reads

  func find(_ id: DeliveryID, of merchant: MerchantID) throws -> LoggedDelivery? {
    let found = try session.first(
      """
      SELECT \(Self.joinedColumns) FROM callback_deliveries AS t
      JOIN events AS e ON e.merchant_id = t.merchant_id AND e.subject_id = t.subject_id AND e.sequence = t.sequence
      WHERE t.merchant_id = $1 AND t.id = $2
      """,
      .id(merchant), .id(id)
    ) { try Self.withEvent($0, from: 0) }
    return try logged(found.map { [$0] } ?? [], of: merchant).first
  }

  func page(
    of merchant: MerchantID, to destination: WebhookID, state: CallbackDelivery.StateName?, _ page: PageRequest
  ) throws -> Page<LoggedDelivery> {
    // The event's columns come by a join inside the page's subquery.
    var query = Lists.Query(
      table: "callback_deliveries", columns: Self.columnNames.map { "t.\($0)" }.joined(separator: ", "),
      merchant: merchant)
    query.equals = [("webhook_id", .id(destination))]
    if let state { query.equals.append(("status", .text(state.rawValue))) }
    let states = state.map { [$0] } ?? CallbackDelivery.StateName.allCases
    query.total = (.deliveries, destination.bytes, states.map(\.rawValue))
    let found = try Lists(session: session).page(query, page) { try Self.delivery($0, from: 2) }
    let events = try events(of: found.content, merchant: merchant)
    let whole = try logged(
      try found.content.map { delivery in
        guard let event = events[EventName(delivery)] else { throw Self.eventIsMissing }
        return (delivery, event)
      }, of: merchant)
    return Page(content: whole, totalElements: found.totalElements, hasMore: found.hasMore)
  }

  func mayHaveDue(at now: Timestamp) throws -> Bool {
    try session.first("SELECT 1 FROM callback_queues WHERE due_at <= $1 LIMIT 1", .time(now)) { _ in true } ?? false
  }

  func pendingTotal() throws -> Int64 {
    try Totals(session: session).ofDeployment(.pendingDeliveries).values.reduce(0, +)
  }

  // MARK: Chains

  func insert(_ delivery: CallbackDelivery) throws {
    try session.run(
      "INSERT INTO callback_deliveries (\(Self.columns)) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
      [
        .id(delivery.id), .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID),
        .integer(delivery.sequence), .time(delivery.createdAt),
      ] + Self.values(of: delivery.state))
    count(delivery, from: nil, to: delivery.state.name)
    // Locks the chain, so that nobody removes it as empty meanwhile.
    let dueAt = delivery.state.nextTryAt ?? delivery.createdAt
    try session.run(
      """
      INSERT INTO callback_chains (merchant_id, webhook_id, subject_id, due_at) VALUES ($1, $2, $3, $4)
      ON CONFLICT (merchant_id, webhook_id, subject_id) DO UPDATE SET due_at = callback_chains.due_at
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID), .time(dueAt))
    callQueue(of: delivery, at: dueAt)
  }

  func reopen(_ delivery: CallbackDelivery, from expected: CallbackDelivery.State, at now: Timestamp) throws -> Bool {
    let before = Self.values(of: expected)
    guard
      try session.change(
        """
        UPDATE callback_deliveries SET status = $1, failed_tries = $2, next_try_at = $3, finished_at = $4
        WHERE merchant_id = $5 AND id = $6 AND status = $7 AND next_try_at IS NOT DISTINCT FROM $8::bigint
        AND finished_at IS NOT DISTINCT FROM $9::bigint
        """,
        Self.values(of: delivery.state)
          + [.id(delivery.merchantID), .id(delivery.id), before[0], before[2], before[3]]) == 1
    else { return false }
    count(delivery, from: expected.name, to: delivery.state.name)
    // The chain may be leased: then its holder's report finds the new head.
    try session.run(
      """
      INSERT INTO callback_chains (merchant_id, webhook_id, subject_id, due_at) VALUES ($1, $2, $3, $4)
      ON CONFLICT (merchant_id, webhook_id, subject_id) DO UPDATE SET due_at = CASE
      WHEN callback_chains.lease IS NULL THEN least(callback_chains.due_at, excluded.due_at)
      ELSE callback_chains.due_at END
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID), .time(now))
    try settle(delivery)
    callQueue(of: delivery, at: now)
    return true
  }

  func claim(
    _ lease: DeliveryLease, limit: Int, perDestinationMax: Int, at now: Timestamp
  ) throws -> [ClaimedDelivery] {
    try session.writeQueueCalls()
    let queues = try session.all(
      """
      SELECT merchant_id, webhook_id FROM callback_queues WHERE due_at <= $1
      GROUP BY merchant_id, webhook_id ORDER BY min(due_at) LIMIT $2
      """,
      .time(now), .integer(Int64(limit))
    ) { Queue(merchantID: try $0.id(0), webhookID: try $0.id(1)) }
    var claimed: [ClaimedDelivery] = []
    for (index, queue) in queues.enumerated() {
      // Another server that looks at this destination has its turn.
      guard try session.tryLock(.destination, queue.webhookID.bytes) else { continue }
      let (left, queuesLeft) = (limit - claimed.count, queues.count - index)
      let share = min(perDestinationMax, max(1, left / queuesLeft))
      claimed += try claim(lease, from: queue, limit: min(share, left), perDestinationMax: perDestinationMax, at: now)
      if claimed.count >= limit { break }
    }
    return claimed
  }

  func finish(
    _ delivery: CallbackDelivery, attempt: CallbackAttempt, leaseToken: [UInt8], at now: Timestamp
  ) throws -> Bool {
    guard try giveBack(delivery, leaseToken: leaseToken) else { return false }
    // Whose lease it is has the chain's first pending delivery.
    try session.run(
      """
      UPDATE callback_deliveries SET status = $1, failed_tries = $2, next_try_at = $3, finished_at = $4
      WHERE merchant_id = $5 AND id = $6
      """,
      Self.values(of: delivery.state) + [.id(delivery.merchantID), .id(delivery.id)])
    count(delivery, from: .pending, to: delivery.state.name)
    try log(attempt, of: delivery)
    try settle(delivery)
    callQueue(of: delivery, at: now)
    return true
  }

  func release(_ delivery: CallbackDelivery, leaseToken: [UInt8], at now: Timestamp) throws {
    guard try giveBack(delivery, leaseToken: leaseToken) else { return }
    try settle(delivery)
    callQueue(of: delivery, at: now)
  }

  private struct Queue {
    let merchantID: MerchantID
    let webhookID: WebhookID

    var values: [PostgresValue] { [.id(merchantID), .id(webhookID)] }
  }

  /// Claims from one destination, and notes when it is worth the next look.
  ///
  /// The shards of the queue that are seen are taken away, and one is put back at the end. A shard that another writer
  /// commits meanwhile is not seen, and stays: its chain is found by the next look.
  private func claim(
    _ lease: DeliveryLease, from queue: Queue, limit: Int, perDestinationMax: Int, at now: Timestamp
  ) throws -> [ClaimedDelivery] {
    try session.run(
      """
      DELETE FROM callback_queues WHERE (merchant_id, webhook_id, shard) IN
      (SELECT merchant_id, webhook_id, shard FROM callback_queues WHERE merchant_id = $1 AND webhook_id = $2
      FOR UPDATE SKIP LOCKED)
      """,
      queue.values)
    let found = try session.all(
      """
      SELECT \(PostgresWebhooks.columnNames.joined(separator: ", ")) FROM webhooks
      WHERE merchant_id = $1 AND id = $2 AND deleted_at IS NULL AND disabled_at IS NULL
      """,
      queue.values
    ) { try PostgresWebhooks.destination($0) }
    guard let destination = found.first else { return [] }
    let out =
      try session.all(
        """
        SELECT count(*) FROM callback_chains
        WHERE merchant_id = $1 AND webhook_id = $2 AND lease IS NOT NULL AND due_at > $3
        """,
        queue.values + [.time(now)]
      ) { Int($0.integer(0)) }.first ?? 0
    let subjects: [SubjectID] = try session.all(
      """
      WITH due AS MATERIALIZED (
      SELECT subject_id, due_at FROM callback_chains WHERE merchant_id = $1 AND webhook_id = $2 AND due_at <= $3
      ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED),
      leased AS (
      UPDATE callback_chains AS c SET lease = $5, due_at = $6 FROM due
      WHERE c.merchant_id = $1 AND c.webhook_id = $2 AND c.subject_id = due.subject_id RETURNING c.subject_id)
      SELECT due.subject_id FROM due JOIN leased ON leased.subject_id = due.subject_id ORDER BY due.due_at
      """,
      queue.values + [
        .time(now), .integer(Int64(max(0, min(limit, perDestinationMax - out)))), .bytes(lease.token),
        .time(lease.until),
      ]
    ) { try $0.id(0) }
    let heads = try heads(of: subjects, queue)
    for subject in subjects where heads[subject] == nil {
      // Never seen; but one such chain must not stop all others for ever.
      try session.run(
        "DELETE FROM callback_chains WHERE merchant_id = $1 AND webhook_id = $2 AND subject_id = $3",
        queue.values + [.id(subject)])
    }
    let claimed = subjects.compactMap { subject in
      heads[subject].map { ClaimedDelivery(delivery: $0.0, event: $0.1, destination: destination) }
    }
    try postpone(queue, isFull: out + claimed.count >= perDestinationMax, at: now)
    return claimed
  }

  private func heads(of subjects: [SubjectID], _ queue: Queue) throws -> [SubjectID: (CallbackDelivery, Event)] {
    if subjects.isEmpty { return [:] }
    let found = try session.all(
      """
      SELECT \(Self.joinedColumns) FROM unnest($3::uuid[]) AS chain (subject_id)
      CROSS JOIN LATERAL (
      SELECT * FROM callback_deliveries AS d WHERE d.merchant_id = $1 AND d.webhook_id = $2
      AND d.subject_id = chain.subject_id AND d.status = 'PENDING' ORDER BY d.sequence LIMIT 1) AS t
      JOIN events AS e ON e.merchant_id = $1 AND e.subject_id = t.subject_id AND e.sequence = t.sequence
      """,
      queue.values + [.ids(subjects.map(\.bytes))]
    ) { try Self.withEvent($0, from: 0) }
    return Dictionary(found.map { ($0.0.subjectID, $0) }) { first, _ in first }
  }

  /// With free places the next look is worth it when a chain is due, without any when a lease ends. A destination that
  /// still has due chains goes to the end of the line.
  private func postpone(_ queue: Queue, isFull: Bool, at now: Timestamp) throws {
    let narrowing = isFull ? "AND lease IS NOT NULL AND due_at > $3" : ""
    let next =
      try session.all(
        "SELECT min(due_at) FROM callback_chains WHERE merchant_id = $1 AND webhook_id = $2 \(narrowing)",
        queue.values + (isFull ? [.time(now)] : [])
      ) { $0.optionalTime(0) }.first ?? nil
    guard let next else { return }
    session.effects.call(
      .init(merchant: queue.merchantID.bytes, webhook: queue.webhookID.bytes),
      at: max(next, now).millisecondsSinceEpoch)
  }

  /// Ends the lease on the delivery's chain. Returns whether it was still held. Whoever gave it back is alone with the
  /// chain until the commit.
  private func giveBack(_ delivery: CallbackDelivery, leaseToken: [UInt8]) throws -> Bool {
    try session.change(
      """
      UPDATE callback_chains SET lease = NULL
      WHERE merchant_id = $1 AND webhook_id = $2 AND subject_id = $3 AND lease = $4
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID), .bytes(leaseToken)) == 1
  }

  /// Makes the delivery's chain, which this transaction has locked, due when its head is, unless it is leased, or removes
  /// it with its last delivery.
  private func settle(_ delivery: CallbackDelivery) throws {
    try session.run(
      """
      WITH head AS (
      SELECT next_try_at FROM callback_deliveries
      WHERE merchant_id = $1 AND webhook_id = $2 AND subject_id = $3 AND status = 'PENDING' ORDER BY sequence LIMIT 1),
      emptied AS (
      DELETE FROM callback_chains WHERE merchant_id = $1 AND webhook_id = $2 AND subject_id = $3
      AND NOT EXISTS (SELECT 1 FROM head))
      UPDATE callback_chains SET due_at = head.next_try_at FROM head
      WHERE merchant_id = $1 AND webhook_id = $2 AND subject_id = $3 AND lease IS NULL
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID))
  }

  /// Makes the delivery's destination worth a look at `moment`, if it is not before.
  private func callQueue(of delivery: CallbackDelivery, at moment: Timestamp) {
    session.effects.call(
      .init(merchant: delivery.merchantID.bytes, webhook: delivery.destinationID.bytes),
      at: moment.millisecondsSinceEpoch)
  }

  private func count(
    _ delivery: CallbackDelivery, from old: CallbackDelivery.StateName?, to new: CallbackDelivery.StateName?
  ) {
    count(delivery.merchantID, delivery.destinationID, old, by: -1)
    count(delivery.merchantID, delivery.destinationID, new, by: 1)
  }

  private func count(
    _ merchant: MerchantID, _ destination: WebhookID, _ state: CallbackDelivery.StateName?, by delta: Int64
  ) {
    guard let state else { return }
    let totals = Totals(session: session)
    totals.add(delta, .deliveries, of: merchant.bytes, at: destination.bytes, label: state.rawValue)
    if state == .pending { totals.add(delta, .pendingDeliveries, of: Totals.deployment) }
  }

  // MARK: Log

  private func log(_ attempt: CallbackAttempt, of delivery: CallbackDelivery) throws {
    let (status, error): (PostgresValue, PostgresValue) =
      switch attempt.result {
      case .status(let status): (.integer(Int64(status)), .null)
      case .error(let error): (.null, .text(error.rawValue))
      }
    try session.run(
      """
      INSERT INTO callback_attempts
      (merchant_id, delivery_id, number, at, duration_milliseconds, status, error, response_excerpt)
      SELECT $1, $2, coalesce(max(number), 0) + 1, $3::bigint, $4::bigint, $5::bigint, $6::text, $7::text
      FROM callback_attempts WHERE merchant_id = $1 AND delivery_id = $2
      """,
      .id(delivery.merchantID), .id(delivery.id), .time(attempt.at), .integer(attempt.durationMilliseconds), status,
      error, .text(attempt.responseExcerpt))
  }

  private struct EventName: Hashable {
    let subject: SubjectID
    let sequence: Int64

    init(_ delivery: CallbackDelivery) {
      subject = delivery.subjectID
      sequence = delivery.sequence
    }

    init(_ event: Event) {
      subject = event.subjectID
      sequence = event.sequence
    }
  }

  private func events(of deliveries: [CallbackDelivery], merchant: MerchantID) throws -> [EventName: Event] {
    if deliveries.isEmpty { return [:] }
    let found = try session.all(
      """
      SELECT \(PostgresEvents.joinedColumns)
      FROM unnest($2::uuid[], $3::bigint[]) AS wanted (subject_id, sequence)
      JOIN events AS e ON e.merchant_id = $1 AND e.subject_id = wanted.subject_id AND e.sequence = wanted.sequence
      """,
      .id(merchant), .ids(deliveries.map(\.subjectID.bytes)), .integers(deliveries.map(\.sequence))
    ) { try PostgresEvents.logged($0).event }
    return Dictionary(found.map { (EventName($0), $0) }) { first, _ in first }
  }

  private func logged(_ deliveries: [(CallbackDelivery, Event)], of merchant: MerchantID) throws -> [LoggedDelivery] {
    if deliveries.isEmpty { return [] }
    let found = try session.all(
      """
      SELECT delivery_id, at, duration_milliseconds, status, error, response_excerpt FROM callback_attempts
      WHERE merchant_id = $1 AND delivery_id = ANY ($2::uuid[]) ORDER BY delivery_id, number
      """,
      .id(merchant), .ids(deliveries.map(\.0.id.bytes))
    ) { (id: try $0.id(0, of: DeliveryID.self), attempt: try Self.attempt($0)) }
    let attempts = Dictionary(grouping: found, by: \.id)
    return deliveries.map { delivery, event in
      LoggedDelivery(delivery: delivery, event: event, attempts: attempts[delivery.id]?.map(\.attempt) ?? [])
    }
  }

  func forget(before: Timestamp, limit: Int) throws -> Int {
    var rows = try session.change(
      """
      DELETE FROM callback_attempts WHERE (merchant_id, delivery_id, number) IN
      (SELECT merchant_id, delivery_id, number FROM callback_attempts WHERE at <= $1 LIMIT $2
      FOR UPDATE SKIP LOCKED)
      """,
      .time(before), .integer(Int64(limit)))
    rows += try remove(
      """
      SELECT merchant_id, id FROM callback_deliveries WHERE finished_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED
      """,
      [.time(before), .integer(Int64(limit))])
    let deleted = try session.first(
      """
      SELECT merchant_id, id FROM webhooks WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1
      FOR UPDATE SKIP LOCKED
      """
    ) { Queue(merchantID: try $0.id(0), webhookID: try $0.id(1)) }
    if let deleted { rows += try forget(deleted, limit: limit) }
    return rows
  }

  /// Removes a part of what a deleted destination left, and in the end itself. The log of its attempts goes with time.
  private func forget(_ destination: Queue, limit: Int) throws -> Int {
    let rows = try remove(
      """
      SELECT merchant_id, id FROM callback_deliveries WHERE merchant_id = $1 AND webhook_id = $2 LIMIT $3 FOR UPDATE
      """,
      destination.values + [.integer(Int64(limit))])
    if rows < limit {
      for table in ["callback_chains", "callback_queues"] {
        try session.run("DELETE FROM \(table) WHERE merchant_id = $1 AND webhook_id = $2", destination.values)
      }
      try session.run("DELETE FROM webhooks WHERE merchant_id = $1 AND id = $2", destination.values)
    }
    return rows
  }

  /// Removes the deliveries that `selection` finds, and takes them from their figures.
  private func remove(_ selection: String, _ values: [PostgresValue]) throws -> Int {
    let removed = try session.all(
      """
      DELETE FROM callback_deliveries WHERE (merchant_id, id) IN (\(selection))
      RETURNING merchant_id, webhook_id, status
      """,
      values
    ) { row in
      (
        merchant: try row.id(0, of: MerchantID.self), destination: try row.id(1, of: WebhookID.self),
        state: CallbackDelivery.StateName(rawValue: row.text(2))
      )
    }
    for one in removed { count(one.merchant, one.destination, one.state, by: -1) }
    return removed.count
  }

  // MARK: Rows

  /// Status, failed tries, next try, finish.
  private static func values(of state: CallbackDelivery.State) -> [PostgresValue] {
    switch state {
    case .pending(let failedTries, let nextTryAt):
      [.text(state.name.rawValue), .integer(Int64(failedTries)), .time(nextTryAt), .null]
    case .delivered(let at), .dead(let at): [.text(state.name.rawValue), .integer(0), .null, .time(at)]
    }
  }

  private static func withEvent(_ row: PostgresRow, from start: Int32) throws -> (CallbackDelivery, Event) {
    (try delivery(row, from: start), try PostgresEvents.logged(row, from: start + columnCount).event)
  }

  private static func delivery(_ row: PostgresRow, from start: Int32) throws -> CallbackDelivery {
    let state: CallbackDelivery.State
    switch CallbackDelivery.StateName(rawValue: row.text(start + 6)) {
    case .pending: state = .pending(failedTries: Int(row.integer(start + 7)), nextTryAt: row.time(start + 8))
    case .delivered: state = .delivered(at: row.time(start + 9))
    case .dead: state = .dead(at: row.time(start + 9))
    case nil: throw StoreError.unusable(OperatorDetail("a delivery has the unknown status \(row.text(start + 6))"))
    }
    return CallbackDelivery(
      restoring: try row.id(start), merchantID: try row.id(start + 1), destinationID: try row.id(start + 2),
      subjectID: try row.id(start + 3), sequence: row.integer(start + 4), createdAt: row.time(start + 5), state: state)
  }

  private static func attempt(_ row: PostgresRow) throws -> CallbackAttempt {
    let result: CallbackAttempt.Result
    if row.isNull(3) {
      guard let error = CallbackAttempt.ErrorClass(rawValue: row.text(4)) else {
        throw StoreError.unusable(OperatorDetail("an attempt has the unknown error \(row.text(4))"))
      }
      result = .error(error)
    } else {
      result = .status(Int(row.integer(3)))
    }
    return CallbackAttempt(
      at: row.time(1), durationMilliseconds: row.integer(2), result: result, responseExcerpt: row.optionalText(5))
  }

  private static var eventIsMissing: StoreError { .unusable(OperatorDetail("a delivery's event is missing")) }
}

extension CallbackDelivery.State {
  /// When a pending one is to be tried.
  fileprivate var nextTryAt: Timestamp? {
    if case .pending(_, let nextTryAt) = self { return nextTryAt }
    return nil
  }
}
