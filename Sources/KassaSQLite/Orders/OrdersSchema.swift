import GRDB
import KassaDomain
import KassaStore

extension Migrations {
  static let orders = """
    CREATE TABLE orders (
      row_id INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      session_id BLOB NOT NULL,
      location_id BLOB,
      payment_id BLOB NOT NULL,
      method TEXT NOT NULL,
      amount INTEGER NOT NULL,
      currency TEXT NOT NULL,
      merchant_reference1 TEXT,
      created_at INTEGER NOT NULL,
      captured INTEGER NOT NULL CHECK (captured >= 0),
      capturing INTEGER NOT NULL CHECK (capturing >= 0 AND captured + capturing <= amount),
      refunded INTEGER NOT NULL CHECK (refunded >= 0),
      refunding INTEGER NOT NULL CHECK (refunding >= 0 AND refunded + refunding <= captured),
      release TEXT NOT NULL CHECK (release IN ('NONE', 'REQUESTED', 'DONE')),
      version INTEGER NOT NULL,
      sequence INTEGER NOT NULL,
      UNIQUE (merchant_id, id),
      UNIQUE (merchant_id, session_id)
    ) STRICT;

    CREATE TABLE order_movements (
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      order_id BLOB NOT NULL,
      kind TEXT NOT NULL CHECK (kind IN ('CAPTURE', 'REFUND', 'RELEASE')),
      method TEXT NOT NULL,
      amount INTEGER NOT NULL,
      reference TEXT,
      description TEXT,
      created_at INTEGER NOT NULL,
      state TEXT NOT NULL CHECK (state IN ('REQUESTED', 'DONE', 'REFUSED')),
      refusal TEXT CHECK ((refusal IS NOT NULL) = (state = 'REFUSED')),
      settled_at INTEGER CHECK ((settled_at IS NULL) = (state = 'REQUESTED')),
      provider_references TEXT NOT NULL,
      check_at INTEGER CHECK (
        CASE state WHEN 'REQUESTED' THEN check_at IS NOT NULL
        WHEN 'DONE' THEN check_at IS NULL OR kind = 'REFUND' ELSE check_at IS NULL END),
      checks INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX order_movements_of_order ON order_movements (merchant_id, order_id, created_at, id);
    CREATE INDEX order_movements_due ON order_movements (check_at) WHERE check_at IS NOT NULL;
    CREATE INDEX order_movements_open ON order_movements (merchant_id, method) WHERE check_at IS NOT NULL;
    """

  /// Sessions that were paid before there were orders: their money was taken whole, by simulated cards. Their orders have
  /// no events: nobody is told of them anew. Statements of its own, so that it stays right when the tables change.
  static func addOrdersOfPaidSessions(_ database: Database) throws {
    let connection = SQLiteConnection(database: database)
    var generator = SystemRandomNumberGenerator()
    let paid = try connection.all(
      """
      SELECT s.merchant_id, s.id, s.payment_id, s.order_id, s.merchant_reference1, p.amount, p.created_at
      FROM sessions AS s JOIN payments AS p ON p.merchant_id = s.merchant_id AND p.id = s.payment_id
      WHERE s.status = 'FINALIZED' ORDER BY s.created_at, s.id
      """
    ) { row in
      PaidSession(
        merchant: try row.id(0), session: try row.id(1), payment: try row.id(2), order: try row.id(3),
        reference: row.optionalText(4), amount: row.integer(5), paidAt: row.time(6))
    }
    for paid in paid {
      let rowID = try connection.first(
        """
        INSERT INTO orders (merchant_id, id, session_id, location_id, payment_id, method, amount, currency,
        merchant_reference1, created_at, captured, capturing, refunded, refunding, release, version, sequence)
        SELECT s.merchant_id, s.order_id, s.id, s.location_id, p.id, p.method, p.amount, p.currency,
        s.merchant_reference1, p.created_at, p.amount, 0, 0, 0, 'NONE', 1, 0
        FROM sessions AS s JOIN payments AS p ON p.merchant_id = s.merchant_id AND p.id = s.payment_id
        WHERE s.merchant_id = ? AND s.id = ? RETURNING row_id
        """,
        .id(paid.merchant), .id(paid.session)
      ) { $0.integer(0) }
      let reference = paid.reference.map { ["reference:\($0)"] } ?? []
      try Listings(connection: connection).add(
        Listings.Element(
          merchantID: paid.merchant, locationID: nil,
          labels: ["session:\(paid.session)", "status:CAPTURED"] + reference,
          position: PagePosition(createdAt: paid.paidAt, id: paid.order.of(EventSubject.self)), rowID: rowID ?? 0),
        to: .orders)
      try connection.run(
        """
        INSERT INTO order_movements (merchant_id, id, order_id, kind, method, amount, created_at, state, settled_at,
        provider_references, checks) SELECT merchant_id, ?, id, 'CAPTURE', method, amount, created_at, 'DONE',
        created_at, '{}', 0 FROM orders WHERE merchant_id = ? AND id = ?
        """,
        .id(OrderMovementID(using: &generator)), .id(paid.merchant), .id(paid.order))
      try connection.run(
        "UPDATE simulated_charges SET captured = amount WHERE payment_id = ? AND state = 'CHARGED'", .id(paid.payment))
    }
  }

  private struct PaidSession {
    let merchant: MerchantID
    let session: SessionID
    let payment: PaymentID
    let order: OrderID
    let reference: String?
    let amount: Int64
    let paidAt: Timestamp
  }
}
