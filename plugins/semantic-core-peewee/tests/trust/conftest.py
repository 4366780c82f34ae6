"""The trust tests share plain modules of this folder (`figures`, ...), which processes of their own import as well."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)
if FOLDER not in sys.path:
    sys.path.insert(0, FOLDER)
