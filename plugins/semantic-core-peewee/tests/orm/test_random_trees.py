"""Random trees of transactions: whatever happened, the index holds the rows that are committed,
and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peewee
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from playhouse.apsw_ext import APSWDatabase
from semantic_core_peewee import PeeweeAdapter, SemanticIndex, init_database

from semantic_core import SemanticCore
from semantic_core.orm import bind_declared
from semantic_core.testing import HashEmbedder

SOAK = int(os.environ.get("SEMANTIC_CORE_SOAK", "1"))
KEYS = st.integers(1, 6)
WORDS = st.sampled_from(["apple", "pear", "plum", "fig"])

step = st.one_of(
    st.tuples(st.just("create"), KEYS, WORDS),
    st.tuples(st.just("save"), KEYS, WORDS),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("insert_many"), st.lists(KEYS, min_size=1, max_size=4, unique=True), WORDS),
    st.tuples(st.just("update"), WORDS, WORDS),
    st.tuples(st.just("delete_all"), WORDS),
    st.tuples(st.just("rename"), KEYS, WORDS),
    st.tuples(st.just("move"), KEYS, KEYS),
    st.tuples(st.just("raw"), KEYS, WORDS),
    st.tuples(st.just("search"), WORDS),
)
tree = st.recursive(
    step,
    lambda inner: st.tuples(
        st.sampled_from(
            ["block", "block that fails", "block rolled back", "block committed half-way"]
        ),
        st.lists(inner, max_size=5),
    ),
    max_leaves=12,
)


class Oops(Exception):
    """What makes a block fail."""


class World:
    """A database with owners and things, and an index of the things."""

    def __init__(self, db: Any, core: SemanticCore | None) -> None:
        self.db = db

        class Owner(peewee.Model):
            name = peewee.CharField()

            class Meta:
                database = db

        class Thing(peewee.Model):
            word = peewee.CharField()
            owner = peewee.ForeignKeyField(Owner, null=True, on_delete="SET NULL")
            search = SemanticIndex(["word"], metadata_fields=["owner.name"], sync="inline")

            class Meta:
                database = db

        self.Owner, self.Thing = Owner, Thing
        db.create_tables([Owner, Thing])
        if core is None:
            self.core = init_database(
                db,
                same_file=True,
                embedder=HashEmbedder(dimensions=16),
                plugins=["peewee", "sqlite"],
            )
        else:
            self.core = core
            bind_declared(PeeweeAdapter, core, database=db)

    def clear(self) -> None:
        self.Thing.delete().execute()
        self.Owner.delete().execute()
        self.Owner.insert_many([{"id": key, "name": "nobody"} for key in (1, 2)]).execute()

    def play(self, node: Any) -> None:
        kind, *rest = node
        if kind == "block":
            with self.db.atomic():
                self.play_all(rest[0])
        elif kind == "block that fails":
            with pytest.raises(Oops), self.db.atomic():
                self.play_all(rest[0])
                raise Oops
        elif kind == "block rolled back":
            with self.db.atomic() as block:
                self.play_all(rest[0])
                block.rollback()
        elif kind == "block committed half-way":
            with pytest.raises(Oops), self.db.atomic() as block:
                self.play_all(rest[0][: len(rest[0]) // 2])
                block.commit()
                self.play_all(rest[0][len(rest[0]) // 2 :])
                raise Oops
        else:
            getattr(self, kind)(*rest)

    def play_all(self, nodes: Any) -> None:
        for node in nodes:
            self.play(node)

    def create(self, key: int, word: str) -> None:
        if self.Thing.get_or_none(self.Thing.id == key) is None:
            self.Thing.create(id=key, word=word, owner=1 + key % 2)

    def save(self, key: int, word: str) -> None:
        row = self.Thing.get_or_none(self.Thing.id == key)
        if row is not None:
            row.word = word
            row.save()

    def delete(self, key: int) -> None:
        row = self.Thing.get_or_none(self.Thing.id == key)
        if row is not None:
            row.delete_instance()

    def insert_many(self, keys: list[int], word: str) -> None:
        there = {row.id for row in self.Thing.select(self.Thing.id)}
        rows = [{"id": key, "word": word} for key in keys if key not in there]
        if rows:
            self.Thing.insert_many(rows).execute()

    def update(self, old: str, new: str) -> None:
        self.Thing.update(word=new).where(self.Thing.word == old).execute()

    def delete_all(self, word: str) -> None:
        self.Thing.delete().where(self.Thing.word == word).execute()

    def rename(self, key: int, word: str) -> None:
        self.Owner.update(name=word).where(self.Owner.id == 1 + key % 2).execute()

    def move(self, old: int, new: int) -> None:
        if self.Thing.get_or_none(self.Thing.id == new) is None:
            self.Thing.update(id=new).where(self.Thing.id == old).execute()

    def raw(self, key: int, word: str) -> None:
        mark = self.db.param
        self.db.execute_sql(f"UPDATE thing SET word = {mark} WHERE id = {mark}", (word, key))

    def search(self, word: str) -> None:
        rows = self.Thing.search(word, limit=20)
        assert all(self.Thing.get_or_none(self.Thing.id == row.id) is not None for row in rows)
        if self.Thing.search.same_transaction:
            wanted = {row.id for row in self.Thing.select().where(self.Thing.word == word)}
            assert {row.id for row in self.Thing.search(word, limit=20, mode="text")} == wanted

    def assert_right(self) -> None:
        rows = {
            (str(row.id), row.word, row.owner and row.owner.name)
            for row in self.Thing.select(self.Thing, self.Owner).join(
                self.Owner, peewee.JOIN.LEFT_OUTER
            )
        }
        held = set()
        for summary in self.core.documents(limit=100):
            document = self.core.get(summary.ref)
            assert document is not None
            held.add((document.ref.key, document.text, document.metadata.get("owner.name")))
        assert held == rows
        assert self.db.execute_sql("SELECT count(*) FROM semantic_outbox").fetchone()[0] == 0


def run(world: World, examples: int) -> None:
    @settings(
        max_examples=examples * SOAK,
        deadline=None,
        derandomize=SOAK == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(st.lists(tree, min_size=1, max_size=8))
    def trees(nodes: Any) -> None:
        world.clear()
        world.play_all(nodes)
        world.assert_right()

    trees()


@pytest.mark.slow
def test_an_index_of_its_own_ends_as_the_rows_do(
    open_database: Callable[..., Any], core: Any
) -> None:
    run(World(open_database("apsw"), core), 40)


@pytest.mark.slow
def test_an_index_in_the_same_file_ends_as_the_rows_do(tmp_path: Path) -> None:
    db = APSWDatabase(
        str(tmp_path / "app.db"),
        pragmas={"journal_mode": "wal", "synchronous": "off", "foreign_keys": 1},
    )
    world = World(db, None)
    try:
        run(world, 40)
        assert world.core.store.check() == []
    finally:
        world.core.close()
        db.close()
