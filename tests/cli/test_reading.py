"""Files becoming documents, and the estimate of how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from semantic_core import hookimpl
from semantic_core._files import FoundFile
from semantic_core._plugins.host import Plugins
from semantic_core.cli._reading import (
    Reading,
    Skipped,
    estimated_chunks,
    skipped_files,
    time_left,
)
from semantic_core.types import Document, FileContent

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


def plugin(read: Callable[[FileContent], object], *suffixes: str, name: str = "mine") -> ModuleType:
    module = ModuleType(name)

    @hookimpl
    def semantic_readers() -> dict[str, object]:
        return dict.fromkeys(suffixes, read)

    module.semantic_readers = semantic_readers  # type: ignore[attr-defined]
    return module


def mail(file: FileContent) -> list[Document]:
    """A document for each word: the first is the mail, the others are parts."""
    first, *parts = file.text().split()
    return [file.document(first), *[file.document(part, part=part) for part in parts]]


def test_the_files_that_are_finished_follow_from_the_documents_that_are(tmp_path: Path) -> None:
    for name, words in {"a.eml": "mail x y", "b.eml": "mail", "c.eml": "mail z"}.items():
        (tmp_path / name).write_text(words)
    plugins = Plugins.load([plugin(mail, ".eml")])
    reading = Reading(plugins, found(tmp_path, "a.eml", "gone.eml", "b.eml", "c.eml"), "notes")
    assert len(list(read(reading))) == 6
    assert [reading.files_of(documents) for documents in range(7)] == [0, 0, 0, 1, 2, 2, 3]


def test_two_files_of_a_run_never_write_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text("mail x y")
    (tmp_path / "a.eml#x").write_text("a file of its own")
    plugins = Plugins.load([plugin(mail, ".eml")])
    for names, kept in (
        (("a.eml", "a.eml#x"), ["a.eml", "a.eml#x", "a.eml#y"]),
        (("a.eml#x", "a.eml"), ["a.eml#x"]),
    ):
        reading = Reading(plugins, found(tmp_path, *names), "notes")
        assert [document.ref.key for document in read(reading)] == kept
        (failure,) = reading.failed
        assert (Path(failure.what).name, failure.code) == (names[1], "InputError")
        assert "Two files would be one document, 'a.eml#x'" in failure.reason


def test_a_conflict_of_plugins_is_reported_once_with_the_number_of_files(tmp_path: Path) -> None:
    for name in ("a.x", "b.x", "c.x", "d.y", "e.txt"):
        (tmp_path / name).write_text("text")
    one = plugin(mail, ".x", ".y", name="one")
    two = plugin(mail, ".x", ".y", name="two")
    reading = Reading(
        Plugins.load([one, two]), found(tmp_path, "a.x", "b.x", "c.x", "d.y", "e.txt"), "notes"
    )
    assert [document.ref.key for document in read(reading)] == ["e.txt"]
    first, second = reading.failed
    assert first.what == f"{tmp_path / 'a.x'} and 2 more"
    assert second.what == str(tmp_path / "d.y")
    assert first.code == second.code == "PluginConflict"
    assert "one (given) and two (given)" in first.reason


def test_what_is_skipped_is_counted_by_suffix_without_the_files_of_the_index() -> None:
    names = ["a.PDF", "b/c.pdf", "d.xyz", "README", "x.db", "x.db-wal", "x.db.ledger", "y.db"]
    assert skipped_files(PLUGINS, [Path(name) for name in names], Path("x.db")) == [
        Skipped(".pdf", 2, "pip install semantic-core-files"),
        Skipped("", 1, ""),
        Skipped(".db", 1, ""),
        Skipped(".xyz", 1, ""),
    ]


def test_a_text_that_a_plugin_of_ours_reads_better_is_noted(tmp_path: Path) -> None:
    for name in ("page.html", "notes.xyz", "notes.txt"):
        (tmp_path / name).write_text("<p>text")
    reading = Reading(PLUGINS, found(tmp_path, "page.html", "notes.xyz", "notes.txt"), "notes")
    assert len(list(read(reading))) == 3
    assert reading.as_text == {".html": 1}
