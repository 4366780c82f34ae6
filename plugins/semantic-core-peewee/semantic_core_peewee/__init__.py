"""Semantic Core for Peewee, and its store in one SQLite file: Peewee over APSW, FTS5 for words,
exact cosine for meaning.

`SemanticIndex` is the line on a model, `init_database` the call at start-up. Nothing heavy is
imported before they are used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any, Literal

from semantic_core import hookimpl
from semantic_core.protocols import Store
from semantic_core.types import Space

if TYPE_CHECKING:
    from semantic_core.orm import SemanticIndex
    from semantic_core_peewee._binding import init_database, migrating
    from semantic_core_peewee.adapter import PeeweeAdapter
    from semantic_core_peewee.store import SqliteStore, ensure_schema_compatibility

__all__ = [
    "PeeweeAdapter",
    "SemanticIndex",
    "SqliteStore",
    "ensure_schema_compatibility",
    "init_database",
    "migrating",
    "open_sqlite",
]

SEMANTIC_CORE_API = 1


@hookimpl
def semantic_stores() -> Mapping[str, Callable[..., Store]]:
    """Offers the store "sqlite"."""
    return {"sqlite": open_sqlite}


@hookimpl
def semantic_orm_adapter(model: type) -> type[Any] | None:
    """Serves the models of Peewee."""
    peewee = sys.modules.get("peewee")
    if peewee is None or not issubclass(model, peewee.Model):
        return None
    from semantic_core_peewee.adapter import PeeweeAdapter

    return PeeweeAdapter


def open_sqlite(
    space: Space,
    *,
    path: Annotated[
        str | os.PathLike[str], "the file; it is made if there is none"
    ] = "semantic-core.db",
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
    busy_timeout: Annotated[float, "seconds to wait for another writer"] = 10.0,
    database: Annotated[
        Any, "a Peewee APSWDatabase to keep the index in, instead of a file of its own"
    ] = None,
) -> SqliteStore:
    """Open the store in this file, or make it.

    Raises ConfigError (an option of the wrong kind), SpaceMismatch (the file holds vectors of
    another space), StoreMisuse (multi_tenant contradicts the file; another SQLite library has it
    open), StoreForeign, StoreVersion, StoreCorrupt, StoreReadOnly, StoreUnavailable, StoreBusy.
    """
    from semantic_core_peewee.store import SqliteStore

    if database is not None:
        return SqliteStore.in_database(
            database, space, multi_tenant=multi_tenant, busy_timeout=busy_timeout
        )
    return SqliteStore(
        space, path, multi_tenant=multi_tenant, durability=durability, busy_timeout=busy_timeout
    )


_LATER = {
    "PeeweeAdapter": "semantic_core_peewee.adapter",
    "SemanticIndex": "semantic_core.orm",
    "SqliteStore": "semantic_core_peewee.store",
    "ensure_schema_compatibility": "semantic_core_peewee.store",
    "init_database": "semantic_core_peewee._binding",
    "migrating": "semantic_core_peewee._binding",
}
"""Names whose modules are imported when first asked for: listing plugins needs none of them."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
