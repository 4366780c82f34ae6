"""Disks that are full, cannot be written, are shared over a network or change under a running
process; files of others.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest
from crash_history import SPACE as HISTORY_SPACE
from crash_history import Model, differences, step
from figures import SOAK, record
from rules import opened
from samples import EVERYTHING, SPACE, axis, item, quick_folder
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import connection
from semantic_core_peewee.sqlite.connection import NETWORKED, kind_of

from semantic_core import Ref
from semantic_core.errors import (
    StoreError,
    StoreForeign,
    StoreFull,
    StoreMisuse,
    StoreReadOnly,
    StoreVersion,
)

WRITES = 80
"""Of a history, each tried on a disk that is about to be full."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as made:
        yield made.resolve()


class Limit:
    """Pages the file may have, for every connection opened while it is in force."""

    def __init__(self) -> None:
        self.pages = 2**30
        self.connections: list[apsw.Connection] = []

    def __call__(self, connection: apsw.Connection) -> None:
        self.connections.append(connection)
        connection.pragma("max_page_count", self.pages)

    def put(self, pages: int | None) -> None:
        """From now on so many more than there are, for those that are open as well;
        None is as many as one likes.
        """
        self.pages = 2**30
        for each in list(self.connections):
            try:
                if pages is not None:
                    self.pages = each.pragma("page_count") + pages
                each.pragma("max_page_count", self.pages)
            except apsw.ConnectionClosedError:
                self.connections.remove(each)


def test_a_full_disk_refuses_a_write_whole_and_loses_none(folder: Path) -> None:
    limit, model, refused = Limit(), Model(), 0
    apsw.connection_hooks.append(limit)
    try:
        store = SqliteStore(HISTORY_SPACE, folder / "full.db")
        with closing(store):
            for number in range(WRITES * SOAK):
                limit.put(number % 2)
                one = step(20_260_304, number, keys=400)
                try:
                    one.apply(store)
                except StoreFull as error:
                    refused += 1
                    assert "space" in error.message and error.hint
                    assert differences(store, model) == []
                    limit.put(None)
                    one.apply(store)
                limit.put(None)
                model = model.after(one)
            assert differences(store, model) == []
            assert store.check() == []
    finally:
        apsw.connection_hooks.remove(limit)
    assert refused >= 20, "the disk was never full"
    record("disk_full", writes=WRITES * SOAK, refused=refused, lost=0, half_done=0)


@contextmanager
def mounted_read_only(source: Path, place: Path) -> Iterator[None]:
    """Within it, a file system nobody can write to, with the files of a folder;
    skips where one cannot be mounted.
    """
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        for file in source.iterdir():
            shutil.copy(file, place)
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


needs_mount = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="mounting a file system takes Linux, and root",
)


@needs_mount
def test_a_store_on_a_read_only_file_system_is_searched_and_says_that_it_cannot_be_written(
    folder: Path,
) -> None:
    made, place = folder / "made", folder / "place"
    made.mkdir()
    with opened(made) as store:
        store.replace([item(Ref("n", "1"), "a passage", metadata={"k": 1})])
    with mounted_read_only(made, place), opened(place) as store:
        assert [id.ref.key for id in store.words("passage", 5, EVERYTHING).ids] == ["1"]
        assert len(store.nearest(axis(0), 5, EVERYTHING)) == 1
        assert store.get(Ref("n", "1")) is not None
        assert (store.check(), store.notes(), store.stats().documents) == ([], [], 1)
        with pytest.raises(StoreReadOnly) as caught:
            store.replace([item(Ref("n", "2"), "another")])
        assert caught.value.hint
        store.backup(folder / "copy.db")
    with closing(SqliteStore(SPACE, folder / "copy.db")) as copy:
        copy.replace([item(Ref("n", "2"), "another")])
        assert copy.stats().documents == 2


@needs_mount
def test_a_log_left_on_a_read_only_file_system_is_not_passed_over(folder: Path) -> None:
    made, place = folder / "made", folder / "place"
    made.mkdir()
    with opened(made) as store:
        store.replace([item(Ref("n", "1"), "a passage")])
        snapshot = folder / "snapshot"
        shutil.copytree(made, snapshot)  # as a copy of a file in use is
    with mounted_read_only(snapshot, place), pytest.raises(StoreReadOnly, match="write-ahead log"):
        SqliteStore(SPACE, place / "index.db")


FOREIGN: dict[str, tuple[Callable[[Path], object], type[StoreError]]] = {
    "a diary": (lambda path: path.write_text("Dear diary, " * 100), StoreForeign),
    "one byte": (lambda path: path.write_bytes(b"x"), StoreForeign),
    "a picture": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5_000)), StoreForeign),
    "zeros": (lambda path: path.write_bytes(bytes(16_384)), StoreForeign),
    "a header and no more": (lambda path: path.write_bytes(b"SQLite format 3\0"), StoreForeign),
    "a database of another program": (lambda path: database(path, 0x0F055111, 7), StoreForeign),
    "a database of nobody": (lambda path: database(path, 0, 0), StoreForeign),
    "a store of a newer release": (lambda path: database(path, 0x53656D43, 99), StoreVersion),
}


def database(path: Path, application: int, version: int) -> None:
    """An SQLite database with something in it."""
    with closing(apsw.Connection(str(path))) as made:
        made.execute("create table theirs (x); insert into theirs values (1)")
        made.pragma("application_id", application)
        made.pragma("user_version", version)


