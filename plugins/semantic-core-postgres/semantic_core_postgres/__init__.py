"""The store `postgres`: documents, full-text index and vectors in a schema of a PostgreSQL database
with pgvector.

Nothing heavy is imported before a store is opened.

Rooms, from the top: `store` (PostgresStore) and `opening`; `job_store`, `jobs`; `vocabulary`,
`text_conditions`, `titles`, `matches`; `vector_search`, `text_search`; `write`, `text_index`,
`checkpoints`, `totals`; `read`, `records`, `filters`, `texts`; and below them
`migrations`, `pool` and `errors`.

Tested by tests/test_plugin.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from semantic_core import hookimpl
from semantic_core.protocols import Store
from semantic_core.types import Space

if TYPE_CHECKING:
    from semantic_core_postgres.store import PostgresStore

SEMANTIC_CORE_API = 1
DEFAULT_SCHEMA = "semantic_core"
DEFAULT_POOL = 8
DEFAULT_PARTITIONS = 16
DEFAULT_TIMEOUT = 30.0
"""Seconds."""

__all__ = ["PostgresStore", "open_postgres"]


def __getattr__(name: str) -> object:
    if name == "PostgresStore":
        from semantic_core_postgres.store import PostgresStore

        return PostgresStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@hookimpl
def semantic_stores() -> Mapping[str, Callable[..., Store]]:
    """Offers the store "postgres"."""
    return {"postgres": open_postgres}


def open_postgres(
    space: Space,
    *,
    dsn: Annotated[
        str, "where the database is, as postgresql://user@host/database; unset means PGHOST etc."
    ] = "",
    schema: Annotated[str, "the schema of the index; it is made if there is none"] = DEFAULT_SCHEMA,
    multi_tenant: Annotated[
        bool | None, "whether a new index keeps tenants apart; unset means what the schema says"
    ] = None,
    recall_target: Annotated[
        Literal["usual", "high", "exact"],
        "how thoroughly vectors of large scopes are searched; exact compares all of them",
    ] = "usual",
    pool_size: Annotated[int, "most connections of this process"] = DEFAULT_POOL,
    partitions: Annotated[
        int, "parts of the chunks of a new multi-tenant index, each with a vector index of its own"
    ] = DEFAULT_PARTITIONS,
    timeout: Annotated[float, "seconds to wait for a connection, or for a lock"] = DEFAULT_TIMEOUT,
) -> PostgresStore:
    """Open the index in this schema, or make it.

    Raises ConfigError (an option of the wrong kind), SpaceMismatch (the schema has vectors of
    another space), StoreMisuse (multi_tenant contradicts the schema), StoreForeign, StoreVersion,
    StoreReadOnly, StoreUnavailable, StoreBusy.
    """
    from semantic_core_postgres.store import PostgresStore

    return PostgresStore(
        space,
        dsn,
        schema=schema,
        multi_tenant=multi_tenant,
        recall_target=recall_target,
        pool_size=pool_size,
        timeout=timeout,
        partitions=partitions,
    )
