"""Permissions on a model: a search says who asks, and maintenance sees every row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import SemanticIndex, init_database

from semantic_core.errors import AccessRefused
from semantic_core.permissions import Permissions
from semantic_core.testing import HashEmbedder

PRAGMAS = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": "off"}


@pytest.fixture(params=["same file", "own file"])
def notes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    db = APSWDatabase(str(tmp_path / "app.db"), pragmas=PRAGMAS, timeout=10)

    class Note(peewee.Model):
        title = peewee.CharField()
        owner = peewee.CharField()
        search = SemanticIndex(["title"], metadata_fields=["owner"])

        class Meta:
            database = db

    db.create_tables([Note])
    core = init_database(
        db,
        same_file=request.param == "same file",
        embedder=HashEmbedder(),
        plugins=["peewee", "sqlite", Permissions(rule=lambda context: {"owner": context["user"]})],
    )
    rows = [{"title": f"beans {n}", "owner": "ann" if n % 20 == 0 else "bob"} for n in range(200)]
    Note.insert_many(rows).execute()
    yield Note
    core.close()
    db.close()


def test_each_user_finds_their_rows_before_the_limit(notes: Any) -> None:
    for user, count in (("ann", 10), ("bob", 10), ("cy", 0)):
        found = notes.search("beans 7", limit=10, context={"user": user})
        assert [row.owner for row in found] == [user] * count
        assert not found.degraded


def test_a_search_that_does_not_say_who_asks_finds_nothing(notes: Any) -> None:
    with pytest.raises(AccessRefused, match="does not say who asks"):
        notes.search("beans")


def test_maintenance_sees_every_row(notes: Any) -> None:
    assert notes.search.verify().sound
    notes.update(title="peas").where(notes.owner == "bob").execute()
    assert notes.search.verify().sound
    assert len(notes.search("peas", limit=300, context={"user": "bob"})) == 190
    notes.delete().where(notes.owner == "ann").execute()
    assert notes.search.reindex().complete
    assert notes.search.verify().sound and notes.search.repair().complete
