"""The triggers of one index: generated from what its documents are made of, installed and replaced.

`trigger_spec` derives from a declaration which columns matter. `Capture` generates the triggers and
keeps those in the database up to date. They see every write to the tables by any program, and add a
pending change to the outbox within the same transaction.

=================================  =================================================================
what triggers do not see           why
=================================  =================================================================
TRUNCATE on MySQL and MariaDB      it fires no trigger
a partition that is attached,      PostgreSQL fires triggers of the partitioned table alone
detached or truncated as a whole
writes of a replica, PostgreSQL    ``session_replication_role`` disables ordinary triggers
a row that REPLACE evicts, SQLite  by a unique index of an expression, or one created after the
                                   triggers
a circle of cascades               MySQL's cascades fire no triggers; the way up is followed to each
                                   table once
=================================  =================================================================

Tested by tests/orm/test_triggers.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from typing import Any, Literal

import attrs

from semantic_core._validation import check_name
from semantic_core.errors import ConfigError
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.dialects import (
    OUTBOX,
    TABLES,
    differs,
    identifier,
    key_text,
    literal,
    outbox_tables_query,
    split_name,
    table_identifier,
    tenant_text,
    without_triggers_query,
)
from semantic_core.orm.sql import Sql
from semantic_core.orm.tables import Join, RelatedSpec, Relation, Table, TriggerSpec
from semantic_core.orm.trigger_ddl import Trigger, create, drop, names_query

__all__ = ["Capture", "Join", "RelatedSpec", "TriggerSpec", "trigger_spec"]

Joins = tuple[Join, ...]
"""The way from the own table to a related one; () is the own table itself."""


class Capture:
    """The triggers of one collection.

    sql: the application's connection. Use it outside of a transaction, which MySQL would commit.
    """

    def __init__(self, sql: Sql, spec: TriggerSpec) -> None:
        self.sql = sql
        self._dialect = sql.dialect
        self._spec = spec
        self._collection = literal(sql.dialect, check_name("collection", spec.collection))
        self._prefix = f"semantic_{_short_hash(spec.collection)}_"

    @cached_property
    def version(self) -> str:
        """Eight hex digits that change when the triggers do."""
        statements = [create(self._dialect, each.what, each) for each in self._triggers]
        return _short_hash("\n".join(statements))

    def statements(self) -> list[str]:
        """The statements that create the triggers, one for each.

        Nothing is changed. On MySQL the foreign keys are read.
        """
        return list(self._wanted.values())

    def install(self) -> bool:
        """Create missing triggers, then drop those of an earlier version. Returns whether anything
        changed.

        No change of a row is missed in between, and several processes may install at once. Raises
        ConfigError, before any change, if a column or the outbox does not exist: writes to the
        tables would fail.
        """
        wanted = self._wanted
        missing = wanted.keys() - self._existing(complete=True)
        if missing:
            self._check()
        for name, statement in wanted.items():
            if name in missing:
                self.sql.execute(statement, ())
        outdated = self._existing(complete=False) - wanted.keys()
        for name in sorted(outdated):
            self.sql.execute(drop(self._dialect, name), ())
        return bool(missing or outdated)

    def installed(self) -> bool:
        """Whether all triggers of this version exist."""
        return self._wanted.keys() <= self._existing(complete=True)

    def remove(self) -> None:
        """Drop the triggers of this collection, of any version."""
        for name in sorted(self._existing(complete=False)):
            self.sql.execute(drop(self._dialect, name), ())

    def existing(self) -> set[str]:
        """The names of the triggers, of any version, that exist and are enabled."""
        return self._existing(complete=True)

    def refuse_views(self) -> None:
        """Raise ConfigError if the own table, or a related one, can have no triggers."""
        names = {self._spec.table.name: None}
        for joins in self._related:
            names[joins[-1].table] = None
        for name in names:
            query, params = without_triggers_query(self._dialect, name, self.sql.param)
            if int(self.sql.value(query, params)):
                raise ConfigError(
                    f"{self._spec.collection} cannot be captured by triggers: {name} is a view or "
                    "a virtual table, where no trigger fires.",
                    hint=(
                        'Index a model of a table, or use capture="events", which sees what the '
                        "ORM writes to this one."
                    ),
                )

    # --- what exists in the database --------------------------------------------------------------

    @cached_property
    def _wanted(self) -> Mapping[str, str]:
        """The statement that creates each trigger, by the trigger's name."""
        found: dict[str, str] = {}
        for trigger in self._triggers:
            name = f"{self._prefix}{trigger.what}_{self.version}"
            found[name] = create(self._dialect, name, trigger)
        return found

    def _existing(self, *, complete: bool) -> set[str]:
        query = names_query(self._dialect, len(self._prefix), self.sql.param, complete=complete)
        return set(map(str, self.sql.values(query, [self._prefix])))

    def _check(self) -> None:
        """Check the tables and columns that the triggers name: databases check a trigger only when
        it fires.
        """
        query = outbox_tables_query(self._dialect, self.sql.param)
        if int(self.sql.value(query, TABLES)) < len(TABLES):
            raise ConfigError(
                f"There is no table {OUTBOX} for the triggers to write to.",
                hint="Call create() of the outbox.",
            )
        if self._dialect == "mysql":
            self._check_schemas()
        self._check_columns((), self._own_columns)
        for joins, columns in self._related.items():
            self._check_columns(joins, columns)
        self.refuse_views()

    def _check_schemas(self) -> None:
        """Raise ConfigError for a table in another database of the MySQL server."""
        here = str(self.sql.value("SELECT DATABASE()"))
        names: dict[str, None] = {}
        for joins in [(), *self._related]:
            names.update(dict.fromkeys(self._tables(joins)))
        for name in names:
            schema = split_name(self._dialect, name)[0]
            if schema and schema != here:
                raise ConfigError(
                    f"{name} is in another database than the connection's, {here}.",
                    hint="Connect to its database.",
                )

    def _check_columns(self, joins: Joins, columns: Sequence[str]) -> None:
        alias = f"t{len(joins)}"
        read = ", ".join(f"{alias}.{self._name(column)}" for column in columns)
        try:
            self.sql.execute(f"SELECT {read} {self._from(joins)} WHERE 1 = 0", ())
        except Exception as error:
            table = joins[-1].table if joins else self._spec.table.name
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"{self._spec.collection} cannot be captured by triggers: {', '.join(columns)} of "
                f"{table} cannot be read: {reason}.",
                hint="Migrate the database first, or correct the model.",
            ) from error

    # --- what the triggers do ---------------------------------------------------------------------

    @cached_property
    def _own_columns(self) -> tuple[str, ...]:
        spec = self._spec
        columns = [*spec.table.key_columns]
        if spec.tenant is not None:
            columns.append(spec.tenant)
        columns += spec.table.columns.values() if spec.everything else spec.columns
        for related in spec.related:
            if related.joins:
                columns.append(related.joins[0].own)
        return tuple(dict.fromkeys(columns))

    @property
    def _address_columns(self) -> tuple[str, ...]:
        """The columns that the address of a row is made of."""
        if self._spec.tenant is None:
            return self._spec.table.key_columns
        return (*self._spec.table.key_columns, self._spec.tenant)

    @cached_property
    def _related(self) -> dict[Joins, tuple[str, ...]]:
        """Per way to a related table the columns of it that matter, those of the joins included."""
        found: dict[Joins, dict[str, None]] = {}
        for related in self._spec.related:
            for depth, join in enumerate(related.joins, start=1):
                columns = found.setdefault(related.joins[:depth], {})
                columns[join.theirs] = None
                if depth < len(related.joins):
                    columns[related.joins[depth].own] = None
                else:
                    columns.update(dict.fromkeys(related.columns))
        return {joins: tuple(columns) for joins, columns in found.items()}

    @cached_property
    def _triggers(self) -> tuple[Trigger, ...]:
        related = list(enumerate(self._related.items()))
        triggers = [*self._own()]
        for number, (joins, columns) in related:
            triggers += self._of_related(f"related{number}", joins, columns)
        if self._dialect == "sqlite":
            triggers += self._of_evicted("own", (), self._address_columns)
            for number, (joins, columns) in related:
                triggers += self._of_evicted(f"related{number}", joins, columns)
        if self._dialect == "mysql":
            triggers += self._of_cascades()
        return tuple(triggers)

    def _own(self) -> Iterator[Trigger]:
        """The triggers on the own table."""
        name = self._spec.table.name
        source = " FROM DUAL" if self._dialect == "mysql" else ""
        new = f"{self._add_row('NEW')}{source} WHERE {self._has_key('NEW')}"
        old = f"{self._add_row('OLD')}{source} WHERE {self._has_key('OLD')}"
        moved = f"{old} AND ({self._differ(self._address_columns)})"
        changed = self._differ(self._own_columns)
        yield Trigger("insert", name, "AFTER", "INSERT", (new,))
        yield Trigger("update", name, "AFTER", "UPDATE", (moved, new), changed)
        yield Trigger("delete", name, "AFTER", "DELETE", (old,))
        if self._dialect == "postgresql":
            whole_table = self._add(f"{self._collection}, '', ''")
            yield Trigger("truncate", name, "AFTER", "TRUNCATE", (whole_table,))

    def _of_related(self, what: str, joins: Joins, columns: tuple[str, ...]) -> Iterator[Trigger]:
        """The triggers on a related table. They look up the own rows by the joining column, as it
        was before the write and as it is after.

        MySQL's cascades change the own rows before an AFTER trigger runs, and fire no trigger on
        them. So BEFORE triggers look them up as well.
        """
        table = joins[-1].table
        reads = tuple(self._tables(joins[:-1]))
        of_old = (self._add_owners(joins, "OLD"),)
        of_new = (self._add_owners(joins, "NEW"),)
        of_both = (self._add_owners(joins, "OLD", "NEW"),)
        changed = self._differ(columns)
        if joins[-1].inserts:
            yield Trigger(f"{what}_insert", table, "AFTER", "INSERT", of_new, reads=reads)
        yield Trigger(f"{what}_update", table, "AFTER", "UPDATE", of_both, changed, reads)
        if self._dialect == "mysql":
            moved = self._differ([joins[-1].theirs])
            yield Trigger(f"{what}_before", table, "BEFORE", "UPDATE", of_old, moved)
            yield Trigger(f"{what}_delete", table, "BEFORE", "DELETE", of_old)
        else:
            yield Trigger(f"{what}_delete", table, "AFTER", "DELETE", of_old, reads=reads)
        if self._dialect == "postgresql":
            address = self._address("t0")
            every = f"DISTINCT {address} {self._from(joins)} WHERE {self._has_key('t0')}"
            body = (self._add(every),)
            yield Trigger(f"{what}_truncate", table, "BEFORE", "TRUNCATE", body, reads=reads)

    def _of_evicted(self, what: str, joins: Joins, columns: tuple[str, ...]) -> Iterator[Trigger]:
        """The triggers for rows that a REPLACE of SQLite evicts in favour of a row that differs in
        these columns. For any other write the look-up finds no row.
        """
        table = joins[-1].table if joins else self._spec.table.name
        row = f"t{len(joins)}"
        changed = differs("sqlite", columns, row)
        inserted: list[str] = []
        updated: list[str] = []
        moved: list[str] = []
        for unique in uniques(self.sql, table):
            if unique.decides(columns):
                continue
            evicted = (
                f"DISTINCT {self._address('t0')} {self._from_the_end(joins)} "
                f"WHERE {unique.matches(row)} AND ({changed}) AND {self._has_key('t0')}"
            )
            inserted.append(self._add(evicted))
            updated.append(self._add(f"{evicted} AND {unique.changes}"))
            moved.append(unique.changes)
        if inserted:
            when = " OR ".join(moved)
            by_update = f"{what}_evicts_by_update"
            yield Trigger(f"{what}_evicts", table, "BEFORE", "INSERT", tuple(inserted))
            yield Trigger(by_update, table, "BEFORE", "UPDATE", tuple(updated), when)

    def _of_cascades(self) -> Iterator[Trigger]:
        """The triggers on parent tables whose deletions, or changes of keys, cascade to own rows or
        to rows related to them: MySQL fires no trigger for the cascade itself.
        """
        keys = foreign_keys(self.sql)
        reached: list[tuple[Joins, tuple[str, ...] | None]] = [((), self._own_columns)]
        reached += self._related.items()
        number = 0
        for joins, columns in reached:  # the list grows during the loop
            tables = [split_name(self._dialect, name)[1] for name in self._tables(joins)]
            for key in keys.get(tables[-1], ()):
                read = columns is not None and key.column in columns
                deletes = key.on_delete == "CASCADE" or (read and key.on_delete in _SETS)
                updates = read and (key.on_update == "CASCADE" or key.on_update in _SETS)
                if not (deletes or updates):
                    continue
                further = (*joins, Join(key.parent, key.column, key.parent_column))
                circle = key.parent in tables
                handled = bool(joins) if circle else further in self._related
                if handled:
                    continue
                if deletes:
                    yield self._of_parent_delete(number, further, circle=circle)
                if updates:
                    yield from self._of_parent_update(number, further)
                if key.on_delete == "CASCADE" and not circle:
                    reached.append((further, None))
                number += 1

    def _of_parent_delete(self, number: int, joins: Joins, *, circle: bool) -> Trigger:
        """The trigger on a parent table for rows that its deletions cascade to."""
        body = self._add_descendants(joins[0]) if circle else self._add_owners(joins, "OLD")
        return Trigger(f"parent{number}_delete", joins[-1].table, "BEFORE", "DELETE", (body,))

    def _of_parent_update(self, number: int, joins: Joins) -> Iterator[Trigger]:
        """The triggers on a parent table for rows that its changes of keys cascade to."""
        table = joins[-1].table
        moved = self._differ([joins[-1].theirs])
        before = (self._add_owners(joins, "OLD"),)
        after = (self._add_owners(joins, "OLD", "NEW"),)
        yield Trigger(f"parent{number}_before", table, "BEFORE", "UPDATE", before, moved)
        yield Trigger(f"parent{number}_update", table, "AFTER", "UPDATE", after, moved)

    # --- their SQL --------------------------------------------------------------------------------

    def _add(self, values: str) -> str:
        """Add pending changes. values: what follows SELECT."""
        return f"INSERT INTO {OUTBOX} (collection, row_key, tenant) SELECT {values}"

    def _add_row(self, row: str) -> str:
        """Add a pending change for a row, OLD or NEW."""
        return self._add(self._address(row))

    def _add_owners(self, joins: Joins, *rows: str) -> str:
        """Add pending changes for the own rows at the beginning of the way whose end is OLD, NEW or
        both.
        """
        *before, last = joins
        _, theirs, own = self._join_names(last)
        found = ", ".join(f"{row}.{theirs}" for row in rows)
        where = f"WHERE t{len(before)}.{own} IN ({found}) AND {self._has_key('t0')}"
        return self._add(f"DISTINCT {self._address('t0')} {self._from(tuple(before))} {where}")

    def _add_descendants(self, join: Join) -> str:
        """Add pending changes for all rows below OLD in a tree of rows of the own table."""
        table, theirs, own = self._join_names(join)
        return (
            f"INSERT INTO {OUTBOX} (collection, row_key, tenant) "
            f"WITH RECURSIVE above (id) AS (SELECT OLD.{theirs} UNION "
            f"SELECT t0.{theirs} FROM {table} t0 JOIN above ON t0.{own} = above.id) "
            f"SELECT DISTINCT {self._address('t0')} FROM {table} t0 JOIN above "
            f"ON t0.{own} = above.id WHERE {self._has_key('t0')}"
        )

    def _address(self, row: str) -> str:
        key = key_text(self._dialect, row, self._spec.table.key_columns)
        return f"{self._collection}, {key}, {tenant_text(self._dialect, row, self._spec.tenant)}"

    def _has_key(self, row: str) -> str:
        """A condition: the key of the row is not NULL. SQLite lets most primary keys be NULL, and a
        row without a key is in no index.
        """
        names = [self._name(column) for column in self._spec.table.key_columns]
        return " AND ".join(f"{row}.{name} IS NOT NULL" for name in names)

    def _from(self, joins: Joins) -> str:
        """The own table as t0, joined to the tables on the way as t1, t2 and so on."""
        sql = f"FROM {self._table(self._spec.table.name)} t0"
        for number, join in enumerate(joins, start=1):
            table, theirs, own = self._join_names(join)
            sql += f" JOIN {table} t{number} ON t{number}.{theirs} = t{number - 1}.{own}"
        return sql

    def _from_the_end(self, joins: Joins) -> str:
        """The same from the other end. CROSS JOIN makes SQLite keep that order."""
        sql = "FROM"
        tables = self._tables(joins)
        for number in range(len(joins), -1, -1):
            sql += f" {self._table(tables[number])} t{number}"
            if number < len(joins):
                _, theirs, own = self._join_names(joins[number])
                sql += f" ON t{number + 1}.{theirs} = t{number}.{own}"
            if number:
                sql += " CROSS JOIN"
        return sql

    def _name(self, column: str) -> str:
        return identifier(self._dialect, column)

    def _table(self, name: str) -> str:
        return table_identifier(self._dialect, name)

    def _differ(self, columns: Sequence[str]) -> str:
        """A condition: OLD and NEW differ in one of these columns."""
        return differs(self._dialect, columns)

    def _tables(self, joins: Joins) -> list[str]:
        """The names of the own table and of those on the way."""
        return [self._spec.table.name, *(join.table for join in joins)]

    def _join_names(self, join: Join) -> tuple[str, str, str]:
        table = self._table(join.table)
        return table, self._name(join.theirs), self._name(join.own)


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


