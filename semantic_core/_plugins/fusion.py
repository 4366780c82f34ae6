"""The kernel's own fusion: rankings of several retrievers become one order, and a score that means
the same for every query.

The steps, in this order; those of `RankingOptions.steps` can be switched off:

1. Every candidate gets its exact score by every retriever that can score it.
2. documents: passages share the full-text score of their document.
3. boosts: full-text scores count for more where a field contains the query's words.
4. Standardised scores are added (standardised CombSUM: Fox and Shaw, "Combination of Multiple
   Searches", 1994; Wu, Crestani and Bi, "Evaluating Score Normalization Methods in Data Fusion",
   2006), weighted by `vector_share` and `trust_in_words`.
5. feedback: the best candidates say what the query means, and the candidates are scored again.
6. neighbours: candidates are raised by those most like them.
7. Documents whose title is the query come first.
8. recency: old documents lose.

Each step is a function of `ranking_steps`. Their times are in ``results.timings``, and what they
did for a hit is in ``hit.parts``.

Tested by tests/plugins/test_fusion.py, tests/plugins/test_ranking_steps.py and
tests/kernel/test_ranking.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from math import isfinite, nan
from operator import attrgetter, sub
from time import perf_counter
from typing import TYPE_CHECKING, Final

import attrs

from semantic_core._plugins import ranking_steps as steps
from semantic_core.hookspecs import hookimpl
from semantic_core.protocols import ChunkVectors, TextScale, TextScores
from semantic_core.ranking import DEFAULT_RANKING, UPDATED_AT, RankingOptions, Recency
from semantic_core.ranking import TITLE as TITLE_FIELD
from semantic_core.types import ChunkId, Ranking

if TYPE_CHECKING:
    from semantic_core.protocols import Store
    from semantic_core.types import Marker, SearchHit, SearchRequest, StoredChunk, Vector, Vectors

FUSED = "fused"
"""Source of a ranking that was merged from several."""
TITLE = "title"
"""Source of the ranking of documents by their titles; see `protocols.TitleSearch`."""
VECTOR = "vector"
"""Source of the rankings of vector search; stores use this name."""
WORDS = "words"
"""Source of the rankings of full-text search; stores use this name."""

DIGITS = 9
"""Decimals of a sum of z-scores that count. A store may add up one score in another order when it
is asked again, and a difference by rounding alone must not change the order from page to page."""
MOST_RESCORED = 1_000
"""Candidates up to which feedback and neighbours are used. Deeper pages do not need them, and the
vectors of so many candidates would take long to read.
"""

OtherScores = Callable[[Ranking, Sequence[ChunkId]], Sequence[float] | None]
"""Returns the scores of candidates that a retriever did not list, NaN for one that it cannot score;
None if it can score none of them.
"""


def no_scores(ranking: Ranking, others: Sequence[ChunkId]) -> None:
    """No retriever can score what it did not list."""


@attrs.frozen(eq=False)
class Evidence:
    """What is known besides the rankings.

    other_scores: scores of candidates that a retriever did not list. full: of the query, see
    `TextScale`; 0.0 if the store does not know it. query: the vector of the query. vectors: the
    vectors of candidates, a row each; None if the store does not give them. coverage: how well the
    embedder covers the query. fetch: the candidates with their fields. marker: tells which
    words of the query a boosted field contains; None if nothing is boosted. now: the time that ages
    are counted to.
    """

    other_scores: OtherScores = no_scores
    full: float = 0.0
    query: Vector | None = None
    vectors: Callable[[Sequence[ChunkId]], Vectors] | None = None
    coverage: float = 1.0
    fetch: Callable[[Sequence[ChunkId]], Iterable[StoredChunk]] = attrs.field(
        default=lambda ids: ()
    )
    marker: Marker | None = None
    now: datetime = attrs.field(factory=lambda: datetime.now(UTC))


class ScoreFusion:
    """Merges rankings by their scores, see the module, and leaves the hits in that order."""

    @hookimpl(trylast=True)
    def semantic_fuse(
        self, request: SearchRequest, rankings: Sequence[Ranking], store: Store
    ) -> Ranking:
        """See `fuse_scores`. In text and vector mode a single ranking keeps its order."""

        def other_scores(ranking: Ranking, others: Sequence[ChunkId]) -> Sequence[float] | None:
            return _other_scores(ranking, others, request, store)

        options = request.ranking
        sources = {ranking.source for ranking in rankings}
        full = _full_score(request, store) if WORDS in sources else 0.0
        hybrid = request.mode == "hybrid"
        evidence = Evidence(
            other_scores,
            full,
            request.vector,
            store.vectors if hybrid and isinstance(store, ChunkVectors) else None,
            request.coverage,
            store.fetch,
            request.marker,
        )
        if hybrid or len(rankings) > 1 or options.boosts or options.recency:
            if not hybrid:
                options = attrs.evolve(options, steps=())
            return fuse_scores(rankings, evidence, options)
        return alone(rankings[0], full)

    @hookimpl(trylast=True)
    def semantic_rerank(
        self, request: SearchRequest, hits: Sequence[SearchHit]
    ) -> Sequence[SearchHit]:
        """The hits as they are."""
        return hits


def _full_score(request: SearchRequest, store: Store) -> float:
    """See `Evidence.full`."""
    if not isinstance(store, TextScale):
        return 0.0
    return store.full_score(request.text, request.scope.tenant)


def words_relevance(
    scores: Sequence[float], request: SearchRequest, store: Store
) -> Sequence[float]:
    """Full-text scores of candidates for a request as scores of hits, from 0 to 1."""
    most = _full_score(request, store) or max(scores, default=0.0)
    nothing = [0.0] * len(scores)
    return steps.relevance(nothing, scores, most, nothing)


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


def alone(ranking: Ranking, full: float) -> Ranking:
    """The one ranking there is, in its own order, with scores as a hybrid answer has them. That of
    a plugin is returned as it is, because nothing is known of its scores.

    full: see `Evidence`.
    """
    nothing = [0.0] * len(ranking)
    if ranking.source == WORDS:
        most = full or max(ranking.scores)
        scores = steps.relevance(nothing, ranking.scores, most, nothing)
    elif ranking.source == VECTOR:
        scores = steps.relevance(ranking.scores, nothing, 0.0, nothing)
    else:
        return ranking
    return attrs.evolve(ranking, scores=tuple(steps.falling(scores)))


def fuse_scores(
    rankings: Sequence[Ranking],
    evidence: Evidence | None = None,
    options: RankingOptions = DEFAULT_RANKING,
) -> Ranking:
    """Merge rankings by the weighted sum of their z-scores; see the module for all steps.

    The scores of each retriever over all candidates are brought to mean 0 and deviation 1, then
    added. Unlike ranks, they keep how clearly a retriever prefers a candidate.

    rankings: of retrievers, at least one, none empty. evidence: None if nothing else is known. A
    score that is NaN is replaced by the retriever's lowest. For a retriever that cannot score
    others, see `_unlisted`.

    The ranking of source "title" has no z-scores. Its score, from 0 to 1, adds that part of the
    distance between the best and the worst of all candidates. Documents of score 1 have exactly the
    query as title; they are raised after all others, so they come first.

    Equal sums are in order of title score, then of ChunkId. The scores are the relevance of each
    candidate (see `relevance`), fitted to the order (see `falling`). If neither vector search nor
    full-text search takes part, nothing is known of the scale, and the scores are the logistic
    function of the sums: 0.5 is the middle of the candidates.
    """
    return _Fusion(rankings, evidence or Evidence(), options).run()


class _Fusion:
    """One fusion. total: the sums, by place in `ids`. parts: by step, what it added to them."""

    def __init__(
        self, rankings: Sequence[Ranking], evidence: Evidence, options: RankingOptions
    ) -> None:
        self.ids = candidates(rankings)
        self.seconds: dict[str, float] = {}
        self.parts: dict[str, list[float]] = {}
        self._evidence = evidence
        self._options = options
        self._places = {id: place for place, id in enumerate(self.ids)}
        numbers: dict[object, int] = {}
        self._documents = [numbers.setdefault(id.ref, len(numbers)) for id in self.ids]
        self._titles = [0.0] * len(self.ids)
        self._fetched: list[StoredChunk] | None = None
        self._vectors = self._read_vectors()
        self._scores: dict[str, list[float]] = {}
        for ranking in rankings:
            self._add(ranking)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + perf_counter() - started

    def _read_vectors(self) -> Vectors | None:
        """The candidates' vectors in float64, if a step needs them."""
        evidence = self._evidence
        wanted = {"feedback", "neighbours"} & set(self._options.steps)
        few = len(self.ids) <= MOST_RESCORED
        if evidence.vectors is None or evidence.query is None or not wanted or not few:
            return None
        with self._timed("vectors"):
            vectors: Vectors = evidence.vectors(self.ids).astype("float64")
        return vectors

    def _add(self, ranking: Ranking) -> None:
        """Take the scores of a retriever."""
        listed = [self._places[id] for id in ranking.ids]
        if ranking.source == TITLE:
            for place, score in zip(listed, ranking.scores, strict=True):
                self._titles[place] = min(1.0, max(0.0, score))
            return
        self._scores[ranking.source] = self._all_scores(ranking, listed)

    def _all_scores(self, ranking: Ranking, listed: Sequence[int]) -> list[float]:
        """A retriever's score of each candidate. listed: the places of those it listed."""
        scores = [nan] * len(self.ids)
        for place, score in zip(listed, ranking.scores, strict=True):
            scores[place] = score
        if len(listed) == len(self.ids):
            return scores
        others = sorted(set(range(len(self.ids))).difference(listed))
        query = self._evidence.query
        found: Sequence[float] | None
        if ranking.source == VECTOR and self._vectors is not None and query is not None:
            found = steps.cosines_of(self._vectors[others], query)
        else:
            found = self._evidence.other_scores(ranking, [self.ids[place] for place in others])
        if found is None:
            found = [_unlisted(ranking)] * len(others)
        for place, score in zip(others, found, strict=True):
            scores[place] = score
        lowest = min(filter(isfinite, scores), default=0.0)
        return [score if isfinite(score) else lowest for score in scores]

    def run(self) -> Ranking:
        """The candidates in their order."""
        true_scores = dict(self._scores)
        words = self._scores.get(WORDS)
        full = self._evidence.full or (max(words) if words else 0.0)
        trust = steps.trust_in_words(max(words), self._evidence.full) if words else 1.0
        if words is not None:
            self._scores[WORDS] = self._text_scores(words)
        total = self._sum(trust)
        total = self._after_feedback(total, trust)
        total = self._after_neighbours(total, trust)
        total = [round(value, DIGITS) for value in total]
        total = self._after_titles(total)

        def best_first(place: int) -> tuple[float, float, ChunkId]:
            return (-total[place], -self._titles[place], self.ids[place])

        order = sorted(range(len(self.ids)), key=best_first)
        relevance = self._relevance(true_scores, full, total)
        scores = steps.falling([relevance[place] for place in order])
        factors = self._recency()
        if factors is not None:
            aged = [score * factors[place] for score, place in zip(scores, order, strict=True)]
            newest = sorted(range(len(order)), key=lambda at: -aged[at])
            order = [order[at] for at in newest]
            scores = [aged[at] for at in newest]
        return Ranking(
            FUSED,
            tuple([self.ids[place] for place in order]),
            tuple(scores),
            {step: tuple([of[place] for place in order]) for step, of in self.parts.items()},
            self.seconds,
        )

    def _text_scores(self, scores: Sequence[float]) -> list[float]:
        """Full-text scores as they are added: shared within documents, and boosted by fields."""
        values = list(scores)
        if "documents" in self._options.steps:
            with self._timed("documents"):
                values = steps.shared_by_document(values, self._documents)
        boosts = self._options.boosts
        if boosts:
            with self._timed("boosts"):
                for field, weight in boosts.items():
                    values = steps.boosted(values, self._shares_of(field), weight)
        return values

    def _shares_of(self, field: str) -> list[float]:
        """The part of the query's words that a field of each candidate's document contains."""
        marker = self._evidence.marker
        shares = [0.0] * len(self.ids)
        if marker is None:
            return shares
        for stored in self._stored():
            value = stored.title if field == TITLE_FIELD else stored.metadata.get(field, "")
            text = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            there, missing = marker.words(text)
            if there:
                shares[self._places[stored.chunk.id]] = len(there) / (len(there) + len(missing))
        return shares

    def _stored(self) -> list[StoredChunk]:
        """The candidates with their fields, read once."""
        if self._fetched is None:
            self._fetched = list(self._evidence.fetch(self.ids))
        return self._fetched

    def _sum(self, trust: float) -> list[float]:
        """The weighted sum of the z-scores; its weights add up to the number of retrievers."""
        weights = dict.fromkeys(self._scores, 1.0)
        if VECTOR in weights and WORDS in weights:
            share = steps.vector_share(self._evidence.coverage)
            wording = (1.0 - share) * trust
            weights[VECTOR] = 2 * share / (share + wording)
            weights[WORDS] = 2 * wording / (share + wording)
        total = [0.0] * len(self.ids)
        for source, scores in self._scores.items():
            weight = weights[source]
            values = [weight * value for value in steps.standardised(scores)]
            self.parts[source] = values
            total = [sum_ + value for sum_, value in zip(total, values, strict=True)]
        self._weight = weights.get(VECTOR, 1.0)
        return total

    def _after_feedback(self, total: list[float], trust: float) -> list[float]:
        """The sum with vector scores for the query as the best candidates understand it."""
        query = self._evidence.query
        wanted = "feedback" in self._options.steps and VECTOR in self._scores
        if self._vectors is None or query is None or not wanted:
            return total
        with self._timed("feedback"):
            count = min(steps.FED_BACK, len(set(self._documents)) // steps.TENTH)
            if not count:
                return self._changed("feedback", total, [0.0] * len(total))
            best = steps.first_of_documents(total, self._documents, count)
            moved = steps.query_after_feedback(query, self._vectors, best, steps.FEEDBACK / trust)
            scores = steps.cosines_of(self._vectors, moved)
            lowest = min(filter(isfinite, scores), default=0.0)
            scores = [score if isfinite(score) else lowest for score in scores]
            values = [self._weight * value for value in steps.standardised(scores)]
            changes = list(map(sub, values, self.parts[VECTOR]))
        return self._changed("feedback", total, changes)

    def _after_neighbours(self, total: list[float], trust: float) -> list[float]:
        """The sum with what the candidates most alike add to it."""
        if self._vectors is None or "neighbours" not in self._options.steps:
            return total
        with self._timed("neighbours"):
            part = steps.EQUAL_PARTS / trust
            count = min(steps.NEIGHBOURS, len(total) // steps.TENTH)
            raised = steps.raised_by_neighbours(total, self._vectors, self._documents, part, count)
        return self._changed("neighbours", total, list(map(sub, raised, total)))

    def _after_titles(self, total: list[float]) -> list[float]:
        """The sum with documents raised whose title is the query, or begins with it."""
        if not any(self._titles):
            return total
        begun = [0.0 if share == 1 else share for share in self._titles]
        called = [share if share == 1 else 0.0 for share in self._titles]
        raised = steps.raised_by(steps.raised_by(total, begun), called)
        self._changed(TITLE, total, list(map(sub, raised, total)))
        return raised

    def _changed(self, step: str, total: list[float], changes: list[float]) -> list[float]:
        """Note what a step changed, and return the sum after it."""
        self.parts[step] = changes
        return [value + change for value, change in zip(total, changes, strict=True)]

    def _recency(self) -> list[float] | None:
        """What the score of each candidate is multiplied with for its age; None if age does not
        matter.
        """
        recency = self._options.recency
        if recency is None:
            return None
        with self._timed("recency"):
            factors = [1.0] * len(self.ids)
            for stored in self._stored():
                age = _age(stored, recency, self._evidence.now)
                factors[self._places[stored.chunk.id]] = recency.factor(age)
        self.parts["recency"] = factors
        return factors

    def _relevance(
        self, scores: Mapping[str, list[float]], full: float, total: Sequence[float]
    ) -> list[float]:
        """How well each candidate answers, from 0 to 1; see `fuse_scores`."""
        cosines = scores.get(VECTOR)
        words = scores.get(WORDS)
        if cosines is None and words is None:
            return [steps.logistic(value) for value in total]
        nothing = [0.0] * len(self.ids)
        return steps.relevance(cosines or nothing, words or nothing, full, self._titles)


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


NO_AGE: Final = 0.0


def _age(stored: StoredChunk, recency: Recency, now: datetime) -> float:
    """Seconds since the time in a field of a document; `NO_AGE` if there is no time in it."""
    at_change = recency.field == UPDATED_AT and UPDATED_AT not in stored.metadata
    value = stored.updated_at if at_change else stored.metadata.get(recency.field)
    if not isinstance(value, str):
        return NO_AGE
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return NO_AGE
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    return (now - time).total_seconds()
