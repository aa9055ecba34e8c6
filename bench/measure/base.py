"""What every part needs: processes that end, requests, and the report."""

import datetime
import http.client
import json
import os
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(BENCH)
CONNECTIONS = 64
WARM_UP_SECONDS = 1
FSYNCS = 100


class Failure(Exception):
    """Something that makes the figures worthless."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Processes:
    """Every process this run starts; each is ended by its own pid."""

    def __init__(self):
        self.running = []

    def start(self, arguments, stdin=subprocess.DEVNULL, end_signal=signal.SIGTERM, **options):
        process = subprocess.Popen(arguments, stdin=stdin, **options)
        process.end_signal = end_signal
        self.running.append(process)
        return process

    def end(self, process):
        if process.poll() is None:
            process.send_signal(process.end_signal)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.remove(process)

    def end_all(self):
        # The newest first: what stands on a database before the database.
        for process in reversed(list(self.running)):
            self.end(process)

    def output(self, arguments, seconds, given=None, **options):
        """Runs to the end, within a time. Returns what it printed."""
        process = self.start(
            arguments, stdin=subprocess.DEVNULL if given is None else subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, **{"stderr": subprocess.PIPE} | options)
        try:
            out, err = process.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{os.path.basename(arguments[0])} took longer than {seconds} s")
        finally:
            self.end(process)
        if process.returncode != 0:
            raise Failure(f"{' '.join(arguments)} ended with {process.returncode}: {(err or out).strip()}")
        return out


def wait_for(condition, seconds, process, name):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise Failure(f"{name} ended with {process.returncode} instead of starting")
        if time.monotonic() > end:
            raise Failure(f"{name} did not start within {seconds} s")
        time.sleep(0.02)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fetch(url, path, key=None, body=None):
    """One request. Returns the status and the body."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    headers = {"Authorization": "Basic " + key} if key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request("GET" if body is None else "POST", path, json.dumps(body) if body is not None else None, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def fetch_json(url, path, key, body=None):
    status, content = fetch(url, path, key, body)
    if status not in (200, 201):
        raise Failure(f"{path} answered {status}: {content.decode()}")
    return json.loads(content)