# --- foreign keys of MySQL, whose cascades fire no trigger ----------------------------------------

Rule = Literal["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT", "NO ACTION"]
_SETS: tuple[Rule, ...] = ("SET NULL", "SET DEFAULT")


@attrs.frozen
class ForeignKey:
    """A foreign key: its first column, the table and column of the parent, and what happens here
    when the parent is deleted or its key changes.
    """

    column: str
    parent: str
    parent_column: str
    on_delete: Rule
    on_update: Rule


def foreign_keys(sql: Sql) -> Mapping[str, tuple[ForeignKey, ...]]:
    """The foreign keys of this MySQL database, by table.

    Of a composite key the first column is read: that captures more rows, never fewer.
    """
    rows = sql.execute(
        "SELECT k.table_name, k.column_name, "
        "k.referenced_table_name, k.referenced_column_name, "
        "r.delete_rule, r.update_rule "
        "FROM information_schema.key_column_usage k "
        "JOIN information_schema.referential_constraints r "
        "ON r.constraint_schema = k.constraint_schema "
        "AND r.constraint_name = k.constraint_name "
        "AND r.table_name = k.table_name "
        "WHERE k.table_schema = DATABASE() "
        "AND k.referenced_table_schema = DATABASE() "
        "AND k.ordinal_position = 1 "
        "ORDER BY k.table_name, k.constraint_name",
        (),
    )
    found: dict[str, list[ForeignKey]] = {}
    for table, *rest in rows:
        found.setdefault(table, []).append(ForeignKey(*rest))
    return {table: tuple(keys) for table, keys in found.items()}


