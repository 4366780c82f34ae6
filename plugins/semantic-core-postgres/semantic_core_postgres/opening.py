"""Opening an index: its schema is made or brought up to date, and what it was made for is compared
with what is wanted.

Tested by tests/test_opening.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from semantic_core.errors import ConfigError, SpaceMismatch, StoreForeign, StoreMisuse
from semantic_core.types import Space
from semantic_core_postgres.checkpoints import renew_identity
from semantic_core_postgres.migrations import (
    MOST_DIMENSIONS,
    lock,
    migrate,
    newest,
    version_of,
)
from semantic_core_postgres.pool import Transactions, View

MOST_NAME = 63
"""Bytes of the longest name that PostgreSQL keeps whole."""


def check_schema(schema: object) -> str:
    """The name of a schema, if it can be one. Raises ConfigError."""
    if not isinstance(schema, str) or not schema or "\0" in schema:
        raise ConfigError(f"schema must be a name, got {schema!r}.")
    if len(schema.encode("utf-8")) > MOST_NAME:
        raise ConfigError(f"schema must have at most {MOST_NAME} bytes, got {schema!r}.")
    if schema.startswith("pg_"):
        raise ConfigError(f"schema must not begin with pg_, got {schema!r}.")
    return schema


def find_extension(view: View) -> str:
    """The schema of pgvector, which is added to the database if it is not there."""
    asked = """select n.nspname from pg_extension as e
        join pg_namespace as n on n.oid = e.extnamespace where e.extname = 'vector'"""
    found = view.value(asked)
    if found is None:
        available = view.value("select 1 from pg_available_extensions where name = 'vector'")
        if available is None:
            raise StoreForeign(
                "This PostgreSQL server has no pgvector.",
                hint="Install the package of pgvector for this version of PostgreSQL.",
            )
        lock(view, "pgvector")
        view.run("create extension if not exists vector")
        found = view.value(asked)
    return str(found)


def prepare(
    transactions: Transactions, space: Space, multi_tenant: bool | None, partitions: int
) -> tuple[Space, bool]:
    """Make or check the schema; the space and the tenancy of the index. partitions: of a new
    multi-tenant one.

    Raises SpaceMismatch, StoreMisuse, StoreVersion, StoreForeign.
    """
    if space.dimensions > MOST_DIMENSIONS:
        raise ConfigError(
            f"pgvector holds vectors of at most {MOST_DIMENSIONS:,} dimensions, the space has "
            f"{space.dimensions:,}.",
            hint="Choose a model with fewer dimensions.",
        )
    if transactions.read(_is_current):
        about = transactions.read(_about)
    else:
        about = transactions.write(_made, space, multi_tenant, partitions)
    stored = space_of(about)
    if stored != space:
        raise SpaceMismatch(
            f"The index has vectors of {stored}, the embedder makes vectors of {space}.",
            hint="Use the embedder it was made with, or run `semantic-core reindex`.",
        )
    has_tenants = about["multi_tenant"] == "true"
    if multi_tenant is not None and multi_tenant != has_tenants:
        raise StoreMisuse(
            f"The index was made {'with' if has_tenants else 'without'} tenants; got "
            f"multi_tenant={multi_tenant}.",
            hint="Leave multi_tenant out, or name another schema.",
        )
    return stored, has_tenants


def _is_current(view: View) -> bool:
    return version_of(view) == newest()


def _about(view: View) -> dict[str, str]:
    return dict(view.rows("select name, value from {s}.meta"))


def _made(view: View, space: Space, multi_tenant: bool | None, partitions: int) -> dict[str, str]:
    """Make the schema, or bring it up to date."""
    if migrate(view, space.dimensions, partitions if multi_tenant else 1):
        view.many(
            "insert into {s}.meta (name, value) values (%s, %s)",
            [
                ("space", json.dumps(_fields(space))),
                ("multi_tenant", "true" if multi_tenant else "false"),
            ],
        )
        renew_identity(view)
    return _about(view)


def _fields(space: Space) -> dict[str, Any]:
    return {
        "model": space.model,
        "dimensions": space.dimensions,
        "task": space.task,
        "revision": space.revision,
        "settings": dict(space.settings),
    }


def space_of(about: Mapping[str, str]) -> Space:
    """The space that the index was made for. Raises StoreForeign."""
    if "space" not in about or "multi_tenant" not in about:
        raise StoreForeign(
            "The schema has a table of ours, but not what an index is made of.",
            hint="Name another schema.",
        )
    return Space(**json.loads(about["space"]))
