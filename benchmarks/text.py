"""Full-text search beside FTS5 and, where it is installed, tantivy: searches, ingest, commits.

All three find the same words: the analyser "words" of the kernel splits the passages for all, and
the others get them with spaces between. Scores are compared with those of FTS5.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks._measure import Timing, clocked, per_query
from benchmarks._report import Figure, Report, Target, timed
from benchmarks._workbench import Workbench, batches_of, document_of
from semantic_core import Scope
from semantic_core.analysis import WordAnalyser

if TYPE_CHECKING:
    from semantic_core_peewee import SqliteStore

ROUNDS = 3
LIMIT = 100
SENTENCES = 100
SENTENCE_WORDS = 15
ONE_ROW_COMMITS = 2_000
FIRST_SAVED = 1_000_000
"""Number of the first document that is saved alone."""
ENOUGH_WORDS = 20
EVERYTHING = Scope()
HEADINGS, LONG = "headings", "sentences"


def run(bench: Workbench) -> Report:
    """Median and 99th percentile of a search, warm and at its first time, and ratios to the others
    in the same run.
    """
    folder = bench.fresh("text")
    texts = [passage.full for passage in bench.passages]
    terms = [" ".join(token.term for token in WordAnalyser().tokens(text)) for text in texts]
    queries = {HEADINGS: bench.queries, LONG: sentences(texts, 20 if bench.quick else SENTENCES)}
    store, ours = _ours(bench, folder / "ours.db")
    fts5, of_fts5 = _fts5(folder / "fts5.db", terms)
    figures = [
        Figure("ingest, documents, vectors and words", ours, "rows/s"),
        Figure("ingest, FTS5 alone, words split before", of_fts5, "rows/s"),
    ]
    others: dict[str, Callable[[str], object]] = {"FTS5": fts5}
    tantivy = _tantivy(terms)
    if tantivy is not None:
        others["tantivy"] = tantivy

    def search(query: str) -> object:
        return store.words(query, LIMIT, EVERYTHING)

    for kind, asked in queries.items():
        store._text.forget()
        first = Timing(tuple(_first_times(search, asked)))
        figures.append(timed(f"{kind}, each for the first time", first))
        rounds = bench.rounds(ROUNDS)
        timings = per_query({"ours": search, **others}, asked, rounds)
        target = Target("<=", 5.0) if kind == HEADINGS else None
        figures.append(timed(f"{kind}, warm", timings["ours"], target=target))
        for name in others:
            figures.append(timed(f"{kind}, {name}", timings[name]))
            ratio = timings[name].median / timings["ours"].median
            wanted = Target(">=", 30.0 if name == "FTS5" else 1 / 1.5)
            figures.append(Figure(f"{kind}, {name} of ours", ratio, "x", target=wanted))
    for what, timing in _commits(bench, store).items():
        figures.append(timed(f"a commit of one {what} row", timing))
    data = {
        "passages": len(texts),
        "memory_mb": round(store._text.memory / 1e6, 1),
        "file_mb": round((folder / "ours.db").stat().st_size / 1e6, 1),
        "fts5_mb": round((folder / "fts5.db").stat().st_size / 1e6, 1),
    }
    store.close()
    notes = [] if tantivy else ["tantivy is not installed."]
    return Report(tuple(figures), data, (*bench.corpus.notes(), *notes))


def sentences(texts: Sequence[str], count: int, seed: int = 2) -> list[str]:
    """Runs of words out of passages, as long as a sentence."""
    made = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        words = re.findall(r"[A-Za-z]{2,}", made.choice(texts))
        if len(words) > ENOUGH_WORDS:
            start = made.randrange(len(words) - SENTENCE_WORDS)
            found.append(" ".join(words[start : start + SENTENCE_WORDS]))
    return found


def _ours(bench: Workbench, path: Path) -> tuple[SqliteStore, float]:
    """The store with all passages, and how many it took a second."""
    from semantic_core_peewee import SqliteStore

    from semantic_core import Space

    store = SqliteStore(Space("bench", bench.vectors.shape[1]), path)
    batches = list(batches_of(bench.passages, bench.vectors))
    started = perf_counter()
    for batch in batches:
        store.replace(batch)
    spent = perf_counter() - started
    store._merger.close()
    return store, len(bench.passages) / spent


def _fts5(path: Path, terms: Sequence[str]) -> tuple[Callable[[str], object], float]:
    import apsw

    raw: Any = apsw.Connection(str(path))
    raw.execute("pragma journal_mode = wal")
    raw.execute("create virtual table words using fts5 (terms, tokenize = 'ascii')")
    started = perf_counter()
    with raw:
        raw.executemany("insert into words (rowid, terms) values (?, ?)", list(enumerate(terms, 1)))
    spent = perf_counter() - started

    def search(query: str) -> object:
        asked = " OR ".join(f'"{token.term}"' for token in WordAnalyser().tokens(query))
        sql = "select rowid, rank from words where words match ? order by rank limit ?"
        return raw.execute(sql, (asked, LIMIT)).fetchall()

    return search, len(terms) / spent


def _tantivy(terms: Sequence[str]) -> Callable[[str], object] | None:
    try:
        import tantivy
    except ImportError:
        return None
    schema: Any = tantivy.SchemaBuilder()
    schema.add_text_field("terms", stored=False, tokenizer_name="whitespace")
    schema.add_integer_field("id", stored=True, indexed=False)
    index: Any = tantivy.Index(schema.build())
    writer = index.writer(200_000_000, 1)
    for number, text in enumerate(terms):
        writer.add_document(tantivy.Document(terms=text, id=number))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(query: str) -> object:
        asked = " ".join(token.term for token in WordAnalyser().tokens(query))
        found = searcher.search(index.parse_query(asked, ["terms"]), LIMIT)
        return [searcher.doc(address)["id"] for _, address in found.hits]

    return search


def _first_times(search: Callable[[str], object], queries: Sequence[str]) -> list[float]:
    """Seconds of each query, the first time it is asked; the columns of all rows are there."""
    search("nothing")
    spent = []
    for query in queries:
        started = perf_counter()
        search(query)
        spent.append(perf_counter() - started)
    return spent


def _commits(bench: Workbench, store: SqliteStore) -> dict[str, Timing]:
    """Seconds of saving one document with one passage, each in a commit of its own: a new one, and
    the same with another text.
    """
    count = min(bench.size(ONE_ROW_COMMITS, 20), len(bench.passages) // 2)
    spent = {}
    for what, first in (("new", 0), ("changed", count)):
        rows = []
        for number in range(count):
            passages = bench.passages[first + number : first + number + 1]
            vectors = bench.vectors[first + number : first + number + 1]
            rows.append(document_of(FIRST_SAVED + number, passages, vectors))
        spent[what] = Timing(tuple(clocked(partial(store.replace, [row]))() for row in rows))
    return spent
