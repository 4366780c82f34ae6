"""What people type into a search box, and what is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.query_syntax import (
    MOST_TERMS,
    NO_CONDITIONS,
    SYNTAXES,
    ParsedQuery,
    TextConditions,
    TextTerm,
    parse_query,
)
from semantic_core.testing.stores.words import HOSTILE
from semantic_core.testing.strategies import texts

FIELDS = ("lang", "author", "a:b")


def parsed(text: str) -> ParsedQuery:
    return parse_query(text, fields=FIELDS)


def understood(text: str) -> tuple[str, list[list[TextTerm]], list[TextTerm]]:
    """The words, the required groups and the excluded terms."""
    query = parsed(text)
    groups = [list(group) for group in query.conditions.required]
    return query.words, groups, list(query.conditions.excluded)


SIGNS = st.sampled_from(
    ('"', "-", "*", "OR", "lang:", "title:", "“", "”", " ", "word", "x*", '-"a b"', "🔍", ":")
)
TYPED = st.one_of(texts(max_size=80), st.lists(SIGNS, max_size=12).map("".join))


@given(TYPED, st.sampled_from(SYNTAXES))
def test_every_text_is_a_query(text, syntax):
    query = parse_query(text, syntax=syntax, fields=FIELDS)
    assert query.typed == text
    assert len(query.conditions.terms) <= MOST_TERMS
    for term in query.conditions.terms:
        assert any(map(str.isalnum, term.text))
        assert term.field in ("", "title", "headings", "text", *FIELDS)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_queries(text):
    assert parsed(text).typed == text


@given(TYPED)
def test_without_conditions_the_words_are_what_was_typed(text):
    query = parsed(text)
    if not query.conditions:
        assert query == ParsedQuery(text, text)


@given(TYPED)
def test_plain_syntax_changes_nothing(text):
    assert parse_query(text, syntax="plain", fields=FIELDS) == ParsedQuery(text, text)


@given(st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=6))
def test_plain_words_are_plain(words):
    text = " ".join(words)
    if "OR" not in words:
        assert parsed(text) == ParsedQuery(text, text)


@given(TYPED)
def test_every_word_is_ranked_required_or_excluded(text):
    query = parsed(text)
    kept = [query.words, *(term.text for term in query.conditions.terms)]
    letters = {char for part in kept for char in part if char.isalnum()}
    named = set("OR") | set("langtitleheadingstextauthorab")
    assert {char for char in text if char.isalnum()} <= letters | named


@pytest.mark.parametrize(
    "text",
    [
        "-",
        "*",
        "- -- ---",
        "a - b",
        "**",
        "* *",
        '"',
        '""',
        '"..."',
        '"never closed',
        'it is 5" wide',
        "http://x.org/a?b=1",
        "12:30",
        "C:\\x",
        "title:",
        "title://",
        "unknown:word",
        ":word",
        "--help",
        "-*",
        "a*b",
        "*bold*",
        "C++",
        "node.js",
        "x-ray",
        "OR",
        "OR word",
        "word OR",
        "this or that",
        "word AND word NOT word",
        "(a b)",
        "🔍",
        "-🔍",
        "lang:🔍",
    ],
)
def test_what_is_no_syntax_is_words(text):
    assert parsed(text) == ParsedQuery(text, text)


def test_a_phrase_is_required():
    phrase = TextTerm("list comprehension", exact=True)
    for quotes in ('""', "“”", "„“", "«»"):
        text = f"loops {quotes[0]}list comprehension{quotes[1]} now"
        assert understood(text) == ("loops list comprehension now", [[phrase]], [])


def test_one_quoted_word_is_exact():
    assert understood('"loops"') == ("loops", [[TextTerm("loops", exact=True)]], [])


def test_a_prefix_is_required():
    assert understood("fast sear*") == ("fast sear", [[TextTerm("sear", prefix=True)]], [])
    phrase = TextTerm("exact wor", prefix=True, exact=True)
    assert understood('"exact wor"*') == ("exact wor", [[phrase]], [])


def test_what_is_excluded_is_not_ranked_by():
    excluded = [TextTerm("java"), TextTerm("spring boot", exact=True)]
    assert understood('python -java -"spring boot"') == ("python", [], excluded)
    assert understood("-5 degrees") == ("degrees", [], [TextTerm("5")])
    prefix = TextTerm("sear", prefix=True)
    assert understood("word -sear*") == ("word", [], [prefix])


def test_a_query_may_exclude_all_of_itself():
    assert understood("-java") == ("", [], [TextTerm("java")])


def test_a_field_is_one_that_is_known():
    title = TextTerm("python", field="title")
    assert understood("title:python now") == ("python now", [[title]], [])
    assert understood("Title:python") == ("python", [[title]], [])
    assert understood("text:a OR headings:b") == (
        "a b",
        [[TextTerm("a", field="text"), TextTerm("b", field="headings")]],
        [],
    )
    author = TextTerm("ann lee", exact=True, field="author")
    assert understood('loops author:"ann lee"') == ("loops", [[author]], [])
    assert understood("loops -lang:de") == ("loops", [], [TextTerm("de", field="lang")])
    assert understood("loops lang:de*")[1] == [[TextTerm("de", prefix=True, field="lang")]]
    assert understood("loops a:b:c")[1] == [[TextTerm("c", field="a:b")]]
    assert not parsed("loops LANG:de").conditions
    assert not parse_query("lang:de").conditions


def test_words_in_metadata_are_ranked_by_where_there_are_no_others():
    assert parsed("lang:de author:ann").words == "de ann"
    assert parsed("loops lang:de").words == "loops"


def test_or_joins_what_stands_beside_it():
    cat = TextTerm("cat")
    dog = TextTerm("dog")
    assert understood("cat OR dog") == ("cat dog", [[cat, dog]], [])
    assert understood("red cat OR dog OR sear* food") == (
        "red cat dog sear food",
        [[cat, dog, TextTerm("sear", prefix=True)]],
        [],
    )
    assert understood("cat OR -dog") == ("cat OR", [], [dog])
    assert understood("cat OR OR dog") == ("cat OR OR dog", [], [])
    assert understood('cat OR "hot dog"')[1] == [[cat, TextTerm("hot dog", exact=True)]]


def test_what_is_beyond_the_most_terms_is_words():
    query = parsed(" ".join(f"a{number}*" for number in range(MOST_TERMS + 5)))
    assert len(query.conditions.required) == MOST_TERMS
    assert query.words.endswith(f"a{MOST_TERMS + 4}*")


def test_required_terms_are_marked():
    query = parsed('"a b" c* -d title:e f OR g h')
    assert [term.text for term in query.terms] == ["a b", "c", "e", "f", "g"]


def test_conditions_are_joined_once():
    one = TextConditions(((TextTerm("a"),),), (TextTerm("b"),))
    other = TextConditions(((TextTerm("a"),), (TextTerm("c"),)), (TextTerm("b"), TextTerm("d")))
    both = one & other
    assert both.required == ((TextTerm("a"),), (TextTerm("c"),))
    assert both.excluded == (TextTerm("b"), TextTerm("d"))
    assert [term.text for term in both.terms] == ["a", "c", "b", "d"]
    assert one & NO_CONDITIONS == NO_CONDITIONS & one == one
    assert bool(one)
    assert not NO_CONDITIONS


def test_conditions_are_met_by_all_groups_and_no_exclusion():
    conditions = TextConditions(
        ((TextTerm("a"), TextTerm("b")), (TextTerm("c"),)), (TextTerm("d"),)
    )

    def met(words: str) -> bool:
        return conditions.met(lambda term: term.text in words)

    assert met("ac")
    assert met("bc")
    assert not met("c")
    assert not met("ab")
    assert not met("acd")
    assert NO_CONDITIONS.met(lambda term: False)
