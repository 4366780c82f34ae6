"""``semantic-core plugins``: list plugins, their options, and how to fix broken ones.

Tested by tests/plugins/test_discovery.py and tests/cli/test_plugged.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from semantic_core._plugins.commands import PROVIDES
from semantic_core.cli._group import REFUSED, Group
from semantic_core.cli._options import common
from semantic_core.cli._output import (
    complain,
    render,
    styled,
    table_width,
    visible,
    write,
    write_json,
)
from semantic_core.cli._plugged import plugins_and_commands

if TYPE_CHECKING:
    from semantic_core._plugins.host import Plugins
    from semantic_core._plugins.records import OptionInfo, PluginInfo

GAP = "  "
"""Space between two columns."""


@click.group(cls=Group)
def plugins() -> None:
    """List plugins and show their options."""


@plugins.command("list", short_help="List every plugin with its status.")
@common
def list_(as_json: bool, db: str | None) -> None:
    """List every plugin with its status, what it provides, and the hooks it implements.

    The exit code is 0 even if plugins are broken: they are listed with the cause and what to do,
    and everything else keeps working.
    """
    infos = plugins_and_commands(db)[1].infos
    if as_json:
        write_json([_fields(info) for info in infos])
        return
    write(_listing(infos))
    for info in infos:
        if info.status != "ok":
            write()
            write("\n".join(_trouble(info)))


@plugins.command(short_help="Show a plugin and its options.")
@click.argument("name")
@common
@click.pass_context
def show(context: click.Context, name: str, as_json: bool, db: str | None) -> None:
    """Show the plugin NAME, and the options of the stores and embedders it provides.

    NAME is the name of the plugin or of its distribution. A broken plugin is shown with the cause
    and what to do. If several plugins have this name, the JSON contains the first. Exit code 2 if
    there is no such plugin.
    """
    loaded, commands = plugins_and_commands(db)
    infos = commands.infos
    chosen = [info for info in infos if info.name == name]
    if not chosen and name:
        chosen = [info for info in infos if info.distribution == name]
    if not chosen:
        message = _unknown(name, infos)
        complain(message)
        if as_json:
            write_json({"error": {"code": "PluginUnknown", "message": message, "hint": ""}})
        context.exit(REFUSED)
    if as_json:
        write_json({**_fields(chosen[0]), "options": _options(loaded, chosen[0])})
        return
    for place, info in enumerate(chosen):
        if place:
            write()
        write("\n".join(_facts(info)))
        for kind, providers in _options(loaded, info).items():
            for provider, options in providers.items():
                write()
                write(f"Options of the {kind} {visible(provider)}:{'' if options else ' none'}")
                if options:
                    write(_option_table(options))
        for command in info.provides.get(PROVIDES, ()):
            write()
            write(f"Command {visible(command)}: {visible(commands.usable[command].help)}")


def _fields(info: PluginInfo) -> dict[str, Any]:
    """A plugin as JSON."""
    return {
        "name": info.name,
        "version": info.version,
        "distribution": info.distribution,
        "api_version": info.api_version,
        "status": info.status,
        "cause": info.cause,
        "remedy": info.remedy,
        "hooks": list(info.hooks),
        "provides": {kind: list(names) for kind, names in info.provides.items()},
        "origin": info.origin,
    }


def _options(loaded: Plugins, info: PluginInfo) -> dict[str, dict[str, list[dict[str, str]]]]:
    """The options of each store and embedder a plugin provides: kind -> provider -> options."""
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for kind in ("store", "embedder"):
        for provider in info.provides.get(kind, ()):
            options = [_option_fields(option) for option in loaded.options_of(kind, provider)]
            found.setdefault(kind, {})[provider] = options
    return found


def _option_fields(option: OptionInfo) -> dict[str, str]:
    return {
        "name": option.name,
        "type": option.type,
        "default": option.default,
        "doc": option.doc,
    }


def _unknown(name: str, infos: Sequence[PluginInfo]) -> str:
    """The message for an unknown plugin, with the one that was probably meant."""
    missing = f"There is no plugin {name!r}"
    for info in infos:
        for kind, provided in info.provides.items():
            if name in provided:
                return f"{missing}; the plugin {info.name!r} provides the {kind} of that name."
    from semantic_core._plugins.distributions import looks_like
    from semantic_core._validation import did_you_mean

    for info in infos:
        if looks_like(info, name):
            return f"{missing}; perhaps the plugin {info.name!r} is meant, which is {info.status}."
    names = sorted({info.name for info in infos})
    advice = did_you_mean(name, names) or f" Plugins: {', '.join(names)}."
    return f"{missing}.{advice}"


HEADINGS = ("NAME", "VERSION", "STATUS", "PROVIDES", "HOOKS", "DISTRIBUTION")
STATUS = HEADINGS.index("STATUS")
"""The column of the status, which is printed in colour."""


def _listing(infos: Sequence[PluginInfo]) -> str:
    """A table if it fits without breaking a word, otherwise a few lines per plugin."""
    rows = [_row(info) for info in infos]
    columns = list(zip(HEADINGS, *rows, strict=True))
    widths = [_longest_word(column) for column in columns]
    spare = table_width() - sum(widths) - len(GAP) * (len(widths) - 1)
    if spare < 0:
        blocks = ["\n".join(_facts(info, trouble=False)) for info in infos]
        return "\n\n".join(blocks)
    for place, column in enumerate(columns):
        more = min(spare, max(map(len, column)) - widths[place])
        widths[place] += more
        spare -= more
    return _table(rows, widths)


def _row(info: PluginInfo) -> list[str]:
    provides = _provides(info.provides)
    return [info.name, info.version, info.status, provides, _hooks(info), info.distribution]


def _longest_word(column: Sequence[str]) -> int:
    """The number of characters of the longest word in any cell."""
    words = " ".join(column).split()
    return max(map(len, words))


_STYLES: Mapping[str, Mapping[str, Any]] = {
    "ok": {"fg": "green"},
    "conflict": {"fg": "yellow"},
    "broken": {"fg": "red"},
    "incompatible": {"fg": "red"},
    "disabled": {"dim": True},
}


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """The table with its headings. widths: columns of each cell.

    It is made without rich, because importing rich takes longer than finding the plugins.
    """
    lines = _table_lines(HEADINGS, widths, range(len(HEADINGS)), {"bold": True})
    for row in rows:
        lines += _table_lines(row, widths, [STATUS], _STYLES.get(row[STATUS], {}))
    return "\n".join(lines)


def _table_lines(
    row: Sequence[str],
    widths: Sequence[int],
    styled_columns: Collection[int],
    style: Mapping[str, Any],
) -> list[str]:
    """The lines of one row, with its cells wrapped to their widths."""
    cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
    lines = []
    for parts in zip_longest(*cells, fillvalue=""):
        padded = []
        for column, part in enumerate(parts):
            text = part.ljust(widths[column])
            if styled() and column in styled_columns:
                text = click.style(text, **style)
            padded.append(text)
        lines.append(GAP.join(padded).rstrip())
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(visible(text), width, break_long_words=False, break_on_hyphens=False)


def _option_table(options: Sequence[Mapping[str, str]]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, len(GAP), 0, len(GAP)), pad_edge=False, header_style="bold")
    for heading in ("name", "type", "default", "description"):
        table.add_column(heading, overflow="fold")
    for option in options:
        cells = (option["name"], option["type"], option["default"], option["doc"])
        table.add_row(*map(Text, map(visible, cells)))
    return render(table, width=table_width())


def _provides(provides: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in provides.items())


def _hooks(info: PluginInfo) -> str:
    return ", ".join(hook.removeprefix("semantic_") for hook in info.hooks)


LABEL = 14
"""Columns for the name of a fact."""


def _facts(info: PluginInfo, *, trouble: bool = True) -> Iterator[str]:
    """Lines about one plugin. trouble: include its origin, and why it is not used."""
    facts = {
        "version": info.version,
        "distribution": info.distribution,
        "origin": info.origin if trouble else "",
        "API version": str(info.api_version or "") if trouble else "",
        "provides": _provides(info.provides),
        "hooks": _hooks(info),
    }
    yield visible(f"{info.name}: {info.status}")
    for name, value in facts.items():
        label = name.ljust(LABEL)
        for line in _wrapped(value, table_width() - LABEL - len(GAP)):
            yield f"{GAP}{label}{line}"
            label = " " * LABEL
    if trouble and info.status != "ok":
        yield from _trouble(info, named=False)


def _trouble(info: PluginInfo, *, named: bool = True) -> Iterator[str]:
    """Two lines: why a plugin is not used, and what to do about it."""
    if named:
        yield visible(f"{info.name} is {info.status}: {info.cause}")
    else:
        yield f"{GAP}{'cause'.ljust(LABEL)}{visible(info.cause)}"
    yield f"{GAP}{'remedy'.ljust(LABEL)}{visible(info.remedy)}"
