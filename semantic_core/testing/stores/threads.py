"""Checks of a store in several threads: snapshots, reads after writes, concurrent writers, and
calls after `close`.

Tested by tests/contracts/test_contract.py and tests/contracts/test_store_bites.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

from semantic_core.errors import StoreMisuse
from semantic_core.protocols import TextSearch, VectorQueue
from semantic_core.testing.check import Check, expect, raises, same, same_fields
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    OpenStore,
    axis,
    chunks_in,
    contents,
    fingerprint_of,
    item,
    listed,
    put,
    vectors_of,
    with_word,
)
from semantic_core.types import ChunkId, Ref

PATIENCE = 2.0
"""Seconds to wait for a writer within a snapshot. A store may let it wait until the snapshot ends.
"""
WRITERS = 8


def _in_threads(*works: Callable[[], object], wait: float | None = None) -> list[threading.Thread]:
    """Call each of these in a thread of its own; returns the threads that have not ended.

    wait: seconds for each thread; None waits until it ends. Raises the first error of a thread.
    """
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(wait)
    if errors:
        raise errors[0]
    return list(filter(threading.Thread.is_alive, threads))


@Check
def a_snapshot_is_one_state(open_store: OpenStore) -> None:
    """Within `snapshot` every read of this thread sees one state, whatever other threads commit. A
    nested snapshot sees the state of the outer one.
    """
    items = [
        item("1", "first zorbak", "its tail"),
        item("2", "second velquon"),
        item("3", "waiting tirefok", vectors=False),
    ]
    update = item("1", "updated gorvax")
    new = item("4", "added beldun")
    everything = [*items, update, new]
    with closing(open_store(SPACE)) as store:

        def write() -> None:
            put(store, update, new)
            store.remove([Ref("notes", "2")])
            if isinstance(store, VectorQueue):
                store.fill(vectors_of("waiting tirefok"))

        put(store, *items)
        before = contents(store, *everything)
        with store.snapshot():
            contents(store, items[0])
            unfinished = _in_threads(write, wait=PATIENCE)
            same(contents(store, *everything), before, "contents within a snapshot")
            with store.snapshot():
                same(contents(store, *everything), before, "contents within the inner snapshot")
            same(contents(store, *everything), before, "contents after the inner snapshot")
        for thread in unfinished:
            thread.join()
        same(store.get(update.ref), update.document, "the updated document after the snapshot")
        keys = [ref.key for ref in listed(store)]
        same(keys, ["1", "3", "4"], "keys of the documents after the snapshot")


@Check
def a_snapshot_ends_with_its_block(open_store: OpenStore) -> None:
    """After an error within a snapshot, this thread reads the present state and can write."""
    second = item("1", "second text")
    with closing(open_store(SPACE)) as store:
        put(store, item("1", "first text"))
        try:
            with store.snapshot():
                store.get(Ref("notes", "1"))
                raise KeyError("of the caller")
        except KeyError:
            pass
        _in_threads(partial(put, store, second))
        same(store.get(second.ref), second.document, "the document after the snapshot")
        outcome = put(store, item("1", "third text"))
        same(outcome, ["updated"], "outcome of a write after the snapshot")


@Check
def a_write_is_seen_at_once(open_store: OpenStore) -> None:
    """What one thread wrote is in the next answer that another thread gets, even if that one has
    read before.
    """
    with closing(open_store(SPACE)) as store, ThreadPoolExecutor(1) as another:
        for number, word in enumerate(["zorbak", "velquon", "tirefok"], start=1):
            put(store, item(word, word))
            nearest = another.submit(store.nearest, axis(0), 10, EVERYTHING).result()
            same(len(nearest), number, "chunks that nearest finds in another thread")
            page = another.submit(store.documents, EVERYTHING).result()
            same(page.total, number, "documents that another thread lists")
            if isinstance(store, TextSearch):
                found = another.submit(with_word, store, word).result()
                same(len(found), 1, f"chunks that words({word!r}) finds in another thread")


@Check
def writers_do_not_hurt_each_other(open_store: OpenStore) -> None:
    """Eight threads write documents of their own while others read: all documents are stored, and
    none is damaged.
    """
    with closing(open_store(SPACE)) as store:

        def write(writer: int) -> None:
            for number in range(6):
                key = f"{writer}-{number}"
                put(store, item(key, f"first {writer} {number}", "its tail"))
                last = item(f"{writer}-last", f"{number}")
                put(store, item(key, f"second {writer} {number}"), last)
            store.remove([Ref("notes", f"{writer}-0")])

        def read() -> None:
            for _ in range(12):
                with store.snapshot():
                    found = store.nearest(axis(0), 50, EVERYTHING)
                    chunks = chunks_in(store, found.ids)
                    ids = [chunk.id for chunk in chunks]
                    same(ids, list(found.ids), "fetch of the chunks that nearest just found")
                    beginnings = {chunk.text.split()[0] for chunk in chunks}
                    expect(
                        beginnings <= {"first", "second", "its", *"012345"},
                        f"The chunks begin with {beginnings}, which no thread wrote.",
                    )

        _in_threads(*(partial(write, writer) for writer in range(WRITERS)), read, read)
        refs: list[Ref] = []
        for writer in range(WRITERS):
            for part in (1, 2, 3, 4, 5, "last"):
                refs.append(Ref("notes", f"{writer}-{part}"))
        refs.sort()
        same(listed(store), refs, "documents in the end")
        same_fields(store.stats(), "stats", documents=48, chunks=48)
        ids = [ChunkId(ref, 0) for ref in refs]
        (first,) = chunks_in(store, ids[:1])
        same(first.text, "second 0 1", "text of the first document")
        nearest = store.nearest(axis(0), 100, EVERYTHING)
        same(set(nearest.ids), set(ids), "chunks found by nearest")


@Check
def a_closed_store_says_so(open_store: OpenStore) -> None:
    """`close` may be called twice. Every other call afterwards raises StoreMisuse."""
    store = open_store(SPACE)
    put(store, item("1", "a passage"))
    store.close()
    store.close()
    for what, call in _calls(store).items():
        with raises(StoreMisuse, f"{what} on a closed store"):
            call()


def _calls(store: Any) -> dict[str, Callable[[], object]]:
    """Every call of a store that reads or writes, by method."""
    id = ChunkId(Ref("notes", "1"), 0)
    fingerprint = fingerprint_of("a passage")

    def snapshot() -> None:
        with store.snapshot():
            store.get(id.ref)

    calls: dict[str, Callable[[], object]] = {
        "replace": partial(put, store, item("2", "a passage")),
        "remove": partial(store.remove, [id.ref]),
        "known": partial(store.known, [fingerprint]),
        "nearest": partial(store.nearest, axis(0), 1, EVERYTHING),
        "similarity": partial(store.similarity, [id], axis(0)),
        "fetch": partial(store.fetch, [id]),
        "get": partial(store.get, id.ref),
        "documents": partial(store.documents, EVERYTHING),
        "stats": store.stats,
        "snapshot": snapshot,
    }
    if isinstance(store, TextSearch):
        calls["words"] = partial(store.words, "a", 1, EVERYTHING)
    if isinstance(store, VectorQueue):
        calls["pending"] = partial(store.pending, 1)
        calls["fill"] = partial(store.fill, {fingerprint: axis(0)})
    return calls
