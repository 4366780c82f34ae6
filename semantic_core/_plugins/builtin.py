"""The kernel's own plugins, which answer last: any other plugin can answer instead.

They read text files, split plain text, write passages, retrieve by vectors, full text and titles,
merge the rankings (`fuse_scores`), and offer the store in memory and the analyser of words.

Tested by tests/plugins/test_fusion.py and tests/kernel/test_search.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from math import exp, isfinite, nan, sqrt
from operator import add, attrgetter
from typing import TYPE_CHECKING

from semantic_core._memory.store import open_memory
from semantic_core._text import passages, split_text
from semantic_core.analysis import WordAnalyser
from semantic_core.hookspecs import hookimpl
from semantic_core.protocols import Analyser, Store, TextScores, TextSearch, TitleSearch
from semantic_core.types import ChunkId, Ranking

if TYPE_CHECKING:
    from semantic_core.types import Chunk, Document, FileContent, SearchHit, SearchRequest

FUSED = "fused"
"""Source of a ranking that was merged from several."""
TITLE = "title"
"""Source of the ranking of documents by their titles; see `protocols.TitleSearch`."""
VECTOR = "vector"
"""Source of the rankings of vector search; stores use this name."""
WORDS = "words"
"""Source of the rankings of full-text search; stores use this name. It is also the name of the
kernel's analyser.
"""

DIGITS = 9
"""Decimals of a sum of z-scores that count. A store may add up one score in another order when it
is asked again, and a difference by rounding alone must not change the order from page to page."""

TEXTS = (".txt", ".text", ".rst", "text/plain")
"""Suffixes and the media type of files that are read as plain text."""
MARKDOWNS = (".md", ".markdown", ".mdown", "text/markdown")
"""Suffixes and the media type of Markdown, which a plugin for it reads and splits better."""

Reader = Callable[["FileContent"], "Document"]

OtherScores = Callable[[Ranking, Sequence[ChunkId]], Sequence[float] | None]
"""Returns the scores of candidates that a retriever did not list, NaN for one that it cannot score;
None if it can score none of them.
"""


def default_plugins() -> tuple[tuple[str, object], ...]:
    """(name, plugin) of everything that the kernel does itself."""
    return (
        ("core.memory", Memory()),
        ("core.text", PlainText()),
        ("core.analysis", Analysis()),
        ("core.vector", VectorRetriever()),
        ("core.words", TextRetriever()),
        ("core.title", TitleRetriever()),
        ("core.fusion", ScoreFusion()),
    )


class Memory:
    """Offers the store for first steps and tests, which is gone when the process ends."""

    @hookimpl(trylast=True)
    def semantic_stores(self) -> Mapping[str, Callable[..., Store]]:
        """{"memory": a MemoryStore}."""
        return {"memory": open_memory}


class Analysis:
    """Offers the analyser of words, which knows no language."""

    @hookimpl(trylast=True)
    def semantic_analysers(self) -> Mapping[str, Callable[..., Analyser]]:
        """{"words": a WordAnalyser}."""
        return {WORDS: word_analyser}


def word_analyser(languages: Sequence[str]) -> WordAnalyser:
    """The `WordAnalyser`, whatever the languages are."""
    return WordAnalyser()


class PlainText:
    """Reads text files; splits any text at paragraphs, sentences and words; title and headings are
    its context.
    """

    @hookimpl(trylast=True)
    def semantic_readers(self) -> Mapping[str, Reader]:
        """See `read_text` and `read_markdown`."""
        return {**dict.fromkeys(TEXTS, read_text), **dict.fromkeys(MARKDOWNS, read_markdown)}

    @hookimpl(trylast=True)
    def semantic_describe(self, document: Document) -> Document:
        """The document itself: plain text has no front matter."""
        return document

    @hookimpl(trylast=True)
    def semantic_split(self, document: Document, max_chars: int) -> Sequence[Chunk]:
        """See `split_text`."""
        return split_text(document, max_chars)

    @hookimpl(trylast=True)
    def semantic_context(self, document: Document, chunks: Sequence[Chunk]) -> Sequence[str]:
        """See `passages`."""
        return passages(document, chunks)


def read_text(file: FileContent) -> Document:
    """The document of a text file. Its title is the name of the file; its media type the one that
    the caller gave, if that is one of text.
    """
    given = file.media_type.startswith("text/")
    media_type = file.media_type if given else "text/plain"
    return file.document(file.text(), title=file.stem, media_type=media_type)


def read_markdown(file: FileContent) -> Document:
    """The document of a Markdown file, without a title: that is in the text."""
    return file.document(file.text(), media_type="text/markdown")


class VectorRetriever:
    """Vector search."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The nearest chunks; None in text mode and for a query without a vector."""
        if request.mode == "text" or request.vector is None:
            return None
        return store.nearest(request.vector, request.pool, request.scope)


