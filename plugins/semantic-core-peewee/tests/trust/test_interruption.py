"""Whatever a signal handler raises, and whenever: the thread goes on as if nothing had happened.

A time limit, or Ctrl-C in a notebook, may come between any two steps. Here one comes at a line, and
then everything is asked that could be stuck: what this thread reads and writes next, what others
may write, and whether the log of the file can be emptied.
"""

from __future__ import annotations

import ast
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import apsw
import peewee
import pytest
from figures import MEASURING, record
from semantic_core_peewee import init_database
from semantic_core_peewee.sqlite.pool import Sole, Use

from semantic_core import Document, Ref, SemanticCore
from semantic_core.orm import SemanticIndex
from semantic_core.testing import HashEmbedder

EACH = 1 if MEASURING else 97
"""Every so many lines one is tried; all of them where the figures are what it is for."""
EACH_OF_MANY = 291 if MEASURING else 997
EACH_OF_MODELS = 397 if MEASURING else 997
EACH_STEP = 1 if MEASURING else 37
HOLDING = ("sqlite/pool.py",)
OURS = (os.sep + "semantic_core" + os.sep, os.sep + "semantic_core_peewee" + os.sep, "contextlib")
"""Where files are whose lines count."""

WORK: dict[str, Callable[[SemanticCore], Any]] = {
    "search": lambda core: core.search("number of words"),
    "search by words": lambda core: core.search("number", mode="text"),
    "add": lambda core: core.ingest(Document(Ref("notes", "new"), "another text")),
    "change": lambda core: core.ingest(Document(Ref("notes", "1"), "a changed text of words")),
    "remove": lambda core: core.remove(Ref("notes", "2")),
    "list": lambda core: core.documents(limit=5),
}


class TimeLimit(Exception):
    """What an application's own handler raises."""


def ring(number: int, frame: FrameType | None) -> None:
    raise TimeLimit


@cache
def leaving(file: str) -> frozenset[int]:
    """The lines of a file where ``with`` blocks end, which a tracer is told between the block and
    the end of what it holds; no signal is ever handled there.
    """
    tree = ast.parse(Path(file).read_text("utf-8"))
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.With)]
    items = [item.context_expr for node in blocks for item in node.items]
    found = {node.lineno for node in blocks}
    for item in items:
        found |= set(range(item.lineno, (item.end_lineno or item.lineno) + 1))
    return frozenset(found)


@cache
def is_at(file: str, places: tuple[str, ...]) -> bool:
    """Whether a file is at one of these places: parts of paths."""
    return any(place in file for place in places)


class Cut:
    """Has the alarm ring at one line of what is done. at: which; lines: how many there were; kept:
    what was raised. within: names of files; then at one step of Python in one of these.
    """

    kept: TimeLimit | None = None

    def __init__(self, at: int, within: tuple[str, ...] = ()) -> None:
        self.at, self.lines, self.within = at, 0, within

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Told of a call: follows what is done within it, if it counts."""
        file = frame.f_code.co_filename
        if not is_at(file, self.within or OURS):
            return None
        if self.within:
            frame.f_trace_opcodes = True
            return self._follow_steps
        left = leaving(file)

        def follow_lines(frame: FrameType, event: str, argument: Any) -> Any:
            if event == "line" and frame.f_lineno not in left:
                self._count()
            return follow_lines

        return follow_lines

    def _follow_steps(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "opcode":
            self._count()
        return self._follow_steps

    def _count(self) -> None:
        self.lines += 1
        if self.lines == self.at:
            signal.raise_signal(signal.SIGALRM)

    def during(self, work: Callable[[], Any]) -> bool:
        """Call it. Returns whether the alarm was handled."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work()
        except TimeLimit as error:
            self.kept = error
            return True
        finally:
            sys.settrace(before)
        return False


