"""What every chunk scores for a word, remembered while nothing changes: FTS5 looks up each passage that holds one, anew.

BM25 of several words is the sum over them. FTS5 adds them up in the order of the query, and so does this, with what FTS5
gives for each word alone: the scores are the same. They hang on all passages, so they are good for one state only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from semantic_core_peewee._codes import current_state
from semantic_core_peewee._few import Known, among

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee._pool import View

    Scored = tuple[NDArray[Any], NDArray[np.float64]]
    """Chunks, ascending, and what each scores."""
Row = tuple[int, float]
"""A chunk, and its score as FTS5 has it: smaller is better."""

SHARE = 1 / 8
"""Of the passages that searches of one state have looked up, how many may be looked up once more to remember them. To list a
word takes about twice as long as to search for it, so where something is written all the time, little is lost."""
BYTES_PER_PASSAGE = 48
"""Memory for what is remembered: together with codes of 256 numbers, 1.3 bytes a number."""
LEAST_BYTES = 4 * 1024**2
"""Memory it may take in a small store."""
OVERHEAD = 500
"""Bytes a list takes that holds nothing."""
_MARGIN = 3.0
"""Standard deviations by which the best may hold fewer of some chunks than if those were spread evenly over all."""
_TABLE, _DENSE = 1_000_000, 64
"""Highest number of a chunk, and more per chunk found, up to which a table of all numbers is the fastest way to add up."""

_SCORED = "select rowid, bm25(words) from words where words match ?"
_ROW = np.dtype([("chunk", "<i8"), ("score", "<f8")])


class WordList(NamedTuple):
    """What a word scores where. chunks: ascending. values: scores there are, which are few: one hangs on how often the word
    stands in a passage, and how long that is. places: for each chunk, where its score is in them.
    """

    chunks: NDArray[Any]
    places: NDArray[Any]
    values: NDArray[np.float64]

    @property
    def bytes(self) -> int:
        """What it takes, with about what Python adds."""
        return OVERHEAD + sum(column.nbytes for column in self)


class _State:
    """What is remembered of one state.

    uses: how often each list was of use. listed, spent: passages looked up for lists, and without them. bytes: about.
    """

    def __init__(self, name: Any) -> None:
        self.name = name
        self.uses: Counter[str] = Counter()
        self.lists: dict[str, WordList] = {}
        self.listed = self.spent = self.bytes = 0


class WordLists:
    """The lists of one store; safe to share between threads, without a lock.

    What a thread adds, it adds to the state it sees. What another one takes out meanwhile is only asked for once more, and
    what is held is counted anew before anything goes.
    """

    def __init__(self) -> None:
        self.state = _State(None)

    @property
    def bytes(self) -> int:
        """Memory they take."""
        return self.state.bytes

    def forget(self) -> None:
        """Give the memory back."""
        self.state = _State(None)

    def remembered(self, view: View, words: Iterable[str]) -> Mapping[str, WordList]:
        """The lists there are of these words in this state; makes none."""
        state = self.state
        if state.name != (view.generation, current_state(view)):
            return {}
        lists = {word: state.lists.get(word) for word in words}
        return {word: held for word, held in lists.items() if held is not None}

    def found(self, view: View, words: Sequence[str], held: Mapping[str, int], passages: int) -> Found | None:
        """What holds any of these words; None while it is cheaper to ask FTS5 for them all.

        A word that stands there several times counts as often. held: how many passages hold each, about.
        """
        state, name = self.state, (view.generation, current_state(view))
        if state.name != name:
            state = self.state = _State(name)
        wanted = set(words)
        fresh = sum(held[word] for word in wanted if word not in state.lists)
        if fresh and not is_worth(state.listed + fresh, state.spent):
            state.spent += sum(held[word] for word in wanted)
            return None
        state.listed += fresh
        most = max(LEAST_BYTES, BYTES_PER_PASSAGE * passages)
        state.uses.update(wanted)
        return Found([state.lists.get(word) or _list(view, state, word, most) for word in words])


def _list(view: View, state: _State, word: str, most: int) -> WordList:
    """A new list."""
    rows = np.fromiter(view.raw.execute(_SCORED, (quoted(word),)), dtype=_ROW)
    values, places = np.unique(rows["score"], return_inverse=True)
    made = state.lists[word] = WordList(_narrow(rows["chunk"]), _narrow(places), values)
    state.bytes += made.bytes
    if state.bytes > most:
        _make_room(state, most)
    return made


def _make_room(state: _State, most: int) -> None:
    """Let go what was of use the fewest times: a list saves each time about as much as it takes."""
    uses, held = state.uses, [(one, kept.bytes) for one, kept in list(state.lists.items())]
    state.bytes = sum(size for _, size in held)
    for one, size in sorted(held, key=lambda kept: uses[kept[0]]):
        if state.bytes <= most * 15 // 16:
            break
        state.lists.pop(one, None)
        state.bytes -= size
    state.uses = Counter({one: uses[one] // 2 for one in list(state.lists)})  # what was asked for long ago fades


def _narrow(numbers: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in as few bytes as hold them."""
    lowest, highest = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    return numbers.astype(np.result_type(np.min_scalar_type(lowest), np.min_scalar_type(highest)))


def is_worth(listed: int, spent: int) -> bool:
    """Whether so much may be listed in a state in which so much was looked up."""
    return listed <= SHARE * spent


def quoted(word: str) -> str:
    """A word as FTS5 takes it for one and nothing else."""
    return f'"{word}"'


class Found:
    """The chunks a query finds by words, whatever their scope."""

    def __init__(self, lists: Sequence[WordList]) -> None:
        chunks = np.concatenate([one.chunks for one in lists])
        scores = np.concatenate([one.values[one.places] for one in lists])
        sums: Any
        if len(chunks) and int(chunks.max()) > _TABLE + _DENSE * len(chunks):
            every, places = np.unique(chunks, return_inverse=True)
            sums = np.bincount(places, scores)
        else:
            sums = np.bincount(chunks, scores)
            every = np.flatnonzero(sums)
            sums = sums[every]
        self._every: Scored = every, sums

    def best(self, limit: int, known: Known | None = None, passages: int = 0) -> list[Row]:
        """The best so many. known: only of these chunks of so many passages."""
        if known is None:
            return _rows(_top(self._every, limit), limit)
        every, scores = self._every
        asked = likely(limit, len(known), passages)
        if len(known) < len(every) <= asked:
            inside = known.chunks[among(every, known.chunks)]
            return _rows(_top((inside, scores[np.searchsorted(every, inside)]), limit), limit)
        while True:
            chunks, best = _top(self._every, asked)
            is_known = known.holds(chunks)
            if np.count_nonzero(is_known) >= limit or len(chunks) == len(every):
                return _rows((chunks[is_known], best[is_known]), limit)
            asked *= 4


def likely(limit: int, known: int, passages: int) -> int:
    """How many of the best of all hold the best `limit` of so many that are known, as good as certainly."""
    return int((limit + _MARGIN * math.sqrt(limit)) * max(1.0, passages / max(1, known)))


def _top(scored: Scored, limit: int) -> Scored:
    """The best so many, and all that score the same as the last of them; still ascending."""
    chunks, scores = scored
    if len(scores) <= limit:
        return scored
    inside = np.flatnonzero(scores <= np.partition(scores, limit - 1)[limit - 1])
    return chunks[inside], scores[inside]


def _rows(scored: Scored, limit: int) -> list[Row]:
    chunks, scores = scored
    order = np.argsort(scores, kind="stable")[:limit]
    return list(zip(chunks[order].tolist(), scores[order].tolist(), strict=True))
