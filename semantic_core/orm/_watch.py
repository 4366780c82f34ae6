"""From a declaration to what its triggers listen to: own columns, parents' columns,
and columns of related rows.
"""

from __future__ import annotations

from semantic_core.errors import ConfigError
from semantic_core.orm._contract import AdapterContract
from semantic_core.orm._tables import Relation, Table
from semantic_core.orm.triggers import Join, RelatedWatch, Watch


def watch(adapter: AdapterContract) -> Watch:
    """What the adapter's index wants to hear of.

    Raises ConfigError for a field no column of which is known.
    """
    table, said = adapter.table, adapter.declaration
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
    return Watch(
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
    name, rest = parts[0], parts[1:]
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
    there, through = adapter.inspect(relation.model), relation.through
    if through is None:
        return there, (*joins, Join(there.name, relation.own, relation.theirs))
    between = Join(through.table, relation.own, through.own)
    return there, (*joins, between, Join(there.name, through.theirs, relation.theirs))


def _bases(
    adapter: AdapterContract, table: Table, joins: tuple[Join, ...]
) -> list[tuple[Table, tuple[Join, ...]]]:
    return [_join(adapter, relation, joins) for relation in table.bases]
