"""The peer that a team would otherwise write, on the same stores in the same run: a yardstick, no threshold."""

import hashlib
import os

from .base import BENCH, WARM_UP_SECONDS, fetch, fetch_json, free_port, say, wait_for
from .stores import Kassa

FOLDER = os.path.join(BENCH, "peers", "fastapi")


def python(bench):
    """An interpreter with what the peer needs; `None` when it cannot be had."""
    with open(os.path.join(FOLDER, "requirements.txt"), "rb") as file:
        version = hashlib.sha256(file.read()).hexdigest()[:12]
    place = os.path.join(bench.options.peer_folder, version)
    if not os.path.exists(os.path.join(place, "complete")):
        say("installing what the peer needs")
        try:
            bench.processes.output(["python3", "-m", "venv", "--clear", place], 120)
            bench.processes.output(
                [os.path.join(place, "bin/pip"), "install", "--quiet", "--requirement", os.path.join(FOLDER, "requirements.txt")],
                300)
        except Exception as error:
            say(f"the peer is left out: {error}")
            return None
        open(os.path.join(place, "complete"), "w").close()
    return os.path.join(place, "bin/python")


def measure(bench, report):
    interpreter = python(bench)
    if interpreter is None:
        report.section("FastAPI: left out, because what it needs could not be installed")
        return
    for store in bench.stores:
        of_store(bench, report, store, interpreter)


def of_store(bench, report, store, interpreter):
    rounds = []
    for number in report.rounds(f"FastAPI, {store.name}"):
        report.measure_fsync(bench.folder)
        database = bench.templates[store.name].copy("beside-peer")
        with Kassa(bench, database) as kassa:
            ours = load(bench, kassa.url, bench.keys[store.name], bench.locations[store.name])
        database.remove()
        database = store.database("peer")
        if store.name == "PostgreSQL":
            database.make()
        url = f"sqlite:///{database.path}" if store.name == "SQLite" else database.url
        environment = bench.environment | {"PEER_DATABASE_URL": url}
        key = bench.processes.output([interpreter, "peer.py", "prepare"], 30, cwd=FOLDER, env=environment).strip()
        port = free_port()
        peer = bench.processes.start([interpreter, "peer.py", "serve", str(port)], cwd=FOLDER, env=environment)
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(address, key), 30, peer, "the peer")
        theirs = load(bench, address, key, bench.locations[store.name])
        bench.processes.end(peer)
        database.remove()
        rounds.append((ours, theirs))
    report.figures[f"FastAPI, {store.name}"] = rounds
    report.section(f"{store.name}: beside FastAPI with SQLAlchemy, two workers, per second (more is better; "
                   "it does less, so no threshold)")
    for what in ["create", "list page of 20"]:
        report.row(what, [ours[what] for ours, _ in rounds], [theirs[what] for _, theirs in rounds], "the peer")


def answers(url, key):
    try:
        return fetch(url, "/ipp/v1/enrollments", key)[0] == 200
    except OSError:
        return False


def load(bench, url, key, locations):
    path = url + "/ipp/v1/enrollments"
    script = ["--script", os.path.join(BENCH, "create.lua"), "--", *locations]
    for location in locations * 2:
        fetch_json(url, "/ipp/v1/enrollments", key, {"location_id": location, "metadata": {"store_id": "1", "register": "2"}})
    # The list first: how long it is must not depend on how fast the other was made.
    bench.wrk(path, key=key, seconds=WARM_UP_SECONDS)
    listed = bench.wrk(path, key=key)
    bench.wrk(path, *script, key=key, seconds=WARM_UP_SECONDS)
    return {"create": bench.wrk(path, *script, key=key), "list page of 20": listed}
