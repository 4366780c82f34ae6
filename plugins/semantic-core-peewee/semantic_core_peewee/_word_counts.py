"""How many passages hold a word, remembered by the process:
asking FTS5 walks over all of them each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from semantic_core_peewee._codes import current_state
from semantic_core_peewee._few import KnownScopes
from semantic_core_peewee._word_lists import WordLists

if TYPE_CHECKING:
    from semantic_core_peewee._pool import View

DRIFT = 0.1
"""Part by which the number of passages may change before what was counted is counted again."""
MOST_KEPT = 100_000
"""Words remembered."""
FEW_PASSAGES = 10_000
"""Passages up to which no word is too common to be looked for."""
COMMON = 0.5
"""A word in more than this part of all passages weighs next to nothing (its idf is clamped to 1e-6)
and costs the most.
"""


class WordCounts:
    """Counts of one store; safe to share between threads. scopes,
    lists: what else its lane of words remembers.
    """

    def __init__(self) -> None:
        self.scopes = KnownScopes()
        self.lists = WordLists()
        self._lock = threading.RLock()  # a signal handler may come in between
        self._passages = 0
        self._generation = -1
        self._counts: dict[str, int] = {}
        self._state: Any = None
        self._exact: dict[str, int] = {}

    def of(
        self, view: View, words: Sequence[str], passages: int, stem: Callable[[Any, str], str]
    ) -> Mapping[str, int]:
        """In how many of so many passages each word is,
        give or take what has changed since it was counted.
        """
        with self._lock:
            moved = abs(passages - self._passages) > DRIFT * self._passages
            if moved or view.generation != self._generation or len(self._counts) > MOST_KEPT:
                self._counts, self._passages, self._generation = {}, passages, view.generation
            counts = self._counts
        exact = self._of_state(view)
        for word in words:
            if word not in counts:
                counts[word] = exact[word] = _counted(view, stem(view.raw, word))
        return counts

    def exact(
        self, view: View, words: Sequence[str], stem: Callable[[Any, str], str]
    ) -> Mapping[str, int]:
        """In how many passages of this very state each word is."""
        counts = self._of_state(view)
        for word in words:
            if word not in counts:
                counts[word] = _counted(view, stem(view.raw, word))
        return counts

    def _of_state(self, view: View) -> dict[str, int]:
        """What was counted in this state; to be added to."""
        state = (view.generation, current_state(view))
        with self._lock:
            if state != self._state or len(self._exact) > MOST_KEPT:
                self._state, self._exact = state, {}
            return self._exact


def _counted(view: View, stem: str) -> int:
    """In how many passages the word is that the index spells so; asks FTS5."""
    return view.raw.execute("select doc from temp.word_count where term = ?", (stem,)).get or 0
