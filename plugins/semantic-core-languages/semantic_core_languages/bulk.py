"""Analysing many texts at once with numpy, without a Python object for each word.

The texts are joined to an array of code points. A table gives the class of each, and comparing
neighbours gives the runs. A run's number is looked up by a 64-bit hash of its characters, in a
table that is written out of the runs that were met before; its spelling there is then compared, so
two runs are never mixed up. Only a run that is new is cut out and read as `analyser` reads it.

Tested by tests/test_bulk.py; measured by benchmarks/analysis.py.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from semantic_core.analysis import folded
from semantic_core.protocols import AnalysedTexts
from semantic_core.types import Word
from semantic_core_languages.characters import (
    HASH,
    IDEOGRAPH,
    JOINT,
    PLUS,
    SYLLABLE,
    WORD,
    classes,
)
from semantic_core_languages.detection import MOST_WORDS, Detector
from semantic_core_languages.runs import MOST_CHARS

if TYPE_CHECKING:
    from semantic_core_languages.analyser import LanguagesAnalyser
    from semantic_core_languages.stems import Choice

Numbers = NDArray[np.int64]
"""int64, one for each run or text."""
Hashes = NDArray[np.uint64]

MOST_RUNS = 200_000
"""Runs that are remembered. With more, a call begins anew; each takes about 300 bytes."""
ROUND_CHARS = 200_000
"""Characters that are looked at in one round: their arrays fit in the cache of a processor."""
_LANE_BITS = 16
_LANES = 64 // _LANE_BITS
"""Points of so many languages are added up in one 64-bit number."""
_UNKNOWN = -1


class _Runs(NamedTuple):
    """The runs of several texts. starts, ends: of each in the code points. inside: whether a
    code point is in a run; None if one may be in two.
    """

    starts: Numbers
    ends: Numbers
    inside: NDArray[np.bool_] | None


def find_runs(codes: Numbers) -> _Runs:
    """The runs in texts, in order; what `RUN` finds in each, cut, and in pairs of characters where
    a script has no spaces. codes: code points of the texts, which have a separator behind each.
    """
    kinds = classes().take(codes)
    words = kinds == WORD
    before = np.zeros_like(words)
    before[1:] = words[:-1]
    after = np.zeros_like(words)
    after[:-1] = words[1:]
    pluses = kinds == PLUS
    second = np.zeros_like(words)
    second[1:] = (pluses & before)[:-1]
    inside = words | ((kinds == JOINT) & before & after) | ((kinds == HASH) & before)
    inside |= pluses & (before | second)
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    if inside[0]:
        edges = np.concatenate([np.zeros(1, dtype=np.int64), edges])
    starts = edges[0::2]
    ends = edges[1::2]
    if len(ends) and (ends - starts).max() > MOST_CHARS:
        starts, ends = _cut(starts, ends)
    spaceless = (kinds == IDEOGRAPH) | (kinds == SYLLABLE)
    if not spaceless.any():
        return _Runs(starts, ends, inside)
    starts, ends = _with_pairs(starts, ends, kinds, spaceless)
    return _Runs(starts, ends, None)


def _cut(starts: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
    """The same runs, with long ones cut; as `cuts` does it."""
    pieces = -((starts - ends) // MOST_CHARS)
    run = np.repeat(np.arange(len(starts)), pieces)
    piece = _ranges(np.zeros_like(pieces), pieces)
    first = starts[run] + piece * MOST_CHARS
    return first, np.minimum(ends[run], first + MOST_CHARS)


def _with_pairs(
    starts: Numbers, ends: Numbers, kinds: NDArray[np.uint8], spaceless: NDArray[np.bool_]
) -> tuple[Numbers, Numbers]:
    """The runs together with the pairs, and single characters, of scripts without spaces."""
    follows = np.zeros_like(spaceless)
    follows[:-1] = spaceless[1:]
    precedes = np.zeros_like(spaceless)
    precedes[1:] = spaceless[:-1]
    alone = spaceless & ~follows & ~precedes
    single = np.flatnonzero(alone | (kinds == IDEOGRAPH))
    pair = np.flatnonzero(spaceless & follows)
    all_starts = np.concatenate([starts, single, pair])
    all_ends = np.concatenate([ends, single + 1, pair + 2])
    order = np.lexsort((all_ends, all_starts))
    return all_starts[order], all_ends[order]


class Spellings:
    """A number for each run that was met, by its characters: a hash table with open addressing in
    arrays.

    base: odd; the hash of a run is the polynomial of its code points in it, modulo 2 ** 64. It is
    random, so that nobody can write texts whose runs have equal hashes.
    """

    def __init__(self, base: int | None = None) -> None:
        self.runs: list[str] = []
        self._base = (secrets.randbits(64) if base is None else base) | 1
        self._slots = np.full(1 << 12, _UNKNOWN, dtype=np.int32)
        self._hashes = np.zeros(1 << 11, dtype=np.uint64)
        self._starts = np.zeros(1 << 11, dtype=np.int64)
        self._lengths = np.zeros(1 << 11, dtype=np.int64)
        self._letters = np.zeros(1 << 14, dtype=np.uint32)
        self._used_letters = 0
        self._powers = np.ones(1, dtype=np.uint64)
        self._inverses = np.ones(1, dtype=np.uint64)

    def numbers(self, codes: Numbers, runs: _Runs) -> Numbers | None:
        """The number of each run, that of a new one too; None if two different runs have the same
        hash.
        """
        starts = runs.starts
        ends = runs.ends
        hashes = self._hashed(codes, starts, ends)
        numbers = self._found(hashes)
        new = np.flatnonzero(numbers == _UNKNOWN)
        if len(new):
            _, first, inverse = np.unique(hashes[new], return_index=True, return_inverse=True)
            rows = new[first]
            added = self._add(codes, starts[rows], ends[rows], hashes[rows])
            numbers[new] = added[inverse]
        return numbers if self._same(codes, runs, numbers) else None

    def _hashed(self, codes: Numbers, starts: Numbers, ends: Numbers) -> Hashes:
        self._reach(len(codes) + 1)
        sums = np.zeros(len(codes) + 1, dtype=np.uint64)
        np.multiply(codes.view(np.uint64), self._powers[: len(codes)], out=sums[1:])
        np.cumsum(sums, out=sums)
        hashes = (sums[ends] - sums[starts]) * self._inverses[starts]
        # Runs of one letter repeated, and of different lengths, differ by the sum; mix its bits.
        hashes ^= hashes >> np.uint64(29)
        hashes *= np.uint64(0xBF58476D1CE4E5B9)
        hashes ^= hashes >> np.uint64(32)
        return hashes

    def _reach(self, length: int) -> None:
        """Have the powers of the base, and of its inverse, for so many characters."""
        if len(self._powers) >= length:
            return
        size = 1 << (length - 1).bit_length()
        for name, base in (("_powers", self._base), ("_inverses", pow(self._base, -1, 1 << 64))):
            powers = np.full(size, base, dtype=np.uint64)
            powers[0] = 1
            setattr(self, name, np.cumprod(powers, dtype=np.uint64))

    def _found(self, hashes: Hashes) -> Numbers:
        """The number of the run with each of these hashes; _UNKNOWN for a new one."""
        mask = np.uint64(len(self._slots) - 1)
        places = (hashes & mask).astype(np.int64)
        numbers = self._slots[places].astype(np.int64)
        open_ = np.flatnonzero((numbers != _UNKNOWN) & (self._hashes[numbers] != hashes))
        while len(open_):
            places[open_] = (places[open_] + 1) & int(mask)
            found = self._slots[places[open_]]
            numbers[open_] = found
            open_ = open_[(found != _UNKNOWN) & (self._hashes[found] != hashes[open_])]
        return numbers

    def _add(self, codes: Numbers, starts: Numbers, ends: Numbers, hashes: Hashes) -> Numbers:
        """Number new runs, each with a hash of its own."""
        first = len(self.runs)
        lengths = ends - starts
        letters = codes[_ranges(starts, lengths)]
        whole = letters.astype("<u4").tobytes().decode("utf-32-le")
        cut_ends = np.cumsum(lengths)
        cut_starts = cut_ends - lengths
        for start, end in zip(cut_starts.tolist(), cut_ends.tolist(), strict=True):
            self.runs.append(whole[start:end])
        last = len(self.runs)
        self._hashes = _grown(self._hashes, last)
        self._starts = _grown(self._starts, last)
        self._lengths = _grown(self._lengths, last)
        self._letters = _grown(self._letters, self._used_letters + len(letters))
        self._hashes[first:last] = hashes
        self._starts[first:last] = cut_starts + self._used_letters
        self._lengths[first:last] = lengths
        self._letters[self._used_letters : self._used_letters + len(letters)] = letters
        self._used_letters += len(letters)
        numbers = np.arange(first, last)
        if 2 * last > len(self._slots):
            self._slots = np.full(1 << (4 * last).bit_length(), _UNKNOWN, dtype=np.int32)
            self._place(np.arange(last))
        else:
            self._place(numbers)
        return numbers

    def _place(self, numbers: Numbers) -> None:
        """Write numbers into free slots. Where several want the same, the last one gets it, and the
        others go on to the next.
        """
        mask = len(self._slots) - 1
        places = (self._hashes[numbers] & np.uint64(mask)).astype(np.int64)
        while len(numbers):
            free = self._slots[places] == _UNKNOWN
            self._slots[places[free]] = numbers[free]
            left = self._slots[places] != numbers
            numbers = numbers[left]
            places = (places[left] + 1) & mask

    def _same(self, codes: Numbers, runs: _Runs, numbers: Numbers) -> bool:
        """Whether each run is spelled as the one with its number."""
        lengths = runs.ends - runs.starts
        if not np.array_equal(self._lengths.take(numbers), lengths):
            return False
        places = _ranges(self._starts.take(numbers), lengths)
        if runs.inside is None:
            written = codes.take(_ranges(runs.starts, lengths))
        else:
            written = codes.take(np.flatnonzero(runs.inside))
        return bool((self._letters.take(places) == written).all())


def _ranges(starts: Numbers, lengths: Numbers) -> Numbers:
    """Every place of these ranges, one range after the other."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + lengths, lengths) + np.arange(total)


