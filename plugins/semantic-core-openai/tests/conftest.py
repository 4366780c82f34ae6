"""Fixtures: the fake service, and a clock that tests control."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from semantic_core.testing import FakeEmbeddings, TurningClock

FOLDER = str(Path(__file__).resolve().parent)
if FOLDER not in sys.path:  # the tests share helpers; importlib mode puts no folder on the path
    sys.path.insert(0, FOLDER)

VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_BATCH_KEY", "MISTRAL_API_KEY")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of the person who runs the tests is used by accident."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def service() -> Iterator[FakeEmbeddings]:
    with FakeEmbeddings() as fake:
        yield fake


@pytest.fixture
def turning() -> TurningClock:
    return TurningClock()
