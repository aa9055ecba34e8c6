import GRDB

/// The schema, one numbered step after the other, forward only.
///
/// Every table and index leads with the tenant, but for what is looked up before the tenant is known: keys, tokens and
/// codes by their hash, and what the sweeper collects by time.
enum Migrations {
  struct Step: Sendable {
    let name: String
    let sql: String
    /// Fills what the step made.
    var fill: @Sendable (Database) throws -> Void = { _ in }
  }

  /// One that has landed is never edited: databases have it as it was.
  static let steps = [
    Step(name: "0001-pairing", sql: pairing),
    Step(name: "0002-sessions", sql: sessions),
    Step(name: "0003-callbacks", sql: callbacks),
    Step(name: "0004-providers", sql: providers),
    Step(name: "0005-orders", sql: orders, fill: addOrdersOfPaidSessions),
  ]

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    for step in steps {
      migrator.registerMigration(step.name) { database in
        try database.execute(sql: step.sql)
        try step.fill(database)
      }
    }
    return migrator
  }

  /// `listing_scopes` has a row for each narrowing of a list that has at least one element (one tenant's elements of a
  /// kind; at one location or anywhere; with one metadata pair or any) and counts its elements; `listings` has a row for
  /// each element of each of them, in the order of the list. So a page and its exact total cost the same at any size.
  private static let pairing = """
    CREATE TABLE installation (
      name TEXT NOT NULL PRIMARY KEY,
      value BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE merchants (
      id BLOB NOT NULL PRIMARY KEY,
      name TEXT NOT NULL,
      created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE api_keys (
      merchant_id BLOB NOT NULL REFERENCES merchants (id),
      id BLOB NOT NULL,
      name TEXT NOT NULL,
      prefix TEXT NOT NULL,
      hash BLOB NOT NULL UNIQUE,
      created_at INTEGER NOT NULL,
      revoked_at INTEGER,
      PRIMARY KEY (merchant_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX api_keys_by_age ON api_keys (merchant_id, created_at, id);

    CREATE TABLE locations (
      merchant_id BLOB NOT NULL REFERENCES merchants (id),
      id BLOB NOT NULL,
      name TEXT NOT NULL,
      street_address TEXT,
      street_address2 TEXT,
      postal_code TEXT,
      city TEXT,
      country TEXT,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      version INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX locations_by_age ON locations (merchant_id, created_at, id);

    CREATE TABLE enrollments (
      row_id INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      location_id BLOB NOT NULL,
      metadata TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      status TEXT NOT NULL CHECK (status IN ('PENDING', 'CONSUMED', 'EXPIRED', 'CANCELLED')),
      version INTEGER NOT NULL,
      device_id BLOB CHECK ((device_id IS NOT NULL) = (status = 'CONSUMED')),
      typed_symbols INTEGER NOT NULL,
      code_hash BLOB CHECK ((code_hash IS NOT NULL) = (status = 'PENDING')),
      token_hash BLOB CHECK ((token_hash IS NOT NULL) = (status = 'PENDING')),
      sealed_code BLOB CHECK ((sealed_code IS NOT NULL) = (status = 'PENDING')),
      UNIQUE (merchant_id, id)
    ) STRICT;
    CREATE UNIQUE INDEX enrollments_by_code ON enrollments (code_hash) WHERE code_hash IS NOT NULL;
    CREATE UNIQUE INDEX enrollments_by_token ON enrollments (token_hash) WHERE token_hash IS NOT NULL;
    CREATE INDEX enrollments_due ON enrollments (expires_at) WHERE status = 'PENDING';
    CREATE INDEX enrollments_pending_at ON enrollments (merchant_id, location_id, expires_at) WHERE status = 'PENDING';

    CREATE TABLE live_codes (
      typed_symbols INTEGER NOT NULL PRIMARY KEY,
      live INTEGER NOT NULL CHECK (live >= 0)
    ) STRICT;

    CREATE TABLE devices (
      row_id INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      enrollment_id BLOB NOT NULL,
      location_id BLOB,
      hardware_id TEXT NOT NULL,
      platform TEXT NOT NULL CHECK (platform IN ('IOS', 'ANDROID', 'TERMINAL')),
      name TEXT,
      metadata TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      last_seen_at INTEGER,
      deleted_at INTEGER,
      version INTEGER NOT NULL,
      key_thumbprint BLOB,
      token_hash BLOB CHECK ((token_hash IS NULL) = (deleted_at IS NOT NULL)),
      replay_hash BLOB,
      replay_sealed_token BLOB,
      replay_until INTEGER,
      UNIQUE (merchant_id, id),
      UNIQUE (merchant_id, enrollment_id)
    ) STRICT;
    CREATE UNIQUE INDEX devices_by_token ON devices (token_hash) WHERE token_hash IS NOT NULL;
    CREATE INDEX devices_by_replay ON devices (replay_hash) WHERE replay_hash IS NOT NULL;
    CREATE INDEX devices_replay_until ON devices (replay_until) WHERE replay_until IS NOT NULL;

    CREATE TABLE listing_scopes (
      scope_id INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      kind INTEGER NOT NULL,
      location_id BLOB NOT NULL,
      label TEXT NOT NULL,
      total INTEGER NOT NULL CHECK (total >= 0),
      UNIQUE (merchant_id, kind, location_id, label)
    ) STRICT;
    CREATE TABLE listings (
      scope_id INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      id BLOB NOT NULL,
      row_id INTEGER NOT NULL,
      PRIMARY KEY (scope_id, created_at, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE events (
      position INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      subject_id BLOB NOT NULL,
      sequence INTEGER NOT NULL,
      type TEXT NOT NULL,
      at INTEGER NOT NULL,
      actor_kind TEXT NOT NULL,
      actor_id BLOB,
      request_id TEXT,
      related_id BLOB,
      UNIQUE (merchant_id, subject_id, sequence)
    ) STRICT;
    CREATE INDEX events_by_merchant ON events (merchant_id, position);

    CREATE TABLE idempotency (
      merchant_id BLOB NOT NULL,
      operation TEXT NOT NULL,
      key TEXT NOT NULL,
      body_hash BLOB NOT NULL,
      status INTEGER NOT NULL,
      sealed_body BLOB NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, operation, key)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX idempotency_by_end ON idempotency (expires_at);

    CREATE TABLE budgets (
      scope TEXT NOT NULL,
      window_start INTEGER NOT NULL,
      window_end INTEGER NOT NULL,
      used INTEGER NOT NULL CHECK (used >= 0),
      PRIMARY KEY (scope, window_start)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX budgets_by_end ON budgets (window_end);

    CREATE TABLE proofs (
      device_id BLOB NOT NULL,
      proof_hash BLOB NOT NULL,
      expires_at INTEGER NOT NULL,
      PRIMARY KEY (device_id, proof_hash)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX proofs_by_end ON proofs (expires_at);
    """

  private static let sessions = """
    ALTER TABLE events ADD COLUMN device_id BLOB;
    ALTER TABLE events ADD COLUMN order_id BLOB;
    ALTER TABLE events ADD COLUMN failure_reason TEXT;
    CREATE INDEX events_by_device ON events (device_id, position) WHERE device_id IS NOT NULL;

    CREATE TABLE sessions (
      row_id INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      device_id BLOB NOT NULL,
      location_id BLOB,
      order_amount INTEGER NOT NULL,
      currency TEXT NOT NULL,
      content TEXT NOT NULL,
      merchant_reference1 TEXT,
      created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL,
      status TEXT NOT NULL CHECK (status IN ('CREATED', 'ACTIVE', 'FINALIZED', 'CANCELLED', 'EXPIRED', 'FAILED')),
      payment_id BLOB,
      phase TEXT CHECK (phase IS NULL OR (status = 'ACTIVE' AND payment_id IS NOT NULL)),
      ending TEXT,
      order_id BLOB CHECK ((order_id IS NOT NULL) = (status = 'FINALIZED')),
      failure_reason TEXT CHECK ((failure_reason IS NOT NULL) = (status = 'FAILED')),
      version INTEGER NOT NULL,
      sequence INTEGER NOT NULL,
      failed_attempts INTEGER NOT NULL,
      pushed_at INTEGER,
      fetched_at INTEGER,
      shown_at INTEGER,
      UNIQUE (merchant_id, id)
    ) STRICT;
    CREATE UNIQUE INDEX sessions_active_of_device ON sessions (device_id) WHERE status = 'ACTIVE';
    CREATE INDEX sessions_line ON sessions (device_id, created_at, id) WHERE status IN ('CREATED', 'ACTIVE');
    CREATE INDEX sessions_due ON sessions (expires_at) WHERE status IN ('CREATED', 'ACTIVE');

    CREATE TABLE payments (
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      session_id BLOB NOT NULL,
      method TEXT NOT NULL,
      amount INTEGER NOT NULL,
      currency TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      state TEXT NOT NULL,
      failure_reason TEXT,
      card_brand TEXT,
      card_last_four TEXT,
      check_at INTEGER,
      checks INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX payments_of_session ON payments (merchant_id, session_id, created_at, id);
    CREATE INDEX payments_due ON payments (check_at) WHERE check_at IS NOT NULL;

    CREATE TABLE simulated_charges (
      payment_id BLOB NOT NULL PRIMARY KEY,
      amount INTEGER NOT NULL,
      state TEXT NOT NULL,
      tapped TEXT
    ) STRICT, WITHOUT ROWID;
    """
}
