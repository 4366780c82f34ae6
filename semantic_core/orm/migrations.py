"""What database migrations have to know of an index: its tables and triggers, and how to keep them
out of the way.

`include_name` and `include_object` tell Alembic's autogenerate to ignore the tables of the outbox.
`make_way` drops triggers before a statement that conflicts with them. `remove_triggers` drops all
of them at once. The next `BaseORMAdapter.install` creates the triggers of its index again and
compares all rows. `Reinstall` holds the indexes that have to be installed again.

No ORM is imported here, nor Alembic.

Tested by tests/orm/test_migrations.py.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core.orm.dialects import TABLES, literal
from semantic_core.orm.log import log
from semantic_core.orm.tables import Dialect, Execute
from semantic_core.orm.trigger_ddl import drop, triggers_query

if TYPE_CHECKING:
    from semantic_core.orm.contract import AdapterContract


__all__ = [
    "ExistingTrigger",
    "changes_tables",
    "include_name",
    "include_object",
    "make_way",
    "remove_triggers",
    "triggers",
]

PREFIX = "semantic_"
"""The prefix of the names of all tables, indexes and triggers that the outbox creates."""
NO_TABLE = "the table is not there yet"
"""The status of an index whose model has no table."""

_OURS = re.compile(r"semantic_([0-9a-f]{8})_")
_NAME = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_PATH = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_DDL = re.compile(
    rf"[\s(]*(?P<verb>ALTER|DROP|RENAME)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<names>{_PATH}"
    rf"(?:\s*,\s*{_PATH})*)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_RENAMED = re.compile(rf"\s*(?:RENAME\s+)?(?:TO|AS)\s+(?P<name>{_PATH})", re.IGNORECASE)
_ADDS = re.compile(r"\s*ADD\b", re.IGNORECASE)


@attrs.frozen
class ExistingTrigger:
    """A trigger of an index that exists in a database.

    table: the table that it is on; "" if that was dropped. text: its SQL. mark: the eight hex
    digits that all triggers of one collection share.
    """

    name: str
    table: str
    text: str

    @property
    def mark(self) -> str:
        found = _OURS.match(self.name)
        return found[1] if found else ""

    def refers_to(self, table: str) -> bool:
        """Whether the trigger is on this table, or reads it."""
        name = table.lower()
        text = self.text.lower()
        return self.table.lower() == name or f'"{name}"' in text or f"`{name}`" in text


def include_name(name: str | None, type_: str, parent_names: Mapping[str, Any]) -> bool:
    """Whether Alembic should look at an object in the database. False for the outbox's tables.

    For ``context.configure(include_name=include_name)`` in ``env.py``. parent_names: as Alembic
    gives them.
    """
    table = name if type_ == "table" else parent_names.get("table_name")
    return not _has_prefix(table)


def include_object(
    object_: Any, name: str | None, type_: str, reflected: bool, compare_to: Any
) -> bool:
    """The same as `include_name`, for ``context.configure(include_object=include_object)``.

    Only objects read from the database are ignored: tables of your models may have any name.
    """
    table = name if type_ == "table" else getattr(getattr(object_, "table", None), "name", None)
    return not (reflected and _has_prefix(table))


def triggers(execute: Execute, dialect: Dialect) -> list[ExistingTrigger]:
    """The triggers of all indexes in this database.

    execute: runs a statement, see `semantic_core.orm.Execute`; it is given no parameters.
    """
    query = triggers_query(dialect, len(PREFIX), literal(dialect, PREFIX))
    found: list[ExistingTrigger] = []
    for name, table, text in execute(query, ()):
        trigger = ExistingTrigger(str(name), str(table or ""), str(text or ""))
        if trigger.mark:
            found.append(trigger)
    return found


def remove_triggers(execute: Execute, dialect: Dialect) -> list[str]:
    """Drop the triggers of all indexes in this database. Returns their names.

    No changes are captured until `BaseORMAdapter.install`, which compares all rows and documents.
    """
    found = triggers(execute, dialect)
    for trigger in found:
        execute(drop(dialect, trigger.name), ())
    return [trigger.name for trigger in found]


def make_way(sql: str, execute: Execute, dialect: Dialect) -> bool:
    """Drop the triggers that conflict with a statement. Returns whether some were dropped that the
    next installation can create again; False if the outbox itself is changed.

    Call it before the statement runs, on the same connection. A statement conflicts with triggers
    if it drops or renames the outbox, or alters, drops or renames a table that a trigger is on or
    reads: the migration, or a write after it, would fail. Dropped triggers are logged. For any
    other statement only its first word is read.
    """
    tables = _changed_tables(sql)
    if not tables:
        return False
    found = triggers(execute, dialect)
    changes_outbox = _includes_outbox(tables)
    if not changes_outbox and not _refer_to_any(found, tables):
        return False
    for trigger in found:
        execute(drop(dialect, trigger.name), ())
    if found and changes_outbox:
        log.warning(
            "%s: the statement changes a table of the outbox, so %d triggers of search indexes "
            "were dropped first; otherwise every write to their tables would fail. Changes are not "
            "captured from now on; init_database(...) creates the outbox again and compares all "
            "rows. If a migration did this: semantic_core.orm.migrations.include_name makes "
            "Alembic ignore the outbox's tables.",
            _shortened(sql),
            len(found),
        )
    elif found:
        log.info("%s: %d triggers of search indexes make way.", _shortened(sql), len(found))
    return bool(found) and not changes_outbox


def changes_tables(sql: str) -> bool:
    """Whether a statement alters, drops or renames a table that is not the outbox's."""
    tables = _changed_tables(sql)
    return bool(tables) and not _includes_outbox(tables)


