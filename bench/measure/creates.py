"""Durable creates over HTTP, against the same statements through the engine alone."""

import os
import statistics

from .base import BENCH, Bound, Failure, WARM_UP_SECONDS, fetch_json
from .engine import SCRIPTS, WRITING, PgBench, create_script, raw_create, record_create
from .stores import Kassa

DEVICES = 100  # that sessions are created for, where no phone listens
SQLITE = Bound(0.25, 0.5)
POSTGRES = Bound(0.6, 1.5)
SCRIPT_OF = {"enrollments": "create.lua", "sessions": "sessions.lua"}


def measure(bench, report):
    for store in bench.stores:
        template = bench.templates[store.name]
        with_devices, devices = make_devices(bench, template)
        for table, database, arguments in [("enrollments", template, bench.locations[store.name]),
                                           ("sessions", with_devices, devices)]:
            if store.name == "SQLite":
                on_sqlite(bench, report, table, database, arguments)
            else:
                on_postgres(bench, report, table, database, arguments)
        with_devices.remove()


def make_devices(bench, template):
    """A database with devices of which none listens: what telling phones costs is measured apart."""
    database, devices = template.copy("tills"), []
    locations = bench.locations[template.store.name]
    with Kassa(bench, database) as kassa:
        key = bench.keys[template.store.name]
        for number in range(DEVICES):
            code = fetch_json(kassa.url, "/ipp/v1/enrollments", key, {
                "location_id": locations[number % len(locations)]})["enrollment_code"]
            devices.append(fetch_json(kassa.url, "/pos/v1/devices", None, {
                "enrollment_code": code, "hardware_id": f"till-{number}", "platform": "ANDROID"})["id"])
    return database, devices


def over_http(bench, table, database, arguments):
    """Creates a second, rows before and after, and how many bodies a commit had."""
    script = ["--script", os.path.join(BENCH, SCRIPT_OF[table]), "--", *arguments]
    key = bench.keys[database.store.name]
    before = database.counts()
    with Kassa(bench, database) as kassa:
        bench.wrk(kassa.url + "/ipp/v1/" + table, *script, key=key, seconds=WARM_UP_SECONDS)
        earlier, used = kassa.store_figures(), kassa.processor_seconds()
        rate = bench.wrk(kassa.url + "/ipp/v1/" + table, *script, key=key)
        used = kassa.processor_seconds() - used
        grown = {figure: value - earlier[figure] for figure, value in kassa.store_figures().items()}
    after = database.counts()
    return {"per_second": rate, "batch": grown["writes"] / grown["commits"], "writes": grown["writes"],
            "processor_us": used / grown["writes"] * 1e6,
            "rows": {name: after[name] - before[name] for name in after}}


def alike(table, ours, others):
    """The engine is the limit only while it leaves the same rows for each one created."""
    for name in ours:
        mine, theirs = ours[name] / ours[table], others[name] / others[table]
        if abs(mine - theirs) > 0.01:
            raise Failure(f"the engine no longer does what Kassa does: {mine:.2f} rows of {name} a create, not {theirs:.2f}")


def on_sqlite(bench, report, table, template, arguments):
    rounds = []
    for _ in report.rounds(f"create {table}, SQLite"):
        report.measure_fsync(bench.folder)
        database = template.copy("created")
        ours = over_http(bench, table, database, arguments)
        before = template.counts()
        limits = {}
        for label, batch in [("same", max(1, round(ours["batch"]))), ("one", 1)]:
            database = template.copy("created")
            limit = raw_create(bench, table, database, batch, ours["rows"][table], bench.options.seconds * 2)
            after = database.counts()
            alike(table, ours["rows"], {name: after[name] - before[name] for name in after})
            limits[label] = limit["writes"] / limit["seconds"]
        database.remove()
        rounds.append(ours | {"limits": limits})
    report.figures[f"create {table}, SQLite"] = rounds
    batch = statistics.median(round["batch"] for round in rounds)
    report.section(f"SQLite: durable POST /ipp/v1/{table}, per second")
    rates = [round["per_second"] for round in rounds]
    report.row("create", rates, [round["limits"]["same"] for round in rounds],
               f"the same statements from C (WAL, FULL), same batch: {batch:.0f}", SQLITE)
    report.row("create", rates, [round["limits"]["one"] for round in rounds],
               "the same statements from C (WAL, FULL), one a commit")
    report.lone_row("processor time", [round["processor_us"] for round in rounds], "µs a create")


