"""Whenever a process is killed: everything that it acknowledged is there and complete, and nothing
else is.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from crash_history import SPACE, Model, chosen_seed, folder_in_memory, judge, step
from figures import MEASURING, SOAK, record
from semantic_core_peewee import SqliteStore

from semantic_core import Scope
from semantic_core.errors import StoreError

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the writers that are killed are forked"
)

LONGEST_LIFE = 0.25
"""Seconds a writer may live."""
ROUNDS = 12
"""Kills one file goes through."""
PATIENCE = 60
"""Seconds a process may take to answer; only one that hangs takes longer."""


class Nursery:
    """A process whose children write until they are killed."""

    def __init__(self) -> None:
        script = Path(__file__).with_name("crash_writer.py")
        paths = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._tasks, self._answers = self._process.stdin, self._process.stdout
        self._unread = b""

    def start(self, **task: Any) -> int:
        """The id of the process that has begun on the task."""
        self._tasks.write(json.dumps(task).encode() + b"\n")
        return int(self._line())

    def end(self) -> int:
        """How many writes the killed child had acknowledged; fails if it ended by itself."""
        acknowledged = self._line().count(b".")
        assert int(self._line()) == -signal.SIGKILL, (
            "a writer failed before it was killed; its error is on stderr"
        )
        return acknowledged

    def _line(self) -> bytes:
        while b"\n" not in self._unread:
            assert select.select([self._answers], [], [], PATIENCE)[0], "a writer does not answer"
            got = self._answers.read(65_536)
            assert got, "the process that forks the writers is gone; its error is on stderr"
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def close(self) -> None:
        """Let it end."""
        self._tasks.close()
        self._process.wait(PATIENCE)
        self._answers.close()


@contextmanager
def nurseries(count: int) -> Iterator[list[Nursery]]:
    """So many, closed afterwards."""
    opened = [Nursery() for _ in range(count)]
    try:
        yield opened
    finally:
        for nursery in opened:
            nursery.close()


@dataclass
class Writer:
    """What one writer has done to the file, over all of its lives."""

    prefix: str
    next: int = 0
    model: Model = field(default_factory=Model)

    def acknowledged(self, seed: int, steps: int) -> int:
        """Take these steps over; how many documents they wrote."""
        written = 0
        for _ in range(steps):
            one = step(seed, self.next, self.prefix)
            self.model, self.next = self.model.after(one), self.next + 1
            written += len(one.batch)
        return written

    def states(self, seed: int) -> tuple[Model, Model]:
        """As acknowledged; and with the write that was under way."""
        return self.model, self.model.after(step(seed, self.next, self.prefix))


@dataclass
class Trial:
    """Writers of one file that are killed together, again and again, and what was found.
    others: look after the file.
    """

    seed: int
    prefixes: Sequence[str]
    others: int = 0
    figures: Counter[str] = field(default_factory=Counter)
    recovery: float = 0.0

    def run(self, kills: int) -> None:
        """Until there have been so many kills, and ten documents acknowledged for each:
        a busy machine writes less.
        """
        rng = random.Random(self.seed)
        with nurseries(len(self.prefixes) + self.others) as opened, folder_in_memory() as folder:
            while self.figures["kills"] < kills or self.figures["acknowledged"] < 10 * kills:
                path = folder / f"{self.figures['kills']}.db"
                writers = [Writer(prefix) for prefix in self.prefixes]
                for _ in range(ROUNDS):
                    self._kill(opened, path, writers, rng)
                    self._judge(path, writers)

    def _kill(
        self, opened: Sequence[Nursery], path: Path, writers: Sequence[Writer], rng: random.Random
    ) -> None:
        # Few: often in a checkpoint.
        common = {"path": str(path), "seed": self.seed, "pages": rng.choice([8, 40, 1_000])}
        tasks = [{"role": "write", "prefix": one.prefix, "first": one.next} for one in writers]
        tasks += [{"role": "look after"}] * self.others
        children = [
            nursery.start(**common, **task) for nursery, task in zip(opened, tasks, strict=True)
        ]
        # Often while the file is made.
        life = LONGEST_LIFE if writers[0].next else rng.choice([0.01, LONGEST_LIFE])
        time.sleep(rng.uniform(0, life))  # nothing is waited for: any moment will do
        for child in rng.sample(children, len(children)):
            os.kill(child, signal.SIGKILL)
        finished = [nursery.end() for nursery in opened]
        for writer, steps in zip(writers, finished, strict=False):
            self.figures["acknowledged"] += writer.acknowledged(self.seed, steps)
            self.figures["writes"] += steps
        self.figures["kills"] += len(children)

    def _judge(self, path: Path, writers: Sequence[Writer]) -> None:
        """Read the file, and take over what was under way and came to be."""
        choices = list(product((False, True), repeat=len(writers)))
        states = [
            reduce(
                Model.joined,
                (one.states(self.seed)[also] for one, also in zip(writers, choice, strict=True)),
            )
            for choice in choices
        ]
        began = time.perf_counter()
        store = SqliteStore(SPACE, path)
        try:
            problems = store.check()
            self.recovery = max(self.recovery, time.perf_counter() - began)
            verdict = judge(store, states)
        finally:
            store.close()
        for name in ("lost", "ghost", "partial"):
            self.figures[name] += getattr(verdict, name)
        self.figures["damaged"] += bool(problems)
        again = f"TRUST_SEED={self.seed}, file {path.name}, writes {[one.next for one in writers]}"
        assert verdict.state is not None, [again, *verdict.details]
        assert problems == [], again
        for writer, also in zip(writers, choices[verdict.state], strict=True):
            self.figures["under_way"] += writer.acknowledged(self.seed, int(also)) if also else 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kills", "prefixes", "others"),
    [("kill", 100, ["k"], 0), ("kill_together", 60, ["a", "b"], 1)],
    ids=["one writer", "two writers and one who checks"],
)
def test_a_killed_writer_loses_nothing_it_acknowledged(
    name: str, kills: int, prefixes: list[str], others: int
) -> None:
    trial = Trial(chosen_seed(20_260_301, SOAK), prefixes, others)
    trial.run(kills * SOAK if MEASURING else kills // 4)
    figures = trial.figures
    record(name, **figures, recovery_ms=round(trial.recovery * 1000, 1), seed=trial.seed)
    assert figures["lost"] == figures["ghost"] == figures["partial"] == figures["damaged"] == 0


@pytest.mark.slow
def test_a_killed_backup_is_whole_or_no_store() -> None:
    """Whatever file it left is refused, or gives every document."""
    figures: Counter[str] = Counter()
    rng = random.Random(chosen_seed(20_261_129, SOAK))
    with nurseries(1) as (nursery,), folder_in_memory() as folder:
        path, copy = folder / "index.db", folder / "copy.db"
        with closing(SqliteStore(SPACE, path)) as store:
            for number in range(100):
                step(1, number, "k").apply(store)
            expected = [one.ref for one in store.documents(Scope(), limit=10_000)]
        kills = 40 * SOAK if MEASURING else 12
        while figures["kills"] < kills or figures["cut_off"] < kills // 4:
            child = nursery.start(role="back up", path=str(path), copy=str(copy))
            time.sleep(rng.uniform(0, LONGEST_LIFE))
            os.kill(child, signal.SIGKILL)
            nursery.end()
            figures["kills"] += 1
            left_over = [file for file in (copy, folder / "copy.db.part") if file.exists()]
            for left in left_over:
                figures["cut_off"] += left != copy
                try:
                    opened = SqliteStore(SPACE, left)
                except StoreError:
                    figures["refused"] += 1
                    continue
                with closing(opened):
                    figures["opened"] += 1
                    assert [one.ref for one in opened.documents(Scope(), limit=10_000)] == expected
                    assert opened.check() == []
            for left in folder.glob("copy.db*"):
                left.unlink()
    record("kill_backup", **figures)
