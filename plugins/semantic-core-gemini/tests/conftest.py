"""Fixtures: the fake Gemini service, a clock that tests control, and a new interpreter for tests of
what is imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = str(Path(__file__).resolve().parent)
if FOLDER not in sys.path:  # the tests share helpers; importlib mode puts no folder on the path
    sys.path.insert(0, FOLDER)

from fake_gemini import FakeGemini  # noqa: E402

from semantic_core.testing import TurningClock  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--live", action="store_true", help="run what talks to the real service, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is live needs --live and a key; without either it is skipped with the reason."""
    live = config.getoption("--live", default=False)
    reason = (
        "needs --live (make live-gemini)"
        if not live
        else ""
        if os.environ.get("GEMINI_API_KEY")
        else "no GEMINI_API_KEY"
    )
    for item in items:
        if reason and "live" in item.keywords:
            item.add_marker(pytest.mark.skip(reason=reason))


VARIABLES = (
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "GEMINI_BATCH_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_API_VERSION",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No key of the person who runs the tests is used by accident."""
    if "live" not in request.keywords:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as service:
        yield service


@pytest.fixture
def turning() -> TurningClock:
    return TurningClock()


@pytest.fixture
def run_python(tmp_path: Path) -> Callable[..., Any]:
    """Runs code in a process of its own, as a user's would be;
    what it prints as JSON comes back.
    """

    def run(code: str, *, environment: dict[str, str] | None = None) -> Any:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**os.environ, "PYTHONPATH": path, **(environment or {})},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return json.loads(done.stdout)

    return run
