"""Words as the index of words spells them: FTS5's own tokenizers, asked outside of a search."""

from __future__ import annotations

from typing import Any

import apsw

WORDS = ("unicode61", ["remove_diacritics", "2"])
"""Tokenizer of FTS5 that splits a text into words."""
STEMS = ("porter", ["unicode61", "remove_diacritics", "2"])
"""The one the index is made with."""


def split(raw: Any, text: str, tokenizer: tuple[str, list[str]]) -> list[str]:
    """The words of a text as a tokenizer spells them."""
    tokens: list[str] = raw.fts5_tokenizer(*tokenizer)(
        as_bytes(text),
        apsw.FTS5_TOKENIZE_DOCUMENT,
        None,
        include_colocated=False,
        include_offsets=False,
    )
    return tokens


def stem_of(raw: Any, word: str) -> str:
    """The word as the index spells it."""
    return "".join(split(raw, word, STEMS)[:1])


def as_bytes(text: str) -> bytes:
    """What a tokenizer is given: a lone surrogate becomes a mark between words."""
    return text.encode("utf-8", "replace")
