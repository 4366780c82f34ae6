"""Rows that were there before, and an index that went astray: backfill, reindex, verify, repair."""

from __future__ import annotations

from semantic_core.orm import BaseORMAdapter, ReindexProgress
from semantic_core.testing.adapters.harness import Capability
from semantic_core.testing.adapters.keys import HALLS, PARCELS, SLUGS
from semantic_core.testing.adapters.kit import Bench, Undone, scenario
from semantic_core.testing.check import expect, fail, same
from semantic_core.types import Document, Ref


def emptied(index: BaseORMAdapter, bench: Bench) -> None:
    """Take all documents out of an index behind its back."""
    index.core.remove(*(document.ref for document in bench.held(index).values()))
    same(bench.held(index), {}, "what is held after all was removed")


@scenario()
def rows_that_were_there_before_wait_to_be_indexed(bench: Bench) -> None:
    """The first install notes the rows there are; they are counted as backfill,
    and worked off like changes.
    """
    bench.articles(1, 2, 3)
    index = bench.index()
    status = index.status()
    same((status.backfill, status.waiting), (3, 0), "rows of the backfill, and changes")
    same(sorted(bench.settled(index)), ["1", "2", "3"], "keys in the index")
    same(index.status().backfill, 0, "rows of the backfill that are left")


@scenario()
def changes_go_before_the_backfill(bench: Bench) -> None:
    """What changes while a large table is brought in is worked off first."""
    bench.articles(*range(1, 9))
    index = bench.index()
    bench.articles(50)
    index.sync(1)
    same(sorted(bench.texts(index)), ["50"], "keys after one was worked off")
    same(len(bench.settled(index)), 9, "documents in the end")


