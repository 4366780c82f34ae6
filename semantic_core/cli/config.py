"""``semantic-core config``: show the settings, and confirm settings files that name hosts.

Tested by tests/cli/test_setup.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from semantic_core.cli._group import GAP, Group
from semantic_core.cli._options import common, json_option
from semantic_core.cli._output import fitted, render, table_width, visible, write, write_json


@click.group(cls=Group)
def config() -> None:
    """Show the settings, or confirm a settings file."""


@config.command()
@common
def show(as_json: bool, db: str | None) -> None:
    """Show every setting, its value, and where it was set.

    Values that look like secrets are hidden, and so is the user part of a URL, before the @.
    """
    from semantic_core._config import PLUGIN_OPTIONS, read_config
    from semantic_core._validation import without_secrets

    settings = read_config(overrides={"path": db}, to_look_at=True)
    unconfirmed = [one.setting for one in settings.unconfirmed]
    rows = []
    shown = {}
    for key, secret_value, source in settings.items():
        if key == PLUGIN_OPTIONS:  # the name of a plugin is no secret, whatever its words
            value: Any = {}
            for plugin, options in secret_value.items():
                value[plugin] = without_secrets(options)
        else:
            value = without_secrets(secret_value)
        rows.append((key, value, source))
        shown[key] = {"value": value, "source": source}
    if as_json:
        file = str(settings.file) if settings.file else None
        write_json({"file": file, "settings": shown, "unconfirmed": unconfirmed})
        return
    write(_table(rows))
    if settings.file is None:
        write(fitted("No settings file in this folder or above it; semantic-core init writes one."))
    if unconfirmed:
        names = visible(", ".join(unconfirmed))
        write(
            fitted(
                "These settings name a host and are refused until you confirm the file with "
                f"semantic-core config trust: {names}."
            )
        )


@config.command(short_help="Confirm the hosts in a settings file.")
@click.argument("path", required=False)
@json_option
def trust(path: str | None, as_json: bool) -> None:
    """Confirm the hosts in a settings file, which texts and keys are sent to.

    PATH is the settings file; without it, the one in this folder or above it. Only its present
    content is confirmed: after a change it has to be confirmed again.
    """
    from semantic_core import _trust
    from semantic_core._config import read_file

    file = _settings_file(path, "trust")
    content = read_file(file)
    _trust.trust(file, content)
    named_hosts = _trust.named_hosts(content)
    hosts = {named.setting: named.host for named in named_hosts}
    if as_json:
        write_json({"trusted": str(file.resolve()), "hosts": hosts})
        return
    write(f"Confirmed with its present content: {visible(file.resolve())}")
    for named in named_hosts:
        verb = "reads the key in" if named.is_variable else "sends to"
        write(f"{visible(named.setting)} {verb} {visible(named.host)}")


@config.command()
@click.argument("path", required=False)
@json_option
@click.pass_context
def untrust(context: click.Context, path: str | None, as_json: bool) -> None:
    """Withdraw the confirmation of a settings file.

    PATH is the settings file, which need not exist any more; without it, the one in this folder
    or above it. Exit code 1 if it was not confirmed.
    """
    from semantic_core import _trust

    file = _settings_file(path, "untrust")
    removed = _trust.untrust(file)
    if as_json:
        write_json({"untrusted": str(file.resolve()), "removed": removed})
    elif removed:
        write(f"No longer confirmed: {visible(file.resolve())}")
    else:
        write(f"It was not confirmed: {visible(file.resolve())}")
    if not removed:
        context.exit(GAP)


def _settings_file(path: str | None, command: str) -> Path:
    """The file at this path, else the settings file in this folder or above it.

    Raises ConfigError if there is none.
    """
    from semantic_core._config import find_file
    from semantic_core.errors import ConfigError

    file = Path(path) if path else find_file(Path.cwd())
    if file is None:
        raise ConfigError(
            "No settings file in this folder or above it.",
            hint=f"Name it: semantic-core config {command} PATH.",
        )
    return file


_UNSET = {
    "path": "(the store's default)",
    "multi_tenant": "(as the index was created)",
    "max_chars": "(the embedder's default)",
    "plugins": "(all that are installed)",
    "ledger": "(in the store, or beside it)",
}
"""What is shown for settings that are not set."""
_LONGEST_SHOWN = 1_000
"""Most characters of a value in the table."""


def _shown(key: str, value: Any) -> str:
    """The value of a setting as text."""
    if value is None:
        return _UNSET.get(key, "(unset)")
    if key == "plugin_options":
        value = {
            f"{plugin}.{name}": item
            for plugin, options in value.items()
            for name, item in options.items()
        }
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_shown(name, item)}" for name, item in value.items()) or "(none)"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _table(rows: list[tuple[str, Any, str]]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold")
    table.add_column("from", overflow="fold")
    for key, value, source in rows:
        shown = _shown(key, value)
        if len(shown) > _LONGEST_SHOWN:
            shown = f"{shown[: _LONGEST_SHOWN - 1]}…"
        table.add_row(Text(key), Text(visible(shown)), Text(visible(source)))
    return render(table, width=table_width())
