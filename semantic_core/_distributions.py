"""What the installed distributions say of themselves: their versions,
and what they need and do not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib_metadata import IDistribution as Distribution

FAMILY = "semantic-core"
"""What the names of our distributions begin with."""
KERNEL = f"{FAMILY}-kernel"
"""Name of the kernel's distribution. What it brings is called otherwise: the package
``semantic_core`` and the command ``semantic-core``.
"""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*\(?([^();]*)\)?\s*$")
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)([0-9]+(?:\.[0-9]+)*)$")


def told(distribution: Distribution, field: str) -> str:
    """A field of a distribution's metadata, "" if it cannot be had.

    As text: importing a parser for it takes 20 ms.
    """
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except Exception:  # noqa: BLE001 - damaged metadata; then it is unknown
        return ""
    match = re.search(
        rf"^{field}:[ \t]*(\S+)",
        re.split(r"\r?\n\r?\n", text, maxsplit=1)[0],
        re.MULTILINE | re.IGNORECASE,
    )
    return match[1] if match else ""


def version_of(name: str) -> str:
    """The version of a distribution, "" if it is not installed."""
    from importlib_metadata import PackageNotFoundError, distribution

    try:
        return told(distribution(name), "Version")
    except (PackageNotFoundError, ValueError):
        return ""


def unmet(name: str) -> Iterator[tuple[str, str]]:
    """(requirement, what is wrong with it) of what a distribution needs and does not have.

    Plain version numbers are compared; requirements with a marker and clauses of another form are
    taken as met.
    """
    from importlib_metadata import distribution

    try:
        requirements = distribution(name).requires or ()
    except Exception:  # noqa: BLE001 - unknown or damaged; then nothing is known of what it needs
        requirements = ()
    for line in requirements:
        match = _REQUIREMENT.match(line)
        if match is None:
            continue
        name, clauses = match[1], match[2].replace(" ", "")
        there = version_of(name)
        if not there:
            yield name + clauses, f"{name} is not installed"
        elif not all(_holds(there, clause) for clause in clauses.split(",") if clause):
            yield name + clauses, f"it needs {name}{clauses}, and {there} is installed"


def _holds(version: str, clause: str) -> bool:
    match, release = _CLAUSE.match(clause), re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    if match is None or release is None:
        return True
    have, want = ([int(number) for number in text.split(".")] for text in (release[0], match[2]))
    length = max(len(have), len(want))
    have, want = have + [0] * (length - len(have)), want + [0] * (length - len(want))
    return {
        ">=": have >= want,
        "<=": have <= want,
        "==": have == want,
        "!=": have != want,
        ">": have > want,
        "<": have < want,
    }[match[1]]
