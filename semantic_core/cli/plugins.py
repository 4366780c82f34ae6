"""``semantic-core plugins``: what is installed, what it offers, and what mends the broken."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._group import Group
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
from semantic_core.errors import SemanticCoreError

if TYPE_CHECKING:
    from semantic_core._plugins.host import Plugins
    from semantic_core._plugins.records import PluginInfo

NO_SUCH_PLUGIN = 2
"""Exit code for a name nothing is known of."""
HEADINGS = ("NAME", "VERSION", "STATUS", "PROVIDES", "HOOKS", "DISTRIBUTION")
GAP = "  "
LABEL = 14
"""Columns for what a line is about."""
STATUS = HEADINGS.index("STATUS")
_STYLES: Mapping[str, Mapping[str, Any]] = {
    "ok": {"fg": "green"},
    "conflict": {"fg": "yellow"},
    "broken": {"fg": "red"},
    "incompatible": {"fg": "red"},
    "disabled": {"dim": True},
}


@click.group(cls=Group)
def plugins() -> None:
    """What is installed, what it offers, what is broken."""


@plugins.command("list")
@common
def list_(as_json: bool, db: str | None) -> None:
    """Every plugin with its state, and what it takes part in.

    The exit code is 0 even if some are broken: they are listed with the cause and the step that
    mends them, and everything else goes on working.
    """
    infos = _load(db).infos
    if as_json:
        write_json([_fields(info) for info in infos])
        return
    write(_listing(infos))
    for info in infos:
        if info.status != "ok":
            write()
            write("\n".join(_trouble(info)))


@plugins.command()
@click.argument("name")
@common
@click.pass_context
def show(context: click.Context, name: str, as_json: bool, db: str | None) -> None:
    """The plugin NAME, with the options of what it provides.

    NAME is that of the plugin or of its distribution; a broken one is shown with the cause and the
    step that mends it. Where several claim one NAME, JSON holds the first. The exit code is 2 if
    there is no such plugin.
    """
    loaded = _load(db)
    chosen = [info for info in loaded.infos if name == info.name] or [
        info for info in loaded.infos if name and name == info.distribution
    ]
    if not chosen:
        message = _unknown(name, loaded.infos)
        complain(message)
        if as_json:
            write_json({"error": {"code": "PluginUnknown", "message": message, "hint": ""}})
        context.exit(NO_SUCH_PLUGIN)
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


def _load(db: str | None) -> Plugins:
    """The plugins as the settings want them, and those they leave out.

    What one prints on import goes to standard error.
    """
    from semantic_core._config import read_config
    from semantic_core._plugins.discovery import built_in, installed
    from semantic_core._plugins.host import Plugins

    with redirect_stdout(sys.stderr):
        try:
            settings = read_config(overrides={"path": db})
            names = settings.values["plugins"]
            if names is None or settings.sources["plugins"].startswith("environment"):
                return Plugins.load(refuse=False)
            if not names:
                own = built_in()
                return Plugins([*installed((), [one.info.name for one in own]), *own])
            return Plugins.load(names, refuse=False)
        except SemanticCoreError as error:
            complain(error.message, error.hint)
            return Plugins.load(refuse=False)


def _fields(info: PluginInfo) -> dict[str, Any]:
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
    return {
        kind: {
            name: [
                {
                    "name": option.name,
                    "type": option.type,
                    "default": option.default,
                    "doc": option.doc,
                }
                for option in loaded.options_of(kind, name)
            ]
            for name in info.provides.get(kind, ())
        }
        for kind in ("store", "embedder")
        if info.provides.get(kind)
    }


def _unknown(name: str, infos: Sequence[PluginInfo]) -> str:
    """One line: there is no such plugin, and what was probably meant."""
    for info in infos:
        for kind, provided in info.provides.items():
            if name in provided:
                return (
                    f"There is no plugin {name!r}; the plugin {info.name!r} provides that {kind}."
                )
    from semantic_core._plugins.distributions import looks_like
    from semantic_core._validation import did_you_mean

    for info in infos:
        if looks_like(info, name):
            return (
                f"There is no plugin {name!r}; it is probably of the plugin {info.name!r}, which "
                f"is {info.status}."
            )
    names = sorted({info.name for info in infos})
    return f"There is no plugin {name!r}." + (
        did_you_mean(name, names) or f" There are {', '.join(names)}."
    )


def _listing(infos: Sequence[PluginInfo]) -> str:
    """A table where it fits with no word broken, else a few lines per plugin."""
    rows = [
        [
            info.name,
            info.version,
            info.status,
            _provides(info.provides),
            _hooks(info),
            info.distribution,
        ]
        for info in infos
    ]
    columns = list(zip(HEADINGS, *rows, strict=True))
    widths = [max(len(word) for cell in column for word in cell.split()) for column in columns]
    spare = table_width() - sum(widths) - len(GAP) * (len(widths) - 1)
    if spare < 0:
        return "\n\n".join("\n".join(_facts(info, trouble=False)) for info in infos)
    for place, column in enumerate(columns):
        more = min(spare, max(map(len, column)) - widths[place])
        widths[place] += more
        spare -= more
    return _table(rows, widths)


def _table(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """widths: how wide each column is.

    Drawn by hand: importing rich takes longer than finding the plugins.
    """
    lines = []
    for place, row in enumerate([HEADINGS, *rows]):
        style: Mapping[str, Any] = _STYLES.get(row[STATUS], {}) if place else {"bold": True}
        cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            told = [part.ljust(width) for part, width in zip(parts, widths, strict=True)]
            if styled():
                told = [
                    click.style(text, **style) if not place or at == STATUS else text
                    for at, text in enumerate(told)
                ]
            lines.append(GAP.join(told).rstrip())
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(visible(text), width, break_long_words=False, break_on_hyphens=False)


def _option_table(options: Sequence[Mapping[str, str]]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, len(GAP), 0, len(GAP)), pad_edge=False, header_style="bold")
    for heading in ("name", "type", "default", "what it does"):
        table.add_column(heading, overflow="fold")
    for option in options:
        table.add_row(*(Text(visible(option[key])) for key in ("name", "type", "default", "doc")))
    return render(table, width=table_width())


def _provides(provides: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in provides.items())


def _hooks(info: PluginInfo) -> str:
    return ", ".join(hook.removeprefix("semantic_") for hook in info.hooks)


def _facts(info: PluginInfo, *, trouble: bool = True) -> Iterator[str]:
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
        for line in _wrapped(value, table_width() - LABEL - len(GAP)):
            yield f"{GAP}{name.ljust(LABEL)}{line}"
            name = ""
    if trouble and info.status != "ok":
        yield from _trouble(info, named=False)


def _trouble(info: PluginInfo, *, named: bool = True) -> Iterator[str]:
    """Why a plugin is not used, on one line, and what to do about it, on another."""
    if named:
        yield visible(f"{info.name} is {info.status}: {info.cause}")
    else:
        yield f"{GAP}{'cause'.ljust(LABEL)}{visible(info.cause)}"
    yield f"{GAP}{'remedy'.ljust(LABEL)}{visible(info.remedy)}"
