"""Errors of PostgreSQL and psycopg, translated into errors of the product here and nowhere else.

Tested by tests/test_opening.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import errors as sql_errors
from psycopg_pool import PoolClosed, PoolTimeout

from semantic_core.errors import (
    InputError,
    SemanticCoreError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreMisuse,
    StoreReadOnly,
    StoreUnavailable,
)


class Kind(NamedTuple):
    """What an error becomes: our class, what is wrong, what to do."""

    raised: type[SemanticCoreError]
    matter: str
    hint: str


_AGAIN = Kind(StoreBusy, "another transaction was in the way", "Try again.")
_DOCTOR = "Run `semantic-core doctor`. Nothing was deleted or rebuilt."
_KINDS: Mapping[type[Exception], Kind] = {
    PoolTimeout: Kind(
        StoreBusy, "no connection was free in time", "Raise pool_size, or the timeout."
    ),
    PoolClosed: Kind(StoreMisuse, "it was used after being closed", "Open it again."),
    sql_errors.SerializationFailure: _AGAIN,
    sql_errors.DeadlockDetected: _AGAIN,
    sql_errors.LockNotAvailable: Kind(StoreBusy, "another writer holds it", "Try again."),
    sql_errors.QueryCanceled: Kind(
        StoreBusy, "the server ended a statement that took too long", "Raise statement_timeout."
    ),
    sql_errors.DiskFull: Kind(StoreFull, "the server has no space left", "Free some space."),
    sql_errors.ReadOnlySqlTransaction: Kind(
        StoreReadOnly, "this server only reads: it is a replica", "Connect to the primary."
    ),
    sql_errors.InsufficientPrivilege: Kind(
        StoreReadOnly, "this role may not do that", "Grant it the rights that the guide names."
    ),
    sql_errors.InvalidCatalogName: Kind(
        StoreUnavailable, "there is no such database", "Create it, or correct the address."
    ),
    sql_errors.InvalidPassword: Kind(
        StoreUnavailable, "the server refused the password", "Correct the address."
    ),
    sql_errors.UndefinedTable: Kind(StoreForeign, "a table of ours is missing", _DOCTOR),
    sql_errors.UndefinedColumn: Kind(StoreForeign, "a column of ours is missing", _DOCTOR),
    sql_errors.DataCorrupted: Kind(StoreCorrupt, "its content is damaged", _DOCTOR),
    sql_errors.IndexCorrupted: Kind(StoreCorrupt, "an index of it is damaged", _DOCTOR),
    sql_errors.IntegrityError: Kind(StoreCorrupt, "its tables contradict each other", _DOCTOR),
    psycopg.DataError: Kind(InputError, "it cannot hold a value", "Use another value."),
    psycopg.InterfaceError: Kind(StoreUnavailable, "its connection is gone", "Try again."),
    psycopg.OperationalError: Kind(
        StoreUnavailable, "the server cannot be reached", "Check that it runs, and the address."
    ),
    psycopg.Error: Kind(StoreError, "PostgreSQL refused", "Please report this."),
    UnicodeEncodeError: Kind(
        InputError, "a text holds a lone surrogate", "Decode the source with errors='replace'."
    ),
    OverflowError: Kind(InputError, "a number does not fit into 64 bits", "Use a smaller one."),
}
"""The first class that fits counts."""

SERVER_ERRORS = (psycopg.Error, PoolTimeout, PoolClosed, UnicodeEncodeError, OverflowError)
_REPEATED = (sql_errors.SerializationFailure, sql_errors.DeadlockDetected)


def translate(error: BaseException) -> SemanticCoreError:
    """Our error for one of SERVER_ERRORS; raise it ``from`` that one. The message of the server is
    part of it, and never a password: connection strings are not in messages of libpq.
    """
    for known, kind in _KINDS.items():
        if isinstance(error, known):
            said = str(error).strip().split("\n", maxsplit=1)[0]
            message = f"The PostgreSQL store: {kind.matter} ({type(error).__name__}: {said})."
            return kind.raised(message, hint=kind.hint)
    raise AssertionError(f"{type(error).__name__} is none of SERVER_ERRORS")


@contextmanager
def translated() -> Iterator[None]:
    """Within it, errors of the server are raised as ours."""
    try:
        yield
    except SERVER_ERRORS as error:
        raise translate(error) from error


def is_worth_repeating(error: SemanticCoreError) -> bool:
    """Whether the transaction that raised this may succeed if it is begun again."""
    return isinstance(error.__cause__, _REPEATED)
