/// A change of the schema, with the next number. Servers of the version before go on beside it, so it only adds: columns
/// with a default, tables, indexes.
package struct SchemaStep: Sendable {
  package let number: Int64
  package let name: String
  let sql: String

  package init(number: Int64, name: String, sql: String) {
    self.number = number
    self.name = name
    self.sql = sql
  }
}

/// The schema, one numbered step after the other, forward only.
///
/// As in the embedded store, every table and index leads with the tenant, but for what is looked up before the tenant is
/// known, what the sweeper collects by time, and what is found by device. Text compares bytewise (`COLLATE "C"`), times
/// are milliseconds, identifiers are `uuid`, whose order is that of their bytes.
enum Schema {
  /// One that has landed is never edited: databases have it as it was.
  static let steps = [
    SchemaStep(number: 1, name: "pairing", sql: pairing),
    SchemaStep(number: 2, name: "sessions", sql: sessions),
    SchemaStep(number: 3, name: "callbacks", sql: callbacks),
  ]

  private static let pairing = """
    CREATE TABLE installation (
      name TEXT COLLATE "C" NOT NULL CONSTRAINT installation_pkey PRIMARY KEY,
      value BYTEA NOT NULL
    );

    CREATE TABLE merchants (
      id UUID NOT NULL CONSTRAINT merchants_pkey PRIMARY KEY,
      name TEXT COLLATE "C" NOT NULL,
      created_at BIGINT NOT NULL
    );

    CREATE TABLE api_keys (
      merchant_id UUID NOT NULL REFERENCES merchants (id),
      id UUID NOT NULL,
      name TEXT COLLATE "C" NOT NULL,
      prefix TEXT COLLATE "C" NOT NULL,
      hash BYTEA NOT NULL CONSTRAINT api_keys_hash UNIQUE,
      created_at BIGINT NOT NULL,
      revoked_at BIGINT,
      PRIMARY KEY (merchant_id, id)
    );
    CREATE INDEX api_keys_by_age ON api_keys (merchant_id, created_at, id);

    CREATE TABLE locations (
      merchant_id UUID NOT NULL REFERENCES merchants (id),
      id UUID NOT NULL,
      name TEXT COLLATE "C" NOT NULL,
      street_address TEXT COLLATE "C",
      street_address2 TEXT COLLATE "C",
      postal_code TEXT COLLATE "C",
      city TEXT COLLATE "C",
      country TEXT COLLATE "C",
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL,
      version BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, id)
    );
    CREATE INDEX locations_by_age ON locations (merchant_id, created_at, id);

    CREATE TABLE enrollments (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      location_id UUID NOT NULL,
      metadata TEXT COLLATE "C" NOT NULL,
      created_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      status TEXT COLLATE "C" NOT NULL CHECK (status IN ('PENDING', 'CONSUMED', 'EXPIRED', 'CANCELLED')),
      version BIGINT NOT NULL,
      device_id UUID CHECK ((device_id IS NOT NULL) = (status = 'CONSUMED')),
      typed_symbols BIGINT NOT NULL,
      code_hash BYTEA CHECK ((code_hash IS NOT NULL) = (status = 'PENDING')),
      token_hash BYTEA CHECK ((token_hash IS NOT NULL) = (status = 'PENDING')),
      sealed_code BYTEA CHECK ((sealed_code IS NOT NULL) = (status = 'PENDING')),
      PRIMARY KEY (merchant_id, id)
    );
    CREATE UNIQUE INDEX enrollments_code ON enrollments (code_hash) WHERE code_hash IS NOT NULL;
    CREATE UNIQUE INDEX enrollments_token ON enrollments (token_hash) WHERE token_hash IS NOT NULL;
    CREATE INDEX enrollments_due ON enrollments (expires_at) WHERE status = 'PENDING';
    CREATE INDEX enrollments_pending_at ON enrollments (merchant_id, location_id, expires_at) WHERE status = 'PENDING';
    CREATE INDEX enrollments_listed ON enrollments (merchant_id, created_at, id) WHERE status <> 'CANCELLED';
    CREATE INDEX enrollments_listed_at ON enrollments (merchant_id, location_id, created_at, id)
      WHERE status <> 'CANCELLED';
    CREATE INDEX enrollments_unconsumed ON enrollments (merchant_id, created_at, id)
      WHERE status IN ('PENDING', 'EXPIRED');
    CREATE INDEX enrollments_unconsumed_at ON enrollments (merchant_id, location_id, created_at, id)
      WHERE status IN ('PENDING', 'EXPIRED');

    CREATE TABLE devices (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      enrollment_id UUID NOT NULL,
      location_id UUID,
      hardware_id TEXT COLLATE "C" NOT NULL,
      platform TEXT COLLATE "C" NOT NULL CHECK (platform IN ('IOS', 'ANDROID', 'TERMINAL')),
      name TEXT COLLATE "C",
      metadata TEXT COLLATE "C" NOT NULL,
      created_at BIGINT NOT NULL,
      last_seen_at BIGINT,
      deleted_at BIGINT,
      version BIGINT NOT NULL,
      key_thumbprint BYTEA,
      token_hash BYTEA CHECK ((token_hash IS NULL) = (deleted_at IS NOT NULL)),
      replay_hash BYTEA,
      replay_sealed_token BYTEA,
      replay_until BIGINT,
      PRIMARY KEY (merchant_id, id),
      CONSTRAINT devices_enrollment UNIQUE (merchant_id, enrollment_id)
    ) WITH (fillfactor = 80);
    CREATE UNIQUE INDEX devices_token ON devices (token_hash) WHERE token_hash IS NOT NULL;
    CREATE INDEX devices_by_replay ON devices (replay_hash) WHERE replay_hash IS NOT NULL;
    CREATE INDEX devices_replay_until ON devices (replay_until) WHERE replay_until IS NOT NULL;
    CREATE INDEX devices_listed ON devices (merchant_id, created_at, id) WHERE deleted_at IS NULL;
    CREATE INDEX devices_listed_at ON devices (merchant_id, location_id, created_at, id) WHERE deleted_at IS NULL;

    -- A row for each metadata pair of an element in a list, at the element's location and anywhere (only zeros).
    CREATE TABLE metadata_listings (
      merchant_id UUID NOT NULL,
      kind BIGINT NOT NULL,
      place_id UUID NOT NULL,
      label TEXT COLLATE "C" NOT NULL,
      created_at BIGINT NOT NULL,
      id UUID NOT NULL,
      PRIMARY KEY (merchant_id, kind, place_id, label, created_at, id)
    );

    -- Exact figures: each is the sum of its shards, of which a writer changes only that of its own connection.
    CREATE TABLE listing_totals (
      merchant_id UUID NOT NULL,
      kind BIGINT NOT NULL,
      place_id UUID NOT NULL,
      label TEXT COLLATE "C" NOT NULL,
      shard BIGINT NOT NULL,
      total BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, kind, place_id, label, shard)
    ) WITH (fillfactor = 70);
    CREATE INDEX listing_totals_spent ON listing_totals (merchant_id, kind, place_id, label) WHERE total <= 0;

    CREATE TABLE event_clock (
      only_row BOOLEAN PRIMARY KEY DEFAULT true CHECK (only_row),
      xid_offset BIGINT NOT NULL
    );
    INSERT INTO event_clock (xid_offset) VALUES (0);

    CREATE TABLE events (
      merchant_id UUID NOT NULL,
      position BIGINT NOT NULL,
      subject_id UUID NOT NULL,
      sequence BIGINT NOT NULL,
      type TEXT COLLATE "C" NOT NULL,
      at BIGINT NOT NULL,
      actor_kind TEXT COLLATE "C" NOT NULL,
      actor_id UUID,
      request_id TEXT COLLATE "C",
      related_id UUID,
      CONSTRAINT events_position PRIMARY KEY (merchant_id, position),
      CONSTRAINT events_sequence UNIQUE (merchant_id, subject_id, sequence)
    );
    CREATE INDEX events_recent ON events USING brin (position) WITH (pages_per_range = 16, autosummarize = on);

    CREATE TABLE idempotency (
      merchant_id UUID NOT NULL,
      operation TEXT COLLATE "C" NOT NULL,
      key TEXT COLLATE "C" NOT NULL,
      body_hash BYTEA NOT NULL,
      status BIGINT NOT NULL,
      sealed_body BYTEA NOT NULL,
      expires_at BIGINT NOT NULL,
      CONSTRAINT idempotency_key PRIMARY KEY (merchant_id, operation, key)
    );
    CREATE INDEX idempotency_by_end ON idempotency (expires_at);

    CREATE TABLE budgets (
      scope TEXT COLLATE "C" NOT NULL,
      window_start BIGINT NOT NULL,
      window_end BIGINT NOT NULL,
      used BIGINT NOT NULL CHECK (used >= 0),
      PRIMARY KEY (scope, window_start)
    ) WITH (fillfactor = 50);
    CREATE INDEX budgets_by_end ON budgets (window_end);

    CREATE TABLE proofs (
      device_id UUID NOT NULL,
      proof_hash BYTEA NOT NULL,
      expires_at BIGINT NOT NULL,
      PRIMARY KEY (device_id, proof_hash)
    );
    CREATE INDEX proofs_by_end ON proofs (expires_at);
    """

