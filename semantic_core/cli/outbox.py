"""``semantic-core outbox``: changes that wait to be worked off, and those that were given up."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._app import (
    adapters_of,
    application,
    index_option,
    of_app,
    tell_of_memory,
)
from semantic_core.cli._group import GAP, Group
from semantic_core.cli._options import consent_option
from semantic_core.cli._output import counted, note, render, table_width, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.orm import AbortedChange, BaseORMAdapter, IndexStatus
    from semantic_core.orm.leftovers import Leftover

_SHOWN = 20
"""Aborted changes that are listed."""


@click.group(cls=Group)
def outbox() -> None:
    """Changes of models that wait to be worked off, and those that were given up."""


@outbox.command()
@index_option
@of_app
@click.pass_context
def status(
    context: click.Context, indexes: tuple[str, ...], app: str | None, as_json: bool
) -> None:
    """How far each index is behind its table.

    Exit code 1 if a change was given up, a trigger is missing, or something is left of an index
    that nobody declares.
    """
    from semantic_core.orm.databases import adapters_in, databases_of, kept_in_memory
    from semantic_core.orm.leftovers import leftovers

    with application(app) as core:
        adapters = adapters_of(core, indexes, needed=False)
        states = [adapter.status() for adapter in adapters]
        aborted = _aborted(adapters)
        left = [] if indexes else [each for one in databases_of(core) for each in leftovers(one)]
        fed = {*adapters_in(core), *(each.collection for each in left)}
        in_memory = kept_in_memory(core)
        others = {
            name: count
            for name, count in core.stats(all_tenants=True).collections.items()
            if name not in fed
        }
        place = getattr(core.store, "path", None)
        if states and all(state.collection in in_memory for state in states):
            place = None
            others = {}  # what lies there is another database's
        if not as_json:
            tell_of_memory(core, adapters)
    if as_json:
        import attrs

        answer = {"indexes": states, "aborted": aborted, "left": left}
        write_json(
            {name: [attrs.asdict(each) for each in found] for name, found in answer.items()}  # type: ignore[attr-defined]
            | {
                "fed_by_no_model": {} if indexes else others,
                "path": None if place is None else str(place),
                "in_memory": in_memory,
            }
        )
    else:
        write(_table(states) if states else "No model of this application has an index.")
        if place is not None:
            note(f"The index lies in {visible(place)}.")
        for state in states:
            if state.comparing:
                note(
                    f"{visible(state.collection)}: {visible(state.comparing)}; semantic-core "
                    "worker --once does so now."
                )
            if state.last_error:
                note(f"{visible(state.collection)}: {visible(state.last_error)}")
            if not state.capturing:
                note(
                    f"{visible(state.collection)}: its triggers are missing; call "
                    "init_database(...) again."
                )
        for each in aborted[:_SHOWN]:
            which = visible(f"{each.collection}/{each.key}")
            why = visible(each.error)
            note(f"given up: {which} after {counted(each.attempts, 'attempt')}: {why}")
        if aborted:
            note(
                "Once the cause is mended: semantic-core outbox retry. To forget them: "
                "semantic-core outbox drop."
            )
        for leftover in left:
            note(_left(leftover, app))
        if others and not indexes:
            listed = ", ".join(
                f"{visible(name)} ({counted(count, 'document')})"
                for name, count in sorted(others.items())
            )
            note(f"In the index, and fed by no model here: {listed}.")
    if aborted or left or not all(state.capturing for state in states):
        context.exit(GAP)


@outbox.command()
@index_option
@of_app
def retry(indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """Let changes that were given up be tried again."""
    _each(
        app,
        indexes,
        as_json,
        "retried",
        lambda adapter, name: adapter.coordinator.outbox.retry(collections={name}),
    )


@outbox.command()
@index_option
@of_app
@consent_option("Forget the changes that were given up? Their rows stay as the index has them.")
def drop(indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """Forget changes that were given up. Their rows stay in the index as they are;
    `verify` finds what differs.
    """
    _each(
        app,
        indexes,
        as_json,
        "dropped",
        lambda adapter, name: adapter.coordinator.outbox.drop(collections={name}),
    )


@outbox.command()
@click.argument("collection")
@click.option("--keep-documents", is_flag=True, help="Leave its documents in the index.")
@of_app
@consent_option("Remove its triggers, pending changes and documents? The rows stay.")
@click.pass_context
def forget(
    context: click.Context, collection: str, keep_documents: bool, app: str | None, as_json: bool
) -> None:
    """Remove what is left of an index that no model declares any more: triggers, pending changes,
    state, documents.

    COLLECTION: as `status` shows it. Exit code 1 if there is nothing of that name.
    """
    from semantic_core.errors import ConfigError
    from semantic_core.orm.databases import databases_of
    from semantic_core.orm.leftovers import Forgotten, declared_for
    from semantic_core.orm.leftovers import forget as forget_in

    with application(app) as core:
        databases = databases_of(core)
        if any(collection in declared_for(each) for each in databases):
            raise ConfigError(
                f"{collection} is declared by a model of this application.",
                hint="Take the index out of the model first; or call uninstall() of it.",
            )
        done = [forget_in(each, collection, documents=not keep_documents) for each in databases]
    total = Forgotten(
        triggers=sum(each.triggers for each in done),
        pending=sum(each.pending for each in done),
        documents=sum(each.documents for each in done),
        documents_left=max((each.documents_left for each in done), default=0),
    )
    if as_json:
        import attrs

        write_json(attrs.asdict(total))
    else:
        write(
            f"Removed {counted(total.triggers, 'trigger')}, "
            f"{counted(total.pending, 'pending change')} and "
            f"{counted(total.documents, 'document')} of {visible(collection)}."
        )
        if total.documents_left:
            note(
                f"{counted(total.documents_left, 'document')} of tenants are left: "
                "core.tenant(name).remove(...)."
            )
    if not (total.triggers or total.pending or total.documents or total.documents_left):
        context.exit(GAP)


@outbox.command("remove-triggers")
@of_app
def remove_all_triggers(app: str | None, as_json: bool) -> None:
    """Take all triggers of search indexes away, for a migration by another program.

    Changes are not noted until the application binds its indexes again (init_database); it then
    puts the triggers back and looks at every row. Until then every answer says so, in processes
    that are running, too.
    """
    from semantic_core.orm.databases import databases_of
    from semantic_core.orm.migrations import remove_triggers
    from semantic_core.orm.outbox import TRIGGERS

    names: list[str] = []
    with application(app) as core:
        for each in databases_of(core):
            if each.outbox.exists():
                each.outbox.drop_state(TRIGGERS)  # so that nobody puts them back meanwhile
            names += remove_triggers(each.execute, each.dialect)
    if as_json:
        write_json({"removed": names})
    else:
        write(
            f"Removed {counted(len(names), 'trigger')}. The next init_database(...) puts them "
            "back; processes that are running say in each answer that changes go unseen."
        )


def _left(leftover: Leftover, app: str | None) -> str:
    where = f" on {visible(leftover.table)}" if leftover.table else ""
    if leftover.table and not leftover.table_there:
        where += ", which is gone"
    return (
        f"left of {visible(leftover.collection)}, which no index declares: "
        f"{counted(leftover.triggers, 'trigger')}{where}, "
        f"{counted(leftover.pending, 'pending change')}, "
        f"{counted(leftover.documents, 'document')}. To remove them: semantic-core outbox forget "
        f"{visible(leftover.collection)} --app {visible(app or '')}"
    )


def _each(
    app: str | None,
    indexes: tuple[str, ...],
    as_json: bool,
    done: str,
    change: Callable[[BaseORMAdapter, str], int],
) -> None:
    with application(app) as core:
        count = sum(
            change(adapter, adapter.declaration.collection)
            for adapter in adapters_of(core, indexes)
        )
    if as_json:
        write_json({done: count})
    else:
        write(f"{done.capitalize()} {counted(count, 'change')}.")


def _aborted(adapters: list[BaseORMAdapter]) -> list[AbortedChange]:
    return [
        ticket
        for adapter in adapters
        for ticket in adapter.coordinator.outbox.aborted({adapter.declaration.collection})
    ]


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
        table.add_row(
            *map(Text, [*cells, *(f"{number:,}" for number in numbers), _age(state.oldest)])
        )
    return render(table, width=table_width())


def _age(since: float | None) -> str:
    if since is None:
        return "-"
    seconds = max(0.0, time() - since)
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < size * 90:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
