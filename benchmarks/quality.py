"""How good the answers are: collections with questions and judged answers,
searched as a user would.

::

    python -m benchmarks.quality FOLDER... [--known-items] [--capitals] [--max-chars N] [--json]

A collection is a folder in BEIR form: ``corpus.jsonl`` (``_id``, ``title``, ``text``),
``queries.jsonl`` (``_id``, ``text``) and ``qrels.tsv`` (query, document, grade, under a line of
headings). Without FOLDER those in the environment variable SEMANTIC_CORE_COLLECTIONS are measured:
collections, or folders of them, separated like a PATH. Each is ingested into a fresh index with
everything at its default. Questions without a relevant document are left out. --known-items adds
the collections of `known_items`, made of the documentation on this machine.

The default search is compared with vector search and full-text search alone, and with reciprocal
rank fusion of the two. A difference has the 95 % interval of a paired bootstrap over the questions:
one that contains 0 may be chance.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import attrs

from benchmarks import known_items
from benchmarks._report import Figure, Report, Target
from benchmarks._workbench import Workbench
from semantic_core import ChunkId, Document, Ref, Scope, SemanticCore
from semantic_core.types import MODES, Mode

COLLECTIONS = "SEMANTIC_CORE_COLLECTIONS"
FILES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv")
SHOWN = 10
"""Documents a user looks at; what `search` gives by default."""
DEPTH = 100
"""Documents recall is counted in."""
NDCG, RECALL, MRR, TIME = f"ndcg@{SHOWN}", f"recall@{DEPTH}", "mrr", "median_ms"
TARGETS = {"cranfield": Target(">=", 0.43), "cisi": Target(">=", 0.42)}
"""nDCG@10 of the default search on collections of these names."""
NO_WORSE = Target(">=", -0.003)
"""How far the default search may stay behind the better one of its two parts."""
ABOVE_RANKS = Target(">=", 0.04)
"""How far the default search is above rank fusion, on average over collections of known items."""
RANK_FUSION = "rank fusion"
RANK_CONSTANT = 60
"""Of reciprocal rank fusion: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods" (2009).
"""
RESAMPLES = 4_000
"""Samples of a bootstrap: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993); paired
over questions as in Sakai, "Evaluating evaluation metrics based on the bootstrap" (2006).
"""

Grades = Mapping[str, int]
"""Grade per document id, of the relevant ones alone: from 1, bigger is better."""


@attrs.frozen(eq=False)
class Collection:
    """documents, queries: text by id. grades: per query id,
    for queries with a relevant document only.
    """

    name: str
    documents: Sequence[Document]
    queries: Mapping[str, str]
    grades: Mapping[str, Grades]


@attrs.frozen
class Quality:
    """Means over the questions, from 0 to 1. milliseconds: median of a search of ten. gains: nDCG
    of each question, in their order.
    """

    ndcg: float
    recall: float
    mrr: float
    milliseconds: float
    gains: Sequence[float] = attrs.field(repr=False)

    def json(self) -> dict[str, float]:
        """By the names they are known by."""
        return {
            NDCG: round(self.ndcg, 4),
            RECALL: round(self.recall, 4),
            MRR: round(self.mrr, 4),
            TIME: round(self.milliseconds, 2),
        }


def ndcg(found: Sequence[str], grades: Grades, depth: int = SHOWN) -> float:
    """Normalised discounted cumulated gain of the first `depth` ids, from 0 to 1.

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4), 2002.
    The gain is the grade, the discount the binary logarithm of rank + 1 (as in trec_eval and BEIR;
    the paper leaves the first two ranks alike), and the sum is divided by that of the best possible
    order: sum(grade / log2(rank + 1)) / the same, ideally ordered.
    """
    ideal = _discounted(sorted(grades.values(), reverse=True)[:depth])
    return _discounted([grades.get(id, 0) for id in found[:depth]]) / ideal


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, 1))


def recall(found: Sequence[str], grades: Grades, depth: int = DEPTH) -> float:
    """Share of the relevant documents among the first `depth`."""
    return len(set(found[:depth]) & set(grades)) / len(grades)


def reciprocal_rank(found: Sequence[str], grades: Grades) -> float:
    """1 / rank of the first relevant document; 0 if none was found."""
    return next((1 / rank for rank, id in enumerate(found, 1) if id in grades), 0.0)


def read_collection(folder: Path, *, capitals: bool = False) -> Collection:
    """The collection in a folder. capitals: its documents in capitals,
    the questions as they are.
    """

    def spelled(text: str) -> str:
        return text.upper() if capitals else text

    documents = [
        Document(
            Ref(folder.name, str(row["_id"])),
            spelled(row["text"]),
            title=spelled(row.get("title") or ""),
        )
        for row in _rows(folder / "corpus.jsonl")
    ]
    grades: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, document, grade = line.split("\t")
        if int(grade) > 0:
            grades.setdefault(query, {})[document] = int(grade)
    queries = {
        str(row["_id"]): row["text"]
        for row in _rows(folder / "queries.jsonl")
        if str(row["_id"]) in grades
    }
    return Collection(folder.name, documents, queries, grades)


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def measure(core: SemanticCore, collection: Collection, mode: Mode) -> Quality:
    """Ask every question in one mode.

    Raises RuntimeError if the answer was made in another way than asked.
    """

    def ask(text: str, limit: int) -> list[str]:
        found = core.search(text, limit=limit, mode=mode)
        if found.degraded:
            raise RuntimeError(
                f"{text!r} in mode {mode} was answered in mode {found.mode}: {found.reason}"
            )
        return [hit.ref.key for hit in found]

    return _measured(collection, ask)


def measure_rank_fusion(core: SemanticCore, collection: Collection) -> Quality:
    """The same for reciprocal rank fusion of the best hundred of either search: what many hybrid
    searches do.
    """

    def ask(text: str, limit: int) -> list[str]:
        vector = core.embedder.embed_query(text)
        scores: dict[ChunkId, float] = {}
        with core.store.snapshot():
            for ranking in (
                core.store.nearest(vector, DEPTH, Scope()),
                core.store.words(text, DEPTH, Scope()),  # type: ignore[attr-defined]
            ):
                for rank, id in enumerate(ranking.ids, 1):
                    scores[id] = scores.get(id, 0.0) + 1 / (RANK_CONSTANT + rank)
        best = sorted(scores, key=lambda id: (-scores[id], id))
        return list(dict.fromkeys(id.ref.key for id in best))[:limit]

    return _measured(collection, ask)


def _measured(collection: Collection, ask: Callable[[str, int], list[str]]) -> Quality:
    """ask: returns the keys of the best documents for a question, at most so many."""
    values: list[tuple[float, float, float, float]] = []
    for id, text in collection.queries.items():
        started = perf_counter()
        first = ask(text, SHOWN)
        spent = (perf_counter() - started) * 1000
        deep = ask(text, DEPTH)
        grades = collection.grades[id]
        values.append(
            (ndcg(first, grades), recall(deep, grades), reciprocal_rank(deep, grades), spent)
        )
    gains, recalls, ranks, times = zip(*values, strict=True)
    return Quality(fmean(gains), fmean(recalls), fmean(ranks), median(times), gains)


def difference(gains: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """The mean difference of two ways to answer the same questions, and the ends of its 95 %
    interval, by a paired bootstrap.
    """
    pairs = [gain - other for gain, other in zip(gains, others, strict=True)]
    chance = random.Random(len(pairs))
    means = sorted(fmean(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    return fmean(pairs), means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]


def evaluate(collection: Collection, **options: Any) -> dict[str, Any]:
    """Ingest a collection into a fresh index and measure every mode. options: those of
    `SemanticCore` but for the path.
    """
    with (
        TemporaryDirectory() as folder,
        SemanticCore(path=Path(folder, "quality.db"), **options) as core,
    ):
        started = perf_counter()
        report = core.ingest(collection.documents)
        spent = perf_counter() - started
        if not report.complete:
            raise RuntimeError(f"{collection.name} was not ingested whole: {report}")
        ways: dict[str, Quality] = {mode: measure(core, collection, mode) for mode in MODES}
        ways[RANK_FUSION] = measure_rank_fusion(core, collection)
    better = max(ways["vector"].ndcg, ways["text"].ndcg)
    differences = {}
    for way, quality in ways.items():
        if way != "hybrid":
            found = difference(ways["hybrid"].gains, quality.gains)
            differences[way] = [round(value, 4) for value in found]
    return {
        "name": collection.name,
        "documents": len(collection.documents),
        "characters": sum(len(document.text) for document in collection.documents),
        "chunks": report.chunks,
        "queries": len(collection.queries),
        "ingest_seconds": round(spent, 2),
        "modes": {way: quality.json() for way, quality in ways.items()},
        "hybrid_minus": differences,
        "hybrid_minus_better_search": round(ways["hybrid"].ndcg - better, 4),
    }


def show(result: Mapping[str, Any]) -> str:
    """One collection as a table."""
    facts = (
        "{name}: {documents:,} documents, {chunks:,} chunks, {queries} questions, ingested in "
        "{ingest_seconds} s"
    )
    lines = [
        facts.format(**result),
        "  mode       " + "".join(f"{column:>12}" for column in (NDCG, RECALL, MRR, TIME)),
    ]
    for mode, quality in result["modes"].items():
        figures = "".join(f"{quality[column]:12.4f}" for column in (NDCG, RECALL, MRR))
        lines.append(f"  {mode:<11}{figures}{quality[TIME]:12.2f}")
    for way, (mean, low, high) in result["hybrid_minus"].items():
        lines.append(f"  hybrid minus {way}: {mean:+.4f} (95 %: {low:+.4f} to {high:+.4f})")
    lines.append(f"  hybrid minus the better search: {result['hybrid_minus_better_search']:+.4f}")
    return "\n".join(lines)


def of_known_items() -> Iterator[Collection]:
    """The collections of `known_items`, with one relevant document for each question."""
    for items in known_items.collections():
        grades = {query: {key: 1} for query, key in items.answers.items()}
        yield Collection(items.name, items.documents, items.queries, grades)


def run(bench: Workbench) -> Report:
    """Every collection of the environment variable and those of known items, as one benchmark among
    others; a note alone where the variable names none.
    """
    try:
        folders = folders_of([], os.environ.get(COLLECTIONS, ""))
    except ValueError as error:
        return Report((), notes=(str(error),))
    judged = [read_collection(folder) for folder in folders]
    known = list(of_known_items())
    figures: list[Figure] = []
    above: list[float] = []
    for collection in (*judged, *known):
        result = evaluate(collection, store=bench.store, embedder=bench.embedder)
        figures += _figures(result)
        if collection in known:
            above.append(result["hybrid_minus"][RANK_FUSION][0])
    if above:
        name = "known items, hybrid minus rank fusion"
        figures.append(Figure(name, round(fmean(above), 4), NDCG, target=ABOVE_RANKS))
    return Report(tuple(figures), {"collections": len(folders)})


def _figures(result: Mapping[str, Any]) -> Iterator[Figure]:
    name = result["name"]
    for way, quality in result["modes"].items():
        target = TARGETS.get(name) if way == "hybrid" else None
        note = f"{RECALL} {quality[RECALL]}, {MRR} {quality[MRR]}, median {quality[TIME]} ms"
        if way != "hybrid":
            mean, low, high = result["hybrid_minus"][way]
            note += f"; hybrid {mean:+.4f} (95 %: {low:+.4f} to {high:+.4f})"
        yield Figure(f"{name}, {way}", quality[NDCG], NDCG, target=target, note=note)
    behind = result["hybrid_minus_better_search"]
    yield Figure(f"{name}, hybrid minus the better search", behind, NDCG, target=NO_WORSE)


def folders_of(named: Sequence[str], environment: str) -> list[Path]:
    """The collections meant: those named, else those of the environment variable.

    Raises ValueError for what is none.
    """
    found: list[Path] = []
    for place in named or [place for place in environment.split(os.pathsep) if place]:
        inside = (
            [Path(place)]
            if _is_collection(Path(place))
            else sorted(filter(_is_collection, Path(place).glob("*/")))
        )
        if not inside:
            raise ValueError(
                f"{place} is no collection and holds none: wanted a folder with {', '.join(FILES)}."
            )
        found += inside
    if not found:
        raise ValueError(f"No collection given: name a folder, or set {COLLECTIONS}.")
    return found


def _is_collection(folder: Path) -> bool:
    return all((folder / file).is_file() for file in FILES)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line names; 2 if there is nothing to measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description="Search quality on judged collections."
    )
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="FOLDER",
        help=f"collections, or folders of them; else ${COLLECTIONS}",
    )
    parser.add_argument(
        "--known-items",
        action="store_true",
        help="also headings that find their sections, in the documentation on this machine",
    )
    parser.add_argument(
        "--capitals", action="store_true", help="documents in capitals, questions as they are"
    )
    parser.add_argument("--max-chars", type=int, help="longest chunk, instead of the default")
    parser.add_argument("--json", action="store_true", help="figures as JSON on standard output")
    options = parser.parse_args(arguments)
    collections: list[Collection] = []
    named = options.folders or os.environ.get(COLLECTIONS, "")
    if named or not options.known_items:
        try:
            folders = folders_of(options.folders, os.environ.get(COLLECTIONS, ""))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        collections += [read_collection(one, capitals=options.capitals) for one in folders]
    if options.known_items:
        collections += of_known_items()
    results = []
    for collection in collections:
        result = evaluate(collection, max_chars=options.max_chars)
        results.append(result)
        if not options.json:
            print(show(result), end="\n\n", flush=True)
    if options.json:
        print(
            json.dumps(
                {
                    "capitals": options.capitals,
                    "max_chars": options.max_chars,
                    "collections": results,
                },
                indent=1,
            )
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
