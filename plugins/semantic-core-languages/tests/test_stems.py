"""Languages, their codes, and the terms of a word."""

from __future__ import annotations

import pytest
from semantic_core_languages.stems import (
    Choice,
    checked_languages,
    language_code,
    stems_of,
    word_terms,
)

from semantic_core.errors import ConfigError


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("en", "en"),
        ("pt-BR", "pt"),
        ("zh_Hans", "zh"),
        ("DEU", "de"),
        ("nb", "no"),
        ("xx", ""),
        ("", ""),
    ],
)
def test_a_language_has_a_code(language: str, code: str) -> None:
    assert language_code(language) == code


def test_a_language_that_is_unknown_is_refused_with_those_that_are_known() -> None:
    assert checked_languages(["de-AT", "ger", "ru"]) == ("de", "ru")
    for wrong in ("german", "", 3):
        with pytest.raises(ConfigError, match="ISO 639") as caught:
            checked_languages([wrong])  # type: ignore[list-item]
        assert "de, " in caught.value.hint


def test_a_word_has_the_stem_of_each_language_of_its_script() -> None:
    choice = Choice(("de", "en"))
    assert word_terms("Häuser", choice) == ("haus", "hauser")
    assert word_terms("документов", choice) == ("документ",)
    assert word_terms("документов", Choice(("en",), (("cyrillic", ("uk",)),))) == ("документов",)
    assert word_terms("Kinder", Choice(("de",), literal=True)) == ("kind", "kinder")
    assert word_terms("\u0301", choice) == ()


def test_what_is_joined_by_an_apostrophe_is_left_out_where_a_language_has_it() -> None:
    assert word_terms("l\u2019homme", Choice(("fr",))) == word_terms("homme", Choice(("fr",)))
    assert word_terms("Ankara'da", Choice(("tr",))) == word_terms("Ankara", Choice(("tr",)))
    assert word_terms("user's", Choice(("en",))) == ("user",)


def test_a_language_without_a_stemmer_leaves_words_as_they_are() -> None:
    assert stems_of(["books", "книги"], "uk") == ["books", "книги"]
