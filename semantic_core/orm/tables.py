"""The records that describe a model's table, and what its triggers have to capture.

An adapter describes tables with `Table` and `Relation`; triggers are generated from a
`TriggerSpec`.

Tested by tests/orm/test_triggers.py, tests/orm/test_base.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import attrs

Dialect = Literal["sqlite", "postgresql", "mysql"]
"""The SQL dialect of a database. MariaDB is "mysql"."""
DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql", "mysql")

Execute = Callable[[str, Sequence[Any]], Sequence[Sequence[Any]]]
"""Runs one statement with its parameters and returns its rows, or [] if it has none."""


@attrs.frozen
class Through:
    """The table between the two sides of a many-to-many relation.

    own, theirs: its columns that refer to `Relation.own` of this side and to `Relation.theirs` of
    the other.
    """

    table: str
    own: str
    theirs: str


@attrs.frozen
class Relation:
    """Rows of another table that belong to a row of this one, joined where this.`own` equals
    other.`theirs`.

    model: the model of the other table. own, theirs: column names. A foreign key: article.author_id
    and author.id. The reverse side of it: author.id and article.author_id. through: the joining
    table of a many-to-many relation: article.id = tagging.article_id and tagging.tag_id = tag.id.
    many: True for the other side of a foreign key that points at another column than the key; None
    takes a relation for such a side if `own` is a key column.
    """

    model: type
    own: str
    theirs: str
    through: Through | None = None
    many: bool | None = None

    def reversed(self, model: type) -> Relation:
        """The same relation from the other side. model: the one this relation starts from."""
        through = self.through
        if through is not None:
            through = Through(through.table, own=through.theirs, theirs=through.own)
        return Relation(model, own=self.theirs, theirs=self.own, through=through)


@attrs.frozen
class Table:
    """The table of a model.

    name: of the table; "schema.table" where there is a schema.
    key: per attribute of the primary key, a function that parses its text form into the Python
    value. The text form is what the database casts the value to: bytes in lower-case hex, on
    PostgreSQL with a ``\\x`` before. Several attributes are a composite key, in this order.
    columns: attribute that holds the raw value -> column name; for a foreign key, the attribute of
    the id.
    relations: attribute -> related rows: foreign keys, their reverse sides, many-to-many relations.
    bases: the parents' tables in joined inheritance, nearest first. part: a name for the rows of
    this model where they share a table with those of its parent; "" otherwise.
    uuids: names of the columns with the type UUID, those of the keys of other tables included.
    Tenants in these columns are equal in every spelling; in all others the text must be the same.
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
        """The column names of the primary key, in order."""
        return tuple(self.columns[attribute] for attribute in self.key)

    def leads_to_one(self, name: str) -> bool:
        """Whether this relation is a foreign key of the table: it leads to one row at most."""
        relation = self.relations[name]
        if relation.many is not None:
            return not relation.many
        return relation.through is None and relation.own not in self.key_columns


@attrs.frozen
class Join:
    """One step from a table to another: to the rows of `table` whose column `theirs` equals the
    column `own` here.

    inserts: whether a new row there can belong to an existing row here. False for the other end of
    an enforced foreign key, which saves each insert there a look-up here.
    """

    table: str
    own: str
    theirs: str
    inserts: bool = True


@attrs.frozen
class RelatedSpec:
    """Rows of another table that a document is made of: the way to them, and the columns read.

    columns: () if the document depends on which rows there are, and on none of their columns.
    """

    joins: tuple[Join, ...]
    columns: tuple[str, ...] = ()


@attrs.frozen
class TriggerSpec:
    """Which changes the triggers of one collection have to capture.

    columns: own columns that the documents are made of. The columns of the key, the tenant and the
    joins count in any case. tenant: own column that names the tenant; None if none does.
    everything: whether every column of `table` counts.
    """

    collection: str
    table: Table
    columns: tuple[str, ...] = ()
    tenant: str | None = None
    related: tuple[RelatedSpec, ...] = ()
    everything: bool = False
