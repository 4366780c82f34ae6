"""Tests share the plain modules of these folders; importlib mode puts no folder on the path."""

import gc
import sys
from pathlib import Path

for name in ("orm", "house", "contracts", "cli"):
    folder = str(Path(__file__).parent / name)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def pytest_collection_finish() -> None:
    """Thousands of tests stay as long as the process: no search for garbage looks at them again."""
    gc.collect()
    gc.freeze()
