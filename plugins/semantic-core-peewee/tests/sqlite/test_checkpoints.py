"""What a checkpoint does to the writes it is told with, beyond the contract of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw
import pytest
from semantic_core_peewee import SqliteStore

from semantic_core import Ref
from semantic_core.errors import StoreBusy


def test_removing_nothing_waits_for_nobody_unless_a_checkpoint_is_advanced_by_it(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(busy_timeout=0.0)
    store.replace([item("1", "river")])
    other = apsw.Connection(str(store.path))
    other.execute("begin immediate")
    try:
        assert store.remove([]) == 0
        with store.advancing("a", lambda there: "1"), pytest.raises(StoreBusy):
            store.remove([])
    finally:
        other.execute("rollback")
        other.close()
    with store.advancing("a", lambda there: "1"):
        assert store.remove([]) == 0
    assert store.checkpoint("a") == "1"


@pytest.mark.parametrize("kind", [ValueError, UnicodeError, apsw.SQLError])
def test_an_error_of_a_change_comes_out_of_a_write_as_it_is_and_nothing_is_written(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any], kind: type[Exception]
) -> None:
    def fail(there: str | None) -> str:
        raise kind("of the change")

    store = open_store()
    store.replace([item("1", "river")])
    writes: list[Callable[[], Any]] = [
        lambda: store.replace([item("2", "river")]),
        lambda: store.remove([Ref("notes", "1")]),
        lambda: store.remove([]),
    ]
    for write in writes:
        with store.advancing("a", fail), pytest.raises(kind, match="of the change"):
            write()
    assert store.stats().documents == 1 and store.checkpoint("a") is None
    store.replace([item("2", "river")])
    assert store.stats().documents == 2
