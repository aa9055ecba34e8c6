extension Migrations {
  /// What providers say of attempts. Attempts of before were all by card, which had 180 seconds.
  static let providers = """
    ALTER TABLE payments ADD COLUMN waits_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE payments ADD COLUMN next_action TEXT;
    ALTER TABLE payments ADD COLUMN provider_references TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE payments ADD COLUMN provider TEXT NOT NULL DEFAULT 'SIMULATED';
    CREATE INDEX payments_open ON payments (merchant_id, method) WHERE check_at IS NOT NULL;
    UPDATE payments SET waits_until = created_at + 180000;
    UPDATE payments SET next_action = '{"type":"TAP"}' WHERE state IN ('PENDING', 'UNKNOWN');

    ALTER TABLE simulated_charges ADD COLUMN captured INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE simulated_charges ADD COLUMN refunded INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE simulated_charges ADD COLUMN is_released INTEGER NOT NULL DEFAULT 0;
    UPDATE simulated_charges SET refunded = amount WHERE state = 'REFUNDED';
    CREATE TABLE simulated_movements (
      payment_id BLOB NOT NULL,
      id BLOB NOT NULL,
      amount INTEGER NOT NULL,
      PRIMARY KEY (payment_id, id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE payment_methods (
      merchant_id BLOB NOT NULL REFERENCES merchants (id),
      id BLOB NOT NULL,
      method TEXT NOT NULL,
      provider TEXT NOT NULL,
      is_current INTEGER NOT NULL,
      is_on INTEGER NOT NULL,
      capture_policy TEXT NOT NULL CHECK (capture_policy IN ('AUTOMATIC', 'MANUAL')),
      settings TEXT NOT NULL,
      sealed_secrets TEXT NOT NULL,
      is_built_in INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL,
      version INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, id),
      UNIQUE (merchant_id, method, provider)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX payment_methods_current ON payment_methods (merchant_id, method) WHERE is_current = 1;
    """
}
