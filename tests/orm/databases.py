"""The databases the tests of the ORM part run on, each test in one of its own.

As a program: say which are reachable.

Servers are found under SEMANTIC_CORE_TEST_POSTGRES and SEMANTIC_CORE_TEST_MYSQL; without them, on
this machine.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

POSTGRES = os.environ.get(
    "SEMANTIC_CORE_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test"
)
MYSQL = os.environ.get("SEMANTIC_CORE_TEST_MYSQL", "mysql://root@127.0.0.1:3306/test")
KINDS = ("sqlite3", "apsw", "postgresql", "mysql")
DIALECT = {"sqlite3": "sqlite", "apsw": "sqlite", "postgresql": "postgresql", "mysql": "mysql"}
SERVICES = {"postgresql": "postgresql", "mysql": "mariadb"}
"""What the service is called where it is installed."""


def postgres_options(schema: str) -> str:
    """What a connection to a schema of a test is opened with. No test ends a server, so a commit
    need not wait for the disk.
    """
    return f"-c synchronous_commit=off -c search_path={schema}"


def mysql_options() -> dict[str, Any]:
    """What PyMySQL connects with. Without TLS to a server of this machine: before each connection
    with it, PyMySQL reads every certificate the system trusts, which takes 20 ms of the processor.
    """
    here = (urlsplit(MYSQL).hostname or "127.0.0.1") in ("127.0.0.1", "::1", "localhost")
    return {"charset": "utf8mb4", "ssl_disabled": here}


class Connection:
    """One connection; each statement is committed at once, but between BEGIN and COMMIT."""

    def __init__(self, kind: str, raw: Any) -> None:
        self.kind, self.raw = kind, raw

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement of a test, its parameters marked "?" on every database."""
        if params and self.kind in SERVICES:
            sql = sql.replace("%", "%%").replace("?", "%s")
        return self.run(sql, params)

    def run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement with the driver's own marks: what an adapter's `execute` does."""
        if self.kind == "apsw":
            return list(self.raw.execute(sql, tuple(params)))
        cursor = self.raw.cursor()
        try:
            cursor.execute(sql, *([tuple(params)] if params else []))
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            cursor.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN, then COMMIT, or ROLLBACK if it raises."""
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def close(self) -> None:
        self.raw.close()


class Database:
    """A database with nothing in it. address: with `kind`,
    what another process needs to connect.
    """

    def __init__(self, kind: str, address: str) -> None:
        self.kind, self.address, self.dialect = kind, address, DIALECT[kind]
        self.opened: list[Connection] = []

    def connect(self) -> Connection:
        connection = connect(self.kind, self.address)
        self.opened.append(connection)
        return connection

    def quoted(self, name: str) -> str:
        mark = "`" if self.dialect == "mysql" else '"'
        return mark + name.replace(mark, mark * 2) + mark


def connect(kind: str, address: str) -> Connection:
    """A connection to the database of a test."""
    if kind == "sqlite3":
        raw: Any = sqlite3.connect(
            address, timeout=30, isolation_level=None, check_same_thread=False
        )
    elif kind == "apsw":
        import apsw

        raw = apsw.Connection(address)
        raw.set_busy_timeout(30_000)
    elif kind == "postgresql":
        import psycopg

        raw = psycopg.connect(
            POSTGRES, autocommit=True, options=postgres_options(address), connect_timeout=5
        )
    else:
        raw = _mysql(address)
    connection = Connection(kind, raw)
    if kind not in SERVICES:
        connection.run("PRAGMA foreign_keys = ON")
        connection.run("PRAGMA synchronous = OFF")
        connection.run("PRAGMA journal_mode = WAL")
    return connection


def _mysql(database: str | None = None) -> Any:
    import pymysql

    server = urlsplit(MYSQL)
    return pymysql.connect(
        host=server.hostname or "127.0.0.1",
        port=server.port or 3306,
        user=server.username or "root",
        password=server.password or "",
        database=database or server.path.strip("/"),
        autocommit=True,
        connect_timeout=5,
        **mysql_options(),
    )


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[Database]:
    """A database of a random name, dropped in the end.

    Raises the driver's error if the server cannot be reached.
    """
    name = f"semantic_core_{secrets.token_hex(6)}"
    if kind not in SERVICES:
        database = Database(kind, str(folder / f"{name}.db"))
        drop: Callable[[], object] = list
    elif kind == "postgresql":
        _server(kind, f"CREATE SCHEMA {name}")
        database = Database(kind, name)

        def drop() -> object:
            return _server(kind, f"DROP SCHEMA {name} CASCADE")
    else:
        _server(kind, f"CREATE DATABASE {name}")
        database = Database(kind, name)

        def drop() -> object:
            return _server(kind, f"DROP DATABASE {name}")

    try:
        yield database
    finally:
        for connection in database.opened:
            connection.close()
        drop()


def _server(kind: str, sql: str) -> list[tuple[Any, ...]]:
    """Run a statement on the server, outside of any test's database."""
    connection = connect(kind, "public") if kind == "postgresql" else Connection(kind, _mysql())
    try:
        return connection.run(sql)
    finally:
        connection.close()


def why_unreachable(kind: str) -> str:
    """Why there is no such database here; "" if there is."""
    if kind not in SERVICES:
        return ""
    try:
        _server(kind, "SELECT 1")
    except Exception as error:  # noqa: BLE001
        # Each driver has errors of its own; the reason is shown.
        return f"{type(error).__name__}: {error}".strip().splitlines()[0]
    return ""


def need(kind: str) -> None:
    """Skip the test where there is no such database, with the reason; fail in CI."""
    import pytest

    if kind not in _reasons:
        _reasons[kind] = why_unreachable(kind)
        if kind == "mysql" and not _reasons[kind] and os.environ.get("CI"):
            _stop_waiting_for_disk()
    if _reasons[kind]:
        message = (
            f"no {SERVICES[kind]} to test with ({_reasons[kind]}); `make "
            "services` says how to get one"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def _stop_waiting_for_disk() -> None:
    """As `postgres_options` has it. In MySQL this is a setting of the whole server, until it is
    started anew; in CI the server is there for the tests alone.
    """
    import pymysql

    with suppress(pymysql.MySQLError):  # a user who may not set it waits
        _server("mysql", "SET GLOBAL innodb_flush_log_at_trx_commit = 2")


_reasons: dict[str, str] = {}
"""Per kind why it is not there, as `need` found it; asked once in a process."""


def main() -> int:
    """Start what is installed and not running, and say what is there."""
    for kind, service in SERVICES.items():
        address = POSTGRES if kind == "postgresql" else MYSQL
        server = urlsplit(address)
        place = f"{server.hostname}:{server.port}, database {server.path.strip('/')}"
        reason = why_unreachable(kind)
        if reason and shutil.which("service"):
            subprocess.run(["service", service, "start"], check=False)
            reason = why_unreachable(kind)
        if not reason:
            sys.stdout.write(f"{service}: reachable at {place}\n")
            continue
        sys.stdout.write(
            f"{service}: not reachable at {place} ({reason}).\n"
            f"  Install it and start it: service {service} start, or brew services start "
            f"{service}.\n"
            "  It needs a database 'test' and a user who may create "
            f"{'schemas' if kind == 'postgresql' else 'databases'}.\n"
            "  Another server is named in "
            f"SEMANTIC_CORE_TEST_{'POSTGRES' if kind == 'postgresql' else 'MYSQL'}.\n"
            "  Without it, the tests that need it are skipped.\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
