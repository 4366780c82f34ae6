"""What the tests of the store `postgres` share: a server, and stores in schemas of their own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from semantic_core_postgres import PostgresStore

from semantic_core import Space

sys.path.insert(0, str(Path(__file__).parent))

from postgres_server import QUICK, Opener, missing, new_schema, started


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A server with pgvector, for all tests of this process."""
    named = os.environ.get("SEMANTIC_CORE_TEST_PGVECTOR")
    if named:
        yield named
        return
    reason = missing()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(prefix="semantic-core-pg-") as folder,
        started(Path(folder) / "server", *QUICK) as server,
    ):
        yield server.dsn


@pytest.fixture
def opener(dsn: str) -> Iterator[Opener]:
    """Opens stores; the same name in one test is the same schema. All are dropped in the end."""
    import psycopg

    prefix = new_schema()
    schemas: set[str] = set()
    stores: list[PostgresStore] = []

    def opened(space: Space, name: str = "index", **options: Any) -> PostgresStore:
        schema = f"{prefix}_{name}"  # a forked process opens the same one
        schemas.add(schema)
        store = PostgresStore(space, dsn, schema=schema, partitions=2, pool_size=16, **options)
        stores.append(store)
        return store

    yield opened
    for store in stores:
        store.close()
    with psycopg.connect(dsn, autocommit=True) as raw:
        for schema in schemas:
            raw.execute(f'drop schema if exists "{schema}" cascade')


@pytest.fixture
def schema(dsn: str) -> Iterator[str]:
    """The name of a schema that is not there yet, dropped in the end."""
    import psycopg

    name = new_schema()
    yield name
    with psycopg.connect(dsn, autocommit=True) as raw:
        raw.execute(f"drop schema if exists {name} cascade")
