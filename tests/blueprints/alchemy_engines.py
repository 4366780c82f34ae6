"""Engines for the databases of the tests."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event

KINDS = ("sqlite3", "postgresql", "mysql")


def url_of(servers: Any, database: Any) -> tuple[URL, dict[str, Any]]:
    """Where a database of the tests is, and what to connect with."""
    if database.kind == "sqlite3":
        return URL.create("sqlite", database=database.address), {"timeout": 30}
    server = servers.urlsplit(servers.POSTGRES if database.kind == "postgresql" else servers.MYSQL)
    place = {
        "host": server.hostname,
        "username": server.username,
        "password": server.password,
        "port": server.port,
    }
    if database.kind == "postgresql":
        options = {"options": servers.postgres_options(database.address)}
        return URL.create("postgresql+psycopg", database=server.path.strip("/"), **place), options
    url = URL.create("mysql+pymysql", database=database.address, **place)
    return url, servers.mysql_options()


def engine_of(servers: Any, database: Any, **options: Any) -> Engine:
    """An engine on it. On SQLite with foreign keys,
    and transactions that begin when SQLAlchemy says so.
    """
    url, arguments = url_of(servers, database)
    engine = create_engine(url, connect_args=arguments, **options)
    return with_savepoints(engine) if database.kind == "sqlite3" else engine


def with_savepoints(engine: Engine) -> Engine:
    """What SQLAlchemy's manual says to do for savepoints on SQLite, and the usual settings."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, record: Any) -> None:
        connection.isolation_level = None
        for setting in ("foreign_keys = ON", "journal_mode = WAL", "synchronous = OFF"):
            connection.execute(f"PRAGMA {setting}")

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