class TextRetriever:
    """Full-text search."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The chunks that contain words of the query; None in vector mode and for a store without
        full-text search.
        """
        if request.mode == "vector" or not isinstance(store, TextSearch):
            return None
        return store.words(request.text, request.pool, request.scope)


class TitleRetriever:
    """Search of documents by their titles."""

    @hookimpl(trylast=True)
    def semantic_retrieve(self, request: SearchRequest, store: Store) -> Ranking | None:
        """The documents whose title is the query or begins with it; None outside of hybrid mode,
        for a store that does not search titles, and if there is no such document."""
        if request.mode != "hybrid" or not isinstance(store, TitleSearch):
            return None
        ranking = store.titled(request.text, request.pool, request.scope)
        return ranking if len(ranking) else None


class ScoreFusion:
    """Adds standardised scores, with the exact score of every candidate by every retriever, and
    leaves the hits in that order.
    """

    @hookimpl(trylast=True)
    def semantic_fuse(
        self, request: SearchRequest, rankings: Sequence[Ranking], store: Store
    ) -> Ranking:
        """See `fuse_scores`. In text and vector mode a single ranking is returned as it is."""
        if len(rankings) == 1 and request.mode != "hybrid":
            return rankings[0]

        def other_scores(ranking: Ranking, others: Sequence[ChunkId]) -> Sequence[float] | None:
            return _other_scores(ranking, others, request, store)

        return fuse_scores(rankings, other_scores)

    @hookimpl(trylast=True)
    def semantic_rerank(
        self, request: SearchRequest, hits: Sequence[SearchHit]
    ) -> Sequence[SearchHit]:
        """The hits as they are."""
        return hits


def _other_scores(
    ranking: Ranking, others: Sequence[ChunkId], request: SearchRequest, store: Store
) -> Sequence[float] | None:
    """The scores of candidates that a retriever did not list; None if they cannot be known."""
    if ranking.source == VECTOR and request.vector is not None:
        return _numbers(store.similarity(others, request.vector))
    if ranking.source == WORDS and len(ranking) < request.pool:
        return [0.0] * len(others)  # it listed all that contain any word of the query
    if ranking.source == WORDS and isinstance(store, TextScores):
        return _numbers(store.score(others, request.text))
    return None


def _numbers(scores: Iterable[float]) -> list[float]:
    """Numbers of Python: adding those of numpy takes longer."""
    return list(map(float, scores))


def candidates(rankings: Sequence[Ranking]) -> list[ChunkId]:
    """Every id of any ranking, once, in order of first appearance."""
    return list(dict.fromkeys(chain.from_iterable(map(attrgetter("ids"), rankings))))


def no_scores(ranking: Ranking, others: Sequence[ChunkId]) -> None:
    """No retriever can score what it did not list."""


