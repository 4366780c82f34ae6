"""The store as a plugin: a module that is light to import, one hook, and names for users."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import semantic_core_peewee
from semantic_core_peewee import SqliteStore, open_sqlite, sqlite

from semantic_core import Ref, Scope
from semantic_core.errors import InputError
from semantic_core.protocols import Store, TextSearch, VectorQueue

HEAVY = ("apsw", "peewee", "playhouse", "numpy", "sqlite_vec", "sqlite3", "hypothesis")


def test_nothing_heavy_is_imported_before_a_store_is_opened() -> None:
    code = (
        "import sys; from semantic_core_peewee import sqlite; sqlite.semantic_stores(); "
        "print(*sys.modules)"
    )
    path = [entry for entry in sys.path if entry]
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {name.split(".")[0] for name in run.stdout.split()} & set(HEAVY)


def test_the_plugin_offers_the_store_sqlite(path: Any, space: Any) -> None:
    assert sqlite.semantic_stores() == {"sqlite": open_sqlite}
    store = open_sqlite(space, path=path)
    assert isinstance(store, SqliteStore)
    assert (
        isinstance(store, Store)
        and isinstance(store, TextSearch)
        and isinstance(store, VectorQueue)
    )
    store.close()


def test_every_exported_name_is_there() -> None:
    assert all(getattr(semantic_core_peewee, name) for name in semantic_core_peewee.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        semantic_core_peewee.nonsense  # noqa: B018 - the access is the test


@pytest.mark.parametrize("bad", [-1, 1.5, "5", None, True], ids=str)
def test_a_count_must_be_one(bad: Any, store: SqliteStore, vector: Callable[[str], Any]) -> None:
    for ask in (
        lambda: store.nearest(vector("x"), bad, Scope()),
        lambda: store.words("x", bad, Scope()),
        lambda: store.pending(bad),
        lambda: store.documents(Scope(), bad),
        lambda: store.documents(Scope(), 0, bad),
    ):
        with pytest.raises(InputError):
            ask()


def test_counts_may_be_as_large_as_they_like(
    store: SqliteStore, item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    store.replace([item("1", "one")])
    huge = 2**70
    assert (
        len(store.nearest(vector("x"), huge, Scope()))
        == len(store.words("one", huge, Scope()))
        == 1
    )
    assert len(store.documents(Scope(), 0, huge)) == 1 and len(store.documents(Scope(), huge)) == 0
    assert store.documents(Scope(), huge).total == 1 and store.pending(huge) == []


def test_things_of_the_wrong_kind_are_refused_before_anything_is_written(
    store: SqliteStore, item: Callable[..., Any], vector: Callable[[str], Any]
) -> None:
    good, ref = item("1", "one"), Ref("notes", "1")
    stranger = item("2", "two")
    for write in (
        lambda: store.replace([good, ("no document", [])]),  # type: ignore[list-item]
        lambda: store.replace([good, (stranger[0], good[1])]),
        lambda: store.replace([good, (stranger[0], [*stranger[1], *stranger[1]])]),
        lambda: store.replace([good], {ref: "5"}),  # type: ignore[dict-item]
        lambda: store.replace([good], {ref: True}),
        lambda: store.replace([good], {ref: 2**63}),
        lambda: store.remove(["notes/1"]),  # type: ignore[list-item]
        lambda: store.fetch([ref]),  # type: ignore[list-item]
        lambda: store.get("notes/1"),  # type: ignore[arg-type]
        lambda: store.nearest(vector("x"), 1, "everything"),  # type: ignore[arg-type]
        lambda: store.words(b"x", 1, Scope()),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError):
            write()
    assert store.stats().documents == 0
