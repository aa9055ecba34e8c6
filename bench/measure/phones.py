"""Phones that listen, and callbacks: on SQLite, in the playground."""

import json
import os
import subprocess
import time

from .base import BENCH, WARM_UP_SECONDS, Failure, fetch_json, say
from .stores import Kassa, SQLite

DEVICES = 100  # that sessions are created for while callbacks pile up
SESSIONS_PER_SECOND = 100  # while phones listen: a load that leaves room, so that no queue is measured
HEARTBEAT_SECONDS = 17  # after this every idle phone has had its sign of life
DESTINATIONS = [1, 8]
CALLBACKS_AT_ONCE = 8  # Limits.callbackTriesPerDestinationMax


def listening_phones(bench, report):
    """From a session's POST to its event on the phone's stream, with more and more phones; and what an idle one costs."""
    file = os.path.join(bench.folder, "devices")
    playground = SQLite(bench.processes, bench.folder).database("phones")
    counts = bench.options.phones
    with Kassa(bench, playground, command="playground") as kassa:
        say(f"making {counts[-1]:,} devices")
        bench.processes.output([bench.phones, "make", kassa.port, kassa.key, str(counts[-1]), file], 600)
    seconds = max(10, bench.options.seconds)
    rounds = []
    for _ in report.rounds("phones"):
        measured = {}
        for count in counts:
            database = playground.copy("listening")
            with Kassa(bench, database, command="playground") as kassa:
                measured[count] = listen(bench, kassa, file, count, seconds)
            database.remove()
        rounds.append(measured)
    report.figures["phones"] = rounds

    report.section("POST /ipp/v1/sessions to the event on the phone's stream, in µs, by phones connected; "
                   f"{SESSIONS_PER_SECOND} sessions a second (less is better)")
    for count in counts:
        for share in ["p50", "p99"]:
            report.row(f"{share}, {count:,} connected", [round[count]["to_phone_us"][share] for round in rounds],
                     [round[count]["to_answer_us"][share] for round in rounds],
                     "the POST's own answer, at the same time", note="1.0: the phone knows when the backend does")
    for count in counts[1:]:
        for share in ["p50", "p99"]:
            report.row(f"{share}, {count:,} connected", [round[count]["to_phone_us"][share] for round in rounds],
                     [round[counts[0]]["to_phone_us"][share] for round in rounds],
                     f"with {counts[0]:,} connected", note="1.0: the same with any number")
    report.section("Phones that listen")
    for count in counts:
        for share in ["p50", "p99"]:
            report.lone_row(f"{share} from the POST's answer to the event, {count:,} connected (negative: before it)",
                        [round[count]["answer_to_phone_us"][share] for round in rounds], "µs")
    for count in counts[1:]:
        report.lone_row(f"memory of an idle phone, {count:,} connected",
                    [(round[count]["kilobytes"] - round[counts[0]]["kilobytes"]) / (count - counts[0])
                     for round in rounds], "KB resident, of the server")
        report.lone_row(f"streams opened per second, {count:,} at once",
                    [count / round[count]["opening_seconds"] for round in rounds], "per second")


def listen(bench, kassa, file, count, seconds):
    phones = bench.processes.start(
        [bench.phones, "watch", kassa.port, kassa.key, file, str(count), str(SESSIONS_PER_SECOND), str(seconds)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    opened = json.loads(phones.stdout.readline() or "null")
    if opened is None:
        raise Failure("the phones could not connect: is the limit of open files (ulimit -Hn) above 21,000?")
    time.sleep(HEARTBEAT_SECONDS)
    kilobytes = kassa.resident_kilobytes()
    phones.stdin.write("begin\n")
    phones.stdin.flush()
    measured = json.loads(phones.stdout.readline() or "null")
    bench.processes.end(phones)
    if measured is None:
        raise Failure("the phones were not told of all sessions")
    return measured | {"opening_seconds": opened["seconds"], "kilobytes": kilobytes}


def callbacks(bench, report):
    """Callbacks that wait, to one receiver on this machine: how many are acknowledged a second."""
    file = os.path.join(bench.folder, "devices-of-callbacks")
    playground = SQLite(bench.processes, bench.folder).database("callbacks")
    with Kassa(bench, playground, command="playground") as kassa:
        bench.processes.output([bench.phones, "make", kassa.port, kassa.key, str(DEVICES), file], 60)
    with open(file) as lines:
        devices = [line.split()[0] for line in lines]
    rounds = []
    for _ in report.rounds("callbacks"):
        measured = {}
        for destinations in DESTINATIONS:
            database = playground.copy("waiting")
            with Kassa(bench, database, command="playground") as kassa:
                measured[destinations] = drain(bench, kassa, database, devices, destinations)
            database.remove()
        rounds.append(measured)
    report.figures["callbacks"] = rounds

    report.section("Callbacks acknowledged by a receiver on this machine, per second")
    for destinations in DESTINATIONS:
        connections = destinations * CALLBACKS_AT_ONCE
        report.row(f"to {destinations} destination{'s' if destinations > 1 else ''}",
                 [round[destinations]["per_second"] for round in rounds],
                 [round[destinations]["wrk"] for round in rounds],
                 f"wrk, the same bytes to the same receiver, {connections} connections")


def drain(bench, kassa, database, devices, destinations):
    """Lets callbacks pile up, then answers them all."""
    sink = bench.processes.start(
        [bench.phones, "sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(count):
        sink.stdin.write(f"{count}\n")
        sink.stdin.flush()

    url = f"http://127.0.0.1:{json.loads(sink.stdout.readline())['port']}"
    for number in range(destinations):
        fetch_json(kassa.url, "/portal/v1/webhooks", kassa.key, {
            "name": f"Receiver {number}", "url": f"{url}/{number}", "events": ["ipp.session.created"]})
    bench.wrk(kassa.url + "/ipp/v1/sessions", "--script", os.path.join(BENCH, "sessions.lua"), "--", *devices,
             seconds=2, key=kassa.key)
    waiting = database.query("SELECT count(*) FROM callback_deliveries")[0][0]
    tell(waiting)
    done = json.loads(sink.stdout.readline() or "null")
    if done is None:
        raise Failure("the callbacks did not come")
    tell(0)
    bench.wrk(url + "/0", "--script", os.path.join(BENCH, "callback.lua"), key="none", seconds=WARM_UP_SECONDS)
    rate = bench.wrk(url + "/0", "--script", os.path.join(BENCH, "callback.lua"), key="none", seconds=2,
                    connections=destinations * CALLBACKS_AT_ONCE)
    bench.processes.end(sink)
    return {"callbacks": waiting, "per_second": waiting / done["seconds"], "wrk": rate}
