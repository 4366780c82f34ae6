"""Words of a query that no document has, and the near ones that some have: "did you mean"; and the
completion of a word that somebody types.

Both know only what the store tells of the documents in scope (see `Vocabulary`), so nobody is told
a word of a document that they may not see.

Tested by tests/kernel/test_typos.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs

from semantic_core.analysis import folded
from semantic_core.protocols import TitleSearch, Vocabulary
from semantic_core.query_syntax import FIELDS, NO_CONDITIONS
from semantic_core.types import Completion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from semantic_core.protocols import Analyser, Store
    from semantic_core.query_syntax import ParsedQuery
    from semantic_core.types import Scope, StoredChunk, Token

Typos = Literal["ignore", "suggest", "correct"]
TYPOS: tuple[Typos, ...] = ("ignore", "suggest", "correct")

ONE_EDIT = 4
"""Fewest letters of a word that is corrected by one edit: a shorter one is near to too many."""
TWO_EDITS = 8
"""Fewest letters of a word that is corrected by two edits. Both numbers are the defaults of
Algolia, ``minWordSizefor1Typo`` and ``minWordSizefor2Typos``.
"""
MOST_CHECKED = 12
"""Most different words of a query that are corrected; a longer query is a text, where one word more
or less makes little difference.
"""
MOST_BEGUN = 8
"""Words that a title may begin with, for the completion of its first letters."""


def corrected(query: ParsedQuery, store: Store, scope: Scope, analyser: Analyser) -> str | None:
    """The query as it was typed, with each word that no document in scope has replaced by the
    nearest one that some have, of several the most frequent; None if nothing is to be replaced, or
    the store does not know its words.

    Words that are excluded, that are the beginning of others, or have digits stay as they are.
    """
    if not isinstance(store, Vocabulary):
        return None
    within = attrs.evolve(scope, text=NO_CONDITIONS)
    typed = query.typed
    tokens = _words(typed, analyser)
    wanted = {word for word, _ in _words(query.words, analyser)} - _kept(query, analyser)
    asked = [word for word in dict.fromkeys(word for word, _ in tokens) if word in wanted]
    if not 0 < len(asked) <= MOST_CHECKED:
        return None
    counts = store.word_counts(asked, within)
    near: dict[str, str] = {}
    for word in asked:
        distance = _distance(word)
        if counts.get(word) or not distance:
            continue
        for found, _ in store.words_near(word, distance, 1, within):
            near[word] = found
    if not near:
        return None
    parts = []
    place = 0
    for word, token in tokens:
        if word in near:
            parts += [typed[place : token.start], _like(typed[token.start : token.end], near[word])]
            place = token.end
    return "".join([*parts, typed[place:]])


def _words(text: str, analyser: Analyser) -> list[tuple[str, Token]]:
    """The words of a text, as vocabularies spell them, each with the first term of its position."""
    found: dict[int, Token] = {}
    for token in analyser.query_tokens(text):
        found.setdefault(token.position, token)
    return [(folded(text[token.start : token.end]), token) for token in found.values()]


def _kept(query: ParsedQuery, analyser: Analyser) -> set[str]:
    """The words that are not corrected: beginnings of others, and words of metadata."""
    kept: set[str] = set()
    for term in query.terms:
        words = [word for word, _ in _words(term.text, analyser)]
        if term.field and term.field not in FIELDS:
            kept.update(words)
        elif term.prefix:
            kept.update(words[-1:])
    return kept


def _distance(word: str) -> int:
    """How many edits are allowed: 0 for a word that is not corrected."""
    if len(word) < ONE_EDIT or any(map(str.isdigit, word)):
        return 0
    return 1 if len(word) < TWO_EDITS else 2


def _like(typed: str, word: str) -> str:
    """The word with the capitals of what was typed."""
    if len(typed) > 1 and typed.isupper():
        return word.upper()
    return word.capitalize() if typed[:1].isupper() else word


def completions(
    text: str, limit: int, store: Store, scope: Scope, analyser: Analyser
) -> tuple[Completion, ...]:
    """What the last word of a text may become: titles that begin with the whole text first, at most
    half of them if there are words, then words, the most frequent first.
    """
    begun = _last_word(text, analyser)
    known: list[tuple[str, int]] = []
    if begun is not None and isinstance(store, Vocabulary):
        known = list(store.words_like(begun[0], max(limit, MOST_BEGUN), scope))
    before = text if begun is None else text[: begun[1]]
    words = []
    for word, count in known:
        typed = text[len(before) :]
        whole = typed + word[len(typed) :] if word.startswith(typed.lower()) else word
        words.append(Completion(before + whole, "word", count))
    beginnings = [text, *(completion.text for completion in words[:MOST_BEGUN])]
    titles: dict[str, Completion] = {}
    for stored in _titled(beginnings, limit, store, scope):
        title = Completion(stored.title, "title", 1, stored.chunk.id.ref)
        titles.setdefault(folded(stored.title), title)
    first = list(titles.values())
    offered = [word for word in words if folded(word.text) not in titles]
    most = max(limit - len(offered), (limit + 1) // 2)
    return tuple([*first[:most], *offered][:limit])


def _last_word(text: str, analyser: Analyser) -> tuple[str, int] | None:
    """The word that is being typed and where it begins; None after a blank."""
    words = _words(text, analyser)
    if not words or words[-1][1].end < len(text):
        return None
    word, token = words[-1]
    return word, token.start


def _titled(
    beginnings: Sequence[str], limit: int, store: Store, scope: Scope
) -> Iterator[StoredChunk]:
    """The first chunks of documents whose title begins so, those of the first beginning first."""
    if not isinstance(store, TitleSearch):
        return
    for beginning in beginnings:
        yield from store.fetch(store.titled(beginning, limit, scope).ids)