  private static let sessions = """
    ALTER TABLE events ADD COLUMN device_id UUID;
    ALTER TABLE events ADD COLUMN order_id UUID;
    ALTER TABLE events ADD COLUMN failure_reason TEXT COLLATE "C";
    CREATE INDEX events_by_device ON events (device_id, position) WHERE device_id IS NOT NULL;

    CREATE TABLE sessions (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      device_id UUID NOT NULL,
      location_id UUID,
      order_amount BIGINT NOT NULL,
      currency TEXT COLLATE "C" NOT NULL,
      content TEXT COLLATE "C" NOT NULL,
      merchant_reference1 TEXT COLLATE "C",
      created_at BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      status TEXT COLLATE "C" NOT NULL
        CHECK (status IN ('CREATED', 'ACTIVE', 'FINALIZED', 'CANCELLED', 'EXPIRED', 'FAILED')),
      payment_id UUID,
      phase TEXT COLLATE "C" CHECK (phase IS NULL OR (status = 'ACTIVE' AND payment_id IS NOT NULL)),
      ending TEXT COLLATE "C",
      order_id UUID CHECK ((order_id IS NOT NULL) = (status = 'FINALIZED')),
      failure_reason TEXT COLLATE "C" CHECK ((failure_reason IS NOT NULL) = (status = 'FAILED')),
      version BIGINT NOT NULL,
      sequence BIGINT NOT NULL,
      failed_attempts BIGINT NOT NULL,
      pushed_at BIGINT,
      fetched_at BIGINT,
      shown_at BIGINT,
      PRIMARY KEY (merchant_id, id)
    ) WITH (fillfactor = 80);
    CREATE UNIQUE INDEX sessions_active_of_device ON sessions (device_id) WHERE status = 'ACTIVE';
    CREATE INDEX sessions_line ON sessions (device_id, created_at, id) WHERE status IN ('CREATED', 'ACTIVE');
    CREATE INDEX sessions_due ON sessions (expires_at) WHERE status IN ('CREATED', 'ACTIVE');
    CREATE INDEX sessions_by_age ON sessions (merchant_id, created_at, id);
    CREATE INDEX sessions_by_device ON sessions (merchant_id, device_id, created_at, id);
    CREATE INDEX sessions_by_location ON sessions (merchant_id, location_id, created_at, id);
    CREATE INDEX sessions_by_status ON sessions (merchant_id, status, created_at, id);
    CREATE INDEX sessions_by_reference ON sessions (merchant_id, merchant_reference1, created_at, id)
      WHERE merchant_reference1 IS NOT NULL;

    CREATE TABLE payments (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      session_id UUID NOT NULL,
      method TEXT COLLATE "C" NOT NULL,
      amount BIGINT NOT NULL,
      currency TEXT COLLATE "C" NOT NULL,
      created_at BIGINT NOT NULL,
      state TEXT COLLATE "C" NOT NULL,
      failure_reason TEXT COLLATE "C",
      card_brand TEXT COLLATE "C",
      card_last_four TEXT COLLATE "C",
      check_at BIGINT,
      checks BIGINT NOT NULL,
      waits_until BIGINT NOT NULL,
      next_action TEXT COLLATE "C",
      provider_references TEXT COLLATE "C" NOT NULL,
      provider TEXT COLLATE "C" NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) WITH (fillfactor = 80);
    CREATE INDEX payments_open ON payments (merchant_id, method) WHERE check_at IS NOT NULL;
    CREATE INDEX payments_of_session ON payments (merchant_id, session_id, created_at, id);
    CREATE INDEX payments_due ON payments (check_at) WHERE check_at IS NOT NULL;

    CREATE TABLE simulated_charges (
      payment_id UUID NOT NULL PRIMARY KEY,
      amount BIGINT NOT NULL,
      state TEXT COLLATE "C" NOT NULL,
      tapped TEXT COLLATE "C",
      captured BIGINT NOT NULL,
      refunded BIGINT NOT NULL,
      is_released BOOLEAN NOT NULL
    );
    CREATE TABLE simulated_movements (
      payment_id UUID NOT NULL,
      id UUID NOT NULL,
      amount BIGINT NOT NULL,
      PRIMARY KEY (payment_id, id)
    );

    CREATE TABLE payment_methods (
      merchant_id UUID NOT NULL REFERENCES merchants (id),
      id UUID NOT NULL,
      method TEXT COLLATE "C" NOT NULL,
      provider TEXT COLLATE "C" NOT NULL,
      is_current BOOLEAN NOT NULL,
      is_on BOOLEAN NOT NULL,
      capture_policy TEXT COLLATE "C" NOT NULL CHECK (capture_policy IN ('AUTOMATIC', 'MANUAL')),
      settings TEXT COLLATE "C" NOT NULL,
      sealed_secrets TEXT COLLATE "C" NOT NULL,
      is_built_in BOOLEAN NOT NULL,
      created_at BIGINT NOT NULL,
      updated_at BIGINT NOT NULL,
      version BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, id),
      CONSTRAINT payment_methods_provider UNIQUE (merchant_id, method, provider)
    );
    CREATE UNIQUE INDEX payment_methods_current ON payment_methods (merchant_id, method) WHERE is_current;

    CREATE TABLE orders (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      session_id UUID NOT NULL,
      location_id UUID,
      payment_id UUID NOT NULL,
      method TEXT COLLATE "C" NOT NULL,
      amount BIGINT NOT NULL,
      currency TEXT COLLATE "C" NOT NULL,
      merchant_reference1 TEXT COLLATE "C",
      created_at BIGINT NOT NULL,
      captured BIGINT NOT NULL CHECK (captured >= 0),
      capturing BIGINT NOT NULL CHECK (capturing >= 0 AND captured + capturing <= amount),
      refunded BIGINT NOT NULL CHECK (refunded >= 0),
      refunding BIGINT NOT NULL CHECK (refunding >= 0 AND refunded + refunding <= captured),
      release TEXT COLLATE "C" NOT NULL CHECK (release IN ('NONE', 'REQUESTED', 'DONE')),
      status TEXT COLLATE "C" NOT NULL,
      version BIGINT NOT NULL,
      sequence BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, id),
      CONSTRAINT orders_session UNIQUE (merchant_id, session_id)
    ) WITH (fillfactor = 80);
    CREATE INDEX orders_by_age ON orders (merchant_id, created_at, id);
    CREATE INDEX orders_by_status ON orders (merchant_id, status, created_at, id);
    CREATE INDEX orders_by_reference ON orders (merchant_id, merchant_reference1, created_at, id)
      WHERE merchant_reference1 IS NOT NULL;

    CREATE TABLE order_movements (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      order_id UUID NOT NULL,
      kind TEXT COLLATE "C" NOT NULL CHECK (kind IN ('CAPTURE', 'REFUND', 'RELEASE')),
      method TEXT COLLATE "C" NOT NULL,
      amount BIGINT NOT NULL,
      reference TEXT COLLATE "C",
      description TEXT COLLATE "C",
      created_at BIGINT NOT NULL,
      state TEXT COLLATE "C" NOT NULL CHECK (state IN ('REQUESTED', 'DONE', 'REFUSED')),
      refusal TEXT COLLATE "C" CHECK ((refusal IS NOT NULL) = (state = 'REFUSED')),
      settled_at BIGINT CHECK ((settled_at IS NULL) = (state = 'REQUESTED')),
      provider_references TEXT COLLATE "C" NOT NULL,
      check_at BIGINT CHECK (
        CASE state WHEN 'REQUESTED' THEN check_at IS NOT NULL
        WHEN 'DONE' THEN check_at IS NULL OR kind = 'REFUND' ELSE check_at IS NULL END),
      checks BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, id)
    );
    CREATE INDEX order_movements_of_order ON order_movements (merchant_id, order_id, created_at, id);
    CREATE INDEX order_movements_due ON order_movements (check_at) WHERE check_at IS NOT NULL;
    CREATE INDEX order_movements_open ON order_movements (merchant_id, method) WHERE check_at IS NOT NULL;
    """

