import KassaDomain
import KassaStore
import KassaStoreText

struct PostgresOrders: OrderTable {
  let session: PostgresSession
  private static let columnNames = [
    "id", "merchant_id", "session_id", "location_id", "payment_id", "method", "amount", "currency",
    "merchant_reference1", "created_at", "captured", "capturing", "refunded", "refunding", "release", "version",
    "sequence",
  ]
  private static let columns = columnNames.joined(separator: ", ")
  private static let listedColumns = columnNames.map { "t.\($0)" }.joined(separator: ", ")
  private static let movementColumns = """
    id, merchant_id, order_id, kind, amount, reference, description, created_at, state, refusal, settled_at,
    provider_references, check_at, checks
    """

  // MARK: Orders

  func insert(_ order: Order) throws {
    let money = order.money
    try session.run(
      """
      INSERT INTO orders (\(Self.columns), status)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
      """,
      .id(order.id), .id(order.merchantID), .id(order.sessionID), .id(order.locationID), .id(order.paymentID),
      .text(order.method.rawValue), .integer(order.amount), .text(order.currency.code),
      .text(order.merchantReference1), .time(order.createdAt), .integer(money.captured), .integer(money.capturing),
      .integer(money.refunded), .integer(money.refunding), .text(money.release.rawValue), .integer(order.version),
      .integer(order.sequence), .text(order.status.rawValue))
    let totals = Totals(session: session)
    for label in ["", Self.label(order.status)] + (order.merchantReference1.map { [Self.label($0)] } ?? []) {
      totals.add(1, .orders, of: order.merchantID.bytes, label: label)
    }
  }

  func find(_ id: OrderID, of merchant: MerchantID) throws -> Order? {
    try session.first(
      """
      SELECT \(Self.columns) FROM orders WHERE merchant_id = $1 AND id = $2\(session.locking("FOR NO KEY UPDATE"))
      """,
      .id(merchant), .id(id)
    ) { try Self.order($0) }
  }

  func page(of merchant: MerchantID, _ filter: OrderFilter, _ page: PageRequest) throws -> Page<Order> {
    var query = Lists.Query(table: "orders", columns: Self.listedColumns, merchant: merchant)
    query.total = (.orders, Totals.anywhere, [""])
    if let status = filter.status {
      query.equals.append(("status", .text(status.rawValue)))
      query.total = (.orders, Totals.anywhere, [Self.label(status)])
    }
    if let reference = filter.merchantReference1 {
      query.equals.append(("merchant_reference1", .text(reference)))
      query.total = (.orders, Totals.anywhere, [Self.label(reference)])
    }
    // A session has one order at most, so it is counted.
    if let session = filter.sessionID {
      query.equals.append(("session_id", .id(session)))
      query.total = nil
    }
    if query.equals.count > 1 { query.total = nil }
    return try Lists(session: session).page(query, page) { try Self.order($0, from: 2) }
  }

  func save(_ order: Order, expecting version: Int64) throws -> Bool {
    let money = order.money
    let before = try session.changed(
      """
      UPDATE orders AS t SET captured = $1, capturing = $2, refunded = $3, refunding = $4, release = $5, version = $6,
      sequence = $7, status = $8
      FROM (SELECT merchant_id, id, status FROM orders WHERE merchant_id = $9 AND id = $10 AND version = $11
      FOR NO KEY UPDATE) AS before
      WHERE t.merchant_id = before.merchant_id AND t.id = before.id RETURNING before.status
      """,
      [
        .integer(money.captured), .integer(money.capturing), .integer(money.refunded), .integer(money.refunding),
        .text(money.release.rawValue), .integer(order.version), .integer(order.sequence),
        .text(order.status.rawValue), .id(order.merchantID), .id(order.id), .integer(version),
      ]
    ) { $0.text(0) }
    guard let before else { return false }
    if let status = Order.Status(rawValue: before), status != order.status {
      let totals = Totals(session: session)
      totals.add(-1, .orders, of: order.merchantID.bytes, label: Self.label(status))
      totals.add(1, .orders, of: order.merchantID.bytes, label: Self.label(order.status))
    }
    return true
  }

  private static func label(_ status: Order.Status) -> String { "status:\(status.rawValue)" }
  private static func label(_ reference: String) -> String { "reference:\(reference)" }

  private static func order(_ row: PostgresRow, from first: Int32 = 0) throws -> Order {
    guard let method = PaymentMethod(rawValue: row.text(first + 5)),
      let currency = Currency(code: row.text(first + 7)),
      let release = Order.Release(rawValue: row.text(first + 14))
    else { throw StoreError.unusable(OperatorDetail("an order's row cannot be read")) }
    return Order(
      restoring: try row.id(first), merchantID: try row.id(first + 1), sessionID: try row.id(first + 2),
      locationID: try row.optionalID(first + 3), paymentID: try row.id(first + 4), method: method,
      amount: row.integer(first + 6), currency: currency, merchantReference1: row.optionalText(first + 8),
      createdAt: row.time(first + 9),
      money: Order.Money(
        captured: row.integer(first + 10), capturing: row.integer(first + 11), refunded: row.integer(first + 12),
        refunding: row.integer(first + 13), release: release),
      version: row.integer(first + 15), sequence: row.integer(first + 16))
  }

