"""Scopes whose documents are listed instead of being checked chunk by chunk: those of few documents
and those of given keys.

Tested by tests/sqlite/test_text_search.py, tests/sqlite/test_filters.py and
tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from semantic_core_peewee.sqlite import revisions
from semantic_core_peewee.sqlite.filters import compile_scope, is_collection_name, of_listed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Scope
    from semantic_core_peewee.sqlite.filters import Bound, Clause
    from semantic_core_peewee.sqlite.pool import View

_KEYS = "keys"
_ONE_BY_ONE = """select group_concat(d.id)
    from json_each(?) as j
    cross join semantic_index_document as d indexed by semantic_index_document_ref
    where d.generation = ? and d.tenant = ? and d.collection = ? and d.key = j.value and {}"""
_COUNTED = """select count(*)
    from semantic_index_document as d indexed by semantic_index_document_ref
    where d.generation = ? and d.tenant = ? and d.collection = ?"""
# No key has a control character, so a line break separates them.
_ALL = """select group_concat(d.key, char(10)), group_concat(d.id)
    from semantic_index_document as d indexed by semantic_index_document_ref
    where d.generation = ? and d.tenant = ? and d.collection = ? and {}"""
_MOST_SHARED = 200_000
"""Keys that are remembered longer than a transaction: about 100 bytes each."""
_FEW_KEYS = 1_000
"""Keys that are looked up one by one, whatever the size of the collection."""
_DENSE = 3
"""How many times more documents than keys there may be where all are read at once: to read one
costs about a third of looking one up.
"""


def scope_clause(view: View, scope: Scope) -> Clause:
    """The documents in scope, as this transaction sees them.

    The documents of a scope with keys are looked up here, each with one look into an index; the
    latest ones are remembered until something is written.
    """
    clause = compile_scope(scope, view.generation)
    if scope.keys is None:
        return clause
    few = sum(map(len, scope.keys.values())) <= _MOST_SHARED
    known = view.shared.scopes if few and view.shared else view.kept.setdefault(_KEYS, [])
    state = (revisions.get(view, revisions.WHOLE_STORE), clause.sql, clause.values)
    for each in tuple(known):
        if each.state == state and each.keys == scope.keys:
            return cast("Clause", each.clause)
    made = of_listed(_of_keys(view, scope, clause))
    known.append(_KnownKeys(state, scope.keys, made))
    return made


class _KnownKeys(NamedTuple):
    """The documents with some keys. state: of the store, with what else they fulfil."""

    state: tuple[Any, ...]
    keys: Mapping[str, frozenset[str]]
    clause: Clause


def _of_keys(view: View, scope: Scope, clause: Clause) -> NDArray[np.int64]:
    """The ids of the documents with the keys of a scope that fulfil its clause, ascending."""
    found = [numbers(None)]
    for collection, keys in (scope.keys or {}).items():
        if keys and is_collection_name(collection):
            home = (view.generation, scope.tenant, collection)
            found.append(_of_collection(view, home, keys, clause.each))
    documents = np.concatenate(found)  # each once, since a document has one key
    documents.sort()
    return documents


def _of_collection(
    view: View, home: tuple[int, str, str], keys: frozenset[str], each: Bound
) -> NDArray[np.int64]:
    condition, values = each
    many = len(keys) > _FEW_KEYS
    if not many or len(keys) * _DENSE < view.raw.execute(_COUNTED, home).get:
        listed = json.dumps(sorted(keys))
        sql = _ONE_BY_ONE.format(condition)
        return numbers(view.raw.execute(sql, (listed, *home, *values)).get)
    rows = view.raw.execute(_ALL.format(condition), (*home, *values))
    names, ids = rows.fetchone()
    if names is None:
        return numbers(None)
    wanted = np.fromiter(map(keys.__contains__, names.split("\n")), dtype=bool)
    return numbers(ids)[np.flatnonzero(wanted)]


def few_documents(view: View, clause: Clause, chunks: int) -> list[int] | None:
    """The documents in scope, if one of its conditions alone leaves few of a store with so many
    chunks; else None.
    """
    tuning = view.tuning
    most = int(max(tuning.few_documents, tuning.selective * chunks))
    for source, values in clause.sources:
        ids = view.raw.execute(f"select * from ({source}) limit ?", (*values, most + 1)).fetchall()
        if len(ids) <= most:
            # A source names a document once for each value of a list that meets its condition.
            return in_scope(view, clause, list(dict.fromkeys(id for (id,) in ids)))
    return None


def in_scope(view: View, clause: Clause, documents: Sequence[int]) -> list[int]:
    """Those of these documents that are in scope."""
    condition, values = clause.each
    sql = f"""select d.id
        from json_each(?) as j
        cross join semantic_index_document as d
        where d.id = j.value and {condition}"""
    rows = view.raw.execute(sql, (json.dumps(documents), *values))
    return [id for (id,) in rows]


def numbers(listed: str | None) -> NDArray[np.int64]:
    """The whole numbers that ``group_concat`` returned; none for None.

    All come in one row, because stepping through rows releases Python's lock at each.
    """
    if not listed:
        return np.zeros(0, dtype=np.int64)
    return np.fromstring(listed, dtype=np.int64, sep=",")
