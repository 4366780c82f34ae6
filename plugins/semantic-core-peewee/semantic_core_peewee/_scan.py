"""Scoring codes: how well every slot fits a query, roughly but fast,
and which slots may be among the best.

A rough score is a cosine over the query's step, which all scores of one scan share. It differs from
the true one by rounding alone, whose standard deviation is known (a uniform error of one step has
deviation step / sqrt(12)); what is left out is further away than `SIGMAS` of it.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import simsimd

from semantic_core_peewee._codes import BLOCK, SHIFT, Block, Codes, homes_of, shifted
from semantic_core_peewee._slots import HIGHEST, SEGMENT, State, segments_since

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee._pool import View

    Scores = NDArray[np.float32]
    Rows = NDArray[np.intp]

SIGMAS = 5.0
"""Standard deviations of rounding that are allowed for."""
NEVER = np.float32(-1e30)
"""Score of a slot that may not be found."""
_COLUMNS = 2_048
"""Columns scores are laid out in to find the best of them: many more than are wanted."""

WIDEST = 32_768
"""Columns of codes multiplied at once: simsimd adds up in 32 bits,
and 255 * 255 of more would not fit.
"""


class Query:
    """A query of length 1 as codes, see `shifted`. step: what one unit of them is worth.
    shift: its part of every dot.
    """

    def __init__(self, vector: NDArray[np.float64]) -> None:
        self.step = float(np.abs(vector).max()) / HIGHEST
        self.codes, sums = shifted(np.rint(vector / self.step).astype(np.int8)[None])
        self.shift = float(sums[0]) - SHIFT * SHIFT * len(vector)

    def deviation(self, step: float) -> float:
        """How far a vector of this scale is from its rough score, in units of a cosine."""
        return math.hypot(self.step, step) / math.sqrt(12.0)

    def rough(self, cosine: float, step: float) -> float:
        """The lowest rough score a vector of at least this cosine,
        and of at most this scale, can have.
        """
        return (cosine - SIGMAS * self.deviation(step)) / self.step


_own = threading.local()


def _room(count: int) -> Scores:
    """Memory of this thread for so many scores, good until it asks again:
    fresh pages cost as much as the scores.
    """
    room: Scores | None = getattr(_own, "room", None)
    if room is None or len(room) < count:
        room = _own.room = np.empty(count + BLOCK, dtype=np.float32)
    return room[:count]


def score(
    query: Query, codes: NDArray[np.uint8], sums: Scores, scales: Scores, into: Scores
) -> None:
    """Rough cosines of these codes over the query's step, written to `into`."""
    if len(codes):
        np.subtract(_dots(query.codes, codes), sums, out=into)
        into -= np.float32(query.shift)
        # Of a damaged scale: what it misleads to is compared exactly.
        with np.errstate(over="ignore", invalid="ignore"):
            into *= scales


def _dots(query: NDArray[np.uint8], codes: NDArray[np.uint8]) -> Scores:
    if query.shape[1] > WIDEST:
        return _dots(query[:, :WIDEST], codes[:, :WIDEST]) + _dots(
            query[:, WIDEST:], codes[:, WIDEST:]
        )
    # No `out=`: simsimd's loses a reference to None per call, and the interpreter ends after some
    # thousands.
    dots: Scores = np.asarray(
        simsimd.cdist(query, codes, metric="dot", dtype="uint8", out_dtype="float32")
    )[0]
    return dots


def score_all(query: Query, codes: Codes, sums: Sequence[Scores] | None = None) -> Scores:
    """Rough scores of all slots, NEVER where a slot is dead;
    in memory this thread uses again at its next scan.

    sums: to be taken, block by block, instead of those the codes have.
    """
    scores = _room(len(codes))
    for number, block in enumerate(codes.blocks):
        taken = codes.taken(number)
        into = scores[number * BLOCK : number * BLOCK + taken]
        of_block = block.sums[:taken] if sums is None else sums[number]
        score(query, block.codes[:taken], of_block, block.scales[:taken], into)
    if codes.state.dead:
        scores[_dead(codes)] = NEVER
    return scores


