import KassaDomain
import KassaStore
import KassaStoreText

struct PostgresPayments: PaymentTable {
  let session: PostgresSession
  private static let columns = """
    id, session_id, merchant_id, method, amount, currency, created_at, state, failure_reason, card_brand,
    card_last_four, check_at, checks, waits_until, next_action, provider_references, provider
    """

  func insert(_ payment: Payment) throws {
    try session.run(
      """
      INSERT INTO payments (\(Self.columns))
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
      """,
      .id(payment.id), .id(payment.sessionID), .id(payment.merchantID), .text(payment.method.rawValue),
      .integer(payment.amount), .text(payment.currency.code), .time(payment.createdAt), .text(payment.state.rawValue),
      .text(payment.failureReason?.rawValue), .text(payment.card?.brand), .text(payment.card?.lastFour),
      .time(payment.checkAt), .integer(Int64(payment.checks)), .time(payment.waitsUntil),
      .text(payment.nextAction.map(ProviderText.encoded)), .text(ProviderText.encoded(payment.references)),
      .text(payment.provider.rawValue))
  }

  /// Whoever changes an attempt has its session locked first: one order for all, and nothing is saved over.
  func find(_ id: PaymentID, of merchant: MerchantID) throws -> Payment? {
    if session.mode == .writing {
      try session.run(
        """
        SELECT 1 FROM sessions WHERE merchant_id = $1
        AND id = (SELECT session_id FROM payments WHERE merchant_id = $1 AND id = $2) FOR NO KEY UPDATE
        """,
        .id(merchant), .id(id))
    }
    return try session.first(
      "SELECT \(Self.columns) FROM payments WHERE merchant_id = $1 AND id = $2", .id(merchant), .id(id)
    ) { try Self.payment($0) }
  }

  func all(of session: SessionID, merchant: MerchantID) throws -> [Payment] {
    try self.session.all(
      "SELECT \(Self.columns) FROM payments WHERE merchant_id = $1 AND session_id = $2 ORDER BY created_at, id",
      .id(merchant), .id(session)
    ) { try Self.payment($0) }
  }

  func all(ofEach sessions: [SessionID], merchant: MerchantID) throws -> [SessionID: [Payment]] {
    if sessions.isEmpty { return [:] }
    let found = try session.all(
      """
      SELECT \(Self.columns) FROM payments WHERE merchant_id = $1 AND session_id = ANY ($2::uuid[])
      ORDER BY session_id, created_at, id
      """,
      .id(merchant), .ids(sessions.map(\.bytes))
    ) { try Self.payment($0) }
    return Dictionary(grouping: found, by: \.sessionID)
  }

  func hasOpen(by method: PaymentMethod, of merchant: MerchantID) throws -> Bool {
    try session.first(
      "SELECT 1 FROM payments WHERE merchant_id = $1 AND method = $2 AND check_at IS NOT NULL LIMIT 1",
      .id(merchant), .text(method.rawValue)
    ) { _ in true } ?? false
  }

  func due(at now: Timestamp, by method: PaymentMethod, limit: Int) throws -> [Payment] {
    try session.all(
      """
      SELECT \(Self.columns) FROM payments WHERE check_at <= $1 AND method = $2
      ORDER BY check_at LIMIT $3
      """,
      .time(now), .text(method.rawValue), .integer(Int64(limit))
    ) { try Self.payment($0) }
  }

  func unsettled(_ state: Payment.State) throws -> UnsettledPayments {
    // `check_at` narrows to the few that want looking after, by their index.
    try session.first(
      """
      SELECT count(*), min(created_at), coalesce(max(checks), 0) FROM payments
      WHERE check_at IS NOT NULL AND state = $1
      """,
      .text(state.rawValue)
    ) { UnsettledPayments(count: $0.integer(0), oldestCreatedAt: $0.optionalTime(1), checksMax: Int($0.integer(2))) }
      ?? UnsettledPayments(count: 0, oldestCreatedAt: nil, checksMax: 0)
  }

  func save(_ payment: Payment) throws {
    try session.run(
      """
      UPDATE payments SET state = $1, failure_reason = $2, card_brand = $3, card_last_four = $4, check_at = $5,
      checks = $6, next_action = $7, provider_references = $8 WHERE merchant_id = $9 AND id = $10
      """,
      .text(payment.state.rawValue), .text(payment.failureReason?.rawValue), .text(payment.card?.brand),
      .text(payment.card?.lastFour), .time(payment.checkAt), .integer(Int64(payment.checks)),
      .text(payment.nextAction.map(ProviderText.encoded)), .text(ProviderText.encoded(payment.references)),
      .id(payment.merchantID), .id(payment.id))
  }