@pytest.fixture
def core(tmp_path: Path) -> Iterator[SemanticCore]:
    before = signal.signal(signal.SIGALRM, ring)
    options = {"busy_timeout": 2.0}
    with SemanticCore(path=tmp_path / "i.db", embedder=HashEmbedder(), store_options=options) as it:
        it.ingest(
            Document(Ref("notes", str(n)), f"text number {n} of many words") for n in range(9)
        )
        for work in WORK.values():
            work(it)
        yield it
    signal.signal(signal.SIGALRM, before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # within __del__
@pytest.mark.parametrize("name", WORK)
def test_an_alarm_at_any_line_leaves_nothing_stuck(core: SemanticCore, name: str) -> None:
    counting = Cut(0)
    counting.during(lambda: WORK[name](core))
    assert counting.lines > 100
    tried = range(1, counting.lines + 1, EACH)
    heard = 0
    for at in tried:
        heard += Cut(at).during(lambda: WORK[name](core))
        assert_as_good_as_new(core, f"{name} {at}")
    record(f"interruption_{name.replace(' ', '_')}", tried=len(tried), heard=heard)
    assert heard > len(tried) / 2, "most alarms were swallowed"


def assert_as_good_as_new(core: SemanticCore, which: str) -> None:
    """Of this thread, of others, and of the file."""
    text = f"probe {which}"
    core.ingest(Document(Ref("probes", "p"), text))
    assert core.get(Ref("probes", "p")).text == text  # type: ignore[union-attr]
    assert [hit.text for hit in core.search(text, mode="text", limit=1)] == [text]
    failed: list[BaseException] = []

    def elsewhere() -> None:
        try:
            core.ingest(Document(Ref("probes", "q"), text))
            core.search(text, limit=1)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    thread = threading.Thread(target=elsewhere, daemon=True)
    thread.start()
    thread.join(60.0)
    assert not thread.is_alive(), "another thread waits for what this one holds"
    assert failed == []
    with apsw.Connection(core.store._target.path) as raw:  # type: ignore[attr-defined]
        busy, *_ = raw.execute("pragma wal_checkpoint(truncate)").fetchone()
    assert not busy, "an old state is held"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # within __del__
def test_an_alarm_at_any_line_leaves_no_row_and_no_connection_of_a_model_behind(
    core: SemanticCore, tmp_path: Path
) -> None:
    """While the exception is kept, too, as a notebook keeps the last one."""
    database = peewee.SqliteDatabase(tmp_path / "app.db", timeout=5)

    class Note(peewee.Model):
        body = peewee.TextField()
        search: Any = SemanticIndex(["body"], core=core, sync="inline")

        class Meta:
            pass

    Note._meta.set_database(database)
    database.create_tables([Note])
    init_database(database, core)
    for number in range(9):
        Note.create(body=f"note {number} of many words")

    def many() -> None:
        with database.atomic():
            Note.insert_many([{"body": f"one of many {number}"} for number in range(5)]).execute()

    work: dict[str, Callable[[], Any]] = {
        "save": lambda: Note.create(body="another text"),
        "many": many,
        "search": lambda: list(Note.search("words", limit=3)),
        "sync": Note.search.sync,
        "verify": Note.search.verify,
    }
    tried, heard = 0, 0
    for name, one in work.items():
        counting = Cut(0)
        counting.during(one)
        for at in range(1, counting.lines + 1, EACH_OF_MODELS):
            cut = Cut(at)
            tried, heard = tried + 1, heard + cut.during(one)
            assert not database.in_transaction(), (name, at)
            note = Note.create(body=f"probe {name} {at}")
            assert list(Note.search(note.body, mode="text", limit=1, fresh=True)) == [note]
            note.delete_instance()
            del cut
        assert Note.search.verify().sound, name
    database.close()
    record("interruption_models", tried=tried, heard=heard)
    assert heard > tried / 2, "most alarms were swallowed"


def searching_from_now_on(core: SemanticCore) -> list[int]:
    """Have the alarm search; how many hits it had, each time."""
    said: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        traced = sys.gettrace()
        sys.settrace(None)
        said.append(len(core.search("number of words", limit=3)))
        sys.settrace(traced)

    signal.signal(signal.SIGALRM, handler)
    return said


def test_a_handler_that_searches_and_writes_waits_for_nothing_its_thread_holds(
    core: SemanticCore,
) -> None:
    """Whatever it comes in between; what it cannot have is refused at once."""
    core.ingest(Document(Ref("more", str(n)), f"more words, number {n}") for n in range(1_200))
    said = searching_from_now_on(core)
    for name in ("search", "search by words", "change"):
        counting = Cut(0)
        counting.during(lambda name=name: WORK[name](core))  # type: ignore[misc]
        for at in range(1, counting.lines + 1, EACH_OF_MANY):
            core.ingest(Document(Ref("probes", "p"), f"another state {name} {at}"))
            assert not Cut(at).during(lambda name=name: WORK[name](core))  # type: ignore[misc]
    assert len(said) > 20
    assert set(said) == {3}


@pytest.mark.slow
def test_a_handler_that_searches_at_any_step_of_what_holds_a_state_is_not_noticed(
    core: SemanticCore,
) -> None:
    """Neither by what it came in between, nor by the next ones."""
    said = searching_from_now_on(core)
    tried = 0
    for name in ("search", "change", "list"):
        work = WORK[name]
        counting = Cut(0, HOLDING)
        counting.during(lambda work=work: work(core))  # type: ignore[misc]
        for at in range(1, counting.lines + 1, EACH_STEP):
            core.ingest(Document(Ref("probes", "p"), f"another state {name} {at}"))
            tried += 1
            assert not Cut(at, HOLDING).during(lambda work=work: work(core))  # type: ignore[misc]
    assert set(said) == {3}
    record("interruption_by_searches", tried=tried, heard=len(said))


def test_a_use_that_is_still_ending_is_waited_for() -> None:
    sole, ending, order = Sole(), threading.Event(), list[str]()

    def end(use: Use) -> None:
        ending.set()
        time.sleep(0.2)
        order.append("ended")
        sole.give_back(use)

    def first() -> None:
        with Use(lambda use: sole.take(use, 1.0), end):
            pass

    thread = threading.Thread(target=first)
    thread.start()
    ending.wait()
    other = sole.use(10.0)
    with other:
        assert sole.has(other)
        order.append("begun")
    thread.join()
    assert order == ["ended", "begun"]
