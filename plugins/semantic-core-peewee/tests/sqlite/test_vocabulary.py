"""The words of an index: completed and corrected within the scope, never beyond it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import vocabulary

from semantic_core import Ref, Scope
from semantic_core.filters import Filter

PUBLIC = Scope(filter=Filter.parse({"public": True}))
FRUIT = {"apple": 5, "apricot": 3, "apparel": 2, "grape": 4}


@pytest.fixture(params=[0, 10_000], ids=["by terms", "by texts"])
def filled(
    request: Any, store: SqliteStore, item: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> SqliteStore:
    """Of each word one document fewer is public."""
    monkeypatch.setattr(vocabulary, "FEW_ROWS", request.param)
    for word, count in FRUIT.items():
        store.replace(
            [
                item(f"{word}{number}", f"{word} tree", metadata={"public": number > 0})
                for number in range(count)
            ]
        )
    store.replace([item("secret", "applesecret pear", metadata={"public": False})])
    return store


def test_words_are_counted_within_the_scope(filled: SqliteStore) -> None:
    counts = filled.word_counts(["apple", "Grape", "tree", "applesecret", "zzz"], Scope())
    assert counts == {"apple": 5, "Grape": 4, "tree": 14, "applesecret": 1, "zzz": 0}
    public = filled.word_counts(["apple", "applesecret"], PUBLIC)
    assert public == {"apple": 4, "applesecret": 0}


def test_completions_are_words_of_the_scope(filled: SqliteStore) -> None:
    every = [("apple", 5), ("apricot", 3), ("apparel", 2), ("applesecret", 1)]
    assert filled.words_like("ap", 10, Scope()) == every
    assert filled.words_like("AP", 2, Scope()) == every[:2]
    assert filled.words_like("ap", 10, PUBLIC) == [("apple", 4), ("apricot", 2), ("apparel", 1)]
    assert filled.words_like("", 10, Scope()) == filled.words_like("zz", 10, PUBLIC) == []
    assert filled.words_like("%", 10, Scope()) == filled.words_like("a_", 10, Scope()) == []


def test_near_words_are_words_of_the_scope(filled: SqliteStore) -> None:
    assert filled.words_near("aplpe", 1, 10, Scope()) == [("apple", 5)]
    assert filled.words_near("appel", 2, 10, Scope())[0] == ("apple", 5)
    assert filled.words_near("applesecret", 2, 10, Scope()) == []
    assert filled.words_near("applesecrets", 1, 10, Scope()) == [("applesecret", 1)]
    assert filled.words_near("applesecrets", 2, 10, PUBLIC) == []


def test_a_word_that_leaves_is_not_given_any_more(filled: SqliteStore) -> None:
    filled.remove([Ref("notes", "secret")])
    assert filled.words_like("appl", 10, Scope()) == [("apple", 5)]
    assert filled.words_near("applesecre", 1, 10, Scope()) == []
