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
WRITES_NOTHING = frozenset(
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
"""First words of statements after which there is nothing new to index."""
WRITES_ROWS = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE"})
"""First words of statements that write rows and nothing else."""
CHANGES_TABLES = frozenset({"ALTER", "DROP", "RENAME"})
"""First words of statements that triggers may be in the way of."""


def first_word(sql: str) -> str:
    """What kind of statement it is: its first word in capitals; "" if it has none.

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
    return first_word(sql) not in WRITES_NOTHING


def may_change_tables(sql: str) -> bool:
    """Whether it is an ALTER, DROP or RENAME: a statement that triggers may be in the way of."""
    return first_word(sql) in CHANGES_TABLES
