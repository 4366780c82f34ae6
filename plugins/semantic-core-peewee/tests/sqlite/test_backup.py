"""Copies of a store: never incomplete, and never put beside the log of another file."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import backup

from semantic_core import Ref, Scope, Space
from semantic_core.errors import InputError, StoreBusy, StoreForeign, StoreMisuse

SPACE = Space("test", 8)


def keys(store: SqliteStore) -> list[str]:
    return [summary.ref.key for summary in store.documents(Scope(), limit=1_000)]


def modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.fixture
def open_umask() -> Iterator[None]:
    """Within it, new files are readable by all unless somebody says otherwise."""
    before = os.umask(0o022)
    yield
    os.umask(before)


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_backup_that_is_cut_off_is_not_at_its_path(
    store: SqliteStore, item: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.replace([item("1", "one")])
    copy = tmp_path / "copy.db"
    seen: list[list[str]] = []

    def stopped(path: str) -> str:
        seen.append(sorted(file.name for file in tmp_path.iterdir() if "copy" in file.name))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(backup, "_verdict", stopped)
        patch.setattr(backup, "_remove", lambda part: None)  # nobody is left to do it
        with pytest.raises(Killed):
            store.backup(copy)
    assert "copy.db" not in seen[0] and "copy.db.part" in seen[0]
    assert not copy.exists()
    store.backup(copy)  # what was left is in nobody's way
    with closing(SqliteStore(SPACE, copy)) as made:
        assert keys(made) == ["1"]
    assert [file.name for file in tmp_path.iterdir() if "copy" in file.name] == ["copy.db"]


def test_a_killed_backup_leaves_nothing_at_its_path(
    store: SqliteStore,
    item: Callable[..., Any],
    path: Path,
    process: Callable[..., Any],
) -> None:
    store.replace([item(str(number), "word " * 2_000) for number in range(300)])
    copy = path.with_name("copy.db")
    running = process(
        """
        store = SqliteStore(SPACE, path)
        store.stats()
        print("go", flush=True)
        store.backup(path.with_name("copy.db"))
        """
    )
    running.stdout.readline()
    while not copy.with_name("copy.db.part").exists() and not copy.exists():
        assert running.poll() in (None, 0)
    running.kill()
    running.wait()
    if copy.exists():  # it was faster than we are; then it is whole
        with closing(SqliteStore(SPACE, copy)) as made:
            assert len(keys(made)) == 300 and made.check() == []


def test_a_copy_is_put_in_the_place_of_a_store(
    store: SqliteStore, item: Callable[..., Any], path: Path
) -> None:
    store.replace([item("1", "one")])
    store.backup(path.with_name("copy.db"))
    store.replace([item("2", "two")])
    with closing(SqliteStore(SPACE, path.with_name("copy.db"))) as copy:
        with pytest.raises(StoreBusy, match="is open in a process"):
            copy.put_in_place(path)
        assert keys(store) == ["1", "2"]
        store.close()
        with pytest.raises(InputError, match="the backup itself"):
            copy.put_in_place(copy.path)
        copy.put_in_place(path)
        copy.put_in_place(path.with_name("elsewhere.db"))
    for place in (path, path.with_name("elsewhere.db")):
        with closing(SqliteStore(SPACE, place)) as restored:
            assert keys(restored) == ["1"] and restored.check() == []
            restored.replace([item("3", "three")])


def test_a_store_that_is_open_in_another_process_is_not_replaced(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    path: Path,
    process: Callable[..., Any],
) -> None:
    with closing(open_store()) as store:
        store.replace([item("1", "one")])
        store.backup(path.with_name("copy.db"))
    running = process(
        "store = SqliteStore(SPACE, path); store.stats(); print('go', flush=True); input()"
    )
    running.stdout.readline()
    with closing(SqliteStore(SPACE, path.with_name("copy.db"))) as copy:
        with pytest.raises(StoreBusy):
            copy.put_in_place(path)
        running.communicate("\n")
        copy.put_in_place(path)


def test_a_file_of_another_program_is_not_replaced(store: SqliteStore, tmp_path: Path) -> None:
    theirs = tmp_path / "diary.txt"
    theirs.write_text("Dear diary, " * 100)
    with pytest.raises(StoreForeign):
        store.put_in_place(theirs)
    assert theirs.read_text().startswith("Dear diary")


LOSES_ITS_PROCESS = """
    store = SqliteStore(SPACE, path)
    store.replace([item_of(str(number), f"old {number}") for number in range(50)])
    store.backup(path.with_name("copy.db"))
    store.replace([item_of(str(number), f"new {number}") for number in range(90)])
    os.kill(os.getpid(), 9)
