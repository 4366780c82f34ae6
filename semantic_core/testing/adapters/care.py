"""Checks of maintenance: backfill of rows that were there before the index, reindex, verify and
repair.

Tested by tests/orm/test_adapter_kit.py and tests/orm/test_adapter_kit_bites.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from semantic_core.orm import BaseORMAdapter, ReindexProgress
from semantic_core.testing.adapters.fields import is_visible
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.keys import pages, parcels, seats
from semantic_core.testing.adapters.kit import Bench, Undone, scenario
from semantic_core.testing.check import expect, fail, same, same_fields
from semantic_core.types import Document, Ref


def emptied(index: BaseORMAdapter, bench: Bench) -> None:
    """Remove all documents of an index from its core."""
    index.core.remove(*bench.refs(index))
    same(bench.held(index), {}, "documents after all were removed")


def numbers_in(bench: Bench, index: BaseORMAdapter) -> list[int]:
    """The keys of the documents in an index as numbers, sorted."""
    return sorted(map(int, bench.texts(index)))


@scenario()
def rows_that_were_there_before_wait_to_be_indexed(bench: Bench) -> None:
    """The first install records the rows of the table. They count as backfill and are processed
    like changes.
    """
    bench.articles(1, 2, 3)
    index = bench.index()
    same_fields(index.status(), "status after install", backfill=3, waiting=0)
    same(sorted(bench.settled(index)), ["1", "2", "3"], "keys in the index")
    same_fields(index.status(), "status after a sync", backfill=0)


@scenario()
def changes_go_before_the_backfill(bench: Bench) -> None:
    """Changes during the backfill of a large table are processed first."""
    bench.articles(*range(1, 9))
    index = bench.index()
    bench.articles(50)
    index.sync(1)
    same(sorted(bench.texts(index)), ["50"], "keys after one change was processed")
    same(len(bench.settled(index)), 9, "documents in the end")


@scenario()
def reindex_reaches_every_row(bench: Bench) -> None:
    """A reindex reads every page of rows, also the first, the last and a full one, in the order of
    numbers and not of their texts.
    """
    index = bench.index(source_fields=["content"])
    with bench.transaction():
        bench.articles(*range(1, 13))
    bench.settle(index)
    for batch in (1, 4, 5, 12, 100):
        emptied(index, bench)
        steps: list[ReindexProgress] = []
        report = index.reindex(batch=batch, progress=steps.append)
        same(report.added, 12, f"documents added with batch={batch}")
        found = numbers_in(bench, index)
        same(found, list(range(1, 13)), f"keys after a reindex with batch={batch}")
        same_fields(steps[-1], "the last progress", rows=12, total=12, failed=0)
        rows = [step.rows for step in steps]
        same(rows, sorted(rows), "rows of each progress")
    bench.sql("DELETE FROM kit_article")
    bench.settle(index)
    same(index.reindex().added, 0, "documents added of an empty table")


@scenario()
def reindex_goes_on_where_it_was_interrupted(bench: Bench) -> None:
    """A reindex resumes after the last batch of an interrupted run. After a run that ended it
    begins with the first row.
    """
    index = bench.index(source_fields=["content"])
    bench.articles(*range(1, 13))
    bench.settle(index)
    emptied(index, bench)

    def interrupt(step: ReindexProgress) -> None:
        if step.rows >= 8:
            raise Undone

    try:
        index.reindex(batch=4, progress=interrupt)
    except Undone:
        size = len(bench.texts(index))
        expect(
            0 < size < 12,
            f"documents after an interrupted reindex: expected 1 to 11, found {size}.",
        )
    else:
        fail("reindex: expected the error of the progress callback, found no error.")
    steps: list[ReindexProgress] = []
    index.reindex(batch=4, progress=steps.append)
    same(numbers_in(bench, index), list(range(1, 13)), "keys after the resumed run")
    first = steps[0].rows
    expect(first > 4, f"rows of the first progress of a resumed run: expected > 4, found {first}.")
    steps.clear()
    index.reindex(batch=4, progress=steps.append)
    same(steps[-1].rows, 12, "rows of a run after one that ended")


@scenario()
def reindex_takes_out_what_has_no_row(bench: Bench) -> None:
    """A reindex removes documents without a row, and documents whose row does not meet the
    condition.
    """
    index = bench.index(condition=is_visible, watch_fields=["hidden"])
    bench.articles(1, 2, hidden=False)
    bench.articles(3, hidden=True)
    bench.settle(index)
    name = index.declaration.collection
    ghost = Document(Ref(name, "77"), "a ghost")
    index.core.ingest(ghost, Document(Ref(name, "3"), "does not qualify"))
    index.reindex()
    same(sorted(bench.texts(index)), ["1", "2"], "keys after a reindex")


@scenario()
def reindex_embeds_nothing_twice(bench: Bench) -> None:
    """A reindex does not embed documents that have not changed."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    calls = bench.embedder.calls
    report = index.reindex()
    same_fields(report, "report of the reindex", unchanged=3, added=0, updated=0)
    same(bench.embedder.calls, calls, "calls of the embedder")


