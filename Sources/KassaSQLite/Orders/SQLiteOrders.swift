import KassaDomain
import KassaStore
import KassaStoreText

struct SQLiteOrders: OrderTable {
  let connection: SQLiteConnection
  private static let columns = """
    id, merchant_id, session_id, location_id, payment_id, method, amount, currency, merchant_reference1, created_at,
    captured, capturing, refunded, refunding, release, version, sequence
    """
  private static let movementColumns = """
    id, merchant_id, order_id, kind, amount, reference, description, created_at, state, refusal, settled_at,
    provider_references, check_at, checks
    """

  // MARK: Orders

  func insert(_ order: Order) throws {
    let money = order.money
    let rowID = try connection.first(
      """
      INSERT INTO orders (\(Self.columns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING row_id
      """,
      .id(order.id), .id(order.merchantID), .id(order.sessionID), .id(order.locationID), .id(order.paymentID),
      .text(order.method.rawValue), .integer(order.amount), .text(order.currency.code),
      .text(order.merchantReference1), .time(order.createdAt), .integer(money.captured), .integer(money.capturing),
      .integer(money.refunded), .integer(money.refunding), .text(money.release.rawValue), .integer(order.version),
      .integer(order.sequence)
    ) { $0.integer(0) }
    try Listings(connection: connection).add(listed(order, rowID: rowID ?? 0), to: .orders)
  }

  /// Enters a row that was copied into the lists.
  func list(rowID: Int64) throws {
    let copied = try connection.first(
      "SELECT \(Self.columns) FROM orders WHERE row_id = ?", .integer(rowID), read: Self.order)
    if let copied { try Listings(connection: connection).add(listed(copied, rowID: rowID), to: .orders) }
  }

