"""Finding documents by their titles: a sorted table of the words of each title.

Tested by tests/sqlite/test_titles.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from semantic_core.analysis import WordAnalyser
from semantic_core.types import Ranking
from semantic_core_peewee.sqlite.ids import best_first, chunk_ids
from semantic_core_peewee.sqlite.text_search import LOOKED_AT, check_query

if TYPE_CHECKING:
    from semantic_core_peewee.sqlite.filters import Clause
    from semantic_core_peewee.sqlite.pool import View

SOURCE = "title"
ADD = """insert into semantic_index_title (generation, tenant, words, document)
    values (?, ?, ?, ?)"""
DROP = "delete from semantic_index_title where document = ?"
_TITLES = """select tenant, title, id
    from semantic_index_document
    where generation = ? and title <> ''"""
_HELD = """select generation, tenant, words, document
    from semantic_index_title
    where generation = ?"""
_BEHIND = "\U0010ffff"
"""Sorts behind everything a word may begin with."""
_CALLED = """select c.id, length(t.words) - length(replace(t.words, ' ', ''))
    from semantic_index_title as t
    cross join semantic_index_document as d
    cross join semantic_index_chunk as c
    where t.generation = ? and t.tenant = ? and t.words between ? and ? and d.id = t.document
    and c.document = d.id and c.position = 0 and {scope}
    order by 2, 1
    limit ?"""

_ANALYSER = WordAnalyser()


def words_of(text: str) -> str:
    """The words of a title as the table has them, each with a space behind it; "" if none."""
    terms = [token.term.replace(" ", "") for token in _ANALYSER.tokens(text)]
    return "".join([f"{term} " for term in terms]).encode("utf-8", "replace").decode()


def row_of(generation: int, tenant: str, title: str, document: int) -> tuple[Any, ...] | None:
    """The row of a document's title; None if it has no words."""
    words = words_of(title)
    return (generation, tenant, words, document) if words else None


def rebuild(view: View) -> None:
    """Rebuild the table from the documents."""
    view.raw.execute("delete from semantic_index_title where generation = ?", (view.generation,))
    view.raw.executemany(ADD, list(_rows(view)))


def problems(view: View) -> Iterator[str]:
    """What is wrong with the table, a line each."""
    held = view.raw.execute(_HELD, (view.generation,)).fetchall()
    for row in sorted(set(_rows(view)) ^ set(held), key=lambda row: int(row[3])):
        yield f"document {row[3]}: it cannot be found by its title"


def _rows(view: View) -> Iterator[tuple[Any, ...]]:
    """The rows that the table should have."""
    for tenant, title, id in view.raw.execute(_TITLES, (view.generation,)).fetchall():
        row = row_of(view.generation, tenant, title, id)
        if row is not None:
            yield row


def titled(view: View, text: str, limit: int, clause: Clause, tenant: str) -> Ranking:
    """The documents in scope whose title begins with the text, each by its first chunk: of those
    with the shortest titles, the first `Tuning.most_titles`.

    Raises InputError, QueryTooLarge.
    """
    check_query(text)
    asked = words_of(text) if len(text) <= LOOKED_AT else ""
    if not asked or limit <= 0:
        return Ranking(SOURCE)
    condition, values = clause.each
    bound = (view.generation, tenant, asked, asked + _BEHIND, *values, view.tuning.most_titles)
    rows = view.raw.execute(_CALLED.format(scope=condition), bound).fetchall()
    words = asked.count(" ")
    scores = {chunk: words / every for chunk, every in rows}
    return best_first(SOURCE, chunk_ids(view, scores), scores, limit)
