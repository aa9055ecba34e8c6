extension Migrations {
  /// What providers say of attempts. Attempts of before were all by card, which had 180 seconds.
  static let providers = """
    ALTER TABLE payments ADD COLUMN waits_until INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE payments ADD COLUMN next_action TEXT;
    ALTER TABLE payments ADD COLUMN provider_references TEXT NOT NULL DEFAULT '{}';
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
    """
}
