"""The contract of an analyser, as a list of checks.

Tested by tests/contracts/test_contract.py and tests/contracts/test_analyser_bites.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.analysis import folded
from semantic_core.protocols import AnalysedTexts, Analyser, BulkAnalyser
from semantic_core.testing.check import Check, checks_in, examples, expect, same, skip
from semantic_core.testing.strategies import ODD_TEXTS
from semantic_core.types import Token

MakeAnalyser = Callable[[], Analyser]

TEXTS = (
    "The gardener waters the gardens, and the beans climb.",
    "node.js, snake_case, CamelCase, C++, C#, 3.11.2, ann@example.com, https://example.com/a/b?c=1",
    "Der Gärtner gießt die Gärten; Straße, STRASSE, naïve café.",
    "Поиск документов в Python: документ найден, ещё ёлка.",
    "ISTANBUL İstanbul ısı; L'homme n'est pas là; don't",
    "東京タワーは高い。漢字 ภาษาไทย 한국어 검색",
    "אָלֶף בֵּית؛ مُحَمَّد أحمد الكتاب",
)
"""Texts of many scripts and kinds of words."""
VERY_ODD = (
    *ODD_TEXTS,
    "\ud800 lone \udfff surrogate\ud83d",
    "\u0301\u0301 marks alone \u0640",
    "_ __ ___ . .. - -- ' # + @ /",
    "a" * 100_000,
    "a." * 20_000,
    "一" * 3_000,
)
"""Texts that often reveal errors: with lone surrogates, marks and joints alone, and very long."""
PIECES = (*"aZÄß9 éй一ほก中-._'#+@/&\n", "search", "Node.js", "C++", "\ud800", "e\u0301", "x" * 70)
"""What random texts are made of."""
LANGUAGES = (None, "en", "de", "ru", "tr", "pt-BR", "zh", "xx")
THREADS = 4


def analyser_checks() -> list[Check]:
    """The rules that every analyser follows.

    Parametrize a test with them and call each with a function that makes an analyser::

    @pytest.mark.parametrize("check", analyser_checks(), ids=str)
    def test_analyser(check):
        check(lambda: MyAnalyser(("en",)))
    """
    return checks_in(sys.modules[__name__])


def _terms(analyser: Analyser, text: str, language: str | None = None) -> list[str]:
    return [token.term for token in analyser.tokens(text, language)]


def _words(analyser: Analyser, text: str, language: str | None) -> list[tuple[str, str]]:
    """The (surface, term) of each token."""
    words = []
    for token in analyser.tokens(text, language):
        words.append((folded(text[token.start : token.end]), token.term))
    return words


@Check
def an_analyser_says_what_it_is(make_analyser: MakeAnalyser) -> None:
    """It has the members of an `Analyser`, and its identity is one line of text."""
    analyser = make_analyser()
    expect(
        isinstance(analyser, Analyser),
        f"Expected all members of semantic_core.protocols.Analyser, found a "
        f"{type(analyser).__name__} without some of them.",
    )
    identity = analyser.identity
    is_line = isinstance(identity, str) and identity != "" and identity.isprintable()
    expect(is_line, f"identity: expected one line of text, found {identity!r}.")


@Check
def its_identity_stays_the_same(make_analyser: MakeAnalyser) -> None:
    """The identity does not change when the analyser is used, and another analyser that is made in
    the same way has the same.
    """
    analyser = make_analyser()
    before = analyser.identity
    for text in TEXTS:
        analyser.tokens(text)
        analyser.query_tokens(text)
    same(analyser.identity, before, "identity after use")
    same(make_analyser().identity, before, "identity of another analyser made in the same way")


@Check
def the_same_text_has_the_same_tokens(make_analyser: MakeAnalyser) -> None:
    """A text has the same tokens again, whatever was analysed before, also from another analyser
    with the same identity. This is true of texts and of queries.
    """
    first = make_analyser()
    tokens = [list(first.tokens(text)) for text in TEXTS]
    queries = [list(first.query_tokens(text)) for text in TEXTS]
    for analyser in (first, make_analyser()):
        for place in reversed(range(len(TEXTS))):
            text = TEXTS[place]
            same(list(analyser.query_tokens(text)), queries[place], f"query tokens of {text!r}")
            same(list(analyser.tokens(text)), tokens[place], f"tokens of {text!r}")


@Check
def tokens_have_places_in_order(make_analyser: MakeAnalyser) -> None:
    """Each token is a Token with a term that is not empty, a place that is in the text, and a
    position of 0 or more that is not below the one before. This is true of texts and of queries.
    """
    analyser = make_analyser()
    for text in (*TEXTS, *VERY_ODD):
        for tokens in (analyser.tokens(text), analyser.query_tokens(text)):
            _in_order(text, tokens)


def _in_order(text: str, tokens: Sequence[Token]) -> None:
    position = 0
    for token in tokens:
        what = f"{token!r} of {text[:40]!r}"
        expect(isinstance(token, Token), f"expected a Token, found {what}.")
        expect(isinstance(token.term, str) and token.term != "", f"expected a term, found {what}.")
        is_inside = 0 <= token.start < token.end <= len(text)
        expect(is_inside, f"expected 0 <= start < end <= {len(text)}, found {what}.")
        expect(token.position >= position, f"expected a position from {position}, found {what}.")
        position = token.position


@Check
def a_word_alone_has_its_term(make_analyser: MakeAnalyser) -> None:
    """The characters of a token, alone, have its term too, in a text of the same language."""
    analyser = make_analyser()
    for text in TEXTS:
        for token in analyser.tokens(text, "en"):
            word = text[token.start : token.end]
            terms = _terms(analyser, word, "en")
            expect(
                token.term in terms,
                f"terms of {word!r} alone: expected {token.term!r} among them, found {terms!r}.",
            )


@Check
def case_makes_no_difference(make_analyser: MakeAnalyser) -> None:
    """Words in upper and lower case have the same terms."""
    analyser = make_analyser()
    for word in ("garden", "gärten", "документы", "café"):
        same(_terms(analyser, word.upper(), "en"), _terms(analyser, word, "en"), f"terms of {word}")


@Check
def a_query_finds_its_own_text(make_analyser: MakeAnalyser) -> None:
    """Of the alternatives of every word of a query, the same text has at least one as a term; with
    a language, and without.
    """
    analyser = make_analyser()
    for text in TEXTS:
        for language in ("en", "de", "ru", None):
            terms = set(_terms(analyser, text, language))
            words: dict[int, set[str]] = {}
            for token in analyser.query_tokens(text, language):
                words.setdefault(token.position, set()).add(token.term)
            for alternatives in words.values():
                expect(
                    bool(alternatives & terms),
                    f"{text!r} in {language!r} as a query: expected one of {alternatives!r} among "
                    f"its terms, found none.",
                )


@Check
def no_text_has_odd_terms(make_analyser: MakeAnalyser) -> None:
    """Every text is accepted, as a text and as a query, in every language: an empty one, NUL, lone
    surrogates, marks alone, a hundred thousand letters without a space. A text of blanks has no
    tokens.
    """
    analyser = make_analyser()
    for text in VERY_ODD:
        for language in LANGUAGES:
            analyser.tokens(text, language)
            analyser.query_tokens(text, language)
    for text in ("", " \t\n"):
        same(list(analyser.tokens(text)), [], f"tokens of {text!r}")
        same(list(analyser.query_tokens(text)), [], f"query tokens of {text!r}")


@Check
def threads_share_it(make_analyser: MakeAnalyser) -> None:
    """Several threads that use one analyser at once get the same tokens as one alone."""
    alone = make_analyser()
    texts = [f"{text} gardens{number}" for number in range(30) for text in TEXTS]
    wanted = [list(alone.tokens(text)) for text in texts]
    shared = make_analyser()

    def tokens_of_all(_: int) -> list[list[Token]]:
        return [list(shared.tokens(text)) for text in texts]

    with ThreadPoolExecutor(THREADS) as threads:
        for found in threads.map(tokens_of_all, range(THREADS)):
            same(found, wanted, "tokens in several threads")


@Check
def many_texts_have_the_terms_of_each(make_analyser: MakeAnalyser) -> None:
    """`analyse`, if there is one, gives for each text the terms of `tokens` in their order; each
    word of the vocabulary is the characters of its tokens, folded, with the term, and is there
    once.
    """
    analyser = _bulk(make_analyser)
    _same_in_bulk(analyser, [], [])
    _same_in_bulk(analyser, [*TEXTS, *VERY_ODD], [None] * (len(TEXTS) + len(VERY_ODD)))
    for language in LANGUAGES:
        _same_in_bulk(analyser, TEXTS, [language] * len(TEXTS))
        _same_in_bulk(analyser, [TEXTS[0]], [language])


@Check
def random_texts_have_the_terms_of_each(make_analyser: MakeAnalyser) -> None:
    """The same, for many texts of mixed scripts, each with a language of its own."""
    analyser = _bulk(make_analyser)
    text = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)

    @examples(60)
    @given(st.lists(st.tuples(text | st.text(max_size=20), st.sampled_from(LANGUAGES)), max_size=8))
    def play(given_texts: list[tuple[str, str | None]]) -> None:
        _same_in_bulk(analyser, [one for one, _ in given_texts], [code for _, code in given_texts])

    play()


def _bulk(make_analyser: MakeAnalyser) -> BulkAnalyser:
    analyser = make_analyser()
    if not isinstance(analyser, BulkAnalyser):
        skip("This analyser has no analyse for many texts.")
    return analyser


def _same_in_bulk(
    analyser: BulkAnalyser, texts: Sequence[str], languages: Sequence[str | None]
) -> None:
    found: AnalysedTexts = analyser.analyse(texts, languages)
    same(found.counts.dtype, np.dtype(np.int64), "dtype of counts")
    same(found.terms.dtype, np.dtype(np.int32), "dtype of terms")
    same(found.counts.shape, (len(texts),), "shape of counts")
    same(found.terms.shape, (int(found.counts.sum()),), "shape of terms")
    same(len(set(found.vocabulary)), len(found.vocabulary), "different words of the vocabulary")
    behind = 0
    for text, language, count in zip(texts, languages, found.counts.tolist(), strict=True):
        numbers = found.terms[behind : behind + count].tolist()
        words = [tuple(found.vocabulary[number]) for number in numbers]
        same(words, _words(analyser, text, language), f"words of {text[:40]!r} in {language!r}")
        behind += count
