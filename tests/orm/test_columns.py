"""From the columns of a model to its `Table`: keys as text, UUIDs, names, and what is refused."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from semantic_core.errors import ConfigError
from semantic_core.orm import (
    Column,
    Relation,
    Through,
    build_table,
    dialect_named,
    parser_for,
    table_name,
)

ID = Column("id", "article_id", int)


class Article:
    """A model."""


class Tag:
    """Another model."""


def test_a_table_has_the_columns_keys_and_uuids_of_its_model() -> None:
    author = Relation(Tag, "author_id", "id")
    table = build_table(
        "article",
        [ID, Column("title", "headline", str), Column("owner_id", "owner", UUID)],
        key=["id"],
        relations={"author": author},
        part="Draft",
    )
    assert table.columns == {"id": "article_id", "title": "headline", "owner_id": "owner"}
    assert (table.key["id"]("7"), table.key_columns) == (7, ("article_id",))
    assert table.uuids == {"owner"}
    assert (table.relations, table.part) == ({"author": author}, "Draft")


def test_a_composite_key_has_the_order_of_the_key_and_not_of_the_columns() -> None:
    columns = [Column("number", "number", int), Column("hall", "hall", str)]
    table = build_table("seat", columns, key=["hall", "number"])
    assert list(table.key) == ["hall", "number"]


def test_a_parser_of_the_column_replaces_that_of_its_type() -> None:
    table = build_table("parcel", [Column("id", "id", UUID, parse=str.upper)], key=["id"])
    assert (table.key["id"]("ab"), table.uuids) == ("AB", {"id"})


@pytest.mark.parametrize(
    ("columns", "key", "reason"),
    [([ID], [], "no primary key"), ([Column("id", "id", bytes)], ["id"], "is bytes")],
)
def test_a_table_whose_rows_have_no_key_of_text_is_refused(
    columns: list[Column], key: list[str], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        build_table("note", columns, key=key)


@pytest.mark.parametrize(
    ("python_type", "text", "value"),
    [
        (int, "-5", -5),
        (str, "a/b", "a/b"),
        (object, "a/b", "a/b"),
        (Decimal, "1.50", Decimal("1.50")),
        (bool, "f", False),
        (bool, "0", False),
        (bool, "true", True),
        (date, "2024-05-06", date(2024, 5, 6)),
        (datetime, "2024-05-06 07:08:09", datetime(2024, 5, 6, 7, 8, 9)),
        (UUID, str(UUID(int=7)), UUID(int=7)),
        (UUID, "\\x" + UUID(int=7).hex, UUID(int=7)),
    ],
)
def test_the_text_of_a_key_becomes_its_value_again(
    python_type: type, text: str, value: Any
) -> None:
    assert parser_for(python_type)(text) == value


@pytest.mark.parametrize(
    ("dialect", "name", "schema", "expected"),
    [
        ("sqlite", "no.te", None, "no.te"),
        ("sqlite", "note", "main", "note"),
        ("postgresql", "note", None, "note"),
        ("postgresql", "note", "", "note"),
        ("mysql", "note", "library", "library.note"),
    ],
)
def test_the_name_of_a_table_has_its_schema_where_there_is_one(
    dialect: Any, name: str, schema: str | None, expected: str
) -> None:
    assert table_name(name, schema, dialect=dialect) == expected


@pytest.mark.parametrize(
    ("dialect", "name", "schema", "reason"),
    [
        ("sqlite", "note", "other", "attached database 'other'"),
        ("postgresql", "no.te", None, "a dot in its name"),
        ("mysql", "note", "my.books", "or its schema has one"),
    ],
)
def test_a_name_that_triggers_cannot_use_is_refused(
    dialect: Any, name: str, schema: str | None, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        table_name(name, schema, dialect=dialect)


@pytest.mark.parametrize(
    ("name", "dialect"),
    [("sqlite", "sqlite"), ("PostgreSQL", "postgresql"), ("mariadb", "mysql"), ("mysql", "mysql")],
)
def test_a_dialect_is_known_by_the_names_orms_have_for_it(name: str, dialect: str) -> None:
    assert dialect_named(name) == dialect


def test_a_database_nobody_has_triggers_for_is_refused() -> None:
    with pytest.raises(ConfigError, match="'oracle'"):
        dialect_named("oracle")


def test_a_relation_from_the_other_side_swaps_all_columns() -> None:
    there = Relation(Tag, "id", "tag_id", Through("tagging", own="article_id", theirs="tag_id"))
    back = there.reversed(Article)
    assert back == Relation(
        Article, "tag_id", "id", Through("tagging", own="tag_id", theirs="article_id")
    )
    assert back.reversed(Tag) == there
