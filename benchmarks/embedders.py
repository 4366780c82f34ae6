"""The embedders that a wheel carries, side by side in one run: rate of passages and queries, first
query and memory of a process, and questions in other languages that find the passage in English.
"""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks._measure import Run, clocked, plain_environment, side_by_side
from benchmarks._report import Figure, Report, Target
from benchmarks._workbench import Workbench
from semantic_core import SemanticCore
from semantic_core.errors import ProviderNotFound
from semantic_core.protocols import Embedder

NAMES = ("wordllama", "use")
ROUNDS = 5
PASSAGES = 400
"""Real passages of each round: seconds of work for the slower one."""
QUERIES = 200
MULTILINGUAL = "use"
PAIRS = Path(__file__).parents[1] / "plugins/semantic-core-use/tests/language_pairs.py"
"""The questions and passages of its tests."""
FOUND = Target(">=", 18)
"""Of twenty questions, by the multilingual embedder."""
PROCESS = """
import json, pathlib, re, resource, sys, time
from semantic_core import SemanticCore
with SemanticCore(store="memory", embedder=sys.argv[1]) as core:
    started = time.perf_counter()
    core.embedder.embed_query("how to repeat something")
    first = time.perf_counter() - started
    core.embedder.embed_documents(["some text to embed, of a few words"] * 64)
status = pathlib.Path("/proc/self/status")
if status.exists():  # the other figure counts the process that started this one
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1]) / 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** 2
print(json.dumps([first, peak]))
"""
"""What a process of its own does: a first query, and some passages."""


def run(bench: Workbench) -> Report:
    """Rates, beside each other; questions found, of twenty in each language."""
    embedders = dict(_installed())
    passages = [passage.full for passage in bench.passages[: bench.size(PASSAGES, 20)]]
    queries = bench.queries[: bench.size(QUERIES, 10)]
    runs: dict[str, Run] = {}
    for name, embedder in embedders.items():
        embedder.embed_documents(passages[:2])
        runs[f"{name} passages"] = _embedding(embedder, passages)
        runs[f"{name} queries"] = _asking(embedder, queries)
    timings = side_by_side(runs, bench.rounds(ROUNDS))
    characters = sum(map(len, passages))
    figures = []
    for name, embedder in embedders.items():
        spent = timings[f"{name} passages"].median
        asked = timings[f"{name} queries"].median / len(queries)
        first, memory = _of_a_process(name)
        figures += [
            Figure(f"{name}: passages", len(passages) / spent, "/s"),
            Figure(f"{name}: text", characters / spent / 1e6, "MB/s"),
            Figure(f"{name}: query", asked * 1000, "ms"),
            Figure(f"{name}: first query of a process", first * 1000, "ms"),
            Figure(f"{name}: memory of a process", memory, "MB"),
            *_found(name, embedder),
        ]
    notes = tuple(f"{name} is not installed" for name in NAMES if name not in embedders)
    data = {"passages": len(passages), "characters": characters, "queries": len(queries)}
    return Report(tuple(figures), data, notes)


def _installed() -> Iterator[tuple[str, Embedder]]:
    for name in NAMES:
        with suppress(ProviderNotFound), SemanticCore(store="memory", embedder=name) as core:
            yield name, core.embedder


def _embedding(embedder: Embedder, passages: Sequence[str]) -> Run:
    size = embedder.batch_size

    def embed() -> None:
        for start in range(0, len(passages), size):
            embedder.embed_documents(passages[start : start + size])

    return clocked(embed)


def _asking(embedder: Embedder, queries: Sequence[str]) -> Run:
    def ask() -> None:
        for query in queries:
            embedder.embed_query(query)

    return clocked(ask)


def _of_a_process(name: str) -> tuple[float, float]:
    """Seconds of the first query in a process of its own, and MB at its peak."""
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, name],
        capture_output=True,
        text=True,
        env=plain_environment(),
        check=True,
    )
    first, memory = json.loads(done.stdout)
    return float(first), float(memory)


def _found(name: str, embedder: Embedder) -> Iterator[Figure]:
    """Of the questions of the plugin's tests, how many find their passage first."""
    import numpy as np

    pairs = runpy.run_path(str(PAIRS))
    rows = embedder.embed_documents(pairs["PASSAGES"])
    for language, questions in pairs["QUESTIONS"].items():
        vectors = np.array([embedder.embed_query(question) for question in questions])
        first = (vectors @ rows.T).argmax(axis=1)
        found = int((first == np.arange(len(rows))).sum())
        what = f"{name}: questions in {language} that find the passage in English"
        target = FOUND if name == MULTILINGUAL else None
        yield Figure(what, found, f"of {len(questions)}", target=target)
