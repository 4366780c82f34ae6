"""Files: which are taken, and which can be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from semantic_core import Ref
from semantic_core._files import find_files, read_bytes, suffixes_of
from semantic_core.errors import FileUnreadable
from semantic_core.types import FileContent

SUFFIXES = frozenset({".md", ".txt", ".rst", ".tar.gz"})


def write(path: Path, data: bytes | str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def keys(*paths: Path, patterns: tuple[str, ...] = ()) -> list[str]:
    return [file.key for file in find_files(paths, patterns, suffixes=SUFFIXES).files]


def test_a_folder_gives_the_files_with_these_suffixes_by_their_path_below_it(
    tmp_path: Path,
) -> None:
    for name in ("b.md", "a/c.TXT", "a/d.rst", "a/e.png", "a/f", ".hidden.md", ".git/f.md"):
        write(tmp_path / name)
    assert keys(tmp_path) == ["a/c.TXT", "a/d.rst", "b.md"]


def test_what_has_another_suffix_is_skipped_and_listed(tmp_path: Path) -> None:
    for name in ("b.md", "a/e.png", "a/f", "x.tar.gz", "y.gz", ".png", ".git/f.png"):
        write(tmp_path / name)
    (tmp_path / "link.png").symlink_to(tmp_path / "a/e.png")
    found = find_files([tmp_path], suffixes=SUFFIXES)
    assert [file.key for file in found.files] == ["b.md", "x.tar.gz"]
    assert [path.relative_to(tmp_path).as_posix() for path in found.skipped] == [
        "a/e.png",
        "a/f",
        "y.gz",
    ]
    assert find_files([tmp_path], ["*.md"], suffixes=SUFFIXES).skipped == ()
    named = find_files([tmp_path, tmp_path / "y.gz"], suffixes=SUFFIXES)
    assert [path.name for path in named.skipped] == ["e.png", "f"]


@pytest.mark.parametrize(
    ("name", "suffixes"),
    [
        ("a.tar.gz", (".tar.gz", ".gz")),
        ("A.PDF", (".pdf",)),
        (".notes", ()),
        (".notes.md", (".md",)),
        ("README", ()),
        ("v1.2 notes.md", (".2 notes.md", ".md")),
        ("end.", (".",)),
        ("", ()),
    ],
)
def test_every_suffix_of_a_name_is_known_the_longest_first(
    name: str, suffixes: tuple[str, ...]
) -> None:
    assert suffixes_of(name) == suffixes


def test_patterns_choose_by_name_or_by_path(tmp_path: Path) -> None:
    for name in ("x.py", "a/y.py", "a/z.md"):
        write(tmp_path / name)
    assert keys(tmp_path, patterns=("*.py",)) == ["a/y.py", "x.py"]
    assert keys(tmp_path, patterns=("a/*",)) == ["a/y.py", "a/z.md"]


def test_a_file_named_aloud_is_taken_whatever_its_name(tmp_path: Path) -> None:
    assert keys(write(tmp_path / ".notes"), write(tmp_path / "data.xyz")) == [".notes", "data.xyz"]


def test_no_file_is_taken_twice(tmp_path: Path) -> None:
    file = write(tmp_path / "a.md")
    assert len(find_files([tmp_path, file, tmp_path], suffixes=SUFFIXES).files) == 1


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    secret = write(tmp_path / "outside" / "secret.md")
    folder = tmp_path / "inside"
    write(folder / "a.md")
    (folder / "link.md").symlink_to(secret)
    (folder / "b.md").symlink_to(folder / "a.md")
    (folder / "all").symlink_to(tmp_path / "outside")
    assert keys(folder) == ["a.md"]


def test_a_missing_path_is_named() -> None:
    with pytest.raises(FileUnreadable, match="no file or folder 'nowhere'"):
        find_files([Path("nowhere")])


def text_of(data: bytes) -> str:
    return FileContent(data, "a.txt", Ref("files", "x")).text()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_with_a_byte_order_mark_is_decoded(encoding: str) -> None:
    assert text_of("naïve — 日本\r\n".encode(encoding)) == "naïve — 日本\r\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9", r"'a.txt' is not UTF-8: byte 0xE9 at 3"),
        (b"PK\x03\x04\x00\x00", "'a.txt' looks binary: it contains a zero byte at 4"),
        (b"\xff\xfea", "'a.txt' is not UTF-16"),
    ],
)
def test_other_bytes_are_refused_with_the_place(data: bytes, reason: str) -> None:
    with pytest.raises(FileUnreadable, match=reason):
        text_of(data)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileUnreadable, match="no regular file"):
        read_bytes(tmp_path / "pipe")
    with pytest.raises(FileUnreadable, match="no regular file"):
        read_bytes(tmp_path)
    with pytest.raises(FileUnreadable, match="No such file"):
        read_bytes(tmp_path / "gone.md")


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "huge.txt"
    with path.open("wb") as file:
        file.truncate(200_000_001)
    with pytest.raises(FileUnreadable, match="has 200,000,001 bytes, the most is 200,000,000"):
        read_bytes(path)
