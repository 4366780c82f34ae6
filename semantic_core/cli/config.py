"""``semantic-core config``: the settings in force, and where each comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from semantic_core.cli._group import Group
from semantic_core.cli._options import common
from semantic_core.cli._output import fitted, render, table_width, visible, write, write_json

HIDDEN = "(hidden)"
_UNSET = {
    "path": "(the store's own)",
    "multi_tenant": "(as the index was made)",
    "max_chars": "(the embedder's own)",
    "plugins": "(all that are installed)",
}
_SECRET_WORDS = ("key", "token", "secret", "password", "credential")


@click.group(cls=Group)
def config() -> None:
    """The settings in force, and where they come from."""


@config.command()
@common
def show(as_json: bool, db: str | None) -> None:
    """Each setting, its value, and where it was set. What looks like a secret is not shown."""
    from semantic_core._config import read_config

    settings = read_config(overrides={"path": db})
    rows = [(key, _safe(value), source) for key, value, source in settings.items()]
    if as_json:
        told = {key: {"value": value, "source": source} for key, value, source in rows}
        write_json({"file": str(settings.file) if settings.file else None, "settings": told})
        return
    write(_table(rows))
    if settings.file is None:
        write(fitted("No settings file in this folder or above it; semantic-core init writes one."))


def _safe(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(str(key)) else _safe(item) for key, item in value.items()}
    return value


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
        table.add_row(Text(key), Text(visible(_shown(key, value))), Text(visible(source)))
    return render(table, width=table_width())
