"""Reads over HTTP, against the same statement through the engine alone and against nginx with the same bytes."""

import os
import shutil

from .base import Bound, Failure, WARM_UP_SECONDS, fetch, fetch_json, free_port, listens, wait_for
from .engine import PgBench, raw_read, record_read
from .stores import Kassa

PAGE_AGAINST_NGINX = Bound(0.08, 0.2)
LABEL = "register:7"
PAGE = "/ipp/v1/enrollments"


def measure(bench, report, database):
    name = database.store.name
    key = bench.keys[name]
    with Kassa(bench, database) as kassa:
        newest = fetch_json(kassa.url, PAGE, key)["content"][0]["enrollment_id"]
        paths = {"get": f"{PAGE}/{newest}", "list page of 20": PAGE, "filtered list page of 20": f"{PAGE}?metadata={LABEL}"}
        answers = {kind: fetch(kassa.url, path, key)[1] for kind, path in paths.items()}
    engine = engine_of(bench, database, paths, newest)
    nginx, nginx_url = start_nginx(bench, answers)
    rounds = []
    for _ in report.rounds(f"reads, {name}"):
        measured = {}
        for index, (kind, path) in enumerate(paths.items()):
            with Kassa(bench, database) as kassa:
                bench.wrk(kassa.url + path, key=key, seconds=WARM_UP_SECONDS)
                used = kassa.processor_seconds()
                rate = bench.wrk(kassa.url + path, key=key)
                used = (kassa.processor_seconds() - used) / (rate * bench.options.seconds) * 1e6
            bench.wrk(f"{nginx_url}/{index}", key=key, seconds=WARM_UP_SECONDS)
            measured[kind] = {"kassa": rate, "processor_us": used, "nginx": bench.wrk(f"{nginx_url}/{index}", key=key),
                              "engine": engine[kind]()}
        rounds.append(measured)
    bench.processes.end(nginx)
    report.figures[f"reads, {name}"] = {"bytes": {kind: len(answer) for kind, answer in answers.items()}, "rounds": rounds}

    report.section(f"{name}: GET {PAGE}, per second")
    for kind in paths:
        ours = [round[kind]["kassa"] for round in rounds]
        report.row(kind, ours, [round[kind]["nginx"] for round in rounds],
                   f"nginx, the same {len(answers[kind]):,} bytes", PAGE_AGAINST_NGINX if kind == "list page of 20" else None)
        report.row(kind, ours, [round[kind]["engine"] for round in rounds],
                   "the same statements through the engine alone: " + engine["words"])
        report.lone_row(f"{kind}, processor time", [round[kind]["processor_us"] for round in rounds],
                        "µs a request" + ("" if name == "SQLite" else ", of Kassa alone"))


def engine_of(bench, database, paths, newest):
    """What measures each kind without HTTP, checked to find what Kassa finds."""
    key = bench.keys[database.store.name]
    seconds = bench.options.seconds
    if database.store.name == "SQLite":
        wanted = {"get": ("get", newest.replace("-", "")), "list page of 20": ("page", ""),
                  "filtered list page of 20": ("page", LABEL)}
        with Kassa(bench, database) as kassa:
            for kind, (what, argument) in wanted.items():
                answer = fetch_json(kassa.url, paths[kind], key)
                ids = [each["enrollment_id"].replace("-", "") for each in answer.get("content", [answer])]
                if raw_read(bench, database, what, argument, 0.1)[1] != ids:
                    raise Failure(f"raw_group_commit.c no longer reads what Kassa reads: {kind}")

        def from_c(kind):
            return lambda: raw_read(bench, database, *wanted[kind], seconds)[0]
        return {kind: from_c(kind) for kind in paths} | {"words": f"C, {os.cpu_count()} processes"}

    pgbench = PgBench(bench, database.store)
    fragments = {"get": "WHERE merchant_id = $1 AND id = $2", "list page of 20": "FROM listing_totals",
                 "filtered list page of 20": "metadata_listings AS l0"}
    recorded = {}
    with Kassa(bench, database, url=database.url_that_logs) as kassa:
        for kind, path in paths.items():
            recorded[kind] = record_read(kassa, database, key, path, fragments[kind])

    def from_pgbench(kind):
        return lambda: pgbench.read(database, recorded[kind], seconds)
    return {kind: from_pgbench(kind) for kind in paths} | {"words": "pgbench, prepared, as many connections"}


def start_nginx(bench, answers):
    root = os.path.join(bench.folder, "nginx")
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(os.path.join(root, "files"))
    for index, answer in enumerate(answers.values()):
        with open(os.path.join(root, "files", str(index)), "wb") as file:
            file.write(answer)
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    with open(os.path.join(root, "nginx.conf"), "w") as file:
        file.write(f"""
            {user} daemon off; worker_processes 1; pid {root}/pid; error_log {root}/error.log;
            events {{ worker_connections 1024; }}
            http {{
              access_log off; keepalive_requests 1000000000; keepalive_timeout 60s;
              sendfile on; tcp_nodelay on; open_file_cache max=10; default_type application/json;
              client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root};
              uwsgi_temp_path {root}; scgi_temp_path {root};
              server {{ listen 127.0.0.1:{port}; root {root}/files; }}
            }}""")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with open(os.path.join(root, "stderr"), "wb") as stderr:
        nginx = bench.processes.start(
            [program, "-p", root, "-e", os.path.join(root, "error.log"), "-c", os.path.join(root, "nginx.conf")],
            stderr=stderr)
    wait_for(lambda: listens(port), 10, nginx, "nginx")
    url = f"http://127.0.0.1:{port}"
    for index, answer in enumerate(answers.values()):
        if fetch(url, f"/{index}")[1] != answer:
            raise Failure("nginx does not serve the same bytes")
    return nginx, url
