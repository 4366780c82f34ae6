"""What passages hold a word, and how often, remembered in memory and kept up with what is written:
BM25 without FTS5.

To score a match, FTS5 looks up how long the passage is, each time anew: that is most of a search by
words. Here the lengths of all passages are read once, and of each word asked for the passages that
hold it. What was written since is told word by word, so a write costs what it changed; and the sums
FTS5 keeps of all passages say whether nothing was missed. Scores are computed as FTS5 does it, in
the same order, so they are the same.

Tested by tests/sqlite/test_word_search.py.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw
import numpy as np

from semantic_core_peewee.sqlite.errors import altered
from semantic_core_peewee.sqlite.pool import Sole, Use, View
from semantic_core_peewee.sqlite.quantized import CODES, current_state
from semantic_core_peewee.sqlite.selective_scopes import Known, among, numbers

# Words as the index of words spells them: FTS5's own tokenizers, asked outside of a search.

WORDS = ("unicode61", ["remove_diacritics", "2"])
"""Tokenizer of FTS5 that splits a text into words."""
STEMS = ("porter", ["unicode61", "remove_diacritics", "2"])
"""The one the index is made with."""


def split(raw: Any, text: str, tokenizer: tuple[str, list[str]]) -> list[str]:
    """The words of a text as a tokenizer spells them."""
    tokens: list[str] = raw.fts5_tokenizer(*tokenizer)(
        as_bytes(text),
        apsw.FTS5_TOKENIZE_DOCUMENT,
        None,
        include_colocated=False,
        include_offsets=False,
    )
    return tokens


def stem_of(raw: Any, word: str) -> str:
    """The word as the index spells it."""
    return "".join(split(raw, word, STEMS)[:1])


def as_bytes(text: str) -> bytes:
    """What a tokenizer is given: a lone surrogate becomes a mark between words."""
    return text.encode("utf-8", "replace")


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee.sqlite.quantized import QuantizedVectors
    from semantic_core_peewee.sqlite.tuning import Tuning

    Scored = tuple[NDArray[Any], NDArray[np.float64]]
    """Chunks, ascending, and what each scores."""
    Places = NDArray[np.intp] | slice
    Slots = tuple[int, tuple[NDArray[np.int64], ...]]
Row = tuple[int, float]
"""A chunk, and its score as FTS5 has it: smaller is better."""

PATIENCE = 60.0
"""Seconds a search waits for another one that brings the lists up to date."""
OVERHEAD = 500
"""Bytes a list takes that holds nothing."""
_MARGIN = 3.0
"""Standard deviations by which the best may hold fewer of some chunks than if those were spread
evenly over all.
"""
_LEAST_ROOM = 128
"""Passages there is always room for behind those that are there."""
_LEAST_TABLE = 100_000
_GAPS = 8
"""Highest number of a chunk, and more per chunk there is,
up to which a table of all numbers is worth its memory.
"""
K1 = 1.2
"""BM25: how soon a repeated word stops counting; fixed in FTS5."""
B = 0.75
"""BM25: how much a long passage pays for its length; fixed in FTS5."""
_LEAST_IDF = 1e-6
"""Weight of a word in more than half of the passages; fixed in FTS5."""
_EACH = slice(None)

# One row each: to step through as many rows as there are passages is to give Python's lock away
# that often.
_HOLDING = "select group_concat(doc) from temp.semantic_index_word_place where term = ?"
_LENGTHS = (
    "select group_concat(id), group_concat(hex(sz)) from (select id, sz "
    "from semantic_index_words_docsize order by id)"
)
_IDS = "select group_concat(id) from (select id from semantic_index_words_docsize order by id)"
_TOTALS = "select block from semantic_index_words_data where id = 1"
_NEW = "select id, passage from semantic_index_chunk where id > ? order by id limit ?"


class WordList(NamedTuple):
    """What holds a word. chunks: ascending. counts: how often."""

    chunks: NDArray[Any]
    counts: NDArray[Any]

    @property
    def bytes(self) -> int:
        """What it takes, with about what Python adds."""
        return OVERHEAD + sum(column.nbytes for column in self)

    def without(self, gone: NDArray[np.int64]) -> WordList:
        """The same but for these chunks, which ascend."""
        inside = among(gone, self.chunks)
        return WordList(*(column[~inside] for column in self)) if inside.any() else self

    def with_new(self, rows: Sequence[tuple[int, int]]) -> WordList:
        """The same with these behind it: chunk, count."""
        columns = zip(self, np.array(rows, dtype=np.int64).T, strict=True)
        return WordList(*(_narrow(np.concatenate([column, new])) for column, new in columns))

    def scores(self, passages: Passages, places: Places = _EACH) -> NDArray[np.float64]:
        """BM25 of each, or of those at these places, as FTS5 computes it."""
        if not len(self.chunks):
            return np.zeros(0)
        if not passages.words:
            raise altered("The full-text index")
        idf = idf_of(len(self.chunks), len(passages.ids))
        average = passages.words / max(1, len(passages.ids))
        counts = self.counts[places].astype(np.float64)
        lengths = passages.lengths_of(self.chunks[places])
        whole = counts + K1 * ((1 - B) + B * lengths / (average or 1.0))
        scores: NDArray[np.float64] = -(idf * ((counts * (K1 + 1.0)) / whole))
        return scores


_NOWHERE = WordList(np.zeros(0, dtype=np.uint8), np.zeros(0, dtype=np.uint8))
"""Of a word that no passage holds."""


class Remembered(NamedTuple):
    """What is remembered of a word, of one state."""

    held: WordList
    passages: Passages

    def scores_of(self, chunks: NDArray[np.int64]) -> NDArray[np.float64]:
        """What these chunks score, the same numbers as `WordList.scores`;
        0 for one that does not hold the word.
        """
        scores = np.zeros(len(chunks))
        holding = self.held.chunks
        inside = among(holding, chunks)
        scores[inside] = self.held.scores(self.passages, np.searchsorted(holding, chunks[inside]))
        return scores


def idf_of(holding: int, passages: int) -> float:
    """The weight of a word that so many of so many passages hold, as FTS5 computes it."""
    idf = math.log((passages - holding + 0.5) / (holding + 0.5)) if holding <= passages else 0.0
    return idf if idf > 0 else _LEAST_IDF


class _Columns:
    """Chunks and their lengths, with room behind what is taken: a later state is put behind the one
    before, which sees no difference. by_chunk: the lengths once more, at the numbers of the chunks;
    None where that would be mostly empty.
    """

    def __init__(self, ids: NDArray[Any], lengths: NDArray[Any]) -> None:
        last, longest = (int(ids[-1]), int(lengths.max())) if len(ids) else (0, 0)
        room = _LEAST_ROOM + len(ids) // 8
        self.taken = len(ids)
        self.ids = np.zeros(len(ids) + room, dtype=np.min_scalar_type(last + room))
        self.lengths = np.zeros(len(ids) + room, dtype=np.min_scalar_type(longest))
        self.ids[: len(ids)], self.lengths[: len(ids)] = ids, lengths
        self.by_chunk: NDArray[Any] | None = None
        if len(ids) and last <= _LEAST_TABLE + _GAPS * len(ids):
            self.by_chunk = np.zeros(last + room, dtype=self.lengths.dtype)
            self.by_chunk[ids] = lengths

    @property
    def bytes(self) -> int:
        """What they take."""
        columns = (self.ids, self.lengths, self.by_chunk)
        return sum(column.nbytes for column in columns if column is not None)

    def go_on(self, start: int, ids: NDArray[np.int64], lengths: NDArray[np.int64]) -> bool:
        """Put these at `start`; False where something was put already, or they do not fit."""
        if not len(ids):
            return True
        end = start + len(ids)
        last = int(ids[-1])
        fits = (
            start == self.taken
            and end <= len(self.ids)
            and last <= np.iinfo(self.ids.dtype).max
            and lengths.max() <= np.iinfo(self.lengths.dtype).max
            and (self.by_chunk is None or last < len(self.by_chunk))
        )
        if fits:
            self.ids[start:end], self.lengths[start:end] = ids, lengths
            if self.by_chunk is not None:
                self.by_chunk[ids] = lengths
            self.taken = end
        return fits


class Passages:
    """All passages of one state. ids: ascending. lengths: how many words each has. words: all of
    them together. slots: how often they were laid out, and the chunks in them, where the process
    holds them: which chunks went can be seen from those.
    """

    def __init__(
        self, columns: _Columns, count: int, words: int, slots: Slots | None = None
    ) -> None:
        self._columns = columns
        self.ids = columns.ids[:count]
        self.lengths = columns.lengths[:count]
        self.words = words
        self.slots = slots

    @classmethod
    def of(cls, ids: NDArray[Any], lengths: NDArray[Any], slots: Slots | None) -> Passages:
        """Given all of them, ascending."""
        return cls(_Columns(ids, lengths), len(ids), int(lengths.sum()), slots)

    @property
    def last(self) -> int:
        """The highest number of a chunk."""
        return int(self.ids[-1]) if len(self.ids) else 0

    @property
    def bytes(self) -> int:
        """What they take."""
        return self._columns.bytes

    def lengths_of(self, chunks: NDArray[Any]) -> NDArray[Any]:
        """The lengths of these, which are among them."""
        by_chunk = self._columns.by_chunk
        if by_chunk is None:
            return self.lengths[np.searchsorted(self.ids, chunks)]
        lengths: NDArray[Any] = by_chunk[chunks]
        return lengths

    def later(
        self, gone: NDArray[np.int64], new: Mapping[int, int], slots: Slots | None
    ) -> Passages:
        """Of a later state. gone: those not there any more, ascending. new: the lengths of those
        behind them, ascending.
        """
        ids = np.array(list(new), dtype=np.int64)
        lengths = np.array(list(new.values()), dtype=np.int64)
        start = len(self.ids)
        if not len(gone) and self._columns.go_on(start, ids, lengths):
            words = self.words + int(lengths.sum())
            return Passages(self._columns, start + len(ids), words, slots)
        kept = ~among(gone, self.ids)
        return Passages.of(
            np.concatenate([self.ids[kept], ids]),
            np.concatenate([self.lengths[kept], lengths]),
            slots,
        )


class WordLists:
    """The lists of one store; safe to share between threads.

    They are of one state at a time, and only go forward: what sees an older one asks FTS5.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._at_work = Sole()
        self._clear()

    def _clear(self) -> None:
        self._name: Any = None
        self._passages: Passages | None = None
        self._spent = 0
        self._uses: Counter[str] = Counter()
        self.lists: dict[str, WordList] = {}
        self._told: dict[str, list[tuple[int, int]]] = {}
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Memory they take."""
        return self._bytes

    def forget(self) -> None:
        """Give the memory back."""
        with self._turn():
            self._clear()

    def _turn(self) -> Use:
        """To be the only thread at work. What a signal handler asks in the middle of that has no
        turn: then nothing is known, and FTS5 is asked.
        """
        if self._pid != os.getpid():
            self._begin()  # forked while another thread was at work: it will never end
        return self._at_work.use(PATIENCE)

    def remembered(self, view: View, words: Iterable[str]) -> Mapping[str, Remembered]:
        """What is remembered of these words in this state;
        none of what is only remembered of another.
        """
        name = (view.generation, current_state(view))
        stems = {word: stem_of(view.raw, word) for word in words}
        with self._turn() as mine:
            passages = self._passages
            if not mine or passages is None or self._name != name:
                return {}
            lists = self._known(list(stems.values()))
        return {
            word: Remembered(lists[stem], passages) for word, stem in stems.items() if stem in lists
        }

    def found(
        self, view: View, words: Sequence[str], held: Mapping[str, int], passages: int
    ) -> Postings | None:
        """What holds any of these words; None while it is cheaper to ask FTS5 for them all,
        and for an old state.

        A word that stands there several times counts as often. held: how many passages hold each,
        about.
        """
        name = (view.generation, current_state(view))
        stems = [stem_of(view.raw, word) for word in words]
        with self._turn() as mine:
            if not mine:
                return None
            if self._passages is None:
                self._spent += sum(held[word] for word in set(words))
                if self._spent < view.tuning.lists_after * passages:
                    return None
            there = self._passages if self._name == name else self._forward(view, name)
            if there is None:
                return None
            self._uses.update(set(stems))
            lists = self._known(stems)
        missing = [stem for stem in dict.fromkeys(stems) if stem not in lists]
        if missing:
            new = {stem: _listed(view, stem, there) for stem in missing}
            self._keep(view, name, new, passages)
            lists.update(new)
        scores = {stem: known.scores(there) for stem, known in lists.items()}
        scored = [(lists[stem].chunks, scores[stem]) for stem in stems]
        return Postings(scored, view.tuning)

    def _known(self, stems: Sequence[str]) -> dict[str, WordList]:
        """Those of these lists there are, with what was told since they were last asked for."""
        found: dict[str, WordList] = {}
        name = self._name
        self._name = None  # if it ends in between, all is read anew
        for stem in stems:
            known = self.lists.get(stem)
            told = self._told.pop(stem, None)
            if known is not None:
                found[stem] = known if not told else self._put(stem, known.with_new(told))
        self._name = name
        return found

    def _put(self, word: str, known: WordList) -> WordList:
        before = self.lists.get(word)
        self._bytes += known.bytes - (before.bytes if before is not None else 0)
        self.lists[word] = known
        return known

    def _keep(self, view: View, name: Any, new: Mapping[str, WordList], passages: int) -> None:
        """Remember new lists, if the state they were made of is still the one that is
        remembered.
        """
        tuning = view.tuning
        most = max(tuning.least_list_bytes, tuning.list_bytes_per_passage * passages)
        with self._turn() as mine:
            if not mine or self._name != name:
                return
            for stem, made in new.items():
                self._put(stem, made)
            if self._bytes > most:
                self._make_room(most)

    def _make_room(self, most: int) -> None:
        """Let go what was of use the fewest times:
        a list saves each time about as much as it takes.
        """
        for word in sorted(self.lists, key=lambda word: self._uses[word]):
            if self._bytes <= most * 15 // 16:
                break
            self._bytes -= self.lists.pop(word).bytes
            self._told.pop(word, None)
        # What was asked for long ago fades.
        self._uses = Counter({word: self._uses[word] // 2 for word in self.lists})

    # --- going forward ----------------------------------------------------------------------------

    def _forward(self, view: View, name: Any) -> Passages | None:
        """Be of the state this transaction sees; None if that is older than what is remembered,
        or cannot be read.
        """
        before = self._name
        held = self._passages
        if held is not None and before is not None and before[0] == name[0]:
            if name[1].changes < before[1].changes:
                return None
            self._name = None  # if it ends here, all is read anew
            told = self._told_of(view, held)
            if told is not None:
                return self._become(name, told)
        self.lists = {}
        self._told = {}
        self._passages = None
        self._bytes = 0
        whole = _all_passages(view)
        if (len(whole.ids), whole.words) != totals_of(view):
            self._name = None
            self._spent = 0
            return None
        return self._become(name, whole)

    def _become(self, name: Any, passages: Passages) -> Passages:
        before = self._passages
        self._bytes += passages.bytes - (before.bytes if before is not None else 0)
        self._name = name
        self._passages = passages
        return passages

    def _told_of(self, view: View, held: Passages) -> Passages | None:
        """All passages, the lists told of what was written since; None if that cannot be known,
        or is too much.
        """
        most = view.tuning.most_new_passages
        new = view.raw.execute(_NEW, (held.last, most + 1)).fetchall()
        if len(new) > most:
            return None
        totals = totals_of(view)
        slots = _slots_of(view)
        written = {chunk: Counter(split(view.raw, passage, STEMS)) for chunk, passage in new}
        lengths = {chunk: sum(counted.values()) for chunk, counted in written.items()}
        for gone in _gone(view, held, slots, len(held.ids) + len(new) - totals[0]):
            now = held.later(gone, lengths, slots)
            if (len(now.ids), now.words) == totals:
                self._take_out(gone)
                self._tell(written)
                return now
        return None

    def _take_out(self, gone: NDArray[np.int64]) -> None:
        if not len(gone):
            return
        numbers_gone = set(gone.tolist())
        for stem, known in list(self.lists.items()):
            self._put(stem, known.without(gone))
        self._told = {
            stem: [row for row in told if row[0] not in numbers_gone]
            for stem, told in self._told.items()
        }

    def _tell(self, written: Mapping[int, Counter[str]]) -> None:
        for chunk, counted in written.items():
            for stem in counted.keys() & self.lists.keys():
                self._told.setdefault(stem, []).append((chunk, counted[stem]))


def totals_of(view: View) -> tuple[int, int]:
    """(passages, words of all of them together), as FTS5 counts them."""
    block = view.raw.execute(_TOTALS).get
    found = _unpacked(block).tolist() if isinstance(block, bytes) else []
    if not found:
        return 0, 0
    if len(found) != 2 or min(found) < 0:
        raise altered("The full-text index")
    return found[0], found[1]


def _unpacked(packed: bytes) -> NDArray[np.int64]:
    """Numbers as SQLite packs them: seven bits in a byte, the highest first,
    the last byte below 128.
    """
    held = np.frombuffer(packed, dtype=np.uint8)
    if not (held & 0x80).any():
        return held.astype(np.int64)
    ends = np.flatnonzero(held < 0x80)
    starts = np.concatenate([[0], ends + 1])[:-1]
    found = np.zeros(len(ends), dtype=np.int64)
    for place in range(int((ends - starts).max(initial=-1)) + 1):
        inside = starts + place <= ends
        found[inside] = (found[inside] << 7) | (held[starts[inside] + place] & 0x7F)
    return found


def _all_passages(view: View) -> Passages:
    ids, sizes = view.raw.execute(_LENGTHS).fetchone()
    lengths = _unpacked(bytes.fromhex((sizes or "").replace(",", "")))
    listed = numbers(ids)
    if len(lengths) != len(listed):
        raise altered("The full-text index")
    return Passages.of(listed, lengths, _slots_of(view))


def _slots_of(view: View) -> Slots | None:
    codes: QuantizedVectors | None = view.kept.get(CODES)
    return None if codes is None else (codes.state.epoch, codes.chunks)


def _gone(
    view: View, held: Passages, slots: Slots | None, count: int
) -> Iterator[NDArray[np.int64]]:
    """So many chunks that are not there any more, ascending: where they can be seen quickly,
    else by looking at all.
    """
    if not count:
        yield np.zeros(0, dtype=np.int64)
        return
    if slots is not None and held.slots is not None and slots[0] == held.slots[0]:
        left = [
            old[(old != new) & (old > 0)]
            for old, new in zip(held.slots[1], slots[1], strict=False)
            if old is not new
        ]
        found = np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *left]))
        found = found[among(held.ids, found)]
        if len(found) == count:
            yield found
    yield held.ids[~among(numbers(view.raw.execute(_IDS).get), held.ids)]


def _listed(view: View, stem: str, there: Passages) -> WordList:
    """A new list."""
    held = numbers(view.raw.execute(_HOLDING, (stem,)).get)  # a chunk as often as it holds the word
    if not len(held):
        return _NOWHERE
    steps = np.diff(held, prepend=0)
    first = np.flatnonzero(steps)
    chunks = held[first]
    counts = np.diff(first, append=len(held))
    if (steps < 0).any() or not among(there.ids, chunks).all():
        raise altered("The full-text index")
    return WordList(_narrow(chunks), _narrow(counts))


def _narrow(column: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in as few bytes as hold them."""
    lowest, highest = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    return column.astype(np.result_type(np.min_scalar_type(lowest), np.min_scalar_type(highest)))


