"""Files becoming documents, and the estimate of how long it takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from semantic_core._files import FoundFile
from semantic_core._plugins.host import Plugins
from semantic_core.cli._reading import (
    Reading,
    Skipped,
    estimated_chunks,
    skipped_files,
    time_left,
)
from semantic_core.types import Document

PLUGINS = Plugins.load([])


def found(folder: Path, *names: str) -> list[FoundFile]:
    return [FoundFile(folder / name, name) for name in names]


def read(reading: Reading) -> Iterator[Document]:
    for together in reading.documents(None):
        yield from together.documents


def test_documents_are_read_when_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    reading = read(Reading(PLUGINS, found(tmp_path, "a.txt", "b.txt"), "notes"))
    assert next(reading).text == "one"
    (tmp_path / "b.txt").write_text("changed meanwhile")
    assert next(reading).text == "changed meanwhile"


def test_a_file_that_cannot_be_read_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "latin.txt").write_bytes("für".encode("latin-1"))
    reading = Reading(PLUGINS, found(tmp_path, "gone.txt", "good.txt", "latin.txt"), "notes")
    assert [document.ref.key for document in read(reading)] == ["good.txt"]
    assert [(Path(failure.what).name, failure.code) for failure in reading.failed] == [
        ("gone.txt", "FileUnreadable"),
        ("latin.txt", "FileUnreadable"),
    ]
    assert "UTF-8" in reading.failed[1].reason


def test_a_file_name_that_is_no_unicode_is_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "half\udc80.txt"
    path.write_text("text")
    reading = Reading(PLUGINS, [FoundFile(path, path.name)], "notes")
    assert list(read(reading)) == []
    assert [failure.code for failure in reading.failed] == ["TextInvalid"]


def test_characters_left_are_estimated_from_the_bytes_so_far(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("é" * 100, "utf-8")
    (tmp_path / "b.txt").write_text("é" * 300, "utf-8")
    reading = Reading(PLUGINS, found(tmp_path, "a.txt", "b.txt"), "notes")
    assert reading.total_bytes == 800
    next(read(reading))
    assert reading.estimated_characters() == 400


@pytest.mark.parametrize(
    ("chunks", "characters", "all_characters", "expected"),
    [(0, 0, 1000, 0), (10, 1000, 3000, 30), (10, 1000, 1000, 10), (10, 1000, 900, 10)],
)
def test_chunks_left_follow_from_characters_left(
    chunks: int, characters: int, all_characters: int, expected: int
) -> None:
    assert estimated_chunks(chunks, characters, all_characters) == expected


@pytest.mark.parametrize(
    ("elapsed", "chunks", "total", "shown"),
    [
        (5, 0, 100, ""),
        (5, 100, 100, ""),
        (10, 50, 100, "10 s left"),
        (60, 10, 50, "4 min left"),
        (3600, 10, 30, "2.0 h left"),
    ],
)
def test_the_time_left_follows_from_the_speed_so_far(
    elapsed: float, chunks: int, total: int, shown: str
) -> None:
    assert time_left(elapsed, chunks, total) == shown