  /// As in the embedded store: `callback_chains` has a row for each subject with something pending for a destination:
  /// when its first pending delivery is due, or while it is leased, when the lease ends. `callback_queues` says when a
  /// destination is worth a look: the earliest of its shards, of which a writer changes only that of its own connection.
  private static let callbacks = """
    CREATE TABLE webhooks (
      merchant_id UUID NOT NULL REFERENCES merchants (id),
      id UUID NOT NULL,
      name TEXT COLLATE "C" NOT NULL,
      url TEXT COLLATE "C" NOT NULL,
      events TEXT COLLATE "C",
      sealed_secret BYTEA NOT NULL,
      previous_sealed_secret BYTEA,
      previous_secret_until BIGINT CHECK ((previous_secret_until IS NULL) = (previous_sealed_secret IS NULL)),
      created_at BIGINT NOT NULL,
      disabled_at BIGINT,
      disabled_reason TEXT COLLATE "C" CHECK ((disabled_reason IS NULL) = (disabled_at IS NULL)),
      deleted_at BIGINT,
      version BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) WITH (fillfactor = 80);
    CREATE INDEX webhooks_by_age ON webhooks (merchant_id, created_at, id) WHERE deleted_at IS NULL;
    CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

    CREATE TABLE callback_deliveries (
      merchant_id UUID NOT NULL,
      id UUID NOT NULL,
      webhook_id UUID NOT NULL,
      subject_id UUID NOT NULL,
      sequence BIGINT NOT NULL,
      created_at BIGINT NOT NULL,
      status TEXT COLLATE "C" NOT NULL CHECK (status IN ('PENDING', 'DELIVERED', 'DEAD')),
      failed_tries BIGINT NOT NULL,
      next_try_at BIGINT CHECK ((next_try_at IS NOT NULL) = (status = 'PENDING')),
      finished_at BIGINT CHECK ((finished_at IS NULL) = (status = 'PENDING')),
      PRIMARY KEY (merchant_id, id)
    );
    CREATE INDEX callback_deliveries_by_age ON callback_deliveries (merchant_id, webhook_id, created_at, id);
    CREATE INDEX callback_deliveries_by_status
      ON callback_deliveries (merchant_id, webhook_id, status, created_at, id);
    CREATE INDEX callback_deliveries_pending
      ON callback_deliveries (merchant_id, webhook_id, subject_id, sequence) WHERE status = 'PENDING';
    CREATE INDEX callback_deliveries_finished ON callback_deliveries (finished_at) WHERE finished_at IS NOT NULL;

    CREATE TABLE callback_chains (
      merchant_id UUID NOT NULL,
      webhook_id UUID NOT NULL,
      subject_id UUID NOT NULL,
      due_at BIGINT NOT NULL,
      lease BYTEA,
      PRIMARY KEY (merchant_id, webhook_id, subject_id)
    );
    CREATE INDEX callback_chains_due ON callback_chains (merchant_id, webhook_id, due_at);
    CREATE INDEX callback_chains_leased ON callback_chains (merchant_id, webhook_id, due_at) WHERE lease IS NOT NULL;

    CREATE TABLE callback_queues (
      merchant_id UUID NOT NULL,
      webhook_id UUID NOT NULL,
      shard BIGINT NOT NULL,
      due_at BIGINT NOT NULL,
      PRIMARY KEY (merchant_id, webhook_id, shard)
    );
    CREATE INDEX callback_queues_due ON callback_queues (due_at);

    CREATE TABLE callback_attempts (
      merchant_id UUID NOT NULL,
      delivery_id UUID NOT NULL,
      number BIGINT NOT NULL,
      at BIGINT NOT NULL,
      duration_milliseconds BIGINT NOT NULL,
      status BIGINT,
      error TEXT COLLATE "C" CHECK ((error IS NULL) = (status IS NOT NULL)),
      response_excerpt TEXT COLLATE "C",
      PRIMARY KEY (merchant_id, delivery_id, number)
    );
    CREATE INDEX callback_attempts_by_age ON callback_attempts (at);
    """
}
