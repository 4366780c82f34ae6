"""Conditions on words in one file: words in other forms, their beginnings, and what is read for
them.
"""

from __future__ import annotations

import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import text_conditions

from semantic_core.analysis import WordAnalyser
from semantic_core.query_syntax import TextConditions, TextTerm
from semantic_core.testing.stores.samples import SPACE, item, put
from semantic_core.types import Scope, Token

ENDINGS = ("ing", "es", "s", "iness", "y", "ity")


class Stems:
    """Words without the commonest English endings."""

    identity = "stems"

    def tokens(self, text: str, language: str | None = None) -> list[Token]:
        """The words of a text."""
        tokens = []
        for token in WordAnalyser().tokens(text):
            stem = min((token.term.removesuffix(ending) for ending in ENDINGS), key=len)
            tokens.append(token._replace(term=stem))
        return tokens

    query_tokens = tokens


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(SPACE, tmp_path / "index.db", analyser=Stems())
    yield store
    store.close()


def found(store: SqliteStore, text: str, **how: object) -> list[str]:
    term = TextTerm(text, **how)
    within = Scope(text=TextConditions(((term,),)))
    without = Scope(text=TextConditions(excluded=(term,)))
    inside = [summary.ref.key for summary in store.documents(within)]
    outside = [summary.ref.key for summary in store.documents(without)]
    every = [summary.ref.key for summary in store.documents(Scope())]
    assert sorted(inside + outside) == every
    return inside


def test_a_word_is_found_in_any_form_and_exactly_if_it_is_quoted(store):
    put(store, item("ing", "Searching for it"), item("plain", "a search"), item("es", "searches"))
    assert found(store, "searches") == ["es", "ing", "plain"]
    assert found(store, "searches", exact=True) == ["es"]
    assert found(store, "Searching for", exact=True) == ["ing"]


def test_a_prefix_is_compared_with_words_and_not_with_their_stems(store):
    put(
        store,
        item("1", "generalisation"),
        item("2", "generals"),
        item("3", "happy"),
        item("4", "happiness"),
        item("5", "gene"),
    )
    assert found(store, "gene", prefix=True) == ["1", "2", "5"]
    assert found(store, "generali", prefix=True) == ["1"]
    assert found(store, "generals", prefix=True) == ["2"]
    assert found(store, "happy", prefix=True) == ["3"]
    assert found(store, "happi", prefix=True) == ["4"]
    assert found(store, "hap", prefix=True) == ["3", "4"]
    assert found(store, "h", prefix=True) == ["3", "4"]
    put(store, item("6", "sensibility"))
    assert found(store, "sensibil", prefix=True) == ["6"]


def test_accents_make_no_difference(store):
    put(store, item("1", "Café crème"), item("2", "cafe"))
    for text in ("café", "CAFE"):
        assert found(store, text) == ["1", "2"]
        assert found(store, text, exact=True) == ["1", "2"]
        assert found(store, text, prefix=True) == ["1", "2"]
    assert found(store, "cafe creme", exact=True) == ["1"]


def test_values_of_metadata_are_bound(store):
    put(store, item("1", "x", metadata={"k'y": 'it\'s "quoted"'}), item("2", "x"))
    assert found(store, "it's", field="k'y") == ["1"]
    assert found(store, "quoted", field="k'y", exact=True) == ["1"]
    assert found(store, "'; drop table semantic_index_document; --", field="k'y") == []


def test_a_single_word_reads_no_text(store, monkeypatch):
    put(store, item("1", "zorbak velquon"), item("2", "zorbakel"))

    def refused(*_: object) -> None:
        raise AssertionError("the texts were read")

    monkeypatch.setattr(text_conditions, "_texts", refused)
    assert found(store, "zorbak") == ["1"]
    assert found(store, "zo", prefix=True) == ["1", "2"]


def test_more_documents_than_are_read_at_once(store, monkeypatch):
    monkeypatch.setattr(text_conditions, "READ_AT_ONCE", 2)
    put(store, *(item(str(number), "zorbak velquon") for number in range(7)))
    assert len(found(store, "zorbak velquon")) == 7
