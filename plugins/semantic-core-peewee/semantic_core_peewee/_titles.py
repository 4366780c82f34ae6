"""Documents by their titles, found in the index of words:
a passage begins with the title of its document.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from semantic_core.types import Ranking
from semantic_core_peewee._few import among
from semantic_core_peewee._ids import best_first, chunk_ids
from semantic_core_peewee._tokens import WORDS, split, stem_of
from semantic_core_peewee._word_lists import quoted
from semantic_core_peewee._words import LOOKED_AT, check_query, passages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from semantic_core_peewee._pool import View
    from semantic_core_peewee._scope import Clause
    from semantic_core_peewee._word_counts import WordCounts
    from semantic_core_peewee._word_lists import Remembered

SOURCE = "title"
MOST_WORDS = 8
"""Words of a title that are looked for in the index; the others are compared with the title itself.
A passage has no more than the beginning of a long title."""

MOST_LOOKED_AT = 2_000
"""Documents in scope whose titles are looked at, of those that may be called so: the first that
were written."""
FEW = 200
"""Chunks whose titles are looked at without asking the index for those that begin so."""

_BEGINNING = (
    "from words cross join chunk as c cross join document as d where words match ? "
    "and c.id = words.rowid"
)
_HOLDING = (
    "from json_each(?) as j cross join chunk as c cross join document as d where c.id = j.value"
)
_TITLES = "c.position = 0 and d.id = c.document and"


def titled(view: View, text: str, limit: int, scope: Clause, counts: WordCounts) -> Ranking:
    """The documents in scope whose title begins with the text, each by its first chunk; of the
    first `MOST_LOOKED_AT` that may be called so.

    Raises InputError, QueryTooLarge.
    """
    check_query(text)
    asked = split(view.raw, text, WORDS) if len(text) <= LOOKED_AT else []
    if not asked or limit <= 0:
        return Ranking(SOURCE)
    scores: dict[int, float] = {}
    rows = _candidates(view, asked[:MOST_WORDS], scope, counts)
    for chunk, title in rows:
        words = split(view.raw, title, WORDS)
        if words[: len(asked)] == asked:
            scores[chunk] = len(asked) / len(words)
    return best_first(SOURCE, chunk_ids(view, scores), scores, limit)


def _candidates(
    view: View, asked: Sequence[str], scope: Clause, counts: WordCounts
) -> Sequence[tuple[int, str]]:
    """(chunk, title) of documents in scope that may be called so,
    by their first chunk.
    """
    holding = _holding(list(counts.lists.remembered(view, asked).values()))
    if holding is None:
        source, value = _BEGINNING, _expression(view, asked, counts)
    else:
        source, value = _HOLDING, json.dumps(holding.tolist())
    condition, values = scope.each
    sql = f"select c.id, d.title {source} and {_TITLES} {condition} limit ?"
    return view.raw.execute(sql, (value, *values, MOST_LOOKED_AT)).fetchall()  # type: ignore[no-any-return]


def _holding(lists: Sequence[Remembered]) -> NDArray[Any] | None:
    """The chunks in all of these lists, if they are few; None if they are many,
    or there is no list.
    """
    if not lists:
        return None
    shortest, *others = sorted(lists, key=lambda words: len(words.chunks))
    chunks = shortest.chunks
    for words in others:
        chunks = chunks[among(words.chunks, chunks)]
    return chunks if len(chunks) <= FEW else None


def _expression(view: View, asked: Sequence[str], counts: WordCounts) -> str:
    """What FTS5 is asked for: passages that begin with the first word and hold the rarest. A phrase
    of all of them finds fewer, but takes twice as long.
    """
    held = counts.of(view, asked, passages(view), stem_of)
    rarest = min(asked, key=lambda word: held[word])
    begins = f"^ {quoted(asked[0])}"
    return begins if rarest == asked[0] else f"{quoted(rarest)} AND {begins}"
