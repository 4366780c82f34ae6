"""The store in the application's file keeps the contract every store keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite.same_file import SameFileStore

from semantic_core import Space
from semantic_core.errors import StoreForeign, StoreMisuse
from semantic_core.testing import Check, store_checks

SPACE = Space("test", 8)


@pytest.mark.parametrize("check", store_checks(persistent=True, histories=20), ids=str)
def test_the_store_in_a_database_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    def opened(space: Space, name: str = "index", **options: Any) -> SqliteStore:
        database = APSWDatabase(str(tmp_path / f"{name}.db"), pragmas={"journal_mode": "wal"})
        # An application's own tables, which it must never touch.
        for table in ("document", "chunk", "words", "meta", "cost"):
            database.execute_sql(f"create table if not exists {table} (own)")
        return SameFileStore(space, database, **options)

    check(opened)


def test_an_index_of_its_own_is_no_application_database(tmp_path: Path) -> None:
    """Both have the same tables; the file's header says which one it is."""
    own = tmp_path / "own.db"
    SqliteStore(SPACE, own).close()
    before = own.read_bytes()
    database = APSWDatabase(str(own), pragmas={"journal_mode": "wal"})
    with pytest.raises(StoreMisuse, match="an index of its own"):
        SameFileStore(SPACE, database)
    database.close()
    SqliteStore(SPACE, own).close()
    assert own.read_bytes() == before


def test_an_application_database_with_an_index_is_no_index_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    database = APSWDatabase(str(path), pragmas={"journal_mode": "wal"})
    store = SameFileStore(SPACE, database)
    store.close()
    database.close()
    with pytest.raises(StoreForeign, match="another program"):
        SqliteStore(SPACE, path)


OTHER_THREADS = {
    "a_snapshot_is_one_state",
    "a_snapshot_ends_with_its_block",
    "writers_do_not_hurt_each_other",
    "a_write_is_seen_at_once",
    "two_who_flush_at_once_share_the_queue",
}
"""Checks that want to write from other threads meanwhile, which must wait for the transaction."""


WITHIN = [check for check in store_checks(histories=20) if str(check) not in OTHER_THREADS]


@pytest.mark.parametrize("check", WITHIN, ids=str)
def test_within_a_transaction_of_the_application_it_keeps_the_contract_too(
    check: Check, tmp_path: Path
) -> None:
    databases = []

    def opened(space: Space, name: str = "index", **options: Any) -> SqliteStore:
        path = tmp_path / f"{len(databases)}-{name}.db"
        database = APSWDatabase(
            str(path), pragmas={"journal_mode": "wal", "foreign_keys": 1}, timeout=0
        )
        databases.append(database)
        store = SameFileStore(space, database, busy_timeout=0, **options)
        database.execute_sql("BEGIN IMMEDIATE")
        return store

    check(opened)
    for database in databases:
        database.execute_sql("ROLLBACK")
        assert database.execute_sql("SELECT count(*) FROM semantic_index_document").fetchone() == (
            0,
        )
