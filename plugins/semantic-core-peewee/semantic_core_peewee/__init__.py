"""Semantic search for Peewee models: declare an index on a model, and search its rows.

`SemanticIndex` is the declaration on a model, `init_database` the call at start-up. The same
distribution has the store `sqlite`, in `semantic_core_peewee.sqlite`.

Modules: `adapter` (what the index must know about Peewee), `tables` (the table of a model),
`binding` (`init_database`), `commits` (when a database has committed). They are imported when they
are first used.

Tested by tests/orm/test_binding.py.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from semantic_core import hookimpl

if TYPE_CHECKING:
    from semantic_core.orm import SemanticIndex
    from semantic_core_peewee.adapter import PeeweeAdapter
    from semantic_core_peewee.binding import init_database, migrating
    from semantic_core_peewee.sqlite import open_sqlite
    from semantic_core_peewee.sqlite.store import SqliteStore, ensure_schema_compatibility

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
def semantic_orm_adapter(model: type) -> type[Any] | None:
    """The adapter for a Peewee model; None for any other class."""
    peewee = sys.modules.get("peewee")
    if peewee is None or not issubclass(model, peewee.Model):
        return None
    from semantic_core_peewee.adapter import PeeweeAdapter

    return PeeweeAdapter


_LATER = {
    "PeeweeAdapter": "semantic_core_peewee.adapter",
    "SemanticIndex": "semantic_core.orm",
    "SqliteStore": "semantic_core_peewee.sqlite.store",
    "ensure_schema_compatibility": "semantic_core_peewee.sqlite.store",
    "init_database": "semantic_core_peewee.binding",
    "migrating": "semantic_core_peewee.binding",
    "open_sqlite": "semantic_core_peewee.sqlite",
}
"""Where each public name is. It is imported when it is first used: listing plugins needs none."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
