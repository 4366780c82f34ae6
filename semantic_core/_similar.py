"""What a document is like: the middle of its vectors, and its rarest words.

Tested by tests/kernel/test_similar.py.
"""

from __future__ import annotations

from collections import Counter
from math import log
from typing import TYPE_CHECKING

import attrs

from semantic_core._text import fingerprints, passages
from semantic_core.analysis import folded
from semantic_core.marking import COMMON_WORDS
from semantic_core.protocols import ChunkVectors, Vocabulary
from semantic_core.types import ChunkId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from semantic_core.protocols import Analyser, Store
    from semantic_core.types import Document, Ref, Scope, StoredChunk, Vector, Vectors

MOST_WORDS = 25
"""Words of a document that others are looked for by. Lucene's MoreLikeThis takes as many."""
MOST_COUNTED = 200
"""Different words of a document, those it repeats most, whose rarity is asked for."""
MOST_CHUNKS = 64
"""Chunks of a document that are looked at, from its beginning."""
LOOKED_AT = 100_000
"""Characters of a document whose words are looked at."""
SHORTEST = 3
"""Fewest letters of a word that says what a document is about."""

SHORTEST_VECTOR = 1e-6
"""A shorter mean of vectors has no direction."""


@attrs.frozen(eq=False)
class Likeness:
    """What documents like one document are found by. words: those it is known by, best first; "" if
    it has none. vector: the middle of its vectors, of length 1; None if it has none yet.
    """

    words: str
    vector: Vector | None


def likeness_of(ref: Ref, store: Store, shown: Scope, analyser: Analyser) -> Likeness | None:
    """What a document is like; None if there is no such document, or its metadata does not pass the
    filter of `shown`. shown: what whoever asks may see; how rare a word is, is counted there.
    """
    with store.snapshot():
        document = store.get(ref)
        if document is None or not shown.filter.matches(document.metadata):
            return None
        stored = store.fetch([ChunkId(ref, place) for place in range(MOST_CHUNKS)])
        words = _words(document, store, shown, analyser)
        return Likeness(" ".join(words), _middle(document, stored, store))


def _words(document: Document, store: Store, shown: Scope, analyser: Analyser) -> Sequence[str]:
    """The words with the highest tf-idf; without counts of words, those it repeats most."""
    text = f"{document.title}\n{document.text}"[:LOOKED_AT]
    repeats = Counter[str]()
    places: dict[int, tuple[int, int]] = {}
    for token in analyser.tokens(text, document.language):
        places.setdefault(token.position, (token.start, token.end))
    for start, end in places.values():
        word = folded(text[start:end])
        if len(word) >= SHORTEST and word not in COMMON_WORDS and not word.isdigit():
            repeats[word] += 1
    often = [word for word, _ in repeats.most_common(MOST_COUNTED)]
    if not isinstance(store, Vocabulary):
        return often[:MOST_WORDS]
    counts = store.word_counts(often, shown)
    total = max(store.documents(shown, limit=0).total, *counts.values(), 1)
    weights = {}
    for word in often:
        if counts[word] > 1:  # a word of this document alone finds no other
            weights[word] = repeats[word] * log((total + 1) / counts[word])
    return sorted(weights, key=lambda word: (-weights[word], word))[:MOST_WORDS] or often[:1]


def _middle(document: Document, stored: Sequence[StoredChunk], store: Store) -> Vector | None:
    """The mean of the stored vectors of these chunks, of length 1; None without any."""
    import numpy as np

    vectors = _vectors(document, stored, store)
    if not len(vectors):
        return None
    mean = vectors.astype(np.float64).mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length < SHORTEST_VECTOR:  # they point into opposite directions
        return None
    middle: Vector = (mean / length).astype(np.float32)
    return middle


def _vectors(document: Document, stored: Sequence[StoredChunk], store: Store) -> Vectors:
    """The stored vectors of these chunks, of those that have one.

    A store that gives no vectors of chunks is asked by the passages that the kernel makes; a chunk
    whose passage a plugin has made has another, and is left out.
    """
    import numpy as np

    nothing: Vectors = np.zeros((0, store.space.dimensions), dtype=np.float32)
    if not stored:
        return nothing
    if isinstance(store, ChunkVectors):
        vectors = store.vectors([each.chunk.id for each in stored])
        there: Vectors = vectors[~np.isnan(vectors).any(axis=1)]
        return there
    made = passages(document, [each.chunk for each in stored])
    names = fingerprints(store.space, made, document.ref.tenant)
    known = list(store.known(set(names)).values())
    return np.stack(known) if known else nothing
