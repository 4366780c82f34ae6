"""Disks that fail: a write is complete or has changed nothing, the error names the cause, and the
store can be used again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite.errors import is_damage, is_suspect, translate

from semantic_core import Ref, Scope
from semantic_core.errors import (
    InputError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
    TextInvalid,
)


class Disk(apsw.VFS):
    """The usual disk, until its `left`-th call from now fails: once, or from then on."""

    def __init__(self) -> None:
        self.left, self.sticky, self.error = 0, False, "SQLITE_IOERR"
        super().__init__("failing", "unix", makedefault=True)

    def arm(self, left: int, *, sticky: bool = False, error: str = "IOError") -> None:
        self.left, self.sticky, self.error = left, sticky, error

    def call(self, code: int) -> None:
        if self.left == 0:
            return
        if self.left > 1:
            self.left -= 1
            return
        self.left = 1 if self.sticky else 0
        failure = apsw.exception_for(code)
        failure.extendedresult = code
        raise failure

    def xOpen(self, name: Any, flags: Any) -> Any:
        return DiskFile(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        self.call(apsw.SQLITE_IOERR_DELETE)
        super().xDelete(name, sync)


class DiskFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: Any) -> None:
        self.disk = disk
        super().__init__("unix", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self.disk.call(apsw.SQLITE_IOERR_READ)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.call(apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.disk.call(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)

    def xTruncate(self, size: int) -> None:
        self.disk.call(apsw.SQLITE_IOERR_TRUNCATE)
        super().xTruncate(size)


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.unregister()
    apsw.set_default_vfs("unix")


def state(store: SqliteStore) -> Any:
    found = [(one.ref.key, one.title, one.chunks, one.pending) for one in store.documents(Scope())]
    return found, [
        (word, store.words(word, 9, Scope()).ids) for word in ("apple", "banana", "cherry", "date")
    ]


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("operation", ["replace", "remove", "fill"])
def test_a_call_of_the_disk_that_fails_leaves_all_or_nothing(
    operation: str,
    sticky: bool,
    disk: Disk,
    space: Any,
    tmp_path: Path,
    item: Callable[..., Any],
    vector: Any,
) -> None:
    template = tmp_path / "template.db"
    store = SqliteStore(space, template)
    store.replace([item("1", "apple", "banana"), item("2", "cherry", vectors=False)])
    before = state(store)
    store.close()
    waiting = item("2", "cherry")[1][0].fingerprint
    operations: dict[str, Callable[[SqliteStore], object]] = {
        "replace": lambda store: store.replace([item("1", "date"), item("3", "apple")]),
        "remove": lambda store: store.remove([Ref("notes", "1"), Ref("notes", "2")]),
        "fill": lambda store: store.fill({waiting: vector("cherry")}),
    }
    write, failed = operations[operation], 0
    for last in range(1, 400):
        path = tmp_path / f"{last}.db"
        shutil.copy(template, path)
        store = SqliteStore(space, path)
        disk.arm(last, sticky=sticky)
        error = None
        try:
            write(store)
        except StoreError as raised:
            error = raised
        unreached = disk.left > 0 and not (sticky and error)
        disk.arm(0)
        if error is None:
            assert state(store) != before
        else:
            failed += 1
            assert isinstance(error, StoreUnavailable | StoreFull | StoreCorrupt), error
            assert isinstance(error.__cause__, apsw.Error) and "cannot rollback" not in str(
                error
            ), error
            assert state(store) == before, (last, error)
        assert store.check() == []
        write(store)
        assert state(store) != before
        store.close()
        reopened = SqliteStore(space, path)
        assert state(reopened) != before and reopened.check() == []
        reopened.close()
        if unreached:
            break
    assert failed > 3, "the disk never failed"


def test_a_full_disk_says_so_and_takes_writes_again_when_there_is_room(
    output: Callable[..., str],
) -> None:
    said = output(
        """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = SqliteStore(SPACE, path)
        store.replace([item_of("1", "one")])
        size = store.stats().bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200_000, resource.RLIM_INFINITY))
        failed = 0
        for number in range(200):
            try:
                parts = [f"{number} {part} " + "word " * 2_000 for part in range(10)]
                store.replace([item_of(f"big-{number}", *parts)])
            except StoreFull as error:
                failed += 1
                assert "space" in error.message and error.hint, error
                assert len(store.words("one", 1, Scope())) == 1
                assert store.get(Ref("notes", f"big-{number}")) is None
                if failed == 3:
                    break
        assert failed == 3
        there = store.stats().documents
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.replace([item_of("after", "after")])
        print(store.stats().documents == there + 1, store.check())
        store.close()
        """
    )
    assert said == "True []"


def test_a_full_file_system_says_so(tmp_path: Path, output: Callable[..., str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        said = output(
            """
            store = SqliteStore(SPACE, sys.argv[3])
            store.replace([item_of("1", "one")])
            try:
                for number in range(1_000):
                    store.replace([item_of(f"big-{number}", f"{number} " + "word " * 20_000)])
            except StoreFull as error:
                there = store.get(Ref("notes", f"big-{number}"))
                print("full", len(store.words("one", 1, Scope())), there)
            try:
                SqliteStore(SPACE, sys.argv[3] + "-other")
            except StoreFull:
                print("no room for another", os.path.exists(sys.argv[3] + "-other"))
            """,
            arguments=[str(place / "index.db")],
        )
        assert said.split("\n") == ["full 1 None", "no room for another False"]
    finally:
        subprocess.run(["umount", str(place)], check=True)


def apsw_error(code: int) -> apsw.Error:
    return apsw.exception_for(code)


KINDS = {
    apsw.SQLITE_BUSY: StoreBusy,
    apsw.SQLITE_BUSY_SNAPSHOT: StoreBusy,
    apsw.SQLITE_BUSY_RECOVERY: StoreBusy,
    apsw.SQLITE_LOCKED: StoreBusy,
    apsw.SQLITE_PROTOCOL: StoreBusy,
    apsw.SQLITE_FULL: StoreFull,
    apsw.SQLITE_IOERR_WRITE: StoreUnavailable,
    apsw.SQLITE_IOERR_DELETE_NOENT: StoreMisuse,
    apsw.SQLITE_READONLY: StoreReadOnly,
    apsw.SQLITE_READONLY_DBMOVED: StoreMisuse,
    apsw.SQLITE_READONLY_CANTINIT: StoreReadOnly,
    apsw.SQLITE_CANTOPEN: StoreUnavailable,
    apsw.SQLITE_NOTADB: StoreForeign,
    apsw.SQLITE_CORRUPT: StoreCorrupt,
    apsw.SQLITE_CORRUPT_VTAB: StoreCorrupt,
    apsw.SQLITE_CONSTRAINT_UNIQUE: StoreCorrupt,
    apsw.SQLITE_TOOBIG: TextInvalid,
    apsw.SQLITE_NOMEM: StoreError,
    apsw.SQLITE_INTERRUPT: StoreError,
    apsw.SQLITE_ERROR: StoreError,
}


@pytest.mark.parametrize(
    ("code", "wanted"),
    KINDS.items(),
    ids=[apsw.mapping_result_codes.get(c & 255, c) for c in KINDS],
)
def test_every_result_code_becomes_one_of_our_errors(code: int, wanted: type[Exception]) -> None:
    made = translate(apsw_error(code), "index.db")
    assert type(made) is wanted and "index.db" in made.message and made.hint
    assert made.retryable is (wanted is StoreBusy)
    primary = code & 0xFF
    assert is_damage(apsw_error(code)) is (primary in (apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB))
    last_word = (
        apsw.SQLITE_IOERR,
        apsw.SQLITE_FULL,
        apsw.SQLITE_NOMEM,
        apsw.SQLITE_CORRUPT,
        apsw.SQLITE_NOTADB,
    )
    assert is_suspect(apsw_error(code)) is (primary in last_word)


def test_errors_that_carry_no_code_are_ours_too() -> None:
    cases: dict[BaseException, type[Exception]] = {
        apsw.ThreadingViolationError("busy in another thread"): StoreMisuse,
        apsw.ConnectionClosedError("closed"): StoreMisuse,
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"): StoreCorrupt,
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "bad"): InputError,
        OverflowError("int too big"): InputError,
    }
    for error, wanted in cases.items():
        assert type(translate(error, "index.db")) is wanted


def test_the_first_error_is_told_not_the_one_of_the_rollback(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    class Broken(Exception):
        pass

    def work(view: Any) -> None:
        view.raw.execute("insert into semantic_index_meta (key, value) values ('a', 'b')")
        view.raw.execute("rollback")  # as SQLite does by itself after some errors
        raise Broken

    with pytest.raises(Broken):
        store._pool.write(work)
    with pytest.raises(StoreCorrupt, match="UNIQUE") as caught:
        store._pool.write(
            lambda view: view.raw.execute(
                "insert into semantic_index_meta (key, value) values ('space', '')"
            )
        )
    assert isinstance(caught.value.__cause__, apsw.ConstraintError)
    assert store.replace([item("1", "one")]).count("added") == 1 and store.check() == []


def test_a_sign_of_damage_is_looked_at_again_before_it_is_believed(store: SqliteStore) -> None:
    seen: list[Any] = []

    def work(view: Any) -> str:
        seen.append(view.raw)
        if len(seen) % 2:
            raise apsw_error(apsw.SQLITE_CORRUPT)
        return "sound"

    assert store._pool.read(work) == "sound" and seen[0] is not seen[1]
    assert store._pool.write(work) == "sound" and seen[2] is not seen[3]

    def broken(view: Any) -> None:
        raise apsw_error(apsw.SQLITE_CORRUPT)

    for run in (store._pool.read, store._pool.write):
        with pytest.raises(StoreCorrupt):
            run(broken)
    assert store.check() == []