def _grown(array: NDArray[Any], length: int) -> NDArray[Any]:
    """The array, or a copy that has room for so many."""
    if length <= len(array):
        return array
    grown = np.zeros(1 << (length - 1).bit_length(), dtype=array.dtype)
    grown[: len(array)] = array
    return grown


class _Terms:
    """The terms of runs for one choice of languages.

    firsts, counts: by the number of a run: where its terms begin in `listed`, and how many they
    are, _UNKNOWN for a run that was not read yet.
    """

    def __init__(self) -> None:
        self.firsts = np.zeros(0, dtype=np.int64)
        self.counts = np.zeros(0, dtype=np.int64)
        self.listed = np.zeros(1 << 10, dtype=np.int32)
        self.used = 0

    def reach(self, runs: int) -> None:
        """Have room for so many runs."""
        if runs > len(self.counts):
            known = len(self.counts)
            self.firsts = _grown(self.firsts, runs)
            self.counts = _grown(self.counts, runs)
            self.counts[known:] = _UNKNOWN

    def add(self, run: int, terms: Sequence[int]) -> None:
        """The terms of one run, by their numbers."""
        end = self.used + len(terms)
        self.listed = _grown(self.listed, end)
        self.listed[self.used : end] = terms
        self.firsts[run] = self.used
        self.counts[run] = len(terms)
        self.used = end

    def add_single(self, runs: Numbers, terms: Sequence[int]) -> None:
        """The only term of each of these runs."""
        end = self.used + len(terms)
        self.listed = _grown(self.listed, end)
        self.listed[self.used : end] = terms
        self.firsts[runs] = np.arange(self.used, end)
        self.counts[runs] = 1
        self.used = end


