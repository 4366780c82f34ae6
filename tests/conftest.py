"""Tests share the plain modules of these folders; importlib mode puts no folder on the path."""

import gc
import os
import sys
from pathlib import Path

for name in ("orm", "house", "contracts", "cli"):
    folder = str(Path(__file__).parent / name)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def pytest_collection_finish() -> None:
    """Thousands of tests stay as long as a worker: no search for garbage looks at them again.
    Hypothesis first asks who refers to what it is given, and would not see what is put aside.
    """
    if os.environ.get("PYTEST_XDIST_WORKER"):
        import hypothesis  # noqa: F401

        gc.collect()
        gc.freeze()
