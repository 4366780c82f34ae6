"""Conditions on words in one file: words in other forms, their beginnings, and what is read for
them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import text_conditions, text_segments

from semantic_core.query_syntax import TextConditions, TextTerm
from semantic_core.testing.stores.samples import SPACE, item, put
from semantic_core.types import Scope


@pytest.fixture
def store(tmp_path):
    store = SqliteStore(SPACE, tmp_path / "index.db")
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


def test_a_word_is_found_in_any_form_and_exactly_if_it_is_quoted(stemmed):
    put(stemmed, item("ing", "Searching for it"), item("plain", "a search"), item("es", "searches"))
    assert found(stemmed, "searches") == ["es", "ing", "plain"]
    assert found(stemmed, "searches", exact=True) == ["es"]
    assert found(stemmed, "Searching for", exact=True) == ["ing"]
    assert found(stemmed, "search for", exact=True) == []


def test_a_prefix_is_compared_with_words_and_not_with_their_stems(stemmed):
    put(
        stemmed,
        item("1", "generalisation"),
        item("2", "generals"),
        item("3", "happy"),
        item("4", "happiness"),
        item("5", "gene"),
    )
    assert found(stemmed, "gene", prefix=True) == ["1", "2", "5"]
    assert found(stemmed, "generali", prefix=True) == ["1"]
    assert found(stemmed, "generals", prefix=True) == ["2"]
    assert found(stemmed, "happy", prefix=True) == ["3"]
    assert found(stemmed, "happi", prefix=True) == ["4"]
    assert found(stemmed, "hap", prefix=True) == ["3", "4"]


def test_a_word_in_a_field_may_have_another_form(stemmed):
    put(stemmed, item("1", "Searching", title="Searching it"), item("2", "search", title="Sea"))
    assert found(stemmed, "searches", field="title") == ["1"]
    assert found(stemmed, "searches", field="text") == ["1", "2"]
    assert found(stemmed, "searches", field="text", exact=True) == []


def test_an_index_of_an_earlier_release_is_made_first(tmp_path):
    path = tmp_path / "index.db"
    store = SqliteStore(SPACE, path)
    put(store, item("1", "zorbak velquon"))
    store._pool.write(text_segments._clear)
    assert found(store, "zorbak velquon", exact=True) == ["1"]
    store.close()


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

    def refused(self: object, sql: object, numbers: Sequence[int]) -> Iterator[tuple[int, str]]:
        assert len(numbers) == 0, "texts were read"
        return iter(())

    monkeypatch.setattr(text_conditions._Lookup, "_texts", refused)
    assert found(store, "zorbak") == ["1"]
    assert found(store, "zo", prefix=True) == ["1", "2"]


def test_conditions_are_remembered_until_something_changes(store, monkeypatch):
    put(store, item("1", "zorbak velquon", metadata={"n": 1}), item("2", "zorbak"))
    asked = []
    documents = text_conditions._Lookup.documents

    def counted(self: object, term: TextTerm) -> object:
        asked.append(term)
        return documents(self, term)

    monkeypatch.setattr(text_conditions._Lookup, "documents", counted)
    scope = Scope(text=TextConditions(((TextTerm("zorbak velquon", exact=True),),)))
    for _ in range(3):
        assert store.documents(scope).total == 1
    assert len(asked) == 1
    put(store, item("1", "zorbak velquon", metadata={"n": 2}))
    assert store.documents(scope).total == 1
    put(store, item("2", "zorbak velquon"))
    assert store.documents(scope).total == 2
    assert len(asked) == 3


def test_more_documents_than_are_read_at_once(store, monkeypatch):
    monkeypatch.setattr(text_conditions, "READ_AT_ONCE", 2)
    put(store, *(item(str(number), "zorbak velquon") for number in range(7)))
    assert len(found(store, "zorbak velquon")) == 7
