"""Checks of what writing does: replace, remove, stamps, and errors that change nothing.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import attrs
import numpy as np

from semantic_core.errors import VectorInvalid
from semantic_core.testing.check import Check, expect, fail, raises, same, same_fields
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    axis,
    chunks_in,
    contents,
    exact,
    exact_chunks,
    fingerprint_of,
    item,
    numbered,
    put,
    vector_of,
)
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref

ONES = [1.0] * (SPACE.dimensions - 1)
BAD_VECTORS: dict[str, Any] = {
    "too short": np.ones(SPACE.dimensions - 1, dtype=np.float32),
    "too long": np.ones(SPACE.dimensions + 1, dtype=np.float32),
    "of two rows": np.ones((2, SPACE.dimensions), dtype=np.float32),
    "with NaN": np.array([np.nan, *ONES], dtype=np.float32),
    "with infinity": np.array([np.inf, *ONES], dtype=np.float32),
    "of zeros": np.zeros(SPACE.dimensions, dtype=np.float32),
    "of length 1e-23": np.full(SPACE.dimensions, 1e-23, dtype=np.float32),
}
"""Vectors that a store must not accept, by what is wrong with them."""


@Check
def replace_leaves_nothing_behind(open_store: OpenStore) -> None:
    """A new version with fewer chunks replaces all of the old one: no old chunk, vector or
    fingerprint is left.
    """
    old = item("1", *numbered("old passage", 6), vectors=[axis(0)] * 6)
    new = item("1", "new passage", vectors=[axis(1)])
    beside = item("2", "beside it", vectors=[axis(2)])
    with closing(open_store(SPACE)) as store:
        put(store, old, beside)
        same(put(store, new), ["updated"], "outcome of a new version")
        same(chunks_in(store, old.ids), new.chunks, "chunks after the new version")
        nearest = store.nearest(axis(0), 100, EVERYTHING)
        same(set(nearest.ids), {*new.ids, *beside.ids}, "chunks found by nearest")
        best = max(nearest.scores)
        expect(best < 0.5, f"nearest: a score of {best} shows that an old vector is still there.")
        known = store.known(old.fingerprints)
        same(set(known), set(), "known fingerprints of the old version")
        gone = store.similarity(old.ids[1:], axis(0))
        expect(
            np.isnan(gone).all(),
            f"similarity of chunks that the new version does not have: expected NaN, found {gone}.",
        )
        same(store.stats().chunks, 2, "number of chunks")
        put(store, Item(beside.document, []))
        same(store.fetch(beside.ids), [], "chunks of a document that has none any more")
        same(store.documents(EVERYTHING).total, 2, "documents, one of which has no chunks")


@Check
def the_same_call_twice_changes_nothing(open_store: OpenStore) -> None:
    """The second of two equal writes has the outcome "unchanged". It changes nothing, not even the
    times.
    """
    items = [item("1", "one passage", "another one"), item("2", "waiting passage", vectors=False)]
    with closing(open_store(SPACE)) as store:
        same(put(store, *items), ["added", "added"], "outcomes of the first write")
        before = contents(store, *items)
        same(put(store, *items), ["unchanged", "unchanged"], "outcomes of the second write")
        same(contents(store, *items), before, "contents of the store after the second write")


@Check
def every_change_is_seen(open_store: OpenStore) -> None:
    """A difference in any field of document, chunk or entry is an update. ``1``, ``1.0`` and
    ``True`` are different values.
    """
    ref = Ref("notes", "1")
    fields: dict[str, Any] = {"ref": ref, "text": "one one", "metadata": {"n": 1}}
    base = Document(**fields)
    chunk = Chunk(ChunkId(ref, 0), "one", 0, 3)
    entry = Entry(chunk, "one", fingerprint_of("one"), vector_of("one"))

    def document(**changes: Any) -> Item:
        return Item(Document(**{**fields, **changes}), [entry])

    def chunked(**changes: Any) -> Item:
        return Item(base, [attrs.evolve(entry, chunk=attrs.evolve(chunk, **changes))])

    titled = "Title one"
    another = Entry(chunk, titled, fingerprint_of(titled), vector_of(titled))
    second = attrs.evolve(chunk, id=ChunkId(ref, 1), start=4, end=7)
    versions = {
        "text": document(text="one one "),
        "title": document(title="Title"),
        "media_type": document(media_type="text/markdown"),
        "language": document(language="en"),
        "metadata 1 -> 1.0": document(metadata={"n": 1.0}),
        "metadata 1 -> True": document(metadata={"n": True}),
        'metadata 1 -> "1"': document(metadata={"n": "1"}),
        "a metadata key": document(metadata={"n": 1, "m": 1}),
        "kind": chunked(kind="code"),
        "headings": chunked(headings=("Heading",)),
        "offsets": chunked(start=4, end=7),
        "chunk metadata": chunked(metadata={"language": "python"}),
        "passage": Item(base, [another]),
        "one chunk less": Item(base, []),
        "one chunk more": Item(base, [entry, attrs.evolve(entry, chunk=second)]),
    }
    ids = [chunk.id, second.id]
    with closing(open_store(SPACE)) as store:
        for what, version in versions.items():
            put(store, Item(base, [entry]))
            same(put(store, version), ["updated"], f"outcome of a change of {what}")
            found = exact(store.get(ref))
            same(found, exact(version.document), f"document after a change of {what}")
            chunks = exact_chunks(chunks_in(store, ids))
            same(chunks, exact_chunks(version.chunks), f"chunks after a change of {what}")
            same(put(store, version), ["unchanged"], f"outcome of the same change of {what} again")


@Check
def the_later_of_two_in_a_batch_wins(open_store: OpenStore) -> None:
    """If a batch has a document twice, the later version is stored. Outcomes are in the order of
    the batch.
    """
    first = item("1", "first version", "its tail")
    later = item("1", "later version")
    other = item("2", "other document")
    with closing(open_store(SPACE)) as store:
        report = store.replace([other, first, later])
        same(report.outcomes[0], (other.ref, "added"), "outcome of the first document")
        same(report.outcomes[-1][0], later.ref, "document of the last outcome")
        same(exact(store.get(later.ref)), exact(later.document), "the document given twice")
        same(chunks_in(store, first.ids), later.chunks, "chunks of the document given twice")
        outcomes = put(store, item("3", "new one"), other, item("1", "third"))
        same(outcomes, ["added", "unchanged", "updated"], "outcomes in order")
        same(store.replace([]).outcomes, (), "outcomes of an empty batch")


@Check
def a_write_that_raises_changes_nothing(open_store: OpenStore) -> None:
    """If the last document has an invalid vector, or the iterable of documents raises half-way,
    nothing of the batch is stored.
    """
    before_it = item("1", "first passage")
    update = item("1", "its update")
    new = item("2", "new document")
    bad_vectors = [axis(0), BAD_VECTORS["of zeros"]]
    poison = item("3", "good passage", "bad passage", vectors=bad_vectors)
    items = [before_it, update, new, poison]

    class StoppedWriting(Exception):
        """Raised by the iterable, not by the store."""

    def source() -> Iterator[Item]:
        yield update
        yield new
        raise StoppedWriting

    def refs() -> Iterator[Ref]:
        yield before_it.ref
        raise StoppedWriting

    with closing(open_store(SPACE)) as store:
        put(store, before_it)
        before = contents(store, *items)
        with raises(VectorInvalid, "a vector of zeros in the last document"):
            store.replace([update, new, poison])
        same(contents(store, *items), before, "contents after an invalid vector")
        interruptions = (("replace", store.replace, source), ("remove", store.remove, refs))
        for what, write, interrupted in interruptions:
            try:
                write(interrupted())
            except StoppedWriting:
                same(contents(store, *items), before, f"contents after an interrupted {what}")
            else:
                fail(f"{what}: expected the error of the iterable, found no error.")
        same(put(store, update, new), ["updated", "added"], "outcomes of the next write")


@Check
def vectors_that_mean_nothing_are_refused(open_store: OpenStore) -> None:
    """A vector of the wrong size, with NaN or infinity, or with a length of nearly zero raises
    VectorInvalid, in an entry and in a query.
    """
    with closing(open_store(SPACE)) as store:
        put(store, item("1", "a passage"))
        for what, bad in BAD_VECTORS.items():
            with raises(VectorInvalid, f"replace with a vector {what}"):
                put(store, item("2", "another passage", vectors=[bad]))
            same(store.get(Ref("notes", "2")), None, f"the document with a vector {what}")
            with raises(VectorInvalid, f"nearest to a vector {what}"):
                store.nearest(bad, 10, EVERYTHING)
            with raises(VectorInvalid, f"similarity to a vector {what}"):
                store.similarity([ChunkId(Ref("notes", "1"), 0)], bad)


@Check
def removed_is_removed(open_store: OpenStore) -> None:
    """After `remove` there is no document, chunk, vector or count of it. `remove` returns the
    number of documents that there were.
    """
    gone = item("1", "going away", "its tail")
    stays = item("2", "staying here")
    with closing(open_store(SPACE)) as store:
        put(store, gone, stays)
        same(store.remove([gone.ref, Ref("notes", "never"), gone.ref]), 1, "documents removed")
        same(store.remove([gone.ref]), 0, "documents removed the second time")
        same(store.remove([]), 0, "documents removed of none")
        same(store.get(gone.ref), None, "get of the removed document")
        same(store.fetch(gone.ids), [], "fetch of its chunks")
        same(set(store.known(gone.fingerprints)), set(), "known fingerprints of it")
        similarity = store.similarity(gone.ids, axis(0))
        expect(
            np.isnan(similarity).all(),
            f"similarity of removed chunks: expected NaN, found {similarity}.",
        )
        nearest = store.nearest(vector_of("going away"), 10, EVERYTHING)
        same(nearest.ids, tuple(stays.ids), "chunks found by nearest")
        same_fields(store.stats(), "stats", documents=1, chunks=1)
        same(store.documents(EVERYTHING).total, 1, "total of documents")
        same(exact(store.get(stays.ref)), exact(stays.document), "the document that stays")
        same(put(store, gone), ["added"], "outcome of adding it again")


@Check
def older_changes_are_left_alone(open_store: OpenStore) -> None:
    """Every document has a stamp of its own. A write with an older stamp is "stale", one with an
    equal stamp applies. A write without a stamp always applies and does not change the stamp.
    """
    versions = [item("1", text) for text in numbered("version", 6)]
    ref = versions[0].ref
    other = item("2", "other document")

    def stands(store: Any, number: int, what: str) -> None:
        version = versions[number]
        same(exact(store.get(ref)), exact(version.document), f"document after {what}")
        same(chunks_in(store, version.ids), version.chunks, f"chunks after {what}")

    def written(store: Any, number: int, stamp: int) -> list[str]:
        return put(store, versions[number], stamps={ref: stamp})

    with closing(open_store(SPACE)) as store:
        outcomes = put(store, versions[0], other, stamps={ref: 5})
        same(outcomes, ["added", "added"], "outcomes of stamp 5")
        outcomes = put(store, versions[1], other, stamps={ref: 4, other.ref: 1})
        same(outcomes, ["stale", "unchanged"], "outcomes of stamp 4")
        stands(store, 0, "an older stamp")
        same(written(store, 2, 5), ["updated"], "outcome of an equal stamp")
        same(put(store, versions[3]), ["updated"], "outcome without a stamp")
        same(written(store, 4, 4), ["stale"], "outcome of stamp 4 after a write without a stamp")
        stands(store, 3, "a stale write")
        same(written(store, 3, 9), ["unchanged"], "outcome of the same with stamp 9")
        same(written(store, 4, 8), ["stale"], "outcome of stamp 8 after an unchanged write with 9")
        same(store.remove([ref], stamps={ref: 8}), 0, "documents removed by an older stamp")
        stands(store, 3, "a stale removal")
        same(written(store, 5, 10**18), ["updated"], "outcome of a stamp in nanoseconds")


@Check
def a_removal_is_remembered(open_store: OpenStore) -> None:
    """A document that is older than the stamp of a removal is "stale", even if there was nothing to
    remove.
    """
    late = [item("there", "late passage"), item("never", "another late passage")]
    refs = [late[0].ref, late[1].ref]

    def written(store: Any, stamp: int) -> list[str]:
        return put(store, *late, stamps=dict.fromkeys(refs, stamp))

    with closing(open_store(SPACE)) as store:
        put(store, late[0], stamps={refs[0]: 3})
        same(store.remove(refs, stamps=dict.fromkeys(refs, 7)), 1, "documents removed")
        same(written(store, 6), ["stale", "stale"], "outcomes of older documents")
        same(store.get(refs[0]), None, "get of the removed document")
        same(store.documents(EVERYTHING).total, 0, "total of documents")
        same(store.stats().chunks, 0, "number of chunks")
        same(written(store, 8), ["added", "added"], "outcomes of newer documents")
        same(store.remove(refs), 2, "documents removed without a stamp")
        same(written(store, 7), ["stale", "stale"], "outcomes of documents older than the stamp")
        same(put(store, *late), ["added", "added"], "outcomes without a stamp")
