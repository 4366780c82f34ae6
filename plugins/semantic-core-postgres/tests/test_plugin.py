"""The kernel finds the plugin, and opens its store with the options of the settings."""

from __future__ import annotations

from importlib.metadata import entry_points
from inspect import signature
from typing import Annotated, get_origin, get_type_hints

import semantic_core_postgres
from semantic_core_postgres import open_postgres, semantic_stores

from semantic_core import SemanticCore, Space
from semantic_core.testing import HashEmbedder
from semantic_core.types import Document, Ref


def test_the_entry_point_is_the_plugin() -> None:
    (found,) = entry_points(group="semantic_core", name="postgres")
    assert found.load() is semantic_core_postgres
    assert semantic_stores() == {"postgres": open_postgres}
    assert semantic_core_postgres.SEMANTIC_CORE_API == 1


def test_every_option_has_a_default_and_is_documented() -> None:
    hints = get_type_hints(open_postgres, localns={"PostgresStore": object}, include_extras=True)
    for name, parameter in signature(open_postgres).parameters.items():
        if name == "space":
            assert hints[name] is Space
            continue
        assert get_origin(hints[name]) is Annotated
        assert len(hints[name].__metadata__[0]) > 10
        assert parameter.default is not parameter.empty


def test_an_application_changes_the_name_of_its_store_and_nothing_else(
    dsn: str, schema: str
) -> None:
    embedder = HashEmbedder()
    store = open_postgres(embedder.space, dsn=dsn, schema=schema)
    with SemanticCore(store=store, embedder=embedder) as core:
        core.ingest(Document(Ref("notes", "1"), "Refunds take five days."))
        core.ingest(Document(Ref("notes", "2"), "Parcels leave the warehouse at noon."))
        (best, *_) = core.search("refunds")
        assert best.ref == Ref("notes", "1")
    with SemanticCore(
        store="postgres", store_options={"dsn": dsn, "schema": schema}, embedder=embedder
    ) as core:
        assert core.stats().documents == 2
        assert core.search("warehouse", mode="text")[0].ref == Ref("notes", "2")