  func find(_ id: OrderID, of merchant: MerchantID) throws -> Order? {
    try connection.first(
      "SELECT \(Self.columns) FROM orders WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id), read: Self.order)
  }

  func page(of merchant: MerchantID, _ filter: OrderFilter, _ page: PageRequest) throws -> Page<Order> {
    let labels = [
      filter.sessionID.map(Self.label), filter.status.map(Self.label), filter.merchantReference1.map(Self.label),
    ].compactMap { $0 }
    return try Listings(connection: connection).page(
      .orders, of: merchant, location: nil, labels: labels, page, columns: Self.columns, from: "orders",
      read: Self.order)
  }

  func save(_ order: Order, expecting version: Int64) throws -> Bool {
    let before = try connection.first(
      "SELECT row_id, \(Self.columns) FROM orders WHERE merchant_id = ? AND id = ? AND version = ?",
      .id(order.merchantID), .id(order.id), .integer(version)
    ) { (rowID: $0.integer(0), status: try Self.order($0, from: 1).status) }
    guard let before else { return false }
    let money = order.money
    try connection.run(
      """
      UPDATE orders SET captured = ?, capturing = ?, refunded = ?, refunding = ?, release = ?, version = ?, sequence = ?
      WHERE row_id = ? AND version = ?
      """,
      .integer(money.captured), .integer(money.capturing), .integer(money.refunded), .integer(money.refunding),
      .text(money.release.rawValue), .integer(order.version), .integer(order.sequence), .integer(before.rowID),
      .integer(version))
    if before.status != order.status {
      try Listings(connection: connection).relabel(
        listed(order, rowID: before.rowID), in: .orders, from: Self.label(before.status), to: Self.label(order.status))
    }
    return true
  }

  private func listed(_ order: Order, rowID: Int64) -> Listings.Element {
    Listings.Element(
      merchantID: order.merchantID, locationID: nil,
      labels: [Self.label(order.sessionID), Self.label(order.status)]
        + (order.merchantReference1.map { [Self.label($0)] } ?? []),
      position: PagePosition(createdAt: order.createdAt, id: order.id.of(EventSubject.self)), rowID: rowID)
  }

  private static func label(_ session: SessionID) -> String { "session:\(session)" }
  private static func label(_ status: Order.Status) -> String { "status:\(status.rawValue)" }
  private static func label(_ reference: String) -> String { "reference:\(reference)" }

  private static func order(_ row: SQLRow) throws -> Order { try order(row, from: 0) }

  private static func order(_ row: SQLRow, from first: Int32) throws -> Order {
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
    try connection.run(
      """
      INSERT INTO order_movements (\(Self.movementColumns), method)
      SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, method FROM orders WHERE merchant_id = ? AND id = ?
      """,
      .id(movement.id), .id(movement.merchantID), .id(movement.orderID), .text(movement.kind.rawValue),
      .integer(movement.amount), .text(movement.reference), .text(movement.description), .time(movement.createdAt),
      .text(state.name), .text(state.refusal), .time(state.settledAt),
      .text(ProviderText.encoded(movement.references)), .time(movement.checkAt), .integer(Int64(movement.checks)),
      .id(movement.merchantID), .id(movement.orderID))
  }

  func movement(_ id: OrderMovementID, of merchant: MerchantID) throws -> OrderMovement? {
    try connection.first(
      "SELECT \(Self.movementColumns) FROM order_movements WHERE merchant_id = ? AND id = ?", .id(merchant), .id(id),
      read: Self.movement)
  }

  func movements(of order: OrderID, merchant: MerchantID) throws -> [OrderMovement] {
    try connection.all(
      """
      SELECT \(Self.movementColumns) FROM order_movements WHERE merchant_id = ? AND order_id = ?
      ORDER BY created_at, id
      """,
      .id(merchant), .id(order), read: Self.movement)
  }

  func hasOpenMovement(by method: PaymentMethod, of merchant: MerchantID) throws -> Bool {
    try connection.first(
      "SELECT 1 FROM order_movements WHERE merchant_id = ? AND method = ? AND check_at IS NOT NULL LIMIT 1",
      .id(merchant), .text(method.rawValue)
    ) { _ in true } ?? false
  }

  func dueMovements(at now: Timestamp, by method: PaymentMethod, limit: Int) throws -> [OrderMovement] {
    try connection.all(
      """
      SELECT \(Self.movementColumns) FROM order_movements WHERE check_at <= ? AND method = ?
      ORDER BY check_at LIMIT ?
      """,
      .time(now), .text(method.rawValue), .integer(Int64(limit)), read: Self.movement)
  }

  func save(_ movement: OrderMovement) throws {
    let state = StateColumns(movement.state)
    try connection.run(
      """
      UPDATE order_movements SET state = ?, refusal = ?, settled_at = ?, provider_references = ?, check_at = ?,
      checks = ? WHERE merchant_id = ? AND id = ?
      """,
      .text(state.name), .text(state.refusal), .time(state.settledAt),
      .text(ProviderText.encoded(movement.references)), .time(movement.checkAt), .integer(Int64(movement.checks)),
      .id(movement.merchantID), .id(movement.id))
  }

  func takeCheck(_ movement: OrderMovement, next: Timestamp) throws -> Bool {
    try connection.run(
      "UPDATE order_movements SET check_at = ?, checks = checks + 1 WHERE merchant_id = ? AND id = ? AND check_at = ?",
      .time(next), .id(movement.merchantID), .id(movement.id), .time(movement.checkAt)) == 1
  }

  private static func movement(_ row: SQLRow) throws -> OrderMovement {
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

  static func state(_ row: SQLRow) throws -> OrderMovement.State {
    switch OrderMovement.StateName(rawValue: row.text(8)) {
    case .requested: .requested
    case .done: .done(at: row.time(10))
    case .refused: .refused(row.text(9), at: row.time(10))
    case nil: throw StoreError.unusable(OperatorDetail("a movement has the unknown state \(row.text(8))"))
    }
  }
}
