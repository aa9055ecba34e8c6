"""What a team would otherwise write: enrollments of one-time codes, created and listed, with FastAPI and SQLAlchemy.

Tuned as its own community would: uvicorn with uvloop and httptools, two workers, no access log, ORJSON answers,
SQLAlchemy Core without ORM objects on the hot path. On PostgreSQL an asynchronous pool of asyncpg connections with
prepared statements; on SQLite WAL with synchronous=FULL, one connection a worker that writes, off the event loop, and
one that reads. What Kassa does besides (events, callbacks, idempotency, budgets, exact totals at any size, sealed
codes) it does not do: so it is a yardstick, not a like for like.

Usage: PEER_DATABASE_URL=sqlite:///peer.sqlite | postgresql://… python3 peer.py prepare | serve PORT
"""

import asyncio
import base64
import contextlib
import datetime
import fcntl
import hashlib
import os
import secrets
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor

import orjson
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ.get("PEER_DATABASE_URL", "sqlite:///peer.sqlite")
IS_SQLITE = URL.startswith("sqlite")
WORKERS = 2
POOL_CONNECTIONS = 8
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

metadata = sa.MetaData()
keys = sa.Table(
    "api_keys", metadata, sa.Column("hash", sa.LargeBinary, primary_key=True), sa.Column("merchant_id", sa.String(36)))
enrollments = sa.Table(
    "enrollments", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("merchant_id", sa.String(36), nullable=False),
    sa.Column("location_id", sa.String(36)),
    sa.Column("code", sa.String(16), nullable=False, unique=True),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("metadata", sa.Text, nullable=False),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=False),
    sa.Index("enrollments_by_age", "merchant_id", sa.text("created_at DESC"), sa.text("id DESC")))

find_key = sa.select(keys.c.merchant_id).where(keys.c.hash == sa.bindparam("hash"))
insert_enrollment = sa.insert(enrollments)
count_enrollments = sa.select(sa.func.count()).where(enrollments.c.merchant_id == sa.bindparam("merchant"))
page_of_enrollments = (
    sa.select(enrollments).where(enrollments.c.merchant_id == sa.bindparam("merchant"))
    .order_by(enrollments.c.created_at.desc(), enrollments.c.id.desc())
    .limit(sa.bindparam("limit")).offset(sa.bindparam("offset")))


class SQLiteDatabase:
    """One writer thread and one reader thread a worker. A file lock lets one worker write at a time: waiting for it is
    fair and wakes at once, where SQLite's own busy time-out sleeps, and starves."""

    def __init__(self):
        engine = sa.create_engine(URL, poolclass=sa.pool.NullPool, connect_args={"check_same_thread": False})

        @sa.event.listens_for(engine, "connect")
        def configure(connection, _):
            connection.isolation_level = None
            for pragma in ["busy_timeout = 10000", "journal_mode = WAL", "synchronous = FULL", "cache_size = -65536"]:
                connection.execute(f"PRAGMA {pragma}")

        @sa.event.listens_for(engine, "begin")
        def begin(connection):
            connection.exec_driver_sql("BEGIN" if connection.info.get("reads") else "BEGIN IMMEDIATE")

        self.engine = engine
        self.turn = open(URL.removeprefix("sqlite:///") + ".turn", "w")
        self.writer, self.reader = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self.write_connection, self.read_connection = engine.connect(), engine.connect()
        self.read_connection.info["reads"] = True

    async def read(self, body):
        def run():
            with self.read_connection.begin():
                return body(self.read_connection)
        return await asyncio.get_running_loop().run_in_executor(self.reader, run)

    async def write(self, body):
        def run():
            fcntl.flock(self.turn, fcntl.LOCK_EX)
            try:
                with self.write_connection.begin():
                    return body(self.write_connection)
            finally:
                fcntl.flock(self.turn, fcntl.LOCK_UN)
        return await asyncio.get_running_loop().run_in_executor(self.writer, run)

    async def close(self):
        for connection in (self.write_connection, self.read_connection):
            connection.close()


