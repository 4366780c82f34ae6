"""How texts become terms where no plugin does it: `WordAnalyser`; and `analyse`, which analyses
many texts at once with any analyser. `analyser_mismatch` is the error of every store whose index
was made with another one.

Tested by tests/kernel/test_analysis.py.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING

from semantic_core.errors import AnalyserMismatch
from semantic_core.protocols import AnalysedTexts, BulkAnalyser
from semantic_core.types import Token, Word

if TYPE_CHECKING:
    from semantic_core.protocols import Analyser

WORD_ANALYSER = "words"
"""The name of `WordAnalyser`, as in ``analyser="words"``."""
_MARKS = ("Mn", "Mc", "Me")
"""Unicode categories of marks, which belong to the letter before them."""
_LAST_OF_PLANE = 0xFFFF
MOST_REMEMBERED = 200_000
"""Words whose folded form is remembered."""


def folded(word: str) -> str:
    """The word without upper case, accents and other marks: "Café" and "CAFE\u0301" are "cafe"."""
    if word.isascii():
        return word.lower()
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    bare = "".join(letter for letter in decomposed if unicodedata.category(letter) not in _MARKS)
    return unicodedata.normalize("NFC", bare.casefold()) or word


class WordAnalyser:
    """Terms are the words of a text, folded: runs of letters, digits and marks.

    It knows no language: words are not stemmed, and languages that put no space between words have
    no useful terms. identity: "words-1".
    """

    identity = "words-1"

    def __init__(self) -> None:
        self._terms: dict[str, str] = {}

    def tokens(self, text: str, language: str | None = None) -> Sequence[Token]:
        """See `Analyser.tokens`."""
        tokens = []
        for position, match in enumerate(_pattern().finditer(text)):
            term = self._term(match.group())
            tokens.append(Token(term, match.start(), match.end(), position))
        return tokens

    def query_tokens(self, text: str, language: str | None = None) -> Sequence[Token]:
        """See `Analyser.query_tokens`: the same as `tokens`."""
        return self.tokens(text, language)

    def analyse(self, texts: Sequence[str], languages: Sequence[str | None]) -> AnalysedTexts:
        """See `BulkAnalyser.analyse`."""
        import numpy as np

        find = _pattern().findall
        numbers: dict[str, int] = {}
        counts = []
        terms: list[int] = []
        for text in texts:
            found = find(text)
            counts.append(len(found))
            terms += [numbers.setdefault(word, len(numbers)) for word in found]
        # Words that differ in case or accents are one.
        vocabulary: dict[str, int] = {}
        merged = [vocabulary.setdefault(self._term(word), len(vocabulary)) for word in numbers]
        numbered = np.array(merged, dtype=np.int32)[np.array(terms, dtype=np.int64)]
        words = tuple(Word(term, term) for term in vocabulary)
        return AnalysedTexts(np.array(counts, dtype=np.int64), numbered, words)

    def _term(self, word: str) -> str:
        term = self._terms.get(word)
        if term is None:
            if len(self._terms) >= MOST_REMEMBERED:
                self._terms = {}
            term = folded(word)
            self._terms[word] = term
        return term


@cache
def _pattern() -> re.Pattern[str]:
    """A run of letters, digits and marks."""
    categories = map(unicodedata.category, map(chr, range(_LAST_OF_PLANE + 1)))
    kinds = "".join(map(itemgetter(0), categories))
    ranges = []
    for run in re.finditer("M+", kinds):
        ranges.append(f"{chr(run.start())}-{chr(run.end() - 1)}")
    return re.compile(f"[^\\W_](?:[^\\W_]|[{''.join(ranges)}])*")


def analyse(
    analyser: Analyser, texts: Sequence[str], languages: Sequence[str | None]
) -> AnalysedTexts:
    """The terms of all these texts: what a `BulkAnalyser` returns, made with any analyser.

    languages: of each text; None where it is not known.
    """
    if isinstance(analyser, BulkAnalyser):
        return analyser.analyse(texts, languages)
    import numpy as np

    numbers: dict[Word, int] = {}
    counts = []
    terms = []
    for text, language in zip(texts, languages, strict=True):
        tokens = analyser.tokens(text, language)
        counts.append(len(tokens))
        for token in tokens:
            word = Word(folded(text[token.start : token.end]), token.term)
            terms.append(numbers.setdefault(word, len(numbers)))
    return AnalysedTexts(
        np.array(counts, dtype=np.int64), np.array(terms, dtype=np.int32), tuple(numbers)
    )


def analyser_mismatch(stored: str, given: str) -> AnalyserMismatch:
    """The error for an index that was made with another analyser. stored, given: identities."""
    return AnalyserMismatch(
        f"The full-text index was made with the analyser {stored!r}, and {given!r} is in use.",
        hint="To make it anew, which needs no embedder: semantic-core reanalyse. Else choose the "
        "analyser and the languages that it was made with.",
    )
