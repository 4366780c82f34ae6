"""What becomes of what is written: replace, remove, stamps, and refusals that change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import attrs
import numpy as np

from semantic_core.errors import VectorInvalid
from semantic_core.testing.check import Check, expect, fail, raises, same
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    Item,
    OpenStore,
    axis,
    contents,
    exact,
    fingerprint_of,
    item,
    put,
    vector_of,
)
from semantic_core.types import Chunk, ChunkId, Document, Entry, Ref

BAD_VECTORS: dict[str, Any] = {
    "too short": np.ones(SPACE.dimensions - 1, dtype=np.float32),
    "too long": np.ones(SPACE.dimensions + 1, dtype=np.float32),
    "of two rows": np.ones((2, SPACE.dimensions), dtype=np.float32),
    "with NaN": np.array([np.nan, *[1.0] * (SPACE.dimensions - 1)], dtype=np.float32),
    "with infinity": np.array([np.inf, *[1.0] * (SPACE.dimensions - 1)], dtype=np.float32),
    "of zeros": np.zeros(SPACE.dimensions, dtype=np.float32),
    "of length 1e-23": np.full(SPACE.dimensions, 1e-23, dtype=np.float32),
}


@Check
def replace_leaves_nothing_behind(open_store: OpenStore) -> None:
    """A new version with fewer chunks: no old chunk, vector or fingerprint is left."""
    old = item("1", *(f"old passage {number}" for number in range(6)), vectors=[axis(0)] * 6)
    new = item("1", "new passage", vectors=[axis(1)])
    beside = item("2", "beside it", vectors=[axis(2)])
    with closing(open_store(SPACE)) as store:
        put(store, old, beside)
        same(put(store, new), ["updated"], "outcome of a new version")
        same(
            [found.chunk for found in store.fetch(old.ids)],
            [new.entries[0].chunk],
            "chunks of the old version",
        )
        nearest = store.nearest(axis(0), 100, EVERYTHING)
        same(set(nearest.ids), {*new.ids, *beside.ids}, "what vectors find")
        expect(max(nearest.scores) < 0.5, "nearest: the old vectors are still there.")
        same(
            set(store.known([entry.fingerprint for entry in old.entries])),
            set(),
            "vectors of the old version",
        )
        gone = np.isnan(store.similarity(old.ids[1:], axis(0)))
        expect(
            gone.all(),
            "similarity: wanted NaN for every chunk of the old version that has no successor.",
        )
        same(store.stats().chunks, 2, "number of chunks")
        put(store, Item(beside.document, []))
        same(store.fetch(beside.ids), [], "chunks of a document that has none any more")
        same(store.documents(EVERYTHING).total, 2, "documents, one of which has no chunks")


@Check
def the_same_call_twice_changes_nothing(open_store: OpenStore) -> None:
    """The second of two equal writes is reported "unchanged",
    and leaves everything as it was, times too.
    """
    items = [item("1", "one passage", "another one"), item("2", "waiting passage", vectors=False)]
    with closing(open_store(SPACE)) as store:
        same(put(store, *items), ["added", "added"], "outcome of the first write")
        before = contents(store, *items)
        same(put(store, *items), ["unchanged", "unchanged"], "outcome of the second write")
        same(contents(store, *items), before, "everything after the second write")


@Check
def every_change_is_seen(open_store: OpenStore) -> None:
    """A difference in any field of document, chunk or entry is an update; ``1``,
    ``1.0`` and ``True`` are different.
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

    another = Entry(chunk, "Title one", fingerprint_of("Title one"), vector_of("Title one"))
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
        "one chunk more": Item(
            base,
            [
                entry,
                attrs.evolve(entry, chunk=attrs.evolve(chunk, id=ChunkId(ref, 1), start=4, end=7)),
            ],
        ),
    }
    with closing(open_store(SPACE)) as store:
        for what, version in versions.items():
            put(store, Item(base, [entry]))
            same(put(store, version), ["updated"], f"outcome of a change of {what}")
            same(
                exact(store.get(ref)), exact(version.document), f"document after a change of {what}"
            )
            found = [exact(each.chunk) for each in store.fetch([ChunkId(ref, 0), ChunkId(ref, 1)])]
            same(
                found,
                [exact(each.chunk) for each in version.entries],
                f"chunks after a change of {what}",
            )
            same(put(store, version), ["unchanged"], f"outcome of the same change of {what} again")


@Check
def the_later_of_two_in_a_batch_wins(open_store: OpenStore) -> None:
    """A document given twice in one batch ends as the later one;
    outcomes stand in the order of the batch.
    """
    first = item("1", "first version", "its tail")
    later = item("1", "later version")
    other = item("2", "other document")
    with closing(open_store(SPACE)) as store:
        report = store.replace([other, first, later])
        same(report.outcomes[0], (other.ref, "added"), "outcome of the first document")
        same(report.outcomes[-1][0], later.ref, "document of the last outcome")
        same(exact(store.get(later.ref)), exact(later.document), "the document given twice")
        same(
            [found.chunk for found in store.fetch(first.ids)],
            [later.entries[0].chunk],
            "its chunks",
        )
        same(
            put(store, item("3", "new one"), other, item("1", "third")),
            ["added", "unchanged", "updated"],
            "outcomes in order",
        )
        same(store.replace([]).outcomes, (), "outcomes of an empty batch")


