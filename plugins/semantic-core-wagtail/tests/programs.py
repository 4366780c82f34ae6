"""Starts a program with Django's settings in a process of its own: one process has one project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MISSING = "wagtail and what modelsearch tests with are not installed: pip install -e '.[dev]'"


def need_wagtail() -> None:
    """Skip a test where Wagtail is missing; not in CI, where everything is there."""
    try:
        import dj_database_url  # noqa: F401
        import modelsearch  # noqa: F401
        import wagtail  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip(MISSING)


def run(folder: Path, project: Path, settings: str, *arguments: str, **variables: str) -> str:
    """What a program prints. It must succeed. folder: where it works; project: its modules."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("DJANGO", "PYTEST", "SEMANTIC_CORE"))
    }
    environment |= {
        "DJANGO_SETTINGS_MODULE": settings,
        "PYTHONPATH": os.pathsep.join([str(project), str(folder)]),
        **variables,
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
