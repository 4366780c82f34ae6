"""What the processes of a crowd do on one file, and how they tell what they saw:
``python crowd.py ROLE FOLDER NUMBER ...``.

Every key has two documents that always change together, and every version of them has words and
vectors no other version has. So a reader can tell a torn state, and a stale one, from what a search
gives it.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import os
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from samples import EVERYTHING, SPACE, Item, item, vector_of
from semantic_core_peewee import SqliteStore

from semantic_core import ChunkId, Filter, Ref, Scope
from semantic_core.errors import StoreMisuse

SIDES = ("left", "right")
KEYS = 6
REMOVED_EVERY = 7
"""Versions that are removals."""
SAME = 0.99999
"""Cosine of a vector and itself, at least."""
COUNT_FOR_EVER = (
    "with recursive n(x) as (select 1 union all select x + 1 from n) select sum(x) from n"
)
PATIENCE = 120.0
"""Seconds a process waits for another that must come."""


def word(key: int, version: int) -> str:
    """The word of one version of a key."""
    return f"w{key}q{version}z"


def pair(key: int, version: int) -> list[Item]:
    """Both documents of a key."""
    return [
        item(
            Ref(side, str(key)),
            *(f"{word(key, version)} everywhere {side} {place}" for place in range(2)),
            metadata={"version": version, "key": key},
        )
        for side in SIDES
    ]


def chunks(key: int) -> set[ChunkId]:
    """The chunks of both."""
    return {ChunkId(Ref(side, str(key)), place) for side in SIDES for place in range(2)}


def look(store: Any, key: int) -> tuple[int | None, str]:
    """(version, what is torn) of a key as one snapshot shows it; None while it is removed."""
    with store.snapshot():
        left, right = (store.get(Ref(side, str(key))) for side in SIDES)
        if left is None or right is None:
            found = [
                store.fetch(sorted(chunks(key))),
                list(store.documents(Scope(filter=Filter.parse({"key": key})))),
            ]
            return None, "" if left is right and found == [
                [],
                [],
            ] else f"half removed: {left} {right} {found}"
        version = int(left.metadata["version"])
        if right.metadata["version"] != version:
            return version, f"versions {version} and {right.metadata['version']}"
        ids, texts = (
            chunks(key),
            {entry.chunk.text for _, entries in pair(key, version) for entry in entries},
        )
        probe = pair(key, version)[version % 2][1][version // 2 % 2]
        nearest = store.nearest(probe.vector, 1, EVERYTHING)
        torn = {
            "words": set(store.words(word(key, version), 10, EVERYTHING).ids) != ids,
            "words of others": bool(
                store.words(
                    f"{word(key, version - 1)} {word(key, version + 1)}", 10, EVERYTHING
                ).ids
            ),
            "texts": {stored.chunk.text for stored in store.fetch(sorted(ids))} != texts,
            "metadata": {
                s.ref.key
                for s in store.documents(
                    Scope(filter=Filter.parse({"key": key, "version": version}))
                )
            }
            != {str(key)},
            "nearest": (nearest.ids, nearest.scores[0] > SAME) != ((probe.chunk.id,), True),
            "similarity": not store.similarity([probe.chunk.id], probe.vector)[0] > SAME,
        }
    return version, ", ".join(name for name, is_torn in torn.items() if is_torn)


class Board:
    """Numbers all processes see: what is committed of each key, who is ready,
    which writers are done.
    """

    def __init__(self, folder: Path, members: int) -> None:
        self._file = (folder / "board").open("r+b")
        self._memory = mmap.mmap(self._file.fileno(), 0)
        numbers = np.frombuffer(self._memory, dtype=np.int64)
        self.committed, self.ready, self.done = (
            numbers[:KEYS],
            numbers[KEYS:][:members],
            numbers[KEYS + members :][:members],
        )

    @staticmethod
    def make(folder: Path, members: int) -> None:
        """An empty one."""
        (folder / "board").write_bytes(bytes(8 * (KEYS + 2 * members)))

    def meet(self, number: int) -> None:
        """Wait until everyone is here."""
        self.ready[number] = 1
        deadline = time.monotonic() + PATIENCE
        while not self.ready.all():
            assert time.monotonic() < deadline, f"some never came: {self.ready}"
            time.sleep(0.005)


def writer(
    folder: Path, number: int, members: int, writers: int, operations: int
) -> dict[str, Any]:
    """Write new versions of its own keys, and post each once it is committed."""
    board, waits = Board(folder, members), []
    with_errors: list[str] = []
    store = SqliteStore(SPACE, folder / "crowd.db")
    board.meet(number)
    mine = [key for key in range(KEYS) if key % writers == number]
    for turn in range(operations):
        key = mine[turn % len(mine)]
        version = int(board.committed[key]) + 1
        started = time.perf_counter()
        try:
            if version % REMOVED_EVERY:
                store.replace(pair(key, version))
            else:
                store.remove([Ref(side, str(key)) for side in SIDES])
        except Exception as error:  # noqa: BLE001 - told to the test, which fails on it
            with_errors.append(f"{type(error).__name__}: {error}")
            continue
        waits.append(time.perf_counter() - started)
        board.committed[key] = version
    board.done[number] = 1
    store.close()
    return {"writes": len(waits), "waits": waits, "errors": with_errors}


def reader(
    folder: Path, number: int, members: int, writers: int, operations: int
) -> dict[str, Any]:
    """Look at one key after the other until the writers are done."""
    board, errors, torn, stale = Board(folder, members), [], [], []
    last, looks, fresh = [0] * KEYS, 0, 0
    store = SqliteStore(SPACE, folder / "crowd.db")
    board.meet(number)
    finished = False
    while looks < operations and not finished:
        # Once more after that: the last versions must be seen.
        finished = bool(board.done[:writers].all())
        for key in range(KEYS):
            before = int(board.committed[key])
            try:
                version, what = look(store, key)
            except Exception as error:  # noqa: BLE001 - told to the test, which fails on it
                errors.append(f"{type(error).__name__}: {error}")
                continue
            after = int(board.committed[key]) + 1  # one more may be committed and not be posted yet
            looks += 1
            fresh += before > last[key]
            last[key] = before
            possible = [n for n in range(before, after + 1) if n == 0 or n % REMOVED_EVERY == 0]
            if what:
                torn.append(f"key {key}: {what}")
            if (
                version is None
                and not possible
                or version is not None
                and not before <= version <= after
            ):
                stale.append(f"key {key}: saw {version}, committed were {before} to {after}")
    memory = store.stats().details["matrix_bytes"]
    store.close()
    seen = {"looks": looks, "fresh": fresh, "matrix_bytes": memory, "finished": finished}
    return {**seen, "errors": errors, "torn": torn, "stale": stale}


def forks(folder: Path, rounds: int, writes: int) -> dict[str, Any]:
    """Fork again and again; parent and child write at the same time,
    through the same store object.
    """
    store = SqliteStore(SPACE, folder / "forks.db")
    store.replace(
        [item(Ref("ballast", str(n)), *(f"ballast {n} {m}" for m in range(60))) for n in range(20)]
    )
    expected, failed = set(), []
    for turn in range(rounds):
        expected |= {
            f"{side} {turn} {place}" for side in ("parent", "child") for place in range(writes)
        }
        if turn % 4:
            store.nearest(vector_of("warm"), 5, EVERYTHING)  # the child inherits what is in memory
        busy = threading.Thread(
            target=lambda turn=turn: store.replace(
                [item(Ref("thread", str(turn)), f"thread {turn}")]
            )
        )
        if turn % 4 == 3:
            busy.start()  # another thread is writing at the moment of the fork
        if turn % 4 == 2:
            with store.snapshot():
                store.get(Ref("ballast", "0"))
                child = _fork(store, turn, writes, inside=True)
                store.get(Ref("ballast", "0"))
        else:
            child = _fork(store, turn, writes, inside=False)
        for place in range(writes):
            name = f"parent {turn} {place}"
            store.replace([item(Ref("notes", name), name)])
        if turn % 4 == 3:
            busy.join()
        _, status = os.waitpid(child, 0)
        if status:
            failed.append(f"round {turn}: the child ended with {os.waitstatus_to_exitcode(status)}")
    held = {
        summary.ref.key for summary in store.documents(Scope(collections=("notes",)), limit=100_000)
    }
    torn = [name for name in sorted(held) if not _whole(store, name)]
    problems = store.check()
    store.close()
    lost = sorted(expected - held)
    return {
        "rounds": rounds,
        "rows": len(expected),
        "lost": lost,
        "failed": failed,
        "torn": torn,
        "problems": problems,
    }


def _fork(store: Any, turn: int, writes: int, *, inside: bool) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if inside:
            try:
                store.get(Ref("ballast", "0"))
                code = 3  # the parent's snapshot was read through the parent's connection
                os._exit(code)
            except StoreMisuse:
                pass
            # A thread has no snapshot.
            thread = threading.Thread(target=_child_writes, args=(store, turn, writes))
            thread.start()
            thread.join()
        else:
            _child_writes(store, turn, writes)
        code = (
            0
            if inside or all(_whole(store, f"child {turn} {place}") for place in range(writes))
            else 4
        )
    finally:
        os._exit(code)


def _child_writes(store: Any, turn: int, writes: int) -> None:
    for place in range(writes):
        name = f"child {turn} {place}"
        store.replace([item(Ref("notes", name), name)])


def outlived(folder: Path, rounds: int, writes: int) -> dict[str, Any]:
    """Children that go on writing when the parent has closed its store:
    the log is theirs as well.
    """
    expected: set[str] = set()
    failed = []
    for turn in range(rounds):
        expected |= {
            f"{side} {turn} {place}" for side in ("child", "later") for place in range(writes)
        }
        store = SqliteStore(SPACE, folder / "outlived.db")
        store.replace([item(Ref("parent", str(turn)), f"parent {turn}")])
        store.stats()
        (to_parent, from_child), (to_child, from_parent) = os.pipe(), os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                _child_writes(store, turn, writes)
                os.write(from_child, b"!")
                os.read(to_child, 1)
                for place in range(writes):
                    name = f"later {turn} {place}"
                    store.replace([item(Ref("notes", name), name)])
                code = 0
            finally:
                os._exit(code)
        os.read(to_parent, 1)
        store.close()
        os.write(from_parent, b"!")
        _, status = os.waitpid(child, 0)
        for pipe in (to_parent, from_child, to_child, from_parent):
            os.close(pipe)
        if status:
            failed.append(f"round {turn}: the child ended with {os.waitstatus_to_exitcode(status)}")
    with closing(SqliteStore(SPACE, folder / "outlived.db")) as store:
        held = {
            summary.ref.key
            for summary in store.documents(Scope(collections=("notes",)), limit=100_000)
        }
        problems = store.check()
    return {
        "rounds": rounds,
        "rows": len(expected),
        "lost": sorted(expected - held),
        "failed": failed,
        "problems": problems,
    }


def forgotten(folder: Path, rounds: int) -> dict[str, Any]:
    """Stores that are dropped unclosed, and collected while others are opened."""
    # The fault is to wait for oneself, for ever.
    faulthandler.dump_traceback_later(PATIENCE / 2, exit=True)
    gc.disable()
    # As the guard looks around.
    sys.addaudithook(lambda event, _: gc.collect() if event == "os.listdir" else None)
    for turn in range(rounds):
        ring: list[Any] = [SqliteStore(SPACE, folder / "forgotten.db")]
        ring[0].replace([item(Ref("notes", str(turn)), f"round {turn}")])
        ring.append(ring)
        del ring
        with closing(SqliteStore(SPACE, folder / f"{turn}.db")) as other:
            other.replace([item(Ref("notes", "1"), "one")])
    gc.collect()
    opened = len(apsw.connections())
    with closing(SqliteStore(SPACE, folder / "forgotten.db")) as store:
        return {"opened": opened, "documents": store.stats().documents, "problems": store.check()}


def busy(folder: Path) -> dict[str, Any]:
    """A fork while another thread is in the middle of a statement that takes for ever."""
    store = SqliteStore(SPACE, folder / "busy.db")
    store.replace([item(Ref("notes", "1"), "one")])
    begun = threading.Event()

    def count_for_ever() -> None:
        with store.snapshot():
            connection = next(
                each
                for each in apsw.connections()
                if each.filename == str(store.path) and each.in_transaction
            )
            begun.set()
            try:
                connection.execute(COUNT_FOR_EVER).fetchall()
            except apsw.InterruptError:
                return

    thread = threading.Thread(target=count_for_ever)
    thread.start()
    begun.wait(PATIENCE)
    child = os.fork()
    if not child:
        code = 1
        try:
            for act in (
                store.stats,
                lambda: store.remove([]),
                lambda: SqliteStore(SPACE, store.path),
            ):
                try:
                    act()
                    code = 3  # it was served without a lock of its own
                    os._exit(code)
                except StoreMisuse as error:
                    assert "fork" in str(error)
            with closing(SqliteStore(SPACE, folder / "another.db")) as other:
                other.replace([item(Ref("notes", "1"), "one")])
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    store.replace([item(Ref("notes", "2"), "two")])
    while thread.is_alive():
        for connection in apsw.connections():
            connection.interrupt()
        thread.join(0.1)
    documents, problems = store.stats().documents, store.check()
    store.close()
    return {"exit": os.waitstatus_to_exitcode(status), "documents": documents, "problems": problems}


def _whole(store: Any, name: str) -> bool:
    ref = Ref("notes", name)
    document, nearest = store.get(ref), store.nearest(vector_of(name), 1, EVERYTHING)
    return document is not None and document.text == name and nearest.ids == (ChunkId(ref, 0),)


if __name__ == "__main__":
    role, place, *numbers = sys.argv[1:]
    act: Any = {
        "writer": writer,
        "reader": reader,
        "forks": forks,
        "outlived": outlived,
        "busy": busy,
        "forgotten": forgotten,
    }[role]
    print(json.dumps(act(Path(place), *map(int, numbers))))  # noqa: T201 - this is how it answers
