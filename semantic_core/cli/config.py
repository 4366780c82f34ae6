"""``semantic-core config``: the settings in force, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from semantic_core.cli._group import Group
from semantic_core.cli._options import common, json_option
from semantic_core.cli._output import fitted, render, table_width, visible, write, write_json

HIDDEN = "(hidden)"
_UNSET = {
    "path": "(the store's own)",
    "multi_tenant": "(as the index was made)",
    "max_chars": "(the embedder's own)",
    "plugins": "(all that are installed)",
}
_SECRET_WORDS = ("key", "token", "secret", "password", "credential")
_USER_OF_ADDRESS = re.compile(r"(?<=://)[^/?#\s]*(?=@)")
_PARAMETER = re.compile(r"(?<=[?&;])([^=?&;\s]+)=[^?&;#\s]+")
_LONGEST_SHOWN = 1_000
"""Characters of a value in the table."""


@click.group(cls=Group)
def config() -> None:
    """The settings in force, and where they come from."""


@config.command()
@common
def show(as_json: bool, db: str | None) -> None:
    """Each setting, its value, and where it was set.

    What looks like a secret is not shown, nor what stands before the @ of an address.
    """
    from semantic_core._config import read_config

    settings = read_config(overrides={"path": db}, to_look_at=True)
    unconfirmed = [one.setting for one in settings.unconfirmed]
    rows = [(key, _safe(value), source) for key, value, source in settings.items()]
    if as_json:
        told = {key: {"value": value, "source": source} for key, value, source in rows}
        file = str(settings.file) if settings.file else None
        write_json({"file": file, "settings": told, "unconfirmed": unconfirmed})
        return
    write(_table(rows))
    if settings.file is None:
        write(fitted("No settings file in this folder or above it; semantic-core init writes one."))
    if unconfirmed:
        write(
            fitted(
                "Refused until you confirm the file with semantic-core config trust: "
                f"{visible(', '.join(unconfirmed))}."
            )
        )


@config.command()
@click.argument("path", required=False)
@json_option
def trust(path: str | None, as_json: bool) -> None:
    """Confirm the hosts a settings file sends texts to.

    Keys, too, are sent there from then on. PATH: the file; without it, the one in this folder or
    above it. What is confirmed is the file as it is now: when it says something else, it has
    to be confirmed again.
    """
    from semantic_core import _trust
    from semantic_core._config import find_file, read_file
    from semantic_core.errors import ConfigError

    file = Path(path) if path else find_file(Path.cwd())
    if file is None:
        raise ConfigError(
            "No settings file in this folder or above it.",
            hint="Name it: semantic-core config trust PATH.",
        )
    content = read_file(file)
    _trust.trust(file, content)
    hosts = {one.setting: one.host for one in _trust.named_hosts(content)}
    if as_json:
        write_json({"trusted": str(file.resolve()), "hosts": hosts})
        return
    write(f"Trusted as it is now: {visible(file.resolve())}")
    for setting, host in hosts.items():
        write(f"{visible(setting)} leads to {visible(host)}")


def _safe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(str(key)) else _safe(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_safe(item) for item in value]
    return _without_secrets(value) if isinstance(value, str) else value


def _without_secrets(text: str) -> str:
    """Addresses in it without the name and password before their host,
    and without parameters that are named like a secret.
    """
    return _PARAMETER.sub(
        lambda found: f"{found[1]}={HIDDEN}" if _is_secret(found[1]) else found[0],
        _USER_OF_ADDRESS.sub(HIDDEN, text),
    )


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRET_WORDS)


def _shown(key: str, value: Any) -> str:
    if value is None:
        return _UNSET.get(key, "(unset)")
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
