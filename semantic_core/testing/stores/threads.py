"""One store, several threads: snapshots, fresh reads, writers side by side, and the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from semantic_core.errors import StoreMisuse
from semantic_core.protocols import TextSearch, VectorQueue
from semantic_core.testing.check import Check, expect, raises, same
from semantic_core.testing.stores.samples import (
    EVERYTHING,
    SPACE,
    OpenStore,
    axis,
    contents,
    fingerprint_of,
    item,
    put,
    vector_of,
    with_word,
)
from semantic_core.types import ChunkId, Ref

PATIENCE = 2.0
"""Seconds a writer is waited for within a snapshot.
A store may make it wait until the snapshot ends.
"""


def _in_threads(*works: Callable[[], object], wait: float | None = None) -> list[threading.Thread]:
    """Do all of this, each in a thread of its own;
    those that have not come to an end within `wait` seconds.
    """
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - carried into the thread that asked
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(wait)
    if errors:
        raise errors[0]
    return [thread for thread in threads if thread.is_alive()]


@Check
def a_snapshot_is_one_state(open_store: OpenStore) -> None:
    """Within `snapshot` every read of this thread sees one state, whatever others commit;
    nested ones see the outer's.
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
                store.fill({fingerprint_of("waiting tirefok"): vector_of("waiting tirefok")})

        put(store, *items)
        before = contents(store, *everything)
        with store.snapshot():
            contents(store, items[0])
            unfinished = _in_threads(write, wait=PATIENCE)
            same(contents(store, *everything), before, "everything within a snapshot")
            with store.snapshot():
                same(contents(store, *everything), before, "everything within the inner snapshot")
            same(contents(store, *everything), before, "everything after the inner snapshot")
        for thread in unfinished:
            thread.join()
        same(store.get(update.ref), update.document, "the updated document after the snapshot")
        same(
            [summary.ref.key for summary in store.documents(EVERYTHING)],
            ["1", "3", "4"],
            "documents after the snapshot",
        )


@Check
def a_snapshot_ends_with_its_block(open_store: OpenStore) -> None:
    """After an error within a snapshot this thread reads, and writes, what is there now."""
    with closing(open_store(SPACE)) as store:
        put(store, item("1", "first text"))
        try:
            with store.snapshot():
                store.get(Ref("notes", "1"))
                raise KeyError("of the caller")
        except KeyError:
            pass
        _in_threads(lambda: put(store, item("1", "second text")))
        same(
            store.get(Ref("notes", "1")),
            item("1", "second text").document,
            "the document after the snapshot",
        )
        same(
            put(store, item("1", "third text")),
            ["updated"],
            "outcome of a write after the snapshot",
        )


@Check
def a_write_is_seen_at_once(open_store: OpenStore) -> None:
    """What one thread wrote is in the next answer of another, which had read before."""
    with closing(open_store(SPACE)) as store, ThreadPoolExecutor(1) as another:
        for number, word in enumerate(["zorbak", "velquon", "tirefok"], start=1):
            put(store, item(word, word))
            found = another.submit(store.nearest, axis(0), 10, EVERYTHING).result()
            same(len(found), number, "chunks found by another thread's vectors")
            same(
                another.submit(store.documents, EVERYTHING).result().total,
                number,
                "documents another thread sees",
            )
            if isinstance(store, TextSearch):
                same(
                    len(another.submit(with_word, store, word).result()),
                    1,
                    f"chunks another thread finds by {word!r}",
                )


@Check
def writers_do_not_hurt_each_other(open_store: OpenStore) -> None:
    """Eight threads write documents of their own, with readers among them: all are there,
    none is broken.
    """
    with closing(open_store(SPACE)) as store:

        def write(writer: int) -> None:
            for number in range(6):
                put(store, item(f"{writer}-{number}", f"first {writer} {number}", "its tail"))
                put(
                    store,
                    item(f"{writer}-{number}", f"second {writer} {number}"),
                    item(f"{writer}-last", f"{number}"),
                )
            store.remove([Ref("notes", f"{writer}-0")])

        def read() -> None:
            for _ in range(12):
                with store.snapshot():
                    found = store.nearest(axis(0), 50, EVERYTHING)
                    same(
                        [each.chunk.id for each in store.fetch(found.ids)],
                        list(found.ids),
                        "chunks just found, fetched",
                    )
                    texts = {each.chunk.text.split()[0] for each in store.fetch(found.ids)}
                    expect(
                        texts <= {"first", "second", "its", *"012345"},
                        f"A text nobody wrote: {texts}.",
                    )

        _in_threads(*(partial(write, writer) for writer in range(8)), read, read)
        wanted = sorted(
            f"{writer}-{number}" for writer in range(8) for number in (1, 2, 3, 4, 5, "last")
        )
        same([summary.ref.key for summary in store.documents(EVERYTHING)], wanted, "documents")
        same((store.stats().documents, store.stats().chunks), (48, 48), "documents and chunks")
        ids = [ChunkId(Ref("notes", key), 0) for key in wanted]
        texts = [found.chunk.text for found in store.fetch(ids)]
        same(texts[0], "second 0 1", "text of the first document")
        same(set(store.nearest(axis(0), 100, EVERYTHING).ids), set(ids), "chunks found by vectors")


@Check
def a_closed_store_says_so(open_store: OpenStore) -> None:
    """`close` may be called twice; every other call afterwards raises StoreMisuse."""
    store = open_store(SPACE)
    put(store, item("1", "a passage"))
    store.close()
    store.close()
    id = ChunkId(Ref("notes", "1"), 0)

    def snapshot() -> None:
        with store.snapshot():
            store.get(id.ref)

    calls: dict[str, Callable[[], object]] = {
        "replace": lambda: put(store, item("2", "a passage")),
        "remove": lambda: store.remove([id.ref]),
        "known": lambda: store.known(["0" * 32]),
        "nearest": lambda: store.nearest(axis(0), 1, EVERYTHING),
        "similarity": lambda: store.similarity([id], axis(0)),
        "fetch": lambda: store.fetch([id]),
        "get": lambda: store.get(id.ref),
        "documents": lambda: store.documents(EVERYTHING),
        "stats": lambda: store.stats(),
        "snapshot": snapshot,
    }
    if isinstance(store, TextSearch):
        calls["words"] = lambda: store.words("a", 1, EVERYTHING)
    if isinstance(store, VectorQueue):
        calls["pending"] = lambda: store.pending(1)
        calls["fill"] = lambda: store.fill({"0" * 32: axis(0)})
    for what, call in calls.items():
        with raises(StoreMisuse, f"{what} on a closed store"):
            call()