# --- unique columns of SQLite, by which REPLACE evicts rows ---------------------------------------


@attrs.frozen
class Unique:
    """Columns of which a table holds each combination once.

    A REPLACE of SQLite evicts the row that has the same combination. No delete trigger fires for it
    unless ``PRAGMA recursive_triggers`` is on, which belongs to the application. So the evicted row
    is captured before it goes.

    collations: how each column is compared; "" for the number that orders a table of SQLite.
    """

    columns: tuple[str, ...]
    collations: tuple[str, ...]

    def matches(self, row: str) -> str:
        """A condition: NEW evicts this row."""
        conditions: list[str] = []
        for column, collation in zip(self.columns, self.collations, strict=True):
            name = identifier("sqlite", column)
            condition = f"{row}.{name} = NEW.{name}"
            if collation:
                condition += f" COLLATE {identifier('sqlite', collation)}"
            conditions.append(condition)
        return " AND ".join(conditions)

    def decides(self, columns: Iterable[str]) -> bool:
        """Whether two rows that match have the same values in these columns."""
        exact: set[str] = set()
        for column, collation in zip(self.columns, self.collations, strict=True):
            if collation in ("", "BINARY"):
                exact.add(column)
        return exact.issuperset(columns)

    @property
    def changes(self) -> str:
        """A condition: an update changes one of these columns."""
        return f"({differs('sqlite', self.columns)})"


