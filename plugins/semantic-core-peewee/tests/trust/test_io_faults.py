"""Each file operation of each operation of a store fails in turn: nothing is half done, and the
error names the cause.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import apsw
import pytest
from crash_history import SPACE, Model, Step, folder_in_memory, judge, log_of, vector, version
from faulty_disk import Fault, FaultyDisk
from figures import MEASURING, SOAK, record
from semantic_core_peewee import SqliteStore

from semantic_core.errors import SemanticCoreError, StoreFull, StoreUnavailable
from semantic_core.types import ChunkId, Scope

NAME, COPY = "faults.db", "copy.db"
SEED = 1
HELD = [version(SEED, key, 1) for key in ("a", "b", "c", "d")]
BEFORE = Model().after(Step(0, HELD))
WAITING = [entry.fingerprint for entry in BEFORE.entries() if entry.vector is None]
LATER = Step(9, [version(SEED, "z", 9)])
"""A write that is done when the disk is well again."""

Act = Callable[[Any, Path], Any]


@dataclass(frozen=True)
class Operation:
    """What is done while the disk fails; act gets the store and the path. step: what it writes.

    begin: with an open store nothing was asked of, with one that has read and written, with none,
    or with not even a file.
    pages: of the log, after which it is emptied within a commit. each: which calls fail in a plain
    run, 1 is every one (the first five and the last five always do); one that copies page after
    page has many that are alike.
    """

    name: str
    act: Act
    step: Step | None = None
    begin: Literal["cold", "warm", "closed", "nothing"] = "cold"
    pages: int = 1_000
    each: int = 12

    def __str__(self) -> str:
        return self.name

    @property
    def states(self) -> list[Model]:
        """Before and after."""
        before = Model() if self.begin == "nothing" else BEFORE
        return [before] if self.step is None else [before, before.after(self.step)]


def writing(name: str, step: Step, **more: Any) -> Operation:
    """The operation that makes this write."""
    return Operation(name, lambda store, path: step.apply(store), step, **more)


def opened(store: None, path: Path) -> Any:
    """Opens a store, asks for something, and closes it."""
    with closing(SqliteStore(SPACE, path)) as made:
        return made.stats().documents


def searched(store: SqliteStore, path: Path) -> Any:
    """Everything a search asks for."""
    ids = [ChunkId(document.ref, 0) for document, _ in HELD]
    near = store.nearest(vector("the query"), 5, Scope())
    return [
        near,
        store.words("everywhere av1c0", 5, Scope()),
        store.fetch(ids),
        store.get(HELD[0][0].ref),
    ]


def listed(store: SqliteStore, path: Path) -> Any:
    """What an administrator asks for."""
    return [store.documents(Scope()), store.pending(10), store.stats().chunks]


ADD = Step(1, [version(SEED, "e", 1), version(SEED, "f", 1)])
UPDATE = Step(2, [version(SEED, "a", 2), version(SEED, "b", 2)])
REMOVE = Step(3, removed=[HELD[0][0].ref, HELD[2][0].ref])
FILL = Step(4, vectors={name: vector(name) for name in WAITING})

OPERATIONS = [
    writing("add", ADD),
    writing("update", UPDATE),
    writing("update, warm", UPDATE, begin="warm"),
    writing("update that empties the log", UPDATE, begin="warm", pages=1, each=16),
    writing("remove", REMOVE),
    writing("fill", FILL),
    Operation("compact", lambda store, path: store.compact(), begin="warm", each=32),
    Operation("search", searched),
    Operation("search, warm", searched, begin="warm"),
    Operation("list", listed),
    Operation("check", lambda store, path: store.check()),
    Operation("repair", lambda store, path: store.repair(), each=16),
    Operation("backup", lambda store, path: store.backup(path.with_name(COPY)), each=24),
    Operation("close", lambda store, path: store.close(), begin="warm"),
    Operation("open", opened, begin="closed", each=16),
    Operation("create", opened, begin="nothing", each=16),
]


@dataclass
class Sweep:
    """All the points at which an operation was made to fail, and what came of it."""

    folder: Path
    operation: Operation
    figures: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._disk, self._sound = FaultyDisk(), self.folder / "sound"
        self._sound.mkdir()
        self._where = ""
        if self.operation.begin != "nothing":
            with closing(SqliteStore(SPACE, self.folder / NAME)) as store:
                store.replace(HELD)
                # As a killed process leaves it: with all of it in the log.
                for suffix in ("", "-wal"):
                    shutil.copy(f"{self.folder / NAME}{suffix}", self._sound)

    def run(self) -> None:
        """Fail each call once, each call and all after it,
        and each that takes space for want of it.
        """
        with self._disk.attached(), log_of(self.operation.pages):
            for full in (False, True):
                counting = Fault(full=full)
                usual = self._point(counting, None)
                for at in self._chosen(len(counting.calls)):
                    for ever in (False, True):
                        self._point(Fault(at, ever, full), usual)

    def _chosen(self, calls: int) -> list[int]:
        """Calls that are to fail; in a soak all of them."""
        each = (
            1
            if SOAK > 1
            else max(2, self.operation.each // 6)
            if MEASURING
            else self.operation.each
        )
        ends = 10 if MEASURING else 5
        return [at for at in range(calls) if at % each == 0 or at < ends or at >= calls - ends]

    def _point(self, fault: Fault, usual: str | None) -> str:
        """Let the operation meet the fault, and look at what is left; what it answered."""
        path, operation = self._restored("live"), self.operation
        store = SqliteStore(SPACE, path) if operation.begin in ("cold", "warm") else None
        if store is not None and operation.begin == "warm":
            searched(store, path)
            LATER.apply(store)
            store.remove([document.ref for document, _ in LATER.batch])
        answer, error = "", None
        self._disk.fault = fault
        try:
            answer = repr(operation.act(store, path))
        except Exception as raised:  # noqa: BLE001 - which ones come out is the question
            error = raised
        finally:
            self._disk.fault = None
        self._where = (
            f"{operation}, call {fault.at} for "
            f"{'space' if fault.full else 'anything'}{' and after' * fault.ever}"
        )
        if usual is None:
            assert error is None, f"{operation} fails on a sound disk: {error!r}"
        elif fault.hits:
            self._met(fault, error, answer == usual)
        self._left(path, store, fault, error)
        return answer

    def _met(self, fault: Fault, error: Exception | None, usual: bool) -> None:
        """Judge what the caller was told."""
        self._where += f" ({fault.hits[0]})"
        self.figures["points"] += 1
        self.figures["raised"] += error is not None
        if error is None and not usual:
            self._failed("wrong", "another answer than usual")
        if error is not None and (reason := masked(error, fault)):
            self._failed("masked", f"{reason}: {error!r} from {error.__cause__!r}")

    def _left(self, path: Path, store: Any, fault: Fault, error: Exception | None) -> None:
        """Judge the files: as a crash would leave them now, through the same store,
        and opened again.
        """
        operation = self.operation
        if fault.ever:
            crashed = shutil.copytree(path.parent, self.folder / "crashed") / NAME
            with closing(SqliteStore(SPACE, crashed)) as other:
                state = self._state("after a crash", other, operation.states, error)
                self.figures["raised_but_kept_in_a_crash"] += error is not None and state == 1
            shutil.rmtree(crashed.parent)
        if operation.name == "backup":
            self._copied(path, store, error)
        if store is None or operation.name == "close":
            store = SqliteStore(SPACE, path)
        with closing(store):
            state = self._state("going on", store, operation.states, error)
            if state is None:
                return
            if error is not None and state == 1:
                self._failed("untrue", "it was done, though it raised")
            LATER.apply(store)
        with closing(SqliteStore(SPACE, path)) as again:
            self._state("opened again", again, [operation.states[state].after(LATER)], None)

    def _state(
        self, when: str, store: Any, states: list[Model], error: Exception | None
    ) -> int | None:
        """Which state the store is in; None if in none. Without an error it must be the last."""
        problems, verdict = store.check(), judge(store, states)
        if problems:
            self._failed("damaged", f"{when}: {problems}")
        if verdict.state is None:
            self._failed("mixed", f"{when}: {verdict.details}")
        elif error is None and verdict.state < len(states) - 1:
            self._failed("lost", f"{when}: acknowledged, and not there")
        return verdict.state

    def _copied(self, path: Path, store: Any, error: Exception | None) -> None:
        """A backup is whole, or not there at all, and can then be made."""
        copy = path.with_name(COPY)
        if error is not None:
            if copy.exists():
                self._failed("mixed", "a backup that failed is there")
                return
            store.backup(copy)
        with closing(SqliteStore(SPACE, copy)) as other:
            self._state("the backup", other, [BEFORE], None)

    def _restored(self, name: str) -> Path:
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._sound, folder)
        return folder / NAME

    def _failed(self, how: str, what: str) -> None:
        self.figures[how] += 1
        self.failures.append(f"{how}, {self._where}: {what}")


def masked(error: Exception, fault: Fault) -> str:
    """What is wrong with an error that tells of a fault; "" if nothing is."""
    if not isinstance(error, SemanticCoreError):
        return "not an error of ours"
    if not isinstance(error, StoreFull if fault.full else StoreUnavailable):
        return "not the error for it"
    first: BaseException | None = error
    # Peewee puts an error of its own around it.
    while first is not None and not isinstance(first, apsw.Error):
        first = first.__cause__ or first.__context__
    told = getattr(first, "extendedresult", None)
    return "" if told in {fault.code(kind) for kind in fault.hits} else "not what happened first"


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_failing_disk_leaves_the_state_before_or_after(operation: Operation) -> None:
    with folder_in_memory() as folder:
        sweep = Sweep(folder, operation)
        sweep.run()
    names = (
        "points",
        "raised",
        "raised_but_kept_in_a_crash",
        "mixed",
        "masked",
        "lost",
        "untrue",
        "wrong",
        "damaged",
    )
    record(
        f"io_faults_{operation.name.replace(', ', '_').replace(' ', '_')}",
        **{name: sweep.figures[name] for name in names},
    )
    assert sweep.failures == [], f"{len(sweep.failures)} of {sweep.figures['points']} points"
    assert sweep.figures["points"] >= 12
