"""What the installed distributions say of themselves: their versions,
and what they need and do not have.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from semantic_core._plugins.records import PluginInfo

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
        name = match[1]
        clauses = match[2].replace(" ", "")
        there = version_of(name)
        if not there:
            yield name + clauses, f"{name} is not installed"
        elif not all(_holds(there, clause) for clause in clauses.split(",") if clause):
            yield name + clauses, f"it needs {name}{clauses}, and {there} is installed"


def _holds(version: str, clause: str) -> bool:
    match = _CLAUSE.match(clause)
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    if match is None or release is None:
        return True
    have, want = ([int(number) for number in text.split(".")] for text in (release[0], match[2]))
    length = max(len(have), len(want))
    have = have + [0] * (length - len(have))
    want = want + [0] * (length - len(want))
    return {
        ">=": have >= want,
        "<=": have <= want,
        "==": have == want,
        "!=": have != want,
        ">": have > want,
        "<": have < want,
    }[match[1]]


# The commands that mend what is missing, as far as the names of our own plugins and the metadata
# of others tell.

_KNOWN = {
    "sqlite": ("local", "peewee"),
    "peewee": ("local", "peewee"),
    "wordllama": ("local", "wordllama"),
    "markdown": ("local", "markdown"),
    "gemini": ("gemini", "gemini"),
}
"""Extra of the kernel that installs it, and plugin that brings it, by the name people ask for."""


def home_of(name: str) -> str:
    """The distribution of ours a name belongs to; "" for any other name."""
    return f"{FAMILY}-{_KNOWN[name][1]}" if name in _KNOWN else ""


def at_home(info: PluginInfo, name: str) -> bool:
    """Whether a name belongs to the distribution of this plugin."""
    return re.sub(r"[-_.]+", "-", info.distribution).lower() == home_of(name) != ""


def installs(name: str) -> str:
    """The command that installs a plugin or provider of our own by that name; "" for any other."""
    return f'pip install "{KERNEL}[{_KNOWN[name][0]}]"' if name in _KNOWN else ""


def lacking(module: str, distribution: str) -> str:
    """The command for a module that is not there.

    The distribution that needs it knows best what it comes in.
    """
    if requirements := dict(unmet(distribution)):
        return install(requirements)
    top = module.partition(".")[0]
    if getattr(sys.modules.get(top), "__file__", None):
        return f"pip install --upgrade {top}"
    return install([module.replace(".", "-") if top in sys.modules else top])


def install(requirements: Iterable[str]) -> str:
    """The command for these, quoted where a shell would read more into them."""
    return "pip install " + " ".join(
        f'"{name}"' if re.search(r"[<>=!~]", name) else name for name in requirements
    )


def looks_like(info: PluginInfo, provider: str) -> bool:
    """Whether a plugin is probably the one that offers, or would offer, a provider of that name."""
    words = {
        info.name.lower(),
        *re.split(r"[-_.]+", info.distribution.lower().removeprefix(FAMILY)),
    }
    return bool({provider.lower(), _KNOWN.get(provider, ("", ""))[1]} & (words - {""}))
