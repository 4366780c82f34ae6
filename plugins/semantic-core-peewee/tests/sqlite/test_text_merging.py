"""Segments of the full-text index become one, whatever happens meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import apsw
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import text_merging
from semantic_core_peewee.sqlite.text_merging import MOST_ROWS, due
from semantic_core_peewee.sqlite.tuning import Tuning

from semantic_core import Ref, Scope
from semantic_core.errors import StoreFull

BY_HAND = Tuning(tail=4, merge_factor=10**6)
"""Nothing is merged unless a test says so."""
MERGED = Tuning(tail=4, merge_factor=3, merge_inline=True)


def filled(store: SqliteStore, item: Callable[..., Any], chunks: int = 60) -> None:
    for number in range(chunks):
        store.replace([item(f"{number:03d}", f"river stone{number} w{number % 7}")])


def state(store: SqliteStore) -> list[tuple[int, int]]:
    """(rows, building) of every segment."""
    raw = apsw.Connection(str(store.path))
    return raw.execute(  # type: ignore[no-any-return]
        "select count, building from semantic_index_text_segment order by first, id"
    ).fetchall()


def answers(store: SqliteStore) -> list[Any]:
    return [store.words(word, 200, Scope()) for word in ("river", "w3", "stone7 w1", "stone40")]


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([], None),
        ([4, 4], None),
        ([4, 4, 4], (0, 3)),
        ([12, 4, 4], None),
        ([12, 4, 4, 4], (1, 4)),
        ([12, 12, 12], (0, 3)),
        ([12, 4, 4, 12, 12, 12, 4], (0, 7)),
        ([60_000, 4, 4, 4], (1, 4)),
        ([30_000] * 5, (0, 2)),
        ([60_000] * 5, None),
    ],
)
def test_neighbours_of_about_one_size_are_due(
    sizes: list[int], wanted: tuple[int, int] | None
) -> None:
    found = due(sizes, 4, 3)
    assert found == (None if wanted is None else slice(*wanted))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=400), st.integers(2, 8))
def test_merging_what_is_due_ends_with_few_segments(added: list[int], factor: int) -> None:
    """And rows are written again about as often as sizes grow."""
    sizes: list[int] = []
    written = 0
    for number in added:
        sizes.append(1 + number % 40)
        while (run := due(sizes, 4, factor)) is not None:
            assert run.stop - run.start > 1 and sum(sizes[run]) <= MOST_ROWS
            written += sum(sizes[run])
            sizes[run] = [sum(sizes[run])]
    rows = sum(sizes)
    levels = 2 + np.log(max(2, rows)) / np.log(factor)
    assert len(sizes) <= factor * levels
    assert written <= rows * levels


def test_merged_segments_give_the_same_answers(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=BY_HAND)
    store._merger.close()  # segments of many removed rows would be written anew
    filled(store, item)
    store.remove([Ref("notes", f"{number:03d}") for number in range(0, 60, 3)])
    store.replace([item("001", "river again")])
    before = answers(store)
    assert len(state(store)) == 15
    store.close()
    store = open_store(tuning=MERGED)
    store._merger.run()
    assert len(state(store)) < 8
    assert answers(store) == before
    assert store.check() == []
    raw = apsw.Connection(str(store.path))
    ids = {id for (id,) in raw.execute("select id from semantic_index_text_segment")}
    blocks = {id >> 20 for (id,) in raw.execute("select id from semantic_index_text_block")}
    columns = {id for (id,) in raw.execute("select segment from semantic_index_text_columns")}
    assert blocks == columns == ids


def test_segments_are_merged_beside_the_writers(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=Tuning(tail=4, merge_factor=3))
    other = open_store(tuning=Tuning(tail=4, merge_factor=3))

    def write(store: SqliteStore, first: int) -> None:
        for number in range(first, first + 80):
            store.replace([item(f"{number:03d}", f"river stone{number}")])
            if number % 3 == 0:
                store.remove([Ref("notes", f"{number:03d}")])

    threads = [
        threading.Thread(target=write, args=(one, first))
        for one, first in ((store, 0), (other, 100))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = {f"{n:03d}" for first in (0, 100) for n in range(first, first + 80) if n % 3}
    for one in (store, other):
        assert {id.ref.key for id in one.words("river", 500, Scope()).ids} == wanted
        one._merger.close()
    assert store.check() == []
    assert len(state(store)) < 40


@pytest.mark.parametrize("after", ["_begin", "add_blocks", "_finish"])
def test_a_merge_that_ends_anywhere_costs_nothing_and_is_cleared_away(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    after: str,
) -> None:
    store = open_store(tuning=BY_HAND)
    filled(store, item)
    before = answers(store)
    store.close()
    store = open_store(tuning=MERGED)
    right = getattr(text_merging, after)

    class Ended(Exception):
        pass

    def ends(*given: Any) -> Any:
        right(*given)
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(text_merging, after, ends)
        with pytest.raises(Ended):
            store._merger.run()
    assert answers(store) == before and store.check() == []
    # What another process has begun a moment ago is left alone, and later taken to be abandoned.
    monkeypatch.setattr(text_merging, "ABANDONED", -1.0)
    store._merger.run()
    assert answers(store) == before and store.check() == []
    assert all(not building for _, building in state(store)) and len(state(store)) < 8


def test_two_that_merge_the_same_do_not_lose_or_double_anything(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=BY_HAND)
    filled(store, item)
    before = answers(store)
    store.close()
    stores = [open_store(tuning=MERGED) for _ in range(3)]
    threads = [threading.Thread(target=one._merger.run) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in stores:
        assert answers(one) == before
    assert stores[0].check() == []


def test_chunks_removed_and_added_while_a_merge_is_worked_out_are_kept_apart(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store(tuning=BY_HAND)
    filled(store, item)
    other = open_store(tuning=BY_HAND)
    store.close()
    store = open_store(tuning=MERGED)
    right = text_merging._begin
    written: list[int] = []

    def begin(view: Any, merged: Any) -> Any:
        return right(view, merged)

    def pieces(blocks: Any) -> Any:
        if not written:
            written.append(1)
            other.remove([Ref("notes", "003"), Ref("notes", "059")])
            other.replace([item(f"x{number}", "river new") for number in range(9)])
        return right_pieces(blocks)

    right_pieces = text_merging._pieces
    monkeypatch.setattr(text_merging, "_begin", begin)
    monkeypatch.setattr(text_merging, "_pieces", pieces)
    store._merger.run()
    found = {id.ref.key for id in store.words("river", 500, Scope()).ids}
    assert written and "003" not in found and "059" not in found
    assert len(found) == 58 + 9
    assert store.check() == []


def test_a_merge_that_finds_no_room_leaves_the_index_as_it_is(
    open_store: Callable[..., SqliteStore],
    item: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And says so."""
    store = open_store(tuning=Tuning(tail=4, merge_factor=3))

    def full(*given: Any) -> None:
        raise StoreFull("no room")

    monkeypatch.setattr(text_merging, "add_blocks", full)
    filled(store, item)
    store._merger.close()
    assert len(store.words("river", 500, Scope())) == 60
    assert store.check() == []
    assert "not merged" in caplog.text and "no room" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork.")
