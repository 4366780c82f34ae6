"""A check with random trees of transactions: whatever is written, in blocks that commit or roll
back, the index agrees with the rows in the end.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from semantic_core.orm import BaseORMAdapter
from semantic_core.testing.adapters.fields import is_visible
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.kit import Bench, Scenario, Undone
from semantic_core.testing.check import examples, expect, same

MOST = 5
"""Ids of articles are from 1 to this number; a changed key may be larger."""
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
"""The capability that a kind of write needs. Without it the row is updated instead."""
PAST_THE_ORM = ("sql", "rekey")
"""The kinds of writes that change rows behind the back of an ORM that holds them (MIXED_SQL)."""


Step = tuple[Any, ...]
"""What happens, as plain tuples, which Hypothesis prints quickly however deep they are:

("write", what, id, other): one statement. what: its kind; id: of the article; other: another id
that some statements need.
("block", commits, steps): a transaction, or a savepoint within one.
("work", limit, meanwhile, second): a worker processes up to `limit` changes. In the middle of it
the steps `meanwhile` happen, and a second worker processes up to `second` changes.
"""


def trees() -> st.SearchStrategy[list[Step]]:
    """Random steps: writes, nested blocks, and workers between them."""
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
    return rounds.map(_flat)


def _flat(rounds: Sequence[tuple[Sequence[Step], Step]]) -> list[Step]:
    """The steps of all rounds, each followed by its worker."""
    flat: list[Step] = []
    for steps, work in rounds:
        flat += [*steps, work]
    return flat


class Story:
    """One database, and the histories that are played on it. played, blocks, undone: numbers of
    histories, of transactions, and of transactions that were rolled back.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.limits = bench.harness.limits
        self.related = Capability.RELATED not in self.limits
        self.numbers = count(1)
        self.played = 0
        self.blocks = 0
        self.undone = 0
        self.index: BaseORMAdapter = bench.index(
            source_fields=["content", "author.name"] if self.related else ["content"],
            metadata_fields=["author", "title"],
            condition=is_visible,
            watch_fields=["hidden"],
        )

    def play(self, steps: Sequence[Step]) -> None:
        """Play one history on fresh rows, and compare whenever no change is pending."""
        bench = self.bench
        bench.sql("DELETE FROM kit_article")
        bench.sql("DELETE FROM kit_author")
        for author in AUTHORS:
            bench.create("author", id=author, name=f"author {author}")
        for id in (1, 2, 3):
            self.write("create", id, id, depth=0)
        bench.settle(self.index)
        for step in steps:
            self.step(step, 0)
            if step[0] == "work" and not bench.pending_changes():
                self.compare()  # nothing is pending, so nothing may differ
        bench.settle(self.index)
        self.compare()
        self.played += 1

    def step(self, step: Step, depth: int) -> None:
        """Do one step. depth: number of transactions around it."""
        kind, *rest = step
        if kind == "work":
            self.work(*rest)
        elif kind == "write":
            self.write(*rest, depth=depth)
        elif depth and Capability.SAVEPOINTS in self.limits:
            for inner in rest[1]:
                self.step(inner, depth)
        else:
            self.block(*rest, depth=depth)

    def block(self, commits: bool, steps: Sequence[Step], *, depth: int) -> None:
        """Do these steps in a transaction or savepoint that commits or rolls back."""
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
        """Let a worker process up to `limit` changes while other steps happen; see `Step`."""
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
        meanwhile()  # without a call of the embedder it was not called yet

    def write(self, wanted: str, id: int, other: int, *, depth: int) -> None:
        """Write with one statement of this kind, or update the row where that is not possible.
        depth: number of transactions around it.
        """
        bench = self.bench
        article = bench.model("article")
        mixed = depth > 0 and wanted in PAST_THE_ORM and Capability.MIXED_SQL in self.limits
        what = "update" if mixed or NEEDS.get(wanted) in self.limits else wanted
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
            free = other
            while free in there:
                free += 1
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
        """Fail unless every visible row has its document and there is no other."""
        rows = self.bench.sql(
            "SELECT a.id, a.content, a.author_id, b.name FROM kit_article a "
            "LEFT JOIN kit_author b ON b.id = a.author_id WHERE NOT a.hidden"
        )
        wanted: dict[str, tuple[str, object]] = {}
        for id, content, author, name in rows:
            parts = [content, name] if self.related else [content]
            text = "\n\n".join(filter(None, parts))
            wanted[str(id)] = (text, author)
        found: dict[str, tuple[str, object]] = {}
        for key, document in self.bench.held(self.index).items():
            found[key] = (document.text, document.metadata.get("author"))
        same(sorted(found.keys() - wanted.keys()), [], "keys of documents without a row")
        same(sorted(wanted.keys() - found.keys()), [], "keys of rows without a document")
        for key, document_of_row in wanted.items():
            same(found[key], document_of_row, f"text and author of the document {key}")
        same(self.bench.pending_changes(), 0, "pending changes that are left")


def tree_check(trees_played: int) -> Scenario:
    """The check that plays this number of trees. It prints how many there were."""

    def any_tree_of_transactions_ends_as_its_rows(bench: Bench) -> None:
        """After random trees of transactions, with bulk statements and plain SQL, and with workers
        between and within them, the index agrees with the rows.
        """
        story = Story(bench)

        @examples(trees_played)
        @given(trees())
        def ends_as_its_rows(steps: list[Step]) -> None:
            story.play(steps)

        ends_as_its_rows()
        expect(story.played >= min(trees_played, 1), "expected one tree at least, found none.")
        sys.stdout.write(
            f"{story.played} trees with {story.blocks} transactions, {story.undone} of them rolled "
            "back: 0 differences\n"
        )

    return Scenario(any_tree_of_transactions_ends_as_its_rows, ())
