"""The store alone, vectors given: how near writing is to bare SQLite, what one durable save costs,
and a first search.

What bare means is said in `_bare`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks import _bare
from benchmarks._measure import Run, Timing, process, side_by_side
from benchmarks._processes import FIRST_SEARCH, imports_of, peak_memory, python
from benchmarks._report import Figure, Report, Target, number, timed
from benchmarks._workbench import GROUP, PER_DOCUMENT, GivenVectors, Workbench, batches_of
from benchmarks.corpus import clustered
from semantic_core import Chunk, ChunkId, Document, Entry, Ref, Space

ROUNDS, SAVES, PROCESSES = 3, 200, 11
CHUNKS = 100_000
SAVED_INTO = 10_000
"""Chunks there are already when single documents are saved."""
SAVED_CHUNKS = 3
FIRST_SAVED = 1_000_000
"""Number of the first document saved into the bare tables."""
DIMENSIONS = 256
Batches = Sequence[Sequence[tuple[Document, Sequence[Entry]]]]


def run(bench: Workbench) -> Report:
    """Rates as shares of bare SQLite in the same run; a save as a multiple of the bare commit;
    a first search.
    """
    count = bench.size(CHUNKS, 400) // PER_DOCUMENT * PER_DOCUMENT
    passages = bench.passages[:count]
    vectors = clustered(len(passages), DIMENSIONS)
    kinds: dict[str, Batches] = {
        "rows": list(batches_of(passages, None, words=False)),
        "rows + vectors": list(batches_of(passages, vectors, words=False)),
        "rows + vectors + words": list(batches_of(passages, vectors)),
    }
    runs: dict[str, Run] = {}
    for kind, batches in kinds.items():
        runs[f"store: {kind}"] = _store_run(bench, batches)
        runs[f"by hand: {kind}"] = _bare_run(bench, batches, words="words" in kind)
    same, shares = _same_rows(bench, kinds["rows + vectors + words"])
    runs["same rows"] = lambda: same.written(bench.fresh("same") / "bare.db", GROUP)
    timings = side_by_side(runs, bench.rounds(ROUNDS))
    figures = [
        Figure(
            name,
            len(passages) / timing.median,
            "chunks/s",
            note=f"best run {number(len(passages) / timing.least)}",
        )
        for name, timing in timings.items()
    ]
    without, whole = timings["store: rows + vectors"], timings["store: rows + vectors + words"]
    figures += [
        _share(
            "rows + vectors, of the same rows in bare SQLite",
            timings["same rows"],
            without,
            Target(">=", 0.75),
        ),
        _share(
            "with words, of the same rows in bare SQLite",
            timings["same rows"],
            whole,
            Target(">=", 0.30),
        ),
        _share(
            "rows + vectors, of bare SQLite by hand", timings["by hand: rows + vectors"], without
        ),
        _share(
            "with words, of bare SQLite by hand with FTS5",
            timings["by hand: rows + vectors + words"],
            whole,
        ),
        *shares,
    ]
    figures += _saves(bench, kinds["rows + vectors + words"])
    figures += _first_search(bench)
    data = {"chunks": len(passages), "dimensions": DIMENSIONS, "rounds": bench.rounds(ROUNDS)}
    notes = (
        (
            "Documents have 8 chunks; vectors are synthetic. Rows without words carry the chunk's "
            "text and an empty passage."
        ),
        "A share is the store's rate over the bare rate: the median of rounds in which both ran.",
    )
    return Report(tuple(figures), data, notes)


def _share(what: str, bare: Timing, store: Timing, target: Target | None = None) -> Figure:
    return Figure(what, bare.ratio(store), "x", target=target)


def _open(bench: Workbench, path: Path) -> Any:
    return bench.open(
        path, embedder=GivenVectors(Space("given", DIMENSIONS), {}), multi_tenant=False
    )


def _store_run(bench: Workbench, batches: Batches) -> Run:
    def once() -> float:
        with _open(bench, bench.fresh("rows") / "index.db") as core:
            started = perf_counter()
            for batch in batches:
                core.store.replace(batch)
            return perf_counter() - started

    return once


def _bare_run(bench: Workbench, batches: Batches, *, words: bool) -> Run:
    prepared = [
        _bare.rows_of(batch, number * len(batches[0])) for number, batch in enumerate(batches)
    ]

    def once() -> float:
        connection = _bare.made(
            bench.fresh("bare") / "bare.db", _bare.BY_HAND, _bare.WORDS if words else ""
        )
        started = perf_counter()
        for documents, chunks in prepared:
            _bare.write(connection, documents, chunks, words=words)
        spent = perf_counter() - started
        connection.close()
        return spent

    return once


def _same_rows(bench: Workbench, batches: Batches) -> tuple[_bare.SameRows, list[Figure]]:
    """What the store makes of the batches, and where its time goes meanwhile: a run by itself,
    for watching takes time.
    """
    path = bench.fresh("same") / "index.db"
    with _bare.watched() as spent, _open(bench, path) as core:
        core.store.stats()
        spent.clear()
        started = perf_counter()
        for batch in batches:
            core.store.replace(batch)
        whole = perf_counter() - started
        told = dict(spent)
    steps = {
        **told,
        "outside of SQLite: checking, comparing, checksums, codes": whole - sum(told.values()),
    }
    figures = [
        Figure(f"share: {step}", 100 * seconds / whole, "%") for step, seconds in steps.items()
    ]
    return _bare.SameRows.of(path), figures


def _saves(bench: Workbench, batches: Batches) -> Iterator[Figure]:
    """One document of three chunks, durable, beside the bare commit of the same rows;
    into indexes of the same size.
    """
    wanted = max(
        1, min(SAVED_INTO, bench.size(SAVED_INTO, 200)) // (len(batches[0]) * PER_DOCUMENT)
    )
    rounds = 10 if bench.quick else SAVES
    folder = bench.fresh("saves")
    connection = _bare.made(folder / "bare.db", _bare.BY_HAND)
    texts = [
        f"{batches[0][place % len(batches[0])][1][0].passage} save {place}"
        for place in range(2 * rounds)
    ]
    vectors = clustered(2 * rounds * SAVED_CHUNKS, DIMENSIONS, seed=4)
    documents = [
        _small(place % rounds, text, vectors[place * SAVED_CHUNKS :])
        for place, text in enumerate(texts)
    ]
    with _open(bench, folder / "index.db") as core:
        for number, batch in enumerate(batches[:wanted]):
            core.store.replace(batch)
            _bare.write(connection, *_bare.rows_of(batch, number * len(batches[0])))
        waiting = iter(documents)
        rows = iter(
            (
                *_bare.rows_of([document], FIRST_SAVED + place),
                FIRST_SAVED + place - rounds if place >= rounds else None,
            )
            for place, document in enumerate(documents)
        )
        connection.execute("create table tiny (n integer)")
        timings = [
            side_by_side(
                {
                    "bare": _next(
                        rows, lambda row: _bare.write(connection, *row[:2], instead_of=row[2])
                    ),
                    "store": _next(waiting, lambda document: core.store.replace([document])),
                    "tiny": _next(
                        iter(range(rounds)),
                        lambda n: connection.execute("insert into tiny values (?)", (n,)),
                    ),
                },
                rounds,
                settle=False,
            )
            for _ in range(2)  # the second time over the same keys: documents are replaced
        ]
    connection.close()
    added, updated = timings
    note = (
        f"{SAVED_CHUNKS} chunks with vectors and words, into "
        f"{wanted * len(batches[0]) * PER_DOCUMENT:,}"
    )
    yield timed("bare FULL commit of one number", added["tiny"])
    yield timed("bare FULL commit of the same rows", added["bare"])
    yield timed("bare FULL commit of the same rows, replacing as many", updated["bare"])
    yield timed("save one new document", added["store"], note=note)
    yield timed("save one changed document", updated["store"], note=note)
    new, changed = (timings["store"].ratio(timings["bare"]) for timings in (added, updated))
    yield Figure("save one new document, of the bare commit", new, "x", target=Target("<=", 2.0))
    yield Figure("save one changed document, of the bare commit", changed, "x")


def _small(number: int, text: str, vectors: Any) -> tuple[Document, list[Entry]]:
    ref = Ref("saved", str(number))
    size = max(1, -(-len(text) // SAVED_CHUNKS))
    entries = []
    for position in range(SAVED_CHUNKS):
        start, end = position * size, min(len(text), (position + 1) * size)
        chunk = Chunk(ChunkId(ref, position), text[start:end], start, end)
        name = blake2b(f"{number}.{position} {text}".encode(), digest_size=16).hexdigest()
        entries.append(Entry(chunk, chunk.text, name, vectors[position]))
    return Document(ref, text, "Saved"), entries


def _next(items: Iterator[Any], work: Callable[[Any], object]) -> Run:
    """Does the work with the next item."""

    def once() -> float:
        item = next(items)
        started = perf_counter()
        work(item)
        return perf_counter() - started

    return once


def _first_search(bench: Workbench) -> Iterator[Figure]:
    """A process that opens the full index and searches once,
    beside one that imports the same modules and ends.
    """
    folder = bench.fresh("first")
    path, query = str(bench.index.path), bench.queries[0]
    arguments = {
        mode: (bench.store, path, bench.embedder, query, mode)
        for mode in ("hybrid", "text")[: 1 if bench.quick else 2]
    }
    rounds = bench.rounds(PROCESSES)
    for mode, given in arguments.items():
        alone = imports_of(FIRST_SEARCH, given, folder)
        runs = {
            "imports": process(alone, folder),
            "search": process(python(FIRST_SEARCH, *given), folder),
        }
        if not bench.quick:
            for once in runs.values():
                once()
        timings = side_by_side(runs, rounds, settle=False)
        chunks = f"{len(bench.index.passages):,} chunks"
        yield timed(f"process: imports of a {mode} search, alone", timings["imports"])
        yield timed(f"process: open and first {mode} search, {chunks}", timings["search"])
        target = Target("<=", 1.5) if mode == "hybrid" else None
        ratio = timings["search"].ratio(timings["imports"])
        yield Figure(
            f"open and first {mode} search, of the imports alone", ratio, "x", target=target
        )
        yield Figure(
            f"process: peak memory of a first {mode} search", peak_memory(FIRST_SEARCH, given), "MB"
        )
