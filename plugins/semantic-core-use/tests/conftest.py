"""Fixtures: one embedder for all tests of this folder, and a new interpreter for tests of what is
imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDER = str(Path(__file__).resolve().parent)
if FOLDER not in sys.path:  # the tests share helpers; importlib mode puts no folder on the path
    sys.path.insert(0, FOLDER)

from semantic_core_use import UseEmbedder, open_use  # noqa: E402


@pytest.fixture(scope="session")
def embedder() -> UseEmbedder:
    return open_use()


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