@scenario()
def rows_may_change_while_a_reindex_runs(bench: Bench) -> None:
    """Rows that are written, changed and deleted during a reindex are in the index as they are in
    the table.
    """
    index = bench.index(source_fields=["content"])
    bench.articles(*range(1, 9))
    bench.settle(index)
    changes: list[Callable[[], object]] = [
        partial(bench.update, "article", 1, content="changed behind"),
        partial(bench.update, "article", 8, content="changed ahead"),
        partial(bench.delete, "article", 7),
        partial(bench.articles, 30),
    ]

    def meanwhile(_: ReindexProgress) -> None:
        if changes:
            changes.pop(0)()

    index.reindex(batch=2, progress=meanwhile)
    wanted = {"1": "changed behind", "8": "changed ahead"}
    for id in (*range(2, 7), 30):
        wanted[str(id)] = f"text {id}"
    same(bench.settled(index), wanted, "the index")
    bench.is_sound(index)


@scenario()
def verify_finds_what_differs(bench: Bench) -> None:
    """`verify` counts and names missing, stale and ghost documents. A pending change is no
    difference.
    """
    index = bench.index()
    bench.articles(*range(1, 7))
    bench.settle(index)
    bench.is_sound(index, "verify before any difference")
    name = index.declaration.collection
    index.core.remove(Ref(name, "1"))
    index.core.ingest(*wrong_documents(name))
    bench.update("article", 3, content="pending")
    found = index.verify()
    same_fields(found, "verify", rows=6, missing=1, stale=1, ghosts=1, waiting=1, sound=False)
    wanted = [("ghosts", f"{name}/88"), ("missing", f"{name}/1"), ("stale", f"{name}/2")]
    same(sorted(found.keys), wanted, "verify: keys")
    same(bench.texts(index)["3"], "t3|text 3", "the document of a row with a pending change")


def wrong_documents(collection: str) -> tuple[Document, Document]:
    """A document that differs from its row, and one without a row."""
    stale = Document(Ref(collection, "2"), "something else", title="t2")
    return stale, Document(Ref(collection, "88"), "a ghost")


@scenario()
def repair_corrects_what_verify_finds(bench: Bench) -> None:
    """After a repair the index agrees with the rows, and a second repair changes nothing."""
    index = bench.index()
    bench.articles(*range(1, 7))
    bench.settle(index)
    name = index.declaration.collection
    index.core.remove(Ref(name, "1"), Ref(name, "6"))
    index.core.ingest(*wrong_documents(name))
    index.repair()
    wanted = {str(id): f"t{id}|text {id}" for id in range(1, 7)}
    same(bench.texts(index), wanted, "the index after a repair")
    bench.is_sound(index, "verify after a repair")
    again = index.repair()
    same_fields(again, "report of a second repair", added=0, updated=0, removed=0)


def keys_are_gone_through(bench: Bench, index: BaseORMAdapter, count: int) -> None:
    """Fail unless reindex, verify and repair reach `count` rows, each of them once."""
    bench.settle(index)
    held = bench.texts(index)
    same(len(held), count, "documents")
    bench.is_sound(index)
    for batch in (2, 3, 100):
        emptied(index, bench)
        same(index.verify().missing, count, "missing documents of an emptied index")
        index.reindex(batch=batch)
        same(bench.texts(index), held, f"the index after a reindex with batch={batch}")
    emptied(index, bench)
    index.repair()
    same(bench.texts(index), held, "the index after a repair")


@scenario(Capability.TEXT_KEY)
def text_keys_are_gone_through(bench: Bench) -> None:
    """Reindex, verify and repair reach rows with text keys, each of them once."""
    index = bench.index("page")
    texts = pages(bench)
    keys_are_gone_through(bench, index, len(texts))


@scenario(Capability.COMPOSITE_KEY)
def composite_keys_are_gone_through(bench: Bench) -> None:
    """Reindex, verify and repair reach rows with composite keys, each of them once."""
    index = bench.index("seat")
    labels = seats(bench)
    keys_are_gone_through(bench, index, len(labels))


@scenario(Capability.UUID_KEY)
def uuid_keys_are_gone_through(bench: Bench) -> None:
    """Reindex, verify and repair reach rows whose key is a UUID, each of them once."""
    index = bench.index("parcel")
    texts = parcels(bench)
    keys_are_gone_through(bench, index, len(texts))
