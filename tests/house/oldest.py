"""The oldest versions that the pyprojects allow, one constraint of pip a line:
``make oldest`` installs them.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = [ROOT / "pyproject.toml", *sorted(ROOT.glob("plugins/*/pyproject.toml"))]
NEWEST = {"peers"}
"""Extras of what we are compared with, at its newest."""

_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,]+\])?>=(?P<floor>[\w.]+)(,<[\w.]+)?")


def floors(
    projects: Iterable[Path] = PROJECTS, extras: Iterable[str] | None = None
) -> dict[str, str]:
    """The oldest allowed version of every direct dependency.

    extras: those that count; None for all. Raises ValueError for a dependency without an oldest
    version, and for one with two.
    """
    found: dict[str, str] = {}
    for project in projects:
        for line in _requirements(project, extras):
            if line.startswith("semantic-core"):
                continue
            match = _REQUIREMENT.fullmatch(line)
            if match is None:
                raise ValueError(f"{project}: wanted NAME>=VERSION, got {line!r}.")
            name, floor = match["name"], match["floor"]
            if found.setdefault(name, floor) != floor:
                raise ValueError(f"{project}: {line}, but {name}>={found[name]} elsewhere.")
    return found


def _requirements(project: Path, extras: Iterable[str] | None) -> Iterator[str]:
    about = tomllib.loads(project.read_text("utf-8"))["project"]
    yield from about["dependencies"]
    for extra, wanted in about.get("optional-dependencies", {}).items():
        if extra not in NEWEST and (extras is None or extra in extras):
            yield from wanted


def main() -> None:
    """Print the constraints."""
    sys.stdout.writelines(f"{name}=={floor}\n" for name, floor in sorted(floors().items()))


if __name__ == "__main__":
    main()
