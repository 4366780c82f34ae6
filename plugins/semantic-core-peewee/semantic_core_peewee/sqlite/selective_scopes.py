"""Scopes of few documents, which are listed instead of being checked chunk by chunk.

Tested by tests/sqlite/test_text_search.py, tests/sqlite/test_filters.py and
tests/sqlite/test_contract_variants.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View


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
