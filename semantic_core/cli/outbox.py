"""``semantic-core outbox``: changes that wait to be worked off, and those that were given up."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._app import adapters_of, application, index_option, of_app
from semantic_core.cli._group import GAP, Group
from semantic_core.cli._output import counted, note, render, table_width, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.orm import AbortedTicket, BaseORMAdapter, IndexStatus

_SHOWN = 20
"""Aborted changes that are listed."""


@click.group(cls=Group)
def outbox() -> None:
    """Changes of models that wait to be worked off, and those that were given up."""


@outbox.command()
@index_option
@of_app
@click.pass_context
def status(context: click.Context, indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """How far each index is behind its table. Exit code 1 if a change was given up, or a trigger is missing."""
    with application(app) as core:
        adapters = adapters_of(core, indexes)
        states = [adapter.status() for adapter in adapters]
        aborted = _aborted(adapters)
        place = getattr(core.store, "path", None)
    if as_json:
        import attrs

        write_json(
            {
                "path": None if place is None else str(place),
                "indexes": [attrs.asdict(each) for each in states],
                "aborted": [attrs.asdict(each) for each in aborted],
            }
        )
    else:
        write(_table(states))
        if place is not None:
            note(f"The index lies in {visible(place)}.")
        for state in states:
            if state.last_error:
                note(f"{visible(state.collection)}: {visible(state.last_error)}")
            if not state.capturing:
                note(f"{visible(state.collection)}: its triggers are missing; call init_database(...) again.")
        for each in aborted[:_SHOWN]:
            which, why = visible(f"{each.collection}/{each.key}"), visible(each.error)
            note(f"given up: {which} after {counted(each.attempts, 'attempt')}: {why}")
        if aborted:
            note("Once the cause is mended: semantic-core outbox retry. To forget them: semantic-core outbox drop.")
    if aborted or not all(state.capturing for state in states):
        context.exit(GAP)


@outbox.command()
@index_option
@of_app
def retry(indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """Let changes that were given up be tried again."""
    _each(app, indexes, as_json, "retried", lambda adapter, name: adapter.hub.outbox.retry(collections={name}))


@outbox.command()
@index_option
@of_app
@click.confirmation_option("--yes", prompt="Forget the changes that were given up? Their rows stay as the index has them.")
def drop(indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """Forget changes that were given up. Their rows stay in the index as they are; `verify` finds what differs."""
    _each(app, indexes, as_json, "dropped", lambda adapter, name: adapter.hub.outbox.drop(collections={name}))


def _each(
    app: str | None, indexes: tuple[str, ...], as_json: bool, done: str, change: Callable[[BaseORMAdapter, str], int]
) -> None:
    with application(app) as core:
        count = sum(change(adapter, adapter.declaration.collection) for adapter in adapters_of(core, indexes))
    if as_json:
        write_json({done: count})
    else:
        write(f"{done.capitalize()} {counted(count, 'change')}.")


def _aborted(adapters: list[BaseORMAdapter]) -> list[AbortedTicket]:
    return [ticket for adapter in adapters for ticket in adapter.hub.outbox.aborted({adapter.declaration.collection})]


def _table(states: list[IndexStatus]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("index", overflow="fold")
    for name in ("model", "capture", "sync"):
        table.add_column(name, no_wrap=True)
    for name in ("waiting", "backfill", "taken", "given up", "oldest"):
        table.add_column(name, justify="right", no_wrap=True)
    for state in states:
        numbers = (state.waiting, state.backfill, state.taken, state.aborted)
        cells: list[Any] = [visible(state.collection), state.model, state.capture, state.sync]
        table.add_row(*map(Text, [*cells, *(f"{number:,}" for number in numbers), _age(state.oldest)]))
    return render(table, width=table_width())


def _age(since: float | None) -> str:
    if since is None:
        return "-"
    seconds = max(0.0, time() - since)
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < size * 90:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