class PostgresDatabase:
    def __init__(self):
        self.engine = create_async_engine(
            URL.replace("postgresql://", "postgresql+asyncpg://", 1).replace("postgres://", "postgresql+asyncpg://", 1),
            pool_size=POOL_CONNECTIONS, max_overflow=0, pool_pre_ping=False)
        # One statement needs no transaction around it.
        self.autocommitting = self.engine.execution_options(isolation_level="AUTOCOMMIT")

    async def read(self, body):
        async with self.autocommitting.connect() as connection:
            return await connection.run_sync(body)

    async def write(self, body):
        async with self.engine.begin() as connection:
            return await connection.run_sync(body)

    async def close(self):
        await self.engine.dispose()


class NewEnrollment(BaseModel):
    location_id: uuid.UUID | None = None
    expires_in: int = Field(default=7_200_000, ge=1000, le=259_200_000)
    metadata: dict[str, str] = Field(default_factory=dict, max_length=50)


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.database = SQLiteDatabase() if IS_SQLITE else PostgresDatabase()
    yield
    await app.state.database.close()


app = FastAPI(lifespan=lifespan, openapi_url=None)


def json_answer(content, status=200):
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


def key_hash(authorization):
    scheme, _, key = (authorization or "").partition(" ")
    if scheme.lower() != "basic" or not key:
        raise HTTPException(401)
    return hashlib.sha256(key.encode()).digest()


def merchant_of(connection, hash):
    merchant = connection.execute(find_key, {"hash": hash}).scalar()
    if merchant is None:
        raise HTTPException(401)
    return merchant


def written(row):
    def time(milliseconds):
        moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "enrollment_id": row["id"], "location_id": row["location_id"], "enrollment_code": row["code"],
        "status": row["status"], "metadata": orjson.loads(row["metadata"]), "created_at": time(row["created_at"]),
        "expires_at": time(row["expires_at"])}


@app.post("/ipp/v1/enrollments")
async def create(request: Request, body: NewEnrollment, authorization: str | None = Header(default=None)):
    hash = key_hash(authorization)
    now = int(datetime.datetime.now(datetime.timezone.utc).timestamp() * 1000)
    row = {
        "id": str(uuid.uuid4()), "location_id": str(body.location_id) if body.location_id else None,
        "code": "".join(secrets.choice(ALPHABET) for _ in range(9)), "status": "PENDING",
        "metadata": orjson.dumps(body.metadata).decode(), "created_at": now, "expires_at": now + body.expires_in}

    def run(connection):
        row["merchant_id"] = merchant_of(connection, hash)
        connection.execute(insert_enrollment, row)
    await request.app.state.database.write(run)
    return json_answer(written(row), 201)


@app.get("/ipp/v1/enrollments")
async def page(
    request: Request, page_number: int = Query(default=0, ge=0), page_size: int = Query(default=20, ge=1, le=100),
    authorization: str | None = Header(default=None),
):
    hash = key_hash(authorization)

    def run(connection):
        merchant = merchant_of(connection, hash)
        total = connection.execute(count_enrollments, {"merchant": merchant}).scalar()
        rows = connection.execute(
            page_of_enrollments,
            {"merchant": merchant, "limit": page_size, "offset": page_number * page_size}).mappings().all()
        return total, rows
    total, rows = await request.app.state.database.read(run)
    pages = -(-total // page_size)
    return json_answer({
        "content": [written(row) for row in rows], "total_elements": total, "total_pages": pages,
        "page_number": page_number, "page_size": page_size, "first": page_number == 0,
        "last": page_number >= pages - 1})


def prepare():
    """Makes the tables, one merchant and its key; prints the key."""
    engine = sa.create_engine(URL) if IS_SQLITE else None
    key = "kassa_live_api_" + base64.urlsafe_b64encode(secrets.token_bytes(24)).decode().rstrip("=")
    row = {"hash": hashlib.sha256(key.encode()).digest(), "merchant_id": str(uuid.uuid4())}
    if engine is not None:
        with engine.begin() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            metadata.create_all(connection)
            connection.execute(sa.insert(keys), row)
    else:
        async def run():
            database = PostgresDatabase()
            async with database.engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
                await connection.execute(sa.insert(keys), row)
            await database.close()
        asyncio.run(run())
    print(key)


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        prepare()
    elif len(sys.argv) == 3 and sys.argv[1] == "serve":
        uvicorn.run(
            "peer:app", host="127.0.0.1", port=int(sys.argv[2]), workers=WORKERS, loop="uvloop", http="httptools",
            access_log=False, log_level="warning")
    else:
        sys.exit(__doc__)
