"""Files that attack a reader are refused with one clear line, and nothing hangs or breaks."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import Any

import pytest
from hostile import BEARABLE, HOSTILE
from making import pdf, report
from semantic_core_files import limits
from semantic_core_files.archives import Archive
from semantic_core_files.parts import FileSource
from semantic_core_files.processes import processes

from semantic_core import Document
from semantic_core.errors import FileUnreadable

LONGEST = 20.0
"""Seconds for one file, on a machine that is busy with other tests."""


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_in_one_line(read: Any, what: str) -> None:
    name, make, wanted = HOSTILE[what]
    data = make()
    started = time.perf_counter()
    with pytest.raises(FileUnreadable, match=wanted) as caught:
        read(name, data)
    assert time.perf_counter() - started < LONGEST
    assert caught.value.hint
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)
    assert name in caught.value.message


@pytest.mark.parametrize("what", BEARABLE)
def test_odd_files_are_read_in_seconds(read: Any, what: str) -> None:
    name, make = BEARABLE[what]
    data = make()
    started = time.perf_counter()
    documents: list[Document] = read(name, data)
    assert time.perf_counter() - started < LONGEST
    assert any(document.text.strip() for document in documents)


def test_a_hostile_file_between_others_disturbs_none(read: Any) -> None:
    (before,) = read("bericht.pdf", report())
    for what in ("deep page", "far cell", "billion laughs", "pdf in a circle", "deep message"):
        name, make, _ = HOSTILE[what]
        with pytest.raises(FileUnreadable):
            read(name, make())
        (after,) = read("bericht.pdf", report())
        assert after.text == before.text


def test_a_file_that_takes_too_long_is_refused(read: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(limits, "SECONDS", 0.1)
    monkeypatch.setattr(limits, "SECONDS_PER_MEGABYTE", 0.0)
    slow = pdf([[f"line {number}" for number in range(40)]] * 4_000)
    with pytest.raises(FileUnreadable, match="took longer than 0 seconds"):
        read("x.pdf", slow)
    monkeypatch.undo()
    assert len(read("bericht.pdf", report())) == 1


def test_an_archive_is_checked_before_it_is_expanded() -> None:
    _, make, _ = HOSTILE["zip bomb by ratio"]
    data = make()
    assert len(data) < 100_000
    started = time.perf_counter()
    with pytest.raises(FileUnreadable):
        Archive(FileSource(data, "x"), "document")
    assert time.perf_counter() - started < 0.5


def test_no_process_and_no_open_file_is_left_behind(read: Any) -> None:
    processes.close()
    gc.collect()
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("open files are counted in /proc")
    before = len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    for what in ("deep page", "pdf of noise", "far cell"):
        name, make, _ = HOSTILE[what]
        with pytest.raises(FileUnreadable):
            read(name, make())
    processes.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == threads
