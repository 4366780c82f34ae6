"""Documents by their titles, found in the index of words: a passage begins with the title of its document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from semantic_core.types import Ranking
from semantic_core_peewee._ids import best_first, ids_of
from semantic_core_peewee._word_lists import quoted
from semantic_core_peewee._words import LOOKED_AT, WORDS, check_query, split

if TYPE_CHECKING:
    from semantic_core_peewee._pool import View
    from semantic_core_peewee._scope import Clause

SOURCE = "title"
MOST_WORDS = 8
"""Words of a title that are looked for in the index; the others are compared with the title itself. A
passage has no more than the beginning of a long title."""

_FOUND = """select c.id, c.document, c.position, d.title
    from words cross join chunk as c cross join document as d
    where words match ? and c.id = words.rowid and c.position = 0 and d.id = c.document and"""


def titled(view: View, text: str, limit: int, scope: Clause) -> Ranking:
    """The documents in scope whose title begins with the text, each by its first chunk.

    Raises InputError, QueryTooLarge.
    """
    check_query(text)
    asked = split(view.raw, text, WORDS) if len(text) <= LOOKED_AT else []
    if not asked or limit <= 0:
        return Ranking(SOURCE)
    begins = f"^ {quoted(' '.join(asked[:MOST_WORDS]))}"
    condition, values = scope.each
    rows = view.raw.execute(f"{_FOUND} {condition}", (begins, *values)).fetchall()
    scores: dict[int, float] = {}
    for chunk, _, _, title in rows:
        words = split(view.raw, title, WORDS)
        if words[: len(asked)] == asked:
            scores[chunk] = len(asked) / len(words)
    return best_first(SOURCE, ids_of(view, [row[:3] for row in rows if row[0] in scores]), scores, limit)
