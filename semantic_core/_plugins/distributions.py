"""What the metadata of installed distributions says, and the commands that install what is missing.

Versions are not compared: ``pip install --upgrade PLUGIN`` also updates dependencies that are too
old for it.

Tested by tests/plugins/test_discovery.py.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from semantic_core._plugins.records import PluginInfo

if TYPE_CHECKING:
    from importlib_metadata import IDistribution as Distribution


FAMILY = "semantic-core"
"""The names of our distributions begin with this."""
KERNEL = f"{FAMILY}-kernel"
"""Name of the kernel's distribution. What it contains has other names: the package
``semantic_core`` and the command ``semantic-core``.
"""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^\]]*\])?\s*\(?([^();]*)\)?\s*$")
"""A requirement without a marker: the name, and the versions that will do."""
_OUR_PLUGINS = {
    "sqlite": ("local", "peewee"),
    "peewee": ("local", "peewee"),
    "wordllama": ("local", "wordllama"),
    "languages": ("local", "languages"),
    "markdown": ("local", "markdown"),
    "gemini": ("gemini", "gemini"),
    "mcp": ("mcp", "mcp"),
    "openai": ("openai", "openai"),
    "audit": ("audit", "audit"),
    "onnx": ("onnx", "onnx"),
    "sentence-transformers": ("onnx", "onnx"),
    "use": ("use", "use"),
    "wagtail": ("wagtail", "wagtail"),
}
"""Extra of the kernel that installs it, and plugin that offers it, by the name users ask for."""
OUR_COMMANDS = ("mcp",)
"""Commands that plugins of ours add, by the name of the plugin."""
_READERS: Mapping[str, str] = {
    "files": (
        ".csv .docm .docx .eml .epub .htm .html .jsonl .mbox .ndjson .ods .pdf .pptm .pptx .tab "
        ".tsv .xhtml .xls .xlsb .xlsm .xlsx "
        ".bash .c .cc .cjs .cpp .cs .cts .cu .cxx .go .h .hh .hpp .hxx .java .js .jsx .kt .kts "
        ".lua .mjs .mts .php .pl .pm .py .pyi .pyw .rake .rb .rs .scala .sh .sql .swift .ts .tsx "
        ".zsh "
        "application/epub+zip application/mbox application/pdf application/vnd.ms-excel "
        "application/vnd.oasis.opendocument.spreadsheet "
        "application/vnd.openxmlformats-officedocument.presentationml.presentation "
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet "
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document "
        "application/xhtml+xml message/rfc822 text/csv text/html text/tab-separated-values"
    )
}
"""The suffixes and media types that a plugin of ours reads, by the end of its distribution's name.
It is for advice only: what an installed plugin reads is what it offers."""


def field_of(distribution: Distribution, field: str) -> str:
    """A field of a distribution's metadata, "" if it cannot be read.

    It is read as text, because importing a parser for it takes 20 ms.
    """
    try:
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    except Exception:  # noqa: BLE001 - the metadata is damaged, so the field is unknown
        return ""
    head = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0]
    match = re.search(rf"^{field}:[ \t]*(\S+)", head, re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


def normalized(name: str) -> str:
    """The name of a distribution as indexes compare it: ``Semantic.Core`` is ``semantic-core``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def version_of(name: str) -> str:
    """The version of a distribution, "" if it is not installed."""
    from importlib_metadata import PackageNotFoundError, distribution

    try:
        return field_of(distribution(name), "Version")
    except (PackageNotFoundError, ValueError):
        return ""


def not_installed(name: str) -> dict[str, str]:
    """The requirements of a distribution that are not installed, by the name of what they require.

    Requirements with a marker are left out: they may not apply here.
    """
    from importlib_metadata import distribution

    try:
        requirements = distribution(name).requires or ()
    except Exception:  # noqa: BLE001 - unknown or damaged, so its requirements are unknown
        return {}
    absent = {}
    for line in requirements:
        match = _REQUIREMENT.match(line)
        if match is not None and not version_of(match[1]):
            absent[match[1]] = match[1] + match[2].replace(" ", "")
    return absent


def home_of(name: str) -> str:
    """Which of our distributions a plugin or provider name belongs to; "" for any other name."""
    return f"{FAMILY}-{_OUR_PLUGINS[name][1]}" if name in _OUR_PLUGINS else ""


def reader_home(name: str) -> str:
    """Which of our distributions reads files of this suffix or media type; "" for any other."""
    for plugin, names in _READERS.items():
        if name in names.split():
            return f"{FAMILY}-{plugin}"
    return ""


def at_home(info: PluginInfo, name: str) -> bool:
    """Whether a name belongs to the distribution of this plugin."""
    home = home_of(name)
    return home != "" and normalized(info.distribution) == home


def installs(name: str) -> str:
    """The command that installs our plugin or provider of that name; "" for any other name."""
    return f'pip install "{KERNEL}[{_OUR_PLUGINS[name][0]}]"' if name in _OUR_PLUGINS else ""


def lacking(module: str, distribution: str) -> str:
    """The command that installs a module which is missing.

    The requirements of the distribution that needs it say best which distribution contains it.
    """
    absent = not_installed(distribution)
    if absent:
        return install(absent.values())
    top = module.partition(".")[0]
    if getattr(sys.modules.get(top), "__file__", None):
        return f"pip install --upgrade {top}"
    return install([module.replace(".", "-") if top in sys.modules else top])


def install(requirements: Iterable[str]) -> str:
    """The pip command for these requirements, quoted where a shell would interpret them."""
    words = ["pip", "install"]
    for requirement in requirements:
        special = re.search(r"[<>=!~]", requirement)
        words.append(f'"{requirement}"' if special else requirement)
    return " ".join(words)


def looks_like(info: PluginInfo, provider: str) -> bool:
    """Whether a plugin is probably the one that offers, or would offer, a provider of that name."""
    rest = info.distribution.lower().removeprefix(FAMILY)
    words = {info.name.lower(), *re.split(r"[-_.]+", rest)}
    words.discard("")
    plugin = _OUR_PLUGINS[provider][1] if provider in _OUR_PLUGINS else ""
    return provider.lower() in words or plugin in words
