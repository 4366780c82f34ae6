"""The order in which searches compute: as they come, but those that have begun go first; never more
at once than there are cores.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from semantic_core_peewee import SqliteStore
from semantic_core_peewee.sqlite import cpu_limiter
from semantic_core_peewee.sqlite.cpu_limiter import Turns, cores

from semantic_core import Ref, Scope


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def in_line(turns: Turns, order: list[str], *names: str) -> list[threading.Thread]:
    """Threads that wait for a turn, in this order;
    those called "first..." ask to be let through.
    """
    threads = []
    for name in names:

        def work(name: str = name) -> None:
            with turns.one(first=name.startswith("first")):
                order.append(name)

        thread = threading.Thread(target=work)
        before = turns.waiting
        thread.start()
        until(lambda before=before: turns.waiting == before + 1)  # type: ignore[misc]
        threads.append(thread)
    return threads


def test_turns_are_had_in_the_order_of_coming_and_those_who_are_waited_for_go_first() -> None:
    turns, order = Turns(1), list[str]()
    with turns.one():
        threads = in_line(turns, order, "a", "b", "c", "first 1", "d", "first 2")
    for thread in threads:
        thread.join(10)
    assert order == ["first 1", "first 2", "a", "b", "c", "d"]
    assert turns.had == 0


def test_no_more_have_a_turn_than_there_may_be() -> None:
    turns, lock = Turns(2), threading.Lock()
    there, most = 0, 0

    def work() -> None:
        nonlocal there, most
        for _ in range(30):
            with turns.one():
                with lock:
                    there += 1
                    most = max(most, there)
                time.sleep(0.0005)
                with lock:
                    there -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (most, turns.had, turns.waiting) == (2, 0, 0)


def test_a_thread_that_has_a_turn_needs_no_second_one() -> None:
    turns = Turns(1)
    with turns.one(), turns.one():
        assert turns.had == 1
    assert turns.had == 0


def test_a_turn_is_given_back_by_an_error_too() -> None:
    turns = Turns(1)
    with pytest.raises(KeyError), turns.one():
        raise KeyError("within")
    assert turns.had == 0


def test_a_thread_that_was_interrupted_keeps_no_turn_from_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal's handler may raise anywhere, also right after a turn was given."""
    turns = Turns(1)
    right = turns._take

    def interrupted(first: bool) -> None:
        right(first)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(turns, "_take", interrupted)
        with pytest.raises(KeyboardInterrupt), turns.one():
            pass
    assert (turns.had, turns.waiting) == (0, 0)
    with turns.one():
        assert turns.had == 1


def test_nobody_waits_for_ever() -> None:
    turns, order = Turns(1, patience=0.05), list[str]()
    with turns.one():
        for thread in in_line(turns, order, "a", "b"):
            thread.join(10)
        assert sorted(order) == ["a", "b"]
        assert (turns.had, turns.waiting) == (1, 0)
    assert turns.had == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_nobody() -> None:
    turns = cpu_limiter.turns
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with turns.one():
            held.set()
            done.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(cores())]
    for thread in threads:
        thread.start()
    until(lambda: turns.had == cores())
    read, write = os.pipe()
    child = os.fork()
    if not child:
        with turns.one():
            os.write(write, b"1")
        os._exit(0)
    os.close(write)
    try:
        assert os.read(read, 1) == b"1"
    finally:
        os.waitpid(child, 0)
        done.set()
        for thread in threads:
            thread.join(10)


def test_a_snapshot_that_waits_for_its_turn_has_not_begun(
    store: SqliteStore, item: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So however long it waits, it is of the state there is when it begins,
    and the log can be emptied meanwhile.
    """
    turns = Turns(1)
    monkeypatch.setattr(cpu_limiter, "turns", turns)
    store.replace([item("1", "river")])
    found: list[str] = []

    def search() -> None:
        with store.snapshot():
            found.extend(id.ref.key for id in store.words("river", 10, Scope()).ids)
            found.extend(id.ref.key for id in store.words("river", 10, Scope()).ids)

    with turns.one():
        thread = threading.Thread(target=search)
        thread.start()
        until(lambda: turns.waiting == 1)
        store.replace([item("2", "river")])
        store.remove([Ref("notes", "1")])
    thread.join(10)
    assert found == ["2", "2"]