@Check
def a_write_that_raises_changes_nothing(open_store: OpenStore) -> None:
    """A bad vector in the last document, or a source that raises half-way:
    nothing of the batch is there.
    """
    kept = item("1", "kept passage")
    update = item("1", "its update")
    new = item("2", "new document")
    poison = item(
        "3",
        "good passage",
        "bad passage",
        vectors=[axis(0), np.zeros(SPACE.dimensions, dtype=np.float32)],
    )

    class StoppedWriting(Exception):
        """Of the source, not of the store."""

    def source() -> Iterator[Item]:
        yield update
        yield new
        raise StoppedWriting

    def refs() -> Iterator[Ref]:
        yield kept.ref
        raise StoppedWriting

    with closing(open_store(SPACE)) as store:
        put(store, kept)
        before = contents(store, kept, update, new, poison)
        with raises(VectorInvalid, "a vector of zeros in the last document"):
            store.replace([update, new, poison])
        same(contents(store, kept, update, new, poison), before, "everything after a bad vector")
        for what, write, interrupted in (
            ("replace", store.replace, source),
            ("remove", store.remove, refs),
        ):
            try:
                write(interrupted())
            except StoppedWriting:
                same(
                    contents(store, kept, update, new, poison),
                    before,
                    f"everything after an interrupted {what}",
                )
            else:
                fail(f"{what}: wanted the error of the source to come through.")
        same(put(store, update, new), ["updated", "added"], "outcome of the next write")


@Check
def vectors_that_mean_nothing_are_refused(open_store: OpenStore) -> None:
    """Wrong size, NaN, infinity, zeros, no length to speak of: VectorInvalid,
    in an entry and in a query.
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
    """After `remove`: no document, chunk, vector or count of it;
    the number is of documents that were there.
    """
    gone = item("1", "going away", "its tail")
    stays = item("2", "staying here")
    with closing(open_store(SPACE)) as store:
        put(store, gone, stays)
        same(store.remove([gone.ref, Ref("notes", "never"), gone.ref]), 1, "documents removed")
        same(store.remove([gone.ref]), 0, "documents removed the second time")
        same(store.remove([]), 0, "documents removed of none")
        same(
            (store.get(gone.ref), store.fetch(gone.ids)),
            (None, []),
            "the removed document and its chunks",
        )
        same(
            set(store.known([entry.fingerprint for entry in gone.entries])),
            set(),
            "vectors of the removed document",
        )
        expect(
            np.isnan(store.similarity(gone.ids, axis(0))).all(),
            "similarity: wanted NaN for removed chunks.",
        )
        same(
            store.nearest(vector_of("going away"), 10, EVERYTHING).ids,
            tuple(stays.ids),
            "what vectors find",
        )
        same(
            (store.stats().documents, store.stats().chunks, store.documents(EVERYTHING).total),
            (1, 1, 1),
            "counts",
        )
        same(exact(store.get(stays.ref)), exact(stays.document), "the document that stays")
        same(put(store, gone), ["added"], "outcome of adding it again")


@Check
def older_changes_are_left_alone(open_store: OpenStore) -> None:
    """Stamps are per ref: an older one is "stale", an equal one applies,
    none always applies and leaves the stamp.
    """
    versions = [item("1", f"version {number}") for number in range(6)]
    ref = versions[0].ref
    other = item("2", "other document")

    def stands(store: Any, number: int, what: str) -> None:
        found = [each.chunk for each in store.fetch(versions[number].ids)]
        same(exact(store.get(ref)), exact(versions[number].document), f"document after {what}")
        same(found, [versions[number].entries[0].chunk], f"chunks after {what}")

    with closing(open_store(SPACE)) as store:
        same(
            put(store, versions[0], other, stamps={ref: 5}),
            ["added", "added"],
            "outcome of stamp 5",
        )
        same(
            put(store, versions[1], other, stamps={ref: 4, other.ref: 1}),
            ["stale", "unchanged"],
            "outcome of stamp 4",
        )
        stands(store, 0, "an older stamp")
        same(put(store, versions[2], stamps={ref: 5}), ["updated"], "outcome of an equal stamp")
        same(put(store, versions[3]), ["updated"], "outcome without a stamp")
        same(
            put(store, versions[4], stamps={ref: 4}),
            ["stale"],
            "outcome of stamp 4 after one without",
        )
        stands(store, 3, "a stale write")
        same(
            put(store, versions[3], stamps={ref: 9}),
            ["unchanged"],
            "outcome of the same with a newer stamp",
        )
        same(
            put(store, versions[4], stamps={ref: 8}),
            ["stale"],
            "outcome of an older stamp than that of the unchanged",
        )
        same(store.remove([ref], stamps={ref: 8}), 0, "documents removed by an older stamp")
        stands(store, 3, "a stale removal")
        same(
            put(store, versions[5], stamps={ref: 10**18}),
            ["updated"],
            "outcome of a stamp in nanoseconds",
        )


@Check
def a_removal_is_remembered(open_store: OpenStore) -> None:
    """A removal's stamp refuses an older document that arrives late,
    even if there was nothing to remove.
    """
    late = [item(key, f"late passage {key}") for key in ("there", "never")]
    refs = [each.ref for each in late]
    with closing(open_store(SPACE)) as store:
        put(store, late[0], stamps={refs[0]: 3})
        same(store.remove(refs, stamps=dict.fromkeys(refs, 7)), 1, "documents removed")
        same(
            put(store, *late, stamps=dict.fromkeys(refs, 6)),
            ["stale", "stale"],
            "outcomes of older documents",
        )
        same(
            (store.get(refs[0]), store.documents(EVERYTHING).total, store.stats().chunks),
            (None, 0, 0),
            "what there is",
        )
        same(
            put(store, *late, stamps=dict.fromkeys(refs, 8)),
            ["added", "added"],
            "outcomes of newer documents",
        )
        same(store.remove(refs), 2, "documents removed without a stamp")
        same(
            put(store, *late, stamps=dict.fromkeys(refs, 7)),
            ["stale", "stale"],
            "outcomes older than the last stamp",
        )
        same(put(store, *late), ["added", "added"], "outcomes without a stamp")