  func takeCheck(_ payment: Payment, next: Timestamp) throws -> Bool {
    try session.change(
      "UPDATE payments SET check_at = $1, checks = checks + 1 WHERE merchant_id = $2 AND id = $3 AND check_at = $4",
      .time(next), .id(payment.merchantID), .id(payment.id), .time(payment.checkAt)) == 1
  }

  private static func payment(_ row: PostgresRow) throws -> Payment {
    guard let method = PaymentMethod(rawValue: row.text(3)), let currency = Currency(code: row.text(5)),
      let state = Payment.State(rawValue: row.text(7)), let provider = ProviderName(rawValue: row.text(16))
    else { throw StoreError.unusable(OperatorDetail("a payment's row cannot be read")) }
    let card = row.optionalText(9).map { CardSummary(brand: $0, lastFour: row.text(10)) }
    return Payment(
      id: try row.id(0), sessionID: try row.id(1), merchantID: try row.id(2), method: method, provider: provider,
      amount: row.integer(4), currency: currency, createdAt: row.time(6), state: state,
      failureReason: row.optionalText(8).flatMap(PaymentFailureReason.init), card: card,
      checkAt: row.optionalTime(11), checks: Int(row.integer(12)), waitsUntil: row.time(13),
      nextAction: try row.optionalText(14).map(ProviderText.nextAction),
      references: try ProviderText.references(row.text(15)))
  }
}

struct PostgresSimulatedCards: SimulatedCardTable {
  let session: PostgresSession

  /// Whoever decides by a charge, also by one that is not there, is alone with it until the commit.
  func find(_ payment: PaymentID) throws -> SimulatedCharge? {
    try session.lock(.simulatedCharge, payment.bytes)
    return try session.first(
      """
      SELECT payment_id, amount, state, tapped, captured, refunded, is_released FROM simulated_charges
      WHERE payment_id = $1
      """,
      .id(payment)
    ) { row in
      guard let state = SimulatedCharge.State(rawValue: row.text(2)) else {
        throw StoreError.unusable(OperatorDetail("a simulated charge has the unknown state \(row.text(2))"))
      }
      let tapped = row.optionalText(3).map { text in
        PaymentFailureReason(rawValue: text).map(SimulatedOutcome.declined) ?? .success
      }
      return SimulatedCharge(
        paymentID: try row.id(0), amount: row.integer(1), state: state, tapped: tapped, captured: row.integer(4),
        refunded: row.integer(5), isReleased: row.bool(6))
    }
  }

  func netCharged() throws -> Int64 {
    try session.first(
      """
      SELECT coalesce(sum(CASE WHEN is_released THEN captured ELSE amount END - refunded), 0)::bigint
      FROM simulated_charges WHERE state = 'CHARGED'
      """
    ) { $0.integer(0) } ?? 0
  }

  func isNoted(_ payment: PaymentID, _ movement: SubjectID) throws -> Bool {
    try session.first(
      "SELECT 1 FROM simulated_movements WHERE payment_id = $1 AND id = $2", .id(payment), .id(movement)
    ) { _ in true } ?? false
  }

  func note(_ movement: SimulatedMovement) throws -> Bool {
    try session.change(
      """
      INSERT INTO simulated_movements (payment_id, id, amount) VALUES ($1, $2, $3)
      ON CONFLICT (payment_id, id) DO NOTHING
      """,
      .id(movement.paymentID), .id(movement.id), .integer(movement.amount)) == 1
  }

  func save(_ charge: SimulatedCharge) throws {
    let tapped: String? =
      switch charge.tapped {
      case nil: nil
      case .success: "SUCCESS"
      case .declined(let reason): reason.rawValue
      }
    try session.run(
      """
      INSERT INTO simulated_charges (payment_id, amount, state, tapped, captured, refunded, is_released)
      VALUES ($1, $2, $3, $4, $5, $6, $7)
      ON CONFLICT (payment_id) DO UPDATE SET state = excluded.state, tapped = excluded.tapped,
      captured = excluded.captured, refunded = excluded.refunded, is_released = excluded.is_released
      """,
      .id(charge.paymentID), .integer(charge.amount), .text(charge.state.rawValue), .text(tapped),
      .integer(charge.captured), .integer(charge.refunded), .flag(charge.isReleased))
  }
}
