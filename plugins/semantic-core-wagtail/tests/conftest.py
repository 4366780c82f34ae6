"""Where the tests' own modules are, and what they share with those of the repository."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, HERE.parents[2] / "tests" / "house"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
