"""One file, many users: threads, processes, forks, and another SQLite library."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import connection

from semantic_core import Ref, Scope, Space
from semantic_core.errors import StoreBusy, StoreMisuse

SPACE = Space("test", 8)


def keys(store: SqliteStore) -> list[str]:
    return [summary.ref.key for summary in store.documents(Scope(), limit=1_000)]


def in_thread(work: Callable[[], object]) -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told to the test
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def test_a_snapshot_sees_one_state_whatever_another_process_commits(
    store: SqliteStore,
    item: Callable[..., Any],
    vector: Callable[[str], Any],
    output: Callable[..., str],
) -> None:
    store.replace([item("1", "one"), item("2", "two")])
    with store.snapshot():
        output("SqliteStore(SPACE, path).replace([item_of('1', 'changed'), item_of('3', 'three')])")
        assert keys(store) == ["1", "2"] and store.stats().documents == 2
        assert (
            len(store.words("one", 9, Scope())) == 1
            and len(store.words("three changed", 9, Scope())) == 0
        )
        assert store.nearest(vector("one"), 1, Scope()).scores[0] == pytest.approx(1.0)
        with store.snapshot():
            assert keys(store) == ["1", "2"]
        assert keys(store) == ["1", "2"]
    assert keys(store) == ["1", "2", "3"] and len(store.words("three", 9, Scope())) == 1


def test_writing_in_ones_own_snapshot_is_refused(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    writes = [
        lambda: store.replace([item("1", "one")]),
        lambda: store.remove([Ref("notes", "1")]),
        lambda: store.fill({}),
        store.compact,
    ]
    with store.snapshot():
        for write in writes:
            with pytest.raises(StoreMisuse, match="snapshot"):
                write()
        in_thread(writes[0])
        assert keys(store) == []
    assert keys(store) == ["1"]


def test_an_error_of_the_caller_passes_through_a_snapshot_as_it_is(store: SqliteStore) -> None:
    for error in (
        OverflowError("mine"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "mine"),
        KeyboardInterrupt(),
    ):
        with pytest.raises(type(error)) as caught, store.snapshot():
            raise error
        assert caught.value is error
    assert store.stats().documents == 0


def test_closing_waits_for_nobody_and_ends_everybody(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(busy_timeout=0.1)
    store.replace([item("1", "one")])
    inside, closed, seen = threading.Event(), threading.Event(), list[str]()

    def read() -> None:
        with store.snapshot():
            inside.set()
            closed.wait(10)
            try:
                store.stats()
            except StoreMisuse as error:
                seen.append(error.message)

    thread = threading.Thread(target=read)
    thread.start()
    inside.wait(10)
    store.close()
    store.close()
    closed.set()
    thread.join()
    assert len(seen) == 1 and "closed" in seen[0]
    with pytest.raises(StoreMisuse, match="closed"):
        store.replace([])
    assert not connection._ours[connection.identity_of(str(store.path))]  # type: ignore[index]
    open_store().replace([item("2", "two")])


def test_the_end_of_a_thread_closes_its_connection(store: SqliteStore) -> None:
    place = connection.identity_of(str(store.path))
    store.stats()
    before = connection._ours[place]  # type: ignore[index]
    for _ in range(5):
        in_thread(store.stats)
    gc.collect()
    assert connection._ours[place] == before  # type: ignore[index]


def test_a_store_that_is_forgotten_lets_go_of_its_file(
    path: Path, space: Any, item: Callable[..., Any]
) -> None:
    store = SqliteStore(space, path)
    store.replace([item("1", "one")])
    store.stats()
    place = connection.identity_of(str(path))
    del store
    gc.collect()
    assert not connection._ours[place]  # type: ignore[index]


def test_a_process_that_ends_without_closing_is_silent_and_loses_nothing(
    process: Callable[..., Any], open_store: Callable[..., SqliteStore]
) -> None:
    one = process(
        "store = SqliteStore(SPACE, path); store.replace([item_of('1', 'one')]); store.stats()"
    )
    assert one.communicate(timeout=60) == ("", "") and one.returncode == 0
    assert keys(open_store()) == ["1"]


def test_another_writer_is_waited_for_and_then_named(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], process: Callable[..., Any]
) -> None:
    store = open_store(busy_timeout=0.1)
    holder = process(
        """
        import apsw
        SqliteStore(SPACE, path).close()
        raw = apsw.Connection(str(path))
        raw.execute("begin immediate")
        print("held", flush=True)
        sys.stdin.readline()
        raw.execute("rollback")
        print("given back", flush=True)
        """
    )
    assert holder.stdout.readline().strip() == "held"
    with pytest.raises(StoreBusy) as caught:
        store.replace([item("1", "one")])
    assert caught.value.retryable and isinstance(caught.value.__cause__, apsw.BusyError)
    assert keys(store) == []
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline().strip() == "given back"
    assert store.replace([item("1", "one")]).count("added") == 1


def test_another_thread_is_waited_for_and_then_named(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(busy_timeout=0.05)
    with store._pool.writer(), pytest.raises(StoreBusy, match="another thread"):
        in_thread(lambda: store.replace([item("1", "one")]))
    store.replace([item("1", "one")])


def test_a_forked_child_uses_connections_of_its_own(output: Callable[..., str]) -> None:
    said = output(
        """
        import threading
        store = SqliteStore(SPACE, path)
        store.replace([item_of(f"{n:04d}", f"filling {n}") for n in range(1500)])
        store.nearest(vector_of("x"), 1, Scope())

        def wait(): store.stats(); stop.wait()
        stop = threading.Event()
        thread = threading.Thread(target=wait)
        thread.start()
        for number in range(12):
            child = os.fork()
            if child == 0:
                try:
                    store.replace([item_of(f"child-{number}", f"from child {number}")])
                    written = vector_of(f"from child {number}")
                    found = store.nearest(written, 1, Scope()).ids[0].ref.key
                    assert found == f"child-{number}", found
                    store.close()
                    os._exit(0)
                finally:
                    os._exit(1)
            store.replace([item_of(f"parent-{number}", f"from parent {number}")])
            assert os.waitpid(child, 0)[1] == 0
            written = vector_of(f"from child {number}")
            assert store.nearest(written, 1, Scope()).ids[0].ref.key == f"child-{number}"
        with store.snapshot():
            child = os.fork()
            if child == 0:
                try:
                    store.stats()
                except StoreMisuse as error:
                    refused = "fork" in error.message
        if child == 0:
            os._exit(0 if refused and store.stats().documents == 1524 else 1)
        assert os.waitpid(child, 0)[1] == 0
        stop.set()
        thread.join()
        print(store.stats().documents, store.check())
        store.close()
        """
    )
    assert said == "1524 []"


def test_a_second_library_is_refused_while_the_store_is_open(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], path: Path, tmp_path: Path
) -> None:
    store = open_store()
    store.replace([item("1", "one")])
    (tmp_path / "link.db").symlink_to(path)
    os.link(path, tmp_path / "hard.db")
    spellings: list[Any] = [
        path,
        str(path),
        bytes(path),
        tmp_path / "link.db",
        tmp_path / "hard.db",
    ]
    for spelled in spellings:
        with pytest.raises(StoreMisuse, match="sqlite3 must not open"):
            sqlite3.connect(spelled)
    for uri in (f"file:{path}?mode=ro", path.as_uri()):
        with pytest.raises(StoreMisuse):
            sqlite3.connect(uri, uri=True)
    sqlite3.connect(":memory:").close()
    sqlite3.connect(tmp_path / "other.db").close()
    store.close()
    sqlite3.connect(path).close()


@pytest.mark.skipif(
    not os.path.isdir("/proc/self/fd"), reason="what a process has open is asked of /proc"
)
def test_a_store_is_refused_while_a_second_library_has_it_open(
    open_store: Callable[..., SqliteStore], path: Path, item: Callable[..., Any]
) -> None:
    open_store().close()
    theirs = sqlite3.connect(path)
    theirs.execute("select * from semantic_index_meta").fetchall()
    with pytest.raises(StoreMisuse, match="already open in this process"):
        open_store()
    theirs.close()
    with open(path, "rb"), pytest.raises(StoreMisuse, match="plain open"):
        open_store()
    mine = apsw.Connection(str(path))  # the same library, so no harm
    open_store().replace([item("1", "one")])
    mine.close()


def test_a_file_that_is_moved_or_replaced_takes_no_more_writes(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], path: Path, tmp_path: Path
) -> None:
    store = open_store()
    store.replace([item("1", "one")])
    store.backup(tmp_path / "copy.db")
    path.rename(tmp_path / "elsewhere.db")
    with pytest.raises(StoreMisuse, match="moved, removed or replaced"):
        store.replace([item("2", "two")])
    shutil.move(tmp_path / "copy.db", path)
    with pytest.raises(StoreMisuse, match="moved, removed or replaced"):
        store.remove([Ref("notes", "1")])
    store.close()


def test_what_was_acknowledged_survives_kill_9(output: Callable[..., str]) -> None:
    said = output(
        """
        import random, signal

        def texts(number, step):
            return [f"round {number} step {step} part {part}" for part in range(4)]

        def live(number, pipe):
            store, chosen = SqliteStore(SPACE, path), random.Random(number)
            for step in range(1_000_000):
                key, removes = str(chosen.randrange(12)), chosen.random() < 0.3
                os.write(pipe, f"{key} {step if not removes else -1}\\n".encode())
                if removes:
                    store.remove([Ref("notes", key)])
                else:
                    store.replace([item_of(key, *texts(number, step))])
                os.write(pipe, b"done\\n")

        wanted, acknowledged = {}, 0
        for number in range(40):
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                try:
                    live(number, writing)
                finally:
                    os._exit(1)
            os.close(writing)
            chosen, lines = random.Random(-number), []
            with open(reading) as log:
                enough = chosen.randrange(1, 20)
                while lines.count("done") < enough:
                    lines.append(next(log).rstrip())
                time.sleep(chosen.random() * 0.01)
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                lines += log.read().splitlines()
            begun = None
            for line in lines:
                if line == "done":
                    wanted[begun[0]], begun, acknowledged = begun[1], None, acknowledged + 1
                else:
                    key, step = line.split()
                    begun = key, None if step == "-1" else " ".join(texts(number, int(step)))
            store = SqliteStore(SPACE, path)
            assert store.check() == [], number
            for key in map(str, range(12)):
                held = store.get(Ref("notes", key))
                text = None if held is None else held.text
                allowed = {wanted.get(key), *([begun[1]] if begun and begun[0] == key else [])}
                assert text in allowed, (number, key, text, allowed)
                parts = store.fetch([ChunkId(Ref("notes", key), part) for part in range(9)])
                assert " ".join(part.chunk.text for part in parts) == (text or ""), (number, key)
                wanted[key] = text
            store.close()
        print(acknowledged)
        """
    )
    assert int(said) > 40, "hardly anything was acknowledged"


ANOTHER = "SqliteStore(SPACE, path).replace([item_of('theirs', 'of another process')])"


def _copied(path: Path) -> None:
    shutil.copytree(path.parent, path.parent.parent / "copy", dirs_exist_ok=True)


def _attached(path: Path) -> None:
    other = sqlite3.connect(":memory:")
    other.execute("attach database ? as theirs", (str(path),))
    other.execute("select count(*) from theirs.semantic_index_document").fetchone()
    other.execute("detach theirs")
    other.close()


@pytest.mark.parametrize("meddle", [_copied, _attached])
def test_a_process_that_lost_its_locks_loses_no_documents(
    meddle: Callable[[Path], None],
    item: Callable[..., Any],
    output: Callable[..., str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "data" / "index.db"
    path.parent.mkdir()
    run = f"path = Path({str(path)!r})\n{ANOTHER}"
    with closing(SqliteStore(SPACE, path)) as store:
        store.replace([item("1", "one")])
        meddle(path)
        output(run)  # takes itself for the last one, and takes the log away
        for use in (
            lambda: store.replace([item("2", "two")]),
            lambda: store.words("one", 9, Scope()),
            store.compact,
            lambda: in_thread(lambda: keys(store)),  # through a connection of its own
        ):
            with pytest.raises(StoreMisuse, match="log of the store .* was removed while open"):
                use()
    with closing(SqliteStore(SPACE, path)) as store:
        assert keys(store) == ["1", "theirs"]
        store.replace([item("2", "two")])
        assert store.check() == []


def test_a_log_that_goes_during_a_write_leaves_the_write_unacknowledged(
    store: SqliteStore, item: Callable[..., Any], path: Path
) -> None:
    store.replace([item("1", "one")])

    with pytest.raises(StoreMisuse, match="was removed while open"):
        store._pool.write(lambda view: os.unlink(f"{path}-wal"))


def test_stores_that_come_and_go_within_a_process_keep_the_log(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], output: Callable[..., str]
) -> None:
    first, second = open_store(), open_store()
    first.replace([item("1", "one")])
    second.replace([item("2", "two")])
    first.close()
    output(ANOTHER)
    third = open_store()
    assert keys(second) == keys(third) == ["1", "2", "theirs"]
    second.close()
    third.replace([item("3", "three")])
    third.close()
    assert keys(open_store()) == ["1", "2", "3", "theirs"]
