"""Files: which are taken, and how bytes become text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from semantic_core import Ref
from semantic_core._files import find_files, read_document
from semantic_core.errors import FileUnreadable

REF = Ref("files", "x")


def write(path: Path, data: bytes | str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def keys(*paths: Path, patterns: tuple[str, ...] = ()) -> list[str]:
    return [file.key for file in find_files(paths, patterns)]


def test_a_folder_gives_its_text_files_by_their_path_below_it(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.txt", "a/d.rst", "a/e.png", ".hidden.md", ".git/f.md"):
        write(tmp_path / name)
    assert keys(tmp_path) == ["a/c.txt", "a/d.rst", "b.md"]


def test_patterns_choose_by_name_or_by_path(tmp_path: Path) -> None:
    for name in ("x.py", "a/y.py", "a/z.md"):
        write(tmp_path / name)
    assert keys(tmp_path, patterns=("*.py",)) == ["a/y.py", "x.py"]
    assert keys(tmp_path, patterns=("a/*",)) == ["a/y.py", "a/z.md"]


def test_a_file_named_aloud_is_taken_whatever_its_name(tmp_path: Path) -> None:
    assert keys(write(tmp_path / ".notes"), write(tmp_path / "data.xyz")) == [".notes", "data.xyz"]


def test_no_file_is_taken_twice(tmp_path: Path) -> None:
    file = write(tmp_path / "a.md")
    assert len(find_files([tmp_path, file, tmp_path])) == 1


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_with_a_byte_order_mark_is_decoded(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.txt", "naïve — 日本\r\n".encode(encoding))
    assert read_document(path, REF).text == "naïve — 日本\r\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"caf\xe9", r"is not UTF-8: byte 0xE9 at 3"),
        (b"PK\x03\x04\x00\x00", "looks binary: it contains a zero byte at 4"),
        (b"\xff\xfea", "is not UTF-16"),
    ],
)
def test_other_bytes_are_refused_with_the_place(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(FileUnreadable, match=reason):
        read_document(write(tmp_path / "a.txt", data), REF)


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileUnreadable, match="no regular file"):
        read_document(tmp_path / "pipe", REF)
    with pytest.raises(FileUnreadable, match="no regular file"):
        read_document(tmp_path, REF)
    with pytest.raises(FileUnreadable, match="No such file"):
        read_document(tmp_path / "gone.md", REF)


def test_a_document_knows_its_kind_and_where_it_came_from(tmp_path: Path) -> None:
    plain = read_document(write(tmp_path / "loops.txt"), REF, metadata={"lang": "en"})
    assert (plain.media_type, plain.title) == ("text/plain", "loops")
    assert plain.metadata == {"lang": "en", "path": (tmp_path / "loops.txt").as_posix()}
    assert read_document(write(tmp_path / "loops.MD"), REF).media_type == "text/markdown"
