"""The store's tables under longer names, for an index that lives among the tables of
an application.

The store says ``document`` and ``words`` in all its SQL; an application may well have tables called
so. Statements are therefore rewritten on their way to SQLite, once each: table and index names get
PREFIX, columns stay as they are. Which names there are is read from the schema itself, and the
conformance kit runs on a store that is renamed so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from semantic_core_peewee.sqlite.migrations import STEPS

PREFIX = "semantic_index_"

_CREATED = re.compile(
    r"\bcreate\s+(?:(?:unique|virtual)\s+)*(table|index)\s+(\w+)(\s+using\s+fts5)?", re.IGNORECASE
)
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|[A-Za-z_]\w*|\s+|.""", re.DOTALL)
_BEFORE_A_TABLE = frozenset({"from", "join", "into", "update", "table", "references"})
_SHADOWS = ("config", "content", "data", "docsize", "idx")

_found = [
    match.groups()
    for step in STEPS
    for statement in step.statements
    for match in _CREATED.finditer(statement)
]
TABLES = frozenset(name for kind, name, _ in _found if kind.lower() == "table")
"""Names that are tables where a table can stand; some of them are columns elsewhere."""
_words = [name for _, name, fts in _found if fts]
ALWAYS = frozenset(
    [name for kind, name, _ in _found if kind.lower() == "index"]
    + [name for table in _words for name in (table, *(f"{table}_{shadow}" for shadow in _SHADOWS))]
    + ["word_count", "word_place"]
)
"""Names that are nothing else wherever they stand. FTS5 has a column named like its table."""


def renamed_name(name: str) -> str:
    """What a table or an index is called among others."""
    return PREFIX + name if name in TABLES or name in ALWAYS else name


@lru_cache(maxsize=4_096)
def renamed(sql: str) -> str:
    """A statement of the store, for tables under their longer names."""
    tokens = _TOKEN.findall(sql)
    solid = [
        number
        for number, token in enumerate(tokens)
        if not token.isspace() and not token.startswith("--")
    ]
    words = [tokens[number].strip('"').lower() for number in solid]
    creates = words[:1] == ["create"]
    virtual = creates and "virtual" in words[:3]
    for place, number in enumerate(solid):
        token = tokens[number]
        name = token.strip("\"'")
        if name not in TABLES and name not in ALWAYS:
            continue
        before = words[place - 1] if place else ""
        after = words[place + 1] if place + 1 < len(words) else ""
        is_table = (
            before in _BEFORE_A_TABLE
            or (before != "." and after == ".")
            or (creates and before == "on")
        )
        in_quotes = token[0] == "'"
        is_named = (
            (virtual and before in ("=", "(", ",")) if in_quotes else (name in ALWAYS or is_table)
        )
        if is_named:
            tokens[number] = token.replace(name, PREFIX + name)
    return "".join(tokens)


class Renamed:
    """An APSW connection on which the store finds its tables."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    def execute(self, sql: str, bindings: Any = None, **options: Any) -> Any:
        """See APSW."""
        return self._raw.execute(renamed(sql), _renamed_values(sql, bindings), **options)

    def executemany(self, sql: str, rows: Iterable[Any], **options: Any) -> Any:
        """See APSW."""
        return self._raw.executemany(renamed(sql), rows, **options)

    def blob_open(self, database: str, table: str, column: str, rowid: int, writeable: bool) -> Any:
        """See APSW."""
        return self._raw.blob_open(database, renamed_name(table), column, rowid, writeable)

    def cursor(self) -> Any:
        """See APSW."""
        return RenamedCursor(self._raw.cursor())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


class RenamedCursor:
    """A cursor of one."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def execute(self, sql: str, bindings: Any = None, **options: Any) -> Any:
        """See APSW."""
        return self._cursor.execute(renamed(sql), _renamed_values(sql, bindings), **options)

    def __iter__(self) -> Any:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _renamed_values(sql: str, values: Any) -> Any:
    """Where SQLite is asked about a table, its name is a value."""
    if "sqlite_sequence" not in sql or not isinstance(values, Sequence):
        return values
    return [renamed_name(value) if isinstance(value, str) else value for value in values]
