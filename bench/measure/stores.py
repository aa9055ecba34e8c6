"""The two stores with their databases, and the program on them."""

import base64
import glob
import json
import os
import pwd
import re
import shutil
import signal
import sqlite3
import time
import urllib.parse

from .base import Failure, fetch, free_port, listens, wait_for

LARGEST_COPY_SECONDS = 300


class SQLite:
    name = "SQLite"

    def __init__(self, processes, folder):
        self.processes = processes
        self.folder = folder

    def version(self):
        return f"SQLite {sqlite3.sqlite_version}, journal mode WAL, synchronous FULL"

    def database(self, name):
        return SQLiteDatabase(self, os.path.join(self.folder, name + ".sqlite"))


class SQLiteDatabase:
    # One table of rows beside those that both stores have.
    counted_tables = ["enrollments", "sessions", "listings", "events"]

    def __init__(self, store, path):
        self.store = store
        self.path = path
        self.url = "sqlite:" + path
        self.environment = {}

    def copy(self, name):
        """A database with the content of this one, which no process has open."""
        database = sqlite3.connect(self.path)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        copy = self.store.database(name)
        copy.remove()
        shutil.copy(self.path, copy.path)
        shutil.copy(self.path + ".key", copy.path + ".key")
        return copy

    def remove(self):
        for suffix in ["", "-wal", "-shm", ".key"]:
            if os.path.exists(self.path + suffix):
                os.remove(self.path + suffix)

    def query(self, sql):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        rows = database.execute(sql).fetchall()
        database.close()
        return rows

    def counts(self):
        return {table: self.query(f"SELECT count(*) FROM {table}")[0][0] for table in self.counted_tables}


class Postgres:
    """A cluster of this run's own, on the disk that is measured."""
    name = "PostgreSQL"
    user = "kassa"
    # Nobody reads it, so it is turned off while rows are put in by the million.
    filling = ["fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off", "wal_level=minimal",
               "max_wal_senders=0", "maintenance_work_mem=512MB"]
    durable = ["fsync=on", "full_page_writes=on", "synchronous_commit=on", "wal_level=replica"]

    def __init__(self, processes, folder):
        self.processes = processes
        self.folder = os.path.join(folder, "postgres")
        self.logs = os.path.join(self.folder, "log")
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
        if not programs:
            raise Failure("PostgreSQL is missing: run `make bench`, or install Debian's postgresql")
        self.programs = programs[-1]
        self.server = None
        os.mkdir(self.folder)
        self.as_user = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            account = pwd.getpwnam("postgres")
            os.chmod(folder, 0o711)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
        self.data = os.path.join(self.folder, "data")
        self.processes.output(
            [*self.as_user, self.program("initdb"), "--pgdata", self.data, "--username", self.user, "--auth", "trust",
             "--encoding", "UTF8", "--no-locale", "--no-sync"], 60, cwd=self.folder)
        self.secret_key = base64.b64encode(os.urandom(32)).decode()

    def program(self, name):
        return os.path.join(self.programs, name)

    def start(self, settings):
        self.port = free_port()
        settings = [
            *settings, f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.folder}",
            "max_connections=200", "shared_buffers=512MB", "max_wal_size=8GB", "checkpoint_timeout=30min",
            "logging_collector=on", "log_destination=jsonlog", f"log_directory={self.logs}", "log_filename=statements.log",
            "log_rotation_size=0", "log_rotation_age=0"]
        with open(os.path.join(self.folder, "stderr"), "ab") as stderr:
            self.server = self.processes.start(
                [*self.as_user, self.program("postgres"), "-D", self.data,
                 *(part for setting in settings for part in ("-c", setting))], stderr=stderr, cwd=self.folder,
                end_signal=signal.SIGINT)  # which waits for no client
        wait_for(lambda: listens(self.port) and self.is_ready(), 30, self.server, "PostgreSQL")

    def is_ready(self):
        try:
            self.psql("postgres", "SELECT 1")
            return True
        except Failure:
            return False

    def stop(self):
        self.processes.end(self.server)
        self.server = None

    def restart(self, settings):
        self.stop()
        self.start(settings)

    def psql(self, database, sql, seconds=60):
        return self.processes.output(
            [self.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", self.user,
             "-d", database], seconds, given=sql)

    def version(self):
        shown = {name: self.psql("postgres", f"SHOW {name}").strip()
                 for name in ["server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers"]}
        if (shown["fsync"], shown["synchronous_commit"], shown["full_page_writes"]) != ("on", "on", "on"):
            raise Failure(f"PostgreSQL is not durable: {shown}")
        return (f"PostgreSQL {shown['server_version'].split()[0]}, fsync, synchronous_commit and full_page_writes on, "
                f"shared_buffers {shown['shared_buffers']}")

    def database(self, name):
        return PostgresDatabase(self, name.replace("-", "_"))