@scenario()
def reindex_reaches_every_row(bench: Bench) -> None:
    """Every page, the first, the last and a full one,
    in the order of numbers and not of their texts.
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
        same(
            sorted(map(int, bench.texts(index))),
            list(range(1, 13)),
            f"keys after a reindex with batch={batch}",
        )
        same((steps[-1].rows, steps[-1].total, steps[-1].failed), (12, 12, 0), "the last progress")
        same(sorted(step.rows for step in steps), [step.rows for step in steps], "progress of rows")
    bench.sql("DELETE FROM kit_article")
    bench.settle(index)
    same(index.reindex().added, 0, "documents added of an empty table")


@scenario()
def reindex_goes_on_where_it_was_interrupted(bench: Bench) -> None:
    """An interrupted run is resumed after its last batch; resume=False begins again."""
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
        expect(
            0 < len(bench.texts(index)) < 12,
            "expected some rows to be in after an interruption, not all.",
        )
    else:
        fail("expected the error of the progress callback to come through.")
    steps: list[ReindexProgress] = []
    index.reindex(batch=4, progress=steps.append)
    same(sorted(map(int, bench.texts(index))), list(range(1, 13)), "keys after it went on")
    expect(steps[0].rows > 4, "expected a resumed run not to begin at the first row.")
    steps.clear()
    index.reindex(batch=4, progress=steps.append)
    same(steps[-1].rows, 12, "rows of a run after one that ended well")


@scenario()
def reindex_takes_out_what_has_no_row(bench: Bench) -> None:
    """Documents without a row, and those whose row no longer qualifies,
    are gone after a reindex.
    """
    index = bench.index(condition=lambda row: not row.hidden, watch_fields=["hidden"])
    bench.articles(1, 2, hidden=False)
    bench.articles(3, hidden=True)
    bench.settle(index)
    name = index.declaration.collection
    index.core.ingest(
        Document(Ref(name, "77"), "a ghost"), Document(Ref(name, "3"), "does not qualify")
    )
    index.reindex()
    same(sorted(bench.texts(index)), ["1", "2"], "keys after a reindex")


@scenario()
def reindex_embeds_nothing_twice(bench: Bench) -> None:
    """What has not changed costs a comparison, and no call of the embedder."""
    index = bench.index()
    bench.articles(1, 2, 3)
    bench.settle(index)
    calls = bench.embedder.calls
    report = index.reindex()
    same(
        (report.unchanged, report.added, report.updated),
        (3, 0, 0),
        "unchanged, added and updated documents",
    )
    same(bench.embedder.calls, calls, "calls of the embedder")


@scenario()
def rows_may_change_while_a_reindex_runs(bench: Bench) -> None:
    """What is written, changed and deleted meanwhile is as it should be in the end."""
    index = bench.index(source_fields=["content"])
    bench.articles(*range(1, 9))
    bench.settle(index)
    todo = [
        lambda: bench.update("article", 1, content="changed behind"),
        lambda: bench.update("article", 8, content="changed ahead"),
        lambda: bench.delete("article", 7),
        lambda: bench.articles(30),
    ]

    def meanwhile(_: ReindexProgress) -> None:
        if todo:
            todo.pop(0)()

    index.reindex(batch=2, progress=meanwhile)
    wanted = {str(id): f"text {id}" for id in (*range(2, 7), 30)}
    same(bench.settled(index), {**wanted, "1": "changed behind", "8": "changed ahead"}, "the index")
    expect(index.verify().sound, "verify: expected a sound index.")


@scenario()
def verify_finds_what_differs(bench: Bench) -> None:
    """Missing, stale and ghost documents are counted and named;
    what waits to be worked off is no difference.
    """
    index = bench.index()
    bench.articles(*range(1, 7))
    bench.settle(index)
    expect(index.verify().sound, "verify: expected a sound index before anything went astray.")
    name = index.declaration.collection
    index.core.remove(Ref(name, "1"))
    index.core.ingest(
        Document(Ref(name, "2"), "something else", title="t2"), Document(Ref(name, "88"), "a ghost")
    )
    bench.update("article", 3, content="waits")
    found = index.verify()
    same(
        (found.rows, found.missing, found.stale, found.ghosts, found.waiting),
        (6, 1, 1, 1, 1),
        "what verify counts",
    )
    same(
        sorted(found.keys),
        [("ghosts", f"{name}/88"), ("missing", f"{name}/1"), ("stale", f"{name}/2")],
        "what it names",
    )
    same(
        (found.sound, bench.texts(index)["3"]),
        (False, "t3|text 3"),
        "whether it is sound, and a row that waits",
    )


@scenario()
def repair_corrects_what_verify_finds(bench: Bench) -> None:
    """After a repair the index holds what the rows say, and a second one has nothing to do."""
    index = bench.index()
    bench.articles(*range(1, 7))
    bench.settle(index)
    name = index.declaration.collection
    index.core.remove(Ref(name, "1"), Ref(name, "6"))
    index.core.ingest(
        Document(Ref(name, "2"), "something else", title="t2"), Document(Ref(name, "88"), "a ghost")
    )
    index.repair()
    same(
        bench.texts(index),
        {str(id): f"t{id}|text {id}" for id in range(1, 7)},
        "the index after a repair",
    )
    expect(index.verify().sound, "verify: expected a sound index after a repair.")
    again = index.repair()
    same((again.added, again.updated, again.removed), (0, 0, 0), "what a second repair does")


def keys_are_gone_through(bench: Bench, index: BaseORMAdapter, count: int) -> None:
    bench.settle(index)
    held = bench.texts(index)
    same(len(held), count, "documents")
    expect(index.verify().sound, "verify: expected a sound index.")
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
    for slug in SLUGS:
        bench.create("page", slug=slug, body=f"body of {slug}")
    keys_are_gone_through(bench, index, len(SLUGS))


@scenario(Capability.COMPOSITE_KEY)
def composite_keys_are_gone_through(bench: Bench) -> None:
    """Those with composite keys likewise."""
    index = bench.index("seat")
    for hall, number in HALLS:
        bench.create("seat", hall=hall, number=number, label=f"seat {number} of {hall}")
    keys_are_gone_through(bench, index, len(HALLS))


@scenario(Capability.UUID_KEY)
def uuid_keys_are_gone_through(bench: Bench) -> None:
    """Those whose key is a UUID likewise."""
    index = bench.index("parcel")
    for number, id in enumerate(PARCELS):
        bench.create("parcel", id=id, content=f"parcel {number}")
    keys_are_gone_through(bench, index, len(PARCELS))
