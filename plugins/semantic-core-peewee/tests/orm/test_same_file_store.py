"""The store in the application's file keeps the contract every store keeps,
under its longer names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite.migrations import STEPS
from semantic_core_peewee.sqlite.renamed import TABLES, renamed

from semantic_core import Space
from semantic_core.testing import Check, store_checks


@pytest.mark.parametrize("check", store_checks(persistent=True, histories=20), ids=str)
def test_the_store_in_a_database_keeps_the_contract(check: Check, tmp_path: Path) -> None:
    def opened(space: Space, name: str = "index", **options: Any) -> SqliteStore:
        database = APSWDatabase(str(tmp_path / f"{name}.db"), pragmas={"journal_mode": "wal"})
        # An application's own tables of the same names, which it must never touch.
        for table in TABLES:
            database.execute_sql(f"create table if not exists {table} (own)")
        return SqliteStore.in_database(database, space, **options)

    check(opened)


@pytest.mark.parametrize(
    "statement", [line for step in STEPS for line in step.statements], ids=lambda line: line[:40]
)
def test_every_name_of_the_schema_is_longer(statement: str) -> None:
    made = re.match(
        r"(?:(?:create|drop|alter) (?:unique |virtual )?(?:table|index)|insert into|update) (\w+)",
        renamed(statement),
    )
    assert made is not None and made[1].startswith("semantic_index_")


@pytest.mark.parametrize(
    ("plain", "longer"),
    [
        ("select c.document from chunk as c", "select c.document from semantic_index_chunk as c"),
        ("delete from document where id = ?", "delete from semantic_index_document where id = ?"),
        ("select document.id from document",
         "select semantic_index_document.id from semantic_index_document"),
        ("update chunk set document = 1", "update semantic_index_chunk set document = 1"),
        ("select 'chunk', \"chunk\" from slot",
         "select 'chunk', \"chunk\" from semantic_index_slot"),
        ('select * from "document" as "d"', 'select * from "semantic_index_document" as "d"'),
        ("insert into words (words) values (1)",
         "insert into semantic_index_words (semantic_index_words) values (1)"),
        ("select 1 indexed by chunk_owner", "select 1 indexed by semantic_index_chunk_owner"),
        ("select doc from temp.word_count", "select doc from temp.semantic_index_word_count"),
    ],
)  # fmt: skip
def test_tables_get_longer_names_and_columns_keep_theirs(plain: str, longer: str) -> None:
    assert renamed(plain) == longer


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
        store = SqliteStore.in_database(database, space, busy_timeout=0, **options)
        database.execute_sql("BEGIN IMMEDIATE")
        return store

    check(opened)
    for database in databases:
        database.execute_sql("ROLLBACK")
        assert database.execute_sql("SELECT count(*) FROM semantic_index_document").fetchone() == (
            0,
        )
