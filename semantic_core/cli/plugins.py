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
from semantic_core._validation import plain_name
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
from semantic_core.cli._plugged import ListedPlugins, listed_plugins
from semantic_core.cli.plugin_new import new
from semantic_core.cli.plugin_test import check_plugin

if TYPE_CHECKING:
    from semantic_core._plugins.probe import Probe
    from semantic_core._plugins.records import OptionInfo, PluginInfo

MOST_NAMES = 6
"""Names of each kind, such as suffixes of files, in the table of all plugins; `show` lists all."""
GAP = "  "
"""Space between two columns."""


@click.group(cls=Group)
def plugins() -> None:
    """List plugins, show their options, write and test new ones."""


@plugins.command("list", short_help="List every plugin with its status.")
@click.option(
    "--isolated",
    is_flag=True,
    help="Import each plugin in a process of its own first, to find one that ends the process.",
)
@common
def list_(isolated: bool, as_json: bool, db: str | None) -> None:
    """List every plugin with its status, what it provides, and the hooks it implements.

    The exit code is 0 even if plugins are broken: they are listed with the cause and what to do,
    and everything else keeps working.
    """
    listed = listed_plugins(db, isolated=isolated)
    infos = listed.commands.infos
    if as_json:
        write_json([{**_fields(info), **_import_of(info, listed.probes)} for info in infos])
        return
    write(_listing(infos))
    for probe in listed.probes:
        for told in peculiarities(probe):
            write(visible(told))
    for info in infos:
        if info.status != "ok":
            write()
            write("\n".join(_trouble(info)))


@plugins.command(short_help="Show a plugin and its options.")
@click.argument("name")
@common
@click.pass_context
def show(context: click.Context, name: str, as_json: bool, db: str | None) -> None:
    """Show the plugin NAME, its options, and those of the stores and embedders it provides.

    Of its own options the value is shown, and where it was set. NAME is the name of the plugin or
    of its distribution. A broken plugin is shown with the cause and what to do. If several plugins
    have this name, the JSON contains the first. Exit code 2 if there is no such plugin.
    """
    listed = listed_plugins(db)
    infos = listed.commands.infos
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
        write_json({**_fields(chosen[0]), "options": _options(listed, chosen[0])})
        return
    for place, info in enumerate(chosen):
        if place:
            write()
        write("\n".join(_facts(info)))
        for kind, providers in _options(listed, info).items():
            for provider, options in providers.items():
                write()
                write(f"Options of the {kind} {visible(provider)}:{'' if options else ' none'}")
                if options:
                    write(_option_table(options))
        for command in info.provides.get(PROVIDES, ()):
            write()
            write(f"Command {visible(command)}: {visible(listed.commands.usable[command].help)}")


plugins.add_command(new)
plugins.add_command(check_plugin)


SLOW = 1.0
"""Seconds from which the import of a plugin is worth a word: every command waits for it."""


def peculiarities(probe: Probe) -> Iterator[str]:
    """What a user should know about the import of a plugin that works: its time, and output."""
    if not probe.cause and probe.seconds >= SLOW:
        yield f"{probe.plugin} takes {probe.seconds:.1f} s to import; every command waits for it"
    if probe.changed:
        names = ", ".join(probe.changed)
        yield f"{probe.plugin} changes semantic-core itself when it is imported: {names}"
    if probe.output:
        yield f"{probe.plugin} prints when it is imported: {probe.output}"


def _import_of(info: PluginInfo, probes: Sequence[Probe]) -> dict[str, Any]:
    """How a plugin was imported in another process, as JSON; {} if it was not."""
    for probe in probes:
        if (probe.plugin, probe.distribution) == (info.name, info.distribution):
            seconds = round(probe.seconds, 3)
            told = {"seconds": seconds, "output": probe.output, "changed": list(probe.changed)}
            return {"import": told}
    return {}


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


def _options(listed: ListedPlugins, info: PluginInfo) -> dict[str, dict[str, list[dict[str, str]]]]:
    """The options of a plugin, and of each store and embedder that it provides: kind -> name ->
    options.
    """
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    if info.options:
        own = [_own_option(option, info.name, listed.sources) for option in info.options]
        found["plugin"] = {info.name: own}
    for kind in ("store", "embedder"):
        for provider in info.provides.get(kind, ()):
            options = listed.plugins.options_of(kind, provider)
            fields = [_option_fields(option) for option in options]
            found.setdefault(kind, {})[provider] = fields
    return found


def _own_option(
    option: OptionInfo, plugin: str, sources: Mapping[tuple[str, str], str]
) -> dict[str, str]:
    """An option of a plugin itself, with its value and where that was set."""
    source = "default"
    for (name, of), place in sources.items():
        if of == option.name and plain_name(name) == plain_name(plugin):
            source = place
    return {**_option_fields(option), "value": option.value or option.default, "from": source}


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
    provides = _provides(info.provides, MOST_NAMES)
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

    fields = [name for name in ("name", "type", "value", "from", "default") if name in options[0]]
    table = Table(box=None, padding=(0, len(GAP), 0, len(GAP)), pad_edge=False, header_style="bold")
    for heading in (*fields, "description"):
        table.add_column(heading, overflow="fold")
    for option in options:
        cells = [*(option[field] for field in fields), option["doc"]]
        table.add_row(*map(Text, map(visible, cells)))
    return render(table, width=table_width())


def _provides(provides: Mapping[str, Sequence[str]], most: int | None = None) -> str:
    """What a plugin provides. most: names of each kind that are listed, None for all."""
    told = []
    for kind, names in provides.items():
        listed = ", ".join(names[:most])
        if most is not None and len(names) > most:
            listed += f" and {len(names) - most:,} more"
        told.append(f"{kind}: {listed}")
    return "; ".join(told)


def _hooks(info: PluginInfo) -> str:
    return ", ".join(hook.removeprefix("semantic_") for hook in info.hooks)


LABEL = 14
"""Columns for the name of a fact."""


def _facts(info: PluginInfo, *, trouble: bool = True) -> Iterator[str]:
    """Lines about one plugin. trouble: include its origin, all names of what it provides, and why
    it is not used.
    """
    facts = {
        "version": info.version,
        "distribution": info.distribution,
        "origin": info.origin if trouble else "",
        "API version": str(info.api_version or "") if trouble else "",
        "provides": _provides(info.provides, None if trouble else MOST_NAMES),
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
