"""A connection is opened when needed, once a process, and closed when nobody uses it."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from semantic_core.remote import PerProcess


class Line:
    """Something open. closed: the lines that were closed."""

    def __init__(self, closed: list[Line]) -> None:
        self.closed = closed


class Telephone:
    """Opens lines. It refers to its line, and the line does not refer to it."""

    def __init__(self) -> None:
        self.opened: list[Line] = []
        self.closed: list[Line] = []
        self.line: PerProcess[Line] = PerProcess(self._open, _close)

    def _open(self) -> Line:
        line = Line(self.closed)
        self.opened.append(line)
        return line


def _close(line: Line) -> None:
    line.closed.append(line)


def test_it_is_opened_when_first_needed_and_then_the_same() -> None:
    telephone = Telephone()
    assert telephone.opened == []
    assert telephone.line.get() is telephone.line.get()
    assert len(telephone.opened) == 1 and telephone.closed == []


def test_threads_that_need_it_at_the_same_time_open_one() -> None:
    telephone = Telephone()
    barrier = threading.Barrier(8)

    def get(_: int) -> Line:
        barrier.wait(20)
        return telephone.line.get()

    with ThreadPoolExecutor(8) as pool:
        lines = set(pool.map(get, range(8)))
    assert len(lines) == len(telephone.opened) == 1


def test_after_it_was_closed_another_is_opened() -> None:
    telephone = Telephone()
    telephone.line.close()
    first = telephone.line.get()
    telephone.line.close()
    telephone.line.close()
    assert telephone.closed == [first]
    assert telephone.line.get() is not first


def test_an_error_while_opening_is_raised_and_the_next_call_tries_again() -> None:
    answers: list[Exception | str] = [OSError("no route"), "open"]

    def open_it() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    line: PerProcess[str] = PerProcess(open_it, lambda opened: None)
    with pytest.raises(OSError, match="no route"):
        line.get()
    assert line.get() == "open"


def test_when_its_owner_is_gone_it_is_closed() -> None:
    telephone = Telephone()
    closed = telephone.closed
    telephone.line.get()
    gone = weakref.ref(telephone)
    del telephone
    gc.collect()
    assert gone() is None and len(closed) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_opens_its_own_and_leaves_the_other_open() -> None:
    telephone = Telephone()
    mine = telephone.line.get()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        telephone.line.close()
        left_open = telephone.closed == []
        other = telephone.line.get() is not mine
        telephone.line.close()
        own_closed = len(telephone.closed) == 1 and telephone.closed[0] is not mine
        os.write(writer, b"y" if left_open and other and own_closed else b"n")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"y"
    os.close(reader)
    os.close(writer)
    assert telephone.line.get() is mine and telephone.closed == []
