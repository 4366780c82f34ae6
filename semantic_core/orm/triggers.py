"""Triggers that note what changes: generated from what an index reads, named after it,
replaced when that changes.

They see every write to the tables, whoever makes it, and write addresses into the outbox within the
same transaction.

=================================  =================================================================
what they do not see               why
=================================  =================================================================
TRUNCATE on MySQL and MariaDB      it fires no trigger
a partition that comes, goes or    PostgreSQL tells only of the table it belongs to
is truncated as a whole
what a replica writes, PostgreSQL  ``session_replication_role`` silences ordinary triggers
a row that REPLACE evicts, SQLite  by a unique index of an expression, or one made after the
                                   triggers
a cascade that turns in a circle   MySQL's cascades fire no triggers; the way up is followed to each
                                   table once
=================================  =================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from itertools import groupby
from typing import Literal

import attrs

from semantic_core._validation import check_name
from semantic_core.errors import ConfigError
from semantic_core.orm.contract import AdapterContract
from semantic_core.orm.dialects import (
    OUTBOX,
    TABLES,
    SqlStatements,
    differs,
    has_no_rows_of_its_own,
    identifier,
    key_text,
    literal,
    split_name,
    table_identifier,
    tables_there,
    tenant_text,
)
from semantic_core.orm.tables import (
    Dialect,
    Execute,
    Join,
    RelatedWatch,
    Relation,
    Table,
    TriggerSpec,
)
from semantic_core.orm.trigger_ddl import Trigger, create, drop, names_there

# The foreign keys by which MySQL and MariaDB delete or change rows without firing a trigger.

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


# The rows REPLACE evicts on SQLite, which fires no delete trigger for them unless
# ``PRAGMA recursive_triggers`` is on. It also lets triggers set themselves off, and is the
# application's: so a row that is in the way of another is noted before.


@attrs.frozen
class Unique:
    """Columns of which a table holds each combination once.

    collations: how each is compared; "" for the number a table of SQLite is ordered by.
    """

    columns: tuple[str, ...]
    collations: tuple[str, ...]

    def matches(self, row: str) -> str:
        """A condition: this row is in the way of NEW."""
        compared = zip(self.columns, self.collations, strict=True)
        return " AND ".join(
            f"{row}.{_name(column)} = NEW.{_name(column)}"
            + (f" COLLATE {_name(collation)}" if collation else "")
            for column, collation in compared
        )

    def decides(self, columns: Iterable[str]) -> bool:
        """Whether rows that match cannot differ in these columns."""
        exact = {
            column
            for column, collation in zip(self.columns, self.collations, strict=True)
            if collation in ("", "BINARY")
        }
        return exact.issuperset(columns)

    @property
    def changes(self) -> str:
        """A condition: an update gives one of these columns another value."""
        return f"({differs('sqlite', self.columns)})"


def uniques(execute: Execute, mark: str, table: str) -> tuple[Unique, ...]:
    """What a table of SQLite holds once: its key, and its unique indexes; () if it is not there.

    Of a partial index all rows are meant: that notes more, never fewer. One of an expression is
    left out.
    """
    key = [
        str(name)
        for (name,) in execute(
            f"SELECT name FROM pragma_table_info({mark}) WHERE pk > 0 ORDER BY pk", [table]
        )
    ]
    rows = execute(
        "SELECT l.name, x.name, x.coll FROM pragma_index_list("
        f'{mark}) AS l JOIN pragma_index_xinfo(l.name) AS x WHERE l."unique" AND x."key" '
        "ORDER BY l.name, x.seqno",
        [table],
    )
    found = {} if not key else {tuple(key): Unique(tuple(key), ("",) * len(key))}
    for _, group in groupby(rows, lambda row: row[0]):
        columns, collations = zip(*(each[1:] for each in group), strict=True)
        if None not in columns:
            found[columns] = Unique(columns, collations)
    return tuple(found.values())


def _name(name: str) -> str:
    return identifier("sqlite", name)


__all__ = ["Capture", "Join", "RelatedWatch", "TriggerSpec"]

Way = tuple[Join, ...]


class Capture(SqlStatements):
    """The triggers of one collection.

    execute, placeholder: as for `SqlOutbox`; meant to run outside of a transaction, which MySQL
    would commit.
    """

    def __init__(
        self, execute: Execute, dialect: Dialect, watch: TriggerSpec, *, placeholder: str = ""
    ) -> None:
        super().__init__(execute, dialect, placeholder)
        self._watch = watch
        self._collection = literal(dialect, check_name("collection", watch.collection))
        self._prefix = f"semantic_{_short_hash(watch.collection)}_"

    @property
    def version(self) -> str:
        """Eight hex digits that change when the triggers do."""
        return _short_hash(
            "\n".join(create(self._dialect, trigger.what, trigger) for trigger in self._triggers)
        )

    def statements(self) -> list[str]:
        """The statements that make the triggers, each by itself.

        Nothing is changed; MySQL's foreign keys are read.
        """
        return list(self._named().values())

    def install(self) -> bool:
        """Make what is missing, then drop what an earlier version left; whether anything changed.

        Nothing is missed in between, and any number of processes may do so at once. Raises
        ConfigError, before any change, if a column is not there or the outbox is not: writes to the
        tables would fail.
        """
        wanted = self._named()
        missing = wanted.keys() - self._there(complete=True)
        if missing:
            self._check()
        for name in wanted:
            if name in missing:
                self._execute(wanted[name], ())
        left = self._there(complete=False) - wanted.keys()
        for name in sorted(left):
            self._execute(drop(self._dialect, name), ())
        return bool(missing or left)

    def installed(self) -> bool:
        """Whether all triggers of this version are there."""
        return self._named().keys() <= self._there(complete=True)

    def remove(self) -> None:
        """Drop the triggers of this collection, of whatever version."""
        for name in sorted(self._there(complete=False)):
            self._execute(drop(self._dialect, name), ())

    def there(self) -> set[str]:
        """Names of those of any version that are there and fire."""
        return self._there(complete=True)

    # --- which there are --------------------------------------------------------------------------

    def _named(self) -> dict[str, str]:
        version = self.version
        names = {
            trigger.what: f"{self._prefix}{trigger.what}_{version}" for trigger in self._triggers
        }
        return {
            names[trigger.what]: create(self._dialect, names[trigger.what], trigger)
            for trigger in self._triggers
        }

    def _there(self, *, complete: bool) -> set[str]:
        sql = names_there(self._dialect, len(self._prefix), self._mark, complete=complete)
        return {str(row[0]) for row in self._execute(sql, [self._prefix])}

    def _check(self) -> None:
        """A trigger is not looked at before it fires; so look at all it names now."""
        if int(self._value(tables_there(self._dialect, self._mark), TABLES)) < len(TABLES):
            raise ConfigError(
                f"There is no table {OUTBOX} for the triggers to write to.",
                hint="Call create() of the outbox.",
            )
        if self._dialect == "mysql":
            here = str(self._value("SELECT DATABASE()"))
            for name in {
                self._watch.table.name,
                *(join.table for way in self._related for join in way),
            }:
                schema = split_name(self._dialect, name)[0]
                if schema and schema != here:
                    raise ConfigError(
                        f"{name} is in another database than the connection's, {here}.",
                        hint="Connect to its database.",
                    )
        checked = {(): self._own_columns, **self._related}
        for way, columns in checked.items():
            read = ", ".join(
                f"t{len(way)}.{identifier(self._dialect, column)}" for column in columns
            )
            try:
                self._execute(f"SELECT {read} {self._from(way)} WHERE 1 = 0", ())
            except Exception as error:
                table = way[-1].table if way else self._watch.table.name
                raise ConfigError(
                    f"{self._watch.collection} cannot be kept by triggers: {', '.join(columns)} of "
                    f"{table} cannot be read: {str(error).partition(chr(10))[0]}.",
                    hint="Migrate the database first, or correct the model.",
                ) from error
        self.refuse_views()

    def refuse_views(self) -> None:
        """Raise ConfigError if the table, or one that is read through, can have no triggers."""
        for name in dict.fromkeys(
            (self._watch.table.name, *(way[-1].table for way in self._related))
        ):
            sql, params = has_no_rows_of_its_own(self._dialect, name, self._mark)
            if int(self._value(sql, params)):
                raise ConfigError(
                    f"{self._watch.collection} cannot be kept by triggers: {name} is a view or a "
                    "virtual table, where none fire.",
                    hint=(
                        'Index a model of a table, or use capture="events", which hears what the '
                        "ORM writes to this one."
                    ),
                )

    # --- what they do -----------------------------------------------------------------------------

    @cached_property
    def _own_columns(self) -> tuple[str, ...]:
        watch = self._watch
        table = self._watch.table
        read = table.columns.values() if watch.everything else watch.columns
        joins = [related.joins[0].own for related in watch.related if related.joins]
        tenant = [watch.tenant] if watch.tenant is not None else []
        return tuple(dict.fromkeys([*table.key_columns, *tenant, *read, *joins]))

    @property
    def _moving(self) -> tuple[str, ...]:
        """The columns an address is made of."""
        tenant = () if self._watch.tenant is None else (self._watch.tenant,)
        return (*self._watch.table.key_columns, *tenant)

    @cached_property
    def _related(self) -> dict[Way, tuple[str, ...]]:
        """Per way to a related table the columns of it that matter,
        those of the joins among them.
        """
        found: dict[Way, dict[str, None]] = {}
        for related in self._watch.related:
            for depth, join in enumerate(related.joins, start=1):
                further = (
                    [related.joins[depth].own] if depth < len(related.joins) else related.columns
                )
                found.setdefault(related.joins[:depth], {}).update(
                    dict.fromkeys([join.theirs, *further])
                )
        return {way: tuple(columns) for way, columns in found.items()}

    @cached_property
    def _triggers(self) -> tuple[Trigger, ...]:
        triggers = [*self._own()]
        for number, (way, columns) in enumerate(self._related.items()):
            triggers += self._of_related(f"related{number}", way, columns)
        if self._dialect == "sqlite":
            triggers += self._of_evicted("own", (), self._moving)
            for number, (way, columns) in enumerate(self._related.items()):
                triggers += self._of_evicted(f"related{number}", way, columns)
        if self._dialect == "mysql":
            triggers += self._of_cascades()
        return tuple(triggers)

    def _own(self) -> Iterator[Trigger]:
        table = self._watch.table
        nowhere = " FROM DUAL" if self._dialect == "mysql" else ""
        new = f"{self._select('NEW')}{nowhere} WHERE {self._has_key('NEW')}"
        old = f"{self._select('OLD')}{nowhere} WHERE {self._has_key('OLD')}"
        left = f"{old} AND ({differs(self._dialect, self._moving)})"
        yield Trigger("insert", table.name, "AFTER", "INSERT", (new,))
        yield Trigger(
            "update",
            table.name,
            "AFTER",
            "UPDATE",
            (left, new),
            differs(self._dialect, self._own_columns),
        )
        yield Trigger("delete", table.name, "AFTER", "DELETE", (old,))
        if self._dialect == "postgresql":
            yield Trigger(
                "truncate",
                table.name,
                "AFTER",
                "TRUNCATE",
                (self._ticket(f"{self._collection}, '', ''"),),
            )

    def _of_related(self, what: str, way: Way, columns: tuple[str, ...]) -> Iterator[Trigger]:
        """What belongs to a related row is looked up by the column that joins it,
        as it was and as it is.

        MySQL's cascades have changed the rows here before an AFTER trigger looks, and fire none
        here: so BEFORE looks too.
        """
        table = way[-1].table
        theirs = way[-1].theirs
        differ = differs(self._dialect, columns)
        reads = (self._watch.table.name, *(join.table for join in way[:-1]))
        if way[-1].inserts:
            yield Trigger(
                f"{what}_insert", table, "AFTER", "INSERT", (self._owners(way, "NEW"),), reads=reads
            )
        yield Trigger(
            f"{what}_update",
            table,
            "AFTER",
            "UPDATE",
            (self._owners(way, "OLD", "NEW"),),
            differ,
            reads,
        )
        if self._dialect == "mysql":
            joined = differs(self._dialect, [theirs])
            yield Trigger(
                f"{what}_before", table, "BEFORE", "UPDATE", (self._owners(way, "OLD"),), joined
            )
            yield Trigger(f"{what}_delete", table, "BEFORE", "DELETE", (self._owners(way, "OLD"),))
        else:
            yield Trigger(
                f"{what}_delete", table, "AFTER", "DELETE", (self._owners(way, "OLD"),), reads=reads
            )
        if self._dialect == "postgresql":
            every = f"DISTINCT {self._address('t0')} {self._from(way)} WHERE {self._has_key('t0')}"
            everyone = self._ticket(every)
            yield Trigger(f"{what}_truncate", table, "BEFORE", "TRUNCATE", (everyone,), reads=reads)

    def _of_evicted(self, what: str, way: Way, columns: tuple[str, ...]) -> Iterator[Trigger]:
        """Rows at the end of a way that a REPLACE evicts for one that differs in these columns.

        Where nothing is replaced, none is in the way, and the look-up finds nothing.
        """
        table = way[-1].table if way else self._watch.table.name
        row = f"t{len(way)}"
        once = [
            unique
            for unique in uniques(self._execute, self._mark, table)
            if not unique.decides(columns)
        ]
        differ = differs("sqlite", columns, row)
        found = [
            f"DISTINCT {self._address('t0')} {self._from_the_end(way)} "
            f"WHERE {unique.matches(row)} AND ({differ}) AND {self._has_key('t0')}"
            for unique in once
        ]
        if not found:
            return
        inserted = tuple(map(self._ticket, found))
        yield Trigger(f"{what}_evicts", table, "BEFORE", "INSERT", inserted)
        changed = [f"{sql} AND {each.changes}" for sql, each in zip(found, once, strict=True)]
        some = " OR ".join(unique.changes for unique in once)
        updated = tuple(map(self._ticket, changed))
        yield Trigger(f"{what}_evicts_by_update", table, "BEFORE", "UPDATE", updated, some)

    def _of_cascades(self) -> Iterator[Trigger]:
        """Parents whose deletion, or change of key,
        reaches rows of ours or rows related to them.
        """
        keys = foreign_keys(self._execute)
        reached: list[tuple[Way, tuple[str, ...] | None]] = [
            ((), self._own_columns),
            *self._related.items(),
        ]
        number = 0
        for way, columns in reached:  # grows while it is gone through
            tables = [
                split_name(self._dialect, name)[1]
                for name in (self._watch.table.name, *(join.table for join in way))
            ]
            for key in keys.get(tables[-1], ()):
                read = columns is not None and key.column in columns
                deletes = key.on_delete == "CASCADE" or (read and key.on_delete.startswith("SET"))
                updates = read and (key.on_update == "CASCADE" or key.on_update.startswith("SET"))
                further = (*way, Join(key.parent, key.column, key.parent_column))
                circle = key.parent in tables
                if not (deletes or updates) or (way if circle else further in self._related):
                    continue
                if deletes:
                    owners = (
                        self._descendants(further[0]) if circle else self._owners(further, "OLD")
                    )
                    yield Trigger(
                        f"parent{number}_delete", key.parent, "BEFORE", "DELETE", (owners,)
                    )
                if updates:
                    differ = differs(self._dialect, [key.parent_column])
                    before = self._owners(further, "OLD")
                    after = self._owners(further, "OLD", "NEW")
                    yield Trigger(
                        f"parent{number}_before", key.parent, "BEFORE", "UPDATE", (before,), differ
                    )
                    yield Trigger(
                        f"parent{number}_update", key.parent, "AFTER", "UPDATE", (after,), differ
                    )
                if key.on_delete == "CASCADE" and not circle:
                    reached.append((further, None))
                number += 1

    # --- in SQL -----------------------------------------------------------------------------------

    def _ticket(self, values: str) -> str:
        return f"INSERT INTO {OUTBOX} (collection, row_key, tenant) SELECT {values}"

    def _select(self, row: str) -> str:
        return self._ticket(self._address(row))

    def _address(self, row: str) -> str:
        key = key_text(self._dialect, row, self._watch.table.key_columns)
        return f"{self._collection}, {key}, {tenant_text(self._dialect, row, self._watch.tenant)}"

    def _has_key(self, row: str) -> str:
        """A condition: the row can be named.

        SQLite lets most primary keys be NULL, and such a row can be in no index.
        """
        names = [identifier(self._dialect, column) for column in self._watch.table.key_columns]
        return " AND ".join(f"{row}.{name} IS NOT NULL" for name in names)

    def _from(self, way: Way) -> str:
        """The own table as t0, joined to the tables on the way as t1, t2 and so on."""
        sql = f"FROM {table_identifier(self._dialect, self._watch.table.name)} t0"
        for number, join in enumerate(way, start=1):
            table, theirs, own = self._join_names(join)
            sql += f" JOIN {table} t{number} ON t{number}.{theirs} = t{number - 1}.{own}"
        return sql

    def _from_the_end(self, way: Way) -> str:
        """The same, gone through from the other end: SQLite keeps to the order of CROSS JOIN."""
        sql = "FROM"
        tables = [self._watch.table.name, *(join.table for join in way)]
        for number in range(len(way), -1, -1):
            sql += f" {table_identifier(self._dialect, tables[number])} t{number}"
            if number < len(way):
                _, theirs, own = self._join_names(way[number])
                sql += f" ON t{number + 1}.{theirs} = t{number}.{own}"
            if number:
                sql += " CROSS JOIN"
        return sql

    def _owners(self, way: Way, *rows: str) -> str:
        """Tickets for the rows of ours at the beginning of the way, of the rows OLD,
        NEW or both at its end.
        """
        *before, last = way
        _, theirs, own = self._join_names(last)
        found = ", ".join(f"{row}.{theirs}" for row in rows)
        where = f"WHERE t{len(before)}.{own} IN ({found}) AND {self._has_key('t0')}"
        return self._ticket(f"DISTINCT {self._address('t0')} {self._from(tuple(before))} {where}")

    def _descendants(self, join: Join) -> str:
        """Tickets for the rows below OLD in a tree of rows of the own table, however deep."""
        table, theirs, own = self._join_names(join)
        tree = (
            f"WITH RECURSIVE above (id) AS (SELECT OLD.{theirs} UNION "
            f"SELECT t0.{theirs} FROM {table} t0 JOIN above ON t0.{own} = above.id)"
        )
        tickets = (
            f"SELECT DISTINCT {self._address('t0')} FROM {table} t0 JOIN above "
            f"ON t0.{own} = above.id"
        )
        tickets += f" WHERE {self._has_key('t0')}"
        return f"INSERT INTO {OUTBOX} (collection, row_key, tenant) {tree} {tickets}"

    def _join_names(self, join: Join) -> tuple[str, str, str]:
        table = table_identifier(self._dialect, join.table)
        return table, identifier(self._dialect, join.theirs), identifier(self._dialect, join.own)


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]


# From a declaration to what its triggers listen to: own columns, parents' columns,
# and columns of related rows.


def watch(adapter: AdapterContract) -> TriggerSpec:
    """What the adapter's index wants to hear of.

    Raises ConfigError for a field no column of which is known.
    """
    table = adapter.table
    said = adapter.declaration
    own: list[str] = []
    related: dict[tuple[Join, ...], set[str]] = {}
    for path in said.paths:
        read = _columns(adapter, table, path.split("."), ())
        if read is None and said.watch_fields is None:
            raise ConfigError(
                (
                    f"{adapter.model.__name__}.{path} is no column, so its triggers cannot know "
                    "what it is made of."
                ),
                hint='Name the columns it reads: watch_fields=["title", "author.name"].',
            )
        for joins, column in read or ():
            if joins:
                related.setdefault(joins, set()).add(column)
            else:
                own.append(column)
    columns = () if said.reads_anything else tuple(dict.fromkeys(own))
    if said.reads_anything:
        for base, joins in _bases(adapter, table, ()):
            related.setdefault(joins, set()).update(base.columns.values())
    return TriggerSpec(
        collection=said.collection,
        table=table,
        columns=columns,
        tenant=adapter.tenant_column,
        related=tuple(
            RelatedWatch(joins, tuple(sorted(columns))) for joins, columns in related.items()
        ),
        everything=said.reads_anything,
    )


def _columns(
    adapter: AdapterContract, table: Table, parts: list[str], joins: tuple[Join, ...]
) -> list[tuple[tuple[Join, ...], str]] | None:
    """(way there, column) of everything a change of which changes the value of this path;
    None if that cannot be told.
    """
    name = parts[0]
    rest = parts[1:]
    if name in table.columns:
        return [(joins, table.columns[name])]
    if name in table.relations:
        relation = table.relations[name]
        there, way = _join(adapter, relation, joins)
        one = table.leads_to_one(name)
        here = [(joins, relation.own)] if one else [(way, relation.theirs)]
        if rest:
            below = _columns(adapter, there, rest, way)
            return None if below is None else here + below
        return here if one else [*here, *((way, column) for column in there.key_columns)]
    for base, way in _bases(adapter, table, joins):
        found = _columns(adapter, base, parts, way)
        if found:
            return found
    return None


def _join(
    adapter: AdapterContract, relation: Relation, joins: tuple[Join, ...]
) -> tuple[Table, tuple[Join, ...]]:
    there = adapter.inspect(relation.model)
    through = relation.through
    if through is None:
        return there, (*joins, Join(there.name, relation.own, relation.theirs))
    between = Join(through.table, relation.own, through.own)
    return there, (*joins, between, Join(there.name, through.theirs, relation.theirs))


def _bases(
    adapter: AdapterContract, table: Table, joins: tuple[Join, ...]
) -> list[tuple[Table, tuple[Join, ...]]]:
    return [_join(adapter, relation, joins) for relation in table.bases]
