"""A database of its own for each test, on every engine the ORM part speaks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import databases
import pytest

ENGINES = ("sqlite3", "postgresql", "mysql")


OpenDatabase = Callable[[str], Any]
"""Gives a new database of a kind; skips the test with the reason where there is none,
but never in CI.
"""


@contextmanager
def _opening(folder: Path) -> Iterator[OpenDatabase]:
    with ExitStack() as stack:

        def open_one(kind: str) -> Any:
            databases.need(kind)
            return stack.enter_context(databases.new_database(kind, folder))

        yield open_one


@pytest.fixture
def open_database(tmp_path: Path) -> Iterator[OpenDatabase]:
    """``open_database(kind)``: a database for this test."""
    with _opening(tmp_path) as open_one:
        yield open_one


@pytest.fixture(scope="session")
def keep_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDatabase]:
    """``keep_database(kind)``: a database for all tests of a process,
    which leave it as they found it.
    """
    with _opening(tmp_path_factory.mktemp("kept")) as open_one:
        yield open_one


@pytest.fixture(params=databases.KINDS)
def database(request: pytest.FixtureRequest, open_database: OpenDatabase) -> Any:
    """A new database of every kind in turn."""
    return open_database(request.param)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, open_database: OpenDatabase) -> Any:
    """A new database of every dialect in turn,
    where it does not matter which library talks to SQLite.
    """
    return open_database(request.param)
