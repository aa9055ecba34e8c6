"""Databases of each size. All but the newest rows of each are put there directly, as they are after their lives."""

import os
import random
import time
import uuid

from .base import Failure, fetch_json, say
from .stores import Kassa

STEP_MS = 2000  # STEP_MS of raw_group_commit.c
BY_API = 400  # the newest rows are made over the API, half of them redeemed there


def fill(bench, store):
    """A database for each size, smallest first."""
    sizes = bench.options.sizes
    start_ms = int(time.time() * 1000) - sizes[-1] * STEP_MS - 3 * 3_600_000
    if store.name == "PostgreSQL":
        store.restart(store.filling)
    growing = bench.templates[store.name].copy("growing")
    databases, filled = [], 0
    for size in sizes:
        say(f"filling to {size:,} enrollments, {store.name}")
        if store.name == "SQLite":
            bench.processes.output(
                [bench.raw, "fill", growing.path, str(filled), str(size - BY_API - filled), str(start_ms)], 600)
        else:
            fill_postgres(growing, filled, size - BY_API - filled, start_ms)
        filled = size - BY_API
        databases.append(growing if size == sizes[-1] else growing.copy(f"size-{size}"))
    for size, database in zip(sizes, databases):
        top_up(bench, database, size)
    if store.name == "PostgreSQL":
        for database in databases:
            database.settle()
        store.restart(store.durable)
    os.sync()
    return databases


def top_up(bench, database, size):
    name = database.store.name
    with Kassa(bench, database) as kassa:
        for number in range(BY_API):
            created = fetch_json(kassa.url, "/ipp/v1/enrollments", bench.keys[name], {
                "location_id": random.choice(bench.locations[name]), "expires_in": 7_200_000,
                "metadata": {"store_id": str(random.randint(1, 100)), "register": str(number % 20 + 1)}})
            if random.random() < 0.5:
                fetch_json(kassa.url, "/pos/v1/devices", None, {
                    "enrollment_code": created["enrollment_code"], "hardware_id": f"phone-{number}",
                    "platform": "ANDROID"})
        # Exact, also of what was put there directly.
        total = fetch_json(kassa.url, "/ipp/v1/enrollments", bench.keys[name])["total_elements"]
        if total != size:
            raise Failure(f"{name}: {size:,} enrollments were made, and {total:,} are told")


def fill_postgres(database, first, count, start_ms):
    """As `raw_group_commit fill` does it: 6 of 10 redeemed, the others expired; with listings, figures and events."""
    namespace = uuid.uuid4()
    database.query(f"""
        BEGIN;
        CREATE TEMPORARY TABLE filled ON COMMIT DROP AS
        SELECT n, (SELECT id FROM merchants LIMIT 1) AS merchant_id, md5('{namespace}' || n)::uuid AS id,
          (SELECT array_agg(id) FROM locations)[1 + n % (SELECT count(*) FROM locations)] AS location_id,
          {start_ms} + n * {STEP_MS}::bigint AS created_at, 1 + (random() * 19)::int AS register,
          1 + (random() * 99)::int AS store, random() < 0.6 AS is_consumed
        FROM generate_series({first}::bigint, {first + count - 1}) AS n;

        INSERT INTO enrollments (id, merchant_id, location_id, metadata, created_at, expires_at, status, version,
          device_id, typed_symbols)
        SELECT id, merchant_id, location_id, format('{{"register":"%s","store_id":"%s"}}', register, store), created_at,
          created_at + 7200000, CASE WHEN is_consumed THEN 'CONSUMED' ELSE 'EXPIRED' END, 2,
          CASE WHEN is_consumed THEN gen_random_uuid() END, 10
        FROM filled ORDER BY n;

        CREATE TEMPORARY TABLE listed ON COMMIT DROP AS
        SELECT merchant_id, kind, place_id, label, created_at, id
        FROM filled CROSS JOIN (VALUES (0), (1)) AS kinds (kind)
          CROSS JOIN LATERAL (VALUES (location_id), ('00000000-0000-0000-0000-000000000000')) AS places (place_id)
          CROSS JOIN LATERAL (VALUES (''), ('register:' || register), ('store_id:' || store)) AS labels (label)
        WHERE kind = 0 OR NOT is_consumed;

        INSERT INTO metadata_listings (merchant_id, kind, place_id, label, created_at, id)
        SELECT * FROM listed WHERE label <> '' ORDER BY merchant_id, kind, place_id, label COLLATE "C", created_at, id;

        INSERT INTO listing_totals (merchant_id, kind, place_id, label, shard, total)
        SELECT merchant_id, kind, place_id, label, 0, count(*) FROM listed GROUP BY 1, 2, 3, 4
        ON CONFLICT (merchant_id, kind, place_id, label, shard) DO UPDATE SET total = listing_totals.total + excluded.total;

        INSERT INTO events (merchant_id, position, subject_id, sequence, type, at, actor_kind, actor_id, request_id)
        SELECT merchant_id, 2 * n + sequence, id, sequence,
          CASE WHEN sequence = 1 THEN 'enrollment.created' WHEN is_consumed THEN 'enrollment.consumed'
            ELSE 'enrollment.expired' END,
          created_at, CASE WHEN sequence = 1 OR is_consumed THEN 'api_key' ELSE 'system' END,
          CASE WHEN sequence = 1 OR is_consumed THEN (SELECT id FROM api_keys LIMIT 1) END,
          '0f8fad5b-d9cb-469f-a165-70867728950e'
        FROM filled CROSS JOIN (VALUES (1), (2)) AS sequences (sequence) ORDER BY n, sequence;
        COMMIT
        """, 600)
