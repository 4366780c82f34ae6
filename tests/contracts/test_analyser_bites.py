"""Analysers, broken on purpose, and the check of the kit that catches each."""

from __future__ import annotations

import threading
from itertools import count

import numpy as np
import pytest
from mutants import CaughtBy

from semantic_core.analysis import WordAnalyser, analyse
from semantic_core.protocols import AnalysedTexts
from semantic_core.testing import analyser_checks
from semantic_core.types import Token, Word

caught_by = CaughtBy()
MADE = count()


class Bulk(WordAnalyser):
    """A right one for many texts."""

    def analyse(self, texts, languages):
        return analyse(WordAnalyser(), texts, languages)


@caught_by("an_analyser_says_what_it_is")
class WithoutIdentity(WordAnalyser):
    identity = ""


@caught_by("its_identity_stays_the_same")
class NumberedIdentity(WordAnalyser):
    def __init__(self):
        super().__init__()
        self.identity = f"words-{next(MADE)}"


@caught_by("the_same_text_has_the_same_tokens")
class Learns(WordAnalyser):
    """A word that was met before has another term."""

    def _term(self, word):
        known = word in self._terms
        return super()._term(word) + ("s" if known else "")


@caught_by("tokens_have_places_in_order")
class Backwards(WordAnalyser):
    def tokens(self, text, language=None):
        return super().tokens(text, language)[::-1]


@caught_by("tokens_have_places_in_order")
class EndsBehindTheText(WordAnalyser):
    def tokens(self, text, language=None):
        return [token._replace(end=token.end + 1) for token in super().tokens(text)]


@caught_by("tokens_have_places_in_order")
class EmptyTerms(WordAnalyser):
    def tokens(self, text, language=None):
        return [*super().tokens(text), *([Token("", 0, 1, 99)] if text else [])]


@caught_by("a_word_alone_has_its_term")
class OtherPlaces(WordAnalyser):
    """Places are those of the text in lower case, where "\u0130" is two characters."""

    def tokens(self, text, language=None):
        return super().tokens(text.lower())


@caught_by("case_makes_no_difference")
class KeepsCase(WordAnalyser):
    def _term(self, word):
        return word


@caught_by("a_query_finds_its_own_text")
class QueriesAreNotFolded(WordAnalyser):
    def query_tokens(self, text, language=None):
        return [token._replace(term=text[token.start : token.end]) for token in self.tokens(text)]


@caught_by("no_text_has_odd_terms")
class WantsUtf8(WordAnalyser):
    def tokens(self, text, language=None):
        text.encode()
        return super().tokens(text)


@caught_by("no_text_has_odd_terms")
class BlanksAreWords(WordAnalyser):
    def tokens(self, text, language=None):
        return super().tokens(text) or [Token(" ", 0, 1, 0)]


@caught_by("threads_share_it")
class OneBuffer(WordAnalyser):
    """All threads write into the same list."""

    def __init__(self):
        super().__init__()
        self._buffer = []
        self._meeting = threading.Barrier(2)

    def tokens(self, text, language=None):
        self._buffer.clear()
        self._buffer += super().tokens(text)
        if threading.current_thread() is not threading.main_thread():
            try:
                self._meeting.wait(0.01)
            except threading.BrokenBarrierError:
                self._meeting.reset()
        return list(self._buffer)


@caught_by("many_texts_have_the_terms_of_each")
class CountsTexts(Bulk):
    """A text without words is left out."""

    def analyse(self, texts, languages):
        found = super().analyse(texts, languages)
        return found._replace(counts=found.counts[found.counts > 0])


@caught_by("many_texts_have_the_terms_of_each")
class WordsTwice(Bulk):
    def analyse(self, texts, languages):
        found = super().analyse(texts, languages)
        return found._replace(vocabulary=(*found.vocabulary, *found.vocabulary[:1]))


@caught_by("many_texts_have_the_terms_of_each")
class SurfaceIsTheTerm(Bulk):
    def analyse(self, texts, languages):
        found = super().analyse(texts, languages)
        words = tuple(Word(word.surface + "s", word.term) for word in found.vocabulary)
        return found._replace(vocabulary=words)


@caught_by("random_texts_have_the_terms_of_each")
class MixesUp(Bulk):
    """Words of one length are one word."""

    def analyse(self, texts, languages):
        found = super().analyse(texts, languages)
        if len(texts) > 6:
            return found
        met = {}
        numbers = []
        for number, word in enumerate(found.vocabulary):
            numbers.append(met.setdefault(len(word.term), number))
        terms = np.array(numbers, dtype=np.int32)[found.terms]
        return AnalysedTexts(found.counts, terms, found.vocabulary)


CHECKS = {str(check): check for check in analyser_checks()}


@pytest.mark.parametrize("mutant", caught_by, ids=lambda mutant: mutant.__name__)
def test_the_check_catches_it(mutant):
    with pytest.raises(Exception) as caught:
        CHECKS[caught_by[mutant]](mutant)
    assert isinstance(caught.value, AssertionError | UnicodeEncodeError)


@pytest.mark.parametrize("check", CHECKS.values(), ids=str)
def test_a_right_one_passes_every_check(check):
    check(Bulk)


def test_every_check_catches_something():
    assert set(caught_by.values()) == set(CHECKS)