def quoted(word: str) -> str:
    """A word as FTS5 takes it for one and nothing else."""
    return f'"{word}"'


class Postings:
    """The chunks a query finds by words, whatever their scope."""

    def __init__(self, lists: Sequence[Scored], tuning: Tuning) -> None:
        """lists: of each word, as often as it counts."""
        chunks = np.concatenate([one for one, _ in lists])
        scores = np.concatenate([of_one for _, of_one in lists])
        sums: Any
        if len(chunks) and int(chunks.max()) > tuning.table_size + tuning.table_gap * len(chunks):
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
    """How many of the best of all hold the best `limit` of so many that are known,
    as good as certainly.
    """
    return int((limit + _MARGIN * math.sqrt(limit)) * max(1.0, passages / max(1, known)))


def _top(scored: Scored, limit: int) -> Scored:
    """The best so many, of equals those with the lowest numbers; still ascending."""
    chunks, scores = scored
    if len(scores) <= limit:
        return scored
    edge = np.partition(scores, limit - 1)[limit - 1]
    better = np.flatnonzero(scores < edge)
    equal = np.flatnonzero(scores == edge)[: limit - len(better)]
    inside = np.sort(np.concatenate([better, equal]))
    return chunks[inside], scores[inside]


def _rows(scored: Scored, limit: int) -> list[Row]:
    chunks, scores = scored
    order = np.argsort(scores, kind="stable")[:limit]
    return list(zip(chunks[order].tolist(), scores[order].tolist(), strict=True))
