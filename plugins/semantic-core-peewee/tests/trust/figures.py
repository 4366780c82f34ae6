"""What the trust tests measured, one JSON file per name;
`benchmarks/reliability.py` merges them into the guarantees.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

Figure = int | float | str | list[str]

SOAK = int(os.environ.get("SEMANTIC_CORE_SOAK") or 1)
"""How many times the small numbers of a plain run;
every test that repeats something multiplies by it.
"""
FOLDER = "TRUST_FIGURES"
"""The environment variable that names another folder for the figures;
it does not begin as settings do.
"""
MEASURING = SOAK > 1 or bool(os.environ.get(FOLDER))
"""Whether the figures are what the run is for: those of the guarantees, or a soak."""
_ROOT = Path(__file__).resolve().parents[4]


def part(count: int) -> int:
    """How many of so many to try: all of them where the figures are what it is for,
    an eighth in every other run.
    """
    return count * SOAK if MEASURING else count // 8


def record(name: str, **figures: Figure) -> None:
    """Keep what a test measured, in place of what it measured before.
    name: becomes that of the file.
    """
    folder = Path(os.environ.get(FOLDER) or _ROOT / ".figures")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, written = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"soak": SOAK, **figures}, file, indent=1, sort_keys=True)
    os.replace(written, folder / f"{name}.json")
