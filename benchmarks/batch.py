"""A batch job of many chunks: how fast results get into the file, beside a bare `executemany`,
and in how little memory.

Bare means: the store's own rows, columns and indexes, and
``update semantic_index_chunk set vector = ?
where id = ?`` for as many rows a transaction. The store
does that, and finds the rows by fingerprint, writes codes and checksums,
and settles the ledger. The provider
keeps fingerprints in a file and makes up vectors, so it takes no memory.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from time import perf_counter
from typing import Any

import apsw
import numpy as np

from benchmarks import _bare
from benchmarks._measure import Run, plain_environment, side_by_side
from benchmarks._processes import MEMORY
from benchmarks._report import Figure, Report, Target
from benchmarks._workbench import GivenVectors, Workbench, batches_of
from benchmarks.corpus import clustered
from semantic_core import Space
from semantic_core.batch import BatchManager, BatchRules, JobState

CHUNKS, DIMENSIONS, ROUNDS = 100_000, 256, 3
SPACE = Space("given", DIMENSIONS)


class Provider(GivenVectors):
    """Takes one job: writes its fingerprints into a file,
    and answers each with a vector made up on the spot.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(SPACE, {})
        self._file = folder / "job.txt"
        self._vectors = clustered(1_024, DIMENSIONS, seed=9)

    def submit(self, passages: Any, name: str) -> str:
        """Every passage is read, none is kept."""
        with self._file.open("w", encoding="ascii") as file:
            for fingerprint, passage in passages.items():
                file.write(f"{fingerprint}\n" if passage else "")
        return "jobs/1"

    def find(self, name: str) -> str | None:
        """Nothing is found: no job is ever cut off here."""
        return None

    def state(self, job: str) -> JobState:
        """Done at once."""
        return JobState("COMPLETED", has_results=True)

    def results(self, job: str) -> Iterator[tuple[str, Any]]:
        """In the order they were sent, as real providers mostly do."""
        with self._file.open(encoding="ascii") as file:
            for place, line in enumerate(file):
                yield line.strip(), self._vectors[place % len(self._vectors)]

    def cancel(self, job: str) -> None:
        """Never asked for."""

    def clean_up(self, job: str) -> None:
        """Nothing to do: the file is overwritten."""


RULES = BatchRules(job_size=10_000_000)
JOB = dedent("""\
    import sys
    from pathlib import Path
    from benchmarks.batch import RULES, SPACE, Provider
    from semantic_core import SemanticCore
    from semantic_core.batch import BatchManager
    folder = Path(sys.argv[1])
    with SemanticCore(store="sqlite", path=folder / "index.db", embedder=Provider(folder)) as core:
        manager = BatchManager(core.store, core.embedder, rules=RULES)
        if sys.argv[2] == "whole":
            [job] = manager.flush_queue(1)
            [job] = manager.sync_status()
            assert job.succeeded == job.sent == int(sys.argv[3]), job
""")
"""Arguments: folder, "whole" or "opened", number of passages."""


def run(bench: Workbench) -> Report:
    """Rates of claiming and submitting, and of collecting; memory of a process that does both."""
    count = bench.size(CHUNKS, 400)
    made = _waiting(bench, count)
    passages = made[1]
    flushes: list[float] = []

    def collect() -> float:
        folder = _copied(bench, made[0], "collect")
        with _open(bench, folder) as core:
            manager = BatchManager(core.store, core.embedder, rules=RULES)
            started = perf_counter()
            manager.flush_queue(1)
            flushes.append(perf_counter() - started)
            started = perf_counter()
            manager.sync_status()
            spent = perf_counter() - started
            assert manager.queue_stats().pending == 0
            return spent

    runs: dict[str, Run] = {
        "store": collect,
        "bare": lambda: _bare_update(_copied(bench, made[0], "bare")),
    }
    timings = side_by_side(runs, bench.rounds(ROUNDS))
    opened, whole = (
        _memory(_copied(bench, made[0], kind), kind, passages) for kind in ("opened", "whole")
    )
    share = timings["bare"].ratio(timings["store"])
    figures = (
        Figure(
            "claimed, read and submitted", passages / sorted(flushes)[len(flushes) // 2], "chunks/s"
        ),
        Figure(
            "results applied by the bare executemany", passages / timings["bare"].median, "chunks/s"
        ),
        Figure("results applied by the store", passages / timings["store"].median, "chunks/s"),
        Figure("results applied, of the bare executemany", share, "x", target=Target(">=", 0.25)),
        Figure("peak memory of a process that opens the index", opened, "MB"),
        Figure("peak memory of a process that does the whole job", whole, "MB"),
        Figure("of that, for the job", whole - opened, "MB", target=Target("<=", 200.0)),
    )
    data = {
        "chunks": passages,
        "dimensions": DIMENSIONS,
        "page": RULES.page,
        "rounds": bench.rounds(ROUNDS),
    }
    return Report(
        figures, data, ("Vectors are synthetic; results come in the order the passages were sent.",)
    )


def _waiting(bench: Workbench, count: int) -> tuple[Path, int]:
    """A folder with an index of so many chunks without vectors."""
    folder = bench.fresh("waiting")
    with _open(bench, folder) as core:
        for batch in batches_of(bench.passages[:count], None):
            core.store.replace(batch)
        return folder, core.batch_manager.queue_stats().pending


def _open(bench: Workbench, folder: Path) -> Any:
    return bench.open(folder / "index.db", embedder=Provider(folder), multi_tenant=False)


def _copied(bench: Workbench, source: Path, name: str) -> Path:
    folder = bench.fresh(name)
    raw = apsw.Connection(str(source / "index.db"))
    raw.execute("vacuum into ?", (str(folder / "index.db"),))
    raw.close()
    return folder


def _bare_update(folder: Path) -> float:
    """The same vectors into the same rows, by number."""
    raw = apsw.Connection(str(folder / "index.db"))
    for statement in _bare.SETTINGS.split(";"):
        for _ in raw.execute(statement):
            continue
    numbers = [
        number for (number,) in raw.execute("select id from semantic_index_chunk order by id")
    ]
    vectors = [
        vector.tobytes() for vector in clustered(1_024, DIMENSIONS, seed=9).astype(np.float32)
    ]
    started = perf_counter()
    for start in range(0, len(numbers), RULES.page):
        rows = [
            (vectors[place % 1_024], numbers[place])
            for place in range(start, min(len(numbers), start + RULES.page))
        ]
        raw.execute("begin immediate")
        raw.executemany("update semantic_index_chunk set vector = ? where id = ?", rows)
        raw.execute("commit")
    spent = perf_counter() - started
    raw.close()
    return spent


def _memory(folder: Path, kind: str, passages: int) -> float:
    """Megabytes at most of a process of its own."""
    root = str(Path(__file__).resolve().parent.parent)
    command = [sys.executable, "-c", JOB + MEMORY, str(folder), kind, str(passages)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=plain_environment(), cwd=root, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return int(done.stdout.splitlines()[-1]) / 1e6
