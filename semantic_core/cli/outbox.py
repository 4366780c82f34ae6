"""``semantic-core outbox``: pending changes of models, and those that were given up.

Tested by tests/cli/test_models.py and tests/orm/test_leftovers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any

import click

from semantic_core.cli._app import (
    adapters_of,
    app_and_json,
    application,
    index_option,
    note_indexes_in_memory,
    require_outbox,
)
from semantic_core.cli._group import GAP, Group
from semantic_core.cli._options import consent_option
from semantic_core.cli._output import counted, note, render, table_width, visible, write, write_json

if TYPE_CHECKING:
    from semantic_core.core import SemanticCore
    from semantic_core.orm import AbortedChange, BaseORMAdapter, IndexStatus
    from semantic_core.orm.leftovers import Leftover

_SHOWN = 20
"""Changes that were given up that are listed; --json lists all of them."""


@click.group(cls=Group)
def outbox() -> None:
    """Manage pending changes of models."""


@outbox.command(short_help="Show pending changes, by index.")
@index_option
@app_and_json
@click.pass_context
def status(
    context: click.Context, indexes: tuple[str, ...], app: str | None, as_json: bool
) -> None:
    """Show the pending changes of each index, and changes that were given up.

    Exit code 1 if changes were given up, triggers are missing, or something is left of an index
    that no model declares.
    """
    from semantic_core.orm.databases import moved_into_memory

    with application(app) as core:
        adapters = adapters_of(core, indexes, needed=False)
        states = [adapter.status() for adapter in adapters]
        aborted = _aborted(adapters)
        left = [] if indexes else _leftovers(core)
        in_memory = moved_into_memory(core)
        others = {} if indexes else _other_collections(core, left)
        path = getattr(core.store, "path", None)
        if states and all(state.collection in in_memory for state in states):
            # The file belongs to another database.
            path = None
            others = {}
        if not as_json:
            note_indexes_in_memory(core, adapters)
    if as_json:
        answer: dict[str, Any] = {
            "indexes": _as_dicts(states),
            "aborted": _as_dicts(aborted),
            "left": _as_dicts(left),
            "fed_by_no_model": others,
            "path": None if path is None else str(path),
            "in_memory": in_memory,
        }
        write_json(answer)
    else:
        write(_table(states) if states else "No model of this application has an index.")
        if path is not None:
            note(f"Path of the index: {visible(path)}")
        for state in states:
            _note_state(state)
        for change in aborted[:_SHOWN]:
            key = visible(f"{change.collection}/{change.key}")
            attempts = counted(change.attempts, "attempt")
            note(f"given up: {key} after {attempts}: {visible(change.error)}")
        if aborted:
            note(
                "After the cause is fixed: semantic-core outbox retry. To discard them: "
                "semantic-core outbox drop."
            )
        for leftover in left:
            note(_leftover_text(leftover, app))
        _note_other_collections(others)
    if aborted or left or not all(state.capturing for state in states):
        context.exit(GAP)


def _leftovers(core: SemanticCore) -> list[Leftover]:
    """What is left of indexes that no model declares, in all databases of the application."""
    from semantic_core.orm.databases import databases_of
    from semantic_core.orm.leftovers import leftovers

    found: list[Leftover] = []
    for database in databases_of(core):
        found += leftovers(database)
    return found


def _other_collections(core: SemanticCore, left: Sequence[Leftover]) -> dict[str, int]:
    """The number of documents in each collection that belongs to no model."""
    from semantic_core.orm.databases import adapters_in

    others = dict(core.stats(all_tenants=True).collections)
    for name in adapters_in(core):
        others.pop(name, None)
    for leftover in left:
        others.pop(leftover.collection, None)
    return others


def _as_dicts(records: Sequence[Any]) -> list[dict[str, Any]]:
    import attrs

    return [attrs.asdict(record) for record in records]


def _note_state(state: IndexStatus) -> None:
    """Print what is special about the state of an index."""
    name = visible(state.collection)
    if state.comparing:
        note(f"{name}: {visible(state.comparing)}; semantic-core worker --once does this now.")
    if state.last_error:
        note(f"{name}: {visible(state.last_error)}")
    if not state.capturing:
        note(f"{name}: its triggers are missing; call init_database(...) again.")


def _note_other_collections(others: Mapping[str, int]) -> None:
    if others:
        listed = []
        for name, count in sorted(others.items()):
            listed.append(f"{visible(name)} ({counted(count, 'document')})")
        note(f"Collections that belong to no model: {', '.join(listed)}.")


@outbox.command()
@index_option
@app_and_json
def retry(indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """Retry changes that were given up."""
    _for_each_index(app, indexes, as_json, "retried", _retry)


@outbox.command()
@index_option
@app_and_json
@consent_option("Discard the changes that were given up? The index keeps the former content.")
def drop(indexes: tuple[str, ...], app: str | None, as_json: bool) -> None:
    """Discard changes that were given up.

    Their documents stay in the index as they are; `semantic-core verify` shows what differs.
    """
    _for_each_index(app, indexes, as_json, "dropped", _drop)


def _retry(adapter: BaseORMAdapter) -> int:
    return adapter.coordinator.outbox.retry(collections={adapter.declaration.collection})


def _drop(adapter: BaseORMAdapter) -> int:
    return adapter.coordinator.outbox.drop(collections={adapter.declaration.collection})


def _for_each_index(
    app: str | None,
    indexes: tuple[str, ...],
    as_json: bool,
    done: str,
    change: Callable[[BaseORMAdapter], int],
) -> None:
    """Call `change` for each index, and print how many changes it concerned."""
    with application(app) as core:
        adapters = adapters_of(core, indexes)
        require_outbox(adapters)
        count = sum(map(change, adapters))
    if as_json:
        write_json({done: count})
    else:
        write(f"{done.capitalize()} {counted(count, 'change')}.")


@outbox.command(short_help="Remove what is left of a former index.")
@click.argument("collection")
@click.option("--keep-documents", is_flag=True, help="Keep its documents in the index.")
@app_and_json
@consent_option("Remove its triggers, pending changes and documents? Your rows are not changed.")
@click.pass_context
def forget(
    context: click.Context, collection: str, keep_documents: bool, app: str | None, as_json: bool
) -> None:
    """Remove what is left of an index that no model declares any more.

    These are its triggers, pending changes, state and documents. COLLECTION is the name that
    `semantic-core outbox status` shows. Exit code 1 if there is nothing of that name.
    """
    from semantic_core.errors import ConfigError
    from semantic_core.orm.databases import databases_of
    from semantic_core.orm.leftovers import Forgotten, declared_for
    from semantic_core.orm.leftovers import forget as forget_in

    with application(app) as core:
        databases = databases_of(core)
        for database in databases:
            if collection in declared_for(database):
                raise ConfigError(
                    f"{collection} is declared by a model of this application.",
                    hint="Remove the index from the model first, or call its uninstall().",
                )
        total = Forgotten(triggers=0, pending=0, documents=0, documents_left=0)
        for database in databases:
            done = forget_in(database, collection, documents=not keep_documents)
            total = Forgotten(
                triggers=total.triggers + done.triggers,
                pending=total.pending + done.pending,
                documents=total.documents + done.documents,
                documents_left=max(total.documents_left, done.documents_left),
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
                f"{counted(total.documents_left, 'document')} of tenants left; remove them in "
                "Python with core.tenant(name).remove(...)."
            )
    if not (total.triggers or total.pending or total.documents or total.documents_left):
        context.exit(GAP)


@outbox.command("remove-triggers", short_help="Remove all triggers, for a migration.")
@app_and_json
def remove_all_triggers(app: str | None, as_json: bool) -> None:
    """Remove the triggers of all indexes, for a migration by another program.

    Changes are not recorded until the application calls init_database(...), which creates the
    triggers again and compares every row. Until then every search result reports this, also in
    processes that are already running.
    """
    from semantic_core.orm.databases import databases_of
    from semantic_core.orm.migrations import remove_triggers
    from semantic_core.orm.outbox import TRIGGERS

    names: list[str] = []
    with application(app) as core:
        for database in databases_of(core):
            if database.outbox.exists():
                # So that no running process creates them again.
                database.outbox.drop_state(TRIGGERS)
            names += remove_triggers(database.sql.execute, database.sql.dialect)
    if as_json:
        write_json({"removed": names})
    else:
        write(
            f"Removed {counted(len(names), 'trigger')}. The next init_database(...) creates them "
            "again; until then changes are not recorded, and every search result reports this."
        )


def _leftover_text(leftover: Leftover, app: str | None) -> str:
    where = f" on {visible(leftover.table)}" if leftover.table else ""
    if leftover.table and not leftover.table_there:
        where += ", which does not exist any more"
    name = visible(leftover.collection)
    return (
        f"left of {name}, which no model declares: "
        f"{counted(leftover.triggers, 'trigger')}{where}, "
        f"{counted(leftover.pending, 'pending change')}, "
        f"{counted(leftover.documents, 'document')}. To remove them: semantic-core outbox forget "
        f"{name} --app {visible(app or '')}"
    )


def _aborted(adapters: Sequence[BaseORMAdapter]) -> list[AbortedChange]:
    """The changes that were given up, of all these indexes."""
    found: list[AbortedChange] = []
    for adapter in adapters:
        if adapter.coordinator.is_installed():
            found += adapter.coordinator.outbox.aborted({adapter.declaration.collection})
    return found


def _table(states: Sequence[IndexStatus]) -> str:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("index", overflow="fold")
    for name in ("model", "capture", "sync"):
        table.add_column(name, no_wrap=True)
    for name in ("pending", "backfill", "taken", "given up", "oldest"):
        table.add_column(name, justify="right", no_wrap=True)
    for state in states:
        cells = [visible(state.collection), state.model, state.capture, state.sync]
        for number in (state.waiting, state.backfill, state.taken, state.aborted):
            cells.append(f"{number:,}")
        cells.append(_age(state.oldest))
        table.add_row(*map(Text, cells))
    return render(table, width=table_width())


def _age(since: float | None) -> str:
    """How long ago a time in seconds since 1970 is; "-" for None."""
    if since is None:
        return "-"
    seconds = max(0.0, time() - since)
    for unit, size in (("s", 1), ("min", 60), ("h", 3600)):
        if seconds < size * 90:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
