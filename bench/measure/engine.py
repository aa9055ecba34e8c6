"""The engines alone: SQLite from C, and pgbench with the statements that the running program was seen to run."""

import json
import os
import re
import statistics
import subprocess

from .base import CONNECTIONS, Failure, fetch_json

# As the program's own connections: ConnectionMaker.swift.
WRITING = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c jit=off"
READING = WRITING + " -c enable_sort=off"
SCRIPTS = 4  # of a create: each has another location, metadata or device
SECONDS_MAX = 60  # of pgbench, which is ended when it was measured
SHARDS_OF_PGBENCH = 100  # beyond Kassa's own: one a connection, so that none waits for another's figures


def record_create(kassa, database, key, path, body):
    """What the program does to make one, alone in its transaction: from BEGIN to COMMIT. And what it answered."""
    offset = database.log_size()
    made = fetch_json(kassa.url, path, key, body)
    start = "INSERT INTO " + path.rsplit("/", 1)[1]

    def transaction(statements):
        insert = next((index for index, each in enumerate(statements) if each.sql.startswith(start)), None)
        if insert is None:
            return None
        begin = max(index for index in range(insert) if statements[index].sql == "BEGIN")
        end = next((index for index in range(insert, len(statements)) if statements[index].sql == "COMMIT"), None)
        return end and statements[begin:end + 1]

    return transaction(database.statements_since(offset, transaction)), made


def record_read(kassa, database, key, path, fragment):
    """The one statement by which the program answers a GET: the one that has `fragment` in it."""
    fetch_json(kassa.url, path, key)  # A body of several statements shows it the first time, and is begun again.
    offset = database.log_size()
    fetch_json(kassa.url, path, key)

    def with_fragment(statements):
        return [statement for statement in statements if fragment in statement.sql]

    return with_fragment(database.statements_since(offset, with_fragment))[-1]


def literal(text):
    """As SQL, without a colon: pgbench would take what follows it for a variable."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a") + "'"


def create_script(statements, unique, pipelined):
    """pgbench's script of one create: the recorded statements, with new values in place of what must differ each time.

    `unique` maps recorded texts (an id, a time, a reference) to expressions of pgbench's variables. Hashes and sealed
    codes are random text of the same length.
    """
    lines = ["\\set n :n + 1", "\\set id random(1, 9000000000000000000)"]
    hashes = 0

    def written(statement):
        nonlocal hashes

        def parameter(number, text):
            nonlocal hashes
            if statement.sql.startswith("INSERT INTO listing_totals") and number == 1:
                return f"(:client_id + {SHARDS_OF_PGBENCH})"
            if text is None:
                return "NULL"
            if text in unique:
                return unique[text]
            if text.startswith("\\x") and len(text) >= 2 + 2 * 32:
                hashes += 1
                lines.append(f"\\set hash{hashes} random(1, 9000000000000000000)")
                return f"lpad(:hash{hashes}, {(len(text) - 2) // 2}, '0')::bytea"
            for value, expression in unique.items():
                if value in text and len(value) >= 16:
                    before, after = text.split(value, 1)
                    return f"({literal(before)} || {expression} || {literal(after)})"
            return literal(text)

        return " ".join(statement.written(parameter).split())

    body = [written(statement) + ";" for statement in statements]
    if pipelined:
        body = ["\\startpipeline", *body, "\\endpipeline"]
    return "\n".join(lines + body) + "\n"


class PgBench:
    """Runs scripts against a database with as many connections as the HTTP client has."""

    def __init__(self, bench, store):
        self.bench = bench
        self.store = store
        self.count = 0

    def write(self, text):
        self.count += 1
        path = os.path.join(self.bench.folder, f"pgbench-{self.count}.sql")
        with open(path, "w") as file:
            file.write(text)
        return path

    def run(self, database, scripts, seconds, options, variables=None, connections=CONNECTIONS):
        """Transactions a second, from when the connections have prepared their statements."""
        pgbench = self.bench.processes.start(
            [self.store.program("pgbench"), "--no-vacuum", "--protocol", "prepared", "--client", str(connections),
             "--jobs", "1", "--time", str(SECONDS_MAX), "--progress", "1", "--host", "127.0.0.1",
             "--port", str(self.store.port), "--username", self.store.user,
             *(part for script in scripts for part in ("--file", script)),
             *(part for name, value in ({"n": 0} | (variables or {})).items() for part in ("--define", f"{name}={value}")),
             database.name],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"PGOPTIONS": options})
        output, rates = "", []
        for line in pgbench.stdout:
            output += line
            told = re.match(r"progress: [\d.]+ s, ([\d.]+) tps, .* (\d+) failed", line)
            if "ERROR" in line or "aborted" in line or (told and int(told[2])):
                raise Failure(f"pgbench had failures:\n{output}")
            # What is told before all are connected and prepared, and the second in which that ended, is left out.
            if told and (rates or float(told[1]) > 0):
                rates.append(float(told[1]))
            if len(rates) > seconds:
                break
        self.bench.processes.end(pgbench)
        pgbench.stdout.close()
        if len(rates) <= seconds:
            raise Failure(f"pgbench was not ready in time:\n{output}")
        return statistics.mean(rates[1:])

    def read(self, database, statement, seconds):
        """A statement's executions a second, its parameters bound as the program binds them."""
        names = {}

        def parameter(number, text):
            if text is None:
                return "NULL"
            names[f"p{number}"] = text
            return f":p{number}"

        script = self.write(" ".join(statement.written(parameter).split()) + ";\n")
        return self.run(database, [script], seconds, READING, names)


def raw_create(bench, table, database, batch, count, seconds):
    return json.loads(bench.processes.output(
        [bench.raw, "run", table, database.path, str(batch), str(count), str(seconds)], seconds + 30))


def raw_read(bench, database, what, argument, seconds):
    """Reads a second, from one process for each core. And the ids that one of them found."""
    readers = [bench.processes.start([bench.raw, "read", what, database.path, argument, str(seconds)],
                                     stdout=bench.PIPE, stderr=bench.PIPE, text=True) for _ in range(os.cpu_count())]
    told = []
    for reader in readers:
        out, err = reader.communicate(timeout=seconds + 30)
        bench.processes.end(reader)
        if reader.returncode != 0:
            raise Failure(f"raw_group_commit read: {err.strip()}")
        told.append(json.loads(out))
    return sum(each["reads"] / each["seconds"] for each in told), told[0]["ids"]
