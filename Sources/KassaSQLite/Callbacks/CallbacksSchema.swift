extension Migrations {
  /// `callback_chains` has a row for each subject with something pending for a destination: when its first pending
  /// delivery is due, or while it is leased, when the lease ends. `callback_queues` has a row for each destination that
  /// has a chain: when it is worth a look. So a claim meets neither what is not due nor what waits behind a limit.
  ///
  /// `callback_totals` counts deliveries by destination and status; triggers keep it true whatever changes them.
  static let callbacks = """
    CREATE TABLE webhooks (
      merchant_id BLOB NOT NULL REFERENCES merchants (id),
      id BLOB NOT NULL,
      name TEXT NOT NULL,
      url TEXT NOT NULL,
      events TEXT,
      sealed_secret BLOB NOT NULL,
      previous_sealed_secret BLOB,
      previous_secret_until INTEGER CHECK ((previous_secret_until IS NULL) = (previous_sealed_secret IS NULL)),
      created_at INTEGER NOT NULL,
      disabled_at INTEGER,
      disabled_reason TEXT CHECK ((disabled_reason IS NULL) = (disabled_at IS NULL)),
      deleted_at INTEGER,
      version INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX webhooks_by_age ON webhooks (merchant_id, created_at, id) WHERE deleted_at IS NULL;
    CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

    CREATE TABLE callback_deliveries (
      row_id INTEGER PRIMARY KEY,
      merchant_id BLOB NOT NULL,
      id BLOB NOT NULL,
      webhook_id BLOB NOT NULL,
      subject_id BLOB NOT NULL,
      sequence INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      status TEXT NOT NULL CHECK (status IN ('PENDING', 'DELIVERED', 'DEAD')),
      failed_tries INTEGER NOT NULL,
      next_try_at INTEGER CHECK ((next_try_at IS NOT NULL) = (status = 'PENDING')),
      finished_at INTEGER CHECK ((finished_at IS NULL) = (status = 'PENDING')),
      UNIQUE (merchant_id, id)
    ) STRICT;
    CREATE INDEX callback_deliveries_by_age ON callback_deliveries (merchant_id, webhook_id, created_at, id);
    CREATE INDEX callback_deliveries_by_status
      ON callback_deliveries (merchant_id, webhook_id, status, created_at, id);
    CREATE INDEX callback_deliveries_pending
      ON callback_deliveries (merchant_id, webhook_id, subject_id, sequence) WHERE status = 'PENDING';
    CREATE INDEX callback_deliveries_finished
      ON callback_deliveries (finished_at) WHERE finished_at IS NOT NULL;

    CREATE TABLE callback_chains (
      merchant_id BLOB NOT NULL,
      webhook_id BLOB NOT NULL,
      subject_id BLOB NOT NULL,
      due_at INTEGER NOT NULL,
      lease BLOB,
      PRIMARY KEY (merchant_id, webhook_id, subject_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX callback_chains_due ON callback_chains (merchant_id, webhook_id, due_at);
    CREATE INDEX callback_chains_leased ON callback_chains (merchant_id, webhook_id, due_at) WHERE lease IS NOT NULL;

    CREATE TABLE callback_queues (
      merchant_id BLOB NOT NULL,
      webhook_id BLOB NOT NULL,
      due_at INTEGER NOT NULL,
      PRIMARY KEY (merchant_id, webhook_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX callback_queues_due ON callback_queues (due_at);

    CREATE TABLE callback_attempts (
      merchant_id BLOB NOT NULL,
      delivery_id BLOB NOT NULL,
      number INTEGER NOT NULL,
      at INTEGER NOT NULL,
      duration_milliseconds INTEGER NOT NULL,
      status INTEGER,
      error TEXT CHECK ((error IS NULL) = (status IS NOT NULL)),
      response_excerpt TEXT,
      PRIMARY KEY (merchant_id, delivery_id, number)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX callback_attempts_by_age ON callback_attempts (at);

    CREATE TABLE callback_totals (
      merchant_id BLOB NOT NULL,
      webhook_id BLOB NOT NULL,
      status TEXT NOT NULL,
      total INTEGER NOT NULL CHECK (total >= 0),
      PRIMARY KEY (merchant_id, webhook_id, status)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER callback_totals_insert AFTER INSERT ON callback_deliveries BEGIN
      INSERT INTO callback_totals VALUES (NEW.merchant_id, NEW.webhook_id, NEW.status, 1)
      ON CONFLICT DO UPDATE SET total = total + 1;
    END;
    CREATE TRIGGER callback_totals_delete AFTER DELETE ON callback_deliveries BEGIN
      UPDATE callback_totals SET total = total - 1
      WHERE merchant_id = OLD.merchant_id AND webhook_id = OLD.webhook_id AND status = OLD.status;
    END;
    CREATE TRIGGER callback_totals_update AFTER UPDATE OF status ON callback_deliveries
    WHEN OLD.status <> NEW.status BEGIN
      UPDATE callback_totals SET total = total - 1
      WHERE merchant_id = OLD.merchant_id AND webhook_id = OLD.webhook_id AND status = OLD.status;
      INSERT INTO callback_totals VALUES (NEW.merchant_id, NEW.webhook_id, NEW.status, 1)
      ON CONFLICT DO UPDATE SET total = total + 1;
    END;
    """
}
