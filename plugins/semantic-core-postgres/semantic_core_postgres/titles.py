"""Finding documents by their titles: a column with the words of each title, with an index.

Tested by tests/test_contract.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from semantic_core.analysis import WordAnalyser
from semantic_core.types import ChunkId, Ranking, Ref
from semantic_core_postgres.text_search import LOOKED_AT, check_query
from semantic_core_postgres.texts import INDEXED_TITLE, LAST, decoded, encoded

if TYPE_CHECKING:
    from semantic_core_postgres.filters import Clause
    from semantic_core_postgres.pool import View

SOURCE = "title"
_ANALYSER = WordAnalyser()


def words_of(text: str) -> str:
    """The words of a title as the column has them, each with a space behind it; "" if none."""
    terms = [token.term.replace(" ", "") for token in _ANALYSER.tokens(text)]
    return "".join([f"{term} " for term in terms]).encode("utf-8", "replace").decode()


def titled(view: View, text: str, limit: int, clause: Clause) -> Ranking:
    """The documents in scope whose title begins with the text, each by its first chunk.

    Raises InputError, QueryTooLarge.
    """
    check_query(text)
    asked = words_of(text) if len(text) <= LOOKED_AT else ""
    if not asked or limit <= 0:
        return Ranking(SOURCE)
    spelled = encoded(asked)
    begins = spelled[:INDEXED_TITLE]
    rows = view.rows(
        f"""select d.tenant, d.collection, d.key,
                length(d.title_words) - length(replace(d.title_words, ' ', '')) as words
            from {{s}}.document as d
            where d.tenant = %s and d.title_words <> ''
            and left(d.title_words, {INDEXED_TITLE}) >= %s
            and left(d.title_words, {INDEXED_TITLE}) < %s
            and starts_with(d.title_words, %s)
            and exists (select 1 from {{s}}.chunk as c
                where c.tenant = d.tenant and c.document = d.id and c.position = 0)
            and {clause.sql}
            order by words fetch first %s rows with ties""",
        (clause.tenant, begins, begins + LAST, spelled, *clause.values, limit),
    )
    words = asked.count(" ")
    best = []
    for tenant, collection, key, every in rows:
        ref = Ref(decoded(collection), decoded(key), decoded(tenant))
        best.append((-words / every, ChunkId(ref, 0)))
    best.sort()
    best = best[:limit]
    return Ranking(SOURCE, tuple([id for _, id in best]), tuple([-score for score, _ in best]))
