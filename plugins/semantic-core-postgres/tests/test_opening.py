"""An index is made, found again, and refused where it does not fit; a failure says what to do."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from semantic_core_postgres import PostgresStore
from semantic_core_postgres.errors import SERVER_ERRORS, translate

from semantic_core import Space
from semantic_core.errors import (
    ConfigError,
    SpaceMismatch,
    StoreBusy,
    StoreError,
    StoreForeign,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
    StoreVersion,
)

SPACE = Space("test", 4)


def test_several_processes_may_open_a_new_index_at_once(dsn: str, schema: str) -> None:
    def identity(_: int) -> str:
        with closing(PostgresStore(SPACE, dsn, schema=schema, multi_tenant=True)) as store:
            return store.identity

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(identity, range(6)))) == 1


def test_names_of_schemas_are_quoted(dsn: str) -> None:
    name = 'a "b"; drop schema public; --%s{x}'
    try:
        with closing(PostgresStore(SPACE, dsn, schema=name)) as store:
            assert store.stats().documents == 0
            assert store.location.endswith(f"/{name}")
    finally:
        with psycopg.connect(dsn, autocommit=True) as raw:
            raw.execute('drop schema "a ""b""; drop schema public; --%s{x}" cascade')


def test_another_space_is_refused_by_name(dsn: str, schema: str) -> None:
    PostgresStore(SPACE, dsn, schema=schema).close()
    with pytest.raises(SpaceMismatch, match=r"test \(4 dimensions\).*other \(4 dimensions\)"):
        PostgresStore(Space("other", 4), dsn, schema=schema)


def test_another_tenancy_is_refused(dsn: str, schema: str) -> None:
    PostgresStore(SPACE, dsn, schema=schema, multi_tenant=True).close()
    with pytest.raises(StoreMisuse, match="made with tenants"):
        PostgresStore(SPACE, dsn, schema=schema, multi_tenant=False)
    with closing(PostgresStore(SPACE, dsn, schema=schema)) as store:
        assert store.multi_tenant


def test_a_newer_index_is_refused(dsn: str, schema: str) -> None:
    PostgresStore(SPACE, dsn, schema=schema).close()
    with psycopg.connect(dsn, autocommit=True) as raw:
        raw.execute(f"update {schema}.meta set value = '99' where name = 'version'")
    with pytest.raises(StoreVersion, match="has version 99"):
        PostgresStore(SPACE, dsn, schema=schema)


def test_a_table_that_was_dropped_is_named(dsn: str, schema: str) -> None:
    with closing(PostgresStore(SPACE, dsn, schema=schema)) as store:
        with psycopg.connect(dsn, autocommit=True) as raw:
            raw.execute(f"drop table {schema}.document cascade")
        with pytest.raises(StoreForeign, match="document"):
            store.stats()


def test_a_server_that_is_away_is_said_without_the_password() -> None:
    secret = "hunter2"  # noqa: S105
    with pytest.raises(StoreUnavailable) as raised:
        PostgresStore(SPACE, f"postgresql://ann:{secret}@127.0.0.1:1/none", timeout=2)
    assert secret not in str(raised.value)
    assert "Check that it runs" in raised.value.hint


@pytest.mark.parametrize("dsn", ["mysql://ann:hunter2@host/db", "hunter2", "host='hunter2"])
def test_an_address_of_another_kind_is_said_without_the_password(dsn: str) -> None:
    with pytest.raises(ConfigError, match="no address of a PostgreSQL database") as raised:
        PostgresStore(SPACE, dsn)
    assert raised.value.__cause__ is None
    assert "hunter2" not in f"{raised.value} {raised.value.hint}"


def test_a_database_that_is_not_there_is_said(dsn: str) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        PostgresStore(SPACE, re.sub(r"/\w+$", "/nowhere", dsn))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schema": ""}, "schema must be a name"),
        ({"schema": "pg_mine"}, "must not begin with pg_"),
        ({"schema": "x" * 64}, "at most 63 bytes"),
        ({"multi_tenant": "yes"}, "multi_tenant must be true, false or unset"),
        ({"recall_target": "most"}, "recall_target must be usual, high, exact"),
        ({"pool_size": 0}, "pool_size must be a whole number from 1"),
        ({"timeout": -1}, "timeout must be a number of seconds above 0"),
        ({"partitions": 0}, "partitions must be a whole number from 1 to 1,024"),
    ],
    ids=str,
)
def test_an_option_of_the_wrong_kind_is_refused(
    dsn: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        PostgresStore(SPACE, dsn, **options)


def test_a_space_that_pgvector_cannot_hold_is_refused(dsn: str, schema: str) -> None:
    with pytest.raises(ConfigError, match="at most 16,000 dimensions"):
        PostgresStore(Space("huge", 16_001), dsn, schema=schema)


def test_every_error_of_the_server_has_a_class_and_a_next_step() -> None:
    for known in SERVER_ERRORS:
        if known is UnicodeEncodeError:
            continue
        error = translate(known("reason"))
        assert error.hint
        assert "reason" in error.message
    assert isinstance(translate(psycopg.errors.DeadlockDetected()), StoreBusy)
    assert isinstance(translate(psycopg.errors.ReadOnlySqlTransaction()), StoreReadOnly)
    assert isinstance(translate(psycopg.errors.lookup("XX000")()), StoreError)
