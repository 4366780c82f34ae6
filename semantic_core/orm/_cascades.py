"""The foreign keys by which MySQL and MariaDB delete or change rows without firing a trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

from semantic_core.orm._tables import Execute

Rule = Literal["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"]


@attrs.frozen
class ForeignKey:
    """A foreign key of a table: its first column, the parent's table and column, and what the
    parent's changes do here.
    """

    column: str
    parent: str
    parent_column: str
    on_delete: Rule
    on_update: Rule


def foreign_keys(execute: Execute) -> Mapping[str, tuple[ForeignKey, ...]]:
    """The foreign keys of this MySQL database, by table.

    Of several columns the first: that notes more rows, never fewer.
    """
    rows = execute(
        "SELECT k.table_name, k.column_name, k.referenced_table_name, k.referenced_column_name, "
        "r.delete_rule, r.update_rule FROM information_schema.key_column_usage k JOIN "
        "information_schema.referential_constraints r ON r.constraint_schema = k.constraint_schema "
        "AND r.constraint_name = k.constraint_name "
        "AND r.table_name = k.table_name "
        "WHERE k.table_schema = DATABASE() AND k.referenced_table_schema = DATABASE() AND "
        "k.ordinal_position = 1 ORDER BY k.table_name, k.constraint_name",
        (),
    )
    found: dict[str, list[ForeignKey]] = {}
    for table, *rest in rows:
        found.setdefault(table, []).append(ForeignKey(*rest))
    return {table: tuple(keys) for table, keys in found.items()}
