"""Where the words of a query are in a text."""

from __future__ import annotations

import re
from itertools import count

import pytest
from hypothesis import given

from semantic_core.analysis import WordAnalyser
from semantic_core.marking import (
    QueryMarker,
    as_compared,
    exact_pattern,
    places_of,
    text_words,
)
from semantic_core.query_syntax import parse_query
from semantic_core.testing.strategies import texts
from semantic_core.types import Token


class Stems:
    """Cuts common English endings; a word with a dot has its parts as terms, too."""

    identity = "stems"

    def tokens(self, text, language=None):
        found = []
        places = count()
        for match in re.finditer(r"\w+(?:\.\w+)*", text):
            word = match.group().lower()
            place = next(places)
            for part in dict.fromkeys([word, *word.split(".")]):
                term = re.sub("(ing|es|s)$", "", part)
                found.append(Token(term, match.start(), match.end(), place))
        return found

    query_tokens = tokens


def marks(query: str, text: str, analyser: object = None) -> list[str]:
    marker = QueryMarker(parse_query(query), analyser or WordAnalyser())
    return [text[start:end] for start, end in marker.spans(text)]


def test_words_are_marked_whatever_their_case_and_accents():
    assert marks("CAFE creme", "Le Café crème.") == ["Café", "crème"]
    assert marks("absent", "Le Café") == []


def test_other_forms_of_a_word_are_marked():
    assert marks("searches", "Searching a search box", Stems()) == ["Searching", "search"]
    assert marks("search", "researching", Stems()) == []


def test_common_words_are_marked_only_in_a_query_of_nothing_else():
    assert marks("how to search", "how to search it") == ["search"]
    assert marks("to be", "to search or to be") == ["to", "to", "be"]


def test_a_phrase_is_one_mark():
    assert marks('"search box"', "the search, box now") == ["search, box"]
    assert marks('"the search"', "the search and the box") == ["the search"]


def test_beginnings_of_words_are_marked_as_whole_words():
    assert marks("sear*", "Searching researches, sear") == ["Searching", "sear"]
    assert marks('"exact wor"*', "exact words, exact") == ["exact words", "exact"]


def test_what_is_excluded_is_not_marked():
    assert marks("search -box", "search box") == ["search"]


def test_a_mark_ends_with_a_whole_letter():
    text = "key 1\ufe0f\u20e3 and cafe\u0301 "
    assert marks("1 cafe", text) == ["1\ufe0f\u20e3", "cafe\u0301"]


def test_the_words_that_are_there_and_those_that_are_not():
    marker = QueryMarker(parse_query("how search* box absent"), WordAnalyser())
    assert marker.words("A searchlight, the box") == (("search", "box"), ("absent",))
    assert marker.words("") == ((), ("search", "box", "absent"))


@given(texts(), texts(max_size=40))
def test_any_query_marks_any_text(text, query):
    marker = QueryMarker(parse_query(query), WordAnalyser())
    spans = marker.spans(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(end < start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))


@given(texts(max_size=60))
def test_a_text_marks_itself(text):
    marker = QueryMarker(parse_query(text, syntax="plain"), WordAnalyser())
    there, missing = marker.words(text)
    assert not missing
    assert bool(marker.spans(text)) == bool(there)


def test_exact_words_are_compared_as_they_are_written():
    stems = Stems()

    def found(query: str, text: str, *, exact: bool) -> list[int]:
        phrase = text_words(stems.tokens(query), query)
        return list(places_of(phrase, text_words(stems.tokens(text), text), exact=exact))

    assert found("searches", "searching searches", exact=False) == [0, 1]
    assert found("searches", "searching searches", exact=True) == [1]
    assert found("dev", "use node.dev now", exact=True) == [1]
    assert found("search", "searches", exact=True) == []
    assert found("use dev", "use node.dev now", exact=True) == [0]
    assert found("", "use", exact=True) == []


@pytest.mark.parametrize(
    ("phrase", "text", "there"),
    [
        ("exact words", "the EXACT, (words)!", True),
        ("exact words", "exact_words", True),
        ("exact words", "exactly words", False),
        ("exact words", "exact wordsmith", False),
        ("words", "passwords", False),
        ("café", "CAFE\u0301 cafe", True),
        ("cafe", "Café", True),
        ("naïve idea", "NAIVE ideas", False),
        ("日本", "日本語の文章", True),
        ("слова", "Слова, слово", True),
        ("слово", "словом", False),
        ("שלום", "שָׁלוֹם", True),
        ("a.b", "a b", True),
        ("a.b", "acb", False),
    ],
)
def test_exact_words_are_found_in_a_text(phrase, text, there):
    pattern = exact_pattern(phrase)
    assert pattern is not None
    assert bool(pattern.search(as_compared(text))) is there


def test_the_last_word_may_be_the_beginning_of_one():
    pattern = exact_pattern("exact wor", prefix=True)
    assert pattern is not None
    assert pattern.search("so exact words")
    assert not pattern.search("exact swords")
    assert exact_pattern("...") is None


@given(texts(), texts(max_size=40))
def test_every_phrase_has_a_pattern(text, phrase):
    pattern = exact_pattern(phrase)
    if pattern is not None:
        assert pattern.search(as_compared(f"{text} {phrase} {text}"))
