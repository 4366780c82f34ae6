"""Fixtures: files for the tests, and reading them as the plugin does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from semantic_core_files import semantic_readers

from semantic_core import Document
from semantic_core.types import FileContent, Ref

FOLDER = str(Path(__file__).resolve().parent)
if FOLDER not in sys.path:  # the tests share helpers; importlib mode puts no folder on the path
    sys.path.insert(0, FOLDER)

Read = Callable[..., list[Document]]


@pytest.fixture(scope="session")
def read() -> Read:
    """Reads bytes as a file of that name."""
    readers = semantic_readers()

    def reading(name: str, data: bytes, *, media_type: str = "") -> list[Document]:
        suffix = f".{name.rpartition('.')[2].lower()}"
        file = FileContent(data, name, Ref("files", name), media_type)
        return list(readers[suffix](file))

    return reading
