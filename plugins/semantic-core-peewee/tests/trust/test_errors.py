"""Every way to fail gives one of our errors, says in a line what to do,
and leaves the store usable.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import attrs
import nobody
import numpy as np
import pytest
from figures import record
from rules import connections, opened
from samples import EVERYTHING, SPACE, axis, fingerprint_of, item, quick_folder
from semantic_core_peewee import SqliteStore, ensure_schema_compatibility

from semantic_core import ChunkId, Condition, Document, Filter, Ref, Scope, Space
from semantic_core.analysis import WordAnalyser
from semantic_core.batch import BatchJob, Rate
from semantic_core.errors import (
    AnalyserMismatch,
    ConfigError,
    FilterInvalid,
    InputError,
    QueryTooLarge,
    SemanticCoreError,
    SpaceMismatch,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
    StoreVersion,
    TenantRefused,
    TenantRequired,
    TextInvalid,
    VectorInvalid,
)
from semantic_core.query_syntax import NO_CONDITIONS
from semantic_core.storage import OfLedger

CANARY = "kanarenvogel"
SQL = re.compile(
    r"\b(select|insert into|update \w+ set|delete from|create table|begin immediate|pragma)\b",
    re.IGNORECASE,
)
LONGEST = 500
"""Characters an error may have, hint included."""

Act = Callable[[], object]
Trigger = Callable[[Path], Iterator[Act]]


@attrs.frozen
class Case:
    """What fails, and how. cause: class of `__cause__`, None where there must be none. usable:
    whether the file is a store once the trigger has ended."""

    trigger: Trigger
    error: type[SemanticCoreError]
    cause: type[BaseException] | None
    usable: bool

    @property
    def name(self) -> str:
        return self.trigger.__name__


CASES: list[Case] = []


def raises(
    error: type[SemanticCoreError], cause: type[BaseException] | None = None, *, usable: bool = True
) -> Any:
    """Register a trigger: a generator that yields what is to fail, and then puts things right."""

    def register(trigger: Trigger) -> Trigger:
        CASES.append(Case(trigger, error, cause, usable))
        return trigger

    return register


def good(folder: Path) -> Path:
    """A store with something in it, closed."""
    with opened(folder) as store:
        store.replace(
            [item(Ref("n", "1"), f"text with {CANARY}", title=CANARY, metadata={"k": CANARY})]
        )
        return store.path


@contextmanager
def alone(path: Path, sql: str) -> Iterator[Any]:
    """A bare connection to the file, after this was run on it."""
    raw = apsw.Connection(str(path))
    try:
        raw.execute(sql).fetchall()
        yield raw
    finally:
        raw.close()


def write(store: SqliteStore) -> object:
    return store.replace([item(Ref("n", "2"), f"another {CANARY}", "second")])


# --- busy, full, read-only ------------------------------------------------------------------------

HOLD = """
import apsw, sys
raw = apsw.Connection(sys.argv[1])
raw.execute("begin immediate")
print("held", flush=True)
sys.stdin.read()
raw.execute("rollback")
"""


@raises(StoreBusy, apsw.BusyError)
def another_process_holds_the_write_lock(folder: Path) -> Iterator[Act]:
    path = good(folder)
    command = [sys.executable, "-c", HOLD, str(path)]
    with (
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as holder,
        opened(folder, busy_timeout=0.05) as store,
    ):
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        yield lambda: write(store)
        assert store.get(Ref("n", "1")) is not None, "reading goes on meanwhile"
        holder.communicate("")
        write(store)


@raises(StoreBusy)
def another_thread_is_in_the_middle_of_a_write(folder: Path) -> Iterator[Act]:
    good(folder)
    inside, leave = threading.Event(), threading.Event()

    def pause(_cursor: object, sql: str, _bindings: object) -> bool:
        if sql == "commit":
            inside.set()
            leave.wait(60)
        return True

    with opened(folder, busy_timeout=0.05) as store:
        write(store)
        (writer,) = connections(store.path)
        writer.exec_trace = pause
        thread = threading.Thread(target=lambda: store.replace([item(Ref("n", "3"), "slow")]))
        thread.start()
        inside.wait(60)
        yield lambda: write(store)
        leave.set()
        thread.join(60)
        assert store.get(Ref("n", "3")) is not None
        write(store)


@raises(StoreFull, apsw.FullError)
def there_is_no_space_left(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        write(store)
        (writer,) = connections(store.path)
        writer.pragma("max_page_count", writer.pragma("page_count"))
        yield lambda: store.replace(
            [item(Ref("n", "4"), *(f"{CANARY} {n} " * 500 for n in range(40)))]
        )
        assert store.get(Ref("n", "4")) is None
        assert store.get(Ref("n", "1")) is not None
        store.replace([item(Ref("n", "4"), *(f"{CANARY} {n} " * 500 for n in range(40)))])


@raises(TextInvalid, apsw.TooBigError)
def a_text_is_longer_than_sqlite_takes(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        write(store)
        (writer,) = connections(store.path)
        most = writer.limit(apsw.SQLITE_LIMIT_LENGTH, 5_000)
        yield lambda: store.replace([item(Ref("n", "5"), f"{CANARY} " * 5_000)])
        writer.limit(apsw.SQLITE_LIMIT_LENGTH, most)
        assert store.get(Ref("n", "5")) is None
        write(store)


@raises(StoreError, apsw.InterruptError)
def somebody_interrupts_it(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        write(store)
        (writer,) = connections(store.path)
        writer.set_progress_handler(lambda: True, 1)
        yield lambda: store.replace([item(Ref("n", "2"), "changed", "more")])
        for connection in connections(store.path):
            connection.set_progress_handler(None)
        write(store)


# --- the path -------------------------------------------------------------------------------------


@raises(StoreUnavailable, FileNotFoundError)
def there_is_no_folder(folder: Path) -> Iterator[Act]:
    good(folder)
    yield lambda: SqliteStore(SPACE, folder / "nowhere" / "index.db")


@raises(StoreUnavailable)
def the_path_is_a_folder(folder: Path) -> Iterator[Act]:
    good(folder)
    yield lambda: SqliteStore(SPACE, folder)


@raises(StoreUnavailable)
def the_path_is_a_pipe(folder: Path) -> Iterator[Act]:
    good(folder)
    os.mkfifo(folder / "pipe.db")
    yield lambda: SqliteStore(SPACE, folder / "pipe.db")


@raises(StoreUnavailable, OSError)
def a_part_of_the_path_is_a_file(folder: Path) -> Iterator[Act]:
    path = good(folder)
    yield lambda: SqliteStore(SPACE, path / "index.db")


@raises(StoreUnavailable, OSError)
def the_path_is_too_long(folder: Path) -> Iterator[Act]:
    good(folder)
    yield lambda: SqliteStore(SPACE, folder / ("x" * 256))


@raises(StoreUnavailable)
def there_is_nothing_to_bring_up(folder: Path) -> Iterator[Act]:
    good(folder)
    yield lambda: ensure_schema_compatibility(folder / "another.db")


@raises(ConfigError)
def a_nul_in_the_path(folder: Path) -> Iterator[Act]:
    good(folder)
    yield lambda: SqliteStore(SPACE, f"{folder}/a\0b.db")


@raises(ConfigError)
def a_durability_there_is_not(folder: Path) -> Iterator[Act]:
    good(folder)
    yield lambda: SqliteStore(SPACE, folder / "index.db", durability="most")  # type: ignore[arg-type]


# --- what is in the file --------------------------------------------------------------------------


@raises(StoreForeign, usable=False)
def it_is_a_diary(folder: Path) -> Iterator[Act]:
    (folder / "index.db").write_text(f"Dear diary, {CANARY}. " * 100)
    yield lambda: SqliteStore(SPACE, folder / "index.db")


@raises(StoreForeign, usable=False)
def it_is_the_database_of_another_program(folder: Path) -> Iterator[Act]:
    with alone(folder / "index.db", f"create table {CANARY} (x)"):
        pass
    yield lambda: SqliteStore(SPACE, folder / "index.db")


@raises(StoreVersion)
def it_was_written_by_a_newer_release(folder: Path) -> Iterator[Act]:
    path = good(folder)
    with alone(path, "select 1") as raw:
        version = raw.pragma("user_version")
        raw.pragma("user_version", 99)
    yield lambda: SqliteStore(SPACE, path)
    with alone(path, f"pragma user_version = {version}"):
        pass


@raises(StoreVersion)
def it_is_an_incomplete_copy(folder: Path) -> Iterator[Act]:
    path = good(folder)
    whole = path.read_bytes()
    path.write_bytes(b"")
    Path(f"{path}-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(4_096))
    yield lambda: SqliteStore(SPACE, path)
    path.write_bytes(whole)
    os.unlink(f"{path}-wal")


@raises(StoreCorrupt, apsw.CorruptError)
def it_is_cut_short(folder: Path) -> Iterator[Act]:
    path = good(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:10_000])
    yield lambda: SqliteStore(SPACE, path)
    path.write_bytes(whole)


@raises(StoreCorrupt, apsw.CorruptError)
def its_pages_are_overwritten(folder: Path) -> Iterator[Act]:
    path = good(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:16_384] + b"\xa5" * (len(whole) - 16_384))

    def use() -> None:
        with closing(SqliteStore(SPACE, path)) as store:
            store.documents(EVERYTHING)

    yield use
    path.write_bytes(whole)


@raises(StoreCorrupt, apsw.SQLError)
def a_name_in_its_schema_has_changed(folder: Path) -> Iterator[Act]:
    path = good(folder)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"text_hash text not null", b"text_hasj text not null", 1))
    assert path.read_bytes() != whole

    def use() -> None:
        with closing(SqliteStore(SPACE, path)) as store:
            store.get(Ref("n", "1"))

    yield use
    path.write_bytes(whole)


@raises(StoreCorrupt)
def it_does_not_say_what_it_holds(folder: Path) -> Iterator[Act]:
    path = good(folder)
    whole = path.read_bytes()
    with alone(path, "update semantic_index_meta set value = '{' where key = 'space'"):
        pass
    yield lambda: SqliteStore(SPACE, path)
    path.write_bytes(whole)


@raises(SpaceMismatch)
def another_embedder(folder: Path) -> Iterator[Act]:
    path = good(folder)
    yield lambda: SqliteStore(Space("another", SPACE.dimensions), path)


class _Other(WordAnalyser):
    identity = "other"


@raises(AnalyserMismatch)
def another_analyser(folder: Path) -> Iterator[Act]:
    store = SqliteStore(SPACE, good(folder), analyser=_Other())
    yield lambda: store.words("a", 1, EVERYTHING)
    store.close()


# --- misuse ---------------------------------------------------------------------------------------


@raises(StoreMisuse)
def it_is_closed(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        pass
    yield lambda: write(store)


@raises(StoreMisuse)
def it_is_written_within_its_own_snapshot(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        with store.snapshot():
            yield lambda: write(store)
            assert store.get(Ref("n", "1")) is not None
        write(store)


@raises(StoreMisuse)
def it_was_replaced(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        write(store)
        store.backup(folder / "copy.db")
        os.rename(store.path, folder / "old.db")
        os.rename(folder / "copy.db", store.path)
        yield lambda: write(store)
        for name in ("old.db", "index.db-wal", "index.db-shm"):
            (folder / name).unlink(missing_ok=True)


@raises(StoreMisuse)
def pythons_own_sqlite_has_it_open(folder: Path) -> Iterator[Act]:
    path = good(folder)
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("select * from semantic_index_meta").fetchall()
        yield lambda: SqliteStore(SPACE, path)


@raises(StoreMisuse)
def pythons_own_sqlite_wants_it(folder: Path) -> Iterator[Act]:
    good(folder)
    with opened(folder) as store:
        store.stats()
        yield lambda: sqlite3.connect(store.path)
        write(store)


@raises(StoreMisuse)
def it_has_no_tenants(folder: Path) -> Iterator[Act]:
    path = good(folder)
    yield lambda: SqliteStore(SPACE, path, multi_tenant=True)


# --- what is handed over --------------------------------------------------------------------------

HANDED_OVER: dict[str, tuple[type[SemanticCoreError], Callable[[SqliteStore], object]]] = {
    "a vector that is not finite": (
        VectorInvalid,
        lambda s: s.nearest(np.full(16, np.nan), 1, EVERYTHING),
    ),
    "a vector of another size": (
        VectorInvalid,
        lambda s: s.replace([item(Ref("n", "1"), CANARY, vectors=[np.ones(3, np.float32)])]),
    ),
    "a vector of no length": (VectorInvalid, lambda s: s.fill({"x": np.zeros(16, np.float32)})),
    "no vector to fill": (VectorInvalid, lambda s: s.fill({"x": None})),  # type: ignore[dict-item]
    "a tenant where there are none": (TenantRefused, lambda s: s.documents(Scope("acme"))),
    "a query too large": (QueryTooLarge, lambda s: s.words(f"{CANARY} " * 20_000, 1, EVERYTHING)),
    "a filter by hand": (
        FilterInvalid,
        lambda s: s.documents(Scope(filter=Filter((Condition("k", "in", (None,)),)))),  # type: ignore[arg-type]
    ),
    "a filter of very many values": (
        FilterInvalid,
        lambda s: s.documents(Scope(filter=Filter((Condition("k", "in", tuple(range(40_000))),)))),
    ),
    "a limit below zero": (InputError, lambda s: s.documents(EVERYTHING, 0, -1)),
    "a limit that is none": (InputError, lambda s: s.nearest(axis(0), True, EVERYTHING)),
    "no scope": (InputError, lambda s: s.words("x", 1, None)),  # type: ignore[arg-type]
    "no ref": (InputError, lambda s: s.get(CANARY)),  # type: ignore[arg-type]
    "no id": (InputError, lambda s: s.fetch([Ref("n", "1")])),  # type: ignore[list-item]
    "no document": (InputError, lambda s: s.replace([(CANARY, [])])),  # type: ignore[list-item]
    "an entry twice": (
        InputError,
        lambda s: s.replace([(Document(Ref("n", "1"), CANARY), item(Ref("n", "1"), "x")[1] * 2)]),
    ),
    "a stamp too large": (InputError, lambda s: s.remove([Ref("n", "1")], {Ref("n", "1"): 2**63})),
    "a query that is no text": (InputError, lambda s: s.words(b"x", 1, EVERYTHING)),  # type: ignore[arg-type]
    "a backup onto a file": (InputError, lambda s: s.backup(s.path)),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as made:
        yield made.resolve()


def is_well_told(code: str, message: str, hint: str) -> None:
    """Fail unless the error says in a line what is the matter and what to do,
    and gives nothing away.
    """
    whole = f"{message} {hint}"
    assert "\n" not in whole and len(whole) <= LONGEST, whole
    assert message.endswith("."), message
    assert CANARY not in whole, "the error tells what is in the store"
    assert not SQL.search(whole), "the error tells SQL"
    if code.startswith(("Store", "Space", "Tenant")):
        assert hint, f"{code} does not say what to do: {message}"


def is_usable(path: Path) -> None:
    """Fail unless the store can be opened, read, written and is sound."""
    with closing(SqliteStore(SPACE, path)) as store:
        assert store.get(Ref("n", "1")) is not None
        store.replace([item(Ref("n", "after"), "written afterwards")])
        assert store.words("afterwards", 1, EVERYTHING).ids[0].ref == Ref("n", "after")
        assert store.check() == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_trigger_gives_its_error(case: Case, folder: Path) -> None:
    trigger = case.trigger(folder)
    act = next(trigger)
    with pytest.raises(case.error) as caught:
        act()
    error = caught.value
    assert type(error) is case.error
    assert error.retryable == (case.error is StoreBusy)
    if case.cause is None:
        assert error.__cause__ is None
    else:
        assert isinstance(error.__cause__, case.cause), repr(error.__cause__)
    is_well_told(error.code, error.message, error.hint)
    assert next(trigger, None) is None
    if case.usable:
        is_usable(folder / "index.db")


@pytest.mark.parametrize("name", HANDED_OVER)
def test_what_is_handed_over_is_refused_and_nothing_changes(name: str, folder: Path) -> None:
    wanted, act = HANDED_OVER[name]
    good(folder)
    with opened(folder) as store:
        before = store.documents(EVERYTHING), store.stats().chunks
        with pytest.raises(wanted) as caught:
            act(store)
        assert type(caught.value) is wanted
        is_well_told(caught.value.code, caught.value.message, caught.value.hint)
        assert (store.documents(EVERYTHING), store.stats().chunks) == before
    is_usable(folder / "index.db")


def test_a_store_of_tenants_wants_one(folder: Path) -> None:
    with opened(folder, multi_tenant=True) as store:
        for act in (
            lambda: store.documents(EVERYTHING),
            lambda: store.get(Ref("n", "1")),
            lambda: store.replace([item(Ref("n", "1"), CANARY)]),
            lambda: store.stats(""),
        ):
            with pytest.raises(TenantRequired) as caught:
                act()
            is_well_told(caught.value.code, caught.value.message, caught.value.hint)
        assert store.stats().documents == 0


WITHOUT_RIGHTS = {
    "a folder one may not enter": ("open", 0o700, 0o644, "StoreUnavailable"),
    "a file one may not read": ("open", 0o755, 0o600, "StoreUnavailable"),
    "a file and folder one may only read": ("write", 0o755, 0o644, "StoreReadOnly"),
    "a file one may only read": ("write", 0o777, 0o644, "StoreReadOnly"),
    "a folder one may only read": ("write", 0o755, 0o666, "StoreReadOnly"),
    "a folder to make one in": ("make", 0o755, None, "StoreReadOnly"),
}


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="there are no such rights here")
@pytest.mark.parametrize("name", WITHOUT_RIGHTS)
def test_someone_without_rights_is_told_so(name: str, folder: Path) -> None:
    action, folder_mode, file_mode, wanted = WITHOUT_RIGHTS[name]
    path = good(folder)
    if file_mode is None:
        path.unlink()
    else:
        path.chmod(file_mode if os.geteuid() == 0 else file_mode & 0o444)
    folder.chmod(
        folder_mode if os.geteuid() == 0 else folder_mode & 0o555 if "enter" not in name else 0o000
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }
    command = [sys.executable, nobody.__file__, action, str(path)]
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    finally:
        folder.chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["code"] == wanted, told
    is_well_told(told["code"], told["message"], told["hint"])
    if file_mode is not None:
        path.chmod(0o600)
        is_usable(path)


def within(manager: AbstractContextManager[None], act: Callable[[], object]) -> None:
    with manager:
        act()


AFTER_CLOSING: dict[str, Callable[[SqliteStore, Path], object]] = {
    "replace": lambda store, folder: store.replace([]),
    "remove": lambda store, folder: store.remove([]),
    "known": lambda store, folder: store.known(["x"]),
    "nearest": lambda store, folder: store.nearest(axis(0), 1, EVERYTHING),
    "similarity": lambda store, folder: store.similarity([ChunkId(Ref("n", "1"), 0)], axis(0)),
    "words": lambda store, folder: store.words("x", 1, EVERYTHING),
    "score": lambda store, folder: store.score([ChunkId(Ref("n", "1"), 0)], "x"),
    "titled": lambda store, folder: store.titled("x", 1, EVERYTHING),
    "meeting": lambda store, folder: store.meeting([Ref("n", "1")], NO_CONDITIONS),
    "vectors": lambda store, folder: store.vectors([ChunkId(Ref("n", "1"), 0)]),
    "full_score": lambda store, folder: store.full_score("x"),
    "count": lambda store, folder: store.count("x", EVERYTHING),
    "facets": lambda store, folder: store.facets("x", EVERYTHING, {"a": 1}),
    "ordered": lambda store, folder: store.ordered(
        None, EVERYTHING, "a", descending=False, limit=1
    ),
    "word_counts": lambda store, folder: store.word_counts(["x"], EVERYTHING),
    "words_like": lambda store, folder: store.words_like("x", 1, EVERYTHING),
    "words_near": lambda store, folder: store.words_near("x", 1, 1, EVERYTHING),
    "use_analyser": lambda store, folder: store.use_analyser(WordAnalyser()),
    "reanalyse": lambda store, folder: store.reanalyse(WordAnalyser()),
    "fetch": lambda store, folder: store.fetch([ChunkId(Ref("n", "1"), 0)]),
    "get": lambda store, folder: store.get(Ref("n", "1")),
    "documents": lambda store, folder: store.documents(EVERYTHING),
    "stats": lambda store, folder: store.stats(),
    "renew_identity": lambda store, folder: store.renew_identity(),
    "checkpoints": lambda store, folder: store.checkpoints(),
    "checkpoint": lambda store, folder: store.checkpoint("a"),
    "update_checkpoint": lambda store, folder: store.update_checkpoint("a", str),
    "advancing": lambda store, folder: within(store.advancing("a", str), lambda: store.remove([])),
    "waiting_at_most": lambda store, folder: within(
        store.waiting_at_most(0.0), lambda: store.remove([])
    ),
    "pending": lambda store, folder: store.pending(1),
    "fill": lambda store, folder: store.fill({fingerprint_of("x"): axis(0)}),
    "bulk_update_vectors": lambda store, folder: store.bulk_update_vectors(
        {fingerprint_of("x"): axis(0)}
    ),
    "waiting": lambda store, folder: store.waiting(1, 0.0),
    "waiting_size": lambda store, folder: store.waiting_size(),
    "open_job": lambda store, folder: store.open_job(BatchJob("1", "job"), 1),
    "extend_job": lambda store, folder: store.extend_job("1", 1),
    "passages_of": lambda store, folder: store.passages_of("1"),
    "jobs": lambda store, folder: store.jobs(),
    "job": lambda store, folder: store.job("1"),
    "lease_job": lambda store, folder: store.lease_job("1", "me", 0.0, 1.0),
    "note_job": lambda store, folder: store.note_job("1", 0.0, tries=1),
    "settle": lambda store, folder: store.settle("1", {}, {}, None, 0.0),
    "close_job": lambda store, folder: store.close_job(
        "1", "FAILED", 0.0, error="", rest="free", attempts=1
    ),
    "clean_job": lambda store, folder: store.clean_job("1", 0.0),
    "pay_job": lambda store, folder: store.pay_job(
        "1", Rate("2026-01-01", "m", "batch", 0.25, 1, "USD"), 1, 1
    ),
    "reopen_job": lambda store, folder: store.reopen_job("1", 0.0, None, 0, 0),
    "drop_job": lambda store, folder: store.drop_job("1"),
    "hold": lambda store, folder: store.hold([fingerprint_of("x")], 0.0, 1.0),
    "held": lambda store, folder: store.held("job", [fingerprint_of("x")]),
    "take": lambda store, folder: store.take(1, 0.0, 1.0),
    "release": lambda store, folder: store.release("-1"),
    "retry": lambda store, folder: store.retry(),
    "chunk_states": lambda store, folder: store.chunk_states([ChunkId(Ref("n", "1"), 0)]),
    "given_up": lambda store, folder: store.given_up(),
    "queue_stats": lambda store, folder: store.queue_stats(),
    "charge": lambda store, folder: store.charge(
        Rate("2026-01-01", "m", "batch", 0.25, 1, "USD"), {}
    ),
    "costs": lambda store, folder: store.costs(),
    "revision": lambda store, folder: store.revision(),
    "snapshot": lambda store, folder: store.snapshot().__enter__(),
    "check": lambda store, folder: store.check(),
    "notes": lambda store, folder: store.notes(),
    "repair": lambda store, folder: store.repair(),
    "backup": lambda store, folder: store.backup(folder / "copy.db"),
    "put_in_place": lambda store, folder: store.put_in_place(folder / "placed.db"),
    "compact": lambda store, folder: store.compact(),
}


def test_every_method_of_a_closed_store_says_that_it_is_closed(folder: Path) -> None:
    offered = {
        name: inspect.getattr_static(SqliteStore, name)
        for name in dir(SqliteStore)
        if not name.startswith("_")
    }
    # A classmethod is not: it makes a store.
    methods = {name for name, one in offered.items() if callable(one) or isinstance(one, OfLedger)}
    assert methods - {"close"} == set(AFTER_CLOSING)
    good(folder)
    with opened(folder) as store:
        pass
    for act in AFTER_CLOSING.values():
        with pytest.raises(StoreMisuse) as caught:
            act(store, folder)
        is_well_told(caught.value.code, caught.value.message, caught.value.hint)
    store.close()
    is_usable(folder / "index.db")


def test_every_error_of_the_store_is_triggered() -> None:
    triggered = (
        {case.error for case in CASES}
        | {wanted for wanted, _ in HANDED_OVER.values()}
        | {TenantRequired}
    )
    assert set(StoreError.__subclasses__()) <= triggered | {StoreReadOnly}
    of_the_kernel = {
        one for one in InputError.__subclasses__() if one.__module__ == InputError.__module__
    }
    assert of_the_kernel - triggered == {_of_files()}
    triggers = len(CASES) + len(HANDED_OVER) + len(WITHOUT_RIGHTS) + len(AFTER_CLOSING) + 1
    record("errors", triggers=triggers, classes=len(triggered | {StoreReadOnly}))


def _of_files() -> type[SemanticCoreError]:
    from semantic_core.errors import FileUnreadable

    return FileUnreadable
