import KassaDomain
import KassaStore

struct SQLiteDeliveries: DeliveryTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, webhook_id, subject_id, sequence, created_at, status, failed_tries, next_try_at, finished_at
    """

  // MARK: Reads

  func find(_ id: DeliveryID, of merchant: MerchantID) throws -> LoggedDelivery? {
    try connection.first(
      "SELECT \(Self.columns) FROM callback_deliveries WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id),
      read: Self.delivery
    ).map(logged)
  }

  func page(
    of merchant: MerchantID, to destination: WebhookID, state: CallbackDelivery.StateName?, _ page: PageRequest
  ) throws -> Page<LoggedDelivery> {
    var narrowing = "merchant_id = ? AND webhook_id = ?"
    var values: [SQLValue] = [.id(merchant), .id(destination)]
    if let state {
      narrowing += " AND status = ?"
      values.append(.text(state.rawValue))
    }
    let total =
      try connection.all("SELECT coalesce(sum(total), 0) FROM callback_totals WHERE \(narrowing)", values) {
        $0.integer(0)
      }.first ?? 0
    let (skipped, overflow) = page.number.multipliedReportingOverflow(by: page.size)
    if overflow || (page.after == nil && Int64(skipped) >= total) {
      return Page(content: [], totalElements: total, hasMore: false)
    }
    if let after = page.after {
      narrowing += " AND (created_at, id) < (?, ?)"
      values += [.time(after.createdAt), .id(after.id)]
    }
    values += [.integer(Int64(page.size + 1)), .integer(Int64(page.after == nil ? skipped : 0))]
    let rows = try connection.all(
      """
      SELECT \(Self.columns) FROM callback_deliveries WHERE \(narrowing)
      ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?
      """,
      values, read: Self.delivery)
    return Page(
      content: try rows.prefix(page.size).map(logged), totalElements: total, hasMore: rows.count > page.size)
  }

  func mayHaveDue(at now: Timestamp) throws -> Bool {
    try connection.first("SELECT 1 FROM callback_queues WHERE due_at <= ? LIMIT 1", .time(now)) { _ in true } ?? false
  }

  func pendingTotal() throws -> Int64 {
    try connection.first("SELECT coalesce(sum(total), 0) FROM callback_totals WHERE status = 'PENDING'") {
      $0.integer(0)
    } ?? 0
  }

  // MARK: Chains

  func insert(_ delivery: CallbackDelivery) throws {
    try connection.run(
      "INSERT INTO callback_deliveries (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      [
        .id(delivery.id), .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID),
        .integer(delivery.sequence), .time(delivery.createdAt),
      ] + Self.values(of: delivery.state))
    let dueAt = delivery.state.nextTryAt ?? delivery.createdAt
    let isNewChain =
      try connection.run(
        """
        INSERT INTO callback_chains (merchant_id, webhook_id, subject_id, due_at) VALUES (?, ?, ?, ?)
        ON CONFLICT DO NOTHING
        """,
        .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID), .time(dueAt)) == 1
    if isNewChain { try callQueue(of: delivery, at: dueAt) }
  }

  func reopen(_ delivery: CallbackDelivery, from expected: CallbackDelivery.State, at now: Timestamp) throws -> Bool {
    let before = Self.values(of: expected)
    guard
      try connection.run(
        """
        UPDATE callback_deliveries SET status = ?, failed_tries = ?, next_try_at = ?, finished_at = ?
        WHERE merchant_id = ? AND id = ? AND status = ? AND next_try_at IS ? AND finished_at IS ?
        """,
        Self.values(of: delivery.state)
          + [.id(delivery.merchantID), .id(delivery.id), before[0], before[2], before[3]]) == 1
    else { return false }
    // The chain may be leased: then its holder's report finds the new head.
    try connection.run(
      """
      INSERT INTO callback_chains (merchant_id, webhook_id, subject_id, due_at) VALUES (?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET due_at = min(due_at, excluded.due_at) WHERE lease IS NULL
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID), .time(now))
    try settle(delivery)
    try callQueue(of: delivery, at: now)
    return true
  }

  func claim(
    _ lease: DeliveryLease, limit: Int, perDestinationMax: Int, at now: Timestamp
  ) throws -> [ClaimedDelivery] {
    let queues = try connection.all(
      "SELECT merchant_id, webhook_id FROM callback_queues WHERE due_at <= ? ORDER BY due_at LIMIT ?",
      .time(now), .integer(Int64(limit))
    ) { Queue(merchantID: try $0.id(0), webhookID: try $0.id(1)) }
    var claimed: [ClaimedDelivery] = []
    for (index, queue) in queues.enumerated() {
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
    try connection.run(
      """
      UPDATE callback_deliveries SET status = ?, failed_tries = ?, next_try_at = ?, finished_at = ?
      WHERE merchant_id = ? AND id = ?
      """,
      Self.values(of: delivery.state) + [.id(delivery.merchantID), .id(delivery.id)])
    try log(attempt, of: delivery)
    try settle(delivery)
    try callQueue(of: delivery, at: now)
    return true
  }

  func release(_ delivery: CallbackDelivery, leaseToken: [UInt8], at now: Timestamp) throws {
    guard try giveBack(delivery, leaseToken: leaseToken) else { return }
    try settle(delivery)
    try callQueue(of: delivery, at: now)
  }

  private struct Queue {
    let merchantID: MerchantID
    let webhookID: WebhookID

    var values: [SQLValue] { [.id(merchantID), .id(webhookID)] }
  }

  /// Claims from one destination, and notes when it is worth the next look.
  private func claim(
    _ lease: DeliveryLease, from queue: Queue, limit: Int, perDestinationMax: Int, at now: Timestamp
  ) throws -> [ClaimedDelivery] {
    let webhooks = SQLiteWebhooks(connection: connection)
    guard let destination = try webhooks.find(queue.webhookID, of: queue.merchantID), destination.disabled == nil else {
      try connection.run("DELETE FROM callback_queues WHERE merchant_id = ? AND webhook_id = ?", queue.values)
      return []
    }
    let out =
      try connection.all(
        """
        SELECT count(*) FROM callback_chains
        WHERE merchant_id = ? AND webhook_id = ? AND lease IS NOT NULL AND due_at > ?
        """,
        queue.values + [.time(now)]
      ) { Int($0.integer(0)) }.first ?? 0
    let subjects: [SubjectID] = try connection.all(
      """
      SELECT subject_id FROM callback_chains WHERE merchant_id = ? AND webhook_id = ? AND due_at <= ?
      ORDER BY due_at LIMIT ?
      """,
      queue.values + [.time(now), .integer(Int64(max(0, min(limit, perDestinationMax - out))))]
    ) { try $0.id(0) }
    var claimed: [ClaimedDelivery] = []
    for subject in subjects {
      try connection.run(
        """
        UPDATE callback_chains SET lease = ?, due_at = ?
        WHERE merchant_id = ? AND webhook_id = ? AND subject_id = ? AND due_at <= ?
        """,
        [.blob(lease.token), .time(lease.until)] + queue.values + [.id(subject), .time(now)])
      guard let head = try head(queue, subject: subject) else {
        // Never seen; but one such chain must not stop all others for ever.
        try connection.run(
          "DELETE FROM callback_chains WHERE merchant_id = ? AND webhook_id = ? AND subject_id = ?",
          queue.values + [.id(subject)])
        continue
      }
      let event = try SQLiteEvents(connection: connection)
        .find(subject: subject, sequence: head.sequence, of: queue.merchantID)
      guard let event else { throw StoreError.unusable(OperatorDetail("a delivery's event is missing")) }
      claimed.append(ClaimedDelivery(delivery: head, event: event, destination: destination))
    }
    try postpone(queue, isFull: out + claimed.count >= perDestinationMax, at: now)
    return claimed
  }

  /// With free places the next look is worth it when a chain is due, without any when a lease ends. A destination that
  /// still has due chains goes to the end of the line.
  private func postpone(_ queue: Queue, isFull: Bool, at now: Timestamp) throws {
    let narrowing = isFull ? "AND lease IS NOT NULL AND due_at > ?" : ""
    let next =
      try connection.all(
        "SELECT min(due_at) FROM callback_chains WHERE merchant_id = ? AND webhook_id = ? \(narrowing)",
        queue.values + (isFull ? [.time(now)] : [])
      ) { $0.optionalTime(0) }.first ?? nil
    if let next {
      try connection.run(
        "UPDATE callback_queues SET due_at = ? WHERE merchant_id = ? AND webhook_id = ?",
        [.time(max(next, now))] + queue.values)
    } else {
      try connection.run("DELETE FROM callback_queues WHERE merchant_id = ? AND webhook_id = ?", queue.values)
    }
  }

  private func head(_ queue: Queue, subject: SubjectID) throws -> CallbackDelivery? {
    try connection.all(
      """
      SELECT \(Self.columns) FROM callback_deliveries
      WHERE merchant_id = ? AND webhook_id = ? AND subject_id = ? AND status = 'PENDING' ORDER BY sequence LIMIT 1
      """,
      queue.values + [.id(subject)], read: Self.delivery
    ).first
  }

  /// Ends the lease on the delivery's chain. Returns whether it was still held.
  private func giveBack(_ delivery: CallbackDelivery, leaseToken: [UInt8]) throws -> Bool {
    try connection.run(
      """
      UPDATE callback_chains SET lease = NULL
      WHERE merchant_id = ? AND webhook_id = ? AND subject_id = ? AND lease = ?
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .id(delivery.subjectID), .blob(leaseToken)) == 1
  }

  /// Makes the delivery's chain, unless it is leased, due when its head is, or removes it with its last delivery.
  private func settle(_ delivery: CallbackDelivery) throws {
    let queue = Queue(merchantID: delivery.merchantID, webhookID: delivery.destinationID)
    let chain = queue.values + [.id(delivery.subjectID)]
    if let next = try head(queue, subject: delivery.subjectID)?.state.nextTryAt {
      try connection.run(
        """
        UPDATE callback_chains SET due_at = ?
        WHERE merchant_id = ? AND webhook_id = ? AND subject_id = ? AND lease IS NULL
        """,
        [.time(next)] + chain)
    } else {
      try connection.run(
        "DELETE FROM callback_chains WHERE merchant_id = ? AND webhook_id = ? AND subject_id = ?", chain)
    }
  }

  /// Makes the delivery's destination worth a look at `moment`, if it is not before.
  private func callQueue(of delivery: CallbackDelivery, at moment: Timestamp) throws {
    try connection.run(
      """
      INSERT INTO callback_queues (merchant_id, webhook_id, due_at) VALUES (?, ?, ?)
      ON CONFLICT DO UPDATE SET due_at = excluded.due_at WHERE excluded.due_at < due_at
      """,
      .id(delivery.merchantID), .id(delivery.destinationID), .time(moment))
  }

  // MARK: Log

  private func log(_ attempt: CallbackAttempt, of delivery: CallbackDelivery) throws {
    let (status, error): (SQLValue, SQLValue) =
      switch attempt.result {
      case .status(let status): (.integer(Int64(status)), .null)
      case .error(let error): (.null, .text(error.rawValue))
      }
    try connection.run(
      """
      INSERT INTO callback_attempts
      (merchant_id, delivery_id, number, at, duration_milliseconds, status, error, response_excerpt)
      SELECT ?1, ?2, coalesce(max(number), 0) + 1, ?3, ?4, ?5, ?6, ?7
      FROM callback_attempts WHERE merchant_id = ?1 AND delivery_id = ?2
      """,
      .id(delivery.merchantID), .id(delivery.id), .time(attempt.at), .integer(attempt.durationMilliseconds), status,
      error, .text(attempt.responseExcerpt))
  }

  private func logged(_ delivery: CallbackDelivery) throws -> LoggedDelivery {
    let event = try SQLiteEvents(connection: connection)
      .find(subject: delivery.subjectID, sequence: delivery.sequence, of: delivery.merchantID)
    guard let event else { throw StoreError.unusable(OperatorDetail("a delivery's event is missing")) }
    let attempts = try connection.all(
      """
      SELECT at, duration_milliseconds, status, error, response_excerpt FROM callback_attempts
      WHERE merchant_id = ? AND delivery_id = ? ORDER BY number
      """,
      .id(delivery.merchantID), .id(delivery.id), read: Self.attempt)
    return LoggedDelivery(delivery: delivery, event: event, attempts: attempts)
  }

  func forget(before: Timestamp, limit: Int) throws -> Int {
    let limit = Int64(limit)
    var rows = try connection.run(
      """
      DELETE FROM callback_attempts WHERE (merchant_id, delivery_id, number) IN
      (SELECT merchant_id, delivery_id, number FROM callback_attempts WHERE at <= ? LIMIT ?)
      """,
      .time(before), .integer(limit))
    rows += try connection.run(
      """
      DELETE FROM callback_deliveries WHERE row_id IN
      (SELECT row_id FROM callback_deliveries WHERE finished_at <= ? LIMIT ?)
      """,
      .time(before), .integer(limit))
    let deleted = try connection.first(
      "SELECT merchant_id, id FROM webhooks WHERE deleted_at IS NOT NULL ORDER BY deleted_at LIMIT 1"
    ) { Queue(merchantID: try $0.id(0), webhookID: try $0.id(1)) }
    if let deleted { rows += try forget(deleted, limit: limit) }
    return rows
  }

  /// Removes a part of what a deleted destination left, and in the end itself. The log of its attempts goes with time.
  private func forget(_ destination: Queue, limit: Int64) throws -> Int {
    let rows = try connection.run(
      """
      DELETE FROM callback_deliveries WHERE row_id IN
      (SELECT row_id FROM callback_deliveries WHERE merchant_id = ? AND webhook_id = ? LIMIT ?)
      """,
      destination.values + [.integer(limit)])
    if Int64(rows) < limit {
      for table in ["callback_chains", "callback_queues", "callback_totals"] {
        try connection.run("DELETE FROM \(table) WHERE merchant_id = ? AND webhook_id = ?", destination.values)
      }
      try connection.run("DELETE FROM webhooks WHERE merchant_id = ? AND id = ?", destination.values)
    }
    return rows
  }

  // MARK: Rows

  /// Status, failed tries, next try, finish.
  private static func values(of state: CallbackDelivery.State) -> [SQLValue] {
    switch state {
    case .pending(let failedTries, let nextTryAt):
      [.text(state.name.rawValue), .integer(Int64(failedTries)), .time(nextTryAt), .null]
    case .delivered(let at), .dead(let at): [.text(state.name.rawValue), .integer(0), .null, .time(at)]
    }
  }

  private static func delivery(_ row: SQLRow) throws -> CallbackDelivery {
    let state: CallbackDelivery.State
    switch CallbackDelivery.StateName(rawValue: row.text(6)) {
    case .pending: state = .pending(failedTries: Int(row.integer(7)), nextTryAt: row.time(8))
    case .delivered: state = .delivered(at: row.time(9))
    case .dead: state = .dead(at: row.time(9))
    case nil: throw StoreError.unusable(OperatorDetail("a delivery has the unknown status \(row.text(6))"))
    }
    return CallbackDelivery(
      restoring: try row.id(0), merchantID: try row.id(1), destinationID: try row.id(2), subjectID: try row.id(3),
      sequence: row.integer(4), createdAt: row.time(5), state: state)
  }

  private static func attempt(_ row: SQLRow) throws -> CallbackAttempt {
    let result: CallbackAttempt.Result
    if row.isNull(2) {
      guard let error = CallbackAttempt.ErrorClass(rawValue: row.text(3)) else {
        throw StoreError.unusable(OperatorDetail("an attempt has the unknown error \(row.text(3))"))
      }
      result = .error(error)
    } else {
      result = .status(Int(row.integer(2)))
    }
    return CallbackAttempt(
      at: row.time(0), durationMilliseconds: row.integer(1), result: result, responseExcerpt: row.optionalText(4))
  }
}

extension CallbackDelivery.State {
  /// When a pending one is to be tried.
  fileprivate var nextTryAt: Timestamp? {
    if case .pending(_, let nextTryAt) = self { return nextTryAt }
    return nil
  }
}
