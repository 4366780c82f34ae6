"""What a SQL statement does, as far as its first word says: for adapters whose ORM reports the
statements it runs.

An adapter uses `may_write` to know after which statements there may be something new to index, and
`may_change_tables` to know before which ones triggers may have to go, see
`BaseORMAdapter.before_statement`.

Tested by tests/orm/test_statements.py.
"""

from __future__ import annotations

import re

_FIRST_WORD = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/|\()*([A-Za-z]+)", re.DOTALL)
"""The first word, after white space, comments and opening brackets."""
_INNER_WRITE = re.compile(r"\b(?:insert|update|delete|replace|merge)\b", re.IGNORECASE)
_TO_A_SAVEPOINT = re.compile(r"\bto\b", re.IGNORECASE)
_WRITES_NOTHING = frozenset(
    {
        "SELECT",
        "PRAGMA",
        "EXPLAIN",
        "SHOW",
        "DESCRIBE",
        "BEGIN",
        "START",
        "SAVEPOINT",
        "RELEASE",
        "ROLLBACK",
        "SET",
        "VALUES",
    }
)
_WRITES_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"})
_CHANGES_TABLES = frozenset({"ALTER", "DROP", "RENAME"})


def first_word(sql: str) -> str:
    """What kind of statement it is: its first word in capitals, or "" if it has none.

    A statement that begins with WITH counts as "UPDATE" if a word of it writes, else as "SELECT". A
    ROLLBACK TO counts as "SAVEPOINT", for it ends no transaction.
    """
    found = _FIRST_WORD.match(sql)
    if found is None:
        return ""
    word = found[1].upper()
    if word == "WITH":
        return "UPDATE" if _INNER_WRITE.search(sql) else "SELECT"
    if word == "ROLLBACK" and _TO_A_SAVEPOINT.search(sql):
        return "SAVEPOINT"
    return word


def may_write(sql: str) -> bool:
    """Whether there may be something new to index after this statement; True in case of doubt."""
    return first_word(sql) not in _WRITES_NOTHING


def writes_rows(sql: str) -> bool:
    """Whether it is an INSERT, UPDATE, DELETE, REPLACE or MERGE."""
    return first_word(sql) in _WRITES_ROWS


def may_change_tables(sql: str) -> bool:
    """Whether it is an ALTER, DROP or RENAME: statements that triggers may be in the way of."""
    return first_word(sql) in _CHANGES_TABLES
