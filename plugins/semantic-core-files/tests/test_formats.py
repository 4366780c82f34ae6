"""Every format has a reader, and every file at most one format."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from making import SAMPLES
from semantic_core_files.formats import BY_NAME, CODE, FORMATS, format_of, keys, read_here
from semantic_core_files.parts import FileSource

README = Path(__file__).parents[1] / "README.md"


def test_no_suffix_and_no_media_type_has_two_readers() -> None:
    listed = [key for found in FORMATS for key in (*found.suffixes, *found.media_types)]
    assert len(listed) == len(set(listed)) == len(keys())
    assert all(key == key.lower() for key in listed)


def test_every_reader_exists_and_every_format_has_a_sample() -> None:
    for found in FORMATS:
        module, _, function = found.reader.partition(":")
        assert callable(getattr(import_module(f"semantic_core_files.{module}"), function))
    read = {format_of(f".{name.rpartition('.')[2]}", "") for name in SAMPLES}
    assert read == set(BY_NAME)


def test_a_suffix_counts_more_than_a_media_type() -> None:
    assert format_of(".CSV", "application/pdf") == "csv"
    assert format_of(".xyz", "Application/PDF") == "pdf"
    assert format_of("", "text/plain") is None


@pytest.mark.parametrize("name", SAMPLES)
def test_reading_here_and_in_a_process_give_the_same(name: str, read: object) -> None:
    data, _ = SAMPLES[name]
    found = read_here(format_of(f".{name.rpartition('.')[2]}", "") or CODE, FileSource(data, name))
    documents = read(name, data)  # type: ignore[operator]
    assert [part.text for part in found] == [document.text for document in documents]
    assert [part.title for part in found] == [document.title for document in documents]


def test_the_readme_lists_every_suffix() -> None:
    shown = set(re.findall(r"`(\.\w+)`", README.read_text("utf-8")))
    assert {suffix for found in FORMATS for suffix in found.suffixes} <= shown
