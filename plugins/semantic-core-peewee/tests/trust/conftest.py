"""The trust tests share plain modules of this folder (`figures`, ...),
which processes of their own import as well.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

FOLDER = str(Path(__file__).parent)
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long goes first: a worker left with it in the end keeps the others waiting."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
