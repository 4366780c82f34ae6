"""Marked text and snippets: nothing is lost or cut in two, and no tag of a text survives."""

from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semantic_core.highlights import (
    SafeText,
    fragments_of,
    is_boundary,
    marked,
    merged,
    snippet,
)
from semantic_core.testing.strategies import texts

SPANS = st.lists(st.tuples(st.integers(0, 80), st.integers(0, 80)), max_size=6)
XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</mark><script>alert(1)</script><mark>",
    "&lt;script&gt;",
    "<!-- -->]]>",
)


def within(text: str, spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return merged((min(start, len(text)), min(end, len(text))) for start, end in spans)


@given(texts(max_size=80), SPANS)
def test_without_its_marks_a_marked_text_is_the_text(text, spans):
    html = marked(text, within(text, spans), before="\ue0a0", after="\ue0a1")
    plain = marked(text, within(text, spans), before="", after="", escape=False)
    assert plain == text
    assert unescape(html.replace("\ue0a0", "").replace("\ue0a1", "")) == unescape(
        marked(text, (), before="", after="")
    )


@pytest.mark.parametrize("text", XSS)
def test_a_text_brings_no_tag_into_a_page(text):
    for spans in ((), ((0, 3),), ((1, len(text) - 1),), ((0, len(text)),)):
        for html in (marked(text, spans), snippet(text, spans, max_chars=20)):
            left = html.replace("<mark>", "").replace("</mark>", "")
            assert not re.search("[<>\"']", left)
            assert html.count("<mark>") == html.count("</mark>") == len(spans)


def test_a_template_inserts_escaped_text_as_it_is():
    html = marked("a <b>", ((0, 1),))
    assert isinstance(html, SafeText)
    assert html == html.__html__() == "<mark>a</mark> &lt;b&gt;"
    assert not isinstance(marked("a <b>", ((0, 1),), escape=False), SafeText)
    markupsafe = pytest.importorskip("markupsafe")
    assert markupsafe.escape(html) == str(html)


def test_other_marks_and_plain_text():
    assert marked("a <b>", ((0, 1),), before="*", after="*", escape=False) == "*a* <b>"
    assert snippet("a\n <b>", ((0, 1),), before="[", after="]", escape=False) == "[a] <b>"


def test_spans_that_touch_are_one():
    assert merged([(5, 7), (0, 2), (2, 3), (6, 9), (4, 4)]) == ((0, 3), (5, 9))


def test_a_short_text_is_its_snippet():
    assert snippet("One two.", ((4, 7),)) == "One <mark>two</mark>."
    assert snippet("", ()) == ""
    assert snippet(" \n a \n\n b ", ()) == "a b"


def places(text: str, word: str) -> tuple[tuple[int, int], ...]:
    return tuple((found.start(), found.end()) for found in re.finditer(word, text))


def test_a_snippet_is_where_the_matches_are():
    text = "filler words " * 50 + "then a walrus dives. " + "more words " * 50
    answer = snippet(text, places(text, "walrus"), max_chars=60)
    assert "then a <mark>walrus</mark> dives." in answer
    assert answer.startswith("… ")
    assert answer.endswith(" …")
    assert len(answer) < 90


def test_a_snippet_begins_at_the_beginning_where_only_the_meaning_matches():
    text = "The first sentence of it. " * 20
    assert snippet(text, (), max_chars=40) == "The first sentence of it. The first …"


def test_a_snippet_has_two_pieces_if_they_show_more_different_words():
    text = "walrus " + "filler " * 80 + "otter " + "filler " * 80
    spans = places(text, "walrus|otter")
    answer = snippet(text, spans, max_chars=80)
    assert answer.startswith("<mark>walrus</mark> filler")
    assert re.search(r" … [\w ]*<mark>otter</mark>", answer)
    one = snippet(text, spans, max_chars=80, fragments=1)
    assert one.count("<mark>") == 1
    again = "walrus " + "filler " * 80 + "walrus "
    assert snippet(again, places(again, "walrus"), max_chars=80).count("<mark>") == 1


def test_a_snippet_prefers_the_place_with_more_different_words():
    text = "walrus walrus " + "filler " * 60 + "walrus otter " + "filler " * 60
    answer = snippet(text, places(text, "walrus|otter"), max_chars=40, fragments=1)
    assert "<mark>walrus</mark> <mark>otter</mark>" in answer


@given(texts(max_size=80), SPANS, st.integers(20, 60), st.integers(1, 3))
def test_fragments_are_in_order_and_not_longer_than_asked_for(text, spans, size, count):
    long = text * 5
    found = fragments_of(long, within(long, spans), max_chars=size, fragments=count)
    assert sum(end - start for start, end in found) <= max(size, 0) + count
    assert list(found) == sorted(found)
    assert all(0 <= start < end <= len(long) for start, end in found)
    assert bool(found) == bool(long)


@given(
    st.lists(st.sampled_from(["é", "👩‍👩‍👧‍👦", "🇩🇪", "각", "n", "字", "👍🏽", "नि"]), max_size=60)
)
def test_no_letter_is_cut_in_two(letters):
    text = "".join(letters)
    whole = {0}
    for letter in letters:
        whole.add(max(whole) + len(letter))
    for start, end in fragments_of(text, ((0, 1),) if text else (), max_chars=20):
        assert start in whole
        assert end in whole


def test_boundaries_are_between_letters_as_readers_see_them():
    for text in ("é", "👍🏽", "👩‍👩", "🇩🇪", "\r\n", "\u1100\u1161"):
        assert [place for place in range(len(text) + 1) if is_boundary(text, place)] == [
            0,
            len(text),
        ]
    assert is_boundary("🇩🇪🇫🇷", 2)
    assert is_boundary("ab", 1)
