"""Random transaction trees: whatever is written, in blocks that commit or not,
the index ends as the rows do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, Scenario, Undone
from semantic_core.testing.check import examples, expect, same

MOST = 5
"""Ids of articles are from 1 to this, but for those that change their key."""
IDS = st.integers(1, MOST)
AUTHORS = (1, 2)
WRITES = (
    "create",
    "update",
    "delete",
    "touch",
    "hide",
    "move",
    "rename",
    "many",
    "clear",
    "sql",
    "insert",
    "rekey",
    "upsert",
)
NEEDS = {
    "many": Capability.BULK,
    "clear": Capability.BULK,
    "insert": Capability.BULK,
    "sql": Capability.SQL,
    "rekey": Capability.KEY_CHANGE,
    "rename": Capability.RELATED,
    "upsert": Capability.UPSERT,
}
"""What a kind of write needs; where it is missing, the row is updated instead."""


Step = tuple[Any, ...]
"""What happens, in plain tuples, which hypothesis shows quickly however deep they are:

("write", what, id, other): one statement: what it does, to which article, and another id it may
need.
("block", commits, steps): a transaction, or a savepoint within one.
("work", limit, meanwhile, second): a worker works off up to `limit` changes; in the middle of it
others write, and a second worker, for up to `second` changes, is faster.
"""


def trees() -> st.SearchStrategy[list[Step]]:
    """What happens, in order: writes, blocks of blocks, and workers between them."""
    writes: st.SearchStrategy[Step] = st.tuples(st.just("write"), st.sampled_from(WRITES), IDS, IDS)
    commits = st.sampled_from([True, True, False])

    def block(inner: st.SearchStrategy[Step]) -> st.SearchStrategy[Step]:
        return st.tuples(st.just("block"), commits, st.lists(inner, min_size=1, max_size=4))

    blocks = st.one_of(writes, block(st.recursive(writes, block, max_leaves=8)))
    work = st.tuples(
        st.just("work"),
        st.sampled_from([9, 1, 2, 4]),
        st.lists(blocks, min_size=1, max_size=4),
        st.sampled_from([0, 9]),
    )
    rounds = st.lists(
        st.tuples(st.lists(blocks, min_size=1, max_size=3), work), min_size=3, max_size=6
    )
    return rounds.map(lambda told: [step for steps, work in told for step in (*steps, work)])


class Story:
    """One database, and the histories that are played on it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.limits = bench.harness.limits
        self.related = Capability.RELATED not in self.limits
        self.numbers = count(1)
        self.played = self.blocks = self.undone = 0
        self.index: BaseORMAdapter = bench.index(
            source_fields=["content", "author.name"] if self.related else ["content"],
            metadata_fields=["author", "title"],
            condition=lambda row: not row.hidden,
            watch_fields=["hidden"],
        )

    def play(self, steps: Sequence[Step]) -> None:
        bench = self.bench
        bench.sql("DELETE FROM kit_article")
        bench.sql("DELETE FROM kit_author")
        for author in AUTHORS:
            bench.create("author", id=author, name=f"author {author}")
        for id in (1, 2, 3):
            self.write("create", id, id)
        bench.settle(self.index)
        for step in steps:
            self.step(step, 0)
            if step[0] == "work" and not bench.pending_changes():
                self.compare()  # nothing waits, so nothing may differ
        bench.settle(self.index)
        self.compare()
        self.played += 1

    def step(self, step: Step, depth: int) -> None:
        kind, *rest = step
        if kind == "work":
            self.work(*rest)
        elif kind == "write":
            self.write(*rest)
        elif depth and Capability.SAVEPOINTS in self.limits:
            for inner in rest[1]:
                self.step(inner, depth)
        else:
            self.block(*rest, depth=depth)

    def block(self, commits: bool, steps: Sequence[Step], *, depth: int) -> None:
        self.blocks += 1
        try:
            with self.bench.transaction():
                for inner in steps:
                    self.step(inner, depth + 1)
                if not commits:
                    self.undone += 1
                    raise Undone
        except Undone:
            return

    def work(self, limit: int, others: Sequence[Step], second: int) -> None:
        left = [True]

        def meanwhile() -> None:
            if left:
                left.clear()
                for step in others:
                    self.step(step, 0)
                if second:
                    self.index.sync(second)

        self.bench.embedder.meanwhile = meanwhile
        self.index.sync(limit)
        self.bench.embedder.meanwhile = None
        meanwhile()  # if nothing was embedded, nothing came in between

    def write(self, wanted: str, id: int, other: int) -> None:
        bench = self.bench
        article = bench.model("article")
        what = "update" if NEEDS.get(wanted) in self.limits else wanted
        there = {int(row[0]) for row in bench.sql("SELECT id FROM kit_article")}
        author = AUTHORS[other % len(AUTHORS)]
        text = f"text {next(self.numbers)}"
        new: Mapping[str, Any] = {
            "title": "new",
            "content": text,
            "hidden": False,
            "author_id": author,
        }
        if what == "rename":
            bench.update("author", author, name=f"author {text}")
        elif what == "upsert":
            bench.harness.upsert(article, id=id, **new)
        elif what == "sql":
            bench.sql(f"UPDATE kit_article SET content = '{text}' WHERE id >= {id}")  # noqa: S608 - our own text
        elif what == "insert":
            rows = [{"id": each, **new} for each in sorted({id, other} - there)]
            if rows:
                bench.harness.insert_many(article, rows)
        elif what == "many":
            bench.harness.update_many(article, [id, other], content=text)
        elif what == "clear":
            bench.harness.delete_many(article, [id, other])
        elif id not in there:
            bench.create("article", id=id, **new)
        elif what == "delete":
            bench.delete("article", id)
        elif what == "rekey":
            free = next(
                each for each in range(other, MOST + len(there) + other) if each not in there
            )
            bench.sql(f"UPDATE kit_article SET id = {free} WHERE id = {id}")  # noqa: S608 - numbers
        elif what == "hide":
            bench.update("article", id, hidden=other % 2 == 0)
        elif what == "move":
            bench.update("article", id, author_id=author if other < 5 else None)
        elif what == "touch":
            bench.update("article", id, stars=other)
        else:
            bench.update("article", id, content=text)

    def compare(self) -> None:
        """Fail unless there is no ghost, nothing missing and nothing wrong."""
        rows = self.bench.sql(
            "SELECT a.id, a.content, a.author_id, b.name FROM kit_article a "
            "LEFT JOIN kit_author b ON b.id = a.author_id WHERE NOT a.hidden"
        )
        wanted = {
            str(id): ("\n\n".join(filter(None, (content, name if self.related else None))), author)
            for id, content, author, name in rows
        }
        got = {
            key: (held.text, held.metadata.get("author"))
            for key, held in self.bench.held(self.index).items()
        }
        ghosts = sorted(got.keys() - wanted.keys())
        missing = sorted(wanted.keys() - got.keys())
        wrong = sorted(key for key in got.keys() & wanted.keys() if got[key] != wanted[key])
        same(
            {"ghosts": ghosts, "missing": missing, "wrong": wrong},
            {"ghosts": [], "missing": [], "wrong": []},
            "differences",
        )
        same(self.bench.pending_changes(), 0, "pending changes that are left")


def tree_check(trees_played: int) -> Scenario:
    """The check that plays so many trees."""

    def any_tree_of_transactions_ends_as_its_rows(bench: Bench) -> None:
        """Random trees of transactions, bulk and plain statements,
        with workers between and amidst them: no difference.
        """
        story = Story(bench)

        @examples(trees_played)
        @given(trees())
        def ends_as_its_rows(steps: list[Step]) -> None:
            story.play(steps)

        ends_as_its_rows()
        expect(story.played >= min(trees_played, 1), "no tree was played.")
        sys.stdout.write(
            f"{story.played} trees with {story.blocks} transactions, {story.undone} of them rolled "
            "back: 0 differences\n"
        )

    return Scenario(any_tree_of_transactions_ends_as_its_rows, ())