"""


def _left_a_log(path: Path, process: Callable[..., Any]) -> None:
    process(LOSES_ITS_PROCESS).wait()
    assert path.with_name("index.db-wal").stat().st_size


def test_a_backup_beside_the_log_of_another_file_is_opened_without_it(
    path: Path, process: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The log is kept: the file it is of may be somewhere else."""
    for number in ("", "1"):
        _left_a_log(path, process)
        log = path.with_name("index.db-wal").read_bytes()
        shutil.copy(path.with_name("copy.db"), path)
        caplog.clear()
        with closing(SqliteStore(SPACE, path)) as store:
            assert len(keys(store)) == 50 and store.check() == []
            assert len(store.words("new", 5, Scope())) == 0
            store.replace([])
        (told,) = caplog.messages
        aside = path.with_name(f"index.db-wal.of-the-former-file{number}")
        assert str(aside) in told and "semantic-core restore" in told
        assert aside.read_bytes() == log
        for file in (path, path.with_name("copy.db")):
            file.unlink()


def test_a_log_that_is_in_use_or_cannot_be_moved_is_left_where_it_is(
    path: Path, process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _left_a_log(path, process)
    shutil.copy(path.with_name("copy.db"), path)

    def refused(*names: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refused)
        with pytest.raises(StoreMisuse, match="is the log of another file") as caught:
            SqliteStore(SPACE, path)
    assert "index.db-wal" in caught.value.hint and "restore" in caught.value.hint
    running = process(
        """
        import apsw
        flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
        file = apsw.VFSFile("", str(path), flags)
        file.xLock(apsw.SQLITE_LOCK_SHARED)
        print("go", flush=True)
        input()
        """
    )
    running.stdout.readline()
    with pytest.raises(StoreMisuse, match="is the log of another file"):
        SqliteStore(SPACE, path)
    running.communicate("\n")
    assert path.with_name("index.db-wal").stat().st_size


def test_a_copy_is_put_in_place_without_the_log_that_was_left(
    path: Path, process: Callable[..., Any]
) -> None:
    _left_a_log(path, process)
    with closing(SqliteStore(SPACE, path.with_name("copy.db"))) as copy:
        copy.put_in_place(path)
    with closing(SqliteStore(SPACE, path)) as store:
        assert len(keys(store)) == 50 and store.check() == []
        assert len(store.words("new", 5, Scope())) == 0


def test_a_store_overwritten_with_a_backup_while_open_says_so(
    store: SqliteStore, item: Callable[..., Any], path: Path
) -> None:
    store.replace([item("1", "one")])
    store.backup(path.with_name("copy.db"))
    store.replace([item("2", "two")])
    shutil.copyfile(path.with_name("copy.db"), path)  # keeps the inode
    for use in (lambda: keys(store), lambda: store.replace([item("3", "three")]), store.compact):
        with pytest.raises(StoreMisuse, match="was overwritten with a backup while open"):
            use()
    store.close()
    with closing(SqliteStore(SPACE, path)) as restored:
        assert keys(restored) == ["1"] and restored.check() == []


@pytest.mark.usefixtures("open_umask")
def test_nobody_else_may_read_a_store_its_log_or_a_copy(tmp_path: Path, item: Any) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    with closing(SqliteStore(SPACE, folder / "index.db")) as store:
        store.replace([item("1", "one")])
        store.backup(folder / "copy.db")
        store.put_in_place(folder / "placed.db")
        found = modes(folder)
        assert {"index.db", "index.db-wal", "index.db-shm", "copy.db"} <= found.keys()
        assert set(found.values()) == {0o600}, found


@pytest.mark.usefixtures("open_umask")
@pytest.mark.parametrize("rights", [0o600, 0o640, 0o660])
def test_an_index_beside_a_database_has_its_rights(rights: int, tmp_path: Path, item: Any) -> None:
    database = tmp_path / "app.db"
    database.touch()
    database.chmod(rights)
    path = tmp_path / "app.db.semantic.db"
    with closing(SqliteStore(SPACE, path)) as store:
        store.replace([item("1", "one")])
        store.backup(tmp_path / "copy.db")
        found = modes(tmp_path)
        assert {found.pop("copy.db"), found.pop("app.db")} == {0o600, rights}
        assert found.keys() >= {f"{path.name}-wal", f"{path.name}-shm"}
        assert set(found.values()) == {rights}, found
    with closing(SqliteStore(SPACE, tmp_path / "copy.db")) as copy:
        copy.put_in_place(path)
    assert modes(tmp_path)[path.name] == rights


def test_rights_of_a_store_stay_as_they_were_set(tmp_path: Path, item: Any) -> None:
    path = tmp_path / "index.db"
    SqliteStore(SPACE, path).close()
    path.chmod(0o640)
    with closing(SqliteStore(SPACE, path)) as store:
        store.replace([item("1", "one")])
        assert store.get(Ref("notes", "1")) is not None
        assert set(modes(tmp_path).values()) == {0o640}