class _Memory:
    """What is remembered of the runs that were met.

    points: the row in `rows` of each run. rows: sums of points, packed: uint64 of shape
    (rows, packs). words: with their terms, by number.
    """

    def __init__(self, detector: Detector | None) -> None:
        self.spellings = Spellings()
        self.words: list[Word] = []
        self.numbers: dict[Word, int] = {}
        self.terms: dict[Choice, _Terms] = {}
        self._points = np.zeros(0, dtype=np.int32)
        self._scored = 0
        nothing = (0,) * len(detector.languages) if detector else ()
        self._row_of: dict[tuple[int, ...], int] = {nothing: 0}
        self._rows: list[tuple[int, ...]] = [nothing]

    def word(self, surface: str, term: str) -> int:
        """The number of a word."""
        return self.word_number(Word(surface, term))

    def word_number(self, word: Word) -> int:
        """The number of a word."""
        number = self.numbers.setdefault(word, len(self.words))
        if number == len(self.words):
            self.words.append(word)
        return number

    def points(self, detector: Detector) -> tuple[NDArray[np.int32], Hashes]:
        """The row of each run, and the packed rows."""
        runs = self.spellings.runs
        if self._scored < len(runs):
            rows = []
            for run in runs[self._scored :]:
                points = detector.points(run)
                row = self._row_of.setdefault(points, len(self._rows))
                if row == len(self._rows):
                    self._rows.append(points)
                rows.append(row)
            self._points = _grown(self._points, len(runs))
            self._points[self._scored : len(runs)] = rows
            self._scored = len(runs)
        return self._points, _packed(self._rows)


