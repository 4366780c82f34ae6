"""No silent difference: whatever happens to a database and its indexes, an answer is right,
or says that it may not be.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import peewee
import pytest
from playhouse import db_url
from semantic_core_peewee import PeeweeAdapter, init_database

from semantic_core import SemanticCore
from semantic_core.orm import SemanticIndex
from semantic_core.orm.agreement import Agreement

sys.path.insert(0, str(Path(__file__).parents[4] / "tests" / "orm"))
sys.path.insert(0, str(Path(__file__).parents[1] / "trust"))
from databases import POSTGRES, Database, postgres_options
from figures import record
from history_world import Application, play, told


class PeeweeApplication(Application):
    """Peewee, with a model of its own in each process."""

    def open(self, database: Database, core: SemanticCore) -> PeeweeAdapter:
        if database.kind == "sqlite3":
            self.db: Any = peewee.SqliteDatabase(database.address, timeout=5)
        else:
            self.db = db_url.connect(POSTGRES, options=postgres_options(database.address))

        class Note(peewee.Model):
            body = peewee.TextField()
            tag = peewee.TextField(default="")
            search = SemanticIndex(["body"], sync="manual", core=None)

            class Meta:
                database = self.db
                table_name = self.table

        self.Note: Any = Note
        self.db.create_tables([Note])
        init_database(self.db, core, install=False)
        return Note.search

    def close(self) -> None:
        self.db.close()

    def save(self, id: int, body: str) -> None:
        row = self.Note.get_or_none(self.Note.id == id)
        if row is None:
            self.Note.create(id=id, body=body)
        else:
            row.body = body
            row.save()

    def delete(self, id: int) -> None:
        self.Note.delete().where(self.Note.id == id).execute()

    def save_many(self, bodies: Mapping[int, str]) -> None:
        insert = self.Note.insert_many([{"id": id, "body": body} for id, body in bodies.items()])
        if isinstance(self.db, peewee.SqliteDatabase):
            insert.on_conflict_replace().execute()
        else:
            insert.on_conflict(conflict_target=["id"], preserve=["body"]).execute()

    def run(self, sql: str) -> None:
        self.db.execute_sql(sql)

    def tag(self, id: int, text: str) -> None:
        self.Note.update(tag=text).where(self.Note.id == id).execute()

    def roll_back(self, body: str) -> None:
        with suppress(ZeroDivisionError), self.db.atomic():
            self.Note.update(body=body).execute()
            _ = 1 // 0

    def rows(self) -> dict[str, str]:
        return {str(note.id): note.body for note in self.Note.select()}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_history_ends_in_a_silent_difference(part: int) -> None:
    record(f"histories_{part}", **play("sqlite3", PeeweeApplication, 200, part))


@pytest.mark.slow
def test_no_history_ends_in_a_silent_difference_on_postgresql() -> None:
    record("histories_server", **play("postgresql", PeeweeApplication, 40))


@pytest.mark.parametrize(
    "history",
    [
        [("write", "a", "save", 1), ("sync", "a", None), ("back_up",), ("write", "a", "save", 1),
         ("sync", "a", None),
         ("restore", 0, False)],
        [("write", "a", "save", 1), ("sync", "a", None), ("back_up_index", "a"),
         ("write", "a", "save", 1),
         ("sync", "a", None), ("restore_index", "a", "a")],
    ],
    ids=["database restored", "index restored"],
)  # fmt: skip
def test_histories_find_an_index_that_is_never_compared_with_its_outbox(
    history: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(agreement: Agreement) -> str:
        """Register an index that the outbox does not know, and ask nothing else."""
        agreement._outbox_id, known, agreement.others = agreement.consumers.lookup(
            agreement.consumer
        )
        if known is None:
            position = agreement.position
            location = agreement.index.location
            agreement.consumers.register(
                agreement.consumer, location, position.writes, position.mark
            )
        return ""

    assert told("sqlite3", PeeweeApplication, history) == []
    monkeypatch.setattr(Agreement, "check", blind)
    assert "silent" in told("sqlite3", PeeweeApplication, history)[0]


def test_a_copy_of_an_index_notices_what_only_the_original_was_told() -> None:
    """Triggers were gone; one of two copies of an index, the first to start,
    is told to compare all rows.
    """
    history: list[tuple[Any, ...]] = [
        ("write", "a", "save", 1),
        ("sync", "a", None),
        ("sync", "b", None),
        ("back_up_index", "b"),
        ("migrate",),
        ("back_up",),
        ("restore_index", "b", "c"),
        ("restore_index", "b", "a"),
        ("write", "a", "save", 4),
        ("lose_index", "b"),
        ("leave", "a"),
        ("restore", 0, False),
    ]
    assert told("sqlite3", PeeweeApplication, history) == []