def _changed_tables(sql: str) -> list[str]:
    """The tables that a statement alters, drops or renames, without their schemas, and the new name
    of a renamed table.
    """
    start = sql.lstrip(" \t\r\n(")[:6].upper()
    if start not in ("ALTER ", "RENAME") and not start.startswith("DROP "):
        return []
    found = _DDL.match(sql)
    if found is None:
        return []
    if found["verb"].upper() == "ALTER" and _ADDS.match(found["rest"]):
        return []
    names = [_table_of(path) for path in re.findall(_PATH, found["names"])]
    renamed = _RENAMED.match(found["rest"])
    if renamed is not None:
        names.append(_table_of(renamed["name"]))
    return names


def _table_of(path: str) -> str:
    """The last name of a dotted path, without quotes."""
    name = re.findall(_NAME, path)[-1]
    quote = name[0]
    if quote in '"`':
        return str(name[1:-1]).replace(quote * 2, quote)
    return str(name[1:-1] if quote == "[" else name)


def _refer_to_any(found: list[ExistingTrigger], tables: list[str]) -> bool:
    return any(trigger.refers_to(table) for trigger in found for table in tables)


def _has_prefix(table: str | None) -> bool:
    return str(table or "").startswith(PREFIX)


def _includes_outbox(tables: list[str]) -> bool:
    return any(table.lower() in TABLES for table in tables)


def _shortened(sql: str) -> str:
    one_line = " ".join(sql.split())
    return one_line if len(one_line) <= 80 else one_line[:79] + "…"


class Reinstall:
    """The indexes of one coordinator that have to be installed: their table does not exist yet, or
    a migration dropped their triggers.

    Threads may share it. It costs nothing while it is empty.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, AdapterContract] = {}
        self._lock = threading.Lock()

    def __contains__(self, adapter: AdapterContract) -> bool:
        return self._waiting.get(adapter.declaration.collection) is adapter

    def later(self, adapter: AdapterContract) -> None:
        """Install this index at the next `settle`."""
        with self._lock:
            self._waiting[adapter.declaration.collection] = adapter

    def done(self, adapter: AdapterContract) -> None:
        """Remove this index, since it is installed."""
        with self._lock:
            self._waiting.pop(adapter.declaration.collection, None)

    def settle(self) -> None:
        """Install the indexes whose table exists.

        Never raises: an index that cannot be installed yet stays here.
        """
        for adapter in list(self._waiting.values()):
            try:
                if has_table(adapter):
                    adapter.install()
            except Exception as error:  # noqa: BLE001
                # The database may be half migrated; the next commit tries again.
                reason = str(error).partition("\n")[0]
                log.info("%s is not installed yet: %s", adapter, reason)


def has_table(adapter: AdapterContract) -> bool:
    """Whether the table of an index exists."""
    return adapter.sql.has_table(adapter.table.name)