def fuse_scores(rankings: Sequence[Ranking], other_scores: OtherScores = no_scores) -> Ranking:
    """Merge rankings by the sum of their z-scores.

    The scores of each retriever over all candidates are brought to mean 0 and deviation 1, then
    added. Unlike ranks, they keep how clearly a retriever prefers a candidate (standardised
    CombSUM: Fox and Shaw 1994; Wu, Crestani and Bi 2006).

    rankings: of retrievers of equal weight, at least one. other_scores: called once for each
    retriever that did not list every candidate. A NaN is replaced by the retriever's lowest score.
    For a retriever that cannot score others, see `_unlisted`.

    The ranking of source "title" has no z-scores. Its score, from 0 to 1, adds that part of the
    distance between the best and the worst of all candidates. Documents of score 1 have exactly the
    query as title; they are raised after all others, so they come first.

    The logistic function maps the sum to a score in [0, 1], where 0.5 is the middle of the
    candidates. Equal sums are in order of title score, then of ChunkId.
    """
    ids = candidates(rankings)
    places = {id: place for place, id in enumerate(ids)}
    total = [0.0] * len(ids)
    title_scores = [0.0] * len(ids)
    for ranking in rankings:
        listed = [places[id] for id in ranking.ids]
        if ranking.source == TITLE:
            for place, score in zip(listed, ranking.scores, strict=True):
                title_scores[place] = min(1.0, max(0.0, score))
        else:
            values = _standardised(_all_scores(ranking, listed, ids, other_scores))
            total = list(map(add, total, values))
    total = [round(value, DIGITS) for value in total]
    if any(title_scores):
        total = _raised_by(total, [0.0 if share == 1 else share for share in title_scores])
        total = _raised_by(total, [share if share == 1 else 0.0 for share in title_scores])

    def best_first(place: int) -> tuple[float, float, ChunkId]:
        return (-total[place], -title_scores[place], ids[place])

    order = sorted(range(len(ids)), key=best_first)
    ordered = [ids[place] for place in order]
    scores = [_logistic(total[place]) for place in order]
    return Ranking(FUSED, tuple(ordered), tuple(scores))


def _raised_by(total: Sequence[float], shares: Sequence[float]) -> list[float]:
    """Each value raised by its share of the distance between the best and the worst; with share 1,
    at least to the best.
    """
    best = max(total)
    spread = best - min(total)
    raised = []
    for value, share in zip(total, shares, strict=True):
        higher = value + share * spread
        raised.append(max(best, higher) if share == 1 else higher)
    return raised


def _all_scores(
    ranking: Ranking,
    listed: Sequence[int],
    ids: Sequence[ChunkId],
    other_scores: OtherScores,
) -> list[float]:
    """A retriever's score of each candidate. listed: the places in `ids` of those it listed."""
    scores = [nan] * len(ids)
    for place, score in zip(listed, ranking.scores, strict=True):
        scores[place] = score
    if len(listed) == len(ids):
        return scores
    others = sorted(set(range(len(ids))).difference(listed))
    found = other_scores(ranking, [ids[place] for place in others])
    if found is None:
        found = [_unlisted(ranking)] * len(others)
    for place, score in zip(others, found, strict=True):
        scores[place] = score
    lowest = min(filter(isfinite, scores), default=0.0)
    return [score if isfinite(score) else lowest for score in scores]


def _unlisted(ranking: Ranking) -> float:
    """The score of a candidate that a retriever did not list and cannot score.

    It is always less than the listed scores: 0 if all of them are above 0, else as far below the
    lowest as the best is above it.
    """
    lowest = min(ranking.scores)
    highest = max(ranking.scores)
    if lowest > 0:
        return 0.0
    return lowest - ((highest - lowest) or 1.0)


def _logistic(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0


def _standardised(values: Sequence[float]) -> list[float]:
    """The z-scores of values; all 0 if the values are equal."""
    mean = sum(values) / len(values)
    squares = [(value - mean) ** 2 for value in values]
    deviation = sqrt(sum(squares) / len(values))
    if deviation < 1e-12 * max(1.0, abs(mean)):
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]
