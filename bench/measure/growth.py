"""What each operation costs at each size, and the plans of the lists at the largest ones."""

import json
import random
import re
import sqlite3
import statistics

from .base import Bound, Client, Failure, fetch_json, say
from .engine import READING, record_read
from .stores import Kassa

LIST = Bound(2, 1.2, more_is_better=False)
BASE = "/ipp/v1/enrollments"
CREATE = "create"


def measure(bench, report, store, databases):
    check_plans(bench, report, databases)
    measure_latency(bench, report, store, databases)


def measure_latency(bench, report, store, databases):
    """Latency of each kind at each size, one connection, sizes and kinds interleaved."""
    key, options = bench.keys[store.name], bench.options
    servers, clients, requests = [], [], []
    for database in databases:
        servers.append(Kassa(bench, database))
        clients.append(Client(servers[-1].url, key))
        requests.append(requests_of(bench, servers[-1].url, clients[-1], database))
    kinds = list(requests[0])
    took = {kind: [[[] for _ in range(options.rounds)] for _ in databases] for kind in kinds}
    per_round = max(10, options.requests // options.rounds)
    for number in report.rounds(f"growth, {store.name}"):
        for kind in kinds:
            # By offset is slow by its nature, and creating waits for the disk: fewer of them bound the run.
            count = per_round // 10 if "page_number" in kind else per_round // 2 if kind == CREATE else per_round
            samples = [took[kind][size][number] for size in range(len(databases))]
            for turn in range(count):
                for client, wanted, sample in zip(clients, requests, samples):
                    sample.append(client.microseconds(wanted[kind][turn % len(wanted[kind])]))
    for client, server in zip(clients, servers):
        client.close()
        server.__exit__()
    report.figures[f"growth, {store.name}"] = {
        kind: {str(size): [statistics.median(sample) for sample in samples] for size, samples in zip(options.sizes, of_sizes)}
        for kind, of_sizes in took.items()}

    for index in range(1, len(options.sizes)):
        report.section(f"{store.name}: latency in µs at {options.sizes[index]:,} enrollments of one merchant, "
                       f"against {options.sizes[0]:,} (less is better)")
        for kind in kinds:
            # A page far behind by its number walks over what it skips; its cursor does not.
            is_judged = "page" in kind and "page_number" not in kind
            report.row(kind, [statistics.median(sample) for sample in took[kind][index]],
                       [statistics.median(sample) for sample in took[kind][0]], f"{options.sizes[0]:,}",
                       LIST if is_judged else None,
                       note="grows with the offset" if "page_number" in kind else "for information")


def lists(bench, url, key, name):
    """Each way to narrow a list: paths, several so that not one page alone is read again and again."""
    page = fetch_json(url, f"{BASE}?page_number=1", key)
    total = page["total_elements"]
    page = fetch_json(url, f"{BASE}?page_number={total // 40}", key)
    cursors = []
    for _ in range(20):
        cursors.append(page["next_cursor"])
        page = fetch_json(url, f"{BASE}?cursor={cursors[-1]}", key)
    return {
        "first page": [BASE],
        "first page of a location": [f"{BASE}?location_id={location}" for location in bench.locations[name]],
        "first page with a metadata pair": [f"{BASE}?metadata=register:{number}" for number in range(1, 21)],
        "first page, include_consumed=false": [f"{BASE}?include_consumed=false"],
        "page after the middle, by cursor": [f"{BASE}?cursor={cursor}" for cursor in cursors],
        "page in the middle, by page_number": [f"{BASE}?page_number={total // 40}"],
    }


def requests_of(bench, url, client, database):
    name = database.store.name
    key = bench.keys[name]
    paths = lists(bench, url, key, name)
    for kind, of_kind in paths.items():
        if any(len(fetch_json(url, path, key)["content"]) != 20 for path in of_kind[:20]):
            raise Failure(f"{kind}: a page has not 20 elements")
    requests = {kind: [client.request(path) for path in of_kind] for kind, of_kind in paths.items()}
    requests["one by its id"] = [client.request(f"{BASE}/{identifier}") for identifier in some_ids(database)]
    requests[CREATE] = [
        client.request(BASE, {"location_id": location, "metadata": {"store_id": str(number), "register": str(number % 20 + 1)}})
        for number, location in enumerate(random.choices(bench.locations[name], k=100), 1)]
    return requests


def some_ids(database):
    if database.store.name == "SQLite":
        newest = database.query("SELECT max(row_id) FROM enrollments")[0][0]
        rows = ", ".join(str(random.randint(1, newest)) for _ in range(400))
        digits = [row[0] for row in database.query(f"SELECT lower(hex(id)) FROM enrollments WHERE row_id IN ({rows})")]
        random.shuffle(digits)
        return ["-".join([d[:8], d[8:12], d[12:16], d[16:20], d[20:]]) for d in digits]
    # Their ids are random, so these are spread over the table.
    return [row[0] for row in database.query("SELECT id FROM enrollments ORDER BY id LIMIT 400")]


# Plans

def check_plans(bench, report, databases):
    """Every list walks an index at the larger sizes. Fails the run otherwise."""
    for size, database in list(zip(bench.options.sizes, databases))[1:]:
        say(f"plans of the lists at {size:,}, {database.store.name}")
        plans = plans_of_sqlite(bench, database) if database.store.name == "SQLite" else plans_of_postgres(bench, database)
        for kind, plan in plans.items():
            if re.search(r"\bSeq Scan on (enrollments|metadata_listings)\b|^SCAN (enrollments|l)\b", plan, re.M):
                raise Failure(f"{database.store.name}, {size:,}: {kind} reads the whole table:\n{plan}")
        report.figures[f"plans, {database.store.name}, {size}"] = plans


def plans_of_sqlite(bench, database):
    connection = sqlite3.connect(f"file:{database.path}?mode=ro", uri=True)
    plans = {}
    for sql in json.loads(bench.processes.output([bench.raw, "statements"], 10)):
        values = [0] * sql.count("?")
        plans[sql] = "\n".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, values))
    connection.close()
    return plans


def plans_of_postgres(bench, database):
    key, name = bench.keys["PostgreSQL"], "PostgreSQL"
    settings = "; ".join("SET " + setting.strip() for setting in READING.split("-c") if setting.strip())
    plans = {}
    with Kassa(bench, database, url=database.url_that_logs) as kassa:
        for kind, paths in lists(bench, kassa.url, key, name).items():
            statement = record_read(kassa, database, key, paths[0], "FROM listing_totals")
            values = ", ".join("NULL" if value is None else "'" + value.replace("'", "''") + "'"
                               for _, value in sorted(statement.parameters.items()))
            plan = database.store.psql(
                database.name, f"{settings}; PREPARE listed AS {statement.sql}; EXPLAIN EXECUTE listed ({values})")
            plans[kind] = plan
    return plans
