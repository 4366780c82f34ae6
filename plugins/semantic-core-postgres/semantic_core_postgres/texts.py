"""How a text is spelled in a column: PostgreSQL stores every character but U+0000.

Tested by tests/test_texts.py.
"""

from __future__ import annotations

from hashlib import blake2b

LONGEST_TERM = 200
"""Characters of a term that an index stores; of a longer one it stores the beginning and a hash."""
LAST = "\U0010ffff"
"""Sorts behind every character that a word may have."""


def encoded(text: str) -> str:
    """The text without U+0000. The order of texts by code point, and which is the beginning of
    which, stay the same: U+0000 and U+0001 become two characters, the first of which is U+0001.
    """
    if "\x01" in text or "\x00" in text:
        return text.replace("\x01", "\x01\x02").replace("\x00", "\x01\x01")
    return text


def decoded(text: str) -> str:
    """The text that `encoded` was given."""
    if "\x01" in text:
        return text.replace("\x01\x01", "\x00").replace("\x01\x02", "\x01")
    return text


def term_of(term: str) -> str:
    """The term as the index spells it; short enough for an index of PostgreSQL."""
    spelled = encoded(term.encode("utf-8", "replace").decode("utf-8"))
    if len(spelled) <= LONGEST_TERM:
        return spelled
    digest = blake2b(spelled.encode("utf-8"), digest_size=16).hexdigest()
    return f"{spelled[:LONGEST_TERM]}\x01\x03{digest}"