def score_rows(query: Query, codes: Codes, rows: Rows) -> Scores:
    """Rough scores of these slots, in their order; `rows` ascend."""
    scores = np.empty(len(rows), dtype=np.float32)
    ends = np.searchsorted(rows, np.arange(1, len(codes.blocks) + 1) * BLOCK)
    start = 0
    for number, end in enumerate(ends.tolist()):
        if end > start:
            inside = rows[start:end] - number * BLOCK
            block = codes.blocks[number]
            score(
                query,
                block.codes[inside],
                block.sums[inside],
                block.scales[inside],
                scores[start:end],
            )
        start = end
    return scores


def streamed(view: View, dimensions: int, state: State, query: Query) -> tuple[Codes, Scores]:
    """The scores of all slots, and the slots without their codes,
    which pass through memory once.
    """
    scores = np.full(state.slots, NEVER, dtype=np.float32)
    blocks: list[Block] = []
    chunks: list[NDArray[np.int64]] = []
    for start, slots in _runs(view, dimensions):
        taken = slots[: max(0, state.slots - start)]
        codes, sums = shifted(taken["code"])
        scales = np.ascontiguousarray(taken["scale"])
        score(query, codes, sums, scales, scores[start : start + len(taken)])
        chunks.append(np.ascontiguousarray(slots["chunk"]))
        homes, documents = (
            np.ascontiguousarray(slots["home"]),
            np.ascontiguousarray(slots["document"]),
        )
        blocks.append(Block(codes[:0], sums[:0], scales, documents, homes))
    codes_of_none = Codes(view.generation, state, tuple(blocks), tuple(chunks), homes_of(view))
    if state.dead:
        scores[_dead(codes_of_none)] = NEVER
    return codes_of_none, scores


def _runs(view: View, dimensions: int) -> Iterator[tuple[int, NDArray[Any]]]:
    run: list[NDArray[Any]] = []
    first = 0
    for number, slots in segments_since(view, dimensions, -1):
        run.append(slots)
        if (number + 1) * SEGMENT % BLOCK == 0:
            yield first, np.concatenate(run)
            run, first = [], (number + 1) * SEGMENT
    if run:
        yield first, np.concatenate(run)


def _dead(codes: Codes) -> Rows:
    found: Rows | None = codes.kept.get("dead")
    if found is None:
        found = codes.kept["dead"] = np.flatnonzero(codes.chunk_numbers() == 0)
    return found


def largest_step(codes: Codes) -> float:
    """The coarsest scale of any slot."""
    found: float | None = codes.kept.get("step")
    if found is None:
        taken = ((block, codes.taken(number)) for number, block in enumerate(codes.blocks))
        found = codes.kept["step"] = max(
            (float(block.scales[:count].max()) for block, count in taken if count), default=0.0
        )
    return found


def best(scores: Scores, count: int, slack: float) -> tuple[Rows, float]:
    """(places of everything that scores at most `slack` less than the `count`-th best, that bound),
    in ascending order.

    What scores NEVER is not among them; the bound is NEVER if there are fewer than `count` others.
    """
    if len(scores) <= max(count, 1):
        return np.flatnonzero(scores > NEVER), float(NEVER)
    places = _promising(scores, count, slack)
    inside = scores if places is None else scores[places]
    edge = max(nth(inside, count) - slack, float(NEVER))
    kept = np.flatnonzero(inside >= edge if edge > NEVER else inside > NEVER)
    return kept if places is None else places[kept], edge


def _promising(scores: Scores, count: int, slack: float) -> Rows | None:
    """The places of all that `best` may choose, and of few others, ascending;
    None if looking for them saves nothing.

    The scores are laid out in columns. As many columns as are wanted have their best at or above a
    score; so have at least as many places, and no other column holds anything that is better.
    """
    rows = len(scores) // _COLUMNS
    if rows < 4 or 8 * count > _COLUMNS:
        return None
    tops = scores[: rows * _COLUMNS].reshape(rows, _COLUMNS).max(axis=0)
    rest = scores[rows * _COLUMNS :]
    np.maximum(tops[: len(rest)], rest, out=tops[: len(rest)])
    columns = np.flatnonzero(tops >= nth(tops, count) - slack)
    places: Rows = (columns + np.arange(0, len(scores), _COLUMNS)[:, None]).ravel()
    return places[: np.searchsorted(places, len(scores))]


def nth(scores: Scores, count: int) -> float:
    """The `count`-th best score."""
    return float(np.partition(scores, len(scores) - count)[len(scores) - count])
