import GRDB
import KassaDomain

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
      check_at INTEGER CHECK ((check_at IS NULL) = (state <> 'REQUESTED')),
      checks INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX order_movements_of_order ON order_movements (merchant_id, order_id, created_at, id);
    CREATE INDEX order_movements_due ON order_movements (check_at) WHERE check_at IS NOT NULL;
    CREATE INDEX order_movements_open ON order_movements (merchant_id, method) WHERE check_at IS NOT NULL;
    """

  /// Sessions that were paid before there were orders: their money was taken whole, by simulated cards. Their orders have
  /// no events: nobody is told of them anew.
  static func addOrdersOfPaidSessions(_ database: Database) throws {
    let connection = SQLiteConnection(database: database)
    let orders = SQLiteOrders(connection: connection)
    var generator = SystemRandomNumberGenerator()
    let paid = try connection.all(
      "SELECT merchant_id, id FROM sessions WHERE status = 'FINALIZED' ORDER BY created_at, id"
    ) { (merchant: try $0.id(0, of: MerchantID.self), session: try $0.id(1, of: SessionID.self)) }
    for (merchant, id) in paid {
      guard let session = try SQLiteSessions(connection: connection).find(id, of: merchant),
        case .finalized(let paymentID, let orderID) = session.state,
        let payment = try SQLitePayments(connection: connection).find(paymentID, of: merchant)
      else { continue }
      let order = Order(
        restoring: orderID, merchantID: merchant, sessionID: id, locationID: session.locationID, paymentID: paymentID,
        method: payment.method, amount: payment.amount, currency: payment.currency,
        merchantReference1: session.details.merchantReference1, createdAt: payment.createdAt,
        money: Order.Money(captured: payment.amount), version: 1, sequence: 0)
      try orders.insert(order)
      try orders.insert(
        OrderMovement(
          id: OrderMovementID(using: &generator), merchantID: merchant, orderID: orderID, kind: .capture,
          amount: payment.amount, reference: nil, description: nil, createdAt: payment.createdAt,
          state: .done(at: payment.createdAt), checkAt: nil))
      try connection.run(
        "UPDATE simulated_charges SET captured = amount WHERE payment_id = ? AND state = 'CHARGED'", .id(paymentID))
    }
  }
}
