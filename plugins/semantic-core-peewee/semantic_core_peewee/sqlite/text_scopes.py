"""Which rows of the full-text index are in scope, as a mark for each row.

The marks of the latest scopes stay in memory with the version of the index that they are of. A
filter that leaves many documents is, the first time, checked on the best rows of a search; when it
is asked for again in the same state, its documents are worth being listed.

Tested by tests/sqlite/test_text_search.py, tests/sqlite/test_filters.py and
tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from semantic_core_peewee.sqlite.quantized import current_state as vector_state
from semantic_core_peewee.sqlite.remembered import Remembered
from semantic_core_peewee.sqlite.selective_scopes import few_documents, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core.types import Scope
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View
    from semantic_core_peewee.sqlite.text_index import RowColumns, TextVersion

    Marks = NDArray[np.bool_]
    """Whether each row of a version is in scope."""

MOST_KEPT = 8
"""Scopes whose marks stay in memory, per version: a byte for each row."""
WIDE_GAPS = 64
"""Documents are searched for, rather than looked up in a table by number, where the largest number
is more than so many times the number of rows.
"""
_KEPT = "scopes"


class RowScope(NamedTuple):
    """The rows in scope. marks: None if all may be. to_check: what their documents have to meet
    besides; None for nothing.
    """

    marks: Marks | None
    to_check: Clause | None = None


class _Known(NamedTuple):
    """A scope that was asked for. listed: the documents that were given; None if they were not.
    marks: None if its documents were not listed yet.
    """

    listed: NDArray[np.int64] | None
    marks: Marks | None


def row_scope(view: View, version: TextVersion, scope: Scope, clause: Clause) -> RowScope:
    """The rows in scope, as cheap as they can be had."""
    if clause.listed is None and not scope.filter:
        return RowScope(_in_homes(view, version, scope))
    key: Hashable = id(clause.listed)
    if clause.listed is None:
        # Metadata may change while no word does: the state of the vectors changes with each
        # document.
        key = (vector_state(view), clause.sql, clause.values)
    remembered = _remembered(version)
    known = remembered.get(key)
    if known is not None and known.listed is not clause.listed:
        known = None  # of other documents, which are gone from memory
    if known is not None and known.marks is not None:
        return RowScope(known.marks)
    documents = clause.listed
    if documents is None and known is not None:
        documents = _listed(view, clause)
    elif documents is None:
        few = few_documents(view, clause, len(version))
        documents = None if few is None else np.array(few, dtype=np.int64)
    if documents is None:
        remembered.keep(key, _Known(None, None))
        return RowScope(_in_homes(view, version, scope), clause)
    marks = _of_documents(version, documents)
    remembered.keep(key, _Known(clause.listed, marks))
    return RowScope(marks)


def rows_in_scope(view: View, version: TextVersion, scope: Scope, clause: Clause) -> Marks | None:
    """The rows in scope; None if all are."""
    marks, to_check = row_scope(view, version, scope, clause)
    return marks if to_check is None else marks_of_documents(view, version, to_check)


def marks_of_documents(view: View, version: TextVersion, clause: Clause) -> Marks:
    """The rows of all documents that meet a condition."""
    return _of_documents(version, _listed(view, clause))


def _remembered(version: TextVersion) -> Remembered[_Known]:
    """The latest scopes of a version."""
    found: Remembered[_Known] = version.kept.setdefault(_KEPT, Remembered(MOST_KEPT))
    return found


def _listed(view: View, clause: Clause) -> NDArray[np.int64]:
    sql = f"select group_concat(d.id) from semantic_index_document as d where {clause.sql}"
    return numbers(view.raw.execute(sql, clause.values).get)


def _of_documents(version: TextVersion, documents: NDArray[np.int64]) -> Marks:
    """Whether each row belongs to one of these documents."""
    if not len(documents):
        return np.zeros(len(version), dtype=bool)
    last = max(int(rows.document.max(initial=0)) for rows in version.columns)
    if last > WIDE_GAPS * len(version):
        return _marked(version, lambda rows: np.isin(rows.document, documents))
    table = np.zeros(last + 1, dtype=bool)
    table[documents[documents <= last]] = True
    return _marked(version, lambda rows: table[rows.document])


def _in_homes(view: View, version: TextVersion, scope: Scope) -> Marks | None:
    """Whether each row is in the tenant's collections that are asked for; None if all rows are."""
    sql = "select id, collection from semantic_index_home where generation = ? and tenant = ?"
    wanted = []
    for id, collection in view.raw.execute(sql, (view.generation, scope.tenant)).fetchall():
        if scope.collections is None or collection in scope.collections:
            wanted.append(id)
    homes = version.homes
    if homes.issubset(wanted):
        return None
    key = ("homes", *wanted)
    remembered = _remembered(version)
    known = remembered.get(key)
    if known is not None:
        return known.marks
    table = np.zeros(max(homes) + 1, dtype=bool)
    table[[home for home in wanted if home < len(table)]] = True
    marks = _marked(version, lambda rows: table[rows.home])
    remembered.keep(key, _Known(None, marks))
    return marks


def _marked(version: TextVersion, mark: Callable[[RowColumns], Marks]) -> Marks:
    """The marks of all rows, given how to mark those of one part."""
    return np.concatenate([mark(rows) for rows in version.columns])
