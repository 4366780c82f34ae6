"""What migrations have to know of an index: which tables and triggers are its own,
and how they are kept out of the way.

`include_name` and `include_object` keep Alembic's autogenerate from taking our tables for drift.
`make_way` takes our triggers away before a statement they would break, or that would break them;
`remove_triggers` takes all of them away at once. The next `BaseORMAdapter.install` puts back those
of its index, and looks at every row again.

Nothing here imports an ORM or Alembic.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from semantic_core.orm.dialects import TABLES, literal, placeholder_of, table_there
from semantic_core.orm.tables import Dialect, Execute
from semantic_core.orm.trigger_ddl import drop, triggers_there

if TYPE_CHECKING:
    from semantic_core.orm.contract import AdapterContract


__all__ = [
    "TriggerThere",
    "changes_tables",
    "include_name",
    "include_object",
    "make_way",
    "remove_triggers",
    "triggers",
]

PREFIX = "semantic_"
"""What the names of our tables, indexes and triggers begin with."""
_OURS = re.compile(r"semantic_([0-9a-f]{8})_")
_NAME = r'(?:"(?:[^"]|"")+"|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_PATH = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_DDL = re.compile(
    rf"[\s(]*(?P<verb>ALTER|DROP|RENAME)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<names>{_PATH}"
    rf"(?:\s*,\s*{_PATH})*)(?P<rest>.*)",
    re.IGNORECASE | re.DOTALL,
)
_RENAMED = re.compile(rf"\s*(?:RENAME\s+)?(?:TO|AS)\s+(?P<name>{_PATH})", re.IGNORECASE)
_log = logging.getLogger("semantic_core.orm")


@attrs.frozen
class TriggerThere:
    """A trigger of ours that is in a database. table: it is on; "" if that was dropped.
    text: what it does.

    mark: the eight hex digits that all triggers of one collection share.
    """

    name: str
    table: str
    text: str

    @property
    def mark(self) -> str:
        found = _OURS.match(self.name)
        return found[1] if found else ""

    def speaks_of(self, table: str) -> bool:
        """Whether it is on this table, or reads it."""
        named = (f'"{table}"'.lower(), f"`{table}`".lower())
        return self.table.lower() == table.lower() or any(
            each in self.text.lower() for each in named
        )


def include_name(name: str | None, type_: str, parent_names: Mapping[str, Any]) -> bool:
    """Whether Alembic should look at something in the database: at all but our tables.

    For ``context.configure(include_name=include_name)`` in ``env.py``. parent_names: as Alembic
    hands them over.
    """
    table = name if type_ == "table" else parent_names.get("table_name")
    return not _is_ours(table)


def include_object(
    object_: Any, name: str | None, type_: str, reflected: bool, compare_to: Any
) -> bool:
    """The same as `include_name`, for ``context.configure(include_object=include_object)``.

    Only what was read from the database is left out: tables of your models may have any name.
    """
    table = name if type_ == "table" else getattr(getattr(object_, "table", None), "name", None)
    return not (reflected and _is_ours(table))


def triggers(execute: Execute, dialect: Dialect) -> list[TriggerThere]:
    """Every trigger of ours in this database, of whatever index. execute: as for `SqlOutbox`;
    it is given no parameters.
    """
    rows = execute(triggers_there(dialect, len(PREFIX), literal(dialect, PREFIX)), ())
    found = [
        TriggerThere(str(name), str(table or ""), str(text or "")) for name, table, text in rows
    ]
    return [each for each in found if each.mark]


def remove_triggers(execute: Execute, dialect: Dialect) -> list[str]:
    """Take every trigger of ours away, those of all indexes; their names.

    Changes are not noted from then on, until `BaseORMAdapter.install`, which looks at every row and
    document again.
    """
    found = triggers(execute, dialect)
    for each in found:
        execute(drop(dialect, each.name), ())
    return [each.name for each in found]


def make_way(sql: str, execute: Execute, dialect: Dialect) -> bool:
    """Call it before a statement runs, on the connection that will run it;
    whether triggers were taken away.

    Where the statement drops or renames the outbox, or alters, drops or renames a table our
    triggers are on or read, they go first: a migration must not fail because of them, nor a write
    after it. What goes is logged. Any other statement costs the look at its first word.
    """
    tables = _changed(sql)
    if not tables:
        return False
    found = triggers(execute, dialect)
    outbox = any(_is_ours_exactly(table) for table in tables)
    if not outbox and not any(each.speaks_of(table) for each in found for table in tables):
        return False
    for each in found:
        execute(drop(dialect, each.name), ())
    if found and outbox:
        _log.warning(
            "%s: a table of the outbox goes, so %d triggers of search indexes went first; "
            "otherwise every write to their tables would fail. Changes are not noted from now on; "
            "init_database(...) makes the outbox anew and compares every row. If a migration did "
            "this: semantic_core.orm.migrations.include_name keeps our tables out of it.",
            _clipped(sql),
            len(found),
        )
    elif found:
        _log.info("%s: %d triggers of search indexes make way.", _clipped(sql), len(found))
    return bool(found) and not outbox


def changes_tables(sql: str) -> bool:
    """Whether a statement alters, drops or renames a table that is not the outbox."""
    tables = _changed(sql)
    return bool(tables) and not any(_is_ours_exactly(table) for table in tables)


def _changed(sql: str) -> list[str]:
    """The tables a statement alters, drops or renames, without their schemas,
    and the new name of a renamed one.
    """
    if (
        sql.lstrip(" \t\r\n(")[:6].upper() not in ("ALTER ", "RENAME")
        and sql.lstrip(" \t\r\n(")[:5].upper() != "DROP "
    ):
        return []
    found = _DDL.match(sql)
    if found is None:
        return []
    names = [_last(path) for path in re.findall(_PATH, found["names"])]
    renamed = _RENAMED.match(found["rest"])
    if renamed is not None:
        names.append(_last(renamed["name"]))
    only_adds = re.match(r"\s*ADD\b", found["rest"], re.IGNORECASE)
    return [] if only_adds and found["verb"].upper() == "ALTER" else names


def _last(path: str) -> str:
    name = re.findall(_NAME, path)[-1]
    quote = name[0]
    if quote in '"`':
        return str(name[1:-1]).replace(quote * 2, quote)
    return str(name[1:-1] if quote == "[" else name)


def _is_ours(table: str | None) -> bool:
    return str(table or "").startswith(PREFIX)


def _is_ours_exactly(table: str) -> bool:
    return table.lower() in TABLES


def _clipped(sql: str) -> str:
    one_line = " ".join(sql.split())
    return one_line if len(one_line) <= 80 else one_line[:79] + "…"


# Indexes that are to be installed as soon as that can be done: their table is not there yet,
# or a migration is at work.

NO_TABLE = "the table is not there yet"
"""What the status of an index says until it is."""


class Reinstall:
    """The indexes of one coordinator that wait for it.

    Safe to share between threads; costs nothing while none waits.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, AdapterContract] = {}
        self._lock = threading.Lock()

    def __contains__(self, adapter: AdapterContract) -> bool:
        return self._waiting.get(adapter.declaration.collection) is adapter

    def later(self, adapter: AdapterContract) -> None:
        """Install this one at the next `settle`."""
        with self._lock:
            self._waiting[adapter.declaration.collection] = adapter

    def done(self, adapter: AdapterContract) -> None:
        """It is installed."""
        with self._lock:
            self._waiting.pop(adapter.declaration.collection, None)

    def settle(self) -> None:
        """Install those whose table is there.

        Never raises: an index that cannot be installed yet goes on waiting.
        """
        for adapter in list(self._waiting.values()):
            try:
                if is_there(adapter):
                    adapter.install()
            except Exception as error:  # noqa: BLE001
                # Whatever is half migrated; the next commit tries again.
                reason = str(error).partition("\n")[0]
                _log.info("%s is not installed yet: %s", adapter, reason)


def is_there(adapter: AdapterContract) -> bool:
    """Whether the table of an index is there."""
    mark = adapter.placeholder or placeholder_of(adapter.dialect)
    sql, params = table_there(adapter.dialect, adapter.table.name, mark)
    return bool(adapter.execute(sql, params)[0][0])