class PostgresDatabase:
    counted_tables = ["enrollments", "sessions", "metadata_listings", "events"]

    def __init__(self, store, name):
        self.store = store
        self.name = name
        self.environment = {"KASSA_SECRET_KEY": store.secret_key}

    @property
    def url(self):
        return f"postgres://{self.store.user}@127.0.0.1:{self.store.port}/{self.name}"

    @property
    def url_that_logs(self):
        """Every statement of a program that connects by it is in the log."""
        return self.url + "?options=-c%20log_statement%3Dall"

    def make(self):
        self.store.psql("postgres", f"CREATE DATABASE {self.name}")

    def copy(self, name):
        copy = self.store.database(name)
        copy.remove()
        self.store.psql("postgres", f"CREATE DATABASE {copy.name} TEMPLATE {self.name} STRATEGY file_copy",
                        LARGEST_COPY_SECONDS)
        return copy

    def remove(self):
        self.store.psql("postgres", f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def query(self, sql, seconds=60):
        return [line.split("|") for line in self.store.psql(self.name, sql, seconds).splitlines()]

    def counts(self):
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in self.counted_tables)
        return dict(zip(self.counted_tables, map(int, self.query(f"SELECT {counts}")[0])))

    def settle(self):
        """Leaves nothing for a checkpoint or the vacuum to do while something is measured."""
        self.store.psql(self.name, "VACUUM (ANALYZE); CHECKPOINT", 300)

    # The statements of the running program

    def statements_since(self, offset, is_whole):
        """What the one connection did of which `is_whole` says that it is what was waited for: statements with their
        parameters, in order. Waits for the log to have them."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            of_connections = {}
            with open(self.log_path, encoding="utf-8") as file:
                file.seek(offset)
                for line in file:
                    entry = json.loads(line) if line.endswith("\n") else {}
                    executed = re.match(r"execute [^:]+: (.*)$", entry.get("message", ""), re.S)
                    if executed and entry.get("dbname") == self.name:
                        of_connections.setdefault(entry["session_id"], []).append(
                            Statement(executed[1], parameters_of(entry.get("detail", ""))))
            for statements in of_connections.values():
                if is_whole(statements):
                    return statements
            time.sleep(0.05)
        raise Failure("the log has not the statements that were waited for")

    @property
    def log_path(self):
        return os.path.join(self.store.logs, "statements.json")

    def log_size(self):
        return os.path.getsize(self.log_path)


class Statement:
    def __init__(self, sql, parameters):
        self.sql = sql
        self.parameters = parameters

    def written(self, parameter):
        """The statement with `parameter(number, text)` in place of each $number."""
        return re.sub(r"\$(\d+)", lambda match: parameter(int(match[1]), self.parameters[int(match[1])]), self.sql)


def parameters_of(detail):
    """`parameters: $1 = 'text', $2 = NULL` as a dictionary."""
    found = re.findall(r"\$(\d+) = (NULL|'(?:[^']|'')*')", detail)
    return {int(number): None if text == "NULL" else text[1:-1].replace("''", "'") for number, text in found}


class Kassa:
    """The program under test, on a database."""

    def __init__(self, bench, database, request_log=True, command="serve", url=None):
        self.processes = bench.processes
        self.log_path = os.path.join(bench.folder, "kassa.log")
        ready = os.path.join(bench.folder, "ready")
        if os.path.exists(ready):
            os.remove(ready)
        log = open(self.log_path, "wb")
        level = [] if request_log else ["--log-level", "warning"]
        self.process = bench.processes.start(
            [bench.kassa, command, "--port", "0", "--database-url", url or database.url, "--ready-file", ready,
             "--requests-per-second-per-merchant", "0", "--code-attempts-per-source-per-minute", "1000000",
             "--connections-max", "1000000", *level],
            stdout=log, stderr=log, env=bench.environment | database.environment)
        log.close()
        try:
            wait_for(lambda: os.path.exists(ready), 30, self.process, "kassa")
        except Failure as failure:
            with open(self.log_path) as told:
                raise Failure(f"{failure}: {told.read()[-2000:]}")
        with open(ready) as file:
            told = json.load(file)
        self.url = told["url"]
        self.port = str(urllib.parse.urlsplit(self.url).port)
        self.key = told.get("api_key")  # of a playground

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.processes.end(self.process)

    def resident_kilobytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"^VmRSS:\s+(\d+) kB$", file.read(), re.M)[1])

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def store_figures(self):
        text = fetch(self.url, "/metrics")[1].decode()
        return {name: int(re.search(rf"^kassa_store_{name}_total (\d+)$", text, re.M)[1])
                for name in ["writes", "commits"]}