def uniques(sql: Sql, table: str) -> tuple[Unique, ...]:
    """The key and the unique indexes of a table of SQLite; () if there is no such table.

    A partial index counts for all rows: that captures more rows, never fewer. An index of an
    expression is left out.
    """
    param = sql.param
    keys = sql.values(
        f"SELECT name FROM pragma_table_info({param}) WHERE pk > 0 ORDER BY pk", [table]
    )
    indexed = sql.execute(
        f"SELECT l.name, x.name, x.coll FROM pragma_index_list({param}) AS l "
        'JOIN pragma_index_xinfo(l.name) AS x WHERE l."unique" AND x."key" '
        "ORDER BY l.name, x.seqno",
        [table],
    )
    found: dict[tuple[Any, ...], Unique] = {}
    if keys:
        columns = tuple(map(str, keys))
        found[columns] = Unique(columns, ("",) * len(columns))
    for _, rows in groupby(indexed, itemgetter(0)):
        _, columns, collations = zip(*rows, strict=True)
        if None not in columns:
            found[columns] = Unique(columns, collations)
    return tuple(found.values())


# --- from a declaration to the columns that matter ------------------------------------------------


def trigger_spec(adapter: AdapterContract) -> TriggerSpec:
    """The columns that the documents of an index are made of, and the ways to related tables.

    Raises ConfigError for a field that is no column, unless `watch_fields` names its columns.
    """
    table = adapter.table
    declaration = adapter.declaration
    own: list[str] = []
    related: dict[Joins, set[str]] = {}
    for path in declaration.paths:
        columns = _columns(adapter, table, path.split("."), ())
        if columns is None and declaration.watch_fields is None:
            raise ConfigError(
                f"{adapter.model.__name__}.{path} is no column, so its triggers cannot know "
                "what it is made of.",
                hint='Name the columns it reads: watch_fields=["title", "author.name"].',
            )
        for joins, column in columns or ():
            if joins:
                related.setdefault(joins, set()).add(column)
            else:
                own.append(column)
    if declaration.reads_anything:
        own = []
        for base, joins in _bases(adapter, table, ()):
            related.setdefault(joins, set()).update(base.columns.values())
    specs: list[RelatedSpec] = []
    for joins, read in related.items():
        specs.append(RelatedSpec(joins, tuple(sorted(read))))
    return TriggerSpec(
        collection=declaration.collection,
        table=table,
        columns=tuple(dict.fromkeys(own)),
        tenant=adapter.tenant_column,
        related=tuple(specs),
        everything=declaration.reads_anything,
    )


