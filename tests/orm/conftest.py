"""A database of its own for each test, on every engine the ORM part speaks to."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


def _load(name: str) -> ModuleType:
    """A module beside this file."""
    spec = importlib.util.spec_from_file_location(
        f"orm_tests_{name}", Path(__file__).with_name(f"{name}.py")
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


databases = _load("databases")
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
