"""What the trust tests measured, one JSON file per name; `benchmarks/reliability.py` merges them into the guarantees."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

Figure = int | float | str | list[str]

SOAK = int(os.environ.get("SEMANTIC_CORE_SOAK") or 1)
"""How many times the small numbers of a plain run; every test that repeats something multiplies by it."""
FOLDER = "TRUST_FIGURES"
"""The environment variable that names another folder for the figures; it does not begin as settings do."""
_ROOT = Path(__file__).resolve().parents[4]


def record(name: str, **figures: Figure) -> None:
    """Keep what a test measured, in place of what it measured before. name: becomes that of the file."""
    folder = Path(os.environ.get(FOLDER) or _ROOT / ".figures")
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, written = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"soak": SOAK, **figures}, file, indent=1, sort_keys=True)
    os.replace(written, folder / f"{name}.json")
