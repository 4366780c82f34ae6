"""What an adapter says about a model's table, and what an index wants to hear of:
the records triggers are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

Dialect = Literal["sqlite", "postgresql", "mysql"]
"""The SQL a database speaks. MariaDB is "mysql"."""
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql", "mysql")

Execute = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs one statement with its parameters and gives its rows, or [] where it gives none."""


@attrs.frozen
class Through:
    """The table between the two of a many-to-many relation.

    own, theirs: its columns that hold the relation's `own` of this side and `theirs` of the other.
    """

    table: str
    own: str
    theirs: str


@attrs.frozen
class Relation:
    """Rows of another table that belong to a row of this one:
    joined where this.`own` = other.`theirs`.

    model: the model of the other table. own, theirs: column names. A foreign key: article.author_id
    and author.id; the same one from the other side: author.id and article.author_id. through: the
    table that joins the two, for a many-to-many relation: article.id = tagging.article_id and
    tagging.tag_id = tag.id.
    """

    model: type
    own: str
    theirs: str
    through: Through | None = None

    def reversed(self, model: type) -> Relation:
        """The same relation from the other side. model: the one this relation starts from."""
        through = self.through
        if through is not None:
            through = Through(through.table, own=through.theirs, theirs=through.own)
        return Relation(model, own=self.theirs, theirs=self.own, through=through)


@attrs.frozen
class Table:
    """The table behind a model.

    name: of the table; "schema.table" where there is a schema.
    key: per attribute of the primary key, what parses its text form (as the database casts it;
    bytes in lower-case hex, on PostgreSQL with a ``\\x`` before) into the Python value.
    Several are a composite key, in this order.
    columns: attribute that holds the raw value -> column name; for a foreign key, the attribute of
    the id.
    relations: attribute -> related rows: foreign keys, their other sides, many-to-many relations.
    bases: the parents' tables in joined inheritance, nearest first. part: a name for the rows of
    this model where they share a table with those of its parent; "" where the table is its own.
    uuids: names of the columns whose type is a UUID, keys of other tables included: tenants in them
    are the same in every spelling, all others to the letter.
    """

    name: str
    key: Mapping[str, Callable[[str], Any]] = attrs.field(hash=False)
    columns: Mapping[str, str] = attrs.field(hash=False)
    relations: Mapping[str, Relation] = attrs.field(factory=dict, hash=False)
    bases: tuple[Relation, ...] = attrs.field(default=(), converter=tuple)
    part: str = ""
    uuids: frozenset[str] = attrs.field(default=frozenset(), converter=frozenset)

    @property
    def key_columns(self) -> tuple[str, ...]:
        """Column names of the primary key, in order."""
        return tuple(self.columns[attribute] for attribute in self.key)

    def leads_to_one(self, name: str) -> bool:
        """Whether this relation is a foreign key of the table: to one row at most."""
        relation = self.relations[name]
        return relation.through is None and relation.own not in self.key_columns


@attrs.frozen
class Join:
    """One step of a way from row to row: to the rows of `table` whose `theirs` is what `own` is
    here; column names.

    inserts: whether a new row there can belong to rows that are here already. Not so for the other
    end of an enforced foreign key; saying so spares each insert there a look-up here.
    """

    table: str
    own: str
    theirs: str
    inserts: bool = True


@attrs.frozen
class RelatedWatch:
    """Rows of another table that a document is made of too: the way there,
    and the columns read at its end.

    columns: () if only which rows there are matters.
    """

    joins: tuple[Join, ...]
    columns: tuple[str, ...] = ()


@attrs.frozen
class TriggerSpec:
    """What one collection wants to hear of.

    columns: own columns its documents are made of; the key, the tenant's and those of joins are
    watched anyhow.
    tenant: own column that names the tenant; None if none does. everything: whether every column of
    `table` is watched.
    """

    collection: str
    table: Table
    columns: tuple[str, ...] = ()
    tenant: str | None = None
    related: tuple[RelatedWatch, ...] = ()
    everything: bool = False