def _columns(
    adapter: AdapterContract, table: Table, names: list[str], joins: Joins
) -> list[tuple[Joins, str]] | None:
    """(way, column) of each column that the value of a dotted path is made of; None if the path
    leads to no column. names: the parts of the path from `table` on.
    """
    name = names[0]
    if name in table.columns:
        return [(joins, table.columns[name])]
    if name in table.relations:
        return _columns_of_relation(adapter, table, names, joins)
    for base, way in _bases(adapter, table, joins):
        found = _columns(adapter, base, names, way)
        if found:
            return found
    return None


def _columns_of_relation(
    adapter: AdapterContract, table: Table, names: list[str], joins: Joins
) -> list[tuple[Joins, str]] | None:
    name, *rest = names
    relation = table.relations[name]
    other, way = _join(adapter, relation, joins)
    to_one = table.leads_to_one(name)
    found = [(joins, relation.own)] if to_one else [(way, relation.theirs)]
    if rest:
        below = _columns(adapter, other, rest, way)
        return None if below is None else found + below
    if not to_one:
        for column in other.key_columns:
            found.append((way, column))
    return found


def _join(adapter: AdapterContract, relation: Relation, joins: Joins) -> tuple[Table, Joins]:
    """The table that a relation leads to, and the way there."""
    other = adapter.inspect(relation.model)
    through = relation.through
    if through is None:
        return other, (*joins, Join(other.name, relation.own, relation.theirs))
    between = Join(through.table, relation.own, through.own)
    return other, (*joins, between, Join(other.name, through.theirs, relation.theirs))


def _bases(adapter: AdapterContract, table: Table, joins: Joins) -> list[tuple[Table, Joins]]:
    """The tables of the parent models, each with the way there."""
    return [_join(adapter, relation, joins) for relation in table.bases]
