"""Scopes whose documents are listed instead of being checked chunk by chunk: those of few documents
and those of given keys; and scopes that are asked for again and again, whose chunks stay in memory.

Tested by tests/sqlite/test_word_search.py, tests/sqlite/test_filters.py and
tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from semantic_core_peewee.sqlite.filters import compile_scope, is_collection_name, of_listed
from semantic_core_peewee.sqlite.quantized import current_state

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Scope
    from semantic_core_peewee.sqlite.filters import Bound, Clause
    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.segments import State

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
_CHUNKS_OF_THESE = """select group_concat(c.id)
    from json_each(?) as j
    cross join semantic_index_chunk as c indexed by semantic_index_chunk_place
    where c.document = j.value"""
_ALL_CHUNKS = """select group_concat(c.id), group_concat(c.document)
    from semantic_index_chunk as c indexed by semantic_index_chunk_owner"""
_FEW_KEYS = 1_000
"""Keys that are looked up one by one, whatever the size of the collection."""
_DENSE = 3
"""How many times more documents than keys there may be where all are read at once: to read one
costs about a third of looking one up.
"""
MOST_REMEMBERED = 4
"""Scopes whose chunks stay in memory: about ten bytes for every chunk in them."""
_GAPS = 64
"""Average distance between the numbers of chunks up to which a table of all numbers is worth its
memory.
"""


class Known:
    """Chunks that are known to be in scope, in ascending order."""

    def __init__(self, chunks: Sequence[int] | NDArray[np.int64]) -> None:
        self.chunks = np.asarray(chunks, dtype=np.int64)
        self._table: NDArray[np.bool_] | None = None
        if len(chunks) and 0 <= self.chunks[0] <= self.chunks[-1] <= _GAPS * len(chunks):
            self._table = np.zeros(int(self.chunks[-1]) + 2, dtype=bool)
            self._table[self.chunks] = True

    def __len__(self) -> int:
        return len(self.chunks)

    def holds(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Return for each of these numbers whether it is one of the chunks."""
        if self._table is None:
            return among(self.chunks, numbers)
        return self._table.take(numbers, mode="clip")


def among(ascending: NDArray[np.int64], numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each number whether it is among those that ascend.

    `np.isin` cannot know that they ascend, and takes longer.
    """
    if not len(ascending):
        return np.zeros(len(numbers), dtype=bool)
    places = np.searchsorted(ascending, numbers)
    held: NDArray[np.bool_] = ascending.take(places, mode="clip") == numbers
    return held


class KnownScopes:
    """The chunks of scopes that are asked for several times in one state; shared by threads."""

    def __init__(self) -> None:
        self._known: dict[Any, int | Known] = {}

    def chunks(self, view: View, clause: Clause) -> Known | None:
        """The chunks in scope; None while this scope was seldom asked for in this state."""
        key = (view.generation, current_state(view), clause.sql, clause.values)
        found = self._known.get(key, 0)
        if isinstance(found, int):
            found += 1
            if found >= view.tuning.list_scope_after:
                found = _listed(view, clause)
        # The dictionary is replaced rather than changed, so no lock is needed: at worst, what
        # another thread adds meanwhile is lost and listed once more.
        known = dict(self._known)
        known.pop(key, None)
        known[key] = found
        latest = list(known.items())[-MOST_REMEMBERED:]
        self._known = dict(latest)
        return None if isinstance(found, int) else found


def _listed(view: View, clause: Clause) -> Known:
    sql = f"""select group_concat(c.id)
        from semantic_index_document as d
        cross join semantic_index_chunk as c indexed by semantic_index_chunk_place
        where c.document = d.id and {clause.sql}"""
    return Known(np.sort(numbers(view.raw.execute(sql, clause.values).get)))


def scope_clause(view: View, scope: Scope) -> Clause:
    """The documents in scope, as this transaction sees them.

    The documents of a scope with keys are looked up here, once for all searches of a transaction:
    whatever number of keys there is, each is one look into an index.
    """
    clause = compile_scope(scope, view.generation)
    if scope.keys is None:
        return clause
    kept: dict[Any, tuple[object, Clause]] = view.kept.setdefault(_KEYS, {})
    key = (clause.sql, clause.values, id(scope.keys))
    if key not in kept:
        # The keys are remembered too: as long as they are, nothing else can have their id.
        kept[key] = (scope.keys, of_listed(_of_keys(view, scope, clause)))
    return kept[key][1]


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


def chunks_of(view: View, documents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The chunks of these documents, ascending. documents: ascending."""
    if len(documents) > _FEW_KEYS and len(documents) * _DENSE >= passages_at_most(view):
        chunks, owners = map(numbers, view.raw.execute(_ALL_CHUNKS).fetchone())
        chunks = chunks[among(documents, owners)]
    else:
        listed = json.dumps(documents.tolist())
        chunks = numbers(view.raw.execute(_CHUNKS_OF_THESE, (listed,)).get)
    chunks.sort()
    return chunks


def passages_at_most(view: View) -> int:
    """About how many passages there are; not fewer than have a vector."""
    return current_state(view).slots


def few_documents(view: View, clause: Clause, state: State) -> list[int] | None:
    """The documents in scope, if one of its conditions alone leaves few; else None."""
    tuning = view.tuning
    most = int(max(tuning.few_documents, tuning.selective * state.slots))
    for source, values in clause.sources:
        ids = view.raw.execute(f"select * from ({source}) limit ?", (*values, most + 1)).fetchall()
        if len(ids) <= most:
            # A source names a document once for each value of a list that meets its condition.
            return _in_scope(view, clause, list(dict.fromkeys(id for (id,) in ids)))
    return None


def _in_scope(view: View, clause: Clause, documents: Sequence[int]) -> list[int]:
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