def _packed(rows: Sequence[Sequence[int]]) -> Hashes:
    """Rows of small numbers, _LANES of them in one: uint64 of shape (packs, rows)."""
    wide = np.array(rows, dtype=np.uint64)
    packs = -(-wide.shape[1] // _LANES)
    packed = np.zeros((packs, len(rows)), dtype=np.uint64)
    for column in range(wide.shape[1]):
        pack, lane = divmod(column, _LANES)
        packed[pack] |= wide[:, column] << np.uint64(lane * _LANE_BITS)
    return packed


class Bulk:
    """Analyses many texts at once, with the same terms as `LanguagesAnalyser.tokens`.

    It may be called by several threads, which take turns.
    """

    def __init__(self, analyser: LanguagesAnalyser) -> None:
        self._analyser = analyser
        self._memory = _Memory(analyser.detector)
        self._turn = threading.Lock()
        self._process = os.getpid()

    def analyse(self, texts: Sequence[str], languages: Sequence[str | None]) -> AnalysedTexts:
        """See `BulkAnalyser.analyse`."""
        if self._process != os.getpid():  # a fork may have copied a lock that is held
            self._turn = threading.Lock()
            self._memory = _Memory(self._analyser.detector)
            self._process = os.getpid()
        with self._turn:
            if len(self._memory.spellings.runs) > MOST_RUNS:
                self._memory = _Memory(self._analyser.detector)
            return _BulkCall(self._analyser, self._memory).run(texts, languages)


class _BulkCall:
    """One call: the vocabulary that is returned, and the terms of the texts so far."""

    def __init__(self, analyser: LanguagesAnalyser, memory: _Memory) -> None:
        self._analyser = analyser
        self._memory = memory
        self._given = np.zeros(0, dtype=np.int32)
        self._vocabulary: list[Word] = []

    def run(self, texts: Sequence[str], languages: Sequence[str | None]) -> AnalysedTexts:
        """The terms of all texts."""
        counts = [np.zeros(0, dtype=np.int64)]
        terms = [np.zeros(0, dtype=np.int32)]
        for first, last in _rounds(texts):
            found = self._round(texts[first:last], languages[first:last])
            counts.append(found[0])
            terms.append(self._returned(found[1]))
        return AnalysedTexts(np.concatenate(counts), np.concatenate(terms), tuple(self._vocabulary))

    def _returned(self, numbers: Numbers) -> NDArray[np.int32]:
        """The same words by their numbers in the vocabulary that is returned."""
        words = self._memory.words
        if len(self._given) < len(words):
            known = len(self._given)
            self._given = _grown(self._given, len(words))
            self._given[known:] = _UNKNOWN
        new = np.zeros(len(words), dtype=bool)
        new[numbers] = True
        new &= self._given[: len(words)] == _UNKNOWN
        added = np.flatnonzero(new)
        first = len(self._vocabulary)
        self._given[added] = np.arange(first, first + len(added))
        self._vocabulary += [words[number] for number in added.tolist()]
        return self._given[numbers]

    def _round(
        self, texts: Sequence[str], languages: Sequence[str | None]
    ) -> tuple[Numbers, Numbers]:
        """How many terms each text has, and the number of each term's word."""
        joined = "\n".join(texts) + "\n"
        written = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        codes = written.astype(np.int64)
        lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts)) + 1
        runs = find_runs(codes)
        numbers = self._memory.spellings.numbers(codes, runs)
        if numbers is None:
            return self._one_by_one(texts, languages)
        behind = np.cumsum(lengths)
        bounds = np.zeros(len(texts) + 1, dtype=np.int64)
        bounds[1:] = np.searchsorted(runs.starts, behind)
        choices = self._choices(numbers, bounds, languages)
        firsts = np.zeros(len(numbers), dtype=np.int64)
        counts = np.zeros(len(numbers), dtype=np.int64)
        listed = []
        offset = 0
        for choice, members in choices.items():
            terms = self._known_terms(choice)
            if len(choices) == 1:
                rows: Numbers | slice = slice(None)
            else:
                chosen = np.zeros(len(texts), dtype=bool)
                chosen[members] = True
                rows = np.flatnonzero(np.repeat(chosen, np.diff(bounds)))
            wanted = numbers[rows]
            self._read(choice, terms, wanted)
            firsts[rows] = terms.firsts[wanted] + offset
            counts[rows] = terms.counts[wanted]
            listed.append(terms.listed[: terms.used])
            offset += terms.used
        if not listed:
            return np.zeros(len(texts), dtype=np.int64), np.zeros(0, dtype=np.int64)
        every = listed[0] if len(listed) == 1 else np.concatenate(listed)
        sums = np.zeros(len(numbers) + 1, dtype=np.int64)
        np.cumsum(counts, out=sums[1:])
        places = firsts if int(sums[-1]) == len(counts) == int((counts == 1).sum()) else None
        if places is None:
            places = _ranges(firsts, counts)
        return sums[bounds[1:]] - sums[bounds[:-1]], every[places].astype(np.int64)

    def _known_terms(self, choice: Choice) -> _Terms:
        terms = self._memory.terms.setdefault(choice, _Terms())
        terms.reach(len(self._memory.spellings.runs))
        return terms

    def _choices(
        self, numbers: Numbers, bounds: Numbers, languages: Sequence[str | None]
    ) -> dict[Choice, list[int]]:
        """The texts of each choice of languages."""
        choices: dict[Choice, list[int]] = {}
        unknown = []
        for text, language in enumerate(languages):
            choice = self._analyser.choice(language)
            if choice is None:
                unknown.append(text)
            else:
                choices.setdefault(choice, []).append(text)
        if unknown:
            for text, code in zip(unknown, self._detected(numbers, bounds, unknown), strict=True):
                choice = self._analyser.choice(code)
                assert choice is not None  # noqa: S101 - a language was given
                choices.setdefault(choice, []).append(text)
        return choices

    def _detected(self, numbers: Numbers, bounds: Numbers, texts: Sequence[int]) -> list[str]:
        """The language of each of these texts."""
        detector = self._analyser.detector
        assert detector is not None  # noqa: S101 - else every text has a choice
        of_run, packed = self._memory.points(detector)
        rows = of_run[numbers]
        starts = bounds[:-1][texts]
        ends = np.minimum(bounds[1:][texts], starts + MOST_WORDS)
        sums = np.zeros((len(texts), len(packed) * _LANES), dtype=np.int64)
        total = np.zeros(len(rows) + 1, dtype=np.uint64)
        lanes = np.arange(_LANES, dtype=np.uint64) * np.uint64(_LANE_BITS)
        ones = np.uint64((1 << _LANE_BITS) - 1)
        for pack, points in enumerate(packed):
            np.cumsum(points[rows], out=total[1:])
            packs = total[ends] - total[starts]
            sums[:, pack * _LANES : (pack + 1) * _LANES] = (packs[:, None] >> lanes) & ones
        found = []
        usual = self._analyser.default
        best = sums.argmax(axis=1)
        most = sums[np.arange(len(texts)), best]
        for place, points in zip(best.tolist(), most.tolist(), strict=True):
            known = detector.is_enough(points)
            found.append(detector.languages[place] if known else usual)
        return found

    def _read(self, choice: Choice, terms: _Terms, numbers: Numbers) -> None:
        """Find the terms of those of these runs that have not been read with that choice."""
        unread = numbers[terms.counts[numbers] == _UNKNOWN]
        if not len(unread):
            return
        memory = self._memory
        simple = []
        for number in np.unique(unread).tolist():
            run = memory.spellings.runs[number]
            if _is_simple(run):
                simple.append(number)
            else:
                terms.add(number, self._terms_of(run, choice))
        if simple:
            surfaces = [memory.spellings.runs[number].lower() for number in simple]
            self._read_simple(choice, terms, simple, surfaces)

    def _read_simple(
        self, choice: Choice, terms: _Terms, simple: list[int], surfaces: list[str]
    ) -> None:
        """The terms of runs that are words of a-z: many stems at once."""
        stems = self._analyser.stems(surfaces, choice)
        memory = self._memory
        if stems is None:
            for number in simple:
                terms.add(number, self._terms_of(memory.spellings.runs[number], choice))
            return
        words = [memory.word_number(word) for word in map(Word, surfaces, stems)]
        terms.add_single(np.array(simple), words)
        if not choice.literal:
            return
        for number, word, surface in zip(simple, words, surfaces, strict=True):
            if memory.words[word].term != surface:
                terms.add(number, [word, memory.word(surface, surface)])

    def _terms_of(self, run: str, choice: Choice) -> list[int]:
        """The words of a run, by number."""
        memory = self._memory
        numbers = []
        for term in self._analyser.terms_of(run, choice):
            numbers.append(memory.word(folded(run[term.start : term.end]), term.term))
        return numbers

    def _one_by_one(
        self, texts: Sequence[str], languages: Sequence[str | None]
    ) -> tuple[Numbers, Numbers]:
        """The same as `_round`, word by word: for runs with equal hashes."""
        counts = []
        numbers = []
        for text, language in zip(texts, languages, strict=True):
            tokens = self._analyser.tokens(text, language)
            counts.append(len(tokens))
            for token in tokens:
                surface = folded(text[token.start : token.end])
                numbers.append(self._memory.word(surface, token.term))
        return np.array(counts, dtype=np.int64), np.array(numbers, dtype=np.int64)


def _is_simple(run: str) -> bool:
    """Whether a run is one word of a-z and digits, without parts."""
    if not run.isascii() or not run.isalnum():
        return False
    return run.islower() or run.isupper() or run.isdigit() or run[1:].islower()


def _rounds(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Groups of texts, (first, behind the last), of about ROUND_CHARS characters."""
    first = 0
    chars = 0
    for place, text in enumerate(texts):
        chars += len(text) + 1
        if chars >= ROUND_CHARS:
            yield first, place + 1
            first = place + 1
            chars = 0
    if first < len(texts):
        yield first, len(texts)
