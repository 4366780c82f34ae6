"""Filters: exactly what `Filter.matches` says, and no value of a caller in SQL text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore

from semantic_core import Condition, Filter, Ref, Scope, Space
from semantic_core.errors import FilterInvalid, InputError
from semantic_core.filters import MAX_CONDITIONS, MAX_VALUES
from semantic_core.testing import metadata, wheres

EVIL = [
    "'; drop table semantic_index_document; --",
    '"quoted"',
    "?1",
    ":a",
    "$x",
    "100%",
    "a_b",
    "\\",
    "]",
    "`",
    "x' or '1'='1",
    "漢'字",
]


def found(store: SqliteStore, where: Any, vector: Any) -> list[set[str]]:
    """The keys each way of asking finds."""
    scope = Scope(filter=Filter.parse(where))
    return [
        {summary.ref.key for summary in store.documents(scope, limit=1_000)},
        {id.ref.key for id in store.nearest(vector, 1_000, scope).ids},
        {id.ref.key for id in store.words("zorbak", 1_000, scope).ids},
    ]


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(
    held=st.lists(metadata(), min_size=1, max_size=6),
    asked=st.lists(wheres(), min_size=1, max_size=4),
)
def test_every_way_of_asking_finds_what_matches(
    held: list[dict[str, Any]],
    asked: list[dict[str, Any]],
    store: SqliteStore,
    item: Callable[..., Any],
    vector: Callable[[str], Any],
) -> None:
    store.remove([summary.ref for summary in store.documents(Scope(), limit=1_000)])
    items = [item(str(number), "zorbak", metadata=one) for number, one in enumerate(held)]
    store.replace(items)
    for where in asked:
        wanted = {one.ref.key for one, _ in items if Filter.parse(where).matches(one.metadata)}
        assert found(store, where, vector("q")) == [wanted, wanted, wanted], where


def test_a_tenant_that_is_no_text_is_refused_before_sqlite_makes_a_text_of_it(
    tmp_path: Path,
) -> None:
    space = Space("kit", 4)
    with closing(SqliteStore(space, tmp_path / "index.db", multi_tenant=True)) as store:
        for tenant in (5, b"ann", None):
            scope = Scope(tenant)  # type: ignore[arg-type]
            with pytest.raises(InputError, match="A tenant must be a str"):
                store.documents(scope)
            with pytest.raises(InputError, match="A tenant must be a str"):
                store.words("zorbak", 9, scope)


HELD: tuple[Any, ...] = (
    *("", "1", "1.0", "true", "a", "A", "b", "z", "\uffee", "\U0001f600", "a\0b", "é", "e\u0301"),
    *(
        True,
        False,
        0,
        1,
        1.0,
        1.5,
        -1,
        0.1,
        0.30000000000000004,
        2**53,
        2**53 + 1,
        float(2**53),
        2**63 - 1,
        -(2**63),
    ),
    *(1e308, 5e-324, [], ["a"], ["1", "b"], ["z", "z"], ["true"]),
)
"""A value of every kind, and those that other kinds are easily taken for."""


def test_every_operator_compares_values_of_every_kind_as_the_reference_does(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    items = [item(str(number), "x", metadata={"k": held}) for number, held in enumerate(HELD)]
    items += [item("none", "x"), item("other", "x", metadata={"K": "a", "k ": 1})]
    store.replace(items)
    scalars = [value for value in HELD if not isinstance(value, list)]
    wheres: list[Any] = [{"k": {word: value}} for value in scalars for word in ("eq", "ne")]
    ordered = [value for value in scalars if not isinstance(value, bool)]
    wheres += [{"k": {word: value}} for value in ordered for word in ("gt", "gte", "lt", "lte")]
    wheres += [{"k": {"exists": there}} for there in (True, False)]
    several = ([], ["a", 1], [True, "1", 1.0], [0, False, "z"], scalars)
    wheres += [{"k": {word: values}} for values in several for word in ("in", "not_in")]
    for where in wheres:
        wanted = {one.ref.key for one, _ in items if Filter.parse(where).matches(one.metadata)}
        found_here = {
            one.ref.key for one in store.documents(Scope(filter=Filter.parse(where)), limit=1_000)
        }
        assert found_here == wanted, where


def test_the_largest_filter_is_answered(
    store: SqliteStore, item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store.replace(
        [item("1", "zorbak", metadata={f"k{number}": number for number in range(MAX_CONDITIONS)})]
    )
    where = {
        f"k{number}": list(range(number, number + MAX_VALUES)) for number in range(MAX_CONDITIONS)
    }
    assert found(store, where, vector("q")) == [{"1"}, {"1"}, {"1"}]
    many = " ".join(f"w{number}" for number in range(31))
    assert len(store.words(f"{many} {many} zorbak", 9, Scope(filter=Filter.parse(where)))) == 1


def test_a_filter_made_by_hand_is_checked(store: SqliteStore, item: Callable[..., Any]) -> None:
    store.replace([item("1", "a", metadata={"n": 1, "ratio": 0.5})])

    def keys(*conditions: Condition) -> list[str]:
        return [summary.ref.key for summary in store.documents(Scope(filter=Filter(conditions)))]

    assert keys(Condition("ratio", "in", (np.float64(0.5),))) == ["1"]
    assert keys(Condition("n", "in", (float("nan"),))) == []
    assert keys(Condition("n", "not_in", (float("nan"),))) == ["1"]
    assert keys(Condition("n", "in", ()), Condition("n", "exists", (True,))) == []
    for value in (None, b"x", np.int64(1), ("a",)):
        with pytest.raises(FilterInvalid):
            keys(Condition("n", "in", (value,)))  # type: ignore[arg-type]
    for odd in (2**70, "\ud800"):
        with pytest.raises(InputError):
            keys(Condition("n", "in", (odd,)))
    with pytest.raises(FilterInvalid, match="32,700"):
        keys(Condition("n", "in", tuple(range(40_000))))


def test_collections_are_names_and_nothing_else(
    store: SqliteStore, item: Callable[..., Any]
) -> None:
    odd = ["a", "a'b", 'a"b', "[0]", "$", "é", "e\u0301", "漢", "\\u0061", "null", "1"]
    store.replace([item("1", "zorbak", collection=name) for name in odd])
    for name in odd:
        assert [one.ref.collection for one in store.documents(Scope(collections=(name,)))] == [name]
    for none in ("a\0b", "\ud800", "a\n", "", 1):
        assert len(store.documents(Scope(collections=(none,)))) == 0  # type: ignore[arg-type]


@contextmanager
def statements(store: SqliteStore) -> Iterator[list[str]]:
    """The text of every statement this thread and the writer run meanwhile."""
    seen: list[str] = []

    def trace(event: dict[str, Any]) -> None:
        seen.append(event["sql"])

    hooks = list(apsw.connection_hooks)
    apsw.connection_hooks.append(
        lambda connection: connection.trace_v2(apsw.SQLITE_TRACE_STMT, trace)
    )
    try:
        yield seen
    finally:
        apsw.connection_hooks[:] = hooks


def test_no_text_of_a_caller_is_in_a_statement(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    marks = [f"{evil}kwyjibo" for evil in EVIL]
    with statements(open_store(multi_tenant=True)) as seen:
        store = open_store()
        for mark in marks:
            given_item = item(
                mark, mark, tenant=mark, collection=mark, metadata={mark: mark, "list": [mark]}
            )
            store.replace([given_item], {given_item[0].ref: 1})
            where = {
                mark: mark,
                "list": {"in": marks, "ne": "x"},
                f"{mark}2": {"exists": False},
                "n": {"not_in": [1, mark]},
            }
            scope = Scope(mark, (mark, *marks), Filter.parse(where))
            chunk = given_item[1][0].chunk.id
            assert store.documents(scope).total == 1
            assert (
                store.nearest(vector(mark), 3, scope).ids
                == store.words(mark, 3, scope).ids
                == (chunk,)
            )
            assert (
                store.fetch([chunk]) and not np.isnan(store.similarity([chunk], vector("q"))).any()
            )
            assert store.get(given_item[0].ref) == given_item[0]
            assert (
                store.known([given_item[1][0].fingerprint])
                and not store.known([mark])
                and not store.fill({})
            )
            assert (
                store.stats(mark).documents
                == store.remove([given_item[0].ref], {given_item[0].ref: 2})
                == 1
            )
    assert len(seen) > 100, "nothing was traced"
    assert not [sql for sql in seen if "kwyjibo" in sql]


def test_documents_with_keys_are_those_of_the_moment_whoever_writes(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    """The documents of the latest keys are remembered, until anything is written."""
    store = open_store()
    other = open_store()
    scope = Scope(keys={"notes": frozenset({"1", "2", "3"})})

    def keys() -> set[str]:
        return {id.ref.key for id in store.words("zorbak", 10, scope).ids}

    store.replace([item("1", "zorbak"), item("9", "zorbak")])
    assert keys() == keys() == {"1"}
    other.replace([item("2", "zorbak")])
    assert keys() == {"1", "2"}
    store.remove([Ref("notes", "1")])
    assert keys() == {"2"}
    # A document that leaves and comes back has another number in the file.
    other.remove([Ref("notes", "2")])
    other.replace([item("2", "zorbak"), item("3", "zorbak")])
    assert keys() == {"2", "3"}
    assert len(store._pool._shared.scopes) <= 2