def on_postgres(bench, report, table, template, arguments):
    store = template.store
    pgbench = PgBench(bench, store)
    scripts, pipelined = record(bench, pgbench, table, template, arguments)
    rounds = []
    for _ in report.rounds(f"create {table}, PostgreSQL"):
        report.measure_fsync(bench.folder)
        database = template.copy("created")
        database.settle()
        ours = over_http(bench, table, database, arguments)
        limits = {}
        for label, files in [("plain", scripts), ("pipelined", pipelined)]:
            database = template.copy("created")
            database.settle()
            before = database.counts()
            limits[label] = pgbench.run(database, files, bench.options.seconds, WRITING)
            after = database.counts()
            alike(table, ours["rows"], {name: after[name] - before[name] for name in after})
        database.remove()
        rounds.append(ours | {"limits": limits})
    report.figures[f"create {table}, PostgreSQL"] = rounds
    report.section(f"PostgreSQL: durable POST /ipp/v1/{table}, per second")
    rates = [round["per_second"] for round in rounds]
    batch = statistics.median(round["batch"] for round in rounds)
    report.row("create", rates, [round["limits"]["plain"] for round in rounds],
               f"pgbench, the same statements, one create a commit (Kassa's had {batch:.0f})", POSTGRES)
    report.row("create", rates, [round["limits"]["pipelined"] for round in rounds],
               "pgbench, the same, each create in one pipeline")
    report.lone_row("processor time", [round["processor_us"] for round in rounds], "µs a create, of Kassa alone")


def record(bench, pgbench, table, template, arguments):
    """pgbench's scripts of what the program does at a create, by the program's own statements."""
    database = template.copy("recorded")
    key = bench.keys[template.store.name]
    plain, pipelined = [], []
    with Kassa(bench, database, url=database.url_that_logs) as kassa:
        fetch_json(kassa.url, "/ipp/v1/locations", key)  # A key that was seen before costs no transaction of its own.
        for number in range(SCRIPTS):
            if table == "enrollments":
                body = {"location_id": arguments[number % len(arguments)], "expires_in": 7_200_000,
                        "metadata": {"store_id": str(number + 1), "register": str(number + 1)}}
            else:
                body = session_body(arguments[number % len(arguments)], f"ORDER-00000000-0000000{number}")
            statements, made = record_create(kassa, database, key, "/ipp/v1/" + table, body)
            unique = unique_values(table, statements, made, body)
            plain.append(pgbench.write(create_script(statements, unique, False)))
            pipelined.append(pgbench.write(create_script(statements, unique, True)))
    database.remove()
    return plain, pipelined


def unique_values(table, statements, made, body):
    """What the recorded statements have that is another at each create, and what pgbench puts there."""
    insert = next(statement for statement in statements if statement.sql.startswith(f"INSERT INTO {table}"))
    columns = [name.strip() for name in insert.sql[insert.sql.index("(") + 1:insert.sql.index(")")].split(",")]
    created_at = insert.parameters[1 + columns.index("created_at")]
    expires_at = insert.parameters[1 + columns.index("expires_at")]
    identifier = made["enrollment_id" if table == "enrollments" else "session_id"]
    unique = {
        identifier: "lpad(:id, 32, '0')::uuid",
        created_at: f"({created_at} + :n)",
        expires_at: f"({expires_at} + :n)"}
    if table == "sessions":
        unique[body["merchant_reference1"]] = "lpad(:id, 23, '0')"
    return unique


def session_body(device, reference):
    return {
        "device_id": device, "order_amount": 240000, "purchase_currency": "SEK",
        "purchase_started_at": "2024-01-15T10:30:00Z", "order_tax_amount": 48000, "merchant_reference1": reference,
        "order_items": [
            {"type": "physical", "reference": "SKU-001", "name": "T-Shirt", "quantity": 2, "unit_price": 100000,
             "total_amount": 200000, "tax_rate": 2500, "total_tax_amount": 40000},
            {"type": "physical", "reference": "SKU-002", "name": "Socks", "quantity": 1, "unit_price": 40000,
             "total_amount": 40000, "tax_rate": 2500, "total_tax_amount": 8000}]}
