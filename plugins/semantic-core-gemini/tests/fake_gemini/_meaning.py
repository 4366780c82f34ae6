"""What the fake knows of language: tokens as a sentence-piece model makes them,
vectors in which shared words are near.

Nothing here is shared with the product: it counts tokens by rules of its own, so an estimate can be
wrong.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import numpy as np

FULL = 3_072
PROMPTS = (
    re.compile(r"^task: [a-z ]+ \| query: (.*)$", re.DOTALL),
    re.compile(r"^title: [^|]* \| text: (.*)$", re.DOTALL),
)
_TOKEN = re.compile(
    r"[A-Za-z]+|\d|[\u0400-\u04ff]+|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+|\n+|[^\w\s]|\w"
)
_ENDINGS = ("ing", "tion", "ment", "ness", "ally", "able", "ed", "ly", "es", "s")
_WORD = re.compile(r"\w+")


def tokens_of(text: str) -> int:
    """How many tokens are billed: short words are one, an ending of a long word is one of its own,
    and so on; at least 1.
    """
    total = 0
    for piece in _TOKEN.findall(text):
        if not piece[0].isalpha() or len(piece) == 1:
            total += 2 if piece[0] > "\U0000ffff" else 1
        elif piece[0] >= "\u3040":
            total += -(-len(piece) * 7 // 10)
        elif piece[0] > "\u02ff":
            total += 1 + (len(piece) - 1) // 3
        elif len(piece) <= 8:
            total += 1
        else:
            total += 2 + (len(piece) - 9) // 5 + (piece.endswith(_ENDINGS) and len(piece) > 12)
    return max(1, total)


@lru_cache(maxsize=20_000)
def _direction(feature: str) -> tuple[int, float]:
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest)
    return number, 1.0 if number & 1 else -1.0


def meaning_of(text: str, model: str) -> str:
    """The text without the prompt a model of the second kind is asked with."""
    if model == "gemini-embedding-2":
        for prompt in PROMPTS:
            match = prompt.match(text)
            if match:
                return match[1]
    return text


def vector_of(text: str, model: str, dimensions: int) -> np.ndarray:
    """float64; of length 1 in full size only, as the real ones are."""
    vector = np.zeros(dimensions)
    vector[0] = 0.3
    lowered = meaning_of(text, model).casefold()
    words = _WORD.findall(lowered)
    # Trigrams, so that "bake" and "baking" are near; words weigh more.
    features = [(word, 3.0) for word in words]
    features += [
        (f"#{word[place : place + 4]}", 1.0) for word in words for place in range(len(word) - 3)
    ]
    features += [(f"\0{character}", 0.5) for character in lowered[:200] if not character.isalnum()]
    for feature, weight in features:
        number, sign = _direction(feature)
        vector[1 + number % (dimensions - 1)] += sign * weight
    vector /= np.linalg.norm(vector)
    return vector if dimensions == FULL else vector * 0.71