def test_nothing_of_others_is_opened_or_changed(folder: Path) -> None:
    for name, (make, wanted) in FOREIGN.items():
        path = folder / f"{name}.db"
        make(path)
        before = {
            file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()
        }
        with pytest.raises(wanted) as caught:
            SqliteStore(SPACE, path)
        assert str(path) in caught.value.message and caught.value.hint, name
        after = {
            file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()
        }
        assert after == before, name
    record("foreign_files", tried=len(FOREIGN), changed=0)


def test_a_file_that_is_replaced_is_neither_written_nor_read_old(folder: Path) -> None:
    with opened(folder) as store:
        store.replace([item(Ref("n", "1"), "what was there")])
        store.backup(folder / "backup.db")
        store.replace([item(Ref("n", "2"), "what came after the backup")])
        # Somebody restores the backup under a running process.
        os.replace(folder / "backup.db", store.path)
        uses: list[Callable[[], Any]] = [
            lambda: store.replace([item(Ref("n", "3"), "written nowhere")]),
            lambda: store.words("after", 5, EVERYTHING),
            lambda: store.nearest(axis(0), 5, EVERYTHING),
            lambda: store.get(Ref("n", "2")),
            store.check,
        ]
        for use in uses:
            with pytest.raises(StoreMisuse, match="moved, removed or replaced"):
                use()
    for left in ("-wal", "-shm"):
        (folder / f"index.db{left}").unlink(missing_ok=True)
    with opened(folder) as store:
        assert [summary.ref.key for summary in store.documents(EVERYTHING)] == ["1"]
        assert store.check() == []


def test_a_file_that_is_gone_is_not_made_anew(folder: Path) -> None:
    with opened(folder) as store:
        store.replace([item(Ref("n", "1"), "a passage")])
        for file in folder.iterdir():
            file.unlink()
        with pytest.raises(StoreMisuse):
            store.replace([item(Ref("n", "2"), "another")])
        with pytest.raises(StoreMisuse):
            store.get(Ref("n", "1"))
    assert [file.name for file in folder.iterdir() if file.name == "index.db"] == []


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /proc rw - proc proc rw
40 22 0:50 / /srv/shared rw,relatime - nfs4 server:/export rw,vers=4.2
41 22 0:51 / /srv/my\040files rw - fuse.sshfs someone@server: rw
42 40 8:2 / /srv/shared/local rw - xfs /dev/sdb1 rw
43 22 0:52 / /mnt rw - ext4 /dev/sdc1 rw
44 43 0:53 / /mnt rw - cifs //server/share rw
"""
PLACES = {
    "/data/me/index.db": "ext4",
    "/srv/shared/index.db": "nfs4",
    "/srv/sharedindex.db": "ext4",
    "/srv/shared/local/index.db": "xfs",
    "/srv/my files/index.db": "fuse.sshfs",
    "/mnt/index.db": "cifs",
}


@pytest.mark.parametrize("path", PLACES)
def test_the_kind_of_file_system_is_that_of_the_innermost_mount(path: str) -> None:
    assert kind_of(path, MOUNTS) == PLACES[path]
    assert (PLACES[path] in NETWORKED) == (PLACES[path] in ("nfs4", "fuse.sshfs", "cifs"))


def test_a_network_file_system_is_noted_by_the_store(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = folder / "mounts"
    with opened(folder) as store:
        for kind, noted in (("nfs4", True), ("ext4", False)):
            table.write_text(f"1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {folder} rw - {kind} x rw\n")
            monkeypatch.setattr(connection, "_TABLE", table)
            assert [kind in note and "local disk" in note for note in store.notes()] == [
                True
            ] * noted
            assert store.stats().details["file_system"] == kind


def came_and_went(path: Path) -> None:
    """Another process opens the store and closes it."""
    code = (
        "import sys; from semantic_core import Space; "
        "from semantic_core_peewee import SqliteStore; "
        "store = SqliteStore(Space(*eval(sys.argv[2])), sys.argv[1]); store.stats(); store.close()"
    )
    space = repr((SPACE.model, SPACE.dimensions))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(
        [sys.executable, "-c", code, str(path), space], env=environment, check=True, timeout=60
    )


def test_a_second_library_is_refused_from_both_sides_and_loses_nothing(folder: Path) -> None:
    tried = 0
    with opened(folder) as store:
        for number in range(20):
            store.replace([item(Ref("n", str(number)), f"passage {number}")])
            for spelled in (
                str(store.path),
                store.path,
                f"file:{store.path}?mode=ro",
                os.fsencode(store.path),
            ):
                with pytest.raises(StoreMisuse, match="sqlite3 must not open it"):
                    sqlite3.connect(
                        spelled, uri=isinstance(spelled, str) and spelled.startswith("file:")
                    )
                tried += 1
        assert store.stats().documents == 20
        assert store.check() == []
        with closing(sqlite3.connect(":memory:")) as past:
            past.execute("attach database ? as index_of_ours", (str(store.path),))
            past.execute("select count(*) from index_of_ours.semantic_index_document").fetchone()
        came_and_went(store.path)
        with pytest.raises(StoreMisuse, match="was removed while open"):
            store.replace([item(Ref("n", "lost"), "written nowhere")])
    with opened(folder) as store:
        assert store.stats().documents == 20 and store.check() == []
    with closing(sqlite3.connect(folder / "index.db")) as theirs:
        assert theirs.execute("select count(*) from semantic_index_document").fetchone() == (20,)
        if os.path.isdir("/proc/self/fd"):
            with pytest.raises(StoreMisuse, match="already open in this process"):
                SqliteStore(SPACE, folder / "index.db")
            tried += 1
    record("second_library", tried=tried, let_through=0)
