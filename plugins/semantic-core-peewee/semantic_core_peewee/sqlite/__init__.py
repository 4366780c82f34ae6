"""The store `sqlite`: documents, full-text index and vectors in one SQLite file, by APSW.

A plugin of its own. Nothing heavy is imported before a store is opened.

Rooms, from the top: `store` (SqliteStore) and `same_file` (the index in the application's own
database); `opening`, `migrations`, `backup`, `maintenance`; `write`, `read`, `vector_search`,
`text_search`, `text_conditions`, `vocabulary`, `titles`, `matches`, `jobs` and `job_store`; below
them `text_index`, `text_merging`, `text_check`, `text_segments`, `records`, `ids`, `filters`,
`selective_scopes`, `segments`, `quantized`, `vector_rows`, `checkpoints`; and the
connections: `pool`, `connection`, `cpu_limiter`, `errors`.

Tested by tests/sqlite/test_plugin.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from semantic_core import hookimpl
from semantic_core.protocols import Store
from semantic_core.types import INDEX_FILE, Space

if TYPE_CHECKING:
    from semantic_core_peewee.sqlite.store import SqliteStore

SEMANTIC_CORE_API = 1
DEFAULT_BUSY_TIMEOUT = 10.0
"""Seconds."""


@hookimpl
def semantic_stores() -> Mapping[str, Callable[..., Store]]:
    """Offers the store "sqlite"."""
    return {"sqlite": open_sqlite}


def open_sqlite(
    space: Space,
    *,
    path: Annotated[str | os.PathLike[str], "the file; it is made if there is none"] = INDEX_FILE,
    multi_tenant: Annotated[
        bool | None, "whether a new file keeps tenants apart; unset means what the file says"
    ] = None,
    durability: Annotated[
        Literal["full", "normal"],
        (
            "full: what was written survives a power cut; normal: faster, a power cut "
            "may take the last writes"
        ),
    ] = "full",
    busy_timeout: Annotated[float, "seconds to wait for another writer"] = DEFAULT_BUSY_TIMEOUT,
    database: Annotated[
        Any, "a Peewee APSWDatabase to keep the index in, instead of a file of its own"
    ] = None,
) -> SqliteStore:
    """Open the store in this file, or make it.

    Raises ConfigError (an option of the wrong kind), SpaceMismatch (the file holds vectors of
    another space), StoreMisuse (multi_tenant contradicts the file; another SQLite library has it
    open), StoreForeign, StoreVersion, StoreCorrupt, StoreReadOnly, StoreUnavailable, StoreBusy.
    """
    if database is not None:
        from semantic_core_peewee.sqlite.same_file import SameFileStore

        return SameFileStore(space, database, multi_tenant=multi_tenant, busy_timeout=busy_timeout)
    from semantic_core_peewee.sqlite.store import SqliteStore

    return SqliteStore(
        space, path, multi_tenant=multi_tenant, durability=durability, busy_timeout=busy_timeout
    )
