"""The commands that mend what is missing, as far as the names of our own plugins and the metadata
of others tell.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from semantic_core._distributions import FAMILY, KERNEL, unmet
from semantic_core._found import PluginInfo

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
