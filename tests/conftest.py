"""Tests share the plain modules of these folders; importlib mode puts no folder on the path."""

import sys
from pathlib import Path

for name in ("orm", "house", "contracts", "cli"):
    folder = str(Path(__file__).parent / name)
    if folder not in sys.path:
        sys.path.insert(0, folder)