  // MARK: Movements

  func insert(_ movement: OrderMovement) throws {
    let state = StateColumns(movement.state)
    try session.run(
      """
      INSERT INTO order_movements (\(Self.movementColumns), method)
      SELECT $1::uuid, $2, $3, $4::text, $5::bigint, $6::text, $7::text, $8::bigint, $9::text, $10::text, $11::bigint,
      $12::text, $13::bigint, $14::bigint, method FROM orders WHERE merchant_id = $2 AND id = $3
      """,
      .id(movement.id), .id(movement.merchantID), .id(movement.orderID), .text(movement.kind.rawValue),
      .integer(movement.amount), .text(movement.reference), .text(movement.description), .time(movement.createdAt),
      .text(state.name), .text(state.refusal), .time(state.settledAt),
      .text(ProviderText.encoded(movement.references)), .time(movement.checkAt), .integer(Int64(movement.checks)))
  }

  /// Whoever changes a movement has its order locked first: one order for all, and nothing is saved over.
  func movement(_ id: OrderMovementID, of merchant: MerchantID) throws -> OrderMovement? {
    if session.mode == .writing {
      try session.run(
        """
        SELECT 1 FROM orders WHERE merchant_id = $1
        AND id = (SELECT order_id FROM order_movements WHERE merchant_id = $1 AND id = $2) FOR NO KEY UPDATE
        """,
        .id(merchant), .id(id))
    }
    return try session.first(
      "SELECT \(Self.movementColumns) FROM order_movements WHERE merchant_id = $1 AND id = $2",
      .id(merchant), .id(id)
    ) { try Self.movement($0) }
  }

  func movements(of order: OrderID, merchant: MerchantID) throws -> [OrderMovement] {
    try session.all(
      """
      SELECT \(Self.movementColumns) FROM order_movements WHERE merchant_id = $1 AND order_id = $2
      ORDER BY created_at, id
      """,
      .id(merchant), .id(order)
    ) { try Self.movement($0) }
  }

  func hasOpenMovement(by method: PaymentMethod, of merchant: MerchantID) throws -> Bool {
    try session.first(
      "SELECT 1 FROM order_movements WHERE merchant_id = $1 AND method = $2 AND check_at IS NOT NULL LIMIT 1",
      .id(merchant), .text(method.rawValue)
    ) { _ in true } ?? false
  }

  func dueMovements(at now: Timestamp, by method: PaymentMethod, limit: Int) throws -> [OrderMovement] {
    try session.all(
      """
      SELECT \(Self.movementColumns) FROM order_movements WHERE check_at <= $1 AND method = $2
      ORDER BY check_at LIMIT $3
      """,
      .time(now), .text(method.rawValue), .integer(Int64(limit))
    ) { try Self.movement($0) }
  }

  func save(_ movement: OrderMovement) throws {
    let state = StateColumns(movement.state)
    try session.run(
      """
      UPDATE order_movements SET state = $1, refusal = $2, settled_at = $3, provider_references = $4, check_at = $5,
      checks = $6 WHERE merchant_id = $7 AND id = $8
      """,
      .text(state.name), .text(state.refusal), .time(state.settledAt),
      .text(ProviderText.encoded(movement.references)), .time(movement.checkAt), .integer(Int64(movement.checks)),
      .id(movement.merchantID), .id(movement.id))
  }

  func takeCheck(_ movement: OrderMovement, next: Timestamp) throws -> Bool {
    try session.change(
      """
      UPDATE order_movements SET check_at = $1, checks = checks + 1
      WHERE merchant_id = $2 AND id = $3 AND check_at = $4
      """,
      .time(next), .id(movement.merchantID), .id(movement.id), .time(movement.checkAt)) == 1
  }

  private static func movement(_ row: PostgresRow) throws -> OrderMovement {
    guard let kind = OrderMovement.Kind(rawValue: row.text(3)) else {
      throw StoreError.unusable(OperatorDetail("a movement's row cannot be read"))
    }
    return OrderMovement(
      id: try row.id(0), merchantID: try row.id(1), orderID: try row.id(2), kind: kind, amount: row.integer(4),
      reference: row.optionalText(5), description: row.optionalText(6), createdAt: row.time(7),
      state: try StateColumns.state(row), references: try ProviderText.references(row.text(11)),
      checkAt: row.optionalTime(12), checks: Int(row.integer(13)))
  }
}

/// A movement's state as columns.
private struct StateColumns {
  let name: String
  var refusal: String?
  var settledAt: Timestamp?

  init(_ state: OrderMovement.State) {
    name = state.name.rawValue
    switch state {
    case .requested: break
    case .done(let at): settledAt = at
    case .refused(let words, let at): (refusal, settledAt) = (words, at)
    }
  }

  static func state(_ row: PostgresRow) throws -> OrderMovement.State {
    switch OrderMovement.StateName(rawValue: row.text(8)) {
    case .requested: .requested
    case .done: .done(at: row.time(10))
    case .refused: .refused(row.text(9), at: row.time(10))
    case nil: throw StoreError.unusable(OperatorDetail("a movement has the unknown state \(row.text(8))"))
    }
  }
}
