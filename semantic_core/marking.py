"""`QueryMarker`: where the words of a query are in a text, in whatever form they stand there.

Tested by tests/kernel/test_marking.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from semantic_core.analysis import folded
from semantic_core.highlights import Span, is_boundary, merged

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser
    from semantic_core.query_syntax import ParsedQuery, TextTerm
    from semantic_core.types import Token

_COMMON = """a an and are as at be been but by can could did do does for from had has have how i
if in into is it its me my no not of on or our shall should so some such than that the their them
then there these they this those to too us was we were what when where which who whom whose why will
with would you your"""
MOST_FOLDED = 50_000
"""Words whose folded form is remembered."""
COMMON_WORDS = frozenset(_COMMON.split())
"""English words that are marked only in a query of nothing else."""


_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Letters of scripts that are written without spaces between words."""
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u065f\u0670\u06d6-\u06ed]+")
"""Accents of Latin, Greek and Cyrillic, points of Hebrew and Arabic."""
_WORD = re.compile(r"[^\W_]+")


def as_compared(text: str) -> str:
    """A text in lower case and without accents, for `exact_pattern`."""
    if text.isascii():
        return text.lower()
    return _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))


def exact_pattern(phrase: str, *, prefix: bool = False) -> re.Pattern[str] | None:
    """Finds the words of a phrase as they are written, one after the other, in a text that
    `as_compared` has made; whatever punctuation and white space is between them. prefix: the last
    word need only begin so. None for a phrase without words.

    In scripts without spaces it finds the phrase within a run of letters.
    """
    words = _WORD.findall(as_compared(phrase))
    if not words:
        return None
    joined = r"[\W_]+".join(map(re.escape, words))
    before = "" if re.match(f"[{_UNSPACED}]", words[0]) else r"(?<![^\W_])"
    after = "" if prefix or re.match(f"[{_UNSPACED}]", words[-1][-1]) else r"(?![^\W_])"
    return re.compile(f"{before}{joined}{after}")


@lru_cache(MOST_FOLDED)
def _surface(word: str) -> str:
    return folded(word)


class TextWord(NamedTuple):
    """A word of a text: everything at one position. start, end: its place. surface: in lower case
    and without accents. terms: all that an index has for it.
    """

    start: int
    end: int
    surface: str
    terms: frozenset[str]

    def fits(self, wanted: TextWord, *, exact: bool = False, prefix: bool = False) -> bool:
        """Whether it is the wanted word. exact: as it is written, or a part of it that is a term of
        its own, such as "js" of "node.js"; else in any form. prefix: or it begins so.
        """
        if prefix and self.surface.startswith(wanted.surface):
            return True
        if not exact:
            return bool(self.terms & wanted.terms)
        is_part = len(self.terms) > 1 and wanted.surface in self.terms
        return self.surface == wanted.surface or is_part


def text_words(tokens: Sequence[Token], text: str) -> list[TextWord]:
    """The words of a text, given all its tokens."""
    words: list[TextWord] = []
    last = -1
    for token in tokens:
        term, start, end, position = token
        if position != last:
            words.append(TextWord(start, end, _surface(text[start:end]), frozenset((term,))))
            last = position
            continue
        before = words[-1]
        start = min(start, before.start)
        end = max(end, before.end)
        words[-1] = TextWord(start, end, _surface(text[start:end]), before.terms | {term})
    return words


def places_of(
    phrase: Sequence[TextWord],
    words: Sequence[TextWord],
    *,
    exact: bool = False,
    prefix: bool = False,
) -> Iterator[int]:
    """Where the words of the phrase stand one after the other: the number of the first among the
    words of the text. exact, prefix: as for `TextWord.fits`; a prefix is the last word.
    """
    if not phrase:
        return
    for start in range(len(words) - len(phrase) + 1):
        last = words[start + len(phrase) - 1]
        pairs = zip(words[start:], phrase[:-1], strict=False)
        if last.fits(phrase[-1], exact=exact, prefix=prefix) and all(
            word.fits(wanted, exact=exact) for word, wanted in pairs
        ):
            yield start


class QueryMarker:
    """Finds the words, phrases and prefixes of one query in texts.

    A word of a text is found if the analyser has the same term for it, whatever its form. It works
    when it is asked, and not before.
    """

    def __init__(self, query: ParsedQuery, analyser: Analyser) -> None:
        self._query = query
        self._analyser = analyser

    def spans(self, text: str) -> tuple[Span, ...]:
        """The places of all words, phrases and prefixes of the query, in order, without
        overlap.
        """
        words = text_words(self._analyser.tokens(text), text)
        found: list[Span] = []
        for word in words:
            if word.terms & self._terms or self._begins(word):
                found.append((word.start, word.end))
        for phrase, term in self._phrases:
            for first in places_of(phrase, words, exact=term.exact, prefix=term.prefix):
                found.append((words[first].start, words[first + len(phrase) - 1].end))
        return merged(_whole(text, span) for span in found)

    def words(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The words of the query that are in the text, and those that are not, as they were
        typed.
        """
        words = text_words(self._analyser.tokens(text), text)
        terms = {term for word in words for term in word.terms}
        there: dict[str, None] = {}
        missing: dict[str, None] = {}
        for word in self._asked:
            is_prefix = word.surface in self._prefixes
            found = any(map(self._begins, words)) if is_prefix else bool(word.terms & terms)
            (there if found else missing)[word.surface] = None
        return tuple(there), tuple(missing)

    def _begins(self, word: TextWord) -> bool:
        return any(word.surface.startswith(prefix) for prefix in self._prefixes)

    @cached_property
    def _asked(self) -> tuple[TextWord, ...]:
        """The words to rank by, without common ones, unless all are."""
        text = self._query.words
        every = text_words(self._analyser.query_tokens(text), text)
        rare = [word for word in every if word.surface not in COMMON_WORDS]
        return tuple(rare or every)

    @cached_property
    def _terms(self) -> frozenset[str]:
        return frozenset(term for word in self._asked for term in word.terms)

    @cached_property
    def _prefixes(self) -> frozenset[str]:
        """The beginnings of words that are asked for alone."""
        found = set()
        for term in self._query.terms:
            words = self._term_words(term)
            if term.prefix and len(words) == 1:
                found.add(words[0].surface)
        return frozenset(found)

    @cached_property
    def _phrases(self) -> tuple[tuple[tuple[TextWord, ...], TextTerm], ...]:
        """Each term of several words, and its words."""
        found = []
        for term in self._query.terms:
            words = self._term_words(term)
            if len(words) > 1:
                found.append((words, term))
        return tuple(found)

    def _term_words(self, term: TextTerm) -> tuple[TextWord, ...]:
        return tuple(text_words(self._analyser.query_tokens(term.text), term.text))


def _whole(text: str, span: Span) -> Span:
    """The span, up to the end of its last letter as readers see it."""
    start, end = span
    while not is_boundary(text, start):
        start -= 1
    while not is_boundary(text, end):
        end += 1
    return start, end