def test_a_child_that_was_forked_within_a_merge_waits_for_nobody(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    """The threads that hold the locks are not in the child."""
    store = open_store(tuning=Tuning(tail=4, merge_factor=3))
    filled(store, item, 20)
    store._merger.close()
    store._merger._closed = False
    store.words("river", 5, Scope())
    lists = store._text._cache._versions[-1].sealed.lists
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with store._merger._lock, lists._lists._lock:
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    child = os.fork()
    if child == 0:  # no test framework from here on
        try:
            signal.alarm(20)
            for number in range(8):
                store.replace([item(f"x{number}", "river of the child")])
            found = len(store.words("river", 500, Scope()))
            store.close()
            os._exit(0 if found == 28 else 1)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent is told
            os._exit(2)
    _, status = os.waitpid(child, 0)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(status) == 0
    assert len(store.words("river", 500, Scope())) == 28


def test_segments_that_are_mostly_dead_are_written_again(
    open_store: Callable[..., SqliteStore], item: Callable[..., Any]
) -> None:
    store = open_store(tuning=Tuning(tail=20, merge_factor=50, merge_inline=True))
    store.replace([item(f"{number:03d}", f"river stone{number}") for number in range(100)])
    store.remove([Ref("notes", f"{number:03d}") for number in range(90)])
    store.replace([item(f"x{number:03d}", "sand") for number in range(20)])
    assert state(store) == [(10, 0), (20, 0)]
    raw = apsw.Connection(str(store.path))
    assert raw.execute("select count(*) from semantic_index_text_dead").get == 0
    assert len(store.words("river", 99, Scope())) == 10
    assert store.check() == []
    store.remove([Ref("notes", f"{number:03d}") for number in range(100)])
    store.remove([Ref("notes", f"x{number:03d}") for number in range(20)])
    assert len(store.words("river sand", 99, Scope())) == 0
