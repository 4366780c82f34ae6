"""Ingest of real Markdown through the client, where its time goes,
and how near that is to the tokeniser's own rate.

The same documents go in as plain text, too: it is cut at paragraphs and sentences, into fewer and
fuller chunks. Every round starts with a new file and a new embedder whose weights are loaded and
which has seen no word yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from attrs import evolve

from benchmarks._measure import Run, Timing, clocked, side_by_side
from benchmarks._report import Figure, Report, Target, number, timed
from benchmarks._workbench import Workbench
from semantic_core import Document, Entry, IngestReport, SemanticCore

ROUNDS = 3
TOKENISER_BATCH = 1_024
GROUP_CHUNKS = 1_024
"""Chunks written in one transaction when the store is measured alone:
as many as an ingest writes.
"""
PARALLEL = "TOKENIZERS_PARALLELISM"


def run(bench: Workbench) -> Report:
    """Rates, shares per step, and the ratio to the tokeniser."""
    corpus, recorded = bench.corpus, bench.recorded
    passages = _distinct(recorded)
    plain = [evolve(document, media_type="text/plain") for document in corpus.documents]
    chunks = sum(len(cut) for _, cut, _ in recorded)
    with SemanticCore(store="memory", embedder=bench.embedder) as core:
        size = core.embedder.batch_size
        vectors = dict(zip(passages, _embedded(core, passages, size), strict=True))
    reports: list[IngestReport] = []
    again: list[float] = []
    runs: dict[str, Run] = {
        "ingest": lambda: _ingest(bench, corpus.documents, reports, again),
        "embed": lambda: _embed(bench, passages),
        "store": _stored(bench, recorded, vectors, words=True),
        "store without words": _stored(bench, recorded, vectors, words=False),
    }
    runs["plain"] = lambda: _ingest(bench, plain, [], [])
    runs |= _tokenisers(passages) | _own_tokens(passages)
    runs |= {
        f"{name}, plain": once for name, once in _tokenisers(_distinct(bench.record(plain))).items()
    }
    timings = side_by_side(runs, bench.rounds(ROUNDS))
    whole = timings["ingest"]
    figures = [
        timed("ingest, documents to durable index", whole, "s"),
        _rate("ingest", corpus.bytes / 1e6, whole, "MB/s"),
        _rate("ingest", chunks, whole, "chunks/s"),
        _rate("ingest", len(corpus.documents), whole, "documents/s"),
        *_shares(reports, timings),
        _rate("ingest again, nothing changed", corpus.bytes / 1e6, Timing(tuple(again)), "MB/s"),
        _rate(
            "ingest again, nothing changed",
            len(corpus.documents),
            Timing(tuple(again)),
            "documents/s",
        ),
        _rate("ingest as plain text", corpus.bytes / 1e6, timings["plain"], "MB/s"),
        _rate("embedder alone", len(passages), timings["embed"], "passages/s"),
        _rate("store alone, vectors given", chunks, timings["store"], "chunks/s"),
    ]
    for name, target in (
        ("tokeniser, one thread", Target(">=", 0.7)),
        ("tokeniser, all cores", None),
    ):
        if name in timings:
            figures.append(_rate(name, len(passages), timings[name], "passages/s"))
            ratio = timings[name].ratio(whole)
            figures.append(
                Figure(f"ingest as a share of the rate of the {name}", ratio, "x", target=target)
            )
            ratio = timings[f"{name}, plain"].ratio(timings["plain"])
            figures.append(
                Figure(
                    f"ingest as plain text, as a share of the rate of the {name}",
                    ratio,
                    "x",
                    target=target,
                )
            )
    failed = sum(len(report.failed) for report in reports)
    data = {
        **corpus.facts(),
        "chunks": chunks,
        "passages": len(passages),
        "failed": failed,
        "rounds": len(whole.runs),
    }
    return Report(tuple(figures), data, corpus.notes())


def _distinct(recorded: Sequence[Any]) -> list[str]:
    return list(dict.fromkeys(passage for _, _, made in recorded for passage in made))


def _ingest(
    bench: Workbench, documents: Sequence[Document], reports: list[IngestReport], again: list[float]
) -> float:
    with bench.open(bench.fresh("ingest") / "index.db") as core:
        core.embedder.embed_documents(["load the weights"])
        started = perf_counter()
        report = core.ingest(documents)
        spent = perf_counter() - started
        reports.append(report)
        again.append(clocked(lambda: core.ingest(documents))())
    return spent


def _embed(bench: Workbench, passages: Sequence[str]) -> float:
    with SemanticCore(store="memory", embedder=bench.embedder) as core:
        core.embedder.embed_documents(["load the weights"])
        return clocked(lambda: list(_embedded(core, passages, core.embedder.batch_size)))()


def _embedded(core: SemanticCore, passages: Sequence[str], size: int) -> Iterator[Any]:
    for start in range(0, len(passages), size):
        yield from core.embedder.embed_documents(passages[start : start + size])


def _stored(
    bench: Workbench, recorded: Sequence[Any], vectors: Mapping[str, Any], *, words: bool
) -> Run:
    """The store alone: the same documents, all vectors given;
    without words the passages are empty.
    """
    batches: list[list[tuple[Document, list[Entry]]]] = [[]]
    held = 0
    for document, chunks, passages in recorded:
        if held >= GROUP_CHUNKS:
            batches.append([])
            held = 0
        names = [blake2b(passage.encode(), digest_size=16).hexdigest() for passage in passages]
        made = zip(chunks, passages, names, strict=True)
        entries = [
            Entry(chunk, passage if words else "", name, vectors[passage])
            for chunk, passage, name in made
        ]
        batches[-1].append((document, entries))
        held += len(entries)

    def once() -> float:
        with bench.open(bench.fresh("store") / "index.db") as core:
            started = perf_counter()
            for batch in batches:
                core.store.known([entry.fingerprint for _, entries in batch for entry in entries])
                core.store.replace(batch)
            return perf_counter() - started

    return once


def _tokenisers(passages: Sequence[str]) -> dict[str, Run]:
    """The library's tokeniser on the same passages, unpadded and untruncated;
    none where the model is not installed.
    """
    spec = find_spec("wordllama")
    files = (
        sorted(Path((spec.submodule_search_locations or [""])[0], "tokenizers").glob("*.json"))
        if spec
        else []
    )
    if not files:
        return {}
    from tokenizers import Tokenizer

    tokeniser = Tokenizer.from_file(str(files[0]))
    tokeniser.no_padding()
    tokeniser.no_truncation()
    texts = [" ".join(passage.lower().split()) for passage in passages]

    def encode(parallel: str) -> float:
        with _setting(PARALLEL, parallel):
            started = perf_counter()
            for start in range(0, len(texts), TOKENISER_BATCH):
                tokeniser.encode_batch_fast(
                    texts[start : start + TOKENISER_BATCH], add_special_tokens=False
                )
            return perf_counter() - started

    return {
        "tokeniser, one thread": lambda: encode("false"),
        "tokeniser, all cores": lambda: encode("true"),
    }


def _own_tokens(passages: Sequence[str]) -> dict[str, Run]:
    """The shipped embedder's own way to tokens, alone,
    so that embedding falls into tokens and pooling.

    This looks inside that plugin; where it looks otherwise, embedding is told as one step.
    """
    try:
        from semantic_core_wordllama.embedder import Tokens

        Tokens().of("a text")
    except (ImportError, AttributeError):
        return {}

    def once() -> float:
        tokens = Tokens()
        started = perf_counter()
        for passage in passages:
            tokens.of(" ".join(passage.lower().split()))
        return perf_counter() - started

    return {"tokens": once}


def _shares(reports: Sequence[IngestReport], timings: Mapping[str, Timing]) -> Iterator[Figure]:
    def share(step: str) -> float:
        return 100 * median(
            report.timings.get(step, 0.0) / report.timings["total"] for report in reports
        )

    split, embed, store = share("split"), share("embed"), share("store")
    yield Figure("share: split and context", split, "%")
    if "tokens" in timings:
        tokens = min(1.0, timings["tokens"].ratio(timings["embed"]))
        yield Figure(
            "share: tokens", embed * tokens, "%", note="embedding, split as in the embedder alone"
        )
        yield Figure("share: pooling and checks", embed * (1 - tokens), "%")
    else:
        yield Figure("share: embedding", embed, "%")
    rows = min(1.0, timings["store without words"].ratio(timings["store"]))
    yield Figure(
        "share: rows and vectors", store * rows, "%", note="storing, split as in the store alone"
    )
    yield Figure(
        "share: words",
        store * (1 - rows),
        "%",
        note="what the store takes longer when passages are not empty",
    )
    yield Figure("share: everything else", max(0.0, 100 - split - embed - store), "%")


def _rate(what: str, count: float, timing: Timing, unit: str) -> Figure:
    """How many of them a second: of the median run; beside it the best run."""
    note = f"best run {number(count / timing.least)}" if len(timing.runs) > 1 else ""
    return Figure(what, count / timing.median, unit, note=note)


@contextmanager
def _setting(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