class Client:
    """Requests one after the other on one connection, with as little of Python in between as can be."""

    def __init__(self, url, key):
        address = urllib.parse.urlsplit(url)
        self.key = key
        self.host = f"{address.hostname}:{address.port}"
        self.socket = socket.create_connection((address.hostname, address.port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, path, body=None):
        head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Basic {self.key}\r\n"
        if body is None:
            return (head + "\r\n").encode()
        content = json.dumps(body)
        return (head + f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n{content}").encode()

    def microseconds(self, request):
        start = time.perf_counter_ns()
        self.socket.sendall(request)
        answer = self.socket.recv(65536)
        head_end = answer.find(b"\r\n\r\n")
        while head_end < 0:
            answer += self.socket.recv(65536)
            head_end = answer.find(b"\r\n\r\n")
        length = int(re.search(rb"content-length: *(\d+)", answer[:head_end], re.I)[1])
        while len(answer) < head_end + 4 + length:
            answer += self.socket.recv(65536)
        took = (time.perf_counter_ns() - start) / 1000
        if not answer.startswith(b"HTTP/1.1 20"):
            raise Failure(f"{request.splitlines()[0].decode()} answered {answer.splitlines()[0].decode()}")
        return took

    def close(self):
        self.socket.close()


class Bound:
    """What a ratio is expected to be. Where more is better it must be at least `limit`, else at most."""

    def __init__(self, limit, aim, more_is_better=True):
        self.limit, self.aim, self.more_is_better = limit, aim, more_is_better

    def holds(self, ratio, bound):
        return ratio >= bound if self.more_is_better else ratio <= bound

    def verdict(self, ratio):
        word = "at least" if self.more_is_better else "at most"
        passed = "PASS" if self.holds(ratio, self.limit) else "FAIL"
        reached = "reached" if self.holds(ratio, self.aim) else "not reached"
        return f"{passed}: {word} {self.limit:g}; aim {self.aim:g} {reached}"


class Report:
    HEADS = ("what", "ratio", "spread", "Kassa", "other", "other is", "verdict")

    def __init__(self, options, environment_lines):
        self.options = options
        self.load = os.getloadavg()[0]
        self.fsyncs = []
        self.figures = {}
        self.rows = []
        self.verdicts = []
        self.environment_lines = environment_lines

    def rounds(self, name):
        for number in range(self.options.rounds):
            say(f"{name}, round {number + 1} of {self.options.rounds} (load {os.getloadavg()[0]:.1f})")
            yield number

    def section(self, title):
        self.rows.append((title,))

    def row(self, what, ours, other, other_is, bound=None, note="for information"):
        """The ratio is the median of the rounds' ratios, because only figures of one round are alike."""
        ratios = [mine / others for mine, others in zip(ours, other)]
        ratio = statistics.median(ratios)
        verdict = note
        if bound:
            verdict = bound.verdict(ratio)
            section = [row[0] for row in self.rows if len(row) == 1][-1]
            self.verdicts.append((f"{section}: {what}, {ratio:.2f}", verdict))
        self.rows.append((
            what, f"{ratio:.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}", f"{statistics.median(ours):,.0f}",
            f"{statistics.median(other):,.0f}", other_is, verdict))

    def lone_row(self, what, values, unit):
        """One that has nothing beside it to be held against."""
        self.rows.append((what, "", f"{min(values):,.1f} to {max(values):,.1f}", f"{statistics.median(values):,.1f}", "",
                          unit, "for information"))

    def measure_fsync(self, folder):
        """Microseconds for an fsync after 4 KB were appended to a file where the databases are."""
        path = os.path.join(folder, "fsync")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        block = os.urandom(4096)
        for _ in range(FSYNCS):
            os.write(file, block)
            start = time.perf_counter_ns()
            os.fsync(file)
            self.fsyncs.append((time.perf_counter_ns() - start) / 1000)
        os.close(file)
        os.remove(path)

    @property
    def failed(self):
        return [what for what, verdict in self.verdicts if verdict.startswith("FAIL")]

    def text(self):
        lines = [
            f"Kassa {commit()}; {os.cpu_count()} cores, load average {self.load:.1f} before the run and "
            f"{os.getloadavg()[0]:.1f} at its end",
            f"{self.options.rounds} rounds of {self.options.seconds} s, {CONNECTIONS} connections; ratio: median of the "
            "rounds' ratios; spread: smallest to largest",
            f"fsync of 4 KB appended: median {statistics.median(self.fsyncs):.0f} µs, "
            f"95th percentile {statistics.quantiles(self.fsyncs, n=20)[-1]:.0f} µs ({len(self.fsyncs)} fsyncs)",
            *self.environment_lines, "",
            "| " + " | ".join(self.HEADS) + " |", "|" + " --- |" * len(self.HEADS)]
        for row in self.rows:
            cells = row if len(row) == len(self.HEADS) else (f"**{row[0]}**",) + ("",) * (len(self.HEADS) - 1)
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
        lines += [f"{verdict}: {what}" for what, verdict in self.verdicts]
        return "\n".join(lines)

    def save(self):
        folder = os.path.join(BENCH, "results")
        os.makedirs(folder, exist_ok=True)
        now = datetime.datetime.now(datetime.timezone.utc)
        path = os.path.join(folder, now.strftime("%Y%m%d-%H%M%S.json"))
        with open(path, "w") as file:
            json.dump({
                "time": now.isoformat(timespec="seconds"), "commit": commit(), "options": vars(self.options),
                "machine": {"system": platform.platform(), "cores": os.cpu_count(), "processor": processor(),
                            "load": self.load},
                "connections": CONNECTIONS, "fsync_us": [round(us, 1) for us in self.fsyncs],
                "environment": self.environment_lines, "rows": self.rows, "verdicts": self.verdicts,
                "figures": self.figures}, file)
        return path


def commit():
    found = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return found.stdout.strip() or "of an unknown commit"


def processor():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    return found[1] if found else platform.machine()
